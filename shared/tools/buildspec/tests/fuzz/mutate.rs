//! Uses bytes to change a file of the corpus.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// Texts that YAML and shell parsers misread.
const TRAPS: [&str; 40] = [
    "\t",
    "\n",
    " ",
    "  ",
    "- ",
    ": ",
    "#",
    "'",
    "\"",
    "\\",
    "|",
    ">",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "!!str ",
    "? ",
    "---\n",
    "...\n",
    "%",
    "@",
    "`",
    "$(",
    "${",
    "<<E\n",
    "&& ",
    "; ",
    "# towline: allow E003 because x\n",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "é한🚀",
    "\0",
    "\r\n",
    "yes",
    "0.2",
    "null",
];

static CORPUS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let entries = fs::read_dir(folder).expect("the corpus is there");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry can be read").path())
        .collect();
    paths.sort();
    let texts = paths.iter().map(fs::read_to_string);
    texts
        .map(|text| text.expect("the corpus is text"))
        .collect()
});

/// Takes numbers from bytes; after their end, all are 0.
pub(crate) struct Orders<'a>(std::slice::Iter<'a, u8>);

impl<'a> Orders<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.iter())
    }

    pub(crate) fn below(&mut self, most: usize) -> usize {
        let mut byte = || usize::from(self.0.next().copied().unwrap_or(0));
        let number = if most > 256 {
            byte() << 8 | byte()
        } else {
            byte()
        };
        number % most.max(1)
    }

    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// A changed buildspec, or sometimes just the bytes.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut orders = Orders::new(bytes);
    let seed = orders.below(CORPUS.len() * 4 + 1);
    if seed == CORPUS.len() * 4 {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut text = CORPUS[seed / 4].clone();
    // Few changes at a time, so that most texts still parse.
    for _ in 0..orders.below(4) {
        change(&mut text, &mut orders);
    }
    text
}

fn change(text: &mut String, orders: &mut Orders<'_>) {
    let order = orders.below(6);
    let from = place(text, orders);
    match order {
        0 => text.insert_str(from, orders.pick(&TRAPS)),
        1 => {
            let to = boundary(text, from + orders.below(40));
            text.replace_range(from..to, "");
        }
        2 => {
            let to = boundary(text, from + orders.below(80));
            let part = text[from..to].to_owned();
            let at = place(text, orders);
            text.insert_str(at, &part);
        }
        3 => {
            let other = &CORPUS[orders.below(CORPUS.len())];
            let lines: Vec<&str> = other.lines().collect();
            let line = orders.pick(&lines);
            let start = text[..from].rfind('\n').map_or(0, |newline| newline + 1);
            text.insert_str(start, &format!("{line}\n"));
        }
        4 => {
            let start = text[..from].rfind('\n').map_or(0, |newline| newline + 1);
            match orders.below(3) {
                0 => text.insert_str(start, "  "),
                1 if text[start..].starts_with("  ") => text.replace_range(start..start + 2, ""),
                _ => text.insert(start, '\t'),
            }
        }
        _ => {
            let character = char::from_u32(u32::try_from(orders.below(0x3000)).unwrap_or(0));
            text.insert(from, character.unwrap_or(' '));
        }
    }
}

fn place(text: &str, orders: &mut Orders<'_>) -> usize {
    let at = orders.below(text.len() + 1);
    boundary(text, at)
}

fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
