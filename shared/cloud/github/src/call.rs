//! One call of a port: its requests with credentials, retries, pauses and redirects, within one
//! deadline.

use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use tokio::time::timeout;
use towline_domain::obstacle::Service;
use towline_ports::admission::is_local;
use towline_ports::{PortError, RepositoryRef, StatusError};

use crate::address::Path;
use crate::credentials::Credentials;
use crate::http::{Answer, Ask, JSON, MOST};
use crate::{GitHub, lock, pace};

/// The longest pause to wait for; after a longer one, the caller must retry.
const WAITED_FOR: Duration = Duration::from_secs(10);

/// The first delay before a retry; each is twice the previous one, less a random part.
const DELAY: Duration = Duration::from_millis(250);

/// Redirects to follow in a row.
const REDIRECTS: usize = 3;

/// How long a name is assumed to belong to the same repository.
const IDENTIFIED: Duration = Duration::from_secs(600);

/// What an installation token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    Read,
    Status,
    Hooks,
}

/// One call, about one repository.
pub(crate) struct Call<'a> {
    pub(crate) github: &'a GitHub,
    pub(crate) repository: &'a RepositoryRef,
    pub(crate) purpose: Purpose,
    until: Timestamp,
}

#[derive(Debug)]
pub(crate) enum Failure {
    /// It fails until someone does what the sentence says.
    Denied(String),
    Later(PortError),
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        Self::Later(error)
    }
}

/// The caller waits until someone fixes the cause, because it needs the answer eventually.
impl From<Failure> for PortError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Denied(why) => Self::because(why).denied_by(Service::Git),
            Failure::Later(error) => error,
        }
    }
}

impl From<Failure> for StatusError {
    fn from(failure: Failure) -> Self {
        Self::Port(failure.into())
    }
}

#[derive(serde::Deserialize)]
struct Known {
    id: u64,
    full_name: String,
}

impl GitHub {
    pub(crate) fn call<'a>(&'a self, repository: &'a RepositoryRef, purpose: Purpose) -> Call<'a> {
        let now = self.clock.now();
        Call {
            github: self,
            repository,
            purpose,
            until: now.checked_add(self.settings.patience).unwrap_or(now),
        }
    }
}

impl Call<'_> {
    /// The same call with half the time.
    pub(crate) fn hurried(mut self) -> Self {
        let half = self.left() / 2;
        let now = self.github.clock.now();
        self.until = now.checked_add(half).unwrap_or(now);
        self
    }

    /// A path below the repository.
    pub(crate) fn path(&self) -> Path {
        Path::repository(&self.repository.name)
    }

    pub(crate) async fn get(&self, doing: &str, path: &Path) -> Result<Answer, Failure> {
        let ask = Ask {
            method: Method::GET,
            accept: JSON,
            body: None,
            unless: None,
            most: MOST,
        };
        self.ask(doing, path, &ask).await
    }

    /// Asks with our credentials. If GitHub rejects them, or there are none, they are read again, once.
    pub(crate) async fn ask(&self, doing: &str, path: &Path, ask: &Ask) -> Result<Answer, Failure> {
        let source = &self.github.credentials;
        let credentials = source.read().await?;
        if let Some(answer) = self.ask_as(doing, path, ask, &credentials).await? {
            return Ok(answer);
        }
        tracing::info!("GitHub rejected the credentials; reading them again");
        self.github.tokens.forget(self);
        let credentials = source.reread().await?;
        let answer = self.ask_as(doing, path, ask, &credentials).await?;
        answer.ok_or_else(|| {
            let refused = match credentials {
                Credentials::None => {
                    "requests without credentials; store a token or a GitHub App in the secret"
                }
                Credentials::Token(_) => "the token; store a valid one in the secret",
                Credentials::App { .. } => {
                    "the GitHub App; store its id and a private key in the secret"
                }
                Credentials::Unusable(error) => {
                    return Failure::Denied(format!("{doing}: {error}"));
                }
            };
            Failure::Denied(format!("{doing}: GitHub refuses {refused} (401)"))
        })
    }

    /// Asks with these credentials; none if GitHub rejects them.
    async fn ask_as(
        &self,
        doing: &str,
        path: &Path,
        ask: &Ask,
        credentials: &Credentials,
    ) -> Result<Option<Answer>, Failure> {
        let token = match credentials {
            Credentials::None => None,
            Credentials::Unusable(_) => return Ok(None),
            Credentials::Token(token) => Some(token.clone()),
            Credentials::App { id, private_key } => {
                let Some(token) = self.github.tokens.of(self, id, private_key).await? else {
                    return Ok(None);
                };
                Some(token)
            }
        };
        let authorization = token.as_ref().map(|token| bearer(token.expose_secret()));
        let authorization = authorization.transpose()?;
        let answer = self.exchange(doing, path, ask, authorization).await?;
        Ok((answer.status != StatusCode::UNAUTHORIZED).then_some(answer))
    }

    /// Asks until the answer is neither a server error nor about rate limits.
    pub(crate) async fn exchange(
        &self,
        doing: &str,
        path: &Path,
        ask: &Ask,
        authorization: Option<HeaderValue>,
    ) -> Result<Answer, PortError> {
        let Self { github, .. } = self;
        let mut path = path.to_string();
        let mut redirects = 0;
        let mut delay = DELAY;
        loop {
            self.wait_for_limits(doing).await?;
            let left = self.left().min(github.settings.patience / 2);
            let exchange = github.client.exchange(ask, &path, authorization.as_ref());
            let failure = match timeout(left, exchange).await {
                Ok(Ok(answer)) if answer.status.is_server_error() => answer.error(doing),
                Ok(Ok(answer)) if answer.status == StatusCode::NOT_MODIFIED => return Ok(answer),
                Ok(Ok(answer)) if answer.status.is_redirection() => {
                    redirects += 1;
                    if redirects > REDIRECTS {
                        return Err(answer.error(doing));
                    }
                    path = self.follow(doing, ask, &answer)?;
                    continue;
                }
                Ok(Ok(answer)) => {
                    github.budgets.note(self.whose(), &answer);
                    let Some(until) = pace::limited(&answer, github.clock.now()) else {
                        return Ok(answer);
                    };
                    tracing::warn!(%until, answer = answer.refusal(), "GitHub asks for a pause");
                    github.pauses.pause(self.whose(), until);
                    continue;
                }
                Ok(Err(cause)) => PortError::new(format!("{doing}: asking GitHub"), cause),
                Err(cause) => PortError::new(format!("{doing}: waiting for GitHub"), cause),
            };
            // Between half of it and all of it, so that clients that failed together do not retry together.
            let random = (github.clock.random() % 512) as f64 / 1024.0;
            let wait = delay.mul_f64(1.0 - random);
            delay *= 2;
            if self.left() <= wait {
                return Err(failure);
            }
            tracing::debug!(error = %failure, "asking GitHub again");
            github.clock.sleep(wait).await;
        }
    }

    /// Waits as long as GitHub asks, if that is short.
    async fn wait_for_limits(&self, doing: &str) -> Result<(), PortError> {
        let Self { github, .. } = self;
        let now = github.clock.now();
        let Some(until) = github.pauses.until(self.whose(), now) else {
            return Ok(());
        };
        let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        if wait > WAITED_FOR || wait >= self.left() {
            return Err(PortError::because(format!(
                "{doing}: GitHub's rate limit is used up until {until}"
            )));
        }
        github.clock.sleep(wait).await;
        Ok(())
    }

    /// Refuses a call that can wait while few requests are left.
    pub(crate) fn spare(&self, doing: &str) -> Result<(), PortError> {
        let now = self.github.clock.now();
        match self.github.budgets.short_until(self.whose(), now) {
            None => Ok(()),
            Some(until) => Err(PortError::because(format!(
                "{doing}: GitHub's rate limit is nearly used up until {until}"
            ))),
        }
    }

    /// The rate limit that a request counts against. An App has one for each owner with an installation. A
    /// token has only one, so a second owner meets it separately.
    fn whose(&self) -> &str {
        let name = self.repository.name.as_str();
        name.split_once('/').map_or(name, |(owner, _)| owner)
    }

    /// Where a renamed repository is: GitHub leads to `/repositories/ID/…` (GitHub REST API,
    /// "Best practices", follow redirects). No other host and no other repository is asked.
    fn follow(&self, doing: &str, ask: &Ask, answer: &Answer) -> Result<String, PortError> {
        let refuse = |reason| {
            PortError::because(format!(
                "{doing}: GitHub redirects {reason}, which is not followed"
            ))
        };
        let same_method = matches!(answer.status.as_u16(), 307 | 308);
        if ask.method != Method::GET && !same_method {
            return Err(refuse("a change to a page"));
        }
        let location = answer.header("location").unwrap_or_default();
        let Some(path) = self.github.client.below(location) else {
            return Err(refuse("to another place"));
        };
        let whole = path.split('?').next().unwrap_or_default();
        let mut segments = whole.split('/').skip(1);
        let (Some("repositories"), Some(id)) = (segments.next(), segments.next()) else {
            return Err(refuse("to something that is not a repository"));
        };
        let expected = self.repository.id;
        if !is_local(expected) && id != expected.to_string() {
            return Err(refuse("to another repository"));
        }
        if segments.any(|segment| matches!(segment, "." | "..")) {
            return Err(refuse("outside the repository"));
        }
        Ok(path.to_owned())
    }

    fn left(&self) -> Duration {
        let left = self.until.duration_since(self.github.clock.now());
        Duration::try_from(left).unwrap_or_default()
    }

    /// Ensures that the repository is readable and is the admitted one (A8).
    ///
    /// GitHub answers 404 both for what does not exist and for what we may not see (GitHub REST API,
    /// "Troubleshooting"); this distinguishes them.
    pub(crate) async fn reach(&self, doing: &str) -> Result<(), Failure> {
        let answer = self.get(doing, &self.path()).await?;
        let RepositoryRef { id, name } = self.repository;
        if answer.status != StatusCode::OK {
            return Err(Failure::Denied(format!(
                "{doing}: cannot see the repository {name} on GitHub ({}); give the credentials access \
                 to it",
                answer.refusal()
            )));
        }
        let known: Known = answer.json(doing)?;
        if !is_local(*id) && known.id != id.0 {
            return Err(Failure::Denied(format!(
                "{doing}: {name} is now the repository {}, not {id}, which was admitted",
                known.id
            )));
        }
        if !known.full_name.eq_ignore_ascii_case(name.as_str()) {
            tracing::debug!(%name, now = known.full_name, "the repository was renamed");
        }
        let now = self.github.clock.now();
        lock(&self.github.identified).insert(*id, (name.clone(), now));
        Ok(())
    }

    /// Like [`Self::reach`], unless that was checked recently.
    pub(crate) async fn identify(&self, doing: &str) -> Result<(), Failure> {
        let now = self.github.clock.now();
        let known = lock(&self.github.identified)
            .get(&self.repository.id)
            .is_some_and(|(name, at)| {
                *name == self.repository.name && now.duration_since(*at).unsigned_abs() < IDENTIFIED
            });
        if known {
            return Ok(());
        }
        self.reach(doing).await
    }
}

/// The header with a token, which is already checked for white space and line ends.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue, PortError> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
        PortError::because("the token for GitHub has characters that are not allowed in a header")
    })?;
    value.set_sensitive(true);
    Ok(value)
}
