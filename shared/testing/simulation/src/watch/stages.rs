//! Checks each change of a stage.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use towline_domain::definition::Origin;
use towline_domain::filter;
use towline_domain::intent::StageKey;
use towline_domain::ledger::{Head, Row, What};
use towline_domain::names::{CommitSha, GitRef};
use towline_domain::person::Actor;
use towline_domain::run::AttemptState;
use towline_domain::stage::{Promotion, Stage};
use towline_ports::Key;

use super::Known;
use crate::shop;

/// How long an invocation lives, and a step more.
const MOST_LIFE: Duration = Duration::from_secs(31);

impl Known {
    pub(super) fn stage(&mut self, after: Arc<Stage>) {
        let key = after.key.clone();
        let before = self.stages.remove(&key);
        let before = before.unwrap_or_else(|| Arc::new(Stage::new(key.clone())));
        let rows = self.named(&before, &after);
        self.history(&before, &after, &rows);
        self.rows.entry(key.clone()).or_default().extend(rows);
        let acting = after.waiting.iter().filter(|known| known.acting).count();
        self.must(acting <= 1, || {
            format!("I9: {acting} promotions act in {key:?}")
        });
        for promotion in after.waiting.iter().filter(|known| known.acting) {
            let began = before
                .promotion(promotion.number)
                .is_none_or(|known| !known.acting);
            if began {
                self.begins(&after, promotion);
            }
        }
        if before.lease.is_none() && after.lease.is_some() {
            self.tags_begin(&after);
        }
        if before.pointer != after.pointer {
            self.moves(&before, &after);
        }
        self.stages.insert(key, after);
    }

    /// Checks a promotion whose tags are about to be set: while this invocation lived, an admitted ref
    /// contained its commit.
    fn tags_begin(&mut self, stage: &Stage) {
        let mut waiting = stage.waiting.iter();
        let Some(promotion) = waiting.find(|known| known.acting) else {
            return;
        };
        if !promotion.needs_its_commit() {
            return;
        }
        let repository = stage.key.repository;
        let definitions = self.definitions.get(&repository);
        let admits = |git_ref: &GitRef| {
            let mut definitions = definitions.into_iter().flatten();
            definitions.any(|known| filter::admits(&known.source, git_ref, "main", "").is_ok())
        };
        let commit = &promotion.candidate.commit;
        let since = self.now - MOST_LIFE;
        let holds = (self.contained).was_since((repository, commit), admits, since);
        let (number, short) = (promotion.number, commit.short().to_owned());
        self.must(holds, || {
            format!("F26: #{number} begins although no admitted ref contains {short}")
        });
    }

    fn history(&mut self, before: &Stage, after: &Stage, rows: &[Row]) {
        let mut head = before.ledger.clone();
        for row in rows {
            if let What::Drifted { tag, digest } = &row.what {
                // A promotion that was denied some of its tags, and then ended, left the others.
                let mut waiting = before.waiting.iter();
                let waits = waiting.any(|known| known.candidate.digest == *digest);
                let is_left = !waits && self.put.contains(&(tag.clone(), digest.clone()));
                let meddled = self.meddled.contains(tag);
                self.must(meddled || is_left, || {
                    format!("F33: nobody outside moved {tag} to {digest}")
                });
            }
            self.approves(before, row);
            self.must(
                row.sequence == head.sequence + 1 && row.previous == head.hash,
                || format!("I3: row {} does not follow {head:?}", row.sequence),
            );
            head = Head {
                sequence: row.sequence,
                hash: row.hash(),
            };
        }
        self.must(head == after.ledger, || {
            format!("I3: the ledger of {:?} stands elsewhere", after.key)
        });
    }

    /// Checks an approval: where the gate says so, nobody approves what they wrote since the live image.
    fn approves(&mut self, before: &Stage, row: &Row) {
        let What::Approved {
            promotion, commit, ..
        } = &row.what
        else {
            return;
        };
        let (Some(promotion), Actor::Person(login)) = (before.promotion(*promotion), &row.by)
        else {
            return;
        };
        let rule = self
            .rule(&before.key)
            .and_then(|rule| rule.approval.as_ref());
        if rule.is_none_or(|rule| rule.allow_self) {
            return;
        }
        let live = before.pointer.as_ref().map(|live| &live.candidate.commit);
        // A push whose webhook is late or lost was not known when the image was offered (S26).
        let order = promotion.candidate.order;
        let runs = self.runs.values().filter(|run| run.order <= order);
        let is_known = |wrote: &CommitSha| runs.clone().any(|run| run.key.commit == *wrote);
        let wrote = self.contained.wrote(login, (live, commit), is_known);
        self.must(!wrote, || {
            let short = commit.short();
            format!("A23: {login} approves {short}, and wrote a part of it since what is live")
        });
    }

    /// Whether the ledger says that a person promotes it without approval, and from any ref.
    fn is_overridden(&self, stage: &Stage, number: u64) -> bool {
        let mut rows = self.rows.get(&stage.key).into_iter().flatten();
        rows.any(
            |row| matches!(row.what, What::Overridden { promotion, .. } if promotion == number),
        )
    }

    /// Checks a promotion that starts: it must not have to wait any more.
    fn begins(&mut self, stage: &Stage, promotion: &Promotion) {
        if promotion.rollback {
            return;
        }
        let number = promotion.number;
        self.must(stage.hold.is_none(), || {
            format!("I8: #{number} enters a stage that is held")
        });
        let newer = stage
            .pointer
            .as_ref()
            .is_none_or(|live| live.candidate.order < promotion.candidate.order);
        self.must(newer, || {
            format!("I8: #{number} is older than what is live")
        });
        let rule = self.rule(&stage.key).and_then(|rule| rule.approval.clone());
        let Some(rule) = rule.filter(|_| !self.is_overridden(stage, number)) else {
            return;
        };
        let rows = self.rows.get(&stage.key).into_iter().flatten();
        let said_yes: BTreeSet<String> = rows
            .filter_map(|row| match (&row.what, &row.by) {
                (
                    What::Approved {
                        promotion,
                        digest,
                        commit,
                        ..
                    },
                    Actor::Person(login),
                ) if *promotion == number => {
                    let exact = *digest == stage.promotion(number)?.candidate.digest
                        && *commit == stage.promotion(number)?.candidate.commit;
                    let person = shop::person(login);
                    let may = person.is_in(&rule.groups)
                        && (rule.allow_self
                            || !person.is_one_of(&stage.promotion(number)?.candidate.authors));
                    (exact && may).then(|| login.to_lowercase())
                }
                _ => None,
            })
            .collect();
        self.must(said_yes.len() >= rule.min as usize, || {
            format!("I12: #{number} acts with the yes of {said_yes:?} alone")
        });
    }

    /// Checks a move of the pointer: the image must have passed all stages before.
    fn moves(&mut self, before: &Stage, after: &Stage) {
        let key = after.key.clone();
        let Some(live) = after.pointer.clone() else {
            self.violations
                .push(format!("I8: {key:?} has lost its pointer"));
            return;
        };
        let version = before.pointer.as_ref().map_or(0, |known| known.version);
        self.must(live.version == version + 1, || {
            format!(
                "I8: {key:?} went from version {version} to {}",
                live.version
            )
        });
        let acted = before
            .promotion(live.promotion)
            .is_some_and(|known| known.acting && known.candidate == live.candidate);
        self.must(acted, || format!("I8: nobody was moving {key:?} there"));
        let digest = live.candidate.digest.clone();
        if live.rollback {
            let lived = self.lived.contains(&(key.clone(), digest.clone()));
            self.must(lived, || format!("I8: {digest} never was live in {key:?}"));
        } else {
            let newer = before
                .pointer
                .as_ref()
                .is_none_or(|known| known.candidate.order < live.candidate.order);
            self.must(newer, || format!("I8: {key:?} went back on its own"));
        }
        let built = self.runs.get(&live.candidate.run).is_some_and(|run| {
            let component = run.components.get(&key.component);
            run.key.commit == live.candidate.commit
                && component.is_some_and(|component| {
                    component.attempts.iter().any(|attempt| {
                        attempt.state == AttemptState::Succeeded
                            && attempt.image.as_ref() == Some(&digest)
                    })
                })
        });
        self.must(built, || format!("I7: no build of ours made {digest}"));
        let git_ref = live.candidate.git_ref.clone();
        let mut definitions = self.definitions.get(&key.repository).into_iter().flatten();
        let admitted =
            definitions.any(|known| filter::admits(&known.source, &git_ref, "main", "").is_ok());
        let overridden = self.is_overridden(after, live.promotion);
        self.must(admitted || overridden || live.rollback, || {
            format!(
                "I7: {digest} is of {}, which no definition admits",
                git_ref.name()
            )
        });
        let from = self.rule(&key).map(|rule| rule.from.clone());
        if let Some(Origin::Stage(stage)) = from {
            let origin = StageKey {
                stage,
                ..key.clone()
            };
            let lived = self.lived.contains(&(origin, digest.clone()));
            self.must(lived, || {
                format!("I7: {digest} skipped a stage before {key:?}")
            });
        }
        self.put.retain(|(_, on)| *on != digest);
        self.lived.insert((key, digest));
    }

    /// The rows that a stage names now, oldest first: each must exist already.
    fn named(&mut self, before: &Stage, after: &Stage) -> Vec<Row> {
        let of = format!(
            "LEDGER#{}#{}/{}",
            after.key.repository, after.key.component, after.key.stage
        );
        let mut head = after.ledger.clone();
        let mut rows = Vec::new();
        while head.sequence > before.ledger.sequence {
            let sort = format!("{:012}#{}", head.sequence, &head.hash[..16]);
            let known = self.written.get(&Key::new(&of, &sort));
            let Some(row) = known.map(|row| Row::clone(row)) else {
                self.violations
                    .push(format!("I3: {of} names row {sort}, which is not there"));
                break;
            };
            head = Head {
                sequence: row.sequence - 1,
                hash: row.previous.clone(),
            };
            rows.push(row);
        }
        rows.reverse();
        rows
    }
}
