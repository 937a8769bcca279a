//! The sentences for refusals, holds, endings and failures.

use std::fmt::{self, Display, Formatter};

use super::minute;
use crate::Timestamp;
use crate::image::NotTagged;
use crate::names::{CommitSha, Digest, RunId, StageName, Tag};
use crate::outputs::NoParameters;
use crate::run::{self, Contradiction, Crowded, NoIndex, NotRetried, NotStarted};
use crate::stage::{self, Hold, HoldReason, Meddled, Why};

/// Why a newer run took over.
pub(super) fn superseded(build: &str, by: &RunId, crowded: Option<Crowded>) -> String {
    match crowded {
        None => format!("{build} was superseded by a newer push of the same ref (run {by})"),
        Some(Crowded { of, most }) => format!(
            "{build} was superseded by a newer build (run {by}): at most {most} builds of one {} may wait; retry it when fewer are waiting",
            of.word()
        ),
    }
}

/// Follows a phrase about changes: which live commit they came after.
fn since(live: Option<&CommitSha>) -> String {
    live.map(|live| format!(" since {}, which is live", live.short()))
        .unwrap_or_default()
}

impl std::error::Error for stage::Refusal {}

impl Display for stage::Refusal {
    fn fmt(&self, text: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDefinition => text
                .write_str("the default branch does not have a valid .towline.yml yet; push one"),
            Self::NoStage { stage, known } => {
                let known: Vec<&str> = known.iter().map(StageName::as_str).collect();
                let known = known.join(", ");
                write!(
                    text,
                    "stage {stage} not found in the default branch's .towline.yml; its stages: {known}"
                )
            }
            Self::Closed { promotion } => write!(text, "promotion #{promotion} is already closed"),
            Self::NeedsNoApproval { promotion } => {
                write!(text, "promotion #{promotion} needs no approval")
            }
            Self::ApprovedBefore { promotion, by } => {
                write!(text, "{by} has already approved promotion #{promotion}")
            }
            Self::Expired { promotion } => write!(text, "promotion #{promotion} has expired"),
            Self::IsAuthorSince { by, commit, live } => write!(
                text,
                "{by} pushed or wrote something that {} contains{}; someone else must approve it (approval.self: deny)",
                commit.short(),
                since(live.as_ref())
            ),
            Self::AuthorsUnknown { commit, live } => write!(
                text,
                "too many people took part in what {} contains{} to list them all, so nobody can approve it (approval.self: deny); someone with the right `override` can promote it with --override",
                commit.short(),
                since(live.as_ref())
            ),
            Self::NotAdmittedYet {
                commit,
                stage,
                because,
                loosened_by,
            } => write!(
                text,
                "{} cannot be promoted to {stage}: {because}; {} changes that, and takes effect once a promotion that contains it was approved under the old rules",
                commit.short(),
                loosened_by.short()
            ),
            Self::Lacks(lacking) => lacking.fmt(text),
            Self::NotAdmitted {
                commit,
                stage,
                because,
            } => write!(
                text,
                "{} cannot be promoted to {stage}: by the default branch's .towline.yml, {because}; members of the groups in its rights.override can promote it with --override",
                commit.short()
            ),
            Self::IsAuthor { by, commit } => write!(
                text,
                "{by} pushed or wrote {}; someone else must approve it (approval.self: deny)",
                commit.short()
            ),
            Self::NotInGroup { by, groups } => {
                let groups = groups.join(", ");
                write!(
                    text,
                    "{by} does not have the right `approve`; these groups have it: {groups}"
                )
            }
            Self::InProgress { promotion } => write!(
                text,
                "promotion #{promotion} is in progress; roll back instead"
            ),
            Self::Waiting {
                commit,
                stage,
                promotion,
            } => write!(
                text,
                "{} is already waiting for {stage}, as promotion #{promotion}",
                commit.short()
            ),
            Self::Live { commit, stage } => {
                write!(text, "{} is already live in {stage}", commit.short())
            }
            Self::Older {
                commit,
                live,
                stage,
            } => write!(
                text,
                "{} is older than {}, which is live in {stage}; to go back, use rollback",
                commit.short(),
                live.short()
            ),
            Self::NotFromOrigin {
                commit,
                origin,
                stage,
            } => write!(
                text,
                "{} has not been live in {origin}, where {stage} takes its images from; promote it there first",
                commit.short()
            ),
            Self::NotBuilt { digest } => {
                write!(text, "image {} was not built by Towline", digest.short())
            }
            Self::OnePlatform {
                digest,
                part,
                build,
            } => write!(
                text,
                "{} is only {part}; name build#{build}, which has all platforms",
                digest.short()
            ),
            Self::NotSucceeded { build, commit } => write!(
                text,
                "build#{build} of {} has not succeeded, so its image cannot be promoted",
                commit.short()
            ),
            Self::NothingLive { component, stage } => {
                write!(text, "no image has been live in {stage} of {component} yet")
            }
            Self::NothingOlder { commit, stage } => write!(
                text,
                "no image older than {} has been live in {stage}",
                commit.short()
            ),
            Self::NeverLive {
                digest,
                component,
                stage,
            } => write!(
                text,
                "{} was never live in {stage}; `towline history {component} {stage}` shows what was",
                digest.short()
            ),
            Self::Held { stage, hold } => {
                write!(text, "{stage} is held {}; resume it first", held(hold))
            }
            Self::HeldBefore { stage, hold } => {
                write!(text, "{stage} is already held {}", held(hold))
            }
            Self::NotHeld { stage } => write!(text, "{stage} is not held"),
            Self::NotExecuted { wants } => write!(
                text,
                "this version of Towline does not support {}; remove it from the definition to continue",
                wants.join(", ")
            ),
            Self::NotActing { promotion } => {
                write!(text, "promotion #{promotion} is not in progress")
            }
            Self::LeaseTaken { promotion } => write!(
                text,
                "another process is carrying out promotion #{promotion}"
            ),
            Self::LeaseLost { promotion } => {
                write!(text, "the lease for promotion #{promotion} was lost")
            }
        }
    }
}

fn held(hold: &Hold) -> String {
    let (by, since) = (&hold.by, minute(hold.since));
    format!("by {by} since {since}: {}", hold.reason)
}

impl Display for HoldReason {
    fn fmt(&self, text: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked { reason } => text.write_str(reason),
            Self::RolledBack { reason: None } => text.write_str("rollback"),
            Self::RolledBack {
                reason: Some(reason),
            } => write!(text, "rollback: {reason}"),
            Self::TagMoved {
                tag,
                digest,
                restored,
            } => {
                moved_outside(text, tag, digest)?;
                match restored {
                    0 => Ok(()),
                    1 => text.write_str(", again after it was put back"),
                    times => write!(text, ", again after it was put back {times} times"),
                }
            }
        }
    }
}

fn moved_outside(text: &mut Formatter<'_>, tag: &Tag, digest: &Digest) -> fmt::Result {
    let digest = digest.short();
    write!(text, "tag {tag} was moved to {digest} outside Towline")
}

/// Why the tags of a stage are put back.
impl Display for Meddled {
    fn fmt(&self, text: &mut Formatter<'_>) -> fmt::Result {
        moved_outside(text, &self.tag, &self.digest)
    }
}

impl Display for Why {
    fn fmt(&self, text: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(reason) => text.write_str(reason),
            Self::Approved { promotion, by } => {
                let said = by.iter().map(|(login, comment)| match comment {
                    Some(comment) => format!("{login} “{comment}”"),
                    None => login.clone(),
                });
                let said: Vec<String> = said.collect();
                let said = said.join(", ");
                write!(text, "approval #{promotion} ({}: {said})", by.len())
            }
            Self::Moved(meddled) => meddled.fmt(text),
            Self::PutBack => text.write_str("the tag was put back"),
        }
    }
}

impl Display for stage::Failure {
    fn fmt(&self, text: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag { why } => text.write_str(&not_tagged(why)),
            Self::Parameters { stage, why } => write!(text, "the parameters of {stage}: {why}"),
            Self::Source { said, tries, since } => {
                let tried = given_up(*tries, *since);
                write!(
                    text,
                    "cannot check whether its commit is still on a ref: {said}; {tried}"
                )
            }
        }
    }
}

impl Display for NoParameters {
    fn fmt(&self, text: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build { build } => write!(
                text,
                "build#{build}, which they are read from, is no longer known; build the commit again"
            ),
            Self::Output { error } => Display::fmt(error, text),
        }
    }
}

/// Why a tag cannot be put on an image.
fn not_tagged(why: &NotTagged) -> String {
    match why {
        NotTagged::Gone => "the image no longer exists in the registry; build it again".into(),
        NotTagged::Immutable { tag } => format!(
            "tag {tag} is immutable and points to another image; exclude it from tag immutability, or use another tag"
        ),
        NotTagged::GivenUp { tries, since } => {
            format!("the tags could not be set: {}", given_up(*tries, *since))
        }
    }
}

fn given_up(tries: u32, since: Timestamp) -> String {
    format!("tried {tries} times since {}", minute(since))
}

impl std::error::Error for run::Refusal {}

impl Display for run::Refusal {
    fn fmt(&self, text: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRun { run } => write!(text, "run {run} not found"),
            Self::Lacks(lacking) => lacking.fmt(text),
            Self::NotRunning { component, commit } => write!(
                text,
                "no build of {component} is running for {}",
                commit.short()
            ),
            Self::NotBuilt { component, run } => {
                write!(text, "run {run} does not build {component}")
            }
            Self::NotEnded { component, build } => write!(
                text,
                "build#{build} of {component} has not finished; retry works on a build that failed or was stopped"
            ),
            Self::Succeeded { component, build } => write!(
                text,
                "build#{build} of {component} succeeded; retry works on a build that failed or was stopped"
            ),
            Self::FollowedBy { build, newest } => write!(
                text,
                "build#{build} was followed by build#{newest}; name that one"
            ),
            Self::NotRetried { because } => Display::fmt(because, text),
        }
    }
}

/// Why an attempt failed: its name, then what happened.
pub(super) fn failure(build: u64, platform: Option<&str>, why: &run::Failure) -> String {
    let of = platform.map(|platform| format!(" for {platform}"));
    let name = format!("build#{build}{}", of.unwrap_or_default());
    match why {
        run::Failure::Build { status, said, .. } => {
            let said = said.as_deref();
            let said = said.unwrap_or("no phase gave a reason; see the log");
            format!("{name} ended {}: {said}", status.word())
        }
        run::Failure::NotStarted { why } => match platform {
            Some(platform) => format!("{platform}: {why}"),
            None => why.to_string(),
        },
        run::Failure::NothingPushed { repository, tag } => format!(
            "{name} succeeded but pushed nothing to {repository} under tag {tag}; push \"$ECR_REGISTRY/$IMAGE_REPO:$IMAGE_TAG\" in the build phase"
        ),
        run::Failure::NoIndex { why } => {
            format!("the image index of {name} was not pushed: {why}")
        }
        run::Failure::NoResult { deadline } => {
            format!(
                "{name} had no result by its deadline, {}",
                minute(*deadline)
            )
        }
    }
}

impl Display for NotStarted {
    fn fmt(&self, text: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { said } | Self::Variables { said } => text.write_str(said),
            Self::Placeholder { component, error } => {
                write!(text, "components.{component}.build.env: {error}")
            }
            Self::GivenUp { tries, since } => {
                write!(
                    text,
                    "it could not be started: {}",
                    given_up(*tries, *since)
                )
            }
        }
    }
}

impl Display for NoIndex {
    fn fmt(&self, text: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag { why } => text.write_str(&not_tagged(why)),
            Self::Platform { said } => text.write_str(said),
            Self::OtherPlatform { platform, digest } => write!(
                text,
                "the build for {platform} pushed an index, {digest}, without an image for {platform}"
            ),
            Self::Unreadable {
                platform,
                digest,
                said,
            } => write!(
                text,
                "the manifest {digest} for {platform} cannot be read: {said}"
            ),
        }
    }
}

impl Display for Contradiction {
    fn fmt(&self, text: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::PushedTwice { tag, was, is } => write!(
                text,
                "tag {tag} was on {was} and is on {is}: it was pushed twice"
            ),
            Self::OtherCommit { built, pushed } => {
                write!(text, "it builds commit {built}, but {pushed} was pushed")
            }
            Self::EventDiffers { tag, said, held } => write!(
                text,
                "the push event said {said} for tag {tag}, the registry holds {held}"
            ),
            Self::NotTheIndex { tag, index, other } => write!(
                text,
                "tag {tag} is for {index}, the index of its platforms, and was on {other}: someone else pushed it"
            ),
        }
    }
}

impl Display for NotRetried {
    fn fmt(&self, text: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRun { run } => write!(text, "run {run} not found"),
            Self::NoDefinition { run } => write!(text, "run {run} has no definition"),
            Self::NotBuilt { component, run } => {
                write!(text, "run {run} does not build {component}")
            }
            Self::Tags { error } => Display::fmt(error, text),
            Self::GivenUp { tries, since } => text.write_str(&given_up(*tries, *since)),
        }
    }
}
