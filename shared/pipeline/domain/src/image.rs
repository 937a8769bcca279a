//! What is known of an image: where it came from and the tags it carries.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::names::{
    CommitSha, ComponentName, Digest, GitRef, ImageRepository, RepositoryId, RunId, Tag,
};

/// An image as the registry holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryImage {
    /// Its identity.
    pub digest: Digest,
    /// The manifest's media type.
    pub media_type: String,
    /// Bytes of its layers together, if the registry says.
    pub size: Option<u64>,
    /// `os/architecture` of what it runs on, if the registry says.
    pub platforms: Vec<String>,
}

/// Which component an image repository belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The GitHub repository.
    pub repository: RepositoryId,
    /// The component.
    pub component: ComponentName,
    /// The image repository.
    pub images: ImageRepository,
}

/// An image in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The repository it is in.
    pub repository: ImageRepository,
    /// Its identity.
    pub digest: Digest,
    /// The manifest's media type.
    pub media_type: String,
    /// Bytes of all its layers together, when the registry said.
    pub size: Option<u64>,
    /// `os/architecture` of what it runs on, when the registry said.
    pub platforms: Vec<String>,
    /// When it was first seen.
    pub at: Timestamp,
    /// What built it; none when it came from outside.
    pub built: Option<Built>,
    /// Every tag ever seen on it, in the order they came.
    pub tags: Vec<Tag>,
}

/// Why a tag cannot be put on an image. Trying again does not help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum NotTagged {
    /// The image is no longer in the registry.
    Gone,
    /// The tag cannot be moved, and is on another image.
    Immutable {
        /// The tag.
        tag: Tag,
    },
    /// Towline may not tag images there.
    Denied {
        /// The image repository.
        repository: ImageRepository,
        /// What the registry said.
        said: String,
    },
    /// It was tried again and again.
    GivenUp {
        /// How often.
        tries: u32,
        /// Since when.
        since: Timestamp,
    },
}

/// What built an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// The GitHub repository.
    pub source: RepositoryId,
    /// The component.
    pub component: ComponentName,
    /// The commit.
    pub commit: CommitSha,
    /// The ref that was pushed.
    pub git_ref: GitRef,
    /// The run.
    pub run: RunId,
    /// The build's number.
    pub build_number: u64,
}
