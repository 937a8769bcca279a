//! The registered repositories, and the source port over their mirrors.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use towline_domain::filter::ChangedFiles;
use towline_domain::names::{CommitSha, GitRef, RepositoryId, RepositoryName};
use towline_domain::reason::NotCompared;
use towline_domain::untrusted::Untrusted;
use towline_ports::admission::{self, Ids, Judgement, Known, same_name};
use towline_ports::{
    Admission, Brought, CommitInfo, FileAt, PortError, Refs, Relation, Remedy, Repositories,
    RepositoryRef, Source,
};

use crate::bindings::Bindings;
use crate::git::Surroundings;
use crate::mirror::{FEW, Mirror};
use crate::origin::Registered;

/// The most files to compare one by one; above that, everything counts as changed.
const MOST_CHANGED: usize = 10_000;

/// Most bytes of their names.
const MOST_NAMES: usize = 4 * 1024 * 1024;

/// Why the repositories could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its folder cannot be used.
    #[error("opening the folder of mirrors {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    /// A repository cannot be used.
    #[error("opening the repository {name}")]
    Repository {
        name: RepositoryName,
        source: io::Error,
    },
    #[error("the repository {0} is registered twice, by its name or by its folder")]
    Twice(RepositoryName),
}

/// The registered repositories, accessed with the `git` command.
pub struct GitSource {
    mirrors: Vec<Mirror>,
    bindings: Mutex<Bindings>,
    admitting: tokio::sync::Mutex<()>,
}

impl GitSource {
    /// Opens the repositories with their mirrors in `dir`, without fetching. Only one process at a time
    /// may have `dir` open.
    ///
    /// # Errors
    /// When `dir` cannot be used, a local repository does not exist, or one is given twice.
    pub fn open(
        dir: &Path,
        surroundings: &Surroundings,
        repositories: Vec<Registered>,
    ) -> Result<Self, OpenError> {
        let folder = |source| OpenError::Folder {
            path: dir.to_owned(),
            source,
        };
        fs::create_dir_all(dir).map_err(folder)?;
        let dir = &dir.canonicalize().map_err(folder)?;
        let bindings = Bindings::open(dir.join("repositories.json")).map_err(folder)?;
        let mut mirrors: Vec<Mirror> = Vec::new();
        for Registered { name, origin } in repositories {
            let mirror = Mirror::new(
                name.clone(),
                &origin,
                &dir.join("mirrors"),
                surroundings.clone(),
            )
            .map_err(|source| OpenError::Repository {
                name: name.clone(),
                source,
            })?;
            let twice = mirrors.iter().any(|other| {
                same_name(&other.name, &name)
                    || (other.local_id.is_some() && other.local_id == mirror.local_id)
            });
            if twice {
                return Err(OpenError::Twice(name));
            }
            mirrors.push(mirror);
        }
        Ok(Self {
            mirrors,
            bindings: Mutex::new(bindings),
            admitting: tokio::sync::Mutex::new(()),
        })
    }

    /// The folder of a repository's mirror; it exists after the first request for it.
    #[must_use]
    pub fn mirror_path(&self, id: RepositoryId) -> Option<PathBuf> {
        self.mirror(id).map(|mirror| mirror.folder.clone())
    }

    /// The folder of a mirror that contains this commit, after fetching if necessary; none if the
    /// repository does not have the commit.
    ///
    /// # Errors
    /// When the repository is not registered or cannot be fetched.
    pub async fn mirror_with(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
    ) -> Result<Option<PathBuf>, PortError> {
        let mirror = self.known(repository)?;
        let is_there = mirror.ensure_for_build(commit).await?;
        Ok(is_there.then(|| mirror.folder.clone()))
    }

    fn bindings(&self) -> MutexGuard<'_, Bindings> {
        // After a panic the old ids are still valid.
        self.bindings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The known ids of each mirror, in the order of mirrors.
    pub(crate) fn ids(&self) -> Vec<Known> {
        let bindings = self.bindings();
        let bound: Vec<_> = self
            .mirrors
            .iter()
            .map(|mirror| bindings.of(&mirror.name))
            .collect();
        let free = |id: &RepositoryId| !bound.iter().flatten().any(|bound| bound.holds(*id));
        self.mirrors
            .iter()
            .zip(&bound)
            .map(|(mirror, bound)| Known {
                name: mirror.name.clone(),
                ids: match (bound, mirror.local_id.filter(free)) {
                    (Some(bound), _) => Ids::Bound(*bound),
                    (None, Some(id)) => Ids::Provisional(id),
                    (None, None) => Ids::Unseen,
                },
            })
            .collect()
    }

    fn mirror(&self, id: RepositoryId) -> Option<&Mirror> {
        let ids = self.ids();
        let found = ids
            .iter()
            .position(|known| known.ids.canonical() == Some(id))?;
        self.mirrors.get(found)
    }

    fn known(&self, repository: &RepositoryRef) -> Result<&Mirror, PortError> {
        self.mirror(repository.id).ok_or_else(|| {
            PortError::because(format!(
                "{} (id {}) is not registered here",
                repository.name, repository.id
            ))
        })
    }
}

/// Whether a path can be a file in a tree.
fn is_inside(path: &str) -> bool {
    let part = |part| !matches!(part, "" | "." | "..");
    !path.contains('\0') && path.split('/').all(part)
}

#[async_trait]
impl Source for GitSource {
    async fn file(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
        path: &str,
        most: usize,
    ) -> Result<FileAt, PortError> {
        let mirror = self.known(repository)?;
        if !mirror.ensure(commit).await? {
            return Ok(FileAt::NoCommit);
        }
        if !is_inside(path) {
            return Ok(FileAt::Missing);
        }
        let doing = || format!("reading a file of {} at {}", mirror.name, commit.short());
        let arguments = [
            "ls-tree",
            "-z",
            "-l",
            "--full-tree",
            commit.as_str(),
            "--",
            path,
        ];
        let listing = mirror.look(&arguments, FEW).await?;
        if listing.code != 0 {
            return Err(listing.error(doing()));
        }
        let Some(entry) = Entry::find(&listing.stdout, path) else {
            return Ok(FileAt::Missing);
        };
        if entry.size > most {
            return Ok(FileAt::TooLarge {
                bytes: entry.size as u64,
            });
        }
        let content = mirror
            .look(&["cat-file", "blob", &entry.object], most)
            .await?;
        if content.code != 0 || content.cut {
            return Err(content.error(doing()));
        }
        Ok(FileAt::Found(content.stdout))
    }

    async fn changed_files(
        &self,
        repository: &RepositoryRef,
        base: &CommitSha,
        head: &CommitSha,
    ) -> Result<ChangedFiles, PortError> {
        let mirror = self.known(repository)?;
        for commit in [base, head] {
            if !mirror.ensure(commit).await? {
                return Ok(ChangedFiles::Unknown(NotCompared::NoCommit(commit.clone())));
            }
        }
        let arguments = [
            "diff-tree",
            "-r",
            "-z",
            "--name-only",
            "--no-renames",
            base.as_str(),
            head.as_str(),
            "--",
        ];
        let output = mirror.look(&arguments, MOST_NAMES).await?;
        let names = output.stdout.split(|byte| *byte == 0);
        let files: Vec<String> = names
            .filter(|name| !name.is_empty())
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        if output.cut || files.len() > MOST_CHANGED {
            let why = NotCompared::TooManyChanged(MOST_CHANGED);
            return Ok(ChangedFiles::Unknown(why));
        }
        if output.code != 0 {
            return Err(output.error(format!("comparing commits of {}", mirror.name)));
        }
        Ok(ChangedFiles::Known(files))
    }

    async fn head(
        &self,
        repository: &RepositoryRef,
        git_ref: &GitRef,
    ) -> Result<Option<CommitSha>, PortError> {
        let mirror = self.known(repository)?;
        match git_ref {
            GitRef::Branch(_) => return mirror.branch(git_ref).await,
            // What a tag of an object leads to is only known once that is fetched.
            GitRef::Tag(_) => mirror.refresh().await?,
        }
        let full = git_ref.full();
        // Git would read an invalid ref as an expression below.
        let legal = mirror.look(&["check-ref-format", &full], FEW).await?;
        if legal.code != 0 {
            return Ok(None);
        }
        let arguments = [
            "for-each-ref",
            "--format=%(objectname) %(refname)",
            "--",
            &full,
        ];
        let listing = mirror.look(&arguments, FEW).await?;
        if listing.code != 0 {
            return Err(listing.error(format!("reading a ref of {}", mirror.name)));
        }
        let listing = listing.text();
        let object = listing.lines().find_map(|line| {
            let (object, name) = line.split_once(' ')?;
            (name == full).then_some(object)
        });
        let Some(object) = object else {
            return Ok(None);
        };
        let commit = format!("{object}^{{commit}}");
        let peeled = mirror
            .look(&["rev-parse", "--verify", "--quiet", &commit], FEW)
            .await?;
        Ok(peeled.text().parse().ok())
    }

    async fn relation(
        &self,
        repository: &RepositoryRef,
        first: &CommitSha,
        second: &CommitSha,
    ) -> Result<Relation, PortError> {
        if first == second {
            return Ok(Relation::Same);
        }
        let mirror = self.known(repository)?;
        if !mirror.ensure(first).await? || !mirror.ensure(second).await? {
            return Ok(Relation::Diverged);
        }
        for (older, newer, relation) in [
            (first, second, Relation::Behind),
            (second, first, Relation::Ahead),
        ] {
            if mirror.is_ancestor(older, newer).await? {
                return Ok(relation);
            }
        }
        Ok(Relation::Diverged)
    }

    async fn commit(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
    ) -> Result<Option<CommitInfo>, PortError> {
        let mirror = self.known(repository)?;
        if !mirror.ensure(commit).await? {
            return Ok(None);
        }
        let arguments = [
            "log",
            "-1",
            "--no-show-signature",
            "--no-notes",
            "--encoding=UTF-8",
            "--format=%ct%x00%an%x00%B",
            commit.as_str(),
            "--",
        ];
        // A longer message is cut; only its first line is shown.
        let output = mirror.look(&arguments, FEW).await?;
        if output.code != 0 && !output.cut {
            return Err(output.error(format!("reading a commit of {}", mirror.name)));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let mut parts = text.splitn(3, '\0');
        let (seconds, author, message) = (parts.next(), parts.next(), parts.next());
        let at = seconds
            .and_then(|seconds| seconds.parse().ok())
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH);
        Ok(Some(CommitInfo {
            title: Untrusted::first_line(message.unwrap_or_default()),
            author: Untrusted::first_line(author.unwrap_or_default()),
            at,
        }))
    }

    /// Asks the origin, not the mirror; the mark is a hash of its answer.
    async fn refs(
        &self,
        repository: &RepositoryRef,
        mark: Option<&str>,
    ) -> Result<Refs, PortError> {
        self.known(repository)?.refs(mark).await
    }

    async fn brought(
        &self,
        repository: &RepositoryRef,
        before: Option<&CommitSha>,
        commit: &CommitSha,
    ) -> Result<Option<Brought>, PortError> {
        self.known(repository)?.brought(before, commit).await
    }

    /// A local clone shows no commit statuses.
    fn shows_statuses(&self) -> bool {
        false
    }
}

#[async_trait]
impl Repositories for GitSource {
    async fn admit(&self, repository: &RepositoryRef) -> Result<Admission, PortError> {
        // Two simultaneous first pushes are checked one after the other.
        let _turn = self.admitting.lock().await;
        Ok(match admission::judge(&self.ids(), repository) {
            Judgement::Admitted(known) => Admission::Admitted(known),
            // This waits for the disk, at most twice per repository.
            Judgement::Bind { name, binding } => {
                let bound = self
                    .bindings()
                    .bind(&name, binding)
                    .map_err(|cause| PortError::new(format!("binding {name} to its id"), cause))?;
                Admission::Admitted(RepositoryRef { id: bound.id, name })
            }
            Judgement::Unknown => Admission::Unknown,
            Judgement::Impostor { name, known } => Admission::Impostor {
                known,
                remedy: Remedy::EditFile {
                    file: self.bindings().path().to_owned(),
                    name,
                },
            },
        })
    }
}

/// A file in a tree.
struct Entry {
    object: String,
    size: usize,
}

impl Entry {
    /// The entry of exactly this path, if it is a plain file: `100644 blob <id> <size>\t<path>`.
    fn find(listing: &[u8], path: &str) -> Option<Self> {
        listing.split(|byte| *byte == 0).find_map(|line| {
            let (facts, name) = std::str::from_utf8(line).ok()?.split_once('\t')?;
            let mut facts = facts.split_ascii_whitespace();
            let (mode, _kind, object, size) =
                (facts.next()?, facts.next()?, facts.next()?, facts.next()?);
            let plain = matches!(mode, "100644" | "100755") && name == path;
            plain.then(|| {
                Some(Self {
                    object: object.to_owned(),
                    size: size.parse().ok()?,
                })
            })?
        })
    }
}
