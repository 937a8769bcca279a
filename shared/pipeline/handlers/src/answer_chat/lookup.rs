//! From what a person types to what it means: one thing, or a sentence that says why not.

use std::collections::BTreeMap;

use towline_domain::definition::Definition;
use towline_domain::explain;
use towline_domain::image::Image;
use towline_domain::intent::AttemptRef;
use towline_domain::names::{
    CommitSha, ComponentName, Digest, ImageRepository, RepositoryId, RepositoryName, Tag,
};
use towline_domain::run::Run;
use towline_ports::Query as StoreQuery;

use super::{ChatError, refused};
use towline_state::keys;
use towline_state::records::{
    Claim, ImagePointer, Inbox, PromotionPointer, Repository, RunPointer, TagNow, Trusted,
};
use towline_state::{Context, Read};

/// Things listed before a person is asked to be more exact.
const MOST_FOUND: usize = 50;

/// A component of one repository, with the definition that rules its stages.
pub(super) struct Found {
    pub(super) repository: Repository,
    pub(super) definition: Definition,
    pub(super) component: ComponentName,
}

/// Every repository that has pushed.
pub(super) async fn repositories(context: Context<'_>) -> Result<Vec<Repository>, ChatError> {
    Ok(context.list(&StoreQuery::all(keys::REPOSITORIES)).await?)
}

/// The repository of that name, or the only one there is.
async fn chosen(
    context: Context<'_>,
    ids: &[RepositoryId],
    name: Option<&RepositoryName>,
    what: &str,
) -> Result<Repository, ChatError> {
    let all = repositories(context).await?;
    let fits = |known: &&Repository| {
        ids.contains(&known.id)
            && name.is_none_or(|name| known.name.as_str().eq_ignore_ascii_case(name.as_str()))
    };
    let found: Vec<&Repository> = all.iter().filter(fits).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let place = name.map(|name| format!(" in {name}")).unwrap_or_default();
            refused(format!("there is no {what}{place}"))
        }
        several => {
            let names: Vec<&str> = several.iter().map(|known| known.name.as_str()).collect();
            refused(format!(
                "{what} is in several repositories; say which with --repository: {}",
                names.join(", ")
            ))
        }
    }
}

/// The definition that rules a repository's stages.
pub(super) async fn definition(
    context: Context<'_>,
    repository: &Repository,
) -> Result<Option<Definition>, ChatError> {
    Ok(context
        .read::<Trusted>(&keys::trusted_definition(repository.id))
        .await?
        .map(|read| read.value.definition))
}

/// A component by name.
pub(super) async fn component(
    context: Context<'_>,
    name: &ComponentName,
    repository: Option<&RepositoryName>,
) -> Result<Found, ChatError> {
    let page = context
        .store
        .query(&StoreQuery::all(keys::components(name)))
        .await?;
    let ids: Vec<RepositoryId> = page
        .items
        .iter()
        .filter_map(|item| item.key.sort.parse().ok().map(RepositoryId))
        .collect();
    let repository = match chosen(context, &ids, repository, &format!("component {name}")).await {
        Err(ChatError::Refused(reason)) if ids.is_empty() => {
            let known = component_names(context).await?;
            return refused(if known.is_empty() {
                format!("{reason}; nothing has been built yet")
            } else if known.contains(&name.to_string()) {
                format!("nothing of {name} has been built yet; towline runs says why")
            } else {
                format!("{reason}; there are: {}", known.join(", "))
            });
        }
        other => other?,
    };
    let Some(definition) = definition(context, &repository).await? else {
        return refused(format!(
            "the default branch of {} has no good .towline.yml yet; push one",
            repository.name
        ));
    };
    Ok(Found {
        repository,
        definition,
        component: name.clone(),
    })
}

async fn component_names(context: Context<'_>) -> Result<Vec<String>, ChatError> {
    let mut names = Vec::new();
    for repository in repositories(context).await? {
        let definition = definition(context, &repository).await?;
        names.extend(
            definition
                .into_iter()
                .flat_map(|definition| definition.components)
                .map(|component| component.name.to_string()),
        );
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// A build by its number.
pub(super) async fn build(
    context: Context<'_>,
    number: u64,
    repository: Option<&RepositoryName>,
) -> Result<(AttemptRef, Run), ChatError> {
    let page = context
        .store
        .query(&StoreQuery::all(keys::number("build", number)))
        .await?;
    let ids: Vec<RepositoryId> = page
        .items
        .iter()
        .filter_map(|item| item.key.sort.parse().ok().map(RepositoryId))
        .collect();
    let repository = chosen(context, &ids, repository, &format!("build#{number}")).await?;
    let id = repository.id.to_string();
    let of = page.items.iter().find(|item| item.key.sort == id);
    let of: Option<Read<AttemptRef>> = of.map(Read::of).transpose()?;
    let run = match &of {
        Some(of) => context.read::<Run>(&keys::run(&of.value.run)).await?,
        None => None,
    };
    // A row of a plan that came to nothing leads to a build of another number.
    let is_it = |of: &AttemptRef, run: &Run| {
        let attempt = run.attempt(&of.attempt);
        attempt.is_some_and(|(_, _, attempt)| attempt.build_number == number)
    };
    match (of, run) {
        (Some(of), Some(run)) if is_it(&of.value, &run.value) => Ok((of.value, run.value)),
        _ => refused(format!("there is no build#{number}")),
    }
}

/// A promotion by its number.
pub(super) async fn promotion(
    context: Context<'_>,
    number: u64,
    repository: Option<&RepositoryName>,
) -> Result<PromotionPointer, ChatError> {
    let page = context
        .store
        .query(&StoreQuery::all(keys::number("promotion", number)))
        .await?;
    let ids: Vec<RepositoryId> = page
        .items
        .iter()
        .filter_map(|item| item.key.sort.parse().ok().map(RepositoryId))
        .collect();
    if let ([only], None) = (page.items.as_slice(), repository) {
        return Ok(Read::of(only)?.value); // nothing to choose from
    }
    let what = format!("promotion #{number} that waits for anybody");
    let repository = chosen(context, &ids, repository, &what).await?;
    let id = repository.id.to_string();
    match page.items.iter().find(|item| item.key.sort == id) {
        Some(item) => Ok(Read::of(item)?.value),
        None => refused(format!("there is no {what}")),
    }
}

/// What a person may have meant by a reference.
enum Reference<'a> {
    Build(u64),
    Digest(&'a str),
    Tag(&'a str),
    CommitOrTag(&'a str),
}

fn reference(text: &str) -> Result<Reference<'_>, ChatError> {
    if let Some(number) = text
        .strip_prefix("build#")
        .or_else(|| text.strip_prefix('#'))
    {
        return match number.parse() {
            Ok(number) => Ok(Reference::Build(number)),
            Err(_) => refused(format!("{text:?} is no build; write it as build#142")),
        };
    }
    if let Some(hex) = text.strip_prefix("sha256:") {
        let good = (keys::PREFIX_DIGITS..=64).contains(&hex.len()) && is_hex(hex);
        return if good {
            Ok(Reference::Digest(hex))
        } else {
            refused(format!(
                "{text:?} is no digest; write sha256: and at least {} hexadecimal digits",
                keys::PREFIX_DIGITS
            ))
        };
    }
    if let Some(tag) = text.strip_prefix(':') {
        return Ok(Reference::Tag(tag));
    }
    Ok(if is_commit_prefix(text) {
        Reference::CommitOrTag(text)
    } else {
        Reference::Tag(text)
    })
}

fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_commit_prefix(text: &str) -> bool {
    (keys::PREFIX_DIGITS..=64).contains(&text.len()) && is_hex(text)
}

/// The runs of a commit, newest first.
pub(super) async fn commit(
    context: Context<'_>,
    prefix: &str,
) -> Result<(CommitSha, Vec<Run>), ChatError> {
    if !is_commit_prefix(prefix) {
        return refused(format!(
            "{prefix:?} is no commit; write at least {} of its hexadecimal digits",
            keys::PREFIX_DIGITS
        ));
    }
    match runs_of_commit(context, prefix).await? {
        Some(found) => Ok(found),
        None => refused(match not_planned(context, prefix).await? {
            Some(reason) => reason,
            None => format!("no push of a commit that begins with {prefix} was accepted"),
        }),
    }
}

/// That a push of the commit was accepted and has no run yet.
async fn not_planned(context: Context<'_>, prefix: &str) -> Result<Option<String>, ChatError> {
    let query = StoreQuery::all(keys::pushes(prefix))
        .prefix(prefix)
        .limit(MOST_FOUND);
    for item in context.store.query(&query).await?.items {
        let read = Read::<Inbox>::of(&item)?;
        let push = &read.value;
        if let (Some(commit), false) = (&push.commit, read.outbox.owed().is_empty()) {
            return Ok(Some(format!(
                "the push of {} was accepted at {} and is not planned yet; ask again in a moment",
                commit.short(),
                explain::minute(push.at)
            )));
        }
    }
    Ok(None)
}

async fn runs_of_commit(
    context: Context<'_>,
    prefix: &str,
) -> Result<Option<(CommitSha, Vec<Run>)>, ChatError> {
    let query = StoreQuery::all(keys::commits(prefix))
        .prefix(prefix)
        .limit(MOST_FOUND);
    let pointers: Vec<RunPointer> = context.list(&query).await?;
    let mut by_commit: BTreeMap<CommitSha, Vec<Run>> = BTreeMap::new();
    for run in pointers.iter().flat_map(RunPointer::runs) {
        if let Some(run) = context.read::<Run>(&keys::run(run)).await? {
            by_commit
                .entry(run.value.key.commit.clone())
                .or_default()
                .push(run.value);
        }
    }
    if by_commit.len() > 1 {
        let commits: Vec<&str> = by_commit
            .keys()
            .map(|commit| &commit.as_str()[..12])
            .collect();
        return refused(format!(
            "{prefix} fits several commits; write more digits: {}",
            commits.join(", ")
        ));
    }
    Ok(by_commit.pop_first().map(|(commit, mut runs)| {
        runs.sort_by_key(|run| std::cmp::Reverse(run.order));
        (commit, runs)
    }))
}

/// The runs a reference leads to: by commit, by build, or by what an image was built from.
pub(super) async fn runs(
    context: Context<'_>,
    text: &str,
    repository: Option<&RepositoryName>,
) -> Result<(CommitSha, Vec<Run>), ChatError> {
    match reference(text)? {
        Reference::Build(number) => {
            let (_, run) = build(context, number, repository).await?;
            Ok((run.key.commit.clone(), vec![run]))
        }
        Reference::CommitOrTag(prefix) => match runs_of_commit(context, prefix).await? {
            Some(found) => Ok(found),
            None if not_planned(context, prefix).await?.is_some() => commit(context, prefix).await,
            None => runs_of_image(context, text, repository).await,
        },
        Reference::Digest(_) | Reference::Tag(_) => runs_of_image(context, text, repository).await,
    }
}

async fn runs_of_image(
    context: Context<'_>,
    text: &str,
    repository: Option<&RepositoryName>,
) -> Result<(CommitSha, Vec<Run>), ChatError> {
    for image in images(context, text, None, repository).await? {
        if let Some(built) = &image.built
            && let Some(run) = context.read::<Run>(&keys::run(&built.run)).await?
        {
            return Ok((run.value.key.commit.clone(), vec![run.value]));
        }
    }
    refused(format!("the image {text} was built by nobody we know"))
}

/// The images a reference leads to, of one component when it is given; at least one.
pub(super) async fn images(
    context: Context<'_>,
    text: &str,
    of: Option<&ImageRepository>,
    repository: Option<&RepositoryName>,
) -> Result<Vec<Image>, ChatError> {
    let found = match reference(text)? {
        Reference::Build(number) => {
            let (attempt, run) = build(context, number, repository).await?;
            images_of_runs(context, &[run], Some(&attempt)).await?
        }
        Reference::Digest(hex) => images_of_digest(context, hex).await?,
        Reference::Tag(tag) => images_of_tag(context, tag).await?,
        Reference::CommitOrTag(text) => match runs_of_commit(context, text).await? {
            Some((_, runs)) => images_of_runs(context, &runs, None).await?,
            None => images_of_tag(context, text).await?,
        },
    };
    let found: Vec<Image> = found
        .into_iter()
        .filter(|image| of.is_none_or(|of| image.repository == *of))
        .collect();
    if found.is_empty() {
        let place = of.map(|of| format!(" in {of}")).unwrap_or_default();
        return refused(format!(
            "there is no image {text}{place}; name a commit, a tag, a digest (sha256:…) or build#N"
        ));
    }
    Ok(found)
}

async fn images_of_runs(
    context: Context<'_>,
    runs: &[Run],
    only: Option<&AttemptRef>,
) -> Result<Vec<Image>, ChatError> {
    let mut found = Vec::new();
    for run in runs {
        for component in run.components.values() {
            let attempts = component
                .attempts
                .iter()
                .filter(|attempt| only.is_none_or(|only| only.attempt == attempt.id));
            for digest in attempts.filter_map(|attempt| attempt.image.as_ref()) {
                found.extend(image(context, &component.repository, digest).await?);
            }
        }
    }
    Ok(found)
}

async fn images_of_digest(context: Context<'_>, hex: &str) -> Result<Vec<Image>, ChatError> {
    let query = StoreQuery::all(keys::digests(hex))
        .prefix(hex)
        .limit(MOST_FOUND);
    let mut found = Vec::new();
    for pointer in context.list::<ImagePointer>(&query).await? {
        found.extend(image(context, &pointer.repository, &pointer.digest).await?);
    }
    Ok(found)
}

async fn images_of_tag(context: Context<'_>, text: &str) -> Result<Vec<Image>, ChatError> {
    if text.parse::<Tag>().is_err() {
        return refused(format!(
            "{text:?} is neither a commit, a tag, a digest nor a build"
        ));
    }
    let mut found = Vec::new();
    let query = StoreQuery::all(keys::tagged(text)).limit(MOST_FOUND);
    for now in context.list::<TagNow>(&query).await? {
        found.extend(image(context, &now.repository, &now.digest).await?);
    }
    Ok(found)
}

/// An image of the ledger.
pub(super) async fn image(
    context: Context<'_>,
    repository: &ImageRepository,
    digest: &Digest,
) -> Result<Option<Image>, ChatError> {
    Ok(context
        .read::<Image>(&keys::image(repository, digest))
        .await?
        .map(|read| read.value))
}

/// The component an image belongs to.
pub(super) async fn owner(
    context: Context<'_>,
    repository: &ImageRepository,
) -> Result<Option<Claim>, ChatError> {
    Ok(context
        .read::<Claim>(&keys::claim(repository))
        .await?
        .map(|read| read.value))
}
