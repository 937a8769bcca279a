//! Failed deliveries of webhooks, and asking for them again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use async_trait::async_trait;
use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use towline_domain::redelivery::Attempt;
use towline_ports::{Deliveries, PortError, RepositoryRef};

use crate::address::Path;
use crate::call::{Call, Failure, Purpose, bearer};
use crate::credentials::Credentials;
use crate::http::{Answer, Ask, JSON, MOST};
use crate::key::AppKey;
use crate::source::found;
use crate::{GitHub, lock};

/// Repositories whose own webhooks are read in one round; the caller lets them take turns.
const MOST_REPOSITORIES: usize = 20;

/// Pages of one list of attempts, with a hundred each, newest first.
const MOST_PAGES: usize = 10;

/// The webhooks that lead to one address.
pub struct Webhooks<'a> {
    github: &'a GitHub,
    url: String,
    /// Where each delivery that was listed can be asked for again, and whose it is.
    listed: Mutex<HashMap<String, Listed>>,
}

#[derive(Clone)]
struct Listed {
    repository: RepositoryRef,
    attempts: Path,
    at: Timestamp,
    of_app: bool,
}

#[derive(Deserialize)]
struct Hook {
    #[serde(default)]
    id: u64,
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    url: String,
}

/// An attempt (GitHub REST API, "List deliveries for a repository webhook"). A time-out has another
/// status than `failed`, so the code decides.
#[derive(Deserialize)]
struct Row {
    id: u64,
    guid: String,
    delivered_at: Timestamp,
    #[serde(default)]
    status_code: i64,
    event: String,
    #[serde(default)]
    repository_id: Option<u64>,
}

impl GitHub {
    /// The webhooks that lead to this address.
    #[must_use]
    pub fn webhooks(&self, url: String) -> Webhooks<'_> {
        Webhooks {
            github: self,
            url,
            listed: Mutex::default(),
        }
    }
}

/// One list of attempts.
struct List<'a> {
    call: &'a Call<'a>,
    doing: &'a str,
    path: Path,
    /// The proof of an App, if it is the App's own list.
    proof: Option<HeaderValue>,
}

impl List<'_> {
    async fn get(&self, path: &Path) -> Result<Answer, Failure> {
        match &self.proof {
            None => self.call.get(self.doing, path).await,
            Some(_) => self.send(Method::GET, path).await,
        }
    }

    async fn send(&self, method: Method, path: &Path) -> Result<Answer, Failure> {
        let ask = Ask {
            method,
            accept: JSON,
            body: None,
            unless: None,
            most: MOST,
        };
        match self.proof.clone() {
            None => self.call.ask(self.doing, path, &ask).await,
            proof => Ok(self.call.exchange(self.doing, path, &ask, proof).await?),
        }
    }
}

impl Webhooks<'_> {
    /// The attempts of one webhook.
    async fn list(
        &self,
        list: &List<'_>,
        ours: &BTreeSet<u64>,
        since: Timestamp,
    ) -> Result<Vec<Attempt>, Failure> {
        let mut attempts = Vec::new();
        let mut path = list.path.clone().then("?per_page=100");
        for _ in 0..MOST_PAGES {
            let answer = list.get(&path).await?;
            let rows: Vec<Row> = found(&answer, list.doing)?;
            let is_last = rows.last().is_none_or(|row| row.delivered_at < since);
            let counts = |row: &Row| {
                let is_ours = row.repository_id.is_none_or(|id| ours.contains(&id));
                row.event == "push" && row.delivered_at >= since && is_ours
            };
            for row in rows.into_iter().filter(counts) {
                self.remember(list, &row);
                attempts.push(Attempt {
                    guid: row.guid,
                    at: row.delivered_at,
                    succeeded: (200..300).contains(&row.status_code),
                });
            }
            let next = cursor(&answer).filter(|_| !is_last);
            let Some(next) = next else {
                break;
            };
            path = list.path.clone().then("?per_page=100&cursor=").word(&next);
        }
        Ok(attempts)
    }

    fn remember(&self, list: &List<'_>, row: &Row) {
        let mut listed = lock(&self.listed);
        let known = listed.get(&row.guid).map(|known| known.at);
        if known.is_none_or(|known| known <= row.delivered_at) {
            let attempts = list.path.clone().number(row.id).then("/attempts");
            let newest = Listed {
                repository: list.call.repository.clone(),
                attempts,
                at: row.delivered_at,
                of_app: list.proof.is_some(),
            };
            listed.insert(row.guid.clone(), newest);
        }
    }

    /// The ids of the webhooks to us in a list; none if the credentials may not read it.
    async fn hooks(&self, call: &Call<'_>, doing: &str, path: Path) -> Result<Vec<u64>, Failure> {
        let answer = match call.get(doing, &path.then("?per_page=100")).await {
            Ok(answer) => answer,
            // An App without the permission gets no token for it.
            Err(Failure::Denied(why)) => {
                tracing::debug!(why, "webhooks are not read");
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        if matches!(
            answer.status,
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY
        ) {
            return Ok(Vec::new());
        }
        let hooks: Vec<Hook> = found(&answer, doing)?;
        let ours = hooks.into_iter().filter(|hook| hook.config.url == self.url);
        Ok(ours.map(|hook| hook.id).collect())
    }

    /// The proof of the App, if the credentials are one.
    async fn proof(&self) -> Result<Option<HeaderValue>, PortError> {
        let Credentials::App { id, private_key } = self.github.credentials.read().await? else {
            return Ok(None);
        };
        let app = AppKey::new(&id, &private_key)
            .map_err(|cause| PortError::new("using the GitHub App's private key", cause))?;
        bearer(&app.prove(self.github.clock.now())?).map(Some)
    }

    /// The attempts of the App's own webhook, if it leads to us.
    async fn of_app(
        &self,
        call: &Call<'_>,
        proof: HeaderValue,
        ours: &BTreeSet<u64>,
        since: Timestamp,
    ) -> Result<Vec<Attempt>, Failure> {
        let list = List {
            call,
            doing: "listing the deliveries of the GitHub App's webhook",
            path: Path::new("/app/hook/deliveries"),
            proof: Some(proof),
        };
        let config = list.get(&Path::new("/app/hook/config")).await?;
        if config.status == StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        let config: Config = found(&config, list.doing)?;
        match config.url == self.url {
            true => self.list(&list, ours, since).await,
            false => Ok(Vec::new()),
        }
    }
}

#[async_trait]
impl Deliveries for Webhooks<'_> {
    async fn attempts(
        &self,
        repositories: &[RepositoryRef],
        since: Timestamp,
    ) -> Result<Vec<Attempt>, PortError> {
        let Some(first) = repositories.first() else {
            return Ok(Vec::new());
        };
        lock(&self.listed).retain(|_, listed| listed.at >= since);
        let ours: BTreeSet<u64> = repositories.iter().map(|known| known.id.0).collect();
        let mut attempts = Vec::new();
        let proof = self.proof().await?;
        let is_app = proof.is_some();
        if let Some(proof) = proof {
            let call = self.github.call(first, Purpose::Hooks);
            attempts.extend(self.of_app(&call, proof, &ours, since).await?);
        }
        let mut owners = BTreeSet::new();
        for repository in repositories.iter().take(MOST_REPOSITORIES) {
            let name = &repository.name;
            let doing = &format!("listing the deliveries of webhooks of {name}");
            let call = self.github.call(repository, Purpose::Hooks);
            call.spare(doing)?;
            let mut lists = vec![call.path().then("/hooks")];
            let (owner, _) = name.as_str().split_once('/').unwrap_or_default();
            // A token of an App is for one repository only.
            if !is_app && owners.insert(owner.to_ascii_lowercase()) {
                let of_owner = Path::new("/orgs").segments(owner);
                lists.extend(of_owner.map(|path| path.then("/hooks")));
            }
            for path in lists {
                for hook in self.hooks(&call, doing, path.clone()).await? {
                    let list = List {
                        call: &call,
                        doing,
                        path: path.clone().number(hook).then("/deliveries"),
                        proof: None,
                    };
                    attempts.extend(self.list(&list, &ours, since).await?);
                }
            }
        }
        Ok(attempts)
    }

    async fn repeat(&self, guid: &str) -> Result<(), PortError> {
        let listed = lock(&self.listed).get(guid).cloned();
        let Some(listed) = listed else {
            return Err(PortError::because(
                "asking for a delivery that was not listed",
            ));
        };
        let doing = &format!(
            "asking GitHub to repeat a delivery of {}",
            listed.repository.name
        );
        let call = self.github.call(&listed.repository, Purpose::Hooks);
        let list = List {
            call: &call,
            doing,
            path: listed.attempts.clone(),
            proof: match listed.of_app {
                true => self.proof().await?,
                false => None,
            },
        };
        let answer = list.send(Method::POST, &listed.attempts).await?;
        match answer.status {
            StatusCode::ACCEPTED => Ok(()),
            _ => Err(answer.error(doing)),
        }
    }
}

/// Where the next page of a list begins.
fn cursor(answer: &Answer) -> Option<String> {
    let (_, rest) = answer.next_page()?.split_once("cursor=")?;
    let cursor = rest.split(['&', '>', ';']).next()?;
    Some(cursor.to_owned())
}
