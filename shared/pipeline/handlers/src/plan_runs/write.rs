//! Writes a planned run: its numbers, its rows, and what is owed because of it.

use towline_domain::definition::{Component, Definition, Origin};
use towline_domain::intent::{AttemptRef, Intent};
use towline_domain::names::{GitRef, Tag};
use towline_domain::report::{self, REFUSED};
use towline_domain::run::{Attempt, AttemptState, ComponentRun, NewAttempt, Run, RunKey};
use towline_domain::tags::{self, Values};
use towline_ports::{Key, StartBuild};
use towline_wire::definition::MOST_COMPONENTS;

use super::{Chosen, Plan, definition_hash, stage_tag_among};
use towline_state::Reads;
use towline_state::keys;
use towline_state::numbers::draw;
use towline_state::records::{Base, Branch, Buildspec, Claim, RunPointer, Trusted};
use towline_state::{Change, HandlerError, Read, Rounds};

/// Rows written in one transaction, of the 100 that DynamoDB takes.
const MOST_ROWS: usize = 90;

/// Runs of one commit that are remembered beside the newest.
const MOST_OF_A_COMMIT: usize = 19;

/// Rows written together with their run: its builds and what older ones it supersedes come to no
/// more than it has rows itself.
const MOST_ROWS_WITH_RUN: usize = 30;

impl Plan<'_> {
    /// Writes the run and owes its builds, which are numbered from `first` on.
    ///
    /// Rows that only lead to the run are written with it; or, when they are many, before it in
    /// portions: should this stop half-way they lead to nothing, and the next try draws new numbers.
    /// `rows` are its claims, which are written with it as long as there is room.
    pub(super) async fn commit(
        &self,
        reads: &mut Reads<'_>,
        mut run: Run,
        definition: &Definition,
        mut rows: Change,
        (chosen, first): (Vec<Chosen>, u64),
        judged: Option<u64>,
    ) -> Result<(), HandlerError> {
        let key = keys::trusted_definition(self.push.repository);
        let trusted = reads.read::<Trusted>(&key).await?;
        let trusted = trusted.map(|trusted| trusted.value.definition);
        let definitions: Vec<&Definition> = trusted.iter().chain([definition]).collect();
        let claims = rows.len();
        let mut builds = 0;
        for (build_number, choice) in (first..).zip(chosen) {
            let name = choice.component.name.clone();
            builds += choice.component.build.platforms.len();
            let enrolled = match builds > MOST_COMPONENTS {
                true => Err(format!(
                    "a push starts {MOST_COMPONENTS} builds at most, and each platform is one; split the pipeline"
                )),
                false => self.enrol(&mut run, &definitions, choice, build_number),
            };
            match enrolled {
                Ok((expected, buildspec)) => {
                    if let Some((_, of)) = expected.first() {
                        let key = keys::numbered("build", build_number, self.push.repository);
                        rows.put(key, of);
                    }
                    let images = &run.components[&name].repository;
                    for (tag, of) in &expected {
                        rows.put(keys::expected(images, tag), of);
                    }
                    let hash = keys::content_hash("buildspec", &buildspec);
                    let base = self.base(reads, &name).await?;
                    if base.is_none_or(|base| base.buildspec.as_ref() != Some(&hash)) {
                        let key = keys::content(self.push.repository, &hash);
                        rows.put(key, &Buildspec { text: buildspec });
                    }
                    if let Some(planned) = run.components.get_mut(&name) {
                        planned.buildspec = Some(hash);
                    }
                    let listed = keys::component(&name, self.push.repository);
                    if reads.version(&listed).await? == 0 {
                        let row = RunPointer {
                            run: run.id.clone(),
                            component: Some(name),
                            older: Vec::new(),
                        };
                        rows.put(listed, &row);
                    }
                }
                Err(reason) => drop(run.skipped.insert(name, format!("{REFUSED}{reason}"))),
            }
        }
        run.definition = Some(definition_hash(definition));
        let rules = trusted.as_ref().unwrap_or(definition);
        let enters = rules.stages_from(&Origin::Build);
        run.enters = enters.map(|rule| rule.name.clone()).collect();
        if rows.len() > MOST_ROWS_WITH_RUN {
            for portion in rows.split_off(claims).portions(MOST_ROWS) {
                let mut rounds = Rounds::default();
                while !self.context.commit(portion.clone(), &mut rounds).await? {}
            }
        }
        // Each build becomes due, and may supersede one.
        let builds = run.components.values().map(ComponentRun::latest);
        let builds = builds.flat_map(Attempt::builds).count();
        if rows.len() + builds + run.components.len() > MOST_ROWS {
            self.claim_before(reads, &run, std::mem::take(&mut rows))
                .await?;
        }
        self.create(reads, run, Some(definition), judged, rows)
            .await
    }

    /// Adds a component with its first attempt to the run; gives what pushes which tag, the whole
    /// attempt first, and the buildspec.
    fn enrol(
        &self,
        run: &mut Run,
        definitions: &[&Definition],
        choice: Chosen,
        build_number: u64,
    ) -> Result<(Vec<(Tag, AttemptRef)>, String), String> {
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
        let legs = tags::of_parts(&build.platforms, &tags)
            .map_err(|reason| format!("components.{name}.build.tags: {reason}"))?;
        let new = NewAttempt {
            build_number,
            unique_tag: tags.unique,
            tags: tags.all,
            legs,
            timeout: build.timeout,
        };
        if let Some(tag) = stage_tag_among(definitions, &new.all_tags()) {
            return Err(format!(
                "components.{name}.build.tags: {tag} belongs to a stage; a build may not push it"
            ));
        }
        let attempt = Attempt::due(attempt, 1, new, self.context.now());
        let expected = attempt.all().map(|part| {
            let of = AttemptRef {
                run: run.id.clone(),
                component: name.clone(),
                attempt: part.id.clone(),
            };
            (part.unique_tag.clone(), of)
        });
        let expected = expected.collect();
        run.components.insert(
            name,
            ComponentRun {
                repository,
                reason: choice.reason,
                buildspec: None,
                not_retried: None,
                attempts: vec![attempt],
            },
        );
        Ok((expected, choice.buildspec))
    }

    /// Records that nothing is built and why, and shows it beside the commit.
    pub(super) async fn refuse(
        &self,
        reads: &mut Reads<'_>,
        key: RunKey,
        reason: String,
    ) -> Result<(), HandlerError> {
        let order = draw(reads, self.push.repository, 0).await?.order;
        let mut run = self.run(key, order);
        run.refused = Some(reason);
        self.create(reads, run, None, None, Change::default()).await
    }

    /// As [`Self::refuse`], of a push that is in nobody's way: nothing is shown.
    pub(super) async fn turn_away(
        &self,
        reads: &mut Reads<'_>,
        key: RunKey,
        reason: String,
    ) -> Result<(), HandlerError> {
        let order = draw(reads, self.push.repository, 0).await?.order;
        let mut run = self.run(key, order);
        run.refused = Some(reason);
        run.shown = false;
        self.create(reads, run, None, None, Change::default()).await
    }

    /// Creates the run with its rows, unless it is there already (I1), and what is owed because of
    /// it. `judged` is the version of the ref at which the run was found to be the newest.
    pub(super) async fn create(
        &self,
        reads: &mut Reads<'_>,
        mut run: Run,
        mut definition: Option<&Definition>,
        mut judged: Option<u64>,
        mut rows: Change,
    ) -> Result<(), HandlerError> {
        let mut rounds = Rounds::default();
        loop {
            if reads.version(&keys::run(&run.id)).await? > 0 {
                return self.context.finish(self.owed).await;
            }
            let branch_key = keys::branch(run.key.repository, &run.key.git_ref);
            let branch = self.branch(reads).await?;
            let version = branch.as_ref().map(|branch| branch.version);
            if definition.is_some() && version != judged {
                // Another push of this ref was planned meanwhile: which of the two is newer?
                if let Some(reason) = self.overtaken(branch.as_ref()).await? {
                    run.refused = Some(reason);
                    run.shown = false;
                    run.components.clear();
                    run.definition = None;
                    rows = Change::default();
                    definition = None;
                }
                judged = version;
            }
            let order = branch.as_ref().map_or(0, |branch| branch.value.order);
            if definition.is_some() && order > run.order {
                run.order = draw(reads, self.push.repository, 0).await?.order;
            }
            let mut change = rows.clone();
            for key in self.claimed_meanwhile(reads, &run).await? {
                change.withdraw(&key);
            }
            change.done(&self.owed.id);
            change.create(keys::run(&run.id), &run);
            let pointer = RunPointer {
                run: run.id.clone(),
                component: None,
                older: Vec::new(),
            };
            change.put(
                keys::run_by_time(run.key.repository, run.at, &run.id),
                &pointer,
            );
            let commit_key = keys::commit(&run.key.commit, run.key.repository);
            let beside = reads.read::<RunPointer>(&commit_key).await?;
            let older = beside.iter().flat_map(|beside| beside.value.runs());
            let older = older.take(MOST_OF_A_COMMIT).cloned().collect();
            let all = RunPointer { older, ..pointer };
            change.save(commit_key.clone(), beside.as_ref(), &all);
            if let Some(definition) = definition {
                if let Some(hash) = &run.definition {
                    let key = keys::content(run.key.repository, hash);
                    if reads.version(&key).await? == 0 {
                        change.put(key, definition);
                    }
                }
                self.trust(reads, definition, run.order, &mut change)
                    .await?;
                let taken = take_over(&run, branch.as_ref());
                change.save(branch_key, branch.as_ref(), &taken);
            }
            for (component, planned) in &run.components {
                let contents = run.definition.iter().chain(&planned.buildspec);
                let contents = contents.map(|hash| keys::content(run.key.repository, hash));
                let contents: Vec<Key> = contents.collect();
                for attempt in planned.latest().builds() {
                    let due = Intent::BuildDue(AttemptRef {
                        run: run.id.clone(),
                        component: component.clone(),
                        attempt: attempt.id.clone(),
                    });
                    change.owe_guessing(due, contents.clone());
                }
            }
            let to_show = report::builds_to_show(None, &run);
            let superseded = superseded(reads, &run, branch.as_ref()).await?;
            superseded.into_iter().for_each(|intent| change.owe(intent));
            for intent in to_show {
                change.owe_guessing(intent, vec![commit_key.clone()]);
            }
            if self.context.commit(change, &mut rounds).await? {
                tracing::info!(
                    run = run.id.as_str(),
                    commit = run.key.commit.short(),
                    builds = run.components.len(),
                    refused = run.refused.as_deref().unwrap_or_default(),
                    "run planned"
                );
                return Ok(());
            }
            reads.again().await?;
        }
    }

    /// Claims that are too many to be made with their run. Should it come to nothing, they are as
    /// good for the next one: it is the same components that it builds.
    async fn claim_before(
        &self,
        reads: &mut Reads<'_>,
        run: &Run,
        claims: Change,
    ) -> Result<(), HandlerError> {
        let mut rounds = Rounds::default();
        loop {
            let mut change = claims.clone();
            for key in self.claimed_meanwhile(reads, run).await? {
                change.withdraw(&key);
            }
            if self.context.commit(change, &mut rounds).await? {
                return Ok(());
            }
            reads.again().await?;
        }
    }

    /// What another push of the repository has taken for the run's components in the same moment.
    async fn claimed_meanwhile(
        &self,
        reads: &mut Reads<'_>,
        run: &Run,
    ) -> Result<Vec<Key>, HandlerError> {
        let mut keys = Vec::new();
        for (component, planned) in &run.components {
            let project = StartBuild::project(&run.repository_name, component);
            for key in [keys::claim(&planned.repository), keys::project(&project)] {
                let known = reads.read::<Claim>(&key).await?.map(|read| read.value);
                let ours = known.is_some_and(|known| {
                    (known.repository, &known.component) == (run.key.repository, component)
                });
                keys.extend(ours.then_some(key));
            }
        }
        Ok(keys)
    }

    /// Stages, gates and approvers are those of the default branch's newest good definition; on
    /// any other ref it is looked for only when there is none yet.
    async fn trust(
        &self,
        reads: &mut Reads<'_>,
        definition: &Definition,
        order: u64,
        change: &mut Change,
    ) -> Result<(), HandlerError> {
        let default_branch = GitRef::Branch(self.push.default_branch.clone());
        let key = keys::trusted_definition(self.push.repository);
        let known = reads.read::<Trusted>(&key).await?;
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
        // Who writes the same again says nothing new; who might say something older is overtaken on
        // the ref before it comes here.
        let says_more = |new: &Trusted| {
            known.as_ref().is_none_or(|known| {
                known.value.order < new.order && known.value.definition != new.definition
            })
        };
        if let Some(trusted) = trusted.filter(says_more) {
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
    branch.deleted = false;
    branch.building.extend(
        run.components
            .keys()
            .map(|component| (component.clone(), run.id.clone())),
    );
    branch
}

/// What older runs of the ref still build of the same components counts no longer. What they have
/// built stays: nothing can change that it succeeded (I2).
async fn superseded(
    reads: &mut Reads<'_>,
    run: &Run,
    branch: Option<&Read<Branch>>,
) -> Result<Vec<Intent>, HandlerError> {
    let mut intents = Vec::new();
    for component in run.components.keys() {
        let older = branch
            .and_then(|branch| branch.value.building.get(component))
            .filter(|older| **older != run.id);
        let Some(older) = older else { continue };
        let base = keys::base(run.key.repository, component, &run.key.git_ref);
        let base = reads.read::<Base>(&base).await?;
        if base.is_some_and(|base| base.value.run.as_ref() == Some(older)) {
            continue;
        }
        let known = reads.read::<Run>(&keys::run(older)).await?;
        let is_built = known.is_some_and(|known| {
            let known = known.value.components.get(component);
            known.is_some_and(|known| known.latest().state == AttemptState::Succeeded)
        });
        if !is_built {
            intents.push(Intent::BuildSuperseded {
                run: older.clone(),
                component: component.clone(),
                by: run.id.clone(),
            });
        }
    }
    Ok(intents)
}
