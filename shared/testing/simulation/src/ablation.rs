//! Takes single mechanisms out, and shows which invariant then fails, and how soon.

use std::fmt;
use std::sync::Arc;

use towline_bus::Router;

use crate::campaign::live;
use crate::mechanism::Mechanism;
use crate::plan::Plan;
use crate::weather::Weather;

/// Seeds within which every absence must be noticed.
pub const MOST_SEEDS: u64 = 2_000;

/// What is taken out together, and the weather that shows it soonest.
#[derive(Debug, Clone, Copy)]
pub struct Ablation {
    pub out: &'static [Mechanism],
    pub weather: Weather,
    /// Whether it takes more seeds than a test has time for.
    pub is_rare: bool,
}

/// Each mechanism; those that another one hides are taken out together with it.
pub const ABLATIONS: &[Ablation] = &[
    alone(&[Mechanism::Token], Weather::Rough),
    rare(&[Mechanism::FindOrStart], Weather::Outage),
    alone(&[Mechanism::Binding, Mechanism::Token], Weather::Rough),
    rare(&[Mechanism::SerialWriter], Weather::Rough),
    alone(&[Mechanism::Fence, Mechanism::SerialWriter], Weather::Rough),
    alone(&[Mechanism::HeadCheck], Weather::Rough),
    alone(&[Mechanism::Polling], Weather::Rough),
    alone(&[Mechanism::Comparison], Weather::Rough),
    alone(&[Mechanism::Announcing], Weather::Rough),
    alone(&[Mechanism::Supersede], Weather::Calm),
    rare(&[Mechanism::ApprovalBinding], Weather::Calm),
    alone(&[Mechanism::CommitCheck], Weather::Calm),
    alone(&[Mechanism::Inbox], Weather::Rough),
    alone(&[Mechanism::RowsFirst], Weather::Calm),
    alone(&[Mechanism::Rows], Weather::Calm),
    alone(&[Mechanism::Authors], Weather::Calm),
    alone(&[Mechanism::CacheTrust], Weather::Calm),
    alone(&[Mechanism::TagPassword], Weather::Calm),
    alone(&[Mechanism::Fairness], Weather::Calm),
    alone(&[Mechanism::Release], Weather::Calm),
];

const fn alone(out: &'static [Mechanism], weather: Weather) -> Ablation {
    let is_rare = false;
    Ablation {
        out,
        weather,
        is_rare,
    }
}

const fn rare(out: &'static [Mechanism], weather: Weather) -> Ablation {
    let is_rare = true;
    Ablation {
        is_rare,
        ..alone(out, weather)
    }
}

/// What the absence of a mechanism led to.
#[derive(Debug)]
pub struct Found {
    pub ablation: Ablation,
    /// The first seed that shows it, how many were needed, and the fault.
    pub shown: Option<(u64, u64, String)>,
}

impl Ablation {
    /// Runs seeds without the mechanism until one breaks.
    #[must_use]
    pub fn find(self, first: u64, most: u64, router: &Arc<Router>) -> Found {
        let shown = (0..most).find_map(|count| {
            let seed = first.wrapping_add(count);
            let mut plan = Plan::of(seed, self.weather);
            plan.without.extend(self.out);
            let outcome = live(&plan, router);
            let fault = outcome.faults.first().cloned()?;
            Some((seed, count + 1, fault))
        });
        Found {
            ablation: self,
            shown,
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.ablation.out.iter().map(|it| it.word()).collect();
        let out = words.join(" and ");
        let weather = self.ablation.weather.word();
        match &self.shown {
            None => write!(f, "| {out} | {weather} | none | | not noticed |"),
            Some((seed, needed, fault)) => {
                let (id, _) = fault.split_once(':').unwrap_or((fault, ""));
                write!(f, "| {out} | {weather} | {seed} | {needed} | {id} |")
            }
        }
    }
}
