//! A stage as it is kept: what it holds twice is written once, for a store that counts kilobytes.

use serde::{Deserialize, Serialize};

use super::{Candidate, Hold, Lease, Pointer, Promotion, Stage};
use crate::intent::StageKey;
use crate::ledger::Head;
use crate::names::Digest;

/// A stage as it is written.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    key: StageKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pointer: Option<Pointer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold: Option<Hold>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offered: Option<Offered>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    drifted: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left: Vec<Digest>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<Promotion>,
    ledger: Head,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease: Option<Lease>,
}

/// The newest image that arrived.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Offered {
    /// That of a promotion which is live or waits.
    By { promotion: u64 },
    /// Another, in full.
    Itself(Box<Candidate>),
}

impl From<Stage> for Kept {
    fn from(stage: Stage) -> Self {
        let offered = stage.offered.as_ref().map(|offered| {
            let here = candidates(stage.pointer.as_ref(), &stage.waiting);
            let mut same = here.filter(|(_, candidate)| *candidate == offered);
            match same.next() {
                Some((promotion, _)) => Offered::By { promotion },
                None => Offered::Itself(Box::new(offered.clone())),
            }
        });
        Self {
            key: stage.key,
            pointer: stage.pointer,
            hold: stage.hold,
            offered,
            drifted: stage.drifted,
            left: stage.left,
            waiting: stage.waiting,
            ledger: stage.ledger,
            lease: stage.lease,
        }
    }
}

impl TryFrom<Kept> for Stage {
    type Error = String;

    fn try_from(kept: Kept) -> Result<Self, String> {
        let offered = match kept.offered {
            None => None,
            Some(Offered::Itself(candidate)) => Some(*candidate),
            Some(Offered::By { promotion }) => {
                let mut here = candidates(kept.pointer.as_ref(), &kept.waiting);
                let found = here.find(|(number, _)| *number == promotion);
                let (_, found) = found.ok_or_else(|| {
                    format!("what is offered is of promotion #{promotion}, which is not here")
                })?;
                Some(found.clone())
            }
        };
        Ok(Self {
            key: kept.key,
            pointer: kept.pointer,
            hold: kept.hold,
            offered,
            drifted: kept.drifted,
            left: kept.left,
            waiting: kept.waiting,
            ledger: kept.ledger,
            lease: kept.lease,
        })
    }
}

fn candidates<'a>(
    pointer: Option<&'a Pointer>,
    waiting: &'a [Promotion],
) -> impl Iterator<Item = (u64, &'a Candidate)> {
    let live = pointer.map(|pointer| (pointer.promotion, &pointer.candidate));
    let waiting = waiting.iter();
    let waiting = waiting.map(|promotion| (promotion.number, &promotion.candidate));
    live.into_iter().chain(waiting)
}
