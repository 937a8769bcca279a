//! Runs `git` with our own environment and limits on time and output.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use towline_domain::obstacle::Service;
use towline_domain::untrusted::Untrusted;
use towline_ports::PortError;

/// The environment of `git`.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// `PATH`: where `git`, and `ssh` for it, are found.
    pub search_path: OsString,
    /// `HOME`: whose Git and SSH configuration applies; no configuration if absent.
    pub home: Option<PathBuf>,
}

/// How long a command may run: a look at a mirror, a question to the origin, or a request for commits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    Look,
    /// For a question to the origin that is repeated soon.
    Ask,
    /// For a request to the origin.
    Fetch,
}

impl Patience {
    fn limit(self) -> Duration {
        match self {
            Self::Look => Duration::from_secs(60),
            Self::Ask => Duration::from_secs(30),
            Self::Fetch => Duration::from_secs(15 * 60),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Output {
    /// Exit status; -1 after a signal.
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    /// Whether `stdout` had more output than was read.
    pub(crate) cut: bool,
    stderr: Vec<u8>,
}

impl Output {
    /// The output as text, without the final line break.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// An error with `git`'s own message.
    pub(crate) fn error(&self, doing: impl Into<String>) -> PortError {
        let said = String::from_utf8_lossy(&self.stderr).trim().to_owned();
        let said = said.lines().collect::<Vec<_>>().join("; ");
        let said = Untrusted::text(&said, 1000).display();
        let is_denied = DENIALS.iter().any(|denial| said.contains(denial));
        let said = format!("git exited with {}: {said}", self.code);
        match is_denied {
            true => PortError::denied(Service::Git, doing, said),
            false => PortError::new(doing, said),
        }
    }
}

/// What `git` and `ssh` say, in English, when credentials are missing or not enough: `git` asks for them
/// where there is no terminal, or the server refuses them.
const DENIALS: [&str; 8] = [
    "Authentication failed",
    "could not read Username",
    "could not read Password",
    "Host key verification failed",
    "Permission denied (",
    "Repository not found",
    "The requested URL returned error: 403",
    "Invalid username or",
];

/// The most characters of `git`'s message that are kept.
const MOST_STDERR: usize = 16 * 1024;

/// Time between SIGTERM and SIGKILL.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// Commands on one repository's folder. They do not inherit our environment.
pub(crate) async fn run(
    surroundings: &Surroundings,
    folder: &Path,
    arguments: &[&str],
    patience: Patience,
    most: usize,
) -> Result<Output, PortError> {
    let doing = || format!("running git {}", arguments.first().unwrap_or(&""));
    let mut child = command(surroundings, folder, arguments)
        .spawn()
        .map_err(|cause| PortError::new(doing(), cause))?;
    match timeout(patience.limit(), collect(&mut child, most)).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(cause)) => Err(PortError::new(doing(), cause)),
        Err(_) => {
            end(&mut child).await;
            let seconds = patience.limit().as_secs();
            Err(PortError::new(
                doing(),
                format!("timed out after {seconds} seconds"),
            ))
        }
    }
}

fn command(surroundings: &Surroundings, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", &surroundings.search_path)
        .env("LC_ALL", "C")
        .env("GIT_DIR", folder)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_LITERAL_PATHSPECS", "1")
        .env("GIT_ALLOW_PROTOCOL", "file:https:ssh")
        .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes");
    match &surroundings.home {
        Some(home) => command.env("HOME", home),
        None => command.env("GIT_CONFIG_GLOBAL", "/dev/null"),
    };
    command
        .args(["-c", "core.hooksPath=/dev/null"])
        .args(["-c", "protocol.ext.allow=never"])
        .args(["-c", "protocol.version=2"])
        .args(["-c", "fetch.recurseSubmodules=false"])
        .args(["-c", "gc.pruneExpire=never", "-c", "gc.autoDetach=false"])
        .args(["-c", "maintenance.autoDetach=false"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

async fn collect(child: &mut Child, most: usize) -> std::io::Result<Output> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let complaints = tokio::spawn(read_and_drop(stderr));
    let mut read = Vec::new();
    if let Some(stdout) = stdout {
        let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        stdout.take(limit).read_to_end(&mut read).await?;
    }
    let cut = read.len() > most;
    if cut {
        read.truncate(most);
        end(child).await;
    }
    let status = child.wait().await?;
    Ok(Output {
        code: status.code().unwrap_or(-1),
        stdout: read,
        cut,
        stderr: complaints.await.unwrap_or_default(),
    })
}

/// Keeps the beginning, and reads the rest so that the writer does not block.
async fn read_and_drop(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else {
        return kept;
    };
    let mut chunk = vec![0; 4096];
    while let Ok(count) = stream.read(&mut chunk).await {
        if count == 0 {
            break;
        }
        let room = MOST_STDERR - kept.len();
        kept.extend_from_slice(&chunk[..count.min(room)]);
    }
    kept
}

/// Asks the command and its children to stop, so that they remove their locks; then kills them.
async fn end(child: &mut Child) {
    let group = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    let Some(group) = group else {
        return;
    };
    // An error means that the group is empty.
    let _ = kill_process_group(group, Signal::TERM);
    if timeout(GRACE, child.wait()).await.is_err() {
        let _ = kill_process_group(group, Signal::KILL);
        let _ = child.wait().await;
    }
}
