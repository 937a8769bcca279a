//! The folder of a build: source, home, our tools, and files exchanged with its shell.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, symlink,
};
use std::path::{Path, PathBuf};

use crate::shell::{Control, quote};
use crate::users::User;

/// The folder of one build.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The folder of the build with this name. Does not create it.
    pub(crate) fn new(builds: &Path, name: &str) -> Self {
        Self(builds.join(name))
    }

    /// The checkout: `CODEBUILD_SRC_DIR`.
    pub(crate) fn source(&self) -> PathBuf {
        self.0.join("src")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.0.join("home")
    }

    /// First on `PATH`.
    pub(crate) fn bin(&self) -> PathBuf {
        self.0.join("bin")
    }

    /// Where the shell and this process exchange files.
    pub(crate) fn control(&self, user: Option<&User>) -> Control {
        let folder = self.0.join("control");
        let notes = match user {
            Some(_) => self.0.join("notes"),
            None => folder.clone(),
        };
        let reader = user.map(|user| user.gid);
        Control {
            folder,
            notes,
            reader,
        }
    }

    /// Recreates the folder, with `towline`, `aws` and `codebuild-hash-files` in its `bin`. The
    /// build's other user, if any, may enter it, read the home folder, and owns the exchanged files.
    pub(crate) fn prepare(
        &self,
        towline: &Path,
        plugins: Option<&Path>,
        password: &str,
        user: Option<&User>,
    ) -> io::Result<()> {
        self.remove()?;
        let Control { folder, notes, .. } = self.control(user);
        let docker = self.home().join(".docker");
        for folder in [&self.source(), &self.bin(), &folder, &notes, &docker] {
            fs::create_dir_all(folder)?;
        }
        fs::set_permissions(&self.0, Permissions::from_mode(0o700))?;
        if let Some(plugins) = plugins.filter(|plugins| plugins.is_dir()) {
            symlink(plugins, docker.join("cli-plugins"))?;
        }
        let tool = self.bin().join("towline");
        match user {
            None => symlink(towline, tool)?,
            // A user who may not enter the program's folder can run a copy.
            Some(_) => fs::copy(towline, tool).map(|_| ())?,
        }
        let secret = notes.join("registry-password");
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&secret)?;
        file.write_all(format!("{password}\n").as_bytes())?;
        let tools = [
            ("aws", shim(&self.bin(), &secret)),
            ("codebuild-hash-files", HASH_FILES.to_owned()),
        ];
        for (name, text) in tools {
            let tool = self.bin().join(name);
            fs::write(&tool, text)?;
            fs::set_permissions(&tool, Permissions::from_mode(0o755))?;
        }
        user.map_or(Ok(()), |user| self.let_in(user))
    }

    /// Lets another user run commands here: gives access to the tools and their own folders.
    fn let_in(&self, user: &User) -> io::Result<()> {
        let Control { folder, notes, .. } = self.control(Some(user));
        let home = self.home();
        // Both root's and the user's phases work on the source, regardless of its owner.
        fs::write(home.join(".gitconfig"), "[safe]\n\tdirectory = *\n")?;
        chown(&self.0, None, Some(user.gid))?;
        for (folder, mode) in [
            (&self.0, 0o710),
            (&self.bin(), 0o755),
            (&folder, 0o711),
            (&self.source(), 0o700),
            (&home, 0o700),
            (&notes, 0o700),
        ] {
            fs::set_permissions(folder, Permissions::from_mode(mode))?;
        }
        // The home folder becomes the user's with the source, once the cache was restored to both.
        user.show(&home)?;
        user.own(&notes)
    }

    /// Removes the folder and its content.
    pub(crate) fn remove(&self) -> io::Result<()> {
        if !self.0.exists() || fs::remove_dir_all(&self.0).is_ok() {
            return Ok(());
        }
        // Root can remove everything, and must not follow a path that a user controls.
        if rustix::process::geteuid().is_root() {
            return fs::remove_dir_all(&self.0);
        }
        // Some tools leave folders that even their owner may not write to.
        open_up(&self.0)?;
        fs::remove_dir_all(&self.0)
    }
}

/// Creates the folder where builds of other users run. Everyone may enter it, no one may list it.
pub(crate) fn make_common(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o711).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if !is_ours(path)? {
        let message = format!("{} belongs to another user", path.display());
        return Err(io::Error::other(message));
    }
    fs::set_permissions(path, Permissions::from_mode(0o711))
}

/// Whether a folder exists and belongs to towline's user.
pub(crate) fn is_ours(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(there) => Ok(there.is_dir() && there.uid() == rustix::process::geteuid().as_raw()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// CodeBuild's command of this name: one hash over the matching files, for the key of a cache.
const HASH_FILES: &str = r#"#!/usr/bin/env bash
cd -- "${CODEBUILD_SRC_DIR:?}" || exit 1
shopt -s globstar nullglob dotglob
export LC_ALL=C
IFS=
for pattern in "$@"; do
    for file in $pattern; do
        if [ -f "$file" ]; then
            sha256sum -- "$file"
        fi
    done
done | sha256sum | while read -r -n 64 hash; do
    printf '%s\n' "$hash"
    break
done
"#;

fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

/// Replaces the AWS command line for the registry login, and calls the real one for the rest.
fn shim(bin: &Path, secret: &Path) -> String {
    let (bin, secret) = (quote(bin), quote(secret));
    format!(
        r#"#!/bin/sh
words=
expects=
for argument in "$@"; do
    case "$expects$argument" in
        --region=* | value:*) expects= ;;
        --region) expects=value: ;;
        *) words="$words $argument" ;;
    esac
done
if [ "$words$expects" = ' ecr get-login-password' ]; then
    IFS= read -r password <{secret} || exit 1
    printf '%s\n' "$password"
    exit
fi
set -f
IFS=:
for folder in $PATH; do
    if [ "$folder" != {bin} ] && [ -x "$folder/aws" ]; then
        unset IFS
        exec "$folder/aws" "$@"
    fi
done
echo 'aws: the AWS command line is not installed; towline replaces only "aws ecr get-login-password", with or without --region.' >&2
exit 127
"#
    )
}
