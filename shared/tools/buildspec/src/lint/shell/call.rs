//! The call of a program, with its arguments.

use std::ops::Range;

use super::Word;

/// A program with its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// All words, including wrappers such as `sudo`.
    pub(crate) words: Vec<Word>,
    /// The index of the program among the words.
    pub(crate) start: usize,
    /// The file that its output is redirected to, if any.
    pub(crate) output: Option<Word>,
}

impl Call {
    pub(super) fn new(words: Vec<Word>, output: Option<Word>) -> Self {
        Self {
            start: program(&words),
            words,
            output,
        }
    }

    /// The program without its folder.
    pub(crate) fn name(&self) -> &str {
        let text = self
            .words
            .get(self.start)
            .and_then(Word::text)
            .unwrap_or("");
        text.rsplit('/').next().unwrap_or(text)
    }

    pub(crate) fn arguments(&self) -> &[Word] {
        self.words.get(self.start + 1..).unwrap_or_default()
    }

    /// Its constant arguments that are not options, such as `ecr get-login` in `aws ecr get-login
    /// --region x`.
    pub(crate) fn verbs(&self) -> Vec<&str> {
        self.arguments()
            .iter()
            .filter_map(Word::text)
            .filter(|text| !text.starts_with('-'))
            .collect()
    }

    /// Whether the program is called with this subcommand, ignoring options before and between.
    pub(crate) fn is(&self, name: &str, verbs: &[&str]) -> bool {
        self.name() == name && subsequence(&self.verbs(), verbs)
    }

    /// The value of an option: the word after it, or the part after `=`.
    pub(crate) fn option(&self, names: &[&str]) -> Option<Word> {
        self.options(names).into_iter().next()
    }

    /// All values of an option.
    pub(crate) fn options(&self, names: &[&str]) -> Vec<Word> {
        let mut found = Vec::new();
        let mut words = self.arguments().iter();
        while let Some(word) = words.next() {
            if word.text().is_some_and(|text| names.contains(&text)) {
                found.extend(words.next().cloned());
            } else if let Some(value) = names.iter().find_map(|name| word.behind(name)) {
                found.push(value);
            }
        }
        found
    }

    /// Whether the arguments contain one of these options.
    pub(crate) fn has(&self, names: &[&str]) -> bool {
        self.arguments()
            .iter()
            .filter_map(Word::text)
            .any(|text| names.contains(&text.split('=').next().unwrap_or(text)))
    }

    /// The place of the script in `sh -c '...'`, between its quotes.
    pub(super) fn script(&self) -> Option<Range<usize>> {
        let arguments = self.arguments();
        let at = if self.name() == "eval" {
            0
        } else {
            let flag = |word: &Word| {
                word.text().is_some_and(|text| {
                    text.starts_with('-') && !text.starts_with("--") && text.ends_with('c')
                })
            };
            arguments.iter().position(flag)? + 1
        };
        let word = arguments.get(at)?;
        let is_quoted = word.range.len() > 2;
        let is_constant = word
            .text()
            .is_some_and(|text| text.len() + 2 == word.range.len());
        (is_quoted && is_constant).then(|| word.range.start + 1..word.range.end - 1)
    }
}

fn subsequence(words: &[&str], wanted: &[&str]) -> bool {
    let mut words = words.iter();
    wanted
        .iter()
        .all(|wanted| words.by_ref().any(|word| word == wanted))
}

/// Programs that only run another one, with their options that take a value.
const WRAPPERS: [(&str, &[&str]); 9] = [
    ("sudo", &["-u", "-g", "-h", "-p"]),
    ("env", &["-u", "-C"]),
    ("command", &[]),
    ("exec", &[]),
    ("time", &[]),
    ("nohup", &[]),
    ("nice", &["-n"]),
    ("timeout", &["-s", "-k", "-t", "--signal", "--kill-after"]),
    ("then", &[]),
];

/// The index of the program after its wrappers.
fn program(words: &[Word]) -> usize {
    let mut at = 0;
    while let Some(name) = words.get(at).and_then(Word::text) {
        let name = name.rsplit('/').next().unwrap_or(name);
        let Some((_, with_value)) = WRAPPERS.iter().find(|(wrapper, _)| *wrapper == name) else {
            break;
        };
        at += 1;
        let mut seen_t = false;
        while let Some(option) = words.get(at).and_then(Word::text) {
            if name == "env" && option.contains('=') && !option.starts_with('-') {
                at += 1;
            } else if option.starts_with('-') {
                seen_t |= option == "-t";
                at += if with_value.contains(&option) { 2 } else { 1 };
            } else {
                break;
            }
        }
        if name == "timeout" && !seen_t {
            at += 1;
        }
        if at >= words.len() {
            // The wrapper itself is the program.
            return 0;
        }
    }
    at.min(words.len().saturating_sub(1))
}
