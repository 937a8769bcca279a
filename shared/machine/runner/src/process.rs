//! Finds and ends the processes of a build, regardless of their process group.
//!
//! Every process of a build inherits `CODEBUILD_SRC_DIR`, which is unique to the build, even between
//! runners. That and its process group are how it is found in `/proc`.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::folder::Folder;
use crate::users::User;

/// The first process of a group, distinguishable from later ones with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leader {
    pid: i32,
    /// Clock ticks since the machine started (proc(5), `starttime`).
    started: u64,
    /// The boot of the machine it belongs to.
    boot: String,
}

impl Leader {
    /// The leader with this process id now.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        Some(Self {
            pid,
            started: Stat::read(pid)?.started,
            boot: boot()?,
        })
    }

    /// Its group, if it still runs and its number was not reused.
    pub(crate) fn group(&self) -> Option<i32> {
        let same = boot().as_ref() == Some(&self.boot)
            && Stat::read(self.pid).is_some_and(|stat| stat.started == self.started);
        same.then_some(self.pid)
    }

    /// Whether this is its group: no other process leads it, though the leader may have ended.
    fn leads(&self, group: i32) -> bool {
        self.pid == group && Stat::read(self.pid).is_none_or(|stat| stat.started == self.started)
    }
}

pub(crate) enum Of<'a> {
    /// The processes of a build of this process; their groups are in our session.
    Ours(&'a [Leader]),
    /// The processes that an earlier process left, found by the group of a leader that still runs.
    Left(Option<i32>),
}

/// Time between SIGTERM and SIGKILL.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// How long killed processes may take to disappear.
const GOING: Duration = Duration::from_secs(5);

const LOOK: Duration = Duration::from_millis(20);

/// Asks every process of a build to stop, kills the rest, and waits until all are gone.
pub(crate) async fn end_all(folder: &Folder, of: Of<'_>) {
    for (signal, patience) in [(Signal::TERM, GRACE), (Signal::KILL, GOING)] {
        let until = Instant::now() + patience;
        let mut asked = Vec::new();
        loop {
            let members = members(folder, &of);
            if members.is_empty() {
                return;
            }
            for pid in members {
                // Processes that appear later are asked too, but each only once.
                if !asked.contains(&pid) || signal == Signal::KILL {
                    asked.push(pid);
                    send(pid, signal);
                }
            }
            if Instant::now() >= until {
                break;
            }
            sleep(LOOK).await;
        }
    }
    tracing::warn!(build = %folder.source().display(), "some processes of the build do not end");
}

/// Kills every process of a user. Nothing that may run as this user must have begun.
pub(crate) async fn end_of(user: &User, is_idle: impl Fn() -> bool) {
    let until = Instant::now() + GOING;
    loop {
        let members = members_of(user);
        if members.is_empty() || Instant::now() >= until || !is_idle() {
            return;
        }
        members.into_iter().for_each(|pid| send(pid, Signal::KILL));
        sleep(LOOK).await;
    }
}

fn send(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // An error means that it has ended already.
        let _ = kill_process(pid, signal);
    }
}

/// The living processes of a build.
fn members(folder: &Folder, of: &Of<'_>) -> Vec<i32> {
    let mut mark = b"CODEBUILD_SRC_DIR=".to_vec();
    mark.extend_from_slice(folder.source().as_os_str().as_bytes());
    let own = std::process::id();
    // Zero in a container whose session began outside; `rustix::getsid` panics on it.
    let session = i32::try_from(own)
        .ok()
        .and_then(|pid| Some(Stat::read(pid)?.session));
    let group_counts = |stat: &Stat| match of {
        Of::Ours(leaders) => {
            Some(stat.session) == session && leaders.iter().any(|leader| leader.leads(stat.group))
        }
        Of::Left(group) => *group == Some(stat.group),
    };
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| u32::try_from(*pid) != Ok(own))
        .filter(|pid| {
            Stat::read(*pid)
                .is_some_and(|stat| stat.lives && (group_counts(&stat) || has_mark(*pid, &mark)))
        })
        .collect()
}

/// The living processes of a user. The owner of a folder in `/proc` is not used, because a process can
/// change it.
fn members_of(user: &User) -> Vec<i32> {
    let is_of = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        let mut ids = ids.unwrap_or_default().split_ascii_whitespace();
        ids.any(|id| id.parse() == Ok(user.uid)) && Stat::read(*pid).is_some_and(|stat| stat.lives)
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(is_of).collect()
}

fn has_mark(pid: i32, mark: &[u8]) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|variable| variable == mark)
}

/// Data of a process from proc(5).
struct Stat {
    lives: bool,
    group: i32,
    session: i32,
    started: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in parentheses and may contain anything.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Self {
            lives: !matches!(*fields.first()?, "Z" | "X"),
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

fn boot() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}
