//! Parses commands within limits, because tree-sitter takes time that grows with the square of some texts.

use std::ops::ControlFlow;

use tree_sitter::{ParseOptions, ParseState, Parser, Tree};

/// The longest command to parse, in bytes.
const LONGEST: usize = 16 * 1024;
/// How often the parser may report progress before it is stopped: about once for 60 bytes of a normal script.
const MOST_STEPS: usize = 1_500;
/// The most open brackets: the parser's time for unclosed ones grows with their square.
const MOST_BRACKETS: usize = 50;
/// The most brackets, pipes and redirections of a command, for the same reason.
const MOST_SIGNS: usize = 300;
/// The most of them in all commands together.
const MOST_SIGNS_IN_ALL: usize = 1_000;
/// The most heredocs of a command: for each, the parser searches the rest of the text.
const MOST_HEREDOCS: usize = 64;

/// Parses commands, up to a limit for all of them together.
pub(crate) struct Reader {
    parser: Option<Parser>,
    left: usize,
    signs_left: usize,
}

impl Reader {
    pub(crate) fn new() -> Self {
        let mut parser = Parser::new();
        let language = tree_sitter_bash::LANGUAGE.into();
        Self {
            parser: parser.set_language(&language).is_ok().then_some(parser),
            left: MOST_STEPS,
            signs_left: MOST_SIGNS_IN_ALL,
        }
    }

    /// The tree of a script; none when the script is over a limit.
    pub(super) fn parse(&mut self, text: &str) -> Option<Tree> {
        let is_too_much = text.len() > LONGEST
            || text.matches("<<").count() > MOST_HEREDOCS
            || deepest_bracket(text) > MOST_BRACKETS;
        let is_sign = |byte: &u8| matches!(byte, b'(' | b')' | b'|' | b'<' | b'>');
        let signs = text.bytes().filter(is_sign).count();
        if is_too_much || self.left == 0 || signs > MOST_SIGNS.min(self.signs_left) {
            return None;
        }
        self.signs_left -= signs;
        let parser = self.parser.as_mut()?;
        let left = &mut self.left;
        let mut progress = |_: &ParseState| {
            *left = left.saturating_sub(1);
            if *left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let options = ParseOptions::new().progress_callback(&mut progress);
        let bytes = text.as_bytes();
        let tree = parser.parse_with_options(
            &mut |offset, _| bytes.get(offset..).unwrap_or_default(),
            None,
            Some(options),
        );
        // Otherwise a stopped parse would continue with the next text.
        parser.reset();
        tree
    }
}

/// The greatest number of open brackets, quoted or not.
fn deepest_bracket(text: &str) -> usize {
    let mut open = 0_usize;
    let mut deepest = 0;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}
