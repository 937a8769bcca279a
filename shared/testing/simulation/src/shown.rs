//! Compares what is shown beside commits with what should be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use towline_domain::ledger::What;
use towline_domain::names::{CommitSha, RepositoryId};
use towline_domain::report::{self, Line};
use towline_domain::run::Run;

use crate::watch::Known;
use crate::world::World;

impl World {
    /// Lines that should be shown beside commits and are not.
    pub(crate) fn not_shown(&self, known: &Known) -> Vec<String> {
        // If a commit has several runs, the newest that shows anything counts.
        let mut right: BTreeMap<(RepositoryId, CommitSha, String), Vec<Line>> = BTreeMap::new();
        let mut runs: Vec<&Run> = known.runs.values().map(Arc::as_ref).collect();
        runs.sort_by_key(|run| run.order);
        for run in runs {
            let mut tell = |context: String, line: Option<Line>| {
                let place = (run.key.repository, run.key.commit.clone(), context);
                let newer = line.into_iter().collect::<Vec<_>>();
                let known = right.entry(place).or_default();
                if !newer.is_empty() {
                    *known = newer;
                }
            };
            tell("towline/run".into(), report::run(run));
            for name in run.components.keys().chain(run.skipped.keys()) {
                tell(format!("towline/build/{name}"), report::build(run, name));
            }
        }
        for (key, stage) in &known.stages {
            let definitions = known.definitions.get(&key.repository);
            let definitions = definitions.map_or(&[][..], Vec::as_slice);
            let mut rows = known.rows.get(key).cloned().unwrap_or_default();
            rows.reverse();
            let mut commits: BTreeSet<&CommitSha> = BTreeSet::new();
            for row in &rows {
                if let What::Requested { commit, .. } | What::Overridden { commit, .. } = &row.what
                {
                    commits.insert(commit);
                }
            }
            for commit in commits {
                // A new definition alone does not renew what is shown.
                let rules = definitions
                    .iter()
                    .filter_map(|known| known.stage(&key.stage));
                let lines = rules.filter_map(|rule| report::stage(stage, rule, commit));
                let mut lines: Vec<Line> = lines.collect();
                if lines.is_empty() {
                    lines.extend(report::stage_before(&rows, commit));
                }
                let context = format!("towline/{}/{}", key.stage, key.component);
                right
                    .entry((key.repository, commit.clone(), context))
                    .or_default()
                    .extend(lines);
            }
        }
        let shown = |repository: RepositoryId, commit: &CommitSha, context: &str| {
            let all = self.ports.statuses.inner.of(repository, commit);
            all.into_iter().find(|status| status.context == context)
        };
        right
            .into_iter()
            .filter(|(_, lines)| !lines.is_empty())
            .filter_map(|((repository, commit, context), lines)| {
                let found = shown(repository, &commit, &context).map(|status| status.description);
                let fits = lines.iter().any(|line| Some(&line.text) == found.as_ref());
                (!fits).then(|| {
                    let short = commit.short();
                    format!("{context} of {short} shows {found:?}, not {lines:?}")
                })
            })
            .collect()
    }
}
