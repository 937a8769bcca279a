//! The small items of the table that are not states of `towline-domain`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use towline_domain::Timestamp;
use towline_domain::definition::Definition;
use towline_domain::intent::StageKey;
use towline_domain::ledger::{Mover, TagMove};
use towline_domain::names::{
    CommitSha, ComponentName, Digest, ImageRepository, RepositoryId, RepositoryName, RunId, Tag,
};

/// A repository that has pushed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Repository {
    /// Its identity.
    pub(crate) id: RepositoryId,
    /// Its latest name.
    pub(crate) name: RepositoryName,
    /// The branch whose definition is trusted.
    pub(crate) default_branch: String,
}

/// The next numbers of a repository; each is handed out once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Numbers {
    /// As in `build#142`.
    pub(crate) build: u64,
    /// As in `promotion #58`.
    pub(crate) promotion: u64,
    /// The place of a run among the repository's runs.
    pub(crate) order: u64,
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

/// The definition that rules a repository's stages.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Trusted {
    /// What it says.
    pub(crate) definition: Definition,
    /// The commit of the default branch it is from.
    pub(crate) commit: CommitSha,
    /// That commit's place; an older one never replaces it.
    pub(crate) order: u64,
}

/// A ref of a repository.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Branch {
    /// The newest commit that was planned.
    pub(crate) head: Option<CommitSha>,
    /// Its place.
    pub(crate) order: u64,
    /// The newest run that builds each component.
    pub(crate) building: BTreeMap<ComponentName, RunId>,
    /// Whether the ref was deleted since: what it still builds is offered to no stage (F27).
    #[serde(default)]
    pub(crate) deleted: bool,
}

/// The commit a component was last built at.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Base {
    /// The commit.
    pub(crate) commit: CommitSha,
    /// Its place; an older build that ends late never replaces it.
    pub(crate) order: u64,
    /// The run that built it.
    #[serde(default)]
    pub(crate) run: Option<RunId>,
    /// The name of the buildspec it was built by, which is kept.
    #[serde(default)]
    pub(crate) buildspec: Option<String>,
}

/// The component an image repository belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Claim {
    /// The repository.
    pub(crate) repository: RepositoryId,
    /// The component.
    pub(crate) component: ComponentName,
    /// The image repository.
    pub(crate) images: ImageRepository,
}

/// A run, by a key that is not its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunPointer {
    /// The run.
    pub(crate) run: RunId,
    /// The component, where it is about one.
    pub(crate) component: Option<ComponentName>,
    /// Earlier ones under the same key, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) older: Vec<RunId>,
}

impl RunPointer {
    /// All runs it leads to, the newest first.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &RunId> {
        std::iter::once(&self.run).chain(&self.older)
    }
}

/// A promotion, by its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PromotionPointer {
    /// The stage.
    pub(crate) stage: StageKey,
}

/// An image, by a key that is not its digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ImagePointer {
    /// The repository.
    pub(crate) repository: ImageRepository,
    /// The digest.
    pub(crate) digest: Digest,
}

/// Where a tag points now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TagNow {
    /// The repository.
    pub(crate) repository: ImageRepository,
    /// The tag.
    pub(crate) tag: Tag,
    /// What it points to.
    pub(crate) digest: Digest,
    /// Moves so far.
    pub(crate) sequence: u64,
    /// Since when.
    pub(crate) since: Timestamp,
    /// What it pointed to before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<Digest>,
    /// Who moved it here.
    pub(crate) by: Mover,
}

impl TagNow {
    /// Its last move, which becomes a row of its own with the next one.
    pub(crate) fn moved(&self) -> TagMove {
        TagMove {
            sequence: self.sequence,
            at: self.since,
            from: self.from.clone(),
            to: self.digest.clone(),
            by: self.by.clone(),
        }
    }
}

/// A fact that came in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Inbox {
    /// When.
    pub(crate) at: Timestamp,
    /// Under which delivery id.
    pub(crate) delivery: String,
    /// The commit of an accepted push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) commit: Option<CommitSha>,
    /// The intent to plan it, while that is owed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) intent: Option<String>,
}

/// A buildspec as it was generated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Buildspec {
    /// Its text, byte for byte what CodeBuild gets.
    pub(crate) text: String,
}
