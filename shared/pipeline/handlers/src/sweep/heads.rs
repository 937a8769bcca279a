//! Finds pushes whose webhook was lost: compares where the refs are with where pushes have left them (F8).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use towline_domain::arrival::Reporter;
use towline_domain::heads::{self, Heads, Listed, Missed, Open, Rules, Verdict};
use towline_domain::names::{CommitSha, GitRef, RepositoryId, RepositoryName};
use towline_domain::obstacle::Service;
use towline_domain::plan::Branch;
use towline_domain::run::Run;
use towline_domain::trusted::Trusted;
use towline_domain::untrusted::Untrusted;
use towline_ports::{Admission, Query, Refs, Repositories, RepositoryRef, Source};
use towline_state::records::{Numbers, Repository, RunPointer};
use towline_state::{Change, Context, HandlerError, Read, Reads, Rounds, keys};
use towline_wire::github::{self, Deletion, Push};

use crate::accepting::{self, Accepted};

/// Repositories compared at the same time.
const AT_ONCE: usize = 8;
/// More repositories than this take turns.
const MOST_IN_ROUND: usize = 100;
/// After this time, the other repositories wait for the next round.
const LONGEST: Duration = Duration::from_secs(25);
/// Bytes of the watched refs of one repository, which fit into one item.
const MOST_BYTES: usize = 200 * 1024;

/// One comparison of all repositories.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Rounds before this one.
    pub number: u64,
    /// How long a webhook may be on its way.
    pub patience: Duration,
}

/// The result of a comparison.
#[derive(Debug, Default)]
pub struct Compared {
    /// Pushes and deletions that no webhook had reporter of.
    pub found: usize,
    /// Repositories that could not be compared.
    pub failed: Vec<Failed>,
}

/// A repository that could not be compared.
#[derive(Debug)]
pub struct Failed {
    pub repository: RepositoryName,
    pub error: HandlerError,
}

impl Failed {
    /// Writes it to the log.
    pub fn log(&self) {
        let error = &self.error as &dyn std::error::Error;
        let repository = self.repository.as_str();
        tracing::warn!(error, repository, "cannot compare heads");
    }
}

/// Compares the refs of every admitted repository that has pushed before, and accepts the pushes
/// that it finds as if their webhooks had arrived. Many repositories are compared in two rounds, and
/// each round begins with another one.
///
/// # Errors
/// When the store does not answer.
pub async fn compare_heads(
    context: Context<'_>,
    source: &dyn Source,
    admitted: &dyn Repositories,
    round: &Round,
) -> Result<Compared, HandlerError> {
    let mut repositories = repositories(context, round.number).await?;
    if repositories.len() > MOST_IN_ROUND {
        let mut place = round.number;
        repositories.retain(|_| {
            place += 1;
            place.is_multiple_of(2)
        });
    }
    let began = context.now();
    let mut compared = Compared::default();
    for some in repositories.chunks(AT_ONCE) {
        if context.now() > began + LONGEST {
            break;
        }
        let several = some.iter().map(|repository| {
            let comparison = Comparison {
                context,
                source,
                repository,
                patience: round.patience,
            };
            comparison.round(admitted)
        });
        for (result, repository) in join_all(several).await.into_iter().zip(some) {
            match result {
                Ok(found) => compared.found += found,
                Err(error) => compared.failed.push(Failed {
                    repository: repository.name.clone(),
                    error,
                }),
            }
        }
    }
    Ok(compared)
}

/// Every repository that has pushed; each round begins with another one.
pub(super) async fn repositories(
    context: Context<'_>,
    round: u64,
) -> Result<Vec<Repository>, HandlerError> {
    let mut query = Query::all(keys::REPOSITORIES);
    let mut repositories = Vec::new();
    loop {
        let page = context.store.query(&query).await?;
        for item in &page.items {
            repositories.push(Read::of(item)?.value);
        }
        query.after = page.next;
        if query.after.is_none() {
            let first = usize::try_from(round).unwrap_or(0);
            let first = first.checked_rem(repositories.len()).unwrap_or(0);
            repositories.rotate_left(first);
            return Ok(repositories);
        }
    }
}

/// The comparison of one repository.
struct Comparison<'a> {
    context: Context<'a>,
    source: &'a dyn Source,
    repository: &'a Repository,
    patience: Duration,
}

impl Comparison<'_> {
    fn id(&self) -> RepositoryId {
        self.repository.id
    }

    /// Returns how many pushes it found. That the refs may not be read is remembered.
    async fn round(self, admitted: &dyn Repositories) -> Result<usize, HandlerError> {
        let found = self.run(admitted).await;
        let obstacle = found.as_ref().err().and_then(HandlerError::obstacle);
        if obstacle.is_some_and(|obstacle| obstacle.by == Service::Git) {
            self.remember().await?;
        }
        found
    }

    /// Returns how many pushes it found.
    async fn run(&self, admitted: &dyn Repositories) -> Result<usize, HandlerError> {
        let named = RepositoryRef {
            id: self.id(),
            name: self.repository.name.clone(),
        };
        let Admission::Admitted(repository) = admitted.admit(&named).await? else {
            return Ok(0);
        };
        let mut reads = Reads::from(self.context);
        let key = keys::heads(self.id());
        let numbers = keys::numbers(self.id());
        reads.load(vec![key.clone(), numbers.clone()]).await?;
        let read = reads.read::<Heads>(&key).await?;
        let before = read.as_ref().map(|read| &read.value);
        let numbers = reads.value::<Numbers>(&numbers).await?;
        let drawn = numbers.map_or(0, |numbers| numbers.order);
        let seen = self.heads(&mut reads, &repository, before).await?;
        let was_denied = before.is_some_and(|before| before.denied);
        let is_new = was_denied || before.is_some_and(|before| before.checked != drawn);
        let Some(mut heads) = seen.or_else(|| before.filter(|_| is_new).cloned()) else {
            return Ok(0);
        };
        heads.denied = false;
        if heads.checked != drawn {
            let planned = self.newest_planned(&mut reads, &heads).await?;
            heads.recheck(&planned, drawn, self.context.now());
        }
        let mut found = 0;
        for (git_ref, open) in heads.open.clone() {
            let decided = self.verdict(&mut reads, &repository, &git_ref, &open);
            match decided.await? {
                (Verdict::Wait, _) => continue,
                (Verdict::Explained, _) => {}
                (Verdict::Missed, commit) => {
                    let missed = self.missed(&mut reads, &repository, &git_ref, &open, commit);
                    found += usize::from(missed.await?);
                }
            }
            heads.open.remove(&git_ref);
        }
        if was_denied {
            self.context.passed(Service::Git).await?;
        }
        if before != Some(&heads) {
            let mut change = Change::default();
            change.save(key, read.as_ref(), &heads);
            // On a conflict, another sweep has compared the same; the next round goes on from there.
            self.context.commit(change, &mut Rounds::default()).await?;
        }
        Ok(found)
    }

    /// Remembers that a person must fix something, so that the round in which that is done
    /// announces what waits for it.
    async fn remember(&self) -> Result<(), HandlerError> {
        let key = keys::heads(self.id());
        let read = self.context.read::<Heads>(&key).await?;
        let heads = read.as_ref().map(|read| read.value.clone());
        let heads = Heads {
            denied: true,
            ..heads.unwrap_or_default()
        };
        if read.as_ref().is_some_and(|read| read.value.denied) {
            return Ok(());
        }
        let mut change = Change::default();
        change.save(key, read.as_ref(), &heads);
        self.context.commit(change, &mut Rounds::default()).await?;
        Ok(())
    }

    /// Where the refs are now, and which moves are open; none if there is nothing to do.
    async fn heads(
        &self,
        reads: &mut Reads<'_>,
        repository: &RepositoryRef,
        before: Option<&Heads>,
    ) -> Result<Option<Heads>, HandlerError> {
        let mark = before.and_then(|before| before.mark.as_deref());
        let mut refs = self.source.refs(repository, mark).await?;
        let is_open = before.is_some_and(|before| !before.open.is_empty());
        if refs == Refs::Unchanged && !is_open {
            return Ok(None);
        }
        // The rules come with a push, so they can only be new if a ref has moved.
        let rules = self.rules(reads).await?;
        let known = before.filter(|before| before.rules == rules);
        if refs == Refs::Unchanged && known.is_none() {
            refs = self.source.refs(repository, None).await?;
        }
        let listed = match refs {
            Refs::Unchanged => return Ok(known.cloned()),
            Refs::Now { mark, refs } => Listed { mark, refs },
        };
        let watched = listed.refs.keys().filter(|git_ref| rules.admit(git_ref));
        let bytes: usize = watched.map(|git_ref| git_ref.full().len() + 64).sum();
        if bytes > MOST_BYTES {
            let repository = repository.name.as_str();
            tracing::warn!(
                repository,
                "too many refs start runs to compare their heads"
            );
            return Ok(None);
        }
        let planned = self.planned(reads, before, &listed, &rules).await?;
        let now = self.context.now();
        Ok(Some(Heads::then(before, listed, rules, &planned, now)))
    }

    /// The rules of the trusted definition; without one, only the default branch starts runs.
    async fn rules(&self, reads: &mut Reads<'_>) -> Result<Rules, HandlerError> {
        let key = keys::trusted_definition(self.id());
        let trusted = reads.value::<Trusted>(&key).await?;
        Ok(Rules {
            source: trusted
                .map(|known| known.definition.source)
                .unwrap_or_default(),
            default_branch: self.repository.default_branch.clone(),
        })
    }

    /// The refs that have a run, of those that are listed for the first time.
    async fn planned(
        &self,
        reads: &mut Reads<'_>,
        before: Option<&Heads>,
        listed: &Listed,
        rules: &Rules,
    ) -> Result<BTreeSet<GitRef>, HandlerError> {
        let new = heads::first_seen(before, listed, rules);
        let branch = |git_ref: &GitRef| keys::branch(self.id(), git_ref);
        let keys = new.iter().map(|git_ref| branch(git_ref));
        reads.load(keys.collect()).await?;
        let mut planned = BTreeSet::new();
        for git_ref in new {
            let known = reads.value::<Branch>(&branch(git_ref)).await?;
            if known.is_some_and(|known| known.head.is_some()) {
                planned.insert(git_ref.clone());
            }
        }
        Ok(planned)
    }

    /// The newest planned commits of the watched branches.
    async fn newest_planned(
        &self,
        reads: &mut Reads<'_>,
        heads: &Heads,
    ) -> Result<BTreeMap<GitRef, CommitSha>, HandlerError> {
        let is_branch = |git_ref: &&GitRef| matches!(git_ref, GitRef::Branch(_));
        let branches: Vec<&GitRef> = heads.refs.keys().filter(is_branch).collect();
        let key = |git_ref: &GitRef| keys::branch(self.id(), git_ref);
        let keys = branches.iter().map(|git_ref| key(git_ref));
        reads.load(keys.collect()).await?;
        let mut planned = BTreeMap::new();
        for git_ref in branches {
            let known = reads.value::<Branch>(&key(git_ref)).await?;
            if let Some(head) = known.and_then(|known| known.head) {
                planned.insert(git_ref.clone(), head);
            }
        }
        Ok(planned)
    }

    /// What to do about a move, and the commit that it leads to.
    async fn verdict(
        &self,
        reads: &mut Reads<'_>,
        repository: &RepositoryRef,
        git_ref: &GitRef,
        open: &Open,
    ) -> Result<(Verdict, Option<CommitSha>), HandlerError> {
        let branch = keys::branch(self.id(), git_ref);
        let branch = reads.value::<Branch>(&branch).await?;
        let commit = match (git_ref, &open.at) {
            (_, None) => None,
            (GitRef::Branch(_), Some(commit)) => Some(commit.clone()),
            // The object of an annotated tag is the tag's own.
            (GitRef::Tag(_), Some(_)) => self.source.head(repository, git_ref).await?,
        };
        let newest = match &commit {
            Some(commit) => self.newest(reads, git_ref, commit).await?,
            None => None,
        };
        let moved = heads::Moved {
            open,
            branch: branch.as_ref(),
            commit: commit.as_ref(),
            newest,
        };
        let verdict = heads::judge(&moved, self.patience, self.context.now());
        Ok((verdict, commit))
    }

    /// The order of the newest run of a commit on a ref.
    async fn newest(
        &self,
        reads: &mut Reads<'_>,
        git_ref: &GitRef,
        commit: &CommitSha,
    ) -> Result<Option<u64>, HandlerError> {
        let key = keys::commit(commit, self.id());
        let Some(pointer) = reads.value::<RunPointer>(&key).await? else {
            return Ok(None);
        };
        let runs: Vec<_> = pointer.runs().map(keys::run).collect();
        reads.load(runs.clone()).await?;
        let mut found = Vec::new();
        for run in runs {
            found.extend(reads.value::<Run>(&run).await?);
        }
        Ok(heads::newest(&found, git_ref))
    }

    /// Accepts the push or the deletion that no webhook reporter of; returns whether it was news.
    async fn missed(
        &self,
        reads: &mut Reads<'_>,
        repository: &RepositoryRef,
        git_ref: &GitRef,
        open: &Open,
        commit: Option<CommitSha>,
    ) -> Result<bool, HandlerError> {
        let branch = keys::branch(self.id(), git_ref);
        let planned = reads.value::<Branch>(&branch).await?;
        let (before, after, commit) = match heads::missed(open, planned.as_ref(), commit) {
            Missed::Nothing => return Ok(false),
            Missed::Deletion { before } => {
                let deletion = Deletion {
                    repository: repository.id,
                    repository_name: repository.name.clone(),
                    git_ref: git_ref.clone(),
                    before,
                };
                accepting::note_deletion(self.context, &deletion, &Reporter::Sweep).await?;
                return Ok(true);
            }
            Missed::Push {
                before,
                after,
                commit,
            } => (before, after, commit),
        };
        let brought = self.source.brought(repository, before.as_ref(), &commit);
        let Some(brought) = brought.await? else {
            // It moved on since, and the next list says where to.
            return Ok(false);
        };
        let (authors, cut) = github::authors(&brought.people);
        let push = Push {
            repository: repository.id,
            repository_name: repository.name.clone(),
            default_branch: self.repository.default_branch.clone(),
            git_ref: git_ref.clone(),
            before,
            after,
            commit,
            forced: brought.forced,
            pusher: Untrusted::first_line(&brought.author).display(),
            authors,
            authors_cut: cut || brought.cut,
            message: brought.message,
        };
        let accepted = accepting::accept(self.context, push, &Reporter::Sweep).await?;
        Ok(matches!(accepted, Accepted::New { .. }))
    }
}
