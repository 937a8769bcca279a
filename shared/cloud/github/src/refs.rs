//! Reads where a repository's refs are, often and cheaply, and which commits their moves brought.

use std::collections::BTreeMap;

use hyper::header::{ETAG, HeaderValue};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use towline_domain::names::{CommitSha, GitRef};
use towline_domain::untrusted::co_authors;
use towline_ports::{Brought, PortError, Refs, RepositoryRef};

use crate::GitHub;
use crate::call::{Call, Purpose};
use crate::credentials::Credentials;
use crate::http::{Ask, JSON, MOST};
use crate::source::{Reference, found, is_absent};

/// The most bytes of a list of refs; GitHub lists those of pull requests too.
const MOST_REFS: usize = 16 * 1024 * 1024;

/// The most pages of a list of refs.
const REF_PAGES: usize = 20;

/// The most pages of new commits whose authors are read, with a hundred commits each.
const COMMIT_PAGES: usize = 20;

/// A commit as "Get a commit" and "Compare two commits" describe it (GitHub REST API, "Commits").
#[derive(Deserialize)]
struct Described {
    commit: Content,
    #[serde(default)]
    author: Option<Account>,
    #[serde(default)]
    committer: Option<Account>,
}

#[derive(Deserialize)]
struct Content {
    message: String,
    #[serde(default)]
    author: Option<Named>,
    #[serde(default)]
    committer: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    email: Option<String>,
}

/// GitHub answers `{}` if the address belongs to no account.
#[derive(Deserialize)]
struct Account {
    #[serde(default)]
    login: Option<String>,
}

#[derive(Deserialize)]
struct New {
    status: String,
    commits: Vec<Described>,
}

impl Described {
    /// Logins, names and addresses: first the author, then the committer and the co-authors.
    fn people(self) -> Vec<String> {
        let accounts = [self.author, self.committer].into_iter().flatten();
        let logins = accounts.filter_map(|account| account.login);
        let named = [self.commit.author, self.commit.committer];
        let named = named.into_iter().flatten();
        let named = named.flat_map(|named| [named.name, named.email]).flatten();
        let all = logins.chain(named);
        let all = all.chain(co_authors(&self.commit.message));
        all.filter(|text| !text.is_empty()).collect()
    }
}

impl GitHub {
    /// One request, which does not count against the rate limit if nothing has changed (GitHub REST
    /// API, "Best practices", conditional requests): only with credentials, so nothing is asked
    /// without.
    pub(crate) async fn list_refs(
        &self,
        repository: &RepositoryRef,
        mark: Option<&str>,
    ) -> Result<Refs, PortError> {
        let doing = &format!("listing the refs of {}", repository.name);
        if matches!(self.credentials.read().await?, Credentials::None) {
            return Err(PortError::because(format!(
                "{doing}: it needs credentials, because without them GitHub counts every request"
            )));
        }
        let call = self.call(repository, Purpose::Read);
        call.spare(doing)?;
        let mut ask = Ask {
            method: Method::GET,
            accept: JSON,
            body: None,
            unless: mark.and_then(|mark| HeaderValue::try_from(mark).ok()),
            most: MOST_REFS,
        };
        // Without a name, all refs match.
        let mut path = call.path().then("/git/matching-refs/");
        let mut refs = BTreeMap::new();
        let mut mark = None;
        for page in 1..=REF_PAGES {
            let answer = call.ask(doing, &path, &ask).await?;
            if answer.status == StatusCode::NOT_MODIFIED {
                return Ok(Refs::Unchanged);
            }
            // An answer for another repository under this name would not have been known already (A8).
            call.identify(doing).await?;
            // An empty repository has no refs.
            if answer.status == StatusCode::CONFLICT {
                break;
            }
            let listed: Vec<Reference> = found(&answer, doing)?;
            refs.extend(listed.into_iter().filter_map(Reference::of_a_run));
            if answer.next_page().is_none() {
                let tag = answer.headers.get(ETAG).filter(|_| page == 1);
                mark = tag.and_then(|tag| tag.to_str().ok().map(str::to_owned));
                break;
            }
            if page == REF_PAGES {
                return Err(PortError::because(format!(
                    "{doing}: there are more than {REF_PAGES} pages"
                )));
            }
            ask.unless = None;
            path = call.path().then("/git/matching-refs/?page=");
            path = path.digits(page as u64 + 1);
        }
        Ok(Refs::Now { mark, refs })
    }

    pub(crate) async fn what_moved(
        &self,
        repository: &RepositoryRef,
        before: Option<&CommitSha>,
        commit: &CommitSha,
    ) -> Result<Option<Brought>, PortError> {
        let doing = &format!(
            "reading a move of {} to {}",
            repository.name,
            commit.short()
        );
        let call = self.call(repository, Purpose::Read);
        let path = call.path().then("/commits").id(commit);
        // A commit's files are on its pages too, and can be megabytes.
        let answer = call.get(doing, &path.then("?per_page=1&page=2")).await?;
        if is_absent(&answer) {
            call.reach(doing).await?;
            return Ok(None);
        }
        let head: Described = found(&answer, doing)?;
        let message = head.commit.message.clone();
        let mut people = head.people();
        let author = people.first().cloned().unwrap_or_default();
        let (mut forced, mut cut) = (false, false);
        if let Some(before) = before {
            let new = new_commits(&call, doing, before, commit).await?;
            (forced, cut) = (!new.straight, new.cut);
            people.extend(new.people);
        }
        let mut known: Vec<String> = Vec::new();
        for person in people {
            if !known.contains(&person) {
                known.push(person);
            }
        }
        Ok(Some(Brought {
            forced,
            message,
            author,
            people: known,
            cut,
        }))
    }
}

/// The commits between two.
struct Between {
    /// Whether the second follows the first.
    straight: bool,
    /// Who is named in them.
    people: Vec<String>,
    /// Whether there are more than were read.
    cut: bool,
}

async fn new_commits(
    call: &Call<'_>,
    doing: &str,
    before: &CommitSha,
    commit: &CommitSha,
) -> Result<Between, PortError> {
    let mut between = Between {
        straight: false,
        people: Vec::new(),
        cut: false,
    };
    for page in 1..=COMMIT_PAGES {
        let path = call.path().then("/compare").between(before, commit);
        let path = path.then("?per_page=100&page=").digits(page as u64);
        let ask = Ask {
            method: Method::GET,
            accept: JSON,
            body: None,
            unless: None,
            most: MOST,
        };
        let answer = call.ask(doing, &path, &ask).await?;
        if is_absent(&answer) {
            break;
        }
        let new: New = found(&answer, doing)?;
        between.straight = matches!(new.status.as_str(), "ahead" | "identical");
        let people = new.commits.into_iter().flat_map(Described::people);
        between.people.extend(people);
        between.cut = answer.next_page().is_some();
        if !between.cut {
            break;
        }
    }
    Ok(between)
}

impl Reference {
    /// The ref and its object, if it is a branch or a tag.
    fn of_a_run(self) -> Option<(GitRef, CommitSha)> {
        Some((self.full.parse().ok()?, self.object.sha))
    }
}
