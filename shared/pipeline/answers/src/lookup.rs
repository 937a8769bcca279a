//! Finds what a person's words refer to, or refuses with a reason.

mod reference;

use std::collections::BTreeMap;

use towline_domain::definition::{Definition, StageRule};
use towline_domain::image::Image;
use towline_domain::intent::{AttemptRef, StageKey};
use towline_domain::names::{
    CommitSha, ComponentName, Digest, ImageRepository, RepositoryId, RepositoryName, StageName, Tag,
};
use towline_domain::run::Run;
use towline_ports::{Item, Query as StoreQuery};

use super::{ChatError, Refusal, Thing, refused};
use towline_state::keys;
use towline_state::records::{
    Claim, ImagePointer, Inbox, PromotionPointer, Repository, RunPointer, TagNow, Trusted,
};
use towline_state::{Context, Read};

use reference::{Reference, is_commit_prefix, reference};

/// The most matches to list.
const MOST_FOUND: usize = 50;

/// A component of one repository, with the definition that applies to its stages.
pub(super) struct Found {
    pub(super) repository: Repository,
    pub(super) definition: Definition,
    pub(super) component: ComponentName,
}

impl Found {
    pub(super) fn stage_key(&self, stage: &StageName) -> StageKey {
        StageKey {
            repository: self.repository.id,
            component: self.component.clone(),
            stage: stage.clone(),
        }
    }

    pub(super) fn stage(&self, stage: &StageName) -> Result<(StageKey, &StageRule), Refusal> {
        let rule = rule_of(&self.definition, stage)?;
        Ok((self.stage_key(stage), rule))
    }

    /// The refusal for a component that is no longer defined, with the existing stages.
    pub(super) fn gone(&self) -> Refusal {
        let stages = self.definition.stages.iter();
        Refusal::ComponentGone {
            component: self.component.clone(),
            repository: self.repository.name.clone(),
            stages: stages.map(|rule| rule.name.clone()).collect(),
        }
    }
}

/// Whether a repository has the requested name, if one was given.
pub(super) fn is_named(repository: &Repository, name: Option<&RepositoryName>) -> bool {
    let known = repository.name.as_str();
    name.is_none_or(|name| known.eq_ignore_ascii_case(name.as_str()))
}

/// Every repository that has pushed.
pub(super) async fn repositories(context: Context<'_>) -> Result<Vec<Repository>, ChatError> {
    Ok(context.whole(keys::REPOSITORIES).await?)
}

/// The rows under one name or number: one for each repository that uses it.
struct Rows(Vec<Item>);

impl Rows {
    async fn under(context: Context<'_>, partition: String) -> Result<Self, ChatError> {
        let page = context.store.query(&StoreQuery::all(partition)).await?;
        Ok(Self(page.items))
    }

    fn repositories(&self) -> Vec<RepositoryId> {
        let ids = self.0.iter().map(|row| row.key.sort.parse());
        ids.filter_map(Result::ok).map(RepositoryId).collect()
    }

    fn of(&self, repository: RepositoryId) -> Option<&Item> {
        let id = repository.to_string();
        self.0.iter().find(|row| *row.key.sort == *id)
    }
}

/// The repository of that name, or the only one.
async fn chosen(
    context: Context<'_>,
    ids: &[RepositoryId],
    name: Option<&RepositoryName>,
    thing: Thing,
) -> Result<Repository, ChatError> {
    let all = repositories(context).await?;
    let fits = |known: &&Repository| ids.contains(&known.id) && is_named(known, name);
    let found: Vec<&Repository> = all.iter().filter(fits).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => refused(Refusal::NotFound {
            thing,
            repository: name.cloned(),
        }),
        several => refused(Refusal::InSeveral {
            thing,
            repositories: several.iter().map(|known| known.name.clone()).collect(),
        }),
    }
}

/// The definition that applies to a repository's stages.
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
    let rows = Rows::under(context, keys::components(name)).await?;
    let ids = rows.repositories();
    if ids.is_empty() {
        return refused(no_component(context, name, repository).await?);
    }
    let thing = Thing::Component(name.clone());
    let repository = chosen(context, &ids, repository, thing).await?;
    let Some(definition) = definition(context, &repository).await? else {
        return refused(Refusal::NoDefinition(repository.name));
    };
    Ok(Found {
        repository,
        definition,
        component: name.clone(),
    })
}

/// Why a component is not found.
async fn no_component(
    context: Context<'_>,
    name: &ComponentName,
    only: Option<&RepositoryName>,
) -> Result<Refusal, ChatError> {
    let mut known = Vec::new();
    for repository in repositories(context).await? {
        if is_named(&repository, only)
            && let Some(definition) = definition(context, &repository).await?
        {
            let components = definition.components.into_iter();
            known.extend(components.map(|component| component.name));
        }
    }
    known.sort();
    known.dedup();
    let component = name.clone();
    Ok(match known.contains(name) {
        true => Refusal::NeverBuilt(component),
        false => Refusal::NoComponent { component, known },
    })
}

/// A build by its number.
pub(super) async fn build(
    context: Context<'_>,
    number: u64,
    repository: Option<&RepositoryName>,
) -> Result<(AttemptRef, Run), ChatError> {
    let rows = Rows::under(context, keys::number("build", number)).await?;
    let ids = rows.repositories();
    let repository = chosen(context, &ids, repository, Thing::Build(number)).await?;
    let of = rows.of(repository.id).map(Read::<AttemptRef>::of);
    let of = of.transpose()?;
    let run = match &of {
        Some(of) => context.read::<Run>(&keys::run(&of.value.run)).await?,
        None => None,
    };
    // A row left by a plan that was not committed leads to a build with another number.
    let is_it = |of: &AttemptRef, run: &Run| {
        let attempt = run.attempt(&of.attempt);
        attempt.is_some_and(|(_, _, attempt)| attempt.build_number == number)
    };
    match (of, run) {
        (Some(of), Some(run)) if is_it(&of.value, &run.value) => Ok((of.value, run.value)),
        (Some(_) | None, _) => refused(Refusal::NotFound {
            thing: Thing::Build(number),
            repository: Some(repository.name),
        }),
    }
}

/// A promotion by its number.
pub(super) async fn promotion(
    context: Context<'_>,
    number: u64,
    repository: Option<&RepositoryName>,
) -> Result<PromotionPointer, ChatError> {
    let rows = Rows::under(context, keys::number("promotion", number)).await?;
    if let ([only], None) = (rows.0.as_slice(), repository) {
        return Ok(Read::of(only)?.value); // nothing to choose from
    }
    let ids = rows.repositories();
    let repository = chosen(context, &ids, repository, Thing::Promotion(number)).await?;
    match rows.of(repository.id) {
        Some(item) => Ok(Read::of(item)?.value),
        None => refused(Refusal::NotFound {
            thing: Thing::Promotion(number),
            repository: Some(repository.name),
        }),
    }
}

/// The runs of a commit, newest first.
pub(super) async fn commit(
    context: Context<'_>,
    prefix: &str,
) -> Result<(CommitSha, Vec<Run>), ChatError> {
    if !is_commit_prefix(prefix) {
        return refused(Refusal::NotACommit(prefix.into()));
    }
    match runs_of_commit(context, prefix).await? {
        Some(found) => Ok(found),
        None => refused(match not_planned(context, prefix).await? {
            Some(reason) => reason,
            None => Refusal::NoCommit(prefix.into()),
        }),
    }
}

/// The refusal for a commit whose push was accepted and has no run yet.
async fn not_planned(context: Context<'_>, prefix: &str) -> Result<Option<Refusal>, ChatError> {
    let query = StoreQuery::all(keys::pushes(prefix))
        .prefix(prefix)
        .limit(MOST_FOUND);
    for item in context.store.query(&query).await?.items {
        let read = Read::<Inbox>::of(&item)?;
        let push = &read.value;
        if let (Some(commit), [owed, ..]) = (&push.commit, read.outbox.owed()) {
            return Ok(Some(Refusal::NotPlanned {
                commit: commit.clone(),
                at: push.at,
                obstacle: owed.obstacle.clone(),
            }));
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
        return refused(Refusal::SeveralCommits {
            prefix: prefix.into(),
            commits: by_commit.into_keys().collect(),
        });
    }
    Ok(by_commit.pop_first().map(|(commit, mut runs)| {
        runs.sort_by_key(|run| std::cmp::Reverse(run.order));
        (commit, runs)
    }))
}

/// The runs that a reference leads to: by commit, by build, or by an image's build.
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
    refused(Refusal::NotBuilt(text.into()))
}

/// The images that a reference leads to, of one component if given; at least one.
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
        return refused(Refusal::NoImage {
            reference: text.into(),
            repository: of.cloned(),
        });
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
        return refused(Refusal::NotAReference(text.into()));
    }
    let mut found = Vec::new();
    let query = StoreQuery::all(keys::tagged(text)).limit(MOST_FOUND);
    for now in context.list::<TagNow>(&query).await? {
        found.extend(image(context, &now.repository, &now.digest).await?);
    }
    Ok(found)
}

/// An image in the ledger.
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

/// A stage's rule, or the refusal that there is no such stage.
fn rule_of<'a>(definition: &'a Definition, stage: &StageName) -> Result<&'a StageRule, Refusal> {
    definition.stage(stage).ok_or_else(|| Refusal::NoStage {
        stage: stage.clone(),
        known: definition
            .stages
            .iter()
            .map(|rule| rule.name.clone())
            .collect(),
    })
}
