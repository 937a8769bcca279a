//! Takes single mechanisms out, and shows which invariant then fails, and how soon.
//!
//! The product has no switches: a mechanism is taken out at a port, by hiding from the handlers what the
//! mechanism looks at.

use std::fmt;
use std::mem;
use std::sync::Arc;

use serde_json::{Value, json};
use towline_bus::Router;
use towline_ports::{Announcement, Item, Write};

use crate::campaign::live;
use crate::chance::Chance;
use crate::plan::Plan;
use crate::weather::Weather;

/// Seeds within which every absence must be noticed.
pub const MOST_SEEDS: u64 = 2_000;

/// A mechanism that keeps an invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mechanism {
    /// The same token starts the same build.
    Token,
    /// A build whose token may be forgotten is looked for before another is started.
    FindOrStart,
    /// One build is bound to an attempt, once.
    Binding,
    /// Only one writer at a time holds a stage's lease.
    SerialWriter,
    /// A writer that lost the lease cannot finish.
    Fence,
    /// A push is compared with where its ref is now.
    HeadCheck,
    /// Builds whose events were lost are looked up.
    Polling,
    /// The sweep compares the heads of refs, so that a push whose webhook was lost is found.
    Comparison,
    /// What is owed is announced again.
    Announcing,
    /// An older build of the same component ends.
    Supersede,
    /// An approval counts for one promotion.
    ApprovalBinding,
    /// Before its tags are set, a promotion's commit is looked for on the refs.
    CommitCheck,
    /// An accepted push stays owed until it is planned.
    Inbox,
    /// Rows are written before the item that makes them count.
    RowsFirst,
    /// Rows are written at all.
    Rows,
}

impl Mechanism {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::FindOrStart => "find or start",
            Self::Binding => "binding",
            Self::SerialWriter => "serial writer",
            Self::Fence => "fence",
            Self::HeadCheck => "head check",
            Self::Polling => "polling",
            Self::Comparison => "comparison of heads",
            Self::Announcing => "announcing again",
            Self::Supersede => "supersede",
            Self::ApprovalBinding => "approval binding",
            Self::CommitCheck => "commit check",
            Self::Inbox => "inbox",
            Self::RowsFirst => "rows before head",
            Self::Rows => "rows",
        }
    }
}

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

/// An item as a handler sees it.
pub(crate) fn read(chance: &Chance, item: Item) -> Item {
    let partition = &item.key.partition;
    let forgets = partition.starts_with("RUN#") && chance.lacks(Mechanism::Binding);
    let is_stage = partition.starts_with("STAGES#");
    let ends = is_stage && chance.lacks(Mechanism::SerialWriter);
    let shares = is_stage && chance.lacks(Mechanism::ApprovalBinding);
    if !forgets && !ends && !shares {
        return item;
    }
    let mut body = item.body.into_json();
    if forgets {
        let components = body["components"].as_object_mut().into_iter();
        for component in components.flat_map(|known| known.values_mut()) {
            forget_builds(&mut component["attempts"]);
        }
    }
    if ends && let Some(lease) = body.get_mut("lease") {
        lease["until"] = json!("1970-01-01T00:00:00Z");
    }
    if shares {
        share_approvals(&mut body);
    }
    Item {
        body: body.into(),
        ..item
    }
}

fn forget_builds(attempts: &mut Value) {
    for attempt in attempts.as_array_mut().into_iter().flatten() {
        if let Some(attempt) = attempt.as_object_mut() {
            if attempt["state"]["state"] == "building" {
                attempt.remove("build");
            }
            if let Some(parts) = attempt.get_mut("parts") {
                forget_builds(parts);
            }
        }
    }
}

/// Every promotion of a stage has the approvals of all.
fn share_approvals(stage: &mut Value) {
    let Some(waiting) = stage.get_mut("waiting").and_then(Value::as_array_mut) else {
        return;
    };
    let all: Vec<Value> = waiting
        .iter()
        .filter_map(|promotion| promotion.get("approvals")?.as_array())
        .flatten()
        .cloned()
        .collect();
    if !all.is_empty() {
        for promotion in waiting {
            promotion["approvals"] = json!(all);
        }
    }
}

/// A transaction as it reaches the store.
pub(crate) fn write(chance: &Chance, writes: &mut [Write]) {
    let forgets = chance.lacks(Mechanism::Supersede);
    let drops = chance.lacks(Mechanism::Inbox);
    if !forgets && !drops {
        return;
    }
    for write in writes {
        let (Write::Create { key, body, due }
        | Write::Replace { key, body, due, .. }
        | Write::Put { key, body, due }) = write
        else {
            continue;
        };
        if drops && key.partition.starts_with("INBOX#") {
            *due = None;
        }
        if forgets && body.get("owes").is_some() {
            let mut json = mem::take(body).into_json();
            if let Some(owes) = json["owes"].as_array_mut() {
                owes.retain(|owed| owed["intent"]["type"] != "build_superseded");
            }
            *body = json.into();
        }
    }
}

/// Announcements as they reach the bus.
pub(crate) fn announce(chance: &Chance, announcements: &mut Vec<Announcement>) {
    if chance.lacks(Mechanism::Supersede) {
        announcements.retain(|it| it.detail_type != "Build Superseded");
    }
}
