//! Decides what follows from a change of a run, and which stages a built image is offered to.

use serde::{Deserialize, Serialize};

use crate::authors::Contributions;
use crate::definition::{Definition, Origin};
use crate::filter;
use crate::image::Candidate;
use crate::intent::{AttemptRef, Intent, StageKey};
use crate::names::{BuildId, ComponentName, ImageRepository, StageName, Tag};
use crate::reason::NotAdmitted;
use crate::run::{Attempt, AttemptState, Run};
use crate::stage::Stage;

/// What follows from a change of a run, besides its intents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FollowUp {
    /// Builds that were bound, and the attempt of each.
    pub bound: Vec<(BuildId, AttemptRef)>,
    /// Intents that are no longer needed.
    pub over: Vec<Intent>,
    /// Attempts whose image may now be offered to stages; never a part of an attempt.
    pub built: Vec<AttemptRef>,
    /// Tags that new attempts are expected to push.
    pub expected: Vec<(ImageRepository, Tag, AttemptRef)>,
    /// New attempts by build number.
    pub numbered: Vec<(u64, AttemptRef)>,
}

/// Compares a run with its state before.
#[must_use]
pub fn follow_up(before: &Run, after: &Run) -> FollowUp {
    let mut follow = FollowUp::default();
    for (name, component) in &after.components {
        for attempt in component.attempts.iter().flat_map(Attempt::all) {
            let of = AttemptRef {
                run: after.id.clone(),
                component: name.clone(),
                attempt: attempt.id.clone(),
            };
            let old = before.attempt(&attempt.id).map(|(_, _, old)| old);
            let was_bound = old.is_some_and(|old| old.build.is_some());
            if let (Some(build), false) = (&attempt.build, was_bound) {
                follow.bound.push((build.clone(), of.clone()));
            }
            if old.is_none() {
                let (repository, tag) = (component.repository.clone(), attempt.unique_tag.clone());
                follow.expected.push((repository, tag, of.clone()));
                if attempt.platform.is_none() {
                    follow.numbered.push((attempt.build_number, of.clone()));
                }
            }
            let had_ended = old.is_some_and(|old| old.state.is_terminal());
            if attempt.state.is_terminal() && !had_ended {
                follow.ended(&component.repository, attempt, old, of);
            }
        }
    }
    follow
}

impl FollowUp {
    fn ended(
        &mut self,
        repository: &ImageRepository,
        attempt: &Attempt,
        old: Option<&Attempt>,
        of: AttemptRef,
    ) {
        if old.is_some_and(|old| old.build_succeeded && old.image.is_none()) {
            self.over.push(Intent::ImageDue {
                of: of.clone(),
                repository: repository.clone(),
                tag: attempt.unique_tag.clone(),
            });
        }
        if attempt.parts.is_empty() {
            self.over.push(Intent::BuildWatchDue(of.clone()));
        }
        if attempt.state == AttemptState::Succeeded && attempt.platform.is_none() {
            self.built.push(of);
        }
    }
}

/// The facts that decide whether images of a run are offered to stages. The default branch's last
/// valid definition decides, regardless of the pushed one: which refs count, which component may
/// put images into its stages, and which stages exist.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The default branch's last valid definition.
    pub definition: Option<Definition>,
    /// The branch that counts if the definition names none.
    pub default_branch: String,
    /// Whether the run's ref was deleted since.
    pub is_deleted: bool,
    /// Who took part in the pushes of the ref.
    pub contributions: Contributions,
}

/// Why a built image is offered to no stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unoffered {
    /// The default branch has never had a valid definition.
    NoDefinition,
    /// The definition has no such component, or its images go elsewhere.
    OtherComponent,
    /// The definition's source does not admit the ref.
    NotAdmitted(NotAdmitted),
    /// The run's ref was deleted since.
    RefDeleted,
}

/// The offers of a built image, one for each stage that takes images from builds.
///
/// # Errors
/// When it is offered to no stage.
pub fn of_build(
    run: &Run,
    component: &ComponentName,
    attempt: &Attempt,
    known: &Known,
) -> Result<Vec<Intent>, Unoffered> {
    let definition = known.definition.as_ref().ok_or(Unoffered::NoDefinition)?;
    let of_run = run.components.get(component).map(|known| &known.repository);
    let ruled = definition.component(component);
    if ruled.map(|known| &known.repository) != of_run {
        return Err(Unoffered::OtherComponent);
    }
    let (git_ref, branch) = (&run.key.git_ref, &known.default_branch);
    if let Err(reason) = filter::admits(&definition.source, git_ref, branch, "") {
        return Err(Unoffered::NotAdmitted(reason));
    }
    if known.is_deleted {
        return Err(Unoffered::RefDeleted);
    }
    let Some(candidate) = run.candidate(component, attempt) else {
        return Ok(Vec::new());
    };
    let candidate = Candidate {
        contributions: known.contributions.clone(),
        ..candidate
    };
    let key = |stage| StageKey {
        repository: run.key.repository,
        component: component.clone(),
        stage,
    };
    Ok(behind(&Origin::Build, definition, key, &candidate))
}

/// The offers of a stage's live image, one for each stage that takes images from it.
#[must_use]
pub fn of_stage(stage: &Stage, definition: &Definition) -> Vec<Intent> {
    let Some(pointer) = &stage.pointer else {
        return Vec::new();
    };
    let origin = Origin::Stage(stage.key.stage.clone());
    let key = |name| StageKey {
        stage: name,
        ..stage.key.clone()
    };
    let candidate = Candidate {
        contributions: stage.contributions.clone(),
        ..pointer.candidate.clone()
    };
    behind(&origin, definition, key, &candidate)
}

fn behind(
    origin: &Origin,
    definition: &Definition,
    key: impl Fn(StageName) -> StageKey,
    candidate: &Candidate,
) -> Vec<Intent> {
    let stages = definition.stages_from(origin);
    stages
        .map(|rule| Intent::ImageReady {
            stage: key(rule.name.clone()),
            candidate: Box::new(candidate.clone()),
        })
        .collect()
}
