//! Turns an accepted push into a run: what is built, under which numbers and tags, and why.

mod buildspecs;
mod source_files;
#[cfg(test)]
mod tests;

pub use buildspecs::text as buildspec_text;

use std::collections::BTreeMap;
use std::time::Duration;

use towline_domain::definition::{Component, Definition, Scope};
use towline_domain::filter::{self, ChangedFiles, Verdict};
use towline_domain::intent::{AttemptRef, Intent, PushAccepted};
use towline_domain::names::{CommitSha, ComponentName, GitRef, PipelineName, Tag};
use towline_domain::run::{Attempt, ComponentRun, NewAttempt, Run, RunKey};
use towline_domain::tags::{self, Values};
use towline_ports::{Relation, RepositoryRef, Source};
use towline_wire::definition::{self, FILE};

use towline_wire::eventbridge::Envelope;

use crate::advance_stages::draw;
use crate::keys;
use crate::ledger::{Change, HandlerError, Ledger, Owed, Read, Rounds};
use crate::records::{Base, Branch, Buildspec, Claim, RunPointer, Trusted};
use source_files::Stop;

/// Rows written in one transaction, of the 100 that DynamoDB takes.
const MOST_ROWS: usize = 90;

/// How long after its push a commit may come.
const COMMIT_COMES_WITHIN: Duration = Duration::from_secs(5 * 60);

/// Acts on `Push Accepted`.
///
/// # Errors
/// When the store or the source does not answer; the intent stays owed.
pub async fn handle(
    ledger: Ledger<'_>,
    source: &dyn Source,
    event: &Envelope,
) -> Result<(), HandlerError> {
    let Some(owed) = ledger.owed(event).await? else {
        return Ok(());
    };
    let Intent::PlanRun(push) = &owed.intent else {
        return Ok(());
    };
    let repository = RepositoryRef {
        id: push.repository,
        name: push.repository_name.clone(),
    };
    let plan = Plan {
        ledger,
        source,
        owed: &owed,
        push,
        repository,
    };
    let (pipeline, planned) = match read_definition(source, &plan.repository, &push.commit).await {
        Ok(Ok(definition)) => (definition.pipeline.clone(), plan.with(definition).await),
        Ok(Err(reason)) => return plan.refuse(unnamed(), reason).await,
        Err(stop) => (unnamed(), Err(stop)),
    };
    match planned {
        Ok(()) => Ok(()),
        Err(Stop::Failed(error)) => Err(error),
        Err(Stop::NoCommit) => plan.without_commit(pipeline).await,
    }
}

/// The definition at exactly this commit, or what is wrong with it.
async fn read_definition(
    source: &dyn Source,
    repository: &RepositoryRef,
    commit: &CommitSha,
) -> Result<Result<Definition, String>, Stop> {
    let read = source_files::read(source, repository, commit, FILE, definition::MOST_BYTES).await?;
    Ok(read.and_then(|bytes| {
        definition::read(&bytes).map_err(|errors| format!("{FILE} at {}: {errors}", commit.short()))
    }))
}

/// The pipeline of a run whose definition cannot be read.
fn unnamed() -> PipelineName {
    "unnamed".parse().expect("a label")
}

/// One push about to become a run.
struct Plan<'a> {
    ledger: Ledger<'a>,
    source: &'a dyn Source,
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
    async fn with(&self, definition: Definition) -> Result<(), Stop> {
        let pipeline = definition.pipeline.clone();
        let id = self.key(&pipeline).id();
        if self.ledger.store.get(&keys::run(&id)).await?.is_some() {
            return Ok(self.ledger.finish(self.owed).await?);
        }
        let order = draw(self.ledger, self.push.repository, 0).await?.order;
        let branch = self.branch().await?;
        if let Some(reason) = self.overtaken(branch.as_ref()).await? {
            return Ok(self.refuse(pipeline, reason).await?);
        }
        let judged = branch.map(|branch| branch.version);
        if let Some(reason) = self.reason_to_refuse(&definition) {
            let mut run = self.run(&pipeline, order);
            run.refused = Some(reason);
            return Ok(self.create(run, Some(&definition), judged).await?);
        }
        let (chosen, skipped, changed) = self.choose(&definition).await?;
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
        let run = Run {
            notes,
            ..self.run(&pipeline, order)
        };
        self.commit(run, &definition, chosen, skipped, judged)
            .await?;
        Ok(())
    }

    /// Looks again later, and gives up once the commit had its time to come.
    async fn without_commit(&self, pipeline: PipelineName) -> Result<(), HandlerError> {
        if self.ledger.now() < self.push.at + COMMIT_COMES_WITHIN {
            return self.ledger.postpone(self.owed).await;
        }
        let reason = format!(
            "commit {} is not in the repository; was it pushed there?",
            self.push.commit.short()
        );
        self.refuse(pipeline, reason).await
    }

    fn key(&self, pipeline: &PipelineName) -> RunKey {
        RunKey {
            repository: self.push.repository,
            git_ref: self.push.git_ref.clone(),
            commit: self.push.commit.clone(),
            pipeline: pipeline.clone(),
        }
    }

    async fn branch(&self) -> Result<Option<Read<Branch>>, HandlerError> {
        let key = keys::branch(self.push.repository, &self.push.git_ref);
        self.ledger.read::<Branch>(&key).await
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

    fn reason_to_refuse(&self, definition: &Definition) -> Option<String> {
        if let Some(named) = definition
            .source
            .github
            .as_ref()
            .filter(|named| !named.eq_ignore_ascii_case(self.repository.name.as_str()))
        {
            return Some(format!(
                "the definition is for {named} (source.github), the push came from {}",
                self.repository.name
            ));
        }
        let message = self.push.message.env_value();
        if let Verdict::No(reason) = filter::admits(
            &definition.source,
            &self.push.git_ref,
            &self.push.default_branch,
            &message,
        ) {
            return Some(format!("not run: {reason}"));
        }
        let wants: Vec<&str> = definition.not_executed_in(&Scope::Pipeline).collect();
        (!wants.is_empty()).then(|| refusal(&wants))
    }

    /// What is built, what is not and why, and the files that changed since the oldest base.
    async fn choose(
        &self,
        definition: &Definition,
    ) -> Result<(Vec<Chosen>, BTreeMap<ComponentName, String>, ChangedFiles), Stop> {
        let mut chosen = Vec::new();
        let mut skipped = BTreeMap::new();
        let mut compared: BTreeMap<CommitSha, ChangedFiles> = BTreeMap::new();
        for component in &definition.components {
            let key = keys::base(self.push.repository, &component.name, &self.push.git_ref);
            let base = self
                .ledger
                .read::<Base>(&key)
                .await?
                .map(|base| base.value.commit);
            let changed = match &base {
                None => ChangedFiles::Known(Vec::new()),
                Some(base) => self.changed_since(base, &mut compared).await?,
            };
            match filter::judge(component, base.as_ref(), &changed) {
                Verdict::No(reason) => drop(skipped.insert(component.name.clone(), reason)),
                Verdict::Yes(reason) => match self.prepare(definition, component).await? {
                    Ok(buildspec) => chosen.push(Chosen {
                        component: component.clone(),
                        reason,
                        buildspec,
                    }),
                    Err(reason) => {
                        drop(skipped.insert(component.name.clone(), format!("refused: {reason}")));
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
        definition: &Definition,
        component: &Component,
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
        if let Some(owner) = self.claim(&claim).await? {
            let reason = format!(
                "image repository {} belongs to component {} of repository {}; name another",
                claim.images, owner.component, owner.repository
            );
            return Ok(Err(reason));
        }
        buildspecs::text_of(self.source, &self.repository, &self.push.commit, component).await
    }

    /// Takes the image repository for the component; names the owner when it is another's.
    async fn claim(&self, claim: &Claim) -> Result<Option<Claim>, HandlerError> {
        let key = keys::claim(&claim.images);
        let mut rounds = Rounds::new();
        loop {
            if let Some(known) = self.ledger.read::<Claim>(&key).await? {
                return Ok(Some(known.value).filter(|known| known != claim));
            }
            let mut change = Change::default();
            change.create(key.clone(), claim);
            if self.ledger.commit(change, &mut rounds).await? {
                return Ok(None);
            }
        }
    }

    /// Writes the run and owes its builds.
    ///
    /// Rows that only lead to the run are written first, in portions: should this stop half-way
    /// they lead to nothing, and the next try draws new numbers.
    async fn commit(
        &self,
        mut run: Run,
        definition: &Definition,
        chosen: Vec<Chosen>,
        mut skipped: BTreeMap<ComponentName, String>,
        judged: Option<u64>,
    ) -> Result<(), HandlerError> {
        let first = draw(self.ledger, self.push.repository, chosen.len() as u64)
            .await?
            .build;
        let mut rows = Change::default();
        for (build_number, choice) in (first..).zip(chosen) {
            let name = choice.component.name.clone();
            match self.enrol(&mut run, definition, choice, build_number) {
                Ok((of, tag, buildspec)) => {
                    rows.put(keys::expected(&run.components[&name].repository, &tag), &of);
                    rows.put(
                        keys::numbered("build", build_number, self.push.repository),
                        &of,
                    );
                    rows.put(
                        keys::run_buildspec(&run.id, &name),
                        &Buildspec { text: buildspec },
                    );
                    rows.put(
                        keys::component(&name, self.push.repository),
                        &RunPointer {
                            run: run.id.clone(),
                            component: Some(name.clone()),
                        },
                    );
                }
                Err(reason) => drop(skipped.insert(name, format!("refused: {reason}"))),
            }
        }
        for portion in rows.portions(MOST_ROWS) {
            let mut rounds = Rounds::new();
            while !self.ledger.commit(portion.clone(), &mut rounds).await? {}
        }
        run.skipped = skipped;
        self.create(run, Some(definition), judged).await
    }

    fn run(&self, pipeline: &PipelineName, order: u64) -> Run {
        let key = self.key(pipeline);
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
        }
    }

    /// Adds a component with its first attempt to the run.
    fn enrol(
        &self,
        run: &mut Run,
        definition: &Definition,
        choice: Chosen,
        build_number: u64,
    ) -> Result<(AttemptRef, Tag, String), String> {
        let Component {
            name,
            repository,
            build,
            ..
        } = choice.component;
        let attempt = Attempt::id(&run.id, &name, 1);
        let values = Values {
            commit: &run.key.commit,
            git_ref: &run.key.git_ref,
            build_number,
            attempt: &attempt,
        };
        let tags = tags::of_attempt(&build, values)
            .map_err(|error| format!("components.{name}.build.tags: {error}"))?;
        if let Some(tag) = stage_tag_among(definition, &tags.all) {
            return Err(format!(
                "components.{name}.build.tags: {tag} belongs to a stage; a build may not push it"
            ));
        }
        let of = AttemptRef {
            run: run.id.clone(),
            component: name.clone(),
            attempt: attempt.clone(),
        };
        let unique = tags.unique.clone();
        let new = NewAttempt {
            build_number,
            unique_tag: tags.unique,
            tags: tags.all,
            timeout: build.timeout,
        };
        let attempts = vec![Attempt::due(attempt, 1, new, self.ledger.now())];
        run.components.insert(
            name,
            ComponentRun {
                repository,
                reason: choice.reason,
                attempts,
            },
        );
        Ok((of, unique, choice.buildspec))
    }

    /// Records that nothing is built, and why.
    async fn refuse(&self, pipeline: PipelineName, reason: String) -> Result<(), HandlerError> {
        let order = draw(self.ledger, self.push.repository, 0).await?.order;
        let mut run = self.run(&pipeline, order);
        run.refused = Some(reason);
        self.create(run, None, None).await
    }

    /// Creates the run, unless it is there already (I1), and what is owed because of it. `judged`
    /// is the version of the ref at which the run was found to be the newest.
    async fn create(
        &self,
        mut run: Run,
        mut definition: Option<&Definition>,
        mut judged: Option<u64>,
    ) -> Result<(), HandlerError> {
        let mut rounds = Rounds::new();
        loop {
            if self.ledger.store.get(&keys::run(&run.id)).await?.is_some() {
                return self.ledger.finish(self.owed).await;
            }
            let branch_key = keys::branch(run.key.repository, &run.key.git_ref);
            let branch = self.branch().await?;
            let version = branch.as_ref().map(|branch| branch.version);
            if run.refused.is_none() && version != judged {
                // Another push of this ref was planned meanwhile: which of the two is newer?
                let order = branch.as_ref().map_or(0, |branch| branch.value.order);
                match self.overtaken(branch.as_ref()).await? {
                    Some(reason) => {
                        run.refused = Some(reason);
                        run.components.clear();
                        definition = None;
                    }
                    None if order > run.order => {
                        run.order = draw(self.ledger, self.push.repository, 0).await?.order;
                    }
                    None => {}
                }
                judged = version;
            }
            let mut change = Change::default();
            change.done(&self.owed.id);
            change.create(keys::run(&run.id), &run);
            let pointer = RunPointer {
                run: run.id.clone(),
                component: None,
            };
            change.put(
                keys::run_by_time(run.key.repository, run.at, &run.id),
                &pointer,
            );
            change.put(keys::run_by_commit(&run.key.commit, &run.id), &pointer);
            if let Some(definition) = definition {
                change.put(keys::run_definition(&run.id), definition);
                self.trust(definition, run.order, &mut change).await?;
                if run.refused.is_none() {
                    change.save(
                        branch_key,
                        branch.as_ref(),
                        &take_over(&run, branch.as_ref()),
                    );
                }
            }
            for (component, planned) in &run.components {
                let attempt = planned.latest().id.clone();
                change.owe(Intent::StartBuild(AttemptRef {
                    run: run.id.clone(),
                    component: component.clone(),
                    attempt,
                }));
            }
            for intent in superseded(&run, branch.as_ref()) {
                change.owe(intent);
            }
            if self.ledger.commit(change, &mut rounds).await? {
                return Ok(());
            }
        }
    }

    /// Stages, gates and approvers are those of the default branch's newest good definition; on
    /// any other ref it is looked for only when there is none yet.
    async fn trust(
        &self,
        definition: &Definition,
        order: u64,
        change: &mut Change,
    ) -> Result<(), HandlerError> {
        let default_branch = GitRef::Branch(self.push.default_branch.clone());
        let key = keys::trusted_definition(self.push.repository);
        let known = self.ledger.read::<Trusted>(&key).await?;
        let trusted = if self.push.git_ref == default_branch {
            Some(Trusted {
                definition: definition.clone(),
                commit: self.push.commit.clone(),
                order,
            })
        } else if known.is_none() {
            self.at_head(&default_branch).await?
        } else {
            None
        };
        if let Some(trusted) = trusted.filter(|new| {
            known
                .as_ref()
                .is_none_or(|known| known.value.order < new.order)
        }) {
            change.save(key, known.as_ref(), &trusted);
        }
        Ok(())
    }
}

/// The ref with this run as its newest, component by component.
fn take_over(run: &Run, branch: Option<&Read<Branch>>) -> Branch {
    let mut branch = branch.map(|read| read.value.clone()).unwrap_or_default();
    branch.head = Some(run.key.commit.clone());
    branch.order = run.order;
    branch.building.extend(
        run.components
            .keys()
            .map(|component| (component.clone(), run.id.clone())),
    );
    branch
}

/// What older runs of the ref still build of the same components counts no longer.
fn superseded(run: &Run, branch: Option<&Read<Branch>>) -> Vec<Intent> {
    let older = |component: &ComponentName| {
        branch
            .and_then(|branch| branch.value.building.get(component))
            .filter(|older| **older != run.id)
    };
    let intent = |component: &ComponentName| {
        older(component).map(|older| Intent::SupersedeBuild {
            run: older.clone(),
            component: component.clone(),
            by: run.id.clone(),
        })
    };
    run.components.keys().filter_map(intent).collect()
}

/// A tag that only a promotion may move, among those a build would push (A26).
pub(crate) fn stage_tag_among<'a>(definition: &Definition, tags: &'a [Tag]) -> Option<&'a Tag> {
    tags.iter()
        .find(|tag| definition.stages.iter().any(|rule| rule.tags.contains(tag)))
}

/// Why something the definition asks for is not done.
fn refusal(wants: &[&str]) -> String {
    format!(
        "this version of Towline does not execute {} yet; take it out of {FILE} to go on without",
        wants.join(", ")
    )
}
