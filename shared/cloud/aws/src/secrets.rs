//! Secrets Manager: secrets kept for a while, with the version before the current one.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use jiff::Timestamp;
use tokio::sync::Mutex;
use towline_ports::{Clock, KeptSecret, PortError, SecretText};

use crate::environment::{Aws, Patience};
use crate::fault::{code, failed};

/// A secret is read in milliseconds, and before anything else can be done.
const PATIENCE: Patience = Patience::new(Duration::from_secs(1), Duration::from_secs(3), 3);

/// How long a secret is used without being read again; for so long a changed one may be unknown,
/// unless a signature fails first.
const LASTS: Duration = Duration::from_secs(5 * 60);

/// How long a secret that cannot be read again is still used, so that an outage of Secrets Manager
/// is not one of ours; and no longer, so that a revoked one ends.
const OUTLASTS: Duration = Duration::from_secs(60 * 60);

/// How long a version counts after another took its place (A4).
const RETIRES: Duration = Duration::from_secs(60 * 60);

/// At least so long lies between two reads that a bad signature, or a failed read, brings about.
const APART: Duration = Duration::from_secs(10);

/// What a secret holds that was never filled: CloudFormation has to create it with something.
const UNSET: &str = "unset";

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// The versions of a secret that count now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretVersions {
    /// The current one; none when nobody has set it.
    pub current: Option<SecretText>,
    /// The one before, where there is one, while the current one is younger than an hour. It is
    /// there only for a secret that [signs](Secrets::signing), and after [`CachedSecret::read`]
    /// only if a failed signature asked for it before: each read is a request.
    pub previous: Option<SecretText>,
}

impl SecretVersions {
    /// The texts of the current version and the one before; do not log them.
    #[must_use]
    pub fn texts(&self) -> (Option<&str>, Option<&str>) {
        let current = self.current.as_ref().map(SecretText::expose);
        (current, self.previous.as_ref().map(SecretText::expose))
    }
}

/// Secrets Manager.
#[derive(Debug, Clone)]
pub struct Secrets {
    client: Client,
}

impl Aws {
    /// Secrets Manager.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        Secrets {
            client: Client::new(&self.patient(&PATIENCE)),
        }
    }
}

impl Secrets {
    /// The secret of this ARN or name; nothing is read before it is needed.
    pub fn cached(&self, id: impl Into<String>, clock: Arc<dyn Clock>) -> CachedSecret {
        CachedSecret {
            client: self.client.clone(),
            id: id.into(),
            clock,
            signs: false,
            known: Mutex::default(),
        }
    }

    /// As [`Secrets::cached`], for a secret that others sign with, some of them for a while still
    /// with the version before the current one.
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
    /// Whether the version before the current one is of use.
    signs: bool,
    /// Held while reading, so that many who wait cause one read.
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
    /// What was read last, and when. A failed read never gets here.
    versions: Option<(Timestamp, Arc<SecretVersions>)>,
    /// When the previous version, if there is one, ends to count.
    retires: Option<Timestamp>,
    /// When a read failed or was asked for by a bad signature.
    hurried: Option<Timestamp>,
    /// Whether a bad signature ever made the previous version worth reading.
    with_previous: bool,
}

impl CachedSecret {
    /// The secret, read again when it is older than five minutes, or ten seconds while nobody has
    /// set it. When that fails, what is known serves for an hour.
    ///
    /// # Errors
    ///
    /// When Secrets Manager does not give it and nothing is known.
    pub async fn read(&self) -> Result<Arc<SecretVersions>, PortError> {
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        known.retire(now);
        let Some((at, versions)) = known.versions.clone() else {
            return self.fetch(&mut known, now).await;
        };
        let age = now.duration_since(at).unsigned_abs();
        // Whoever has just filled a secret does not want to wait for it.
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
                    "the secret could not be read again, so the known one is used"
                );
                known.hurried = Some(now);
                Ok(versions)
            }
            Err(error) => Err(error),
        }
    }

    /// The secret, read now, with its previous version where it signs, because nobody was let in
    /// with what is known; none when that was done within the last ten seconds, so that a flood
    /// of bad signatures costs nothing.
    ///
    /// # Errors
    ///
    /// When Secrets Manager does not give it.
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

    /// The version before the current one; whatever is wrong with it, the current one counts.
    async fn previous(&self) -> Option<SecretText> {
        match self.version(PREVIOUS).await {
            Ok((previous, _)) => previous,
            Err(error) => {
                tracing::warn!(
                    secret = self.id,
                    error = &error as &dyn std::error::Error,
                    "the previous version of the secret could not be read, so none is used"
                );
                None
            }
        }
    }

    /// One version and when it was made; none when it does not exist or nobody has set it.
    async fn version(
        &self,
        stage: &str,
    ) -> Result<(Option<SecretText>, Option<Timestamp>), PortError> {
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
            // Without a version of that stage, which only the current one always has.
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
                .map_err(|_| PortError::new(doing(), "it is no text"))?,
            (None, None) => String::new(),
        };
        let said = text.trim();
        let is_set = !said.is_empty() && said != UNSET;
        Ok((is_set.then(|| SecretText::new(text)), created))
    }
}

/// Of the current version; as it was at most five minutes ago, or, where it was refused somewhere,
/// at most ten seconds ago.
#[async_trait]
impl KeptSecret for CachedSecret {
    async fn text(&self, refused: bool) -> Result<Option<SecretText>, PortError> {
        if refused && let Some(versions) = self.reread().await? {
            return Ok(versions.current.clone());
        }
        Ok(self.read().await?.current.clone())
    }
}

impl Known {
    /// Forgets a previous version that has counted for an hour.
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
