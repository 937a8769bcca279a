//! Decides which components of a push are built, and why the others are not.

use std::collections::BTreeMap;

use super::claims::Claims;
use super::known::{Buildspec, Wants};
use super::{Planner, all, not_executed};
use crate::definition::{Component, Definition, Scope};
use crate::filter::{self, ChangedFiles, Verdict};
use crate::names::{CommitSha, ComponentName, RunId};
use crate::reason::{Because, Skipped, Unbuildable};
use crate::run::{AttemptState, Note, Run};

/// The most changed files that a note names.
const MOST_NAMED: usize = 3;

pub(super) struct ToBuild<'a> {
    pub(super) component: &'a Component,
    pub(super) because: Because,
    /// The name of its buildspec in the store.
    pub(super) buildspec: &'a str,
}

/// The builds of a push, before they have numbers.
pub(super) struct Chosen<'a> {
    pub(super) builds: Vec<ToBuild<'a>>,
    pub(super) skipped: BTreeMap<ComponentName, Skipped>,
    pub(super) claims: Claims,
    pub(super) notes: Vec<Note>,
}

impl<'a> Planner<'a> {
    pub(super) fn choose(&self, definition: &'a Definition) -> Result<Chosen<'a>, Wants> {
        let components = || definition.components.iter();
        all(components().map(|component| self.newest_run(&component.name)))?;
        let judged = all(components().map(|component| Ok((component, self.judge(component)?))))?;
        let (mut skipped, mut claims) = (BTreeMap::new(), Claims::new());
        let built = judged.into_iter().filter_map(|(component, verdict)| {
            let because = match verdict {
                Verdict::Build(because) => because,
                Verdict::Skip(unchanged) => {
                    skipped.insert(component.name.clone(), Skipped::Unchanged(unchanged));
                    return None;
                }
            };
            match self.obstacle(definition, component, &mut claims) {
                Ok(None) => {}
                Ok(Some(obstacle)) => {
                    skipped.insert(component.name.clone(), Skipped::Refused(obstacle));
                    return None;
                }
                Err(wants) => return Some(Err(wants)),
            }
            match self.known.buildspec(&component.name) {
                Ok(Buildspec::Good { name }) => Some(Ok(ToBuild {
                    component,
                    because,
                    buildspec: name,
                })),
                Ok(Buildspec::Bad(reason)) => {
                    let reason = Skipped::Refused(reason.clone());
                    skipped.insert(component.name.clone(), reason);
                    None
                }
                Ok(Buildspec::NoCommit) => None, // it was asked for before: then nothing is built
                Err(wants) => Some(Err(wants)),
            }
        });
        let builds = all(built)?;
        let notes = self.outside(definition).into_iter().collect();
        Ok(Chosen {
            builds,
            skipped,
            claims,
            notes,
        })
    }

    /// Whether a component must be built. It is compared with its last build and also with the build in
    /// progress: otherwise a push that reverts a change would lose to that build.
    fn judge(&self, component: &Component) -> Result<Verdict, Wants> {
        let base = self.known.base(&component.name)?.map(|base| &base.commit);
        let since = |commit| self.known.changed_since(commit);
        let verdict = match base {
            None => filter::judge(component, None, &ChangedFiles::Known(Vec::new())),
            Some(base) => filter::judge(component, Some(base), since(base)?),
        };
        let (Verdict::Skip(_), Some(building)) = (&verdict, self.being_built(component)?) else {
            return Ok(verdict);
        };
        Ok(
            match filter::judge(component, Some(building), since(building)?) {
                Verdict::Build(Because::Changed {
                    file,
                    watched,
                    since,
                    ..
                }) => Verdict::Build(Because::Changed {
                    file,
                    watched,
                    since,
                    being_built: true,
                }),
                Verdict::Build(because) => Verdict::Build(because),
                Verdict::Skip(_) => verdict,
            },
        )
    }

    /// The commit at which the newest run of the ref builds a component, or has just built it.
    fn being_built(&self, component: &Component) -> Result<Option<&CommitSha>, Wants> {
        if let Some(run) = self.newest_run(&component.name)? {
            let known = run.components.get(&component.name);
            let counts = known.is_some_and(|known| {
                let state = &known.latest().state;
                !state.is_terminal() || *state == AttemptState::Succeeded
            });
            return Ok(counts.then_some(&run.key.commit));
        }
        let base = self.known.base(&component.name)?;
        let building = self.building(&component.name);
        let base = base.filter(|base| building == Some(&base.run));
        Ok(base.map(|base| &base.commit))
    }

    /// The newest run of the ref that builds a component, unless that is the known last build and
    /// adds nothing new.
    pub(super) fn newest_run(&self, component: &ComponentName) -> Result<Option<&Run>, Wants> {
        let base = self.known.base(component)?;
        match self.building(component) {
            Some(run) if base.is_none_or(|base| base.run != *run) => self.known.run(run),
            Some(_) | None => Ok(None),
        }
    }

    fn building(&self, component: &ComponentName) -> Option<&RunId> {
        let branch = self.known.branch.as_ref();
        branch.and_then(|branch| branch.building.get(component))
    }

    /// Why a component cannot be built, apart from its buildspec.
    fn obstacle(
        &self,
        definition: &Definition,
        component: &Component,
        claims: &mut Claims,
    ) -> Result<Option<Unbuildable>, Wants> {
        let scope = Scope::Component(component.name.clone());
        if let Some(paths) = not_executed(definition, &scope) {
            return Ok(Some(Unbuildable::NotExecuted { paths }));
        }
        self.claim(definition, component, claims)
    }

    /// A note of the changed files that belong to no component.
    fn outside(&self, definition: &Definition) -> Option<Note> {
        let mut changed = self.known.changed.values();
        let changed = changed.find(|changed| matches!(changed, ChangedFiles::Known(_)))?;
        let outside = filter::outside_every_component(&definition.components, changed);
        let named = outside.iter().take(MOST_NAMED);
        (!outside.is_empty()).then(|| Note::Outside {
            files: named.map(ToString::to_string).collect(),
            count: outside.len(),
        })
    }
}
