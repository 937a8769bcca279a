//! An image, in the ledger and as a candidate for a stage.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::authors::Contributions;
use crate::names::{
    CommitSha, ComponentName, Digest, GitRef, ImageRepository, RepositoryId, RepositoryName, RunId,
    Tag,
};

/// An image as the registry holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryImage {
    pub digest: Digest,
    /// The manifest's media type.
    pub media_type: String,
    /// The total bytes of its layers, if the registry says.
    pub size: Option<u64>,
    /// Its platforms as `os/architecture`, if the registry says.
    pub platforms: Vec<String>,
}

/// The component that an image repository belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The GitHub repository.
    pub repository: RepositoryId,
    pub component: ComponentName,
    pub images: ImageRepository,
    /// Whether it was released. If so, the next default branch that names the repository gets it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub released: bool,
}

/// An image in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    pub repository: ImageRepository,
    pub digest: Digest,
    /// The manifest's media type.
    pub media_type: String,
    /// The total bytes of its layers, if the registry said.
    pub size: Option<u64>,
    /// Its platforms as `os/architecture`, if the registry said.
    pub platforms: Vec<String>,
    /// When it was first seen.
    pub at: Timestamp,
    /// Its build; none if it came from outside.
    pub built: Option<Built>,
    /// The first tags ever seen on it, in order; at most [`MOST_TAGS`].
    pub tags: Vec<Tag>,
    /// Whether there are more tags, each in a row of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_tags: bool,
}

/// The most tags in an image's item, which has limited space.
pub const MOST_TAGS: usize = 200;

impl Image {
    /// Adds a tag; returns whether it must become a row, because the item has no space for it.
    #[must_use]
    pub fn add_tag(&mut self, tag: &Tag) -> bool {
        if self.tags.contains(tag) {
            return false;
        }
        if self.tags.len() < MOST_TAGS {
            self.tags.push(tag.clone());
            return false;
        }
        self.more_tags = true;
        true
    }
}

/// Why a tag cannot be put on an image. Retrying does not help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum NotTagged {
    /// The image is no longer in the registry.
    Gone,
    /// The tag is immutable, and is on another image.
    Immutable { tag: Tag },
    /// All attempts have failed.
    GivenUp {
        /// How often.
        tries: u32,
        since: Timestamp,
    },
}

/// The build of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// The GitHub repository.
    pub source: RepositoryId,
    pub component: ComponentName,
    pub commit: CommitSha,
    /// The ref that was pushed.
    pub git_ref: GitRef,
    pub run: RunId,
    pub build_number: u64,
}

/// An image that may enter a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub digest: Digest,
    pub commit: CommitSha,
    /// The ref it was pushed to.
    pub git_ref: GitRef,
    /// The run that built it.
    pub run: RunId,
    /// The run's order among the runs of its ref.
    pub order: u64,
    pub repository: ImageRepository,
    /// The build that made it.
    pub build_number: u64,
    /// Who pushed it or wrote something of that push, by login and address.
    pub authors: Vec<String>,
    /// Who took part in what else it may contain. Only an offer has this; the stage keeps it for all
    /// its candidates.
    #[serde(default, skip_serializing_if = "Contributions::is_empty")]
    pub contributions: Contributions,
    /// The repository to show its state in; none if states are not shown there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_in: Option<RepositoryName>,
}

impl Candidate {
    /// The candidate as a stage keeps it.
    pub(crate) fn kept(&self) -> Self {
        Self {
            contributions: Contributions::default(),
            ..self.clone()
        }
    }
}
