//! A state of the small scope, the steps from it, and what must hold in it.

use towline_domain::intent::Intent;
use towline_domain::ledger::Head;
use towline_domain::plan::Branch;
use towline_domain::run::{self, AttemptState, BuildReport, BuildStatus, Run};
use towline_domain::stage::{self, Lease, Stage};

use super::rules::{Hashed, Rules};

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
    fn of(intent: &Intent, of: u8) -> Option<Self> {
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
    fn is_watch(self) -> bool {
        matches!(self, Self::Watch(_))
    }
}

/// A build as `CodeBuild` knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Build {
    None,
    Running,
    Succeeded,
    Stopped,
}

/// A running `promote-images`, which has the lease, and perhaps has set the tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Writer {
    holder: u8,
    promotion: u8,
    image: u8,
    tagged: bool,
}

/// What may still happen, once each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Budget {
    duplicate: bool,
    loss: bool,
    crash: bool,
    rollback: bool,
    approvals: u8,
}

#[derive(Debug, Clone, Hash)]
pub(super) struct State {
    head: Option<u8>,
    runs: [Option<Hashed<Run>>; 2],
    branch: Option<Hashed<Branch>>,
    stage: Hashed<Stage>,
    orders: u8,
    promotions: u8,
    owed: Vec<Note>,
    coming: Vec<Note>,
    builds: [Build; 2],
    pushed: [bool; 2],
    tag: Option<u8>,
    lived: [bool; 2],
    writers: Vec<Writer>,
    holders: u8,
    budget: Budget,
}

/// Something that can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Push,
    Deliver(Note),
    DeliverTwice(Note),
    Lose(Note),
    /// The invocation dies after its effect and before its commit.
    Die(Note),
    BuildEnds(u8),
    /// The sweep announces again what is owed, or looks up a build.
    Sweep(Note),
    /// A writer goes on: it sets the tag, or commits.
    Write(usize),
    WriterDies(usize),
    /// The lease of a writer that is gone ends.
    LeaseEnds,
    Approve(u8),
    RollBack(u8),
}

fn put(notes: &mut Vec<Note>, note: Note) {
    if let Err(place) = notes.binary_search(&note) {
        notes.insert(place, note);
    }
}

fn take(notes: &mut Vec<Note>, note: Note) {
    if let Ok(place) = notes.binary_search(&note) {
        notes.remove(place);
    }
}

fn small(number: u64) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

impl State {
    pub(super) fn new(rules: &Rules) -> Self {
        Self {
            head: None,
            runs: [None, None],
            branch: None,
            stage: Hashed::new(Stage::new(rules.stage.clone())),
            orders: 0,
            promotions: 0,
            owed: Vec::new(),
            coming: Vec::new(),
            builds: [Build::None; 2],
            pushed: [false; 2],
            tag: None,
            lived: [false; 2],
            writers: Vec::new(),
            holders: 0,
            budget: Budget {
                duplicate: true,
                loss: true,
                crash: true,
                rollback: true,
                approvals: 2,
            },
        }
    }

    /// Everything that can happen now.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.head != Some(1) {
            steps.push(Step::Push);
        }
        for note in self.coming.iter().copied() {
            steps.push(Step::Deliver(note));
            if self.budget.duplicate {
                steps.push(Step::DeliverTwice(note));
            }
            if self.budget.loss {
                steps.push(Step::Lose(note));
            }
            if self.budget.crash {
                steps.push(Step::Die(note));
            }
        }
        for (of, build) in (0u8..).zip(self.builds) {
            if build == Build::Running {
                steps.push(Step::BuildEnds(of));
            }
        }
        let is_lost = |note: &Note| !self.coming.contains(note);
        steps.extend(self.owed.iter().copied().filter(is_lost).map(Step::Sweep));
        for writer in 0..self.writers.len() {
            steps.push(Step::Write(writer));
            if self.budget.crash {
                steps.push(Step::WriterDies(writer));
            }
        }
        let lease = self.stage.0.lease.as_ref();
        let alive = |lease: &&Lease| {
            let mut writers = self.writers.iter();
            writers.any(|writer| lease.holder == writer.holder.to_string())
        };
        if lease
            .filter(|lease| !alive(lease) && lease.until != jiff::Timestamp::UNIX_EPOCH)
            .is_some()
        {
            steps.push(Step::LeaseEnds);
        }
        if self.budget.approvals > 0 {
            let waiting = self.stage.0.waiting.iter();
            let waiting = waiting.filter(|promotion| !promotion.acting);
            steps.extend(waiting.map(|promotion| Step::Approve(small(promotion.number))));
        }
        if self.budget.rollback && self.stage.0.pointer.is_some() {
            let lived = (0u8..).zip(self.lived).filter(|(_, lived)| *lived);
            steps.extend(lived.map(|(image, _)| Step::RollBack(image)));
        }
        steps
    }

    /// The state after a step; or the invariant that it violates.
    pub(super) fn after(&self, step: Step, rules: &Rules) -> Result<Self, String> {
        let mut next = self.clone();
        match step {
            Step::Push => {
                let push = self.head.map_or(0, |head| head + 1);
                next.head = Some(push);
                next.owe(Note::PushAccepted(push));
            }
            Step::Deliver(note) => {
                take(&mut next.coming, note);
                next.handle(note, rules)?;
            }
            Step::DeliverTwice(note) => {
                next.budget.duplicate = false;
                next.handle(note, rules)?;
            }
            Step::Lose(note) => {
                next.budget.loss = false;
                take(&mut next.coming, note);
            }
            Step::Die(note) => {
                next.budget.crash = false;
                take(&mut next.coming, note);
                next.has_effect(note);
            }
            Step::BuildEnds(of) => {
                let at = usize::from(of);
                next.builds[at] = Build::Succeeded;
                next.pushed[at] = true;
                put(&mut next.coming, Note::ImagePushed(of));
                put(&mut next.coming, Note::BuildEnded(of));
            }
            Step::Sweep(Note::Watch(of)) => {
                if matches!(
                    self.builds[usize::from(of)],
                    Build::Succeeded | Build::Stopped
                ) {
                    next.report(of, rules)?;
                }
                let run = next.runs[usize::from(of)].as_ref();
                if run.is_some_and(|run| attempt(&run.0).state.is_terminal()) {
                    take(&mut next.owed, Note::Watch(of));
                }
            }
            Step::Sweep(note) => put(&mut next.coming, note),
            Step::Write(writer) => next.write(writer, rules)?,
            Step::WriterDies(writer) => {
                next.budget.crash = false;
                next.writers.remove(writer);
            }
            Step::LeaseEnds => {
                let mut stage = Stage::clone(&next.stage.0);
                if let Some(lease) = &mut stage.lease {
                    lease.until = jiff::Timestamp::UNIX_EPOCH;
                }
                next.stage = Hashed::new(stage);
            }
            Step::Approve(promotion) => {
                let who = usize::from(2 - next.budget.approvals);
                next.budget.approvals -= 1;
                let fact = stage::Fact::Approved {
                    promotion: promotion.into(),
                    by: rules.people[who].clone(),
                    comment: None,
                };
                next.stage_fact(&fact, rules)?;
            }
            Step::RollBack(image) => {
                next.budget.rollback = false;
                let run = next.runs[usize::from(image)].as_ref();
                let run = run.ok_or("I8: an image without a run was live")?;
                let candidate = run.0.candidate(&rules.component, attempt(&run.0));
                let fact = stage::Fact::RollbackRequested {
                    candidate: candidate.ok_or("I6: an image without evidence was live")?,
                    by: rules.people[0].clone(),
                    reason: None,
                };
                next.stage_fact(&fact, rules)?;
            }
        }
        Ok(next)
    }

    /// Owes something, and announces it.
    fn owe(&mut self, note: Note) {
        put(&mut self.owed, note);
        if !note.is_watch() {
            put(&mut self.coming, note);
        }
    }

    /// What an invocation does outside before it commits.
    fn has_effect(&mut self, note: Note) {
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

    fn handle(&mut self, note: Note, rules: &Rules) -> Result<(), String> {
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

    fn report(&mut self, of: u8, rules: &Rules) -> Result<(), String> {
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

    fn stage_fact(&mut self, fact: &stage::Fact, rules: &Rules) -> Result<(), String> {
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

    fn write(&mut self, writer: usize, rules: &Rules) -> Result<(), String> {
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

    /// Whether nothing happens any more unless a person acts.
    pub(super) fn is_at_rest(&self) -> bool {
        self.head == Some(1)
            && self.coming.is_empty()
            && self.owed.is_empty()
            && self.writers.is_empty()
            && !self.builds.contains(&Build::Running)
    }

    /// What must hold once nothing happens any more.
    pub(super) fn at_rest(&self, rules: &Rules) -> Result<(), String> {
        if !self.is_at_rest() {
            return Ok(());
        }
        let head = self.runs[1].as_ref().ok_or("I10: the head has no run")?;
        for run in self.runs.iter().flatten() {
            let refused = run.0.refused.is_some();
            if !refused && !attempt(&run.0).state.is_terminal() {
                return Err(format!("I14: an attempt stays {:?}", attempt(&run.0).state));
            }
        }
        let newest = &attempt(&head.0).state;
        if *newest != AttemptState::Succeeded {
            return Err(format!("I10: the head's build is {newest:?}"));
        }
        if self
            .stage
            .0
            .waiting
            .iter()
            .any(|promotion| promotion.acting)
        {
            return Err("I14: a promotion never ends".into());
        }
        let live = self.stage.0.pointer.as_ref();
        let live = live.map(|live| small(rules.image_of(&live.candidate.digest) as u64));
        match live == self.tag {
            true => Ok(()),
            false => Err(format!(
                "I9: the tag is on {:?}, the pointer on {live:?}",
                self.tag
            )),
        }
    }
}

/// The one attempt of a run; no build fails here, so there is no second.
fn attempt(run: &Run) -> &run::Attempt {
    let component = run.components.values().next();
    component.expect("a run of one component").latest()
}

fn build_id(of: u8) -> towline_domain::names::BuildId {
    let id = format!("shop-backend:00000000-0000-4000-8000-{of:012x}");
    id.parse().expect("a build's id")
}
