//! What is owed, or on its way, in the small scope.

use towline_domain::intent::Intent;

/// What is owed until it is done, or on its way: about a push, its run, or a promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Note {
    PushAccepted(u8),
    BuildDue(u8),
    Superseded {
        old: u8,
        new: u8,
    },
    BuildStopDue(u8),
    ImageDue(u8),
    PromotionDue(u8),
    /// `CodeBuild`'s event that a build has ended.
    BuildEnded(u8),
    /// The registry's event that an image was pushed.
    ImagePushed(u8),
    /// A build is looked up from time to time.
    Watch(u8),
}

impl Note {
    /// The note for an intent, which concerns the run of a push or its stage.
    pub(super) fn of(intent: &Intent, of: u8) -> Option<Self> {
        match intent {
            Intent::BuildDue(_) => Some(Self::BuildDue(of)),
            Intent::BuildSuperseded { .. } => Some(Self::Superseded {
                old: 1 - of,
                new: of,
            }),
            Intent::BuildStopDue { .. } => Some(Self::BuildStopDue(of)),
            Intent::ImageDue { .. } => Some(Self::ImageDue(of)),
            Intent::BuildWatchDue(_) => Some(Self::Watch(of)),
            Intent::PromotionDue { promotion, .. } => Some(Self::PromotionDue(small(*promotion))),
            // What is only shown, or cannot happen here.
            Intent::PushAccepted(_)
            | Intent::IndexDue(_)
            | Intent::BuildRetryDue { .. }
            | Intent::ImageRecorded { .. }
            | Intent::ImageReady { .. }
            | Intent::DeployDue { .. }
            | Intent::BuildStatusDue { .. }
            | Intent::StageStatusDue { .. }
            | Intent::StatusesDue { .. }
            | Intent::PromotionWatchDue { .. } => None,
        }
    }

    /// Only the sweep sees it.
    pub(super) fn is_watch(self) -> bool {
        matches!(self, Self::Watch(_))
    }
}

pub(super) fn small(number: u64) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

pub(super) fn put(notes: &mut Vec<Note>, note: Note) {
    if let Err(place) = notes.binary_search(&note) {
        notes.insert(place, note);
    }
}

pub(super) fn take(notes: &mut Vec<Note>, note: Note) {
    if let Ok(place) = notes.binary_search(&note) {
        notes.remove(place);
    }
}
