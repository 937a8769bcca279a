//! Checks out the source into a build's folder: one commit, no history, no hooks, no submodules.

use std::path::Path;

use tokio::process::Command;
use towline_domain::names::CommitSha;

/// The commands that check out `commit` from the repository at `mirror` into the folder `source`, in
/// order. They do not inherit our environment.
pub(crate) fn commands(mirror: &Path, commit: &CommitSha, source: &Path) -> [Command; 3] {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command
            .env_clear()
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env("GIT_ALLOW_PROTOCOL", "file")
            .current_dir(source)
            .args(["-c", "core.hooksPath=/dev/null"])
            .args(["-c", "protocol.version=2"])
            .args(["-c", "submodule.recurse=false"])
            .args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"])
            .args(arguments);
        command
    };
    let format = match commit.as_str().len() {
        64 => "--object-format=sha256",
        _ => "--object-format=sha1",
    };
    let branch = "--initial-branch=detached";
    let init = git(&["init", "--quiet", "--template=", branch, format]);
    let mut fetch = git(&["fetch", "--quiet", "--depth=1", "--no-tags"]);
    fetch
        .args(["--no-recurse-submodules", "--end-of-options"])
        .arg(mirror)
        .arg(commit.as_str());
    let check_out = git(&["checkout", "--quiet", "--detach", commit.as_str()]);
    [init, fetch, check_out]
}
