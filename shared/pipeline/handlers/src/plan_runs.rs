//! Turns an accepted push into a run: what is built, under which numbers and tags, and why.

mod buildspecs;
mod claims;
mod source_files;
#[cfg(test)]
mod tests;
mod write;

pub use buildspecs::{Settings, text as buildspec_text};
pub use towline_buildspec::generate::Tool;

use std::collections::BTreeMap;
use std::time::Duration;

use towline_domain::definition::{Component, Definition, Scope};
use towline_domain::filter::{self, ChangedFiles, Verdict};
use towline_domain::intent::{Intent, PushAccepted};
use towline_domain::names::{CommitSha, ComponentName, GitRef, PipelineName, RepositoryName, Tag};
use towline_domain::report::REFUSED;
use towline_domain::run::{AttemptState, Run, RunKey};
use towline_ports::{Key, Relation, RepositoryRef, Source, StartBuild};
use towline_wire::definition::{self, FILE};

use towline_wire::eventbridge::Envelope;
use tracing::Instrument as _;

use claims::Claims;
use source_files::Stop;
use towline_state::Reads;
use towline_state::keys;
use towline_state::numbers::draw;
use towline_state::records::{Base, Branch, Claim, Trusted};
use towline_state::{Change, Context, HandlerError, Owed, Read, body};

/// How long after its push a commit may come.
const COMMIT_COMES_WITHIN: Duration = Duration::from_secs(5 * 60);

/// Acts on `Push Accepted`.
///
/// # Errors
/// When the store or the source does not answer; the intent stays owed.
pub async fn handle(
    context: Context<'_>,
    source: &dyn Source,
    settings: &Settings,
    event: &Envelope,
) -> Result<(), HandlerError> {
    let mut reads = Reads::from(context);
    let Some(owed) = reads.owed(event).await? else {
        return Ok(());
    };
    async {
        let Intent::PushAccepted(push) = &owed.intent else {
            return Ok(());
        };
        let repository = RepositoryRef {
            id: push.repository,
            name: push.repository_name.clone(),
        };
        let plan = Plan {
            context,
            source,
            settings,
            owed: &owed,
            push,
            repository,
        };
        let (pipeline, planned) = match read_definition(source, &plan.repository, &push.commit)
            .await
        {
            Ok(Ok(definition)) => (
                definition.pipeline.clone(),
                plan.with(&mut reads, definition).await,
            ),
            Ok(Err(reason)) => return plan.refuse(&mut reads, plan.key(&unnamed()), reason).await,
            Err(stop) => (unnamed(), Err(stop)),
        };
        match planned {
            Ok(()) => Ok(()),
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::NoCommit) => plan.without_commit(&mut reads, pipeline).await,
        }
    }
    .instrument(owed.span())
    .await
}

/// The definition at exactly this commit, or what is wrong with it.
async fn read_definition(
    source: &dyn Source,
    repository: &RepositoryRef,
    commit: &CommitSha,
) -> Result<Result<Definition, String>, Stop> {
    let read = source_files::read(source, repository, commit, FILE, definition::MOST_BYTES).await?;
    Ok(read.and_then(|bytes| {
        definition::read(&bytes).map_err(|errors| {
            let all = errors.to_string();
            let mut lines = all.lines();
            let first = lines.next().unwrap_or_default();
            let more = match lines.count() {
                0 => String::new(),
                more => format!(" (and {more} more; `towline validate` shows them all)"),
            };
            format!("{FILE} at {}: {first}{more}", commit.short())
        })
    }))
}

/// What planning a push reads, should its definition be this one.
pub(crate) fn guess(definition: &Definition, push: &PushAccepted) -> Vec<Key> {
    let id = push.repository;
    let mut needed = vec![keys::run(&key_of(push, &definition.pipeline).id())];
    for component in &definition.components {
        needed.push(keys::base(id, &component.name, &push.git_ref));
        needed.push(keys::claim(&component.repository));
        needed.push(keys::component(&component.name, id));
        let project = StartBuild::project(&push.repository_name, &component.name);
        needed.push(keys::project(&project));
    }
    needed.push(keys::content(id, &definition_hash(definition)));
    needed
}

/// The name of a definition's content.
fn definition_hash(definition: &Definition) -> String {
    keys::content_hash("definition", &body(definition).to_string())
}

fn key_of(push: &PushAccepted, pipeline: &PipelineName) -> RunKey {
    RunKey {
        repository: push.repository,
        git_ref: push.git_ref.clone(),
        commit: push.commit.clone(),
        pipeline: pipeline.clone(),
        again: 0,
    }
}

/// The pipeline of a run whose definition cannot be read.
fn unnamed() -> PipelineName {
    "unnamed".parse().expect("a label")
}

/// One push about to become a run.
struct Plan<'a> {
    context: Context<'a>,
    source: &'a dyn Source,
    settings: &'a Settings,
    owed: &'a Owed,
    push: &'a PushAccepted,
    repository: RepositoryRef,
}

/// What a run builds, before it has numbers.
struct Chosen {
    component: Component,
    reason: String,
    buildspec: String,
}

impl Plan<'_> {
    async fn with(&self, reads: &mut Reads<'_>, definition: Definition) -> Result<(), Stop> {
        self.load(reads, &definition).await?;
        let branch = self.branch(reads).await?;
        let free = self.free_key(reads, &definition.pipeline, branch.as_ref());
        let Some(key) = free.await? else {
            return Ok(self.context.finish(self.owed).await?);
        };
        if let Some(reason) = is_for_another(&definition, &self.repository) {
            return Ok(self.refuse(reads, key, reason).await?);
        }
        if let Some(reason) = self.overtaken(branch.as_ref()).await? {
            return Ok(self.turn_away(reads, key, reason).await?);
        }
        let judged = branch.as_ref().map(|branch| branch.version);
        if let Some((reason, expected)) = self.reason_to_refuse(&definition) {
            let order = draw(reads, self.push.repository, 0).await?.order;
            let mut run = self.run(key, order);
            run.refused = Some(reason);
            run.shown &= !expected;
            let rows = Change::default();
            let created = self.create(reads, run, Some(&definition), judged, rows);
            return Ok(created.await?);
        }
        let branch = branch.map(|branch| branch.value).unwrap_or_default();
        let mut claims = Claims::new();
        let choice = self.choose(reads, &definition, &branch, &mut claims);
        let (chosen, skipped, changed) = choice.await?;
        let mut notes = Vec::new();
        let outside = filter::outside_every_component(&definition.components, &changed);
        if !outside.is_empty() {
            let shown: Vec<String> = outside
                .iter()
                .take(3)
                .map(|file| file.escape_debug().to_string())
                .collect();
            notes.push(format!(
                "{} outside every component: {}",
                filter::count(outside.len(), "changed file"),
                shown.join(", ")
            ));
        }
        let numbers = draw(reads, self.push.repository, chosen.len() as u64).await?;
        let run = Run {
            notes,
            skipped,
            ..self.run(key, numbers.order)
        };
        let mut rows = Change::default();
        for (key, (known, claim)) in claims {
            rows.save(key, known.as_ref(), &claim);
        }
        self.commit(
            reads,
            run,
            &definition,
            rows,
            (chosen, numbers.build),
            judged,
        )
        .await?;
        Ok(())
    }

    /// Reads at once what is needed of each component.
    async fn load(
        &self,
        reads: &mut Reads<'_>,
        definition: &Definition,
    ) -> Result<(), HandlerError> {
        reads.load(guess(definition, self.push)).await?;
        // What was built last is known; what is being built has to be asked after.
        let mut running = Vec::new();
        if let Some(branch) = self.branch(reads).await? {
            for component in &definition.components {
                let base = self.base(reads, &component.name).await?;
                let built = base.and_then(|base| base.run);
                let older = branch.value.building.get(&component.name);
                running.extend(
                    older
                        .filter(|older| built.as_ref() != Some(older))
                        .map(keys::run),
                );
            }
        }
        reads.load(running).await
    }

    /// Looks again later, and gives up once the commit had its time to come.
    async fn without_commit(
        &self,
        reads: &mut Reads<'_>,
        pipeline: PipelineName,
    ) -> Result<(), HandlerError> {
        if self.context.now() < self.push.at + COMMIT_COMES_WITHIN {
            return self.context.postpone(self.owed).await;
        }
        let reason = format!(
            "commit {} is not in the repository; was it pushed there?",
            self.push.commit.short()
        );
        self.turn_away(reads, self.key(&pipeline), reason).await
    }

    /// The key of a new run; none when the push has its run already. A ref that came back to a
    /// commit it had left gets a further one, or its head would have none (I10).
    async fn free_key(
        &self,
        reads: &mut Reads<'_>,
        pipeline: &PipelineName,
        branch: Option<&Read<Branch>>,
    ) -> Result<Option<RunKey>, HandlerError> {
        let mut key = self.key(pipeline);
        while reads.version(&keys::run(&key.id())).await? > 0 {
            let had_left = branch
                .and_then(|branch| branch.value.head.as_ref())
                .is_some_and(|head| *head != self.push.commit);
            let head = self.source.head(&self.repository, &self.push.git_ref);
            if !had_left || head.await?.as_ref() != Some(&self.push.commit) {
                return Ok(None);
            }
            key.again += 1;
        }
        Ok(Some(key))
    }

    fn key(&self, pipeline: &PipelineName) -> RunKey {
        key_of(self.push, pipeline)
    }

    /// What a component was last built at on the ref.
    pub(crate) async fn base(
        &self,
        reads: &mut Reads<'_>,
        component: &ComponentName,
    ) -> Result<Option<Base>, HandlerError> {
        let key = keys::base(self.push.repository, component, &self.push.git_ref);
        let read = reads.read::<Base>(&key).await?;
        Ok(read.map(|read| read.value))
    }

    async fn branch(&self, reads: &mut Reads<'_>) -> Result<Option<Read<Branch>>, HandlerError> {
        let key = keys::branch(self.push.repository, &self.push.git_ref);
        reads.read::<Branch>(&key).await
    }

    /// Why an older push must not come after a newer one (F3): the order of arrival proves
    /// nothing, the ref itself is asked.
    async fn overtaken(
        &self,
        branch: Option<&Read<Branch>>,
    ) -> Result<Option<String>, HandlerError> {
        let Some(planned) = branch
            .and_then(|branch| branch.value.head.clone())
            .filter(|head| *head != self.push.commit)
        else {
            return Ok(None);
        };
        let head = self
            .source
            .head(&self.repository, &self.push.git_ref)
            .await?;
        if head.as_ref() == Some(&self.push.commit) {
            return Ok(None);
        }
        // Where the ref stands is newest, even when history was rewritten to come there.
        let older = head.as_ref() == Some(&planned)
            || self
                .source
                .relation(&self.repository, &self.push.commit, &planned)
                .await?
                == Relation::Behind;
        Ok(older.then(|| {
            format!(
                "superseded before it began: {} is newer on {} and planned already",
                planned.short(),
                self.push.git_ref.name().escape_debug()
            )
        }))
    }

    async fn at_head(&self, git_ref: &GitRef) -> Result<Option<Trusted>, HandlerError> {
        let Some(commit) = self.source.head(&self.repository, git_ref).await? else {
            return Ok(None);
        };
        let read = match read_definition(self.source, &self.repository, &commit).await {
            Ok(read) => read,
            Err(Stop::NoCommit) => return Ok(None), // the ref moved on, and so does the next push
            Err(Stop::Failed(error)) => return Err(error),
        };
        Ok(read.ok().map(|definition| Trusted {
            definition,
            commit,
            order: 0,
        }))
    }

    /// Why nothing of the push is built, and whether the definition wants it so.
    fn reason_to_refuse(&self, definition: &Definition) -> Option<(String, bool)> {
        let message = self.push.message.env_value();
        if let Verdict::No(reason) = filter::admits(
            &definition.source,
            &self.push.git_ref,
            &self.push.default_branch,
            &message,
        ) {
            return Some((format!("not run: {reason}"), true));
        }
        let wants: Vec<&str> = definition.not_executed_in(&Scope::Pipeline).collect();
        (!wants.is_empty()).then(|| (refusal(&wants), false))
    }

    /// What is built, what is not and why, and the files that changed since the oldest base.
    async fn choose(
        &self,
        reads: &mut Reads<'_>,
        definition: &Definition,
        branch: &Branch,
        claims: &mut Claims,
    ) -> Result<(Vec<Chosen>, BTreeMap<ComponentName, String>, ChangedFiles), Stop> {
        let mut chosen = Vec::new();
        let mut skipped = BTreeMap::new();
        let mut compared: BTreeMap<CommitSha, ChangedFiles> = BTreeMap::new();
        for component in &definition.components {
            match self.judge(reads, component, branch, &mut compared).await? {
                Verdict::No(reason) => drop(skipped.insert(component.name.clone(), reason)),
                Verdict::Yes(reason) => match self
                    .prepare(reads, definition, component, claims)
                    .await?
                {
                    Ok(buildspec) => chosen.push(Chosen {
                        component: component.clone(),
                        reason,
                        buildspec,
                    }),
                    Err(reason) => {
                        drop(skipped.insert(component.name.clone(), format!("{REFUSED}{reason}")));
                    }
                },
            }
        }
        let changed = compared
            .into_values()
            .find(|changed| matches!(changed, ChangedFiles::Known(_)));
        Ok((
            chosen,
            skipped,
            changed.unwrap_or(ChangedFiles::Known(Vec::new())),
        ))
    }

    /// Whether a component has to be built: since it was last built, or since what is being built
    /// right now, which a push that takes a change back must not leave to win.
    async fn judge(
        &self,
        reads: &mut Reads<'_>,
        component: &Component,
        branch: &Branch,
        compared: &mut BTreeMap<CommitSha, ChangedFiles>,
    ) -> Result<Verdict, HandlerError> {
        let base = self.base(reads, &component.name).await?;
        let base = base.map(|base| base.commit);
        let changed = match &base {
            None => ChangedFiles::Known(Vec::new()),
            Some(base) => self.changed_since(base, compared).await?,
        };
        let verdict = filter::judge(component, base.as_ref(), &changed);
        let (Verdict::No(_), Some(building)) =
            (&verdict, self.being_built(reads, component, branch).await?)
        else {
            return Ok(verdict);
        };
        let changed = self.changed_since(&building, compared).await?;
        Ok(match filter::judge(component, Some(&building), &changed) {
            Verdict::Yes(reason) => Verdict::Yes(format!("{reason}, which is being built")),
            Verdict::No(_) => verdict,
        })
    }

    /// The commit at which the newest run of the ref builds a component, or has just built it.
    async fn being_built(
        &self,
        reads: &mut Reads<'_>,
        component: &Component,
        branch: &Branch,
    ) -> Result<Option<CommitSha>, HandlerError> {
        let Some(run) = branch.building.get(&component.name) else {
            return Ok(None);
        };
        let base = self.base(reads, &component.name).await?;
        if let Some(base) = base.filter(|base| base.run.as_ref() == Some(run)) {
            return Ok(Some(base.commit));
        }
        let run = reads.read::<Run>(&keys::run(run)).await?;
        Ok(run.and_then(|run| {
            let state = &run.value.components.get(&component.name)?.latest().state;
            let counts = !state.is_terminal() || *state == AttemptState::Succeeded;
            counts.then_some(run.value.key.commit)
        }))
    }

    async fn changed_since(
        &self,
        base: &CommitSha,
        compared: &mut BTreeMap<CommitSha, ChangedFiles>,
    ) -> Result<ChangedFiles, HandlerError> {
        if let Some(known) = compared.get(base) {
            return Ok(known.clone());
        }
        let changed = self
            .source
            .changed_files(&self.repository, base, &self.push.commit)
            .await?;
        compared.insert(base.clone(), changed.clone());
        Ok(changed)
    }

    /// The component's buildspec, or why it cannot be built.
    async fn prepare(
        &self,
        reads: &mut Reads<'_>,
        definition: &Definition,
        component: &Component,
        claims: &mut Claims,
    ) -> Result<Result<String, String>, Stop> {
        let scope = Scope::Component(component.name.clone());
        let wants: Vec<&str> = definition.not_executed_in(&scope).collect();
        if !wants.is_empty() {
            return Ok(Err(refusal(&wants)));
        }
        let claim = Claim {
            repository: self.push.repository,
            component: component.name.clone(),
            images: component.repository.clone(),
        };
        // The default branch may hand over what one of its components had to another.
        let on_default = self.push.git_ref == GitRef::Branch(self.push.default_branch.clone());
        let is_kept = |owner: &Claim, has_it: &dyn Fn(&Component) -> bool| {
            owner.repository != self.push.repository
                || !on_default
                || definition.component(&owner.component).is_some_and(has_it)
        };
        let key = keys::claim(&claim.images);
        let keeps_images =
            |owner: &Claim| is_kept(owner, &|other| other.repository == claim.images);
        let images = self.claim(reads, key, &claim, keeps_images, claims);
        if let Some(owner) = images.await? {
            let reason = format!(
                "image repository {} belongs to component {} of repository {}; name another",
                claim.images, owner.component, owner.repository
            );
            return Ok(Err(reason));
        }
        // Its parts are joined by what they may hold themselves: two of them can give one name.
        let project = StartBuild::project(&self.repository.name, &component.name);
        let is_project = |name: &RepositoryName, component: &ComponentName| {
            StartBuild::project(name, component) == project
        };
        let key = keys::project(&project);
        let renamed = self.renamed_owner(reads, &key, is_project).await?;
        let keeps_project = |owner: &Claim| {
            renamed != Some(owner.repository)
                && is_kept(owner, &|other| {
                    is_project(&self.repository.name, &other.name)
                })
        };
        let built = self.claim(reads, key, &claim, keeps_project, claims);
        if let Some(owner) = built.await? {
            let reason = format!(
                "CodeBuild project {project} builds component {} of repository {} already; give this component another name",
                owner.component, owner.repository
            );
            return Ok(Err(reason));
        }
        let commit = &self.push.commit;
        buildspecs::text_of(
            self.source,
            &self.repository,
            commit,
            component,
            self.settings,
        )
        .await
    }

    fn run(&self, key: RunKey, order: u64) -> Run {
        Run {
            id: key.id(),
            key,
            repository_name: self.push.repository_name.clone(),
            order,
            pusher: self.push.pusher.clone(),
            authors: self.push.authors.clone(),
            title: self.push.title.clone(),
            at: self.push.at,
            components: BTreeMap::new(),
            skipped: BTreeMap::new(),
            refused: None,
            notes: Vec::new(),
            definition: None,
            enters: Vec::new(),
            shown: self.source.shows_statuses(),
        }
    }
}

/// Why a definition does not count in this repository.
fn is_for_another(definition: &Definition, repository: &RepositoryRef) -> Option<String> {
    let named = definition.source.github.as_ref()?;
    (!named.eq_ignore_ascii_case(repository.name.as_str())).then(|| {
        format!(
            "the definition is for {named} (source.github), the push came from {}",
            repository.name
        )
    })
}

/// A tag that only a promotion may move, among those a build would push (A26).
pub(crate) fn stage_tag_among<'a>(definitions: &[&Definition], tags: &'a [Tag]) -> Option<&'a Tag> {
    let rules = || definitions.iter().flat_map(|definition| &definition.stages);
    tags.iter()
        .find(|tag| rules().any(|rule| rule.tags.contains(tag)))
}

/// Why something the definition asks for is not done.
fn refusal(wants: &[&str]) -> String {
    format!(
        "this version of Towline does not execute {} yet; take it out of {FILE} to go on without",
        wants.join(", ")
    )
}
