//! Decides what to do about a due build, as a plain function.

use towline_domain::Timestamp;
use towline_domain::definition::{Architecture, Component, Definition};
use towline_domain::intent::AttemptRef;
use towline_domain::run::{Attempt, AttemptState, Delay, Fact, Run};
use towline_ports::{RepositoryRef, StartBuild, Trust};

use super::environment::{BuildOf, EnvironmentError};

/// The settings for builds.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `host[:port]` of the registry they push to.
    pub registry: String,
}

/// The inputs of a build's start.
pub(super) struct Known {
    pub(super) run: Run,
    pub(super) definition: Definition,
    pub(super) buildspec: String,
    /// The branch whose definition is trusted.
    pub(super) default_branch: Option<String>,
}

/// What to do.
pub(super) enum Step<'a> {
    /// Nothing: it was started, or no longer counts.
    Nothing,
    /// Do not start it, and why.
    GiveUp(Box<Fact>),
    Start(&'a Attempt, Box<StartBuild>),
}

pub(super) fn step<'a>(
    known: &'a Known,
    of: &AttemptRef,
    settings: &Settings,
    now: Timestamp,
) -> Step<'a> {
    let component = known.definition.component(&of.component);
    let attempt = known.run.attempt(&of.attempt);
    let (Some(component), Some((_, _, attempt))) = (component, attempt) else {
        return Step::Nothing;
    };
    if attempt.state != AttemptState::Due {
        return Step::Nothing;
    }
    // What waits for a person has no deadline.
    if now >= attempt.deadline && !matches!(attempt.waiting, Some(Delay::Denied(_))) {
        return Step::GiveUp(Box::new(Fact::DeadlinePassed(attempt.id.clone())));
    }
    match request(known, component, attempt, settings) {
        Ok(request) => Step::Start(attempt, Box::new(request)),
        Err(error) => {
            let fact = Fact::BuildRefused(attempt.id.clone(), error.into());
            Step::GiveUp(Box::new(fact))
        }
    }
}

/// The whole request to CodeBuild.
fn request(
    known: &Known,
    component: &Component,
    attempt: &Attempt,
    settings: &Settings,
) -> Result<StartBuild, EnvironmentError> {
    let Known { run, buildspec, .. } = known;
    let build = &component.build;
    // A part of an attempt has its own platform.
    let own = attempt.platform.as_ref();
    let platform = own.or(build.platforms.first());
    let platform = platform.map_or("", String::as_str);
    let whole = run.whole(&attempt.id).unwrap_or(attempt);
    let repository = RepositoryRef {
        id: run.key.repository,
        name: run.repository_name.clone(),
    };
    let trust = Trust::of(&run.key.git_ref, known.default_branch.as_deref());
    let environment = BuildOf {
        registry: &settings.registry,
        repository: &repository,
        commit: &run.key.commit,
        git_ref: &run.key.git_ref,
        at: run.at,
        run: Some(&run.id),
        stages: &run.enters,
        component: &component.name,
        image_repository: &component.repository,
        build: Some(build),
        platform,
        attempt: &attempt.id,
        whole: &whole.id,
        whole_tag: &whole.unique_tag,
        build_number: attempt.build_number,
        tags: &attempt.tags,
        trust,
    }
    .environment()?;
    Ok(StartBuild {
        attempt: attempt.id.clone(),
        component: component.name.clone(),
        repository,
        commit: run.key.commit.clone(),
        git_ref: run.key.git_ref.clone(),
        trust,
        image_repository: component.repository.clone(),
        image: build.image_for(platform).to_owned(),
        architecture: own.map(|platform| Architecture::of(platform)),
        privileged: build.preset.needs_docker(),
        buildspec: buildspec.clone(),
        environment,
        timeout: build.timeout,
    })
}
