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
        let own = rustix::process::geteuid();
        if user.uid == own.as_raw() {
            return Err(UserError::Same(name.into()));
        }
        match own.is_root() {
            true => Ok(user),
            false => Err(UserError::NotRoot(name.into())),
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
    let own = rustix::process::geteuid().as_raw();
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
