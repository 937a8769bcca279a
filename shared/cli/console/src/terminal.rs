//! Makes a build's output safe for a terminal: only colours pass.

/// Longest colour sequence that passes.
const LONGEST: usize = 32;

/// A filter that remembers a sequence split between two parts.
#[derive(Debug, Default)]
pub struct Harmless {
    state: State,
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
        self.state = match (std::mem::take(&mut self.state), character) {
            (_, '\u{1b}') => State::Escape,
            (State::Text, '\n' | '\t' | '\r') => {
                shown.push(character);
                State::Text
            }
            (State::Text, _) => {
                if !character.is_control() {
                    shown.push(character);
                }
                State::Text
            }
            (State::Escape, '[') => State::Control(String::new()),
            (State::Escape, ']' | 'P' | '_' | '^' | 'X') => State::Operating,
            (State::Escape, _) => State::Text,
            (State::Control(parameters), 'm') => {
                shown.push_str("\u{1b}[");
                shown.push_str(&parameters);
                shown.push('m');
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
    fn colours_pass_and_nothing_else_does() {
        let check = |parts: &[&str], expected: &str| {
            let mut filter = Harmless::default();
            let shown: String = parts.iter().map(|part| filter.pass(part)).collect();
            assert_eq!(shown, expected);
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
}
