//! What we owe: effects we have committed to and moments we must look again, one variant each.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::names::{
    AttemptId, BuildId, CommitSha, ComponentName, Digest, GitRef, ImageRepository, RepositoryId,
    RepositoryName, RunId, StageName, Tag,
};
use crate::stage::Candidate;
use crate::untrusted::Untrusted;

/// One attempt of one component in one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRef {
    /// The run.
    pub run: RunId,
    /// The component.
    pub component: ComponentName,
    /// The attempt.
    pub attempt: AttemptId,
}

/// One stage of one component.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StageKey {
    /// The repository the component lives in.
    pub repository: RepositoryId,
    /// The component.
    pub component: ComponentName,
    /// The stage.
    pub stage: StageName,
}

/// A push we have answered for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushAccepted {
    /// The repository.
    pub repository: RepositoryId,
    /// Its name when the push came.
    pub repository_name: RepositoryName,
    /// The branch whose definition is trusted.
    pub default_branch: String,
    /// The ref that moved.
    pub git_ref: GitRef,
    /// Where it stood before; none when it was created.
    pub before: Option<CommitSha>,
    /// The commit to build.
    pub commit: CommitSha,
    /// Whether history was rewritten.
    pub forced: bool,
    /// Who pushed, by login.
    pub pusher: String,
    /// Everybody who wrote or pushed it, by login and address; for refusing self-approval.
    pub authors: Vec<String>,
    /// First line of the head commit's message.
    pub title: Untrusted,
    /// Whether the head commit's message holds one of these marks is asked of the whole message,
    /// of which the first 4,096 characters are kept.
    pub message: Untrusted,
    /// When it was accepted.
    pub at: Timestamp,
}

/// What has to happen, or be looked at, and will be announced until it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Intent {
    /// Plan the run of an accepted push.
    PlanRun(Box<PushAccepted>),
    /// Start an attempt's build.
    StartBuild(AttemptRef),
    /// Stop a build that counts no longer.
    StopBuild {
        /// The build.
        build: BuildId,
    },
    /// Read the image a successful build should have pushed.
    ReadImage {
        /// Whose image.
        of: AttemptRef,
        /// The repository to read.
        repository: ImageRepository,
        /// The attempt's unique tag.
        tag: Tag,
    },
    /// Put the index of the images of an attempt's parts under the attempt's tags.
    PutIndex(AttemptRef),
    /// Make the next attempt after one that failed through no fault of the repository.
    RetryBuild {
        /// The run.
        run: RunId,
        /// The component.
        component: ComponentName,
        /// The number of the attempt that failed.
        after: u32,
    },
    /// A newer run builds the same component: the older one's attempt counts no longer.
    SupersedeBuild {
        /// The older run.
        run: RunId,
        /// The component.
        component: ComponentName,
        /// The newer run.
        by: RunId,
    },
    /// An attempt's image has been read from the registry.
    ImageRecorded {
        /// Whose image.
        of: AttemptRef,
        /// What the registry holds under the attempt's unique tag.
        digest: Digest,
        /// What the event said, when that was something else (A27).
        contradicts: Option<Digest>,
    },
    /// An image has arrived where stages take theirs from.
    OfferImage {
        /// The stage it may enter.
        stage: StageKey,
        /// The image.
        candidate: Box<Candidate>,
    },
    /// Put a stage's tags on a promoted digest.
    Promote {
        /// The stage.
        stage: StageKey,
        /// The promotion's number.
        promotion: u64,
    },
    /// Carry out the deployment of what has become live.
    Deploy {
        /// The stage.
        stage: StageKey,
        /// The promotion that moved it.
        promotion: u64,
        /// What was live before.
        previous: Option<Digest>,
    },
    /// Show beside the commit how a build stands, or that the whole run was refused.
    ReportBuild {
        /// The run.
        run: RunId,
        /// The component; none for the run as a whole.
        component: Option<ComponentName>,
        /// What was to be shown when this became due. Whoever acts shows what is so then; this
        /// only makes a later change an intent of its own, which the end of this one cannot end.
        shows: String,
    },
    /// Show beside the commit how it stands with a stage.
    ReportStage {
        /// The stage.
        stage: StageKey,
        /// The repository's name.
        repository: RepositoryName,
        /// The commit.
        commit: CommitSha,
        /// As in [`Intent::ReportBuild`].
        shows: String,
    },
    /// Show all that one transaction has changed: one event, one read and one end for all of it.
    ReportAll {
        /// Each a [`Intent::ReportBuild`] or [`Intent::ReportStage`].
        reports: Vec<Intent>,
    },
    /// Look whether a bound build has ended or its deadline has passed.
    WatchBuild(AttemptRef),
    /// Look whether a promotion's approval has expired.
    WatchPromotion {
        /// The stage.
        stage: StageKey,
        /// The promotion's number.
        promotion: u64,
        /// When its time is over.
        at: Timestamp,
    },
}

impl Intent {
    /// The detail-type under which it is announced; rules in `events/rules` match on it.
    #[must_use]
    pub fn detail_type(&self) -> &'static str {
        match self {
            Self::PlanRun(_) => "Push Accepted",
            Self::StartBuild(_) => "Build Due",
            Self::StopBuild { .. } => "Build Stop Due",
            Self::ReadImage { .. } => "Image Due",
            Self::PutIndex(_) => "Index Due",
            Self::RetryBuild { .. } => "Build Retry Due",
            Self::SupersedeBuild { .. } => "Build Superseded",
            Self::ImageRecorded { .. } => "Image Recorded",
            Self::OfferImage { .. } => "Image Ready",
            Self::Promote { .. } => "Promotion Due",
            Self::Deploy { .. } => "Deploy Due",
            Self::ReportBuild { .. } => "Build Status Due",
            Self::ReportStage { .. } | Self::ReportAll { .. } => "Stage Status Due",
            Self::WatchBuild(_) => "Build Watch Due",
            Self::WatchPromotion { .. } => "Promotion Watch Due",
        }
    }

    /// What is to be shown, each by itself; nothing for an intent of another kind.
    #[must_use]
    pub fn reports(&self) -> &[Self] {
        match self {
            Self::ReportBuild { .. } | Self::ReportStage { .. } => std::slice::from_ref(self),
            Self::ReportAll { reports } => reports,
            Self::PlanRun(_)
            | Self::StartBuild(_)
            | Self::StopBuild { .. }
            | Self::ReadImage { .. }
            | Self::PutIndex(_)
            | Self::RetryBuild { .. }
            | Self::SupersedeBuild { .. }
            | Self::ImageRecorded { .. }
            | Self::OfferImage { .. }
            | Self::Promote { .. }
            | Self::Deploy { .. }
            | Self::WatchBuild(_)
            | Self::WatchPromotion { .. } => &[],
        }
    }

    /// Whether it is announced only once it is due: an event of others most likely comes before.
    #[must_use]
    pub fn can_wait(&self) -> bool {
        matches!(self, Self::ReadImage { .. })
    }

    /// Whether it is only a moment to look again: `sweep` does that itself, nothing is announced.
    #[must_use]
    pub fn is_watch(&self) -> bool {
        match self {
            Self::WatchBuild(_) | Self::WatchPromotion { .. } => true,
            Self::PlanRun(_)
            | Self::StartBuild(_)
            | Self::StopBuild { .. }
            | Self::ReadImage { .. }
            | Self::PutIndex(_)
            | Self::RetryBuild { .. }
            | Self::SupersedeBuild { .. }
            | Self::ImageRecorded { .. }
            | Self::OfferImage { .. }
            | Self::Promote { .. }
            | Self::Deploy { .. }
            | Self::ReportBuild { .. }
            | Self::ReportStage { .. }
            | Self::ReportAll { .. } => false,
        }
    }
}
