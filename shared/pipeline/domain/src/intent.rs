//! What Towline owes: effects that it has committed to, and times at which to look again.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::image::Candidate;
use crate::names::{
    AttemptId, BuildId, CommitSha, ComponentName, Digest, GitRef, ImageRepository, RepositoryId,
    RepositoryName, RunId, StageName, Tag,
};
use crate::untrusted::Untrusted;

/// One attempt of one component in one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRef {
    pub run: RunId,
    pub component: ComponentName,
    pub attempt: AttemptId,
}

/// One stage of one component.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StageKey {
    /// The repository of the component.
    pub repository: RepositoryId,
    pub component: ComponentName,
    pub stage: StageName,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushAccepted {
    pub repository: RepositoryId,
    /// Its name at the time of the push.
    pub repository_name: RepositoryName,
    /// The branch whose definition is trusted.
    pub default_branch: String,
    /// The ref that moved.
    pub git_ref: GitRef,
    /// Its commit before; none if it was created.
    pub before: Option<CommitSha>,
    /// The commit to build.
    pub commit: CommitSha,
    /// Whether history was rewritten.
    pub forced: bool,
    /// Who pushed, by login.
    pub pusher: String,
    /// Everyone who wrote or pushed it, by login and address; used to refuse self-approval.
    pub authors: Vec<String>,
    /// Whether there were too many authors to keep.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub authors_cut: bool,
    /// First line of the head commit's message.
    pub title: Untrusted,
    /// The head commit's message. The first 4,096 characters are kept, but marks are searched in the
    /// whole message.
    pub message: Untrusted,
    /// When it was accepted.
    pub at: Timestamp,
}

/// Something to do or to check. It is announced until it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Intent {
    /// Plan the run of an accepted push.
    PushAccepted(Box<PushAccepted>),
    /// Start an attempt's build.
    BuildDue(AttemptRef),
    /// Stop a build that no longer counts.
    BuildStopDue { build: BuildId },
    /// Read the image a successful build should have pushed.
    ImageDue {
        /// Whose image.
        of: AttemptRef,
        repository: ImageRepository,
        /// The attempt's unique tag.
        tag: Tag,
    },
    /// Put the index of the images of an attempt's parts under the attempt's tags.
    IndexDue(AttemptRef),
    /// Start the next attempt after one that failed through no fault of the repository.
    BuildRetryDue {
        run: RunId,
        component: ComponentName,
        /// The number of the attempt that failed.
        after: u32,
    },
    /// A newer run builds the same component: the older one's attempt no longer counts.
    BuildSuperseded {
        /// The older run.
        run: RunId,
        component: ComponentName,
        /// The newer run.
        by: RunId,
    },
    /// An attempt's image has been read from the registry.
    ImageRecorded {
        of: AttemptRef,
        /// The digest under the attempt's unique tag.
        digest: Digest,
        /// The digest in the event, if it was another one (A27).
        contradicts: Option<Digest>,
    },
    /// An image has arrived at the origin of a stage.
    ImageReady {
        /// The stage it may enter.
        stage: StageKey,
        /// The image.
        candidate: Box<Candidate>,
    },
    /// Put a stage's tags on a promoted digest.
    PromotionDue { stage: StageKey, promotion: u64 },
    /// Carry out the deployment of an image that is now live.
    DeployDue {
        stage: StageKey,
        /// The promotion that moved it.
        promotion: u64,
        /// What was live before.
        previous: Option<Digest>,
    },
    /// Show the state of a build beside the commit, or that the whole run was refused.
    BuildStatusDue {
        run: RunId,
        /// The component; none for the run as a whole.
        component: Option<ComponentName>,
        /// The text to show when this became due. The handler shows the current state instead. This
        /// text only makes a later change a different intent, which is not removed together with this
        /// one.
        shows: String,
    },
    /// Show the state of a commit in a stage beside the commit.
    StageStatusDue {
        stage: StageKey,
        /// The repository's name.
        repository: RepositoryName,
        commit: CommitSha,
        /// Like in [`Intent::BuildStatusDue`].
        shows: String,
    },
    /// Show all changes of one transaction, with one event, one read and one removal for all of them.
    StatusesDue {
        /// Each a [`Intent::BuildStatusDue`] or [`Intent::StageStatusDue`].
        reports: Vec<Intent>,
    },
    /// Check whether a bound build has ended or its deadline has passed.
    BuildWatchDue(AttemptRef),
    /// Check whether a promotion's approval has expired.
    PromotionWatchDue {
        stage: StageKey,
        promotion: u64,
        at: Timestamp,
    },
}

impl Intent {
    /// The detail-type of its announcement; rules in `events/rules` match on it.
    #[must_use]
    pub fn detail_type(&self) -> &'static str {
        match self {
            Self::PushAccepted(_) => "Push Accepted",
            Self::BuildDue(_) => "Build Due",
            Self::BuildStopDue { .. } => "Build Stop Due",
            Self::ImageDue { .. } => "Image Due",
            Self::IndexDue(_) => "Index Due",
            Self::BuildRetryDue { .. } => "Build Retry Due",
            Self::BuildSuperseded { .. } => "Build Superseded",
            Self::ImageRecorded { .. } => "Image Recorded",
            Self::ImageReady { .. } => "Image Ready",
            Self::PromotionDue { .. } => "Promotion Due",
            Self::DeployDue { .. } => "Deploy Due",
            Self::BuildStatusDue { .. } => "Build Status Due",
            Self::StageStatusDue { .. } => "Stage Status Due",
            Self::StatusesDue { .. } => "Statuses Due",
            Self::BuildWatchDue(_) => "Build Watch Due",
            Self::PromotionWatchDue { .. } => "Promotion Watch Due",
        }
    }

    /// Whether both show the same line beside the same commit.
    #[must_use]
    pub fn is_same_line(&self, other: &Self) -> bool {
        if let Self::BuildStatusDue { run, component, .. } = self
            && let Self::BuildStatusDue {
                run: other,
                component: of,
                ..
            } = other
        {
            return (run, component) == (other, of);
        }
        if let Self::StageStatusDue { stage, commit, .. } = self
            && let Self::StageStatusDue {
                stage: other,
                commit: of,
                ..
            } = other
        {
            return (stage, commit) == (other, of);
        }
        false
    }

    /// The statuses to show; empty for other intents.
    #[must_use]
    pub fn reports(&self) -> &[Self] {
        match self {
            Self::BuildStatusDue { .. } | Self::StageStatusDue { .. } => std::slice::from_ref(self),
            Self::StatusesDue { reports } => reports,
            Self::PushAccepted(_)
            | Self::BuildDue(_)
            | Self::BuildStopDue { .. }
            | Self::ImageDue { .. }
            | Self::IndexDue(_)
            | Self::BuildRetryDue { .. }
            | Self::BuildSuperseded { .. }
            | Self::ImageRecorded { .. }
            | Self::ImageReady { .. }
            | Self::PromotionDue { .. }
            | Self::DeployDue { .. }
            | Self::BuildWatchDue(_)
            | Self::PromotionWatchDue { .. } => &[],
        }
    }

    /// Whether it is announced only once it is due, because another event most likely comes first.
    #[must_use]
    pub fn can_wait(&self) -> bool {
        matches!(self, Self::ImageDue { .. })
    }

    /// Whether it is only a time to look again. `sweep` looks itself, and nothing is announced.
    #[must_use]
    pub fn is_watch(&self) -> bool {
        match self {
            Self::BuildWatchDue(_) | Self::PromotionWatchDue { .. } => true,
            Self::PushAccepted(_)
            | Self::BuildDue(_)
            | Self::BuildStopDue { .. }
            | Self::ImageDue { .. }
            | Self::IndexDue(_)
            | Self::BuildRetryDue { .. }
            | Self::BuildSuperseded { .. }
            | Self::ImageRecorded { .. }
            | Self::ImageReady { .. }
            | Self::PromotionDue { .. }
            | Self::DeployDue { .. }
            | Self::BuildStatusDue { .. }
            | Self::StageStatusDue { .. }
            | Self::StatusesDue { .. } => false,
        }
    }
}
