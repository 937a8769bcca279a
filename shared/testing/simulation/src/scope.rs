//! Small scope: every order of everything that can happen to two pushes, over the real rules.
//!
//! Two pushes to one branch, one component, one stage with an approval. Once each, and anywhere: an event
//! comes twice, an event is lost, an invocation dies after its effect, somebody rolls back, somebody
//! approves for a second time. The handlers are reduced to what they commit; what they decide is decided by
//! `plan::of`, `run::advance` and `stage::advance`. The search is depth first over all states.

mod handlers;
mod model;
mod note;
mod rules;
mod steps;

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::time::{Duration, Instant};

use model::State;
use rules::Rules;
use steps::Step;

/// What the search found.
#[derive(Debug)]
pub struct Scope {
    /// Distinct states.
    pub states: usize,
    /// Steps from one state to another, new or known.
    pub steps: usize,
    /// States in which nothing is left to do.
    pub rests: usize,
    /// The longest way.
    pub depth: usize,
    /// Whether every state was reached.
    pub complete: bool,
    pub took: Duration,
    /// The first violation, and the steps that lead there.
    pub violation: Option<(String, Vec<String>)>,
}

/// A state on the way, and the steps from it that are still to be taken.
struct Visit {
    state: State,
    open: Vec<Step>,
    /// The step that led here.
    by: Option<Step>,
}

/// Searches at most this many states.
#[must_use]
pub fn search(most: usize) -> Scope {
    let begun = Instant::now();
    let rules = Rules::new();
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let first = State::new(&rules);
    let mut known: HashSet<u64> = HashSet::from([hasher.hash_one(&first)]);
    let mut scope = Scope {
        states: 1,
        steps: 0,
        rests: 0,
        depth: 0,
        complete: true,
        took: Duration::ZERO,
        violation: None,
    };
    let open = first.steps();
    let mut way = vec![Visit {
        state: first,
        open,
        by: None,
    }];
    while let Some(visit) = way.last_mut() {
        let Some(step) = visit.open.pop() else {
            way.pop();
            continue;
        };
        if known.len() >= most {
            scope.complete = false;
            break;
        }
        scope.steps += 1;
        let after = visit.state.after(step, &rules);
        let broken = after.as_ref().err().cloned().or_else(|| {
            let state = after.as_ref().ok()?;
            state.at_rest(&rules).err()
        });
        if let Some(broken) = broken {
            let mut steps: Vec<String> = way
                .iter()
                .filter_map(|visit| visit.by)
                .map(|step| format!("{step:?}"))
                .collect();
            steps.push(format!("{step:?}"));
            scope.violation = Some((broken, steps));
            break;
        }
        let Ok(state) = after else { break };
        if !known.insert(hasher.hash_one(&state)) {
            continue;
        }
        let open = state.steps();
        scope.rests += usize::from(state.is_at_rest());
        way.push(Visit {
            state,
            open,
            by: Some(step),
        });
        scope.depth = scope.depth.max(way.len());
    }
    scope.states = known.len();
    scope.took = begun.elapsed();
    scope
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = match self.complete {
            true => "all of them",
            false => "not all of them",
        };
        write!(
            f,
            "small scope: {} distinct states ({all}), {} steps, {} at rest, at most {} steps deep, in {:.1} s; ",
            self.states,
            self.steps,
            self.rests,
            self.depth,
            self.took.as_secs_f64()
        )?;
        match &self.violation {
            None => write!(f, "no violation"),
            Some((what, steps)) => write!(f, "{what}, after:\n{}", steps.join("\n")),
        }
    }
}
