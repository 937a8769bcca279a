//! The outside services that Towline needs, one trait each. Handlers see only these traits.
//!
//! Adapters are in `shared/machine` (one machine) and `shared/cloud`. The feature `memory` has
//! strict ones in memory, for stories and simulation, and a contract for each port that has several
//! adapters; all of them pass it. [`Deliveries`], [`KeptSecret`] and [`Clock`] have none
//! (ARCHITECTURE.md, "Decisions and reasons").

use std::path::PathBuf;

use towline_domain::obstacle::{Obstacle, Service};
use towline_domain::untrusted::Untrusted;

pub mod admission;
pub mod builds;
pub mod bus;
pub mod clock;
pub mod content;
pub mod deliveries;
pub mod images;
pub mod rights;
pub mod secret;
pub mod source;
pub mod statuses;
pub mod store;
#[cfg(feature = "system")]
pub mod system;

pub mod limits;

#[cfg(any(test, feature = "memory"))]
pub mod contract;
#[cfg(any(test, feature = "memory"))]
pub mod memory;

pub use builds::{Builds, StartBuild, StartError, Trust};
pub use bus::{Announcement, Bus};
pub use clock::Clock;
pub use content::Content;
pub use deliveries::Deliveries;
pub use images::{Images, PutTagError, RegistryImage, StoredManifest};
pub use rights::Rights;
pub use secret::KeptSecret;
pub use source::{
    Admission, Brought, CommitInfo, FileAt, Refs, Relation, Remedy, Repositories, RepositoryRef,
    Source,
};
pub use statuses::{CommitStatus, NotShown, StatusError, StatusState, Statuses};
pub use store::{Due, Item, Key, Page, Query, Row, Store, TransactError, Write};

/// The most characters of a denial that are kept.
const LONGEST_DENIAL: usize = 300;

/// Why a service did not answer. A retry may help, unless it is permanent.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct PortError {
    doing: String,
    /// Who denies it, if a person must fix something first.
    denied: Option<Service>,
    /// What it denies, without what only a log should have.
    brief: Option<String>,
    is_permanent: bool,
    /// The folder that has no space left.
    full: Option<PathBuf>,
    #[source]
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl PortError {
    /// An error with the action and the cause.
    pub fn new(
        doing: impl Into<String>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            doing: doing.into(),
            denied: None,
            brief: None,
            is_permanent: false,
            full: None,
            cause: Some(cause.into()),
        }
    }

    /// Like [`Self::new`], if a retry never helps.
    pub fn permanent(
        doing: impl Into<String>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            is_permanent: true,
            ..Self::new(doing, cause)
        }
    }

    /// Like [`Self::new`], if a person must fix something first: a permission, credentials, a
    /// secret. A retry helps once that is done.
    pub fn denied(
        by: Service,
        doing: impl Into<String>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::new(doing, cause).denied_by(by)
    }

    /// What is denied, for everybody who may ask: the cause may have numbers of accounts and requests.
    #[must_use]
    pub fn briefly(self, said: String) -> Self {
        Self {
            brief: Some(said),
            ..self
        }
    }

    /// The same error, if a person must fix something first.
    #[must_use]
    pub fn denied_by(self, by: Service) -> Self {
        Self {
            denied: Some(by),
            ..self
        }
    }

    /// Like [`Self::new`], if the disk with this folder is full. A retry helps once there is space.
    pub fn no_space(
        doing: impl Into<String>,
        folder: impl Into<PathBuf>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            full: Some(folder.into()),
            ..Self::new(doing, cause)
        }
    }

    /// That a disk is full, if it is: an answer may say so, because callers cannot help it.
    #[must_use]
    pub fn shortage(&self) -> Option<String> {
        let folder = self.full.as_ref()?;
        Some(format!("no space left in {}", folder.display()))
    }

    /// Whether a retry never helps.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.is_permanent
    }

    /// What a person must put right first, if that is why.
    #[must_use]
    pub fn obstacle(&self) -> Option<Obstacle> {
        let by = self.denied?;
        let said = match (&self.brief, &self.cause) {
            (Some(brief), _) => brief.clone(),
            (None, Some(cause)) => cause.to_string(),
            (None, None) => self.doing.clone(),
        };
        let said = Untrusted::text(&said, LONGEST_DENIAL).display();
        Some(Obstacle { by, said })
    }

    /// With the action, if there is no further cause.
    pub fn because(doing: impl Into<String>) -> Self {
        Self {
            doing: doing.into(),
            denied: None,
            brief: None,
            is_permanent: false,
            full: None,
            cause: None,
        }
    }
}
