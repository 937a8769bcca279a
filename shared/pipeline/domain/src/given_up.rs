//! Decides what follows when an intent was tried again and again and never succeeded.

use crate::Timestamp;
use crate::image::NotTagged;
use crate::intent::{Intent, StageKey};
use crate::names::RunId;
use crate::run::{self, NoIndex, NotRetried, NotStarted};
use crate::stage;

/// What follows from giving up an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenUp {
    /// A fact for a run.
    Run(RunId, run::Fact),
    /// A fact for a stage.
    Stage(StageKey, stage::Fact),
    /// Nothing waits for it: it is just no longer owed.
    Nothing,
}

/// What follows from giving up an intent after `tries` since `since`; none for an intent that is never given
/// up: GitHub got its answer, or nothing else would find the work again.
#[must_use]
pub fn of(intent: &Intent, tries: u32, since: Timestamp) -> Option<GivenUp> {
    match intent {
        Intent::BuildDue(of) => {
            let why = NotStarted::GivenUp { tries, since };
            let fact = run::Fact::BuildRefused(of.attempt.clone(), why);
            Some(GivenUp::Run(of.run.clone(), fact))
        }
        Intent::IndexDue(of) => {
            let why = NotTagged::GivenUp { tries, since };
            let fact = run::Fact::IndexRefused(of.attempt.clone(), NoIndex::Tag { why });
            Some(GivenUp::Run(of.run.clone(), fact))
        }
        Intent::BuildRetryDue {
            run,
            component,
            after,
        } => {
            let fact = run::Fact::RetryRefused {
                component: component.clone(),
                after: *after,
                why: NotRetried::GivenUp { tries, since },
            };
            Some(GivenUp::Run(run.clone(), fact))
        }
        Intent::PromotionDue { stage, promotion } => {
            let fact = stage::Fact::GivenUp {
                promotion: *promotion,
                tries,
                since,
            };
            Some(GivenUp::Stage(stage.clone(), fact))
        }
        // A build to stop has reached its time limit long ago.
        Intent::BuildStatusDue { .. }
        | Intent::StageStatusDue { .. }
        | Intent::StatusesDue { .. }
        | Intent::BuildStopDue { .. } => Some(GivenUp::Nothing),
        Intent::PushAccepted(_)
        | Intent::ImageDue { .. }
        | Intent::BuildSuperseded { .. }
        | Intent::ImageRecorded { .. }
        | Intent::ImageReady { .. }
        | Intent::DeployDue { .. }
        | Intent::BuildWatchDue(_)
        | Intent::PromotionWatchDue { .. } => None,
    }
}

/// Whether something waits for the intent. If so, it is not given up while a person must fix something first.
#[must_use]
pub fn is_waited_for(intent: &Intent) -> bool {
    match intent {
        Intent::BuildStopDue { .. }
        | Intent::BuildStatusDue { .. }
        | Intent::StageStatusDue { .. }
        | Intent::StatusesDue { .. } => false,
        Intent::PushAccepted(_)
        | Intent::BuildDue(_)
        | Intent::ImageDue { .. }
        | Intent::IndexDue(_)
        | Intent::BuildRetryDue { .. }
        | Intent::BuildSuperseded { .. }
        | Intent::ImageRecorded { .. }
        | Intent::ImageReady { .. }
        | Intent::PromotionDue { .. }
        | Intent::DeployDue { .. }
        | Intent::BuildWatchDue(_)
        | Intent::PromotionWatchDue { .. } => true,
    }
}
