//! Makes text safe for a terminal: colors pass; characters and sequences that move the cursor, hide
//! text or change its direction do not.

use std::fmt::Write as _;
use std::io;

/// The longest color sequence that passes.
const LONGEST: usize = 32;

/// A text as a terminal may show it: lines and colors stay, other control characters and invisible
/// ones are escaped, as `\u{202e}`.
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some((parameters, after)) = sequence(rest) {
            push_color(&mut shown, parameters);
            rest = after;
            continue;
        }
        rest = &rest[character.len_utf8()..];
        match character {
            '\n' | '\t' => shown.push(character),
            '\r' if rest.starts_with('\n') => shown.push(character),
            _ => push(&mut shown, character),
        }
    }
    shown
}

/// A text from others, such as a file's name, as a part of one line: line breaks and colors are
/// escaped too.
pub fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => line.push(character),
            _ => push(&mut line, character),
        }
    }
    line
}

/// The same JSON with such characters as escapes of JSON, as `\u202e`.
pub(crate) fn json(text: &str) -> String {
    let mut json = String::with_capacity(text.len());
    for character in text.chars() {
        // Outside of strings, JSON has no other control characters than line breaks.
        if character == '\n' || !is_deceiving(character) {
            json.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(json, "\\u{unit:04x}");
        }
    }
    json
}

fn push(shown: &mut String, character: char) {
    match is_deceiving(character) {
        true => shown.extend(character.escape_unicode()),
        false => shown.push(character),
    }
}

/// The parameters of the color sequence that a text begins with, and the text behind it.
fn sequence(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix("\u{1b}[")?;
    let is_color = |byte: u8| byte.is_ascii_digit() || matches!(byte, b';' | b':');
    let mut beginning = inner.bytes().take(LONGEST + 1);
    let (parameters, after) = inner.split_at(beginning.position(|byte| !is_color(byte))?);
    Some((parameters, after.strip_prefix('m')?))
}

/// Adds a color sequence without the parameter that hides text.
fn push_color(shown: &mut String, parameters: &str) {
    const HIDDEN: &str = "8";
    let mut kept = Vec::new();
    let mut parts = parameters.split(';');
    while let Some(part) = parts.next() {
        if number(part) == HIDDEN {
            continue;
        }
        let mut group = vec![part];
        // In `38;5;8` and `48;2;8;8;8`, the numbers behind the first belong to one color.
        if matches!(number(part), "38" | "48" | "58") && !part.contains(':') {
            let Some(mode) = parts.next() else { break };
            let more = match number(mode) {
                "5" => 1,
                "2" => 3,
                _ => break,
            };
            group.push(mode);
            group.extend(parts.by_ref().take(more));
            if group.len() < 2 + more {
                break;
            }
        }
        kept.extend(group);
    }
    if !kept.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(shown, "\u{1b}[{}m", kept.join(";"));
    }
}

/// The first number of a parameter, without leading zeros.
fn number(part: &str) -> &str {
    let first = part.split(':').next().unwrap_or_default();
    first.trim_start_matches('0')
}

/// Characters that move the cursor, change the direction of text, or cannot be seen.
fn is_deceiving(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// A writer of whole lines for a terminal.
pub(crate) struct Lines<W>(pub(crate) W);

impl<W: io::Write> io::Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.0.write_all(shown(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A filter for the output of builds: control sequences other than colors are removed, invisible
/// characters are escaped. It remembers a sequence split between two parts.
#[derive(Debug, Default)]
pub struct Harmless {
    state: State,
    /// After a carriage return.
    returned: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and `[`, with the characters that followed.
    Control(String),
    /// In a title or link: until BEL, or ESC which begins the end.
    Operating,
}

impl Harmless {
    /// The part of the text that may be shown.
    pub fn pass(&mut self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        for character in text.chars() {
            self.step(character, &mut shown);
        }
        shown
    }

    fn step(&mut self, character: char, shown: &mut String) {
        // A line is not overwritten: the text that would replace it becomes the next line.
        if std::mem::take(&mut self.returned) && character != '\r' {
            shown.push(if character == '\n' { '\r' } else { '\n' });
        }
        self.state = match (std::mem::take(&mut self.state), character) {
            (_, '\u{1b}') => State::Escape,
            (State::Text, '\n' | '\t') => {
                shown.push(character);
                State::Text
            }
            (State::Text, '\r') => {
                self.returned = true;
                State::Text
            }
            (State::Text, _) => {
                if !character.is_control() {
                    push(shown, character);
                }
                State::Text
            }
            (State::Escape, '[') => State::Control(String::new()),
            (State::Escape, ']' | 'P' | '_' | '^' | 'X') => State::Operating,
            (State::Escape, _) => State::Text,
            (State::Control(parameters), 'm') => {
                push_color(shown, &parameters);
                State::Text
            }
            (State::Control(mut parameters), '0'..='9' | ';' | ':')
                if parameters.len() < LONGEST =>
            {
                parameters.push(character);
                State::Control(parameters)
            }
            // Other parameters belong to sequences that do not pass; a letter ends them.
            (State::Control(parameters), ' '..='?') => State::Control(parameters),
            (State::Control(_), _) => State::Text,
            (State::Operating, '\n') => {
                shown.push('\n');
                State::Text
            }
            (State::Operating, '\u{7}') => State::Text,
            (State::Operating, _) => State::Operating,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_pass_and_nothing_else_does() {
        let check = |parts: &[&str], expected: &str| {
            let mut filter = Harmless::default();
            let passed: String = parts.iter().map(|part| filter.pass(part)).collect();
            assert_eq!(passed, expected);
            assert_eq!(shown(&passed), passed, "a second filter changes nothing");
        };
        check(&["plain\n\ttext 표현\r\n"], "plain\n\ttext 표현\r\n");
        check(&["\u{1b}[1;31mred\u{1b}[0m"], "\u{1b}[1;31mred\u{1b}[0m");
        check(&["\u{1b}[3", "1mred\u{1b}", "[m"], "\u{1b}[31mred\u{1b}[m");
        check(&["a\u{1b}[2Jb\u{1b}[10;10Hc\u{1b}[?25ld"], "abcd");
        check(
            &["a\u{1b}]0;title\u{7}b\u{1b}]8;;https://x\u{1b}\\c"],
            "abc",
        );
        check(&["a\u{8}\u{0}b\u{9b}31m"], "ab31m");
        check(&["a\u{1b}cb"], "ab");
        check(&["a\u{1b}]0;cut\nb"], "a\nb");
    }

    #[test]
    fn s16_nothing_is_hidden_turned_or_overwritten() {
        let check = |parts: &[&str], expected: &str| {
            let mut filter = Harmless::default();
            let passed: String = parts.iter().map(|part| filter.pass(part)).collect();
            assert_eq!(passed, expected);
        };
        check(&["a\u{202e}b\u{200b}c"], "a\\u{202e}b\\u{200b}c");
        check(&["failed\rpassed\n"], "failed\npassed\n");
        check(
            &["failed\r", "passed\r\r", "\nend"],
            "failed\npassed\r\nend",
        );
        check(&["\u{1b}[8mhidden\u{1b}[0m"], "hidden\u{1b}[0m");
        check(&["\u{1b}[1;08;31ma"], "\u{1b}[1;31ma");
        check(&["\u{1b}[8:0ma"], "a");
        check(&["\u{1b}[38;5;8ma"], "\u{1b}[38;5;8ma");
        check(&["\u{1b}[48;2;8;8;8;8ma"], "\u{1b}[48;2;8;8;8ma");
        check(&["\u{1b}[38;5ma\u{1b}[38;8mb\u{1b}[1;38m"], "ab\u{1b}[1m");
        check(&["\u{1b}[38:5:8ma"], "\u{1b}[38:5:8ma");
    }

    #[test]
    fn s15_what_a_terminal_would_obey_is_escaped() {
        let check = |text: &str, as_text: &str, as_line: &str| {
            assert_eq!(shown(text), as_text);
            assert_eq!(line(text), as_line);
        };
        check("표현 é 👍🏽", "표현 é 👍🏽", "표현 é 👍🏽");
        check("a\tb\r\nc", "a\tb\r\nc", "a\tb\\u{d}\\u{a}c");
        check(
            "d\u{1b}[2J\u{202e}\u{9b}",
            "d\\u{1b}[2J\\u{202e}\\u{9b}",
            "d\\u{1b}[2J\\u{202e}\\u{9b}",
        );
        check(
            "\u{1b}[31mred\u{1b}[m",
            "\u{1b}[31mred\u{1b}[m",
            "\\u{1b}[31mred\\u{1b}[m",
        );
        check(
            "\u{1b}[8mhid\rden\u{1b}",
            "hid\\u{d}den\\u{1b}",
            "\\u{1b}[8mhid\\u{d}den\\u{1b}",
        );
        assert_eq!(
            json("[\n \"\u{202e}\u{9b}é\u{e0041}\"]"),
            "[\n \"\\u202e\\u009bé\\udb40\\udc41\"]"
        );
    }
}
