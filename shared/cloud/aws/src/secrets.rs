//! Secrets Manager: cached secrets, with the previous version.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use towline_ports::{Clock, KeptSecret, PortError};

use crate::environment::{Aws, Patience};
use crate::fault::{code, failed};

/// A secret takes milliseconds to read, and is read before anything else.
const PATIENCE: Patience = Patience::new(Duration::from_secs(1), Duration::from_secs(3), 3);

/// How long a secret is cached. A change may be unknown for that long, unless a signature fails first.
const LASTS: Duration = Duration::from_secs(5 * 60);

/// How long to use a secret that cannot be read again, so that an outage of Secrets Manager is no
/// outage of Towline. It is limited, so that a revoked secret stops working.
const OUTLASTS: Duration = Duration::from_secs(60 * 60);

/// How long a version stays valid after it was replaced (A4).
const RETIRES: Duration = Duration::from_secs(60 * 60);

/// The minimum time between two reads that follow a bad signature or a failed read.
const APART: Duration = Duration::from_secs(10);

/// The placeholder that CloudFormation stores in a new secret.
const UNSET: &str = "unset";

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// The valid versions of a secret.
#[derive(Debug, Clone)]
pub struct SecretVersions {
    /// The current one; none if it was never set.
    pub current: Option<SecretString>,
    /// The previous one, if any, while the current one is younger than an hour. Only for a secret that
    /// [signs](Secrets::signing), and after [`CachedSecret::read`] only if a failed signature asked for it
    /// before, because each read is a request.
    pub previous: Option<SecretString>,
}

impl SecretVersions {
    /// The texts of the current and the previous version; do not log them.
    #[must_use]
    pub fn texts(&self) -> (Option<&str>, Option<&str>) {
        let current = self.current.as_ref().map(ExposeSecret::expose_secret);
        (
            current,
            self.previous.as_ref().map(ExposeSecret::expose_secret),
        )
    }
}

#[derive(Debug, Clone)]
pub struct Secrets {
    client: Client,
}

impl Aws {
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        Secrets {
            client: Client::new(&self.patient(&PATIENCE)),
        }
    }
}

impl Secrets {
    /// The secret with this ARN or name, read when needed.
    pub fn cached(&self, id: impl Into<String>, clock: Arc<dyn Clock>) -> CachedSecret {
        CachedSecret {
            client: self.client.clone(),
            id: id.into(),
            clock,
            signs: false,
            known: Mutex::default(),
        }
    }

    /// Like [`Secrets::cached`], for a secret that others sign with, some for a while with the previous
    /// version.
    pub fn signing(&self, id: impl Into<String>, clock: Arc<dyn Clock>) -> CachedSecret {
        CachedSecret {
            signs: true,
            ..self.cached(id, clock)
        }
    }
}

/// One secret, kept for five minutes.
pub struct CachedSecret {
    client: Client,
    id: String,
    clock: Arc<dyn Clock>,
    /// Whether the previous version is needed.
    signs: bool,
    /// Held while reading, so that many waiting requests cause one read.
    known: Mutex<Known>,
}

impl fmt::Debug for CachedSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("CachedSecret");
        shown.field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Known {
    /// The last successful read, and its time.
    versions: Option<(Timestamp, Arc<SecretVersions>)>,
    /// When the previous version, if any, becomes invalid.
    retires: Option<Timestamp>,
    /// When a read failed, or was caused by a bad signature.
    hurried: Option<Timestamp>,
    /// Whether a bad signature has caused a read of the previous version.
    with_previous: bool,
}

impl CachedSecret {
    /// The secret, read again after five minutes, or after ten seconds while it is not set. If that fails,
    /// the cached one is used for an hour.
    ///
    /// # Errors
    ///
    /// When Secrets Manager does not return it and nothing is cached.
    pub async fn read(&self) -> Result<Arc<SecretVersions>, PortError> {
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        known.retire(now);
        let Some((at, versions)) = known.versions.clone() else {
            return self.fetch(&mut known, now).await;
        };
        let age = now.duration_since(at).unsigned_abs();
        // A person who has just set the secret should not have to wait.
        let lasts = versions.current.as_ref().map_or(APART, |_| LASTS);
        let soon_again = age < OUTLASTS && known.is_hurried(now);
        if age < lasts || soon_again {
            return Ok(versions);
        }
        match self.fetch(&mut known, now).await {
            Ok(versions) => Ok(versions),
            Err(error) if age < OUTLASTS => {
                tracing::warn!(
                    secret = self.id,
                    cause = std::error::Error::source(&error).map(tracing::field::display),
                    "cannot read the secret again; using the known one"
                );
                known.hurried = Some(now);
                Ok(versions)
            }
            Err(error) => Err(error),
        }
    }

    /// The secret, read now because the cached one did not match, with its previous version if it
    /// signs. None if it was read within the last ten seconds, so that floods of bad signatures cost
    /// nothing.
    ///
    /// # Errors
    ///
    /// When Secrets Manager does not return it.
    pub async fn reread(&self) -> Result<Option<Arc<SecretVersions>>, PortError> {
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        if known.is_hurried(now) {
            return Ok(None);
        }
        known.hurried = Some(now);
        known.with_previous = self.signs;
        self.fetch(&mut known, now).await.map(Some)
    }

    async fn fetch(
        &self,
        known: &mut Known,
        now: Timestamp,
    ) -> Result<Arc<SecretVersions>, PortError> {
        let (current, created) = self.version(CURRENT).await?;
        let retires = created.and_then(|created| created.checked_add(RETIRES).ok());
        let rotating = retires.is_some_and(|retires| now < retires);
        let previous = match known.with_previous && rotating {
            true => self.previous().await,
            false => None,
        };
        let versions = Arc::new(SecretVersions { current, previous });
        known.versions = Some((now, Arc::clone(&versions)));
        known.retires = retires;
        Ok(versions)
    }

    /// The previous version. If it cannot be read, the current one still counts.
    async fn previous(&self) -> Option<SecretString> {
        match self.version(PREVIOUS).await {
            Ok((previous, _)) => previous,
            Err(error) => {
                tracing::warn!(
                    secret = self.id,
                    error = &error as &dyn std::error::Error,
                    "cannot read the previous version of the secret; using none"
                );
                None
            }
        }
    }

    /// One version and its creation time; none if it does not exist or was never set.
    async fn version(
        &self,
        stage: &str,
    ) -> Result<(Option<SecretString>, Option<Timestamp>), PortError> {
        let doing = || format!("reading the secret {} ({stage})", self.id);
        let answer = self
            .client
            .get_secret_value()
            .secret_id(&self.id)
            .version_stage(stage)
            .send()
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            // No version has that stage; only the current one always exists.
            Err(error)
                if stage == PREVIOUS && code(&error) == Some("ResourceNotFoundException") =>
            {
                return Ok((None, None));
            }
            Err(error) => return Err(failed(doing(), &error)),
        };
        let created = answer
            .created_date
            .and_then(|created| Timestamp::from_second(created.secs()).ok());
        let text = match (answer.secret_string, answer.secret_binary) {
            (Some(text), _) => text,
            (None, Some(bytes)) => String::from_utf8(bytes.into_inner())
                .map_err(|_| PortError::new(doing(), "it is not text"))?,
            (None, None) => String::new(),
        };
        let said = text.trim();
        let is_set = !said.is_empty() && said != UNSET;
        Ok((is_set.then(|| SecretString::from(text)), created))
    }
}

/// The current version, at most five minutes old, or at most ten seconds after it was rejected.
#[async_trait]
impl KeptSecret for CachedSecret {
    async fn text(&self, refused: bool) -> Result<Option<SecretString>, PortError> {
        if refused && let Some(versions) = self.reread().await? {
            return Ok(versions.current.clone());
        }
        Ok(self.read().await?.current.clone())
    }
}

impl Known {
    /// Removes a previous version after an hour.
    fn retire(&mut self, now: Timestamp) {
        if self.retires.is_none_or(|retires| now < retires) {
            return;
        }
        if let Some((_, versions)) = &mut self.versions {
            Arc::make_mut(versions).previous = None;
        }
    }

    fn is_hurried(&self, now: Timestamp) -> bool {
        let hurried = self.hurried;
        hurried.is_some_and(|at| now.duration_since(at).unsigned_abs() < APART)
    }
}
