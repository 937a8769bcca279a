//! Parses a command as the shell would: its calls and assignments in the order they run.
//!
//! tree-sitter reads the text, so comments, quotes, heredocs and functions mean what they mean to a
//! shell. Unparsable parts are left out, and cause no findings.

mod call;
mod guard;
mod reader;
mod walk;
mod word;

use std::ops::Range;

use tree_sitter::Node;

pub(crate) use call::Call;
pub(crate) use guard::Guard;
pub(crate) use reader::Reader;
pub(crate) use word::{Part, Word};

/// How deep compound commands are followed.
const DEEPEST: usize = 100;

/// One step of a command.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Its action.
    pub(crate) act: Act,
    /// Its place in the command's text.
    pub(crate) range: Range<usize>,
    /// The condition under which it runs, as far as it concerns the success of the build.
    pub(crate) guard: Guard,
    /// Whether it always runs, in the command's own shell, so that its variables last.
    pub(crate) is_certain: bool,
    /// The function whose body contains it; it runs where that is called.
    pub(crate) function: Option<String>,
}

/// The action of a step.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Runs a program.
    Call(Call),
    /// Sets a variable.
    Assign { name: String, value: Word },
    /// Ends the build (`exit`) unless the build is succeeding here.
    StopUnlessSucceeding,
}

fn named_children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).collect()
}
