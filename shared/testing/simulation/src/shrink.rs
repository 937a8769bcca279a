//! Shrinks a broken seed to the shortest story that breaks the same invariant.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use towline_bus::Router;

use crate::campaign::{Outcome, live, tell};
use crate::chance::Occurrence;
use crate::plan::{Act, Plan};
use crate::weather::Fault;

/// Shrinking stops after this many worlds.
const MOST_WORLDS: u32 = 3_000;

/// A broken seed, shrunk.
#[derive(Debug)]
pub struct Shrunk {
    /// What is left of the plan.
    pub plan: Plan,
    /// Acts and faults before shrinking.
    pub before: (usize, usize),
    /// How many worlds were tried.
    pub worlds: u32,
    /// What still does not hold, and all that happens until then.
    pub outcome: Outcome,
}

/// Shrinks a plan; none if it breaks nothing.
#[must_use]
pub fn shrink(plan: &Plan, router: &Arc<Router>) -> Option<Shrunk> {
    let outcome = live(plan, router);
    let mut search = Search {
        breaks: invariant(&outcome)?,
        worlds: 1,
        router,
    };
    let all: BTreeSet<Occurrence> = outcome.happened.iter().copied().collect();
    let before = (plan.acts.len(), all.len());
    let mut left = Plan {
        only: Some(all),
        ..plan.clone()
    };
    loop {
        let size = size(&left);
        search.drop_kinds(&mut left);
        let acts = |plan: &Plan, acts: Vec<Act>| Plan {
            acts,
            ..plan.clone()
        };
        let known = left.acts.clone();
        search.reduce(&mut left, known, acts);
        let faults = |plan: &Plan, faults: Vec<Occurrence>| Plan {
            only: Some(faults.into_iter().collect()),
            ..plan.clone()
        };
        let known = left.only.iter().flatten().copied().collect();
        search.reduce(&mut left, known, faults);
        search.simplify(&mut left);
        if self::size(&left) == size || search.worlds >= MOST_WORLDS {
            break;
        }
    }
    Some(Shrunk {
        outcome: tell(&left, false, router),
        plan: left,
        before,
        worlds: search.worlds,
    })
}

fn size(plan: &Plan) -> usize {
    plan.acts.len() + plan.only.as_ref().map_or(0, BTreeSet::len)
}

/// The id of the first invariant that did not hold, such as `I9`; the first words if it has none.
fn invariant(outcome: &Outcome) -> Option<String> {
    let first = outcome.faults.first()?;
    let id = first.split(':').next().unwrap_or_default();
    Some(id.chars().take(40).collect())
}

struct Search<'a> {
    breaks: String,
    worlds: u32,
    router: &'a Arc<Router>,
}

impl Search<'_> {
    fn still(&mut self, plan: &Plan) -> bool {
        self.worlds += 1;
        invariant(&live(plan, self.router)).as_ref() == Some(&self.breaks)
    }

    /// Keeps the change if the plan still breaks the same invariant.
    fn attempt(&mut self, left: &mut Plan, change: Plan) -> bool {
        let still = self.worlds < MOST_WORLDS && self.still(&change);
        if still {
            *left = change;
        }
        still
    }

    /// Takes away all faults of a kind.
    fn drop_kinds(&mut self, left: &mut Plan) {
        for fault in Fault::ALL {
            let mut only = left.only.clone().unwrap_or_default();
            let before = only.len();
            only.retain(|(kind, _)| *kind != fault);
            if only.len() < before {
                let only = Some(only);
                let change = Plan {
                    only,
                    ..left.clone()
                };
                self.attempt(left, change);
            }
        }
    }

    /// Delta debugging: takes away ever smaller parts of a list (Zeller and Hildebrandt, "Simplifying
    /// and isolating failure-inducing input", 2002).
    fn reduce<T: Clone>(
        &mut self,
        left: &mut Plan,
        mut list: Vec<T>,
        with: impl Fn(&Plan, Vec<T>) -> Plan,
    ) {
        let mut part = list.len().div_ceil(2);
        while part > 0 && !list.is_empty() {
            let mut from = 0;
            let mut shrunk = false;
            while from < list.len() && self.worlds < MOST_WORLDS {
                let until = (from + part).min(list.len());
                let mut fewer = list.clone();
                fewer.drain(from..until);
                let change = with(left, fewer.clone());
                if self.attempt(left, change) {
                    list = fewer;
                    shrunk = true;
                } else {
                    from = until;
                }
            }
            if self.worlds >= MOST_WORLDS {
                return;
            }
            part = match (part, shrunk) {
                (1, false) => 0,
                (1, true) => 1,
                _ => part.div_ceil(2),
            };
        }
    }

    /// Removes concurrency and days without sweeps, if the plan still breaks the same invariant.
    fn simplify(&mut self, left: &mut Plan) {
        let mut one = left.clone();
        one.profile.concurrency = 1;
        if left.profile.concurrency > 1 {
            self.attempt(left, one);
        }
        if !left.silence.is_zero() {
            let change = Plan {
                silence: std::time::Duration::ZERO,
                ..left.clone()
            };
            self.attempt(left, change);
        }
    }
}

impl Shrunk {
    /// The story, for people.
    #[must_use]
    pub fn told(&self) -> String {
        let plan = &self.plan;
        let (acts, faults) = self.before;
        let only = plan.only.as_ref().map_or(0, BTreeSet::len);
        let text = format!(
            "{} seed {}: of {acts} acts and {faults} faults, {} and {only} are left after {} worlds, with {} at once\n",
            plan.weather.word(),
            plan.seed,
            plan.acts.len(),
            self.worlds,
            plan.profile.concurrency,
        );
        text + &story(&self.outcome)
    }
}

/// What happened in a world, and what did not hold, one line each.
#[must_use]
pub fn story(outcome: &Outcome) -> String {
    let mut text = String::new();
    for (at, what) in &outcome.story {
        let at = at.strftime("%d %H:%M:%S%.3f");
        let _ = writeln!(text, "{at}  {what}");
    }
    for fault in &outcome.faults {
        let _ = writeln!(text, "then: {fault}");
    }
    text
}
