//! Questions: each is answered from the ledger, in a few reads and no scan.

use towline_domain::Timestamp;
use towline_domain::explain;
use towline_domain::image::Image;
use towline_domain::ledger::TagMove;
use towline_domain::names::{BuildId, ComponentName, GitRef, ImageRepository, RepositoryName, Tag};
use towline_domain::run::{Attempt, Run};
use towline_domain::untrusted::Untrusted;
use towline_ports::{Builds, Query as StoreQuery};

use super::answers::{
    Answer, BuildAnswer, ImageAnswer, ImageLine, Reason, RunAnswer, Skipped, TagState,
};
use super::lookup::{self, Found};
use super::stages::{found, history, live_in, live_lines, now, places, stages_of};
use super::{ChatError, Query, refused};
use towline_state::keys;
use towline_state::records::{ImagePointer, Repository, RunPointer, TagNow};
use towline_state::{Context, Read};

/// Lines answered when nobody says how many.
const USUAL_LIMIT: usize = 10;
/// Lines answered at most.
const MOST_LINES: usize = 500;

fn limited(limit: Option<usize>) -> usize {
    limit.unwrap_or(USUAL_LIMIT).clamp(1, MOST_LINES)
}

/// Answers a question.
///
/// # Errors
/// When what is asked for is not there or not clear, or the store does not answer.
pub async fn ask(
    context: Context<'_>,
    builds: &dyn Builds,
    query: Query,
) -> Result<Answer, ChatError> {
    match query {
        Query::Tags {
            component,
            branch,
            limit,
            repository,
        } => {
            tags(
                context,
                &component,
                branch,
                limited(limit),
                repository.as_ref(),
            )
            .await
        }
        Query::Commit { commit } => {
            let (commit, runs) = lookup::commit(context, &commit).await?;
            let mut answers = Vec::new();
            for run in &runs {
                answers.push(run_answer(context, run).await?);
            }
            Ok(Answer::Commit {
                commit,
                runs: answers,
            })
        }
        Query::Image {
            image,
            component,
            repository,
        } => images(context, &image, component.as_ref(), repository.as_ref()).await,
        Query::History {
            component,
            stage,
            limit,
            repository,
        } => {
            history(
                context,
                &component,
                &stage,
                limited(limit),
                repository.as_ref(),
            )
            .await
        }
        Query::Now {
            stage,
            component,
            at,
        } => now(context, stage.as_ref(), component.as_ref(), at).await,
        Query::Where {
            reference,
            repository,
        } => places(context, &reference, repository.as_ref()).await,
        Query::Why {
            reference,
            component,
            repository,
        } => why(context, &reference, component.as_ref(), repository.as_ref()).await,
        Query::Runs { limit, repository } => {
            runs(context, limited(limit), repository.as_ref()).await
        }
        Query::Log {
            build,
            from,
            repository,
        } => {
            log(
                context,
                builds,
                build,
                from.unwrap_or(0),
                repository.as_ref(),
            )
            .await
        }
    }
}

async fn tags(
    context: Context<'_>,
    name: &ComponentName,
    branch: Option<String>,
    limit: usize,
    repository: Option<&RepositoryName>,
) -> Result<Answer, ChatError> {
    let found = lookup::component(context, name, repository).await?;
    let git_ref = branch.map(GitRef::Branch);
    let partition = keys::images(found.repository.id, name, git_ref.as_ref());
    let listed = StoreQuery::all(partition).newest_first().limit(limit);
    let listed = context.store.query(&listed).await?;
    let stages = stages_of(context, &found).await?;
    let stage_tags: Vec<&Tag> = found
        .definition
        .stages
        .iter()
        .flat_map(|rule| &rule.tags)
        .collect();
    let mut lines = Vec::new();
    for item in listed.items {
        let pointer = Read::<ImagePointer>::of(&item)?.value;
        let image = lookup::image(context, &pointer.repository, &pointer.digest).await?;
        // Of two who recorded it at once, one has left a row at a time of its own.
        let Some(image) = image.filter(|image| {
            let listed_at = keys::moment(image.at);
            item.key.sort.starts_with(&listed_at)
        }) else {
            continue;
        };
        lines.push(ImageLine {
            tags: image
                .tags
                .iter()
                .filter(|tag| !stage_tags.contains(tag))
                .cloned()
                .collect(),
            commit: image.built.as_ref().map(|built| built.commit.clone()),
            git_ref: image.built.as_ref().map(|built| built.git_ref.clone()),
            build: image.built.as_ref().map(|built| built.build_number),
            at: image.at,
            stages: live_in(&stages, &image.digest),
            digest: image.digest,
        });
    }
    Ok(Answer::Tags {
        component: name.clone(),
        images: lines,
    })
}

async fn run_answer(context: Context<'_>, run: &Run) -> Result<RunAnswer, ChatError> {
    let mut builds = Vec::new();
    for (name, component) in &run.components {
        let attempt = component.latest();
        let stages = match found(context, run, name).await? {
            Some(found) => stages_of(context, &found).await?,
            None => Vec::new(),
        };
        builds.push(BuildAnswer {
            component: name.clone(),
            build: attempt.build_number,
            attempt: attempt.number,
            state: attempt.state.word().into(),
            why: explain::attempt(attempt),
            because: component.reason.to_string(),
            seconds: seconds(attempt, context.now()),
            digest: attempt.image.clone(),
            tags: attempt.tags.clone(),
            stages: attempt
                .image
                .as_ref()
                .map(|digest| live_in(&stages, digest))
                .unwrap_or_default(),
            outputs: attempt
                .outputs
                .iter()
                .map(|(name, text)| (name.clone(), Untrusted::first_line(text).display()))
                .collect(),
        });
    }
    Ok(RunAnswer {
        run: run.id.clone(),
        repository: run.repository_name.clone(),
        git_ref: run.key.git_ref.clone(),
        commit: run.key.commit.clone(),
        title: run.title.display(),
        pusher: Untrusted::first_line(&run.pusher).display(),
        at: run.at,
        status: run.status(),
        refused: run.refused.as_ref().map(ToString::to_string),
        builds,
        skipped: run
            .skipped
            .iter()
            .map(|(component, reason)| Skipped {
                component: component.clone(),
                reason: reason.to_string(),
            })
            .collect(),
        notes: run.notes.clone(),
    })
}

/// How long an attempt's build took, or has taken.
fn seconds(attempt: &Attempt, now: Timestamp) -> Option<i64> {
    let started = attempt.started_at?;
    Some(
        attempt
            .ended_at
            .unwrap_or(now)
            .duration_since(started)
            .as_secs()
            .max(0),
    )
}

async fn images(
    context: Context<'_>,
    reference: &str,
    component: Option<&ComponentName>,
    repository: Option<&RepositoryName>,
) -> Result<Answer, ChatError> {
    let of = match component {
        Some(component) => Some(repository_of(context, component, repository).await?),
        None => None,
    };
    let mut answers = Vec::new();
    for image in lookup::images(context, reference, of.as_ref(), repository).await? {
        answers.push(image_answer(context, image).await?);
    }
    Ok(Answer::Image { images: answers })
}

async fn repository_of(
    context: Context<'_>,
    component: &ComponentName,
    repository: Option<&RepositoryName>,
) -> Result<ImageRepository, ChatError> {
    let found = lookup::component(context, component, repository).await?;
    match found.definition.component(component) {
        Some(component) => Ok(component.repository.clone()),
        None => refused(format!(
            "component {component} is no longer in the default branch's definition"
        )),
    }
}

async fn image_answer(context: Context<'_>, image: Image) -> Result<ImageAnswer, ChatError> {
    let mut tags = Vec::new();
    for tag in &image.tags {
        let now = context
            .read::<TagNow>(&keys::tag(&image.repository, tag))
            .await?;
        let moved = match now {
            Some(now) => Some(now.value.last_move()),
            // Not moved since before where it points was kept here: its moves have always been.
            None => {
                let moves = StoreQuery::all(keys::tag_moves(&image.repository, tag));
                context.list(&moves.newest_first().limit(1)).await?.pop()
            }
        };
        tags.push(TagState {
            tag: tag.clone(),
            current: moved
                .as_ref()
                .is_some_and(|moved: &TagMove| moved.to == image.digest),
            moved,
        });
    }
    let mut live = Vec::new();
    if let Some(claim) = lookup::owner(context, &image.repository).await? {
        let all = lookup::repositories(context).await?;
        if let Some(repository) = all.into_iter().find(|known| known.id == claim.repository)
            && let Some(definition) = lookup::definition(context, &repository).await?
        {
            let found = Found {
                repository,
                definition,
                component: claim.component,
            };
            let lines = live_lines(context, &found, None).await?;
            live = lines
                .into_iter()
                .filter(|line| {
                    line.image
                        .as_ref()
                        .is_some_and(|live| live.digest == image.digest)
                })
                .collect();
        }
    }
    Ok(ImageAnswer {
        repository: image.repository,
        digest: image.digest,
        media_type: image.media_type,
        size: image.size,
        platforms: image.platforms,
        at: image.at,
        built: image.built,
        tags,
        live,
    })
}

async fn why(
    context: Context<'_>,
    reference: &str,
    component: Option<&ComponentName>,
    repository: Option<&RepositoryName>,
) -> Result<Answer, ChatError> {
    let (commit, runs) = lookup::runs(context, reference, repository).await?;
    let reasons = runs
        .iter()
        .flat_map(|run| reasons_of(run, component))
        .collect();
    Ok(Answer::Why { commit, reasons })
}

fn reasons_of(run: &Run, only: Option<&ComponentName>) -> Vec<Reason> {
    let reason = |component: Option<&ComponentName>, built: bool, why: &str| Reason {
        run: run.id.clone(),
        component: component.cloned(),
        built,
        skipped: false,
        why: why.into(),
    };
    let asked = |name: &ComponentName| only.is_none_or(|only| only == name);
    let whole = run.refused.iter();
    let whole = whole.map(|why| Reason {
        skipped: why.is_wanted(),
        ..reason(None, false, &why.to_string())
    });
    let built = run
        .components
        .iter()
        .filter(|(name, _)| asked(name))
        .map(|(name, known)| {
            reason(
                Some(name),
                true,
                &format!("{}; {}", known.reason, explain::attempt(known.latest())),
            )
        });
    let skipped = run
        .skipped
        .iter()
        .filter(|(name, _)| asked(name))
        .map(|(name, why)| reason(Some(name), false, &why.to_string()));
    let notes = run
        .notes
        .iter()
        .filter(|_| only.is_none())
        .map(|note| reason(None, true, note));
    whole.chain(built).chain(skipped).chain(notes).collect()
}

async fn runs(
    context: Context<'_>,
    limit: usize,
    only: Option<&RepositoryName>,
) -> Result<Answer, ChatError> {
    let mut found: Vec<Run> = Vec::new();
    let all = lookup::repositories(context).await?;
    let asked = |known: &&Repository| {
        only.is_none_or(|only| known.name.as_str().eq_ignore_ascii_case(only.as_str()))
    };
    if let Some(only) = only.filter(|_| !all.iter().any(|known| asked(&known))) {
        let names: Vec<&str> = all.iter().map(|known| known.name.as_str()).collect();
        return refused(format!(
            "no push of {only} was accepted; there are: {}",
            names.join(", ")
        ));
    }
    for repository in all.iter().filter(asked) {
        let query = StoreQuery::all(keys::runs(repository.id))
            .newest_first()
            .limit(limit);
        for pointer in context.list::<RunPointer>(&query).await? {
            found.extend(
                context
                    .read::<Run>(&keys::run(&pointer.run))
                    .await?
                    .map(|read| read.value),
            );
        }
    }
    found.sort_by_key(|run| std::cmp::Reverse((run.at, run.order)));
    found.truncate(limit);
    let mut answers = Vec::new();
    for run in &found {
        answers.push(run_answer(context, run).await?);
    }
    Ok(Answer::Runs { runs: answers })
}

/// The log of a build for several platforms is that of each, one after the other: the bits of a
/// place in it from this one on say which.
const PART: u32 = 40;

async fn log(
    context: Context<'_>,
    builds: &dyn Builds,
    number: u64,
    from: u64,
    repository: Option<&RepositoryName>,
) -> Result<Answer, ChatError> {
    let (of, run) = lookup::build(context, number, repository).await?;
    let Some((_, _, attempt)) = run.attempt(&of.attempt) else {
        return refused(format!("there is no build#{number}"));
    };
    let parts: Vec<&Attempt> = attempt.builds().collect();
    let mut from = from;
    loop {
        let position = usize::try_from(from >> PART).unwrap_or(usize::MAX);
        let at = from & ((1 << PART) - 1);
        let part = *parts.get(position).unwrap_or(&attempt);
        let ended = part.state.is_terminal() || part.build_succeeded;
        let bytes = match &part.build {
            Some(build) => part_of_log(builds, build, at).await?,
            None if ended && parts.len() == 1 => return refused(explain::attempt(part)),
            None => Vec::new(),
        };
        let is_last = position + 1 >= parts.len();
        if ended && bytes.is_empty() && !is_last {
            from = (position as u64 + 1) << PART;
            continue;
        }
        let begins = at == 0 && !bytes.is_empty();
        let heading = part.platform.iter().filter(|_| begins);
        let heading: String = heading.map(|platform| format!("[{platform}]\n")).collect();
        return Ok(Answer::Log {
            build: number,
            next: from + bytes.len() as u64,
            text: heading + &String::from_utf8_lossy(&bytes),
            ended: ended && is_last,
        });
    }
}

async fn part_of_log(
    builds: &dyn Builds,
    build: &BuildId,
    from: u64,
) -> Result<Vec<u8>, ChatError> {
    match builds.log(build, from).await? {
        Some(bytes) => Ok(bytes),
        None => refused(format!("the log of {build} is gone")),
    }
}
