//! Folds the rows of a stage's ledger: together they give the stage (I3).

use std::collections::BTreeSet;

use towline_domain::ledger::{Head, Row, What};
use towline_domain::stage::Stage;

/// Whether the rows of a ledger, from first to last, give the stage.
///
/// # Errors
/// With what they say otherwise.
pub fn folds(rows: &[Row], stage: &Stage) -> Result<(), String> {
    let mut head = Head::default();
    let (mut version, mut live, mut held) = (0, None, None);
    let mut waiting = BTreeSet::new();
    for row in rows {
        if (row.sequence, &row.previous) != (head.sequence + 1, &head.hash) {
            return Err(format!(
                "row {} does not follow the one before",
                row.sequence
            ));
        }
        head = Head {
            sequence: row.sequence,
            hash: row.hash(),
        };
        match &row.what {
            What::Requested { promotion, .. } | What::Overridden { promotion, .. } => {
                waiting.insert(*promotion);
            }
            What::Ended { promotion, .. } => drop(waiting.remove(promotion)),
            What::Moved {
                promotion,
                to,
                version: now,
                ..
            } => {
                waiting.remove(promotion);
                (version, live) = (*now, Some(to.clone()));
            }
            What::Held { reason } => held = Some(reason.clone()),
            What::Resumed => held = None,
            What::Approved { .. } | What::Denied { .. } | What::Drifted { .. } => {}
        }
    }
    let pointer = stage.pointer.as_ref();
    let numbers: BTreeSet<u64> = stage.waiting.iter().map(|known| known.number).collect();
    let same = head == stage.ledger
        && version == pointer.map_or(0, |pointer| pointer.version)
        && live.as_ref() == pointer.map(|pointer| &pointer.candidate.digest)
        && held.as_ref() == stage.hold.as_ref().map(|hold| &hold.reason)
        && waiting == numbers;
    if same {
        Ok(())
    } else {
        Err(format!(
            "the rows give version {version} of {live:?}, held {held:?}, waiting {waiting:?}"
        ))
    }
}
