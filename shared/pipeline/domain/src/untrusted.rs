//! Text that a stranger chose. It can be shown or passed as a value, and nothing else.

use serde::{Deserialize, Serialize};

/// A stranger's text (title, author, message). It can be read in two ways, and neither leads into a
/// command, a template or a key (A10).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Untrusted(String);

impl Untrusted {
    /// The longest stored text in characters; a longer one is cut, with an ellipsis.
    pub const LONGEST: usize = 200;

    /// Keeps the first line of the text, cut to [`Self::LONGEST`] characters.
    #[must_use]
    pub fn first_line(text: &str) -> Self {
        let line = text.lines().next().unwrap_or_default().trim();
        let mut kept: String = line.chars().take(Self::LONGEST).collect();
        if line.chars().nth(Self::LONGEST).is_some() {
            kept.pop();
            kept.push('…');
        }
        Self(kept)
    }

    /// Keeps a whole text, cut to `longest` characters.
    #[must_use]
    pub fn text(text: &str, longest: usize) -> Self {
        Self(text.chars().take(longest).collect())
    }

    /// For people: control and direction-changing characters become `�`.
    #[must_use]
    pub fn display(&self) -> String {
        self.0
            .chars()
            .map(|character| {
                if is_deceiving(character) {
                    '\u{fffd}'
                } else {
                    character
                }
            })
            .collect()
    }

    /// For an environment variable's value: the text without NUL, which no environment can contain.
    #[must_use]
    pub fn env_value(&self) -> String {
        self.0.replace('\0', "")
    }
}

/// The addresses and names in the trailers `Co-authored-by: NAME <ADDRESS>` of a commit's message
/// (GitHub docs, "Creating a commit with multiple authors").
#[must_use]
pub fn co_authors(message: &str) -> Vec<String> {
    const TRAILER: &str = "co-authored-by:";
    let named = message.lines().filter_map(|line| {
        let (trailer, rest) = line.trim_start().split_at_checked(TRAILER.len())?;
        trailer.eq_ignore_ascii_case(TRAILER).then_some(rest)
    });
    let both = named.flat_map(|named| {
        let (name, rest) = named.split_once('<').unwrap_or((named, ""));
        [
            rest.split('>').next().unwrap_or_default().trim(),
            name.trim(),
        ]
    });
    let some = both.filter(|text| !text.is_empty());
    some.map(str::to_owned).collect()
}

/// Characters that move the cursor, or change the direction of text.
fn is_deceiving(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a10_a_strangers_text_is_one_short_harmless_line() {
        let check =
            |text: &str, shown: &str| assert_eq!(Untrusted::first_line(text).display(), shown);
        check("fix cart\n\ncommands: [rm]", "fix cart");
        check(
            "a\u{202e}b\u{1b}[31mc\rd",
            "a\u{fffd}b\u{fffd}[31mc\u{fffd}d",
        );
        check("", "");
        let long = Untrusted::first_line(&"x".repeat(1 << 20)).display();
        assert_eq!(long.chars().count(), Untrusted::LONGEST);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn a23_co_authors_are_those_of_the_trailers() {
        let check = |message: &str, people: &[&str]| assert_eq!(co_authors(message), people);
        check("Fix\n\nThanks to Lee <lee@x>", &[]);
        check(
            "Fix\n\nCo-authored-by: Lee Park <lee@x>\nCO-AUTHORED-BY:kim\n  co-authored-by: <ü@x",
            &["lee@x", "Lee Park", "kim", "ü@x"],
        );
        check("Co-authored-by:\nCo-authored-bü: Lee", &[]);
    }
}
