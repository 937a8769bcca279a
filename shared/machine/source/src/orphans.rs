//! Ends the `git` commands that a killed process of ours left at work in a mirror.
//!
//! Every command on a mirror, and what it starts, has that mirror and no other as its `GIT_DIR`;
//! that is how it is found below `/proc`.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How often it is looked for more, which those found have started meanwhile.
const MOST_ROUNDS: usize = 10;

/// How long a process may take to go after it was killed.
const GOING: Duration = Duration::from_secs(10);

/// Asks every command on this mirror to end, ends after `grace` those that did not, and returns
/// when all are gone.
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
        "a git command of an earlier process still works on {} and does not end; end it, then \
         start again",
        mirror.display()
    ))
}

/// Handles on the processes, so that nobody else is met who took a number over.
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
        // Looked at again, now that the number cannot be another's any more.
        if has_mark(pid, &mark) {
            found.push(process);
        }
    }
    Ok(found)
}

/// A process that has gone, or is somebody else's, has no environment for us.
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
