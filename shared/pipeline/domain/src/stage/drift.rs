//! Puts the tags of a stage back when somebody else has moved them, or holds the stage.

use std::time::Duration;

use super::advance::Step;
use super::request::Asked;
use super::{HoldReason, Meddled, Promotion, Refusal, Request, Why};
use crate::definition::{Drift, Promote};
use crate::image::Candidate;
use crate::ledger::What;
use crate::names::{Digest, Tag};
use crate::person::{Actor, Person};

/// How often the tags of a stage are put back within [`WINDOW`]; after that the stage is held, because
/// two who put the same tag on different images would go on forever.
const MOST_RESTORED: usize = 3;

const WINDOW: Duration = Duration::from_secs(3_600);

impl Step<'_> {
    /// A tag of the stage was found on another image than the live one (F35): recorded, and put right by
    /// [`Step::restore`] or a person.
    pub(super) fn drift(&mut self, tag: &Tag, digest: &Digest) {
        let stage = &self.decision.stage;
        // One that waits for a person may have set some of its tags before it was denied the others.
        let ours = |known: &Promotion| {
            (known.acting || known.obstacle.is_some()) && known.candidate.digest == *digest
        };
        let expected = self.live().is_some_and(|live| live.digest == *digest)
            || stage.waiting.iter().any(ours);
        if expected {
            return;
        }
        let found = Meddled {
            tag: tag.clone(),
            digest: digest.clone(),
        };
        let is_known = stage.meddled.as_ref() == Some(&found) && self.is_being_put_right();
        if let Some(lease) = &mut self.stage().lease
            && !lease.meddled
        {
            lease.meddled = true;
            self.decision.changed = true;
        }
        if is_known {
            return;
        }
        let what = What::Drifted {
            tag: tag.clone(),
            digest: digest.clone(),
        };
        self.row(Actor::System, what);
        let stage = self.stage();
        stage.drifted = true;
        stage.meddled = Some(found);
        let acts = stage.waiting.iter().any(|known| known.acting);
        let can_restore = (acts || self.live().is_some()) && !self.is_held_for_a_tag();
        match self.policy.rule.drift {
            Drift::Restore if can_restore => {}
            Drift::Restore | Drift::Hold => self.hold_for_the_tag(0),
        }
    }

    /// Whether a move of a tag is being put right, or a person is to do that.
    fn is_being_put_right(&self) -> bool {
        let stage = &self.decision.stage;
        stage.drifted || stage.waiting.iter().any(|known| self.puts_back(known))
    }

    /// Whether a promotion in progress puts the tags back on the live image.
    fn puts_back(&self, promotion: &Promotion) -> bool {
        let live = self.live().map(|live| &live.digest);
        promotion.acting && promotion.rollback && live == Some(&promotion.candidate.digest)
    }

    fn is_held_for_a_tag(&self) -> bool {
        let hold = self.decision.stage.hold.as_ref();
        hold.is_some_and(|hold| match &hold.reason {
            HoldReason::TagMoved { .. } => true,
            HoldReason::Asked { .. } | HoldReason::RolledBack { .. } => false,
        })
    }

    fn hold_for_the_tag(&mut self, restored: usize) {
        let Some(Meddled { tag, digest }) = self.decision.stage.meddled.clone() else {
            return;
        };
        let restored = u32::try_from(restored).unwrap_or(u32::MAX);
        let reason = HoldReason::TagMoved {
            tag,
            digest,
            restored,
        };
        self.hold(Actor::System, reason);
    }

    /// Puts the tags back on the live image as soon as nothing else is in progress, but not endlessly.
    pub(super) fn restore(&mut self) {
        let stage = &self.decision.stage;
        let acts = stage.waiting.iter().any(|known| known.acting);
        let Some(live) = self.live().filter(|_| stage.drifted && !acts).cloned() else {
            return;
        };
        if self.policy.rule.drift == Drift::Hold || self.is_held_for_a_tag() {
            return;
        }
        // Two promotions of one decision would have one number. What was opened may set the tags
        // itself, and the next fact comes soon: the sweep compares them again.
        if self.decision.took_number {
            return;
        }
        let now = self.now;
        let stage = self.stage();
        stage.restored.retain(|at| *at + WINDOW > now);
        let restored = stage.restored.len();
        if restored >= MOST_RESTORED {
            self.hold_for_the_tag(restored);
            return;
        }
        let stage = self.stage();
        stage.restored.push(now);
        let why = stage.meddled.clone().map(Why::Moved);
        self.put_back(&live, Actor::System, why.as_ref());
    }

    /// Opens a promotion of the live image and begins with it, before any other makes another image live.
    fn put_back(&mut self, live: &Candidate, by: Actor, why: Option<&Why>) {
        self.stage().drifted = false;
        self.open(live, true, by, Asked::Promotion(why));
        let number = self.policy.next_number;
        if self.decision.stage.promotion(number).is_some() {
            self.begin(number);
        } else {
            self.stage().drifted = true;
            self.hold_for_the_tag(0);
        }
    }

    /// After the end of a promotion that did not put the tags back: a person must look.
    pub(super) fn was_not_put_back(&mut self, ended: &Promotion) {
        if self.puts_back(ended) && self.decision.stage.meddled.is_some() {
            self.stage().drifted = true;
            self.hold_for_the_tag(0);
        }
    }

    pub(super) fn resume(&mut self, by: &Person) {
        if let Some(denial) = self.lacks_right(by) {
            self.deny(by.into(), None, Request::Resume, denial);
            return;
        }
        if self.stage().hold.take().is_none() {
            let stage = self.decision.stage.key.stage.clone();
            let reason = Refusal::NotHeld { stage };
            self.deny(by.into(), None, Request::Resume, reason);
            return;
        }
        self.row(by.into(), What::Resumed);
        self.stage().restored.clear();
        let acts = self.decision.stage.waiting.iter().any(|known| known.acting);
        let drifted = self.decision.stage.drifted && !acts;
        match self.live().filter(|_| drifted).cloned() {
            // An image that was offered meanwhile is promoted once the tag is back.
            Some(live) => self.put_back(&live, by.into(), Some(&Why::PutBack)),
            None if self.policy.rule.promote == Promote::Auto => self.ask_for_offered(),
            None => {}
        }
    }
}
