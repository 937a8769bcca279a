//! Stops `git` commands that a killed process of ours left running in a mirror.
//!
//! Every command on a mirror, and its children, have that mirror as `GIT_DIR`, which is how they are
//! found in `/proc`.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How often to look again for processes that the found ones started meanwhile.
const MOST_ROUNDS: usize = 10;

/// How long a killed process may take to disappear.
const GOING: Duration = Duration::from_secs(10);

/// Asks every command on this mirror to stop, kills the rest after `grace`, and returns when all are
/// gone.
pub(crate) fn end(mirror: &Path, grace: Duration) -> io::Result<()> {
    for _ in 0..MOST_ROUNDS {
        let found = working_on(mirror)?;
        if found.is_empty() {
            return Ok(());
        }
        tracing::warn!(
            mirror = %mirror.display(),
            processes = found.len(),
            "ending git commands that an earlier process left behind"
        );
        for process in &found {
            send(process, Signal::TERM)?;
        }
        let until = Instant::now() + grace;
        for process in &found {
            if !gone_by(process, until)? {
                send(process, Signal::KILL)?;
                if !gone_by(process, Instant::now() + GOING)? {
                    return Err(stuck(mirror));
                }
            }
        }
    }
    Err(stuck(mirror))
}

fn stuck(mirror: &Path) -> io::Error {
    io::Error::other(format!(
        "a git command of an earlier process still uses {} and does not stop; stop it, then \
         start again",
        mirror.display()
    ))
}

/// Handles of the processes, in case another process takes over a number.
fn working_on(mirror: &Path) -> io::Result<Vec<OwnedFd>> {
    let mut mark = b"GIT_DIR=".to_vec();
    mark.extend_from_slice(mirror.as_os_str().as_bytes());
    let own = rustix::process::getpid();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let number = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let Some(pid) = number.and_then(Pid::from_raw).filter(|pid| *pid != own) else {
            continue;
        };
        if !has_mark(pid, &mark) {
            continue;
        }
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => process,
            Err(Errno::SRCH) => continue, // it went
            Err(error) => return Err(error.into()),
        };
        // Checked again, now that the number cannot be reused.
        if has_mark(pid, &mark) {
            found.push(process);
        }
    }
    Ok(found)
}

/// We cannot read the environment of a process that is gone or belongs to another user.
fn has_mark(pid: Pid, mark: &[u8]) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|variable| variable == mark)
}

fn send(process: &OwnedFd, signal: Signal) -> io::Result<()> {
    match pidfd_send_signal(process, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn gone_by(process: &OwnedFd, until: Instant) -> io::Result<bool> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut ended = [PollFd::new(process, PollFlags::IN)];
        match poll(&mut ended, Some(&left)) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
