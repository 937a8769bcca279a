//! Builds the run of a push, and the changes that belong to it: its ref, the trusted definition, older runs.

use std::collections::BTreeMap;

use super::components::{Chosen, ToBuild};
use super::known::{AtCommit, Branch, Drawn, Want, Wants};
use super::{Claimed, Plan, Planned, Planner};
use crate::authors::Contribution;
use crate::definition::{Component, Definition, MOST_COMPONENTS, Origin};
use crate::image::Claim;
use crate::intent::{AttemptRef, Intent};
use crate::loosened;
use crate::names::GitRef;
use crate::reason::{Refusal, Skipped, Unbuildable};
use crate::report;
use crate::run::{Attempt, AttemptState, ComponentRun, NewAttempt, Run, RunKey};
use crate::tags::Values;
use crate::trusted::Trusted;

impl Planner<'_> {
    /// The run that builds the chosen components.
    pub(super) fn build(
        &self,
        key: RunKey,
        definition: &Definition,
        name: &str,
        chosen: Chosen<'_>,
    ) -> Result<Plan, Wants> {
        let drawn = self.drawn(chosen.builds.len() as u64)?;
        let trusted = self.known.trusted.as_ref().map(|known| &known.definition);
        let definitions: Vec<&Definition> = trusted.into_iter().chain([definition]).collect();
        let mut run = Run {
            skipped: chosen.skipped,
            notes: chosen.notes,
            definition: Some(name.to_owned()),
            ..self.run(key, drawn.order)
        };
        let rules = trusted.unwrap_or(definition).stages_from(&Origin::Build);
        run.enters = rules.map(|rule| rule.name.clone()).collect();
        let mut builds = 0;
        for (number, to_build) in (drawn.build..).zip(chosen.builds) {
            let component = to_build.component;
            builds += component.build.platforms.len();
            let attempt = match builds > MOST_COMPONENTS {
                true => Err(Unbuildable::TooMany {
                    most: MOST_COMPONENTS,
                }),
                false => self.attempt(&run, component, number, &definitions),
            };
            match attempt {
                Ok(attempt) => add(&mut run, to_build, attempt),
                Err(reason) => {
                    let reason = Skipped::Refused(reason);
                    run.skipped.insert(component.name.clone(), reason);
                }
            }
        }
        let claims = chosen.claims.into_iter().collect();
        self.planned(run, definition, claims)
    }

    /// The first attempt of a component.
    fn attempt(
        &self,
        run: &Run,
        component: &Component,
        build_number: u64,
        definitions: &[&Definition],
    ) -> Result<Attempt, Unbuildable> {
        let id = Attempt::id(&run.id, &component.name, 1);
        let values = Values {
            commit: &run.key.commit,
            git_ref: &run.key.git_ref,
            build_number,
            attempt: &id,
        };
        let new = NewAttempt::of(&component.build, values, definitions);
        let new = new.map_err(|error| Unbuildable::Tags {
            component: component.name.clone(),
            error,
        })?;
        Ok(Attempt::due(id, 1, new, self.now))
    }

    /// The run with all changes that belong to a push whose definition applies.
    pub(super) fn planned(
        &self,
        run: Run,
        definition: &Definition,
        claims: Vec<(Claimed, Claim)>,
    ) -> Result<Plan, Wants> {
        let mut intents = builds_due(&run);
        intents.extend(self.superseded(&run)?);
        intents.extend(report::builds_to_show(None, &run));
        Ok(Plan::Run(Box::new(Planned {
            claims,
            branch: self.take_over(&run),
            trusted: self.trust(definition, run.order)?,
            intents,
            run,
        })))
    }

    /// The ref with this run as its newest, component by component.
    fn take_over(&self, run: &Run) -> Branch {
        let mut branch = self.noted(run);
        branch.head = Some(run.key.commit.clone());
        branch.order = run.order;
        branch.deleted = false;
        let built = run.components.keys();
        branch
            .building
            .extend(built.map(|component| (component.clone(), run.id.clone())));
        branch
    }

    /// The ref with the authors of this push. A created ref contains what the default branch contains.
    pub(super) fn noted(&self, run: &Run) -> Branch {
        let mut branch = self.known.branch.clone().unwrap_or_default();
        if let Some(origin) = &self.known.default_branch {
            branch.contributions.add_all(&origin.contributions);
        }
        let is_in_head = matches!(run.refused, Some(Refusal::Superseded { .. }));
        branch.contributions.add(Contribution {
            // An older push that arrives late is part of the newest planned one.
            first: if is_in_head { branch.order } else { run.order },
            last: run.order,
            authors: run.authors.clone(),
            cut: self.push.authors_cut,
        });
        branch
    }

    /// Stages, gates and approvers come from the default branch's newest valid definition. A push of
    /// any other ref looks for that definition only if none is known yet.
    fn trust(&self, definition: &Definition, order: u64) -> Result<Option<Trusted>, Wants> {
        let default_branch = GitRef::Branch(self.push.default_branch.clone());
        let known = self.known.trusted.as_ref();
        if self.push.git_ref == default_branch {
            // The same definition again changes nothing, and a push with an older one is superseded
            // on its ref before this.
            let is_news = known.is_none_or(|known| {
                let moved = known.branch != self.push.default_branch;
                known.order < order && (moved || known.definition != *definition)
            });
            return Ok(is_news.then(|| self.trusted(definition, order)));
        }
        if known.is_some() {
            return Ok(None);
        }
        let Some(commit) = self.known.head(&default_branch)? else {
            return Ok(None);
        };
        Ok(match self.known.definition(commit)? {
            AtCommit::Good { definition, .. } => Some(Trusted {
                definition: (**definition).clone(),
                commit: commit.clone(),
                order: 0,
                branch: self.push.default_branch.clone(),
                older: Vec::new(),
            }),
            // The branch moved on; its next push will follow.
            AtCommit::Bad(_) | AtCommit::NoCommit => None,
        })
    }

    /// The pushed definition as the trusted one, with the older rules that still hold.
    fn trusted(&self, definition: &Definition, order: u64) -> Trusted {
        let mut trusted = Trusted {
            definition: definition.clone(),
            commit: self.push.commit.clone(),
            order,
            branch: self.push.default_branch.clone(),
            older: Vec::new(),
        };
        if let Some(before) = &self.known.trusted {
            trusted.older = loosened::after(before, &trusted);
        }
        trusted
    }

    /// Unfinished builds of the same components in older runs of the ref no longer count. Finished
    /// builds stay, because a success never changes (I2).
    fn superseded(&self, run: &Run) -> Result<Vec<Intent>, Wants> {
        let mut intents = Vec::new();
        for component in run.components.keys() {
            let Some(older) = self.newest_run(component)?.filter(|it| it.id != run.id) else {
                continue;
            };
            let known = older.components.get(component);
            let is_built =
                known.is_some_and(|known| known.latest().state == AttemptState::Succeeded);
            if !is_built {
                intents.push(Intent::BuildSuperseded {
                    run: older.id.clone(),
                    component: component.clone(),
                    by: run.id.clone(),
                });
            }
        }
        Ok(intents)
    }

    /// Numbers for this many builds, drawn after the ref's newest run drew its numbers.
    pub(super) fn drawn(&self, builds: u64) -> Result<Drawn, Wants> {
        let newest = self.known.branch.as_ref().map_or(0, |branch| branch.order);
        let known = self.known.numbers;
        let fits = known.filter(|drawn| drawn.builds >= builds && drawn.order > newest);
        fits.ok_or_else(|| Wants(vec![Want::Numbers { builds }]))
    }

    /// A run that builds nothing.
    pub(super) fn run(&self, key: RunKey, order: u64) -> Run {
        Run {
            id: key.id(),
            key,
            repository_name: self.push.repository_name.clone(),
            order,
            pusher: self.push.pusher.clone(),
            authors: self.push.authors.clone(),
            title: self.push.title.clone(),
            at: self.push.at,
            components: BTreeMap::new(),
            skipped: BTreeMap::new(),
            refused: None,
            notes: Vec::new(),
            definition: None,
            enters: Vec::new(),
            shown: self.known.shown,
        }
    }
}

fn add(run: &mut Run, to_build: ToBuild<'_>, attempt: Attempt) {
    let component = ComponentRun {
        repository: to_build.component.repository.clone(),
        reason: to_build.because,
        buildspec: to_build.buildspec.to_owned(),
        not_retried: None,
        attempts: vec![attempt],
    };
    run.components
        .insert(to_build.component.name.clone(), component);
}

fn builds_due(run: &Run) -> Vec<Intent> {
    let builds = run.components.iter().flat_map(|(component, planned)| {
        planned.latest().builds().map(|attempt| {
            Intent::BuildDue(AttemptRef {
                run: run.id.clone(),
                component: component.clone(),
                attempt: attempt.id.clone(),
            })
        })
    });
    builds.collect()
}
