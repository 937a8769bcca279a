//! A control group for the processes of a build, which none of them can leave without root.
//!
//! A build has one if this process may create groups below its own in the unified hierarchy
//! (cgroups(7)), as in a service with `Delegate=yes`. Otherwise processes are found in `/proc`.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use towline_domain::names::Digest;

use crate::process::GRACE;

/// How often to look whether all have ended.
const LOOK: Duration = Duration::from_millis(20);

/// The group of a build. It is removed when its processes have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group(PathBuf);

impl Group {
    /// Creates a group for the build in this folder, below the group of this process; none if that is not
    /// possible here.
    pub(crate) fn create(folder: &Path) -> Option<Self> {
        let name = Digest::of(folder.as_os_str().as_bytes());
        let group = own()?.join(format!("towline-{}", name.hex()));
        match fs::create_dir(&group) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return None,
            _ => {}
        }
        // Only the unified hierarchy has this file.
        group.join("cgroup.procs").exists().then_some(Self(group))
    }

    /// Moves a process into it. Its children will be in it too.
    pub(crate) fn take(&self, pid: u32) -> io::Result<()> {
        fs::write(self.0.join("cgroup.procs"), pid.to_string())
    }

    /// Asks all its processes to end, kills the rest, and removes it.
    pub(crate) async fn end(&self) {
        self.signal(Signal::TERM);
        if !self.is_empty_within(GRACE).await {
            // Since Linux 5.14. It also kills what is being forked.
            if fs::write(self.0.join("cgroup.kill"), "1").is_err() {
                self.signal(Signal::KILL);
            }
            if !self.is_empty_within(GRACE).await {
                tracing::warn!(group = %self.0.display(), "some processes of a build do not end");
            }
        }
        self.remove();
    }

    async fn is_empty_within(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while !self.members().is_empty() {
            if Instant::now() >= until {
                return false;
            }
            sleep(LOOK).await;
        }
        true
    }

    fn signal(&self, signal: Signal) {
        for pid in self.members() {
            if let Some(pid) = Pid::from_raw(pid) {
                // An error means that it has ended already.
                let _ = kill_process(pid, signal);
            }
        }
    }

    fn members(&self) -> Vec<i32> {
        let mut found = Vec::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            let listed = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            found.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()));
            folders.extend(below(&folder));
        }
        found
    }

    /// Removes it with the groups that a build, such as a container, has made in it.
    fn remove(&self) {
        let mut folders = vec![self.0.clone()];
        let mut index = 0;
        while let Some(folder) = folders.get(index).cloned() {
            folders.extend(below(&folder));
            index += 1;
        }
        for folder in folders.iter().rev() {
            if let Err(error) = fs::remove_dir(folder)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, group = %folder.display(), "a control group was not removed");
            }
        }
    }
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

/// The group of this process in the unified hierarchy.
fn own() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (_, place, kind) = (fields.next()?, fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(place))
    })?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(mount.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_those_of_a_group_and_of_the_groups_in_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let group = Group(dir.path().join("group"));
        fs::create_dir_all(group.0.join("container/inner")).expect("folders");
        for (folder, pids) in [
            ("", "12\n7\n"),
            ("container", ""),
            ("container/inner", "9\n"),
        ] {
            fs::write(group.0.join(folder).join("cgroup.procs"), pids).expect("a file");
        }
        let mut members = group.members();
        members.sort_unstable();
        assert_eq!(members, [7, 9, 12]);
    }

    /// `ends.rs` tests how processes are found where there are no groups.
    #[tokio::test]
    #[ignore = "needs control groups: `.ci/run root`"]
    async fn a_group_ends_with_all_its_processes() {
        let group = Group::create(Path::new("/of/a/test")).expect("a group can be created");
        let mut shell = tokio::process::Command::new("/bin/sh");
        let script =
            "read go; env -i setsid sh -c 'trap \"\" TERM; while :; do sleep 0.05; done' & wait";
        shell
            .args(["-c", script])
            .stdin(std::process::Stdio::piped());
        let mut child = shell.kill_on_drop(true).spawn().expect("a shell");
        group
            .take(child.id().expect("it runs"))
            .expect("it can be moved");
        drop(child.stdin.take());
        while group.members().len() < 2 {
            sleep(LOOK).await;
        }
        tokio::join!(group.end(), async { child.wait().await.expect("it ends") });
        assert!(!group.0.exists());
    }
}
