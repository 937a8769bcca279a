//! The Linux users that a buildspec names with `run-as`.

use std::fs;
use std::os::unix::fs::lchown;
use std::path::Path;

use serde::{Deserialize, Serialize};
use towline_buildspec::Buildspec;
use towline_buildspec::model::{Phase, PhaseName};

use crate::said::Said;

/// Another user than the one that runs towline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The user of a phase's commands, as it is written.
pub(crate) fn name_of<'a>(spec: &'a Buildspec, phase: &'a Phase) -> Option<&'a str> {
    phase.run_as.as_deref().or(spec.run_as.as_deref())
}

/// The other user that a buildspec needs, if it needs one.
///
/// # Errors
/// When it cannot be used, with the reason.
pub(crate) fn wanted(spec: &Buildspec) -> Result<Option<User>, Said> {
    let own = rustix::process::geteuid().as_raw();
    let mut other: Option<User> = None;
    for phase in PhaseName::ALL.map(|name| spec.phases.get(name)) {
        let runs = !phase.commands.is_empty() || !phase.finally.is_empty();
        let Some(name) = name_of(spec, phase).filter(|_| runs) else {
            continue;
        };
        let user = find(name)?;
        if user.uid == own {
            continue;
        }
        if own != 0 {
            return Err(
                format!("run-as: {name} needs root, but towline does not run as root").into(),
            );
        }
        match &other {
            Some(other) if *other != user => {
                return Err(format!(
                    "run-as: {} and {name}: a build can use only one user besides root here",
                    other.name
                )
                .into());
            }
            _ => other = Some(user),
        }
    }
    Ok(other)
}

/// The other user that a buildspec needs; none also if the buildspec or user is invalid, which is
/// reported later in the build.
pub(crate) fn of_text(buildspec: &str) -> Option<User> {
    let (spec, _) = Buildspec::read(buildspec).ok()?;
    wanted(&spec).ok().flatten()
}

fn find(name: &str) -> Result<User, Said> {
    let table = fs::read_to_string("/etc/passwd")
        .map_err(|error| format!("run-as: {name}: reading /etc/passwd: {error}"))?;
    table
        .lines()
        .find_map(|line| user(line).filter(|user| user.name == name))
        .ok_or_else(|| format!("run-as: no user {name} in /etc/passwd").into())
}

/// A line of `/etc/passwd` (passwd(5)).
fn user(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let _password = fields.next()?;
    let uid = fields.next()?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(User { name, uid, gid })
}

impl User {
    /// Makes the user the owner of a folder and its content; links themselves, not their targets.
    pub(crate) fn own(&self, path: &Path) -> std::io::Result<()> {
        let mut waiting = vec![path.to_owned()];
        while let Some(path) = waiting.pop() {
            lchown(&path, Some(self.uid), Some(self.gid))?;
            if fs::symlink_metadata(&path)?.is_dir() {
                for entry in fs::read_dir(&path)? {
                    waiting.push(entry?.path());
                }
            }
        }
        Ok(())
    }
}
