//! Loads what a plan wants, from the store and from the repository.

use std::collections::BTreeMap;

use towline_definition::{self as definition, DefinitionErrors, FILE};
use towline_domain::definition::Preset;
use towline_domain::intent::{Intent, PushAccepted};
use towline_domain::names::{CommitSha, ComponentName, GitRef};
use towline_domain::plan::{AtCommit, Buildspec, Claimed, Drawn, Known, Want, Wants};
use towline_domain::reason::{BadFile, Refusal, Unbuildable};
use towline_ports::{FileAt, Key, Relation, RepositoryRef, Source, StartBuild};

use towline_state::numbers::draw;
use towline_state::records::Repository;
use towline_state::{HandlerError, Reads, Stored, body, keys};

use towline_definition::buildspec::{self, Settings};

/// The keys that planning an accepted push reads first.
pub(super) fn first(intent: &Intent) -> Vec<Key> {
    let Intent::PushAccepted(push) = intent else {
        return Vec::new(); // no event of another kind comes here
    };
    begins_with(push)
}

fn begins_with(push: &PushAccepted) -> Vec<Key> {
    let id = push.repository;
    let mut keys = vec![
        keys::branch(id, &push.git_ref),
        keys::trusted_definition(id),
        keys::commit(&push.commit, id),
        keys::numbers(id),
    ];
    keys.extend(created_from(push));
    keys
}

/// The default branch, if the push created another ref: its payload does not list what the new ref
/// has from there.
fn created_from(push: &PushAccepted) -> Option<Key> {
    let default_branch = GitRef::Branch(push.default_branch.clone());
    let is_new = push.before.is_none() && push.git_ref != default_branch;
    is_new.then(|| keys::branch(push.repository, &default_branch))
}

/// What is known of a push so far, and where to find the rest.
pub(super) struct Look<'a> {
    pub(super) known: Known,
    pub(super) reads: Reads<'a>,
    pub(super) push: &'a PushAccepted,
    /// The known buildspecs, by their names in the store.
    pub(super) texts: BTreeMap<String, String>,
    source: &'a dyn Source,
    settings: &'a Settings,
    repository: RepositoryRef,
}

impl<'a> Look<'a> {
    /// Starts with the inputs of every plan.
    pub(super) async fn new(
        reads: Reads<'a>,
        source: &'a dyn Source,
        settings: &'a Settings,
        push: &'a PushAccepted,
    ) -> Result<Self, HandlerError> {
        let mut look = Self {
            known: Known {
                shown: source.shows_statuses(),
                ..Known::default()
            },
            reads,
            push,
            texts: BTreeMap::new(),
            source,
            settings,
            repository: RepositoryRef {
                id: push.repository,
                name: push.repository_name.clone(),
            },
        };
        look.begin().await?;
        Ok(look)
    }

    async fn begin(&mut self) -> Result<(), HandlerError> {
        let id = self.push.repository;
        self.reads.load(begins_with(self.push)).await?;
        self.known.branch = self.value(&keys::branch(id, &self.push.git_ref)).await?;
        self.known.default_branch = match created_from(self.push) {
            Some(key) => self.value(&key).await?,
            None => None,
        };
        self.known.trusted = self.value(&keys::trusted_definition(id)).await?;
        Ok(())
    }

    /// After a conflict: only the content of commits and the drawn numbers are still known.
    pub(super) async fn again(&mut self) -> Result<(), HandlerError> {
        self.known = std::mem::take(&mut self.known).lasting();
        self.reads.again().await?;
        self.begin().await
    }

    /// Loads what is wanted, with one request to the store.
    pub(super) async fn at(&mut self, Wants(wants): Wants) -> Result<(), HandlerError> {
        let mut keys: Vec<Key> = wants.iter().filter_map(|want| self.key(want)).collect();
        if !keys.is_empty() {
            keys.extend(self.contents());
        }
        self.reads.load(keys).await?;
        for want in wants {
            self.learn(want).await?;
        }
        Ok(())
    }

    /// Its key, if it is in the store.
    fn key(&self, want: &Want) -> Option<Key> {
        let PushAccepted {
            repository: id,
            git_ref,
            ..
        } = self.push;
        match want {
            Want::Run(run) => Some(keys::run(run)),
            Want::Base(component) => Some(keys::base(*id, component, git_ref)),
            Want::Claim(claimed) => Some(key_of(claimed)),
            Want::Name(repository) => Some(keys::repository(*repository)),
            Want::Definition(_)
            | Want::Head(_)
            | Want::IsBehind(_)
            | Want::Changed(_)
            | Want::Buildspec(_)
            | Want::Numbers { .. } => None,
        }
    }

    /// The definition's rows that are written with a run unless they exist.
    fn contents(&self) -> Vec<Key> {
        let id = self.push.repository;
        let Some(AtCommit::Good { definition, name }) =
            self.known.definitions.get(&self.push.commit)
        else {
            return Vec::new();
        };
        let components = definition.components.iter();
        let listed = components.map(|component| keys::component(&component.name, id));
        listed.chain([keys::content(id, name)]).collect()
    }

    async fn learn(&mut self, want: Want) -> Result<(), HandlerError> {
        let (source, repository, pushed) = (self.source, &self.repository, &self.push.commit);
        match want {
            Want::Run(id) => {
                let run = self.value(&keys::run(&id)).await?;
                self.known.runs.insert(id, run);
            }
            Want::Base(component) => {
                let key = keys::base(repository.id, &component, &self.push.git_ref);
                let base = self.value(&key).await?;
                self.known.bases.insert(component, base);
            }
            Want::Claim(claimed) => {
                let claim = self.value(&key_of(&claimed)).await?;
                self.known.claims.insert(claimed, claim);
            }
            Want::Name(id) => {
                let known: Option<Repository> = self.value(&keys::repository(id)).await?;
                self.known.names.insert(id, known.map(|known| known.name));
            }
            Want::Definition(commit) => {
                let found = self.definition(&commit).await?;
                self.known.definitions.insert(commit, found);
            }
            Want::Head(git_ref) => {
                let head = source.head(repository, &git_ref).await?;
                self.known.heads.insert(git_ref, head);
            }
            Want::IsBehind(commit) => {
                let relation = source.relation(repository, pushed, &commit).await?;
                let is_behind = relation == Relation::Behind;
                self.known.behind.insert(commit, is_behind);
            }
            Want::Changed(base) => {
                let changed = source.changed_files(repository, &base, pushed).await?;
                self.known.changed.insert(base, changed);
            }
            Want::Buildspec(component) => {
                let buildspec = self.buildspec(&component).await?;
                self.known.buildspecs.insert(component, buildspec);
            }
            Want::Numbers { builds } => {
                let numbers = draw(&mut self.reads, repository.id, builds).await?;
                self.known.numbers = Some(Drawn {
                    order: numbers.order,
                    build: numbers.build,
                    builds,
                });
            }
        }
        Ok(())
    }

    async fn value<T: Stored>(&mut self, key: &Key) -> Result<Option<T>, HandlerError> {
        Ok(self.reads.read(key).await?.map(|read| read.value))
    }

    async fn definition(&self, commit: &CommitSha) -> Result<AtCommit, HandlerError> {
        let most = definition::limits::FILE_BYTES;
        let bytes = match self.file(commit, FILE, most).await? {
            File::Good(bytes) => bytes,
            File::Bad(reason) => return Ok(AtCommit::Bad(Refusal::File(reason))),
            File::NoCommit => return Ok(AtCommit::NoCommit),
        };
        Ok(match definition::read(&bytes) {
            Ok(definition) => AtCommit::Good {
                name: keys::content_hash("definition", &body(&definition).to_string()),
                definition: Box::new(definition),
            },
            Err(errors) => AtCommit::Bad(mistakes(commit, &errors)),
        })
    }

    /// The buildspec of a component at the pushed commit.
    async fn buildspec(&mut self, name: &ComponentName) -> Result<Buildspec, HandlerError> {
        let component = match self.known.definitions.get(&self.push.commit) {
            Some(AtCommit::Good { definition, .. }) => definition.component(name),
            Some(AtCommit::Bad(_) | AtCommit::NoCommit) | None => None,
        };
        let component = component.expect("a buildspec is wanted of the definition's components");
        let file = match &component.build.preset {
            Preset::Buildspec { path } => {
                let most = StartBuild::LONGEST_BUILDSPEC;
                match self.file(&self.push.commit, path, most).await? {
                    File::Good(bytes) => Some(bytes),
                    File::Bad(reason) => return Ok(Buildspec::Bad(Unbuildable::File(reason))),
                    File::NoCommit => return Ok(Buildspec::NoCommit),
                }
            }
            Preset::Docker { .. }
            | Preset::Make { .. }
            | Preset::Pack { .. }
            | Preset::Inline { .. } => None,
        };
        Ok(match buildspec::text(component, file, self.settings) {
            Ok(text) => {
                let name = keys::content_hash("buildspec", &text);
                self.texts.insert(name.clone(), text);
                Buildspec::Good { name }
            }
            Err(error) => Buildspec::Bad(Unbuildable::Buildspec {
                said: error.to_string(),
            }),
        })
    }

    async fn file(&self, at: &CommitSha, path: &str, most: usize) -> Result<File, HandlerError> {
        let (path, commit) = (path.to_owned(), at.clone());
        let found = self.source.file(&self.repository, at, &path, most).await?;
        Ok(match found {
            FileAt::Found(bytes) => File::Good(bytes),
            FileAt::Missing => File::Bad(BadFile::Missing { path, at: commit }),
            FileAt::TooLarge { bytes } => File::Bad(BadFile::TooLarge {
                path,
                at: commit,
                bytes,
                most,
            }),
            FileAt::NoCommit => File::NoCommit,
        })
    }
}

/// The file at a path of a commit.
enum File {
    Good(Vec<u8>),
    Bad(BadFile),
    NoCommit,
}

pub(super) fn key_of(claimed: &Claimed) -> Key {
    match claimed {
        Claimed::Images(images) => keys::claim(images),
        Claimed::Project(name) => keys::project(name),
    }
}

fn mistakes(at: &CommitSha, errors: &DefinitionErrors) -> Refusal {
    Refusal::Mistakes {
        at: at.clone(),
        first: errors.first().to_string(),
        more: errors.more(),
    }
}
