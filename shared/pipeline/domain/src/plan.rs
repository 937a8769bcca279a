//! Decides what a push leads to: which of its components are built, under which numbers and tags, and why.
//!
//! [`of`] decides from what is [`Known`]. While something is missing, it returns what else it
//! [`Wants`], so the caller never has to guess.

mod claims;
mod components;
mod known;
mod run;

use std::time::Duration;

use crate::Timestamp;
use crate::definition::{Definition, Scope};
use crate::filter;
use crate::image::Claim;
use crate::intent::{Intent, PushAccepted};
use crate::names::PipelineName;
use crate::reason::Refusal;
use crate::report;
use crate::run::{Run, RunKey};
use crate::trusted::Trusted;

pub use known::{AtCommit, Base, Branch, Buildspec, Claimed, Drawn, Known, Want, Wants};

/// How long after its push a commit may take to appear.
const COMMIT_COMES_WITHIN: Duration = Duration::from_secs(5 * 60);

/// The result of planning a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Its run exists already.
    Nothing,
    /// The source does not have its commit yet: decide again later.
    Later,
    /// A new run.
    Run(Box<Planned>),
}

/// A new run and the items that belong to it. The run is committed if its id is free, and the other
/// items if they have not changed since this was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub run: Run,
    /// The claims of its components.
    pub claims: Vec<(Claimed, Claim)>,
    /// The ref, whose newest run this is unless it was turned away.
    pub branch: Branch,
    /// The definition that applies to the repository's stages from now on, if it changes.
    pub trusted: Option<Trusted>,
    /// The intents of the run.
    pub intents: Vec<Intent>,
}

/// Decides what a push leads to.
///
/// # Errors
/// What else has to be known first.
pub fn of(push: &PushAccepted, known: &Known, now: Timestamp) -> Result<Plan, Wants> {
    Planner { push, known, now }.plan()
}

/// What planning a push needs to know, unless the definition is for another repository.
fn wants(push: &PushAccepted, definition: &Definition) -> Vec<Want> {
    let run = key(push, &definition.pipeline).id();
    let components = definition.components.iter().flat_map(|component| {
        let images = Claimed::Images(component.repository.clone());
        let project = Claimed::project(&push.repository_name, &component.name);
        let base = Want::Base(component.name.clone());
        [base, Want::Claim(images), Want::Claim(project)]
    });
    std::iter::once(Want::Run(run)).chain(components).collect()
}

fn key(push: &PushAccepted, pipeline: &PipelineName) -> RunKey {
    RunKey {
        repository: push.repository,
        git_ref: push.git_ref.clone(),
        commit: push.commit.clone(),
        pipeline: pipeline.clone(),
        again: 0,
    }
}

/// The pipeline of a run whose definition cannot be read.
fn unnamed() -> PipelineName {
    "unnamed".parse().expect("a label")
}

/// The values of all of them, or what any of them still wants.
fn all<T>(items: impl IntoIterator<Item = Result<T, Wants>>) -> Result<Vec<T>, Wants> {
    let (mut values, mut wanted) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Ok(value) => values.push(value),
            Err(Wants(wants)) => wanted.extend(wants),
        }
    }
    match wanted.is_empty() {
        true => Ok(values),
        false => Err(Wants(wanted)),
    }
}

struct Planner<'a> {
    push: &'a PushAccepted,
    known: &'a Known,
    now: Timestamp,
}

impl Planner<'_> {
    fn plan(&self) -> Result<Plan, Wants> {
        let (definition, name) = match self.known.definition(&self.push.commit)? {
            AtCommit::Good { definition, name } => (definition, name),
            AtCommit::Bad(refusal) => return self.refuse(self.first(&unnamed()), refusal.clone()),
            AtCommit::NoCommit => return self.without_commit(self.first(&unnamed())),
        };
        if let Some(refusal) = self.for_another(definition) {
            let key = self.free_key(&definition.pipeline)?;
            return key.map_or(Ok(Plan::Nothing), |key| self.refuse(key, refusal));
        }
        self.known.has(wants(self.push, definition))?;
        let Some(key) = self.free_key(&definition.pipeline)? else {
            return Ok(Plan::Nothing);
        };
        if let Some(refusal) = self.overtaken()? {
            return self.turn_away(key, refusal);
        }
        if let Some(refusal) = self.refused_by(definition) {
            let order = self.drawn(0)?.order;
            let mut run = self.run(key, order);
            run.shown &= !refusal.is_wanted();
            run.refused = Some(refusal);
            return self.planned(run, definition, Vec::new());
        }
        if self.known.lacks_the_commit(definition) {
            return self.without_commit(key);
        }
        let chosen = self.choose(definition)?;
        self.build(key, definition, name, chosen)
    }

    /// Why the definition does not apply to this repository.
    fn for_another(&self, definition: &Definition) -> Option<Refusal> {
        let named = definition.source.github.as_ref()?;
        let pushed = &self.push.repository_name;
        let other = || Refusal::OtherRepository {
            named: named.clone(),
            pushed: pushed.clone(),
        };
        (!named.eq_ignore_ascii_case(pushed.as_str())).then(other)
    }

    /// The key of a new run; none if the push already has its run. A ref that returned to an earlier
    /// commit, or was deleted and recreated, gets another key; otherwise its head would have no run
    /// (I10).
    fn free_key(&self, pipeline: &PipelineName) -> Result<Option<RunKey>, Wants> {
        let mut key = self.first(pipeline);
        while self.known.run(&key.id())?.is_some() {
            let branch = self.known.branch.as_ref();
            let planned = branch.filter(|branch| branch.head.is_some());
            let had_left = planned.is_some_and(|branch| !branch.is_at(&self.push.commit));
            if !had_left || self.known.head(&self.push.git_ref)? != Some(&self.push.commit) {
                return Ok(None);
            }
            key.again += 1;
        }
        Ok(Some(key))
    }

    fn first(&self, pipeline: &PipelineName) -> RunKey {
        key(self.push, pipeline)
    }

    /// Tries again later, and gives up if the commit does not appear in time.
    fn without_commit(&self, key: RunKey) -> Result<Plan, Wants> {
        if self.now < self.push.at + COMMIT_COMES_WITHIN {
            return Ok(Plan::Later);
        }
        self.turn_away(key, Refusal::NoCommit(self.push.commit.clone()))
    }

    /// Why an older push is not built after a newer one (F3): the order of arrival proves nothing,
    /// so the ref itself is read.
    fn overtaken(&self) -> Result<Option<Refusal>, Wants> {
        let planned = self.known.branch.as_ref().and_then(|it| it.head.as_ref());
        let Some(planned) = planned.filter(|head| **head != self.push.commit) else {
            return Ok(None);
        };
        let head = self.known.head(&self.push.git_ref)?;
        if head == Some(&self.push.commit) {
            return Ok(None);
        }
        // The current commit of the ref is the newest, even if history was rewritten.
        let is_older = head == Some(planned) || self.known.is_behind(planned)?;
        Ok(is_older.then(|| Refusal::Superseded {
            by: planned.clone(),
            git_ref: self.push.git_ref.clone(),
        }))
    }

    /// Why nothing of the push is built although its definition applies.
    fn refused_by(&self, definition: &Definition) -> Option<Refusal> {
        let admitted = filter::admits(
            &definition.source,
            &self.push.git_ref,
            &self.push.default_branch,
            &self.push.message.env_value(),
        );
        if let Err(reason) = admitted {
            return Some(Refusal::Filtered(reason));
        }
        let paths = not_executed(definition, &Scope::Pipeline)?;
        Some(Refusal::NotExecuted { paths })
    }

    /// Records why nothing is built, and shows it beside the commit.
    fn refuse(&self, key: RunKey, refusal: Refusal) -> Result<Plan, Wants> {
        self.refused(key, refusal, self.known.shown)
    }

    /// Like [`Self::refuse`], but shows nothing, because nobody needs to act.
    fn turn_away(&self, key: RunKey, refusal: Refusal) -> Result<Plan, Wants> {
        self.refused(key, refusal, false)
    }

    fn refused(&self, key: RunKey, refusal: Refusal, shown: bool) -> Result<Plan, Wants> {
        if self.known.run(&key.id())?.is_some() {
            return Ok(Plan::Nothing);
        }
        let order = self.drawn(0)?.order;
        let run = Run {
            refused: Some(refusal),
            shown,
            ..self.run(key, order)
        };
        Ok(Plan::Run(Box::new(Planned {
            intents: report::builds_to_show(None, &run),
            branch: self.noted(&run),
            run,
            claims: Vec::new(),
            trusted: None,
        })))
    }
}

/// The places in the definition that use features which this version does not support; none if there
/// are none.
fn not_executed(definition: &Definition, scope: &Scope) -> Option<Vec<String>> {
    let paths: Vec<String> = definition
        .not_executed_in(scope)
        .map(str::to_owned)
        .collect();
    (!paths.is_empty()).then_some(paths)
}
