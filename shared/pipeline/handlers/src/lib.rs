//! The functions, one module of the same name for each.
//!
//! Every handler does the same: decode, load, decide (pure, in `towline-domain`), commit, announce.
//! `Err` means that a retry may help; what can never succeed is recorded and dropped.

pub mod advance_stages;
pub mod deploy_images;
pub mod plan_runs;
pub mod promote_images;
pub mod receive_github;
pub mod record_images;
pub mod report_status;
pub mod start_builds;
pub mod sweep;

mod accepting;
mod recording;
mod settling;

pub use towline_state::{Context, HandlerError};
