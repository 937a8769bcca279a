//! Asks the source whether a ref that a stage admits still contains a candidate's commit (F26).

#[cfg(test)]
mod tests;

use std::time::Duration;

use futures::future::try_join_all;
use towline_domain::causes::with_causes;
use towline_domain::image::Candidate;
use towline_domain::names::{CommitSha, GitRef};
use towline_domain::stage::contained::{Others, named};
use towline_domain::stage::{Fact, OnRefs, Promotion, Stage};
use towline_domain::trusted::Trusted;
use towline_domain::untrusted::Untrusted;
use towline_ports::{PortError, Refs, Relation, RepositoryRef, Source};
use towline_state::apply::{self, Applied};
use towline_state::records::Repository;
use towline_state::{HandlerError, Owed, Reads, keys};

/// The most refs to look at besides the candidate's own.
const MOST_REFS: usize = 20;
/// Refs looked at together.
const AT_ONCE: usize = 5;
/// After this time nothing more is asked, so that the function has time left to say so.
const LONGEST: Duration = Duration::from_secs(10);

/// Whether a promotion may continue.
pub(super) enum Allowed {
    /// Its writer may take the lease.
    Yes {
        /// Whether the source was asked, or need not be.
        asked: bool,
    },
    /// The stage has heard what the source says about its commit.
    No,
}

/// Whether a promotion may continue. If not, the stage receives what the source says about its commit.
///
/// # Errors
/// When the store or the source does not answer.
pub(super) async fn may_act(
    reads: &mut Reads<'_>,
    source: &dyn Source,
    owed: &Owed,
    stage: &Stage,
    promotion: &Promotion,
) -> Result<Allowed, HandlerError> {
    // With the lease it was begun by a writer that had asked, and may have set a tag.
    let is_begun = promotion.acting && stage.lease.is_some();
    if !promotion.needs_its_commit() || is_begun {
        let asked = !is_begun;
        return Ok(Allowed::Yes { asked });
    }
    let candidate = &promotion.candidate;
    let looked_up = match search(reads, source, stage, candidate).await? {
        Some(search) => {
            let context = reads.context();
            let until = context.now() + LONGEST;
            search
                .run(&candidate.git_ref, || context.now() > until)
                .await
        }
        None => Err(PortError::because(
            "reading which refs the repository admits: it has not pushed yet",
        )),
    };
    let (found, error) = match looked_up {
        Ok(OnRefs::Contained) if promotion.acting || promotion.unchecked.is_none() => {
            return Ok(Allowed::Yes { asked: true });
        }
        Ok(found) => (found, None),
        Err(error) => (OnRefs::Unknown { said: said(&error) }, Some(error)),
    };
    let fact = Fact::CommitLookedUp {
        promotion: promotion.number,
        found,
    };
    let told = apply::to_stage(reads.clone(), &stage.key, &fact, None).await?;
    match (error, told) {
        // The intent stays owed, so the source is asked again.
        (Some(error), _) => Err(error.into()),
        (None, Applied::Taken(after)) if after.promotion(promotion.number).is_none() => {
            reads.context().finish(owed).await?;
            Ok(Allowed::No)
        }
        // If the promotion acts now, a new intent is owed.
        (None, Applied::Taken(_) | Applied::Refused(_)) => Ok(Allowed::No),
    }
}

/// Prepares to look the commit up; none before the repository's first push.
async fn search<'a>(
    reads: &mut Reads<'_>,
    source: &'a dyn Source,
    stage: &'a Stage,
    candidate: &'a Candidate,
) -> Result<Option<Search<'a>>, HandlerError> {
    let id = stage.key.repository;
    let key = keys::trusted_definition(id);
    let trusted = reads.value::<Trusted>(&key).await?;
    let known = reads.value::<Repository>(&keys::repository(id)).await?;
    let Some((trusted, known)) = trusted.zip(known) else {
        return Ok(None);
    };
    Ok(Some(Search {
        source,
        repository: RepositoryRef {
            id,
            name: known.name,
        },
        commit: &candidate.commit,
        stage,
        trusted,
    }))
}

/// An error with its causes, safe to store and to show.
fn said(error: &PortError) -> String {
    Untrusted::first_line(&with_causes(error)).display()
}

struct Search<'a> {
    source: &'a dyn Source,
    repository: RepositoryRef,
    commit: &'a CommitSha,
    stage: &'a Stage,
    trusted: Trusted,
}

impl Search<'_> {
    /// Looks the commit up, which usually takes one request, or two if its ref has moved on. Looks at the
    /// candidate's own ref first, then at the others that the stage admits.
    async fn run(&self, own: &GitRef, is_late: impl Fn() -> bool) -> Result<OnRefs, PortError> {
        let mut refs = Vec::new();
        if self.stage.admits(&self.trusted, own) {
            if self.is_on(own).await? {
                return Ok(OnRefs::Contained);
            }
            refs.push(own.clone());
        }
        let mut others = self.others().await?;
        others.refs.retain(|(git_ref, _)| git_ref != own);
        let is_at_it = |(_, at): &(GitRef, Option<CommitSha>)| at.as_ref() == Some(self.commit);
        if others.refs.iter().any(is_at_it) {
            return Ok(OnRefs::Contained);
        }
        for some in others.refs.chunks(AT_ONCE) {
            if is_late() {
                return Err(PortError::because(format!(
                    "looking for {} on the refs of {}: it takes too long",
                    self.commit.short(),
                    self.repository.name
                )));
            }
            let looks = some
                .iter()
                .map(|(git_ref, at)| self.is_on_known(git_ref, at.as_ref()));
            if try_join_all(looks).await?.contains(&true) {
                return Ok(OnRefs::Contained);
            }
            refs.extend(some.iter().map(|(git_ref, _)| git_ref.clone()));
        }
        let more = others.more;
        Ok(OnRefs::Removed { refs, more })
    }

    /// The refs that the stage admits, and where they are, if that is known: without patterns, they need
    /// not be listed.
    async fn others(&self) -> Result<Others, PortError> {
        let all: Vec<(GitRef, Option<CommitSha>)> = match named(&self.trusted) {
            Some(named) => named.into_iter().map(|git_ref| (git_ref, None)).collect(),
            None => match self.source.refs(&self.repository, None).await? {
                Refs::Now { refs, .. } => {
                    let refs = refs.into_iter();
                    refs.map(|(git_ref, at)| (git_ref, Some(at))).collect()
                }
                Refs::Unchanged => {
                    let doing = format!("listing the refs of {}", self.repository.name);
                    return Err(PortError::new(
                        doing,
                        "nothing is unchanged since no answer",
                    ));
                }
            },
        };
        let all = all.into_iter();
        Ok(self
            .stage
            .admitted(&self.trusted, self.commit, all, MOST_REFS))
    }

    async fn is_on_known(
        &self,
        git_ref: &GitRef,
        at: Option<&CommitSha>,
    ) -> Result<bool, PortError> {
        match (git_ref, at) {
            (GitRef::Branch(_), Some(at)) => self.is_in(at).await,
            // An annotated tag was listed with its own object.
            (GitRef::Tag(_), Some(_)) | (_, None) => self.is_on(git_ref).await,
        }
    }

    async fn is_on(&self, git_ref: &GitRef) -> Result<bool, PortError> {
        match self.source.head(&self.repository, git_ref).await? {
            Some(head) => self.is_in(&head).await,
            None => Ok(false),
        }
    }

    async fn is_in(&self, head: &CommitSha) -> Result<bool, PortError> {
        if head == self.commit {
            return Ok(true);
        }
        let relation = self.source.relation(&self.repository, self.commit, head);
        Ok(match relation.await? {
            Relation::Same | Relation::Behind => true,
            Relation::Ahead | Relation::Diverged => false,
        })
    }
}
