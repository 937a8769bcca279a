//! What the handlers commit in the small scope, and what must hold in each decision.

use towline_domain::ledger::Head;
use towline_domain::plan::Branch;
use towline_domain::run::{self, AttemptState, BuildReport, BuildStatus, Run};
use towline_domain::stage::{self, Lease, Stage};

use super::model::{Build, State, Writer, attempt};
use super::note::{Note, put, small, take};
use super::rules::{Hashed, Rules};

impl State {
    /// Owes something, and announces it.
    pub(super) fn owe(&mut self, note: Note) {
        put(&mut self.owed, note);
        if !note.is_watch() {
            put(&mut self.coming, note);
        }
    }

    /// What an invocation does outside before it commits.
    pub(super) fn has_effect(&mut self, note: Note) {
        match note {
            Note::BuildDue(of) if self.owed.contains(&note) => {
                let build = &mut self.builds[usize::from(of)];
                // The same token starts the same build.
                if *build == Build::None {
                    *build = Build::Running;
                }
            }
            Note::BuildStopDue(of) if self.owed.contains(&note) => {
                let build = &mut self.builds[usize::from(of)];
                if *build == Build::Running {
                    *build = Build::Stopped;
                }
            }
            Note::PushAccepted(_)
            | Note::BuildDue(_)
            | Note::Superseded { .. }
            | Note::BuildStopDue(_)
            | Note::ImageDue(_)
            | Note::PromotionDue(_)
            | Note::BuildEnded(_)
            | Note::ImagePushed(_)
            | Note::Watch(_) => {}
        }
    }

    pub(super) fn handle(&mut self, note: Note, rules: &Rules) -> Result<(), String> {
        let is_event = matches!(note, Note::BuildEnded(_) | Note::ImagePushed(_));
        if !is_event && !self.owed.contains(&note) {
            return Ok(());
        }
        match note {
            Note::PushAccepted(push) => {
                take(&mut self.owed, note);
                self.plan(push, rules)?;
            }
            Note::BuildDue(of) => {
                let due = self.runs[usize::from(of)].clone();
                let due = due.ok_or("I4: a build of no run")?;
                let is_due = attempt(&due.0).state == AttemptState::Due;
                if is_due {
                    self.has_effect(note);
                    let fact = run::Fact::BuildBound(attempt(&due.0).id.clone(), build_id(of));
                    self.run_fact(of, &fact, rules)?;
                }
                take(&mut self.owed, note);
            }
            Note::Superseded { old, new } => {
                take(&mut self.owed, note);
                let by = self.runs[usize::from(new)].as_ref();
                let by = by.ok_or("I4: superseded by no run")?.0.id.clone();
                let fact = run::Fact::Superseded(rules.component.clone(), by);
                self.run_fact(old, &fact, rules)?;
            }
            Note::BuildStopDue(_) => {
                self.has_effect(note);
                take(&mut self.owed, note);
            }
            Note::ImageDue(of) | Note::ImagePushed(of) => self.read_image(of, note, rules)?,
            Note::BuildEnded(of) => self.report(of, rules)?,
            Note::PromotionDue(number) => self.begin(number, rules)?,
            Note::Watch(_) => {}
        }
        Ok(())
    }

    fn plan(&mut self, push: u8, rules: &Rules) -> Result<(), String> {
        let runs = [0, 1].map(|at| self.runs[at].as_ref().map(|run| &*run.0));
        let branch = self.branch.as_ref().map(|branch| Branch::clone(&branch.0));
        let head = self.head.map(usize::from);
        let order = u64::from(self.orders) + 1;
        let Some(planned) = rules.plan(push.into(), head, runs, branch, order) else {
            return Ok(());
        };
        self.orders += 1;
        let at = rules.push_of(&planned.run.key.commit);
        if self.runs[at].is_some() {
            return Err("I1: a run exists twice".into());
        }
        let new = small(at as u64);
        let notes = planned.intents.iter();
        for note in notes.filter_map(|intent| Note::of(intent, new)) {
            self.owe(note);
        }
        self.branch = Some(Hashed::new(planned.branch));
        self.runs[at] = Some(Hashed::new(planned.run));
        Ok(())
    }

    fn read_image(&mut self, of: u8, note: Note, rules: &Rules) -> Result<(), String> {
        let at = usize::from(of);
        let Some(run) = self.runs[at].clone() else {
            return Err("I4: an image of no run".into());
        };
        let of_attempt = attempt(&run.0).id.clone();
        let fact = match self.pushed[at] {
            true => run::Fact::ImageRead {
                attempt: of_attempt,
                digest: rules.digests[at].clone(),
                contradicts: None,
            },
            false => run::Fact::ImageMissing(of_attempt),
        };
        take(&mut self.owed, note);
        self.run_fact(of, &fact, rules)
    }

    pub(super) fn report(&mut self, of: u8, rules: &Rules) -> Result<(), String> {
        let at = usize::from(of);
        let Some(run) = self.runs[at].clone() else {
            return Err("I4: a build of no run".into());
        };
        let status = match self.builds[at] {
            Build::None | Build::Running => BuildStatus::InProgress,
            Build::Succeeded => BuildStatus::Succeeded,
            Build::Stopped => BuildStatus::Stopped,
        };
        let report = BuildReport {
            build: build_id(of),
            status,
            commit: None,
            started_at: None,
            ended_at: None,
            reason: None,
            outputs: Default::default(),
            gave_way: None,
            interrupted: false,
        };
        let fact = run::Fact::BuildReported(attempt(&run.0).id.clone(), report);
        self.run_fact(of, &fact, rules)
    }

    fn run_fact(&mut self, of: u8, fact: &run::Fact, rules: &Rules) -> Result<(), String> {
        let at = usize::from(of);
        let Some(before) = self.runs[at].clone() else {
            return Ok(());
        };
        let decision = run::advance(Run::clone(&before.0), fact, rules.now);
        let (old, new) = (attempt(&before.0), attempt(&decision.run));
        if old.state.is_terminal()
            && (&old.state, &old.build, &old.image) != (&new.state, &new.build, &new.image)
        {
            return Err(format!("I2: {:?} became {:?}", old.state, new.state));
        }
        if old.build.is_some() && old.build != new.build {
            return Err("I5: an attempt changed its build".into());
        }
        let has_succeeded = new.state == AttemptState::Succeeded;
        if has_succeeded && !(self.builds[at] == Build::Succeeded && self.pushed[at]) {
            return Err("I6: success without evidence".into());
        }
        let notes = decision.intents.iter();
        for note in notes.filter_map(|intent| Note::of(intent, of)) {
            self.owe(note);
        }
        let offered = (has_succeeded && old.state != new.state)
            .then(|| decision.run.candidate(&rules.component, new))
            .flatten();
        if decision.changed {
            self.runs[at] = Some(Hashed::new(decision.run));
        }
        match offered {
            Some(candidate) => self.stage_fact(&stage::Fact::Offered(candidate), rules),
            None => Ok(()),
        }
    }

    pub(super) fn stage_fact(&mut self, fact: &stage::Fact, rules: &Rules) -> Result<(), String> {
        let before = self.stage.clone();
        let policy = rules.policy(u64::from(self.promotions) + 1);
        let decision = stage::advance(Stage::clone(&before.0), fact, policy, rules.now);
        self.promotions += u8::from(decision.took_number);
        let after = &decision.stage;
        let acting = after.waiting.iter().filter(|promotion| promotion.acting);
        if acting.clone().count() > 1 {
            return Err("I9: two promotions act".into());
        }
        for promotion in acting {
            let approved = !promotion.approvals.is_empty() || promotion.rollback;
            let began = before
                .0
                .promotion(promotion.number)
                .is_none_or(|known| !known.acting);
            if began && !approved {
                return Err(format!("I12: #{} acts without approval", promotion.number));
            }
            if began && after.hold.is_some() && !promotion.rollback {
                return Err(format!("I8: #{} enters a held stage", promotion.number));
            }
        }
        if let (Some(old), Some(new)) = (&before.0.pointer, &after.pointer) {
            let forward = new.candidate.order > old.candidate.order || new.rollback;
            if old != new && !(new.version == old.version + 1 && forward) {
                return Err("I8: the stage went back on its own".into());
            }
        }
        let notes = decision.intents.iter();
        for note in notes.filter_map(|intent| Note::of(intent, 0)) {
            self.owe(note);
        }
        if let Some(live) = after.pointer.as_ref().filter(|_| decision.moved) {
            self.lived[rules.image_of(&live.candidate.digest)] = true;
        }
        if decision.changed {
            let mut stage = decision.stage;
            // No decision looks at it, and it would tell apart states that only came about differently.
            stage.ledger.hash = Head::default().hash;
            self.stage = Hashed::new(stage);
        }
        Ok(())
    }

    /// A writer asks for the lease.
    fn begin(&mut self, number: u8, rules: &Rules) -> Result<(), String> {
        let promotion = self.stage.0.promotion(number.into());
        let Some(promotion) = promotion.filter(|promotion| promotion.acting) else {
            take(&mut self.owed, Note::PromotionDue(number));
            return Ok(());
        };
        let image = small(rules.image_of(&promotion.candidate.digest) as u64);
        let holder = self.holders;
        let lease = Lease {
            holder: holder.to_string(),
            until: rules.now + std::time::Duration::from_secs(60),
            meddled: false,
        };
        let fact = stage::Fact::LeaseRequested {
            promotion: number.into(),
            lease,
            // The small scope has no source.
            asked: true,
        };
        self.stage_fact(&fact, rules)?;
        let held = self.stage.0.lease.as_ref();
        if held.is_some_and(|lease| lease.holder == holder.to_string()) {
            self.holders += 1;
            self.writers.push(Writer {
                holder,
                promotion: number,
                image,
                tagged: false,
            });
        }
        Ok(())
    }

    pub(super) fn write(&mut self, writer: usize, rules: &Rules) -> Result<(), String> {
        let known = self.writers[writer];
        if !known.tagged {
            let acts = self.stage.0.promotion(known.promotion.into());
            if !acts.is_some_and(|promotion| promotion.acting) {
                return Err("I9: a tag is set for a promotion that does not act".into());
            }
            self.tag = Some(known.image);
            self.writers[writer].tagged = true;
            return Ok(());
        }
        self.writers.remove(writer);
        let fact = stage::Fact::Tagged {
            promotion: known.promotion.into(),
            holder: known.holder.to_string(),
        };
        self.stage_fact(&fact, rules)?;
        if self.stage.0.promotion(known.promotion.into()).is_none() {
            take(&mut self.owed, Note::PromotionDue(known.promotion));
        }
        Ok(())
    }
}

fn build_id(of: u8) -> towline_domain::names::BuildId {
    let id = format!("shop-backend:00000000-0000-4000-8000-{of:012x}");
    id.parse().expect("a build's id")
}
