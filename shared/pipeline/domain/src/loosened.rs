//! Old rules that the default branch has loosened. They hold until a promotion with the change was
//! approved under them, so that no push opens its own gate.

use crate::definition::{ApprovalRule, Source};
use crate::names::StageName;
use crate::trusted::{Older, Trusted};

/// The most rules to keep of one stage.
const MOST_OF_A_STAGE: usize = 20;

impl Older {
    /// Whether something may enter the stage that these rules stop.
    fn is_loosened_by(&self, new: &Trusted) -> bool {
        let definition = &new.definition;
        let now = definition.stage(&self.stage);
        let now = now.and_then(|rule| rule.approval.as_ref());
        let known = branches(&self.source, &self.branch);
        let mut branches = branches(&definition.source, &new.branch).into_iter();
        let mut tags = definition.source.tags.iter();
        let mut overrule = definition.rights.overrule.iter();
        is_looser(&self.gate, now)
            || branches.any(|branch| !known.contains(&branch))
            || tags.any(|tag| !self.source.tags.contains(tag))
            || overrule.any(|group| !self.overrule.contains(group))
    }

    /// Whether the rules are the same, regardless of what loosened them.
    fn is_like(&self, other: &Self) -> bool {
        let same_rules = self.gate == other.gate && self.overrule == other.overrule;
        let same_refs = self.source == other.source && self.branch == other.branch;
        self.stage == other.stage && same_rules && same_refs
    }
}

/// The older rules that hold once `new` applies instead of `before`.
#[must_use]
pub fn after(before: &Trusted, new: &Trusted) -> Vec<Older> {
    let mut older = before.older.clone();
    older.retain(|known| known.is_loosened_by(new));
    let source = &before.definition.source;
    for rule in &before.definition.stages {
        let Some(gate) = &rule.approval else { continue };
        let rules = Older {
            stage: rule.name.clone(),
            gate: gate.clone(),
            source: Source {
                skip_message: Vec::new(), // it admits pushes, not images
                ..source.clone()
            },
            branch: before.branch.clone(),
            overrule: before.definition.rights.overrule.clone(),
            commit: new.commit.clone(),
            order: new.order,
        };
        if rules.is_loosened_by(new) {
            keep(&mut older, rules);
        }
    }
    older
}

/// Keeps rules. If the same rules are kept already, or there is no more room, other kept rules are
/// prolonged instead.
fn keep(older: &mut Vec<Older>, new: Older) {
    let is_of_stage = |known: &Older| known.stage == new.stage;
    let count = older.iter().filter(|known| is_of_stage(known)).count();
    let newest = older.iter().rposition(is_of_stage);
    let same = older.iter().position(|known| known.is_like(&new));
    let prolonged = same.or(newest.filter(|_| count >= MOST_OF_A_STAGE));
    match prolonged.and_then(|place| older.get_mut(place)) {
        Some(known) => (known.commit, known.order) = (new.commit, new.order),
        None => older.push(new),
    }
}

/// The patterns of branches that a source admits.
fn branches(source: &Source, default_branch: &str) -> Vec<String> {
    match source.branches.as_slice() {
        [] => vec![default_branch.to_owned()],
        globs => globs.iter().map(|glob| glob.as_str().to_owned()).collect(),
    }
}

/// Whether a gate lets something pass that the older one would stop.
fn is_looser(old: &ApprovalRule, new: Option<&ApprovalRule>) -> bool {
    let Some(new) = new else { return true };
    let wider = match (old.groups.as_slice(), new.groups.as_slice()) {
        ([], _) => false,
        (_, []) => true,
        (old, new) => new.iter().any(|group| !old.contains(group)),
    };
    let longer = match (old.expires, new.expires) {
        (Some(old), Some(new)) => new > old,
        (Some(_), None) => true,
        (None, _) => false,
    };
    new.min < old.min || wider || longer || (new.allow_self && !old.allow_self)
}

/// The older rules that still hold for a stage that has accepted all changes up to an order number.
pub fn in_force<'a>(
    trusted: &'a Trusted,
    stage: &'a StageName,
    accepted: u64,
) -> impl Iterator<Item = &'a Older> {
    let older = trusted.older.iter();
    older.filter(move |older| older.stage == *stage && older.order > accepted)
}
