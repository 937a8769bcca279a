//! The commands of people, with the words that the terminal and the API share.

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use towline_domain::names::{ComponentName, ImageRepository, RepositoryName, StageName};

use super::words::{build, promotion, reference};

/// A change that a person requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Subcommand)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Promote an image to a stage
    Promote(Promote),
    /// Approve a promotion
    Approve(Approve),
    /// Reject a promotion
    Reject(Reject),
    /// Return a stage to an image that was live there
    Rollback(Rollback),
    /// Pause automatic promotions to a stage
    Hold(Hold),
    /// Resume automatic promotions to a stage
    Resume(Resume),
    /// Stop a build
    Cancel(OfBuild),
    /// Retry a build that failed or was stopped
    Retry(OfBuild),
    /// Give up the claim of an image repository; in the terminal, `claims release`.
    #[command(skip)]
    Release(Release),
}

impl Command {
    /// Their names in the API, in the order above.
    pub const NAMES: &[&str] = &[
        "promote", "approve", "reject", "rollback", "hold", "resume", "cancel", "retry", "release",
    ];
}

/// The image and stage of a promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
#[command(after_help = "\
Examples:
  towline promote backend 3f9c2ab staging
  towline promote backend sha256:858e0a1b prod --reason 'release 12' --wait
  towline promote backend 3f9c2ab prod --override --reason 'fixes incident 4711'")]
pub struct Promote {
    /// The component
    pub component: ComponentName,
    /// The image: a commit, tag, digest or build (build#142)
    #[arg(value_name = "REF", value_parser = reference)]
    pub image: String,
    /// The stage it is promoted to
    pub stage: StageName,
    /// Why
    #[arg(long)]
    pub reason: Option<String>,
    /// Promote it without approval, and even if its ref is not admitted; needs the right `override`
    #[arg(long = "override", requires = "reason")]
    #[serde(
        default,
        rename = "override",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub overrides: bool,
    /// The repository, if several have a component of that name
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
}

/// Which promotion is approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
#[command(after_help = "\
Examples:
  towline approve 58
  towline approve 58 'checked on staging' --wait")]
pub struct Approve {
    /// The promotion's number
    #[arg(value_name = "N", value_parser = promotion)]
    pub promotion: u64,
    /// A comment for the history
    pub comment: Option<String>,
    /// The repository, if several have a promotion of that number
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
}

/// Which promotion is rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
#[command(after_help = "\
Example:
  towline reject 58 'breaks the checkout'")]
pub struct Reject {
    /// The promotion's number
    #[arg(value_name = "N", value_parser = promotion)]
    pub promotion: u64,
    /// Why
    pub reason: String,
    /// The repository, if several have a promotion of that number
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
}

/// The stage to roll back, and the image to return to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
#[command(after_help = "\
Examples:
  towline rollback backend prod                    to the previous image; asks first
  towline rollback backend prod --to 9f8e7d6 --yes

Unless the definition says otherwise, a rollback holds the stage: automatic promotions stay paused
until `towline resume`.")]
pub struct Rollback {
    /// The component
    pub component: ComponentName,
    /// The stage
    pub stage: StageName,
    /// The image to return to: a commit, tag, digest or build (build#142) that was live there
    #[arg(long, value_name = "REF", value_parser = reference)]
    pub to: Option<String>,
    /// Why
    #[arg(long)]
    pub reason: Option<String>,
    /// The repository, if several have a component of that name
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
}

/// Which stage is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
#[command(after_help = "\
Example:
  towline hold backend prod 'incident 4711'")]
pub struct Hold {
    /// The component
    pub component: ComponentName,
    /// The stage
    pub stage: StageName,
    /// Why
    pub reason: String,
    /// The repository, if several have a component of that name
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
}

/// Which stage is resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
#[command(after_help = "\
Example:
  towline resume backend prod")]
pub struct Resume {
    /// The component
    pub component: ComponentName,
    /// The stage
    pub stage: StageName,
    /// The repository, if several have a component of that name
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
}

/// Which claim is given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
#[command(after_help = "\
Example:
  towline claims release acme/payments")]
pub struct Release {
    /// The image repository
    #[arg(value_name = "IMAGES")]
    pub images: ImageRepository,
}

/// Which build is stopped or repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
pub struct OfBuild {
    /// The build's number, as 142 or build#142
    #[arg(value_name = "BUILD", value_parser = build)]
    pub build: u64,
    /// The repository, if several have a build of that number
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
}
