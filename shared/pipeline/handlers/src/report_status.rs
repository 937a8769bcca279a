//! Shows the state of each commit beside it: one line for each build and each stage.

use towline_domain::intent::{Intent, StageKey};
use towline_domain::names::{CommitSha, ComponentName, RepositoryName, RunId};
use towline_domain::report::{self, Line, Standing, Want};
use towline_domain::run::Run;
use towline_domain::stage::Stage;
use towline_ports::{CommitStatus, Key, RepositoryRef, StatusError, StatusState, Statuses};

use towline_wire::eventbridge::Envelope;
use tracing::Instrument as _;

use towline_state::Reads;
use towline_state::history;
use towline_state::keys;
use towline_state::records::RunPointer;
use towline_state::{Context, HandlerError, Owed};

use crate::settling::settle;

/// How often a line is shown again because it changed meanwhile.
const MOST_ROUNDS: usize = 5;
/// Rows of a stage's ledger to search for a commit that has left it.
const MOST_ROWS: usize = 100;

/// The settings for links.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The API's address, such as `https://towline.acme.example`; without it there are no links.
    pub url: Option<String>,
}

/// Acts on `Build Status Due`, `Stage Status Due` and `Statuses Due`.
///
/// What is shown is what is so when it is shown, so order and repetition do no harm. It is looked
/// at again afterwards: another who showed something newer in between may have been overtaken.
///
/// # Errors
/// When the store or GitHub does not answer; the intent stays owed.
pub async fn handle(
    context: Context<'_>,
    statuses: &dyn Statuses,
    settings: &Settings,
    event: &Envelope,
) -> Result<(), HandlerError> {
    let mut reads = Reads::from(context);
    let Some(owed) = reads.owed(event).await? else {
        return Ok(());
    };
    let acted = async {
        let mut reports: Vec<Report> = owed.intent.reports().iter().map(Report::of).collect();
        if reports.is_empty() {
            return Ok(());
        }
        for _ in 0..MOST_ROUNDS {
            let mut news = false;
            let mut failed = None;
            for report in &mut reports {
                match report.show(&mut reads, statuses, settings).await {
                    Ok(shown) => news |= shown,
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            let seen = reads.versions();
            if news {
                reads.again().await?;
            }
            if reads.versions() == seen {
                return finish(&reads, &owed).await;
            }
        }
        Err(HandlerError::Contended(owed.id.clone()))
    }
    .instrument(owed.span());
    settle(context, &owed, acted.await).await
}

/// Ends an intent, unless an earlier one of the same line is still owed: an invocation for that one
/// may be about to show what it read before, and die then, when another has ended its intent. So this
/// one stays owed, and shows the line once more when the sweep announces it again.
async fn finish(reads: &Reads<'_>, owed: &Owed) -> Result<(), HandlerError> {
    let own = owed.intent.reports();
    let is_same = |other: &Intent| {
        let mut lines = other.reports().iter();
        lines.any(|line| own.iter().any(|own| own.is_same_line(line)))
    };
    match reads.owes_earlier(owed, is_same)? {
        true => Ok(()),
        false => reads.finish(owed).await,
    }
}

/// One line to show.
struct Report<'a> {
    intent: &'a Intent,
    /// Its last line, if it was shown or will never be.
    said: Option<Line>,
}

impl<'a> Report<'a> {
    fn of(intent: &'a Intent) -> Self {
        Self { intent, said: None }
    }

    /// Shows the current state, unless that is shown already; returns whether it did.
    async fn show(
        &mut self,
        reads: &mut Reads<'_>,
        statuses: &dyn Statuses,
        settings: &Settings,
    ) -> Result<bool, HandlerError> {
        let now = match self.intent {
            Intent::BuildStatusDue { run, component, .. } => {
                of_run(reads, run, component.as_ref()).await?
            }
            Intent::StageStatusDue {
                stage,
                repository,
                commit,
                ..
            } => of_stage(reads, stage, repository, commit).await?,
            Intent::PushAccepted(_)
            | Intent::BuildDue(_)
            | Intent::BuildStopDue { .. }
            | Intent::ImageDue { .. }
            | Intent::IndexDue(_)
            | Intent::BuildRetryDue { .. }
            | Intent::BuildSuperseded { .. }
            | Intent::ImageRecorded { .. }
            | Intent::ImageReady { .. }
            | Intent::PromotionDue { .. }
            | Intent::DeployDue { .. }
            | Intent::StatusesDue { .. }
            | Intent::BuildWatchDue(_)
            | Intent::PromotionWatchDue { .. } => None,
        };
        let Some(now) = now.filter(|now| self.said.as_ref() != Some(&now.line)) else {
            return Ok(false);
        };
        let status = now.status(settings);
        let was_shown = match statuses.set(&now.repository, &now.commit, &status).await {
            Ok(()) => true,
            Err(StatusError::Refused(why)) => {
                tracing::warn!(
                    repository = now.repository.name.as_str(),
                    commit = now.commit.short(),
                    context = status.context,
                    reason = why.to_string(),
                    "not shown beside the commit"
                );
                false
            }
            Err(StatusError::Port(error)) => return Err(error.into()),
        };
        self.said = Some(now.line);
        Ok(was_shown)
    }
}

/// A line and its place.
struct Shown {
    repository: RepositoryRef,
    commit: CommitSha,
    context: String,
    line: Line,
}

impl Shown {
    fn status(&self, settings: &Settings) -> CommitStatus {
        let url = settings.url.as_deref();
        CommitStatus {
            context: self.context.clone(),
            state: match self.line.standing {
                Standing::Pending => StatusState::Pending,
                Standing::Success => StatusState::Success,
                Standing::Failure => StatusState::Failure,
                Standing::Error => StatusState::Error,
            },
            description: self.line.text.clone(),
            target_url: url.map(|url| {
                let url = url.trim_end_matches('/');
                format!("{url}/v1/commit?commit={}", self.commit)
            }),
        }
    }
}

async fn of_run(
    reads: &mut Reads<'_>,
    id: &RunId,
    component: Option<&ComponentName>,
) -> Result<Option<Shown>, HandlerError> {
    let Some(run) = reads.read::<Run>(&keys::run(id)).await? else {
        return Ok(None);
    };
    let run = run.value;
    let beside = keys::commit(&run.key.commit, run.key.repository);
    let beside = reads.read::<RunPointer>(&beside).await?;
    let beside: Vec<Key> = beside
        .iter()
        .flat_map(|beside| beside.value.runs())
        .map(keys::run)
        .collect();
    reads.load(beside.clone()).await?;
    let mut runs = vec![run];
    for key in beside {
        runs.extend(reads.value::<Run>(&key).await?);
    }
    let line = report::newest(&runs, component);
    let run = runs.swap_remove(0);
    let context = match component {
        None => "towline/run".into(),
        Some(component) => format!("towline/build/{component}"),
    };
    Ok(line.map(|line| Shown {
        repository: RepositoryRef {
            id: run.key.repository,
            name: run.repository_name,
        },
        commit: run.key.commit,
        context,
        line,
    }))
}

async fn of_stage(
    reads: &mut Reads<'_>,
    key: &StageKey,
    repository: &RepositoryName,
    commit: &CommitSha,
) -> Result<Option<Shown>, HandlerError> {
    let Some(stage) = reads.read::<Stage>(&keys::stage(key)).await? else {
        return Ok(None);
    };
    Ok(line_of_stage(reads, key, &stage.value, commit)
        .await?
        .map(|line| Shown {
            repository: RepositoryRef {
                id: key.repository,
                name: repository.clone(),
            },
            commit: commit.clone(),
            context: format!("towline/{}/{}", key.stage, key.component),
            line,
        }))
}

async fn line_of_stage(
    reads: &mut Reads<'_>,
    key: &StageKey,
    stage: &Stage,
    commit: &CommitSha,
) -> Result<Option<Line>, HandlerError> {
    match report::wants(stage, commit) {
        Some(Want::Rule) => {
            let definition = reads.trusted(key.repository).await?;
            let rule = definition.as_ref();
            let rule = rule.and_then(|known| known.stage(&key.stage));
            Ok(rule.and_then(|rule| report::stage(stage, rule, commit)))
        }
        Some(Want::Ledger) => {
            let rows = history::ledger(reads.context(), stage, MOST_ROWS).await?;
            Ok(report::stage_before(&rows, commit))
        }
        None => Ok(report::live(stage, commit)),
    }
}
