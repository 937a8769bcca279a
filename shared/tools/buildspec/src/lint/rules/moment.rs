//! A call at the moment it runs, as rules see it.

use std::ops::Range;

use super::{Command, Spec};
use crate::lint::shell::{Call, Guard, Step};
use crate::lint::value::Variables;
use crate::model::PhaseName;

/// A call at the moment it runs.
pub(super) struct Moment<'a> {
    pub(super) spec: &'a Spec<'a>,
    pub(super) command: &'a Command<'a>,
    pub(super) step: &'a Step,
    pub(super) call: &'a Call,
    /// The phase in which it runs.
    pub(super) phase: PhaseName,
    /// What is known about the build at that moment.
    pub(super) guard: Guard,
    pub(super) variables: &'a Variables,
}

impl Moment<'_> {
    /// The place of a part of the command in the file.
    pub(super) fn place(&self, range: &Range<usize>) -> Range<usize> {
        self.command.alignment.range(range)
    }

    /// The place of the call in the file.
    pub(super) fn here(&self) -> Range<usize> {
        self.place(&self.step.range)
    }
}
