//! The small items of the table that `towline-domain` does not know.

pub use towline_domain::image::Claim;
pub use towline_domain::ledger::TagNow;
pub use towline_domain::plan::{Base, Branch};
pub use towline_domain::trusted::Trusted;

use serde::{Deserialize, Serialize};
use towline_domain::Timestamp;
use towline_domain::intent::StageKey;
use towline_domain::names::{
    CommitSha, ComponentName, Digest, ImageRepository, RepositoryId, RepositoryName, RunId, Tag,
};

/// A repository that has pushed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repository {
    pub id: RepositoryId,
    /// Its latest name.
    pub name: RepositoryName,
    /// The branch whose definition is trusted.
    pub default_branch: String,
}

/// The next numbers of a repository; each is drawn once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Numbers {
    /// As in `build#142`.
    pub build: u64,
    /// As in `promotion #58`.
    pub promotion: u64,
    /// The order number of a run in its repository.
    pub order: u64,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            build: 1,
            promotion: 1,
            order: 1,
        }
    }
}

/// A run, by a key that is not its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunPointer {
    pub run: RunId,
    /// The component, if it is about one.
    pub component: Option<ComponentName>,
    /// Earlier ones under the same key, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub older: Vec<RunId>,
}

impl RunPointer {
    /// All runs that it leads to, newest first.
    pub fn runs(&self) -> impl Iterator<Item = &RunId> {
        std::iter::once(&self.run).chain(&self.older)
    }
}

/// A promotion, by its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromotionPointer {
    pub stage: StageKey,
}

/// An image, by a key that is not its digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImagePointer {
    pub repository: ImageRepository,
    pub digest: Digest,
}

/// A tag of an image, beside those in its item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageTag {
    pub tag: Tag,
}

/// A received fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inbox {
    pub at: Timestamp,
    /// Its delivery id.
    pub delivery: String,
    /// The commit of an accepted push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitSha>,
}

/// A buildspec as it was generated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Buildspec {
    /// Its text, byte for byte what CodeBuild gets.
    pub text: String,
}
