//! Random refs that Git allows, and titles and messages, the same each time: made of what careless
//! shells execute.

use std::collections::BTreeSet;

/// Their parts. Anything that runs by mistake leaves a canary: where it ran, or at `$CANARY`.
const PIECES: [&str; 34] = [
    "$(touch${IFS}canary)",
    "`touch${IFS}$CANARY`",
    ";touch${IFS}$CANARY;",
    "&&touch${IFS}canary",
    "||touch${IFS}$CANARY",
    "|tee${IFS}$CANARY",
    ">$CANARY",
    ">canary",
    "';touch${IFS}$CANARY;'",
    "\";touch${IFS}$CANARY;\"",
    "--output-file=canary",
    "'",
    "\"",
    "$HOME",
    "${PWD}",
    "$'\u{7}'",
    "#",
    "!",
    "%s",
    "{a,b}",
    "(",
    ")",
    "/",
    ".",
    ".lock",
    "@{",
    "\u{202e}",
    "\u{e9}",
    "-",
    "a b",
    "*",
    "~",
    "\\",
    "\u{1f680}",
];

/// Additional parts of titles and messages, invalid in refs.
const IN_TEXTS: [&str; 10] = [
    " ",
    "  ",
    "\t",
    "\r",
    "\u{1}",
    "\u{7f}",
    "\u{1b}[31m",
    " touch canary ",
    "; touch canary; ",
    "$(touch canary)",
];

/// A sequence of numbers (xorshift64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % most as u64).expect("it is smaller than a usize")
    }

    /// This many different names, each valid after `refs/heads/`.
    pub(crate) fn refs(&mut self, count: usize) -> Vec<String> {
        let mut known = BTreeSet::new();
        let mut refs = Vec::new();
        while refs.len() < count {
            let mut name = String::new();
            for _ in 0..=self.below(6) {
                match self.below(3) {
                    0 => name.extend(u8::try_from(self.below(128)).map(char::from)),
                    _ => name.push_str(PIECES[self.below(PIECES.len())]),
                }
            }
            if is_legal(&name) && known.insert(name.clone()) {
                refs.push(name);
            }
        }
        refs
    }

    /// One line.
    pub(crate) fn title(&mut self) -> String {
        let mut title = String::new();
        for _ in 0..=self.below(6) {
            title.push_str(match self.below(3) {
                0 => IN_TEXTS[self.below(IN_TEXTS.len())],
                _ => PIECES[self.below(PIECES.len())],
            });
        }
        title
    }

    /// A few lines; the last one may end with a line break.
    pub(crate) fn message(&mut self) -> String {
        let lines: Vec<String> = (0..=self.below(3)).map(|_| self.title()).collect();
        lines.join("\n") + ["", "\n", "\n\n"][self.below(3)]
    }
}

/// The rules of git-check-ref-format(1) for what follows `refs/heads/`.
fn is_legal(name: &str) -> bool {
    let forbidden =
        |character: char| character.is_ascii_control() || " ~^:?*[\\".contains(character);
    let component_is_legal =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    name.split('/').all(component_is_legal)
        && !name.contains(forbidden)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
}
