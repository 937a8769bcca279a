//! What a rule sees of a call: the call at the moment it is made.

use std::ops::Range;

use super::{Command, Spec};
use crate::lint::shell::{Call, Guard, Step};
use crate::lint::value::Variables;
use crate::model::PhaseName;

/// A call at the moment it is made.
pub(super) struct Moment<'a> {
    pub(super) spec: &'a Spec<'a>,
    pub(super) command: &'a Command<'a>,
    pub(super) step: &'a Step,
    pub(super) call: &'a Call,
    /// The phase in which it runs.
    pub(super) phase: PhaseName,
    /// What is known of the build there.
    pub(super) guard: Guard,
    pub(super) variables: &'a Variables,
}

impl Moment<'_> {
    /// Where a part of the command stands in the file.
    pub(super) fn place(&self, range: &Range<usize>) -> Range<usize> {
        self.command.alignment.range(range)
    }

    /// Where the call stands in the file.
    pub(super) fn here(&self) -> Range<usize> {
        self.place(&self.step.range)
    }
}
