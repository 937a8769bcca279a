//! What a command does, as the shell would read it: calls and assignments in the order they run.
//!
//! tree-sitter reads the text, so comments, quotes, heredocs and functions are what they are to a shell.
//! What it cannot read is left out: a command that nobody understands raises no alarm.

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

/// Something a command does.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// What.
    pub(crate) act: Act,
    /// Where it stands in the command's text.
    pub(crate) range: Range<usize>,
    /// What must hold for it to run, as far as it concerns the success of the build.
    pub(crate) guard: Guard,
    /// Whether it may be skipped or run in a shell of its own, so that what it sets need not last.
    pub(crate) is_certain: bool,
    /// The function in whose body it stands; it runs where that is called.
    pub(crate) function: Option<String>,
}

/// What a step does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Runs a program.
    Call(Call),
    /// Sets a variable.
    Assign {
        /// Its name.
        name: String,
        /// Its value.
        value: Word,
    },
    /// Ends the build (`exit`) unless this is reached with the build succeeding.
    StopUnlessSucceeding,
}

fn named_children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).collect()
}
