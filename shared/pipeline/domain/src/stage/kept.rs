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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use serde_json::{Value, json};

    use super::*;

    fn candidate(order: u64) -> Value {
        json!({
            "authors": ["dana"], "build_number": order, "commit": "5".repeat(40),
            "digest": format!("sha256:{}", order.to_string().repeat(64)),
            "git_ref": "refs/heads/main", "order": order, "repository": "acme/backend",
            "run": "367bd373e7d85f0a",
        })
    }

    /// As it was written when everything stood there in full.
    fn in_full(offered: &Value) -> Value {
        json!({
            "hold": null, "lease": null, "offered": offered,
            "key": {"component": "backend", "repository": 7, "stage": "staging"},
            "ledger": {"hash": "0".repeat(64), "sequence": 3},
            "pointer": {
                "by": "system", "candidate": candidate(1), "promotion": 1, "reason": null,
                "rollback": false, "since": "2026-03-02T09:02:00Z", "version": 1,
            },
            "waiting": [{
                "acting": true, "approvals": [], "at": "2026-03-02T09:04:00Z", "by": "system",
                "candidate": candidate(2), "expires_at": null, "number": 5, "reason": null,
                "rollback": false,
            }],
        })
    }

    #[test]
    fn f36_a_stage_written_in_full_is_read_and_written_once() {
        for (order, expected) in [
            (1, json!({"promotion": 1})),
            (2, json!({"promotion": 5})),
            (3, candidate(3)),
        ] {
            let stage: Stage = serde_json::from_value(in_full(&candidate(order))).unwrap();
            assert_eq!(stage.offered.as_ref().unwrap().order, order);
            let kept = serde_json::to_value(&stage).unwrap();
            assert_eq!(kept["offered"], expected);
            assert!(!kept.to_string().contains("null"));
            assert_eq!(serde_json::from_value::<Stage>(kept).unwrap(), stage);
        }
    }

    #[test]
    fn what_is_offered_must_be_there() {
        let stage = in_full(&json!({"promotion": 9}));
        let error = serde_json::from_value::<Stage>(stage).unwrap_err();
        assert!(error.to_string().contains("#9"), "{error}");
    }
}
