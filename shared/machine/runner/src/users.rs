//! The Linux users that builds run as: one user for all builds, or the users that a buildspec names
//! with `run-as`.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, chownat, fchmod, fchown, fstat, open, openat,
};
use rustix::process::{Gid, Uid};
use serde::{Deserialize, Serialize};
use towline_buildspec::Buildspec;
use towline_buildspec::model::{Phase, PhaseName};

use crate::said::Said;

/// Another user than the one that runs towline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Why builds cannot run as a user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error(
        "no user {0} in /etc/passwd; create one with: useradd --system --shell /usr/sbin/nologin {0}"
    )]
    Unknown(String),
    #[error("{0} is the user of towline itself; name another one, which owns nothing else")]
    Same(String),
    #[error("only root can run builds as {0}; start towline as root")]
    NotRoot(String),
    #[error("reading /etc/passwd")]
    Users(#[source] io::Error),
}

impl User {
    /// The user that all builds are to run as.
    ///
    /// # Errors
    /// When there is none, or towline may not run builds as it.
    pub fn for_builds(name: &str) -> Result<Self, UserError> {
        let table = fs::read_to_string("/etc/passwd").map_err(UserError::Users)?;
        let user = named(&table, name).ok_or_else(|| UserError::Unknown(name.into()))?;
        user.allowed_to(rustix::process::geteuid())
    }

    /// The user, if a process of `own` may run all builds as it.
    fn allowed_to(self, own: Uid) -> Result<Self, UserError> {
        if self.uid == own.as_raw() {
            return Err(UserError::Same(self.name));
        }
        match own.is_root() {
            true => Ok(self),
            false => Err(UserError::NotRoot(self.name)),
        }
    }
}

/// The user of a phase's commands, as it is written.
pub(crate) fn name_of<'a>(spec: &'a Buildspec, phase: &'a Phase) -> Option<&'a str> {
    phase.run_as.as_deref().or(spec.run_as.as_deref())
}

/// The other user that a buildspec needs, if it needs one.
///
/// # Errors
/// When it cannot be used, with the reason.
pub(crate) fn wanted(spec: &Buildspec, of_all: Option<&User>) -> Result<Option<User>, Said> {
    wanted_by(rustix::process::geteuid(), spec, of_all)
}

fn wanted_by(own: Uid, spec: &Buildspec, of_all: Option<&User>) -> Result<Option<User>, Said> {
    let own = own.as_raw();
    let mut other: Option<User> = of_all.cloned();
    for phase in PhaseName::ALL.map(|name| spec.phases.get(name)) {
        let runs = !phase.commands.is_empty() || !phase.finally.is_empty();
        let Some(name) = name_of(spec, phase).filter(|_| runs) else {
            continue;
        };
        let user = find(name)?;
        if let Some(all) = of_all.filter(|all| **all != user) {
            return Err(format!(
                "run-as: {name}: all builds run as {} here (serve --build-user)",
                all.name
            )
            .into());
        }
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

/// The other user that a buildspec needs. Also none if the buildspec or user is invalid; the build
/// reports that later.
pub(crate) fn of_text(buildspec: &str, of_all: Option<&User>) -> Option<User> {
    if let Some(user) = of_all {
        return Some(user.clone());
    }
    let (spec, _) = Buildspec::read(buildspec).ok()?;
    wanted(&spec, None).ok().flatten()
}

fn find(name: &str) -> Result<User, Said> {
    let table = fs::read_to_string("/etc/passwd")
        .map_err(|error| format!("run-as: {name}: reading /etc/passwd: {error}"))?;
    let missing = || format!("run-as: no user {name} in /etc/passwd").into();
    named(&table, name).ok_or_else(missing)
}

fn named(table: &str, name: &str) -> Option<User> {
    let mut users = table.lines().filter_map(user);
    users.find(|user| user.name == name)
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
    /// Makes the user the owner of a folder and its content. Links change their owner, not their
    /// targets. The folder comes last, and no path is followed twice, so that a process of the user
    /// cannot lead us elsewhere.
    pub(crate) fn own(&self, path: &Path) -> io::Result<()> {
        let folder = open(path, FOLDER, Mode::empty())?;
        self.own_content(&folder)?;
        fchown(&folder, self.uid(), self.gid())?;
        Ok(())
    }

    /// Makes the user the owner of a file.
    pub(crate) fn own_file(&self, path: &Path) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fchown(open(path, flags, Mode::empty())?, self.uid(), self.gid())?;
        Ok(())
    }

    /// Lets the user's group read a folder and its content, and only that.
    pub(crate) fn show(&self, path: &Path) -> io::Result<()> {
        let folder = open(path, FOLDER, Mode::empty())?;
        self.show_content(&folder)?;
        fchown(&folder, None, self.gid())?;
        fchmod(&folder, Mode::from_raw_mode(0o750))?;
        Ok(())
    }

    fn own_content(&self, folder: &OwnedFd) -> io::Result<()> {
        for name in names(folder)? {
            if let Ok(inner) = openat(folder, &name, FOLDER, Mode::empty()) {
                self.own_content(&inner)?;
            }
            let (uid, gid) = (self.uid(), self.gid());
            chownat(folder, &name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    fn show_content(&self, folder: &OwnedFd) -> io::Result<()> {
        for name in names(folder)? {
            // Links and special files are left as they are.
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            let Ok(inner) = openat(folder, &name, flags, Mode::empty()) else {
                continue;
            };
            let mode = fstat(&inner)?.st_mode;
            match FileType::from_raw_mode(mode) {
                FileType::Directory => self.show_content(&inner)?,
                FileType::RegularFile => {}
                FileType::Symlink
                | FileType::Fifo
                | FileType::Socket
                | FileType::CharacterDevice
                | FileType::BlockDevice
                | FileType::Unknown => continue,
            }
            fchown(&inner, None, self.gid())?;
            // Read and enter permissions of the owner, without write.
            let owner = (mode & 0o500) >> 3;
            fchmod(&inner, Mode::from_raw_mode(mode & 0o7707 | owner))?;
        }
        Ok(())
    }

    fn uid(&self) -> Option<Uid> {
        Some(Uid::from_raw(self.uid))
    }

    fn gid(&self) -> Option<Gid> {
        Some(Gid::from_raw(self.gid))
    }
}

/// A folder itself, not one that a link leads to.
const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

fn names(folder: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user that every Linux has, like `root` and `daemon`.
    const NOBODY: &str = "nobody";

    fn uid(name: &str) -> u32 {
        let users = fs::read_to_string("/etc/passwd").expect("there are users");
        named(&users, name).expect("a user").uid
    }

    #[test]
    fn s14_only_root_runs_all_builds_as_another_user() {
        let user = User {
            name: "games".into(),
            uid: 5,
            gid: 60,
        };
        for (own, expected) in [
            (0, ""),
            (
                1000,
                "only root can run builds as games; start towline as root",
            ),
            (
                5,
                "games is the user of towline itself; name another one, which owns nothing else",
            ),
        ] {
            let allowed = user.clone().allowed_to(Uid::from_raw(own));
            let refused = allowed.map_err(|error| error.to_string());
            let said = refused.err().unwrap_or_default();
            assert_eq!(said, expected, "as {own}");
        }
    }

    #[test]
    fn only_root_runs_commands_as_the_users_they_name() {
        let (nobody, stranger) = (uid(NOBODY), 4_000_000);
        let (same, other) = ("{commands: [a]}", "{run-as: daemon, commands: [a]}");
        for (own, user, install, expected) in [
            (0, NOBODY, same, NOBODY),
            (nobody, NOBODY, same, "no other"),
            (
                stranger,
                NOBODY,
                same,
                "run-as: nobody needs root, but towline does not run as root",
            ),
            (0, "root", same, "no other"),
            (0, "root", other, "daemon"),
            (
                stranger,
                "root",
                same,
                "run-as: root needs root, but towline does not run as root",
            ),
            (
                0,
                NOBODY,
                other,
                "run-as: daemon and nobody: a build can use only one user besides root here",
            ),
        ] {
            let text = format!(
                "version: 0.2
run-as: {user}
phases:
  install: {install}
  build: {{commands: [b]}}
"
            );
            let (spec, _) = Buildspec::read(&text).expect("a buildspec");
            let said = match wanted_by(Uid::from_raw(own), &spec, None) {
                Ok(Some(user)) => user.name,
                Ok(None) => "no other".to_owned(),
                Err(refused) => refused.into(),
            };
            assert_eq!(said, expected, "{user} and {install} as {own}");
        }
    }
}
