//! Walks through a build as it would run, so that rules see each call with the current variables.

use std::collections::BTreeMap;
use std::ops::Range;

use super::moment::Moment;
use super::{Command, Notes, Spec, docker, publish, region, tags};
use crate::lint::shell::{self, Act, Call, Guard, Step};
use crate::lint::value::{Atom, Variables, Why};
use crate::model::{PhaseName, Version};

/// The most calls to follow; functions that call each other could cause more.
const MOST_CALLS: usize = 20_000;
/// How deep functions are followed.
const DEEPEST: usize = 12;

/// The parsed commands of a buildspec.
pub(super) struct Run<'a> {
    pub(super) spec: &'a Spec<'a>,
    /// The steps of each command of the buildspec.
    pub(super) steps: Vec<Vec<Step>>,
    /// The bodies of functions: the command and the step.
    functions: BTreeMap<String, Vec<(usize, usize)>>,
}

impl<'a> Run<'a> {
    pub(super) fn new(spec: &'a Spec<'a>) -> Self {
        let mut reader = shell::Reader::new();
        let steps: Vec<Vec<Step>> = spec
            .commands
            .iter()
            .map(|command| reader.steps(command.text))
            .collect();
        let mut functions: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
        for (command, steps) in steps.iter().enumerate() {
            for (step, found) in steps.iter().enumerate() {
                if let Some(function) = &found.function {
                    functions
                        .entry(function.clone())
                        .or_default()
                        .push((command, step));
                }
            }
        }
        Self {
            spec,
            steps,
            functions,
        }
    }

    /// All calls in commands, also in functions that are never called.
    pub(super) fn calls(&self) -> impl Iterator<Item = (&'a Command<'a>, &Step, &Call)> {
        self.spec
            .commands
            .iter()
            .zip(&self.steps)
            .flat_map(|(command, steps)| {
                steps.iter().filter_map(move |step| match &step.act {
                    Act::Call(call) => Some((command, step, call)),
                    Act::Assign { .. } | Act::StopUnlessSucceeding => None,
                })
            })
    }

    /// Walks through the build.
    pub(super) fn go(&self, notes: &mut Notes) {
        let mut walk = Walk {
            run: self,
            notes,
            variables: self.variables(),
            phase: PhaseName::Install,
            is_guarded: false,
            calls: 0,
            seen: tags::Seen::default(),
        };
        for (index, command) in self.spec.commands.iter().enumerate() {
            if command.phase != walk.phase {
                walk.phase = command.phase;
                walk.is_guarded = false;
            }
            let before = (self.version() == Version::V0_1).then(|| walk.variables.clone());
            for step in self.steps[index]
                .iter()
                .filter(|step| step.function.is_none())
            {
                walk.step(index, step, Guard::None, 0);
            }
            if let Some(before) = before {
                walk.forget(&before, &self.steps[index]);
            }
        }
    }

    fn version(&self) -> Version {
        self.spec.reading.spec.version
    }

    /// The variables before the first command.
    fn variables(&self) -> Variables {
        let env = &self.spec.reading.spec.env;
        let mut variables = Variables::of_codebuild();
        let mut is_told = true;
        for (_, _, call) in self.calls() {
            is_told &= !matches!(
                call.name(),
                "source" | "." | "eval" | "read" | "mapfile" | "getopts"
            );
            is_told &= !(call.name() == "printf" && call.has(&["-v"]));
        }
        is_told &= !self
            .spec
            .commands
            .iter()
            .any(|command| command.text.contains("export $("));
        for steps in &self.steps {
            for step in steps {
                if let Act::Assign { name, .. } = &step.act {
                    if step.function.is_some() || !is_told {
                        variables.set(name, vec![Atom::Unknown]);
                    } else {
                        variables.note_later(name, Why::SetLater);
                    }
                }
            }
        }
        for (name, value) in &env.variables {
            let atom = if value.is_empty() {
                Atom::Empty(name.clone(), Why::SetToNothing)
            } else {
                Atom::Text(value.clone())
            };
            variables.set(name, vec![atom]);
        }
        for (name, _) in env.parameter_store.iter().chain(&env.secrets_manager) {
            variables.set(name, vec![Atom::Unknown]);
        }
        variables
    }
}

struct Walk<'a, 'n> {
    run: &'a Run<'a>,
    notes: &'n mut Notes,
    variables: Variables,
    phase: PhaseName,
    /// Whether an earlier command of the phase has ended it unless the build succeeds.
    is_guarded: bool,
    calls: usize,
    seen: tags::Seen,
}

impl Walk<'_, '_> {
    fn step(&mut self, index: usize, step: &Step, outer: Guard, depth: usize) {
        let command = &self.run.spec.commands[index];
        let guard = if self.is_guarded {
            Guard::Succeeding
        } else {
            outer.and(step.guard)
        };
        match &step.act {
            Act::StopUnlessSucceeding => self.is_guarded = true,
            Act::Assign { name, value } => {
                let place = |range: &Range<usize>| command.alignment.range(range);
                region::assigned(self.run.spec, command, name, value, self.notes);
                docker::assigned(self.run.spec, command, step, name, value, self.notes);
                let value = self.variables.resolve(value, &place);
                let is_certain = step.is_certain || self.variables.get(name).is_none();
                let value = if is_certain {
                    value
                } else {
                    vec![Atom::Unknown]
                };
                self.variables.set(name, value);
            }
            Act::Call(call) => {
                self.calls += 1;
                if self.calls > MOST_CALLS {
                    return;
                }
                let moment = Moment {
                    spec: self.run.spec,
                    command,
                    step,
                    call,
                    phase: self.phase,
                    guard,
                    variables: &self.variables,
                };
                docker::called(&moment, self.notes);
                publish::called(&moment, self.notes);
                tags::called(&moment, &mut self.seen, self.notes);
                region::called(&moment, self.notes);
                self.function(call.name(), guard, depth);
            }
        }
    }

    fn function(&mut self, name: &str, guard: Guard, depth: usize) {
        let Some(body) = self.run.functions.get(name).filter(|_| depth < DEEPEST) else {
            return;
        };
        for (command, step) in body {
            self.step(*command, &self.run.steps[*command][*step], guard, depth + 1);
        }
    }

    /// In version 0.1, variables are lost with each command's shell.
    fn forget(&mut self, before: &Variables, steps: &[Step]) {
        self.variables = before.clone();
        for step in steps {
            if let Act::Assign { name, .. } = &step.act {
                self.variables.note_later(name, Why::OtherShell);
            }
        }
    }
}
