//! Why something in a run happened or did not, as an answer.

use serde::{Deserialize, Serialize};
use towline_domain::Timestamp;
use towline_domain::names::{ComponentName, GitRef, RunId};

/// Why something happened or did not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    pub run: RunId,
    /// The ref that was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<GitRef>,
    /// When the push was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_at: Option<Timestamp>,
    /// The component; none if it concerns the whole run.
    pub component: Option<ComponentName>,
    /// Whether it was built.
    pub built: bool,
    /// Whether the definition starts no run for such a push. This is not an error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    pub why: String,
}
