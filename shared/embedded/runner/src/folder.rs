//! The folder a build runs in: source, home, tools of ours, and notes to its shell.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::shell::{Control, quote};

/// The folder of one build.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The folder of the build with this name; nothing is made yet.
    pub(crate) fn new(builds: &Path, name: &str) -> Self {
        Self(builds.join(name))
    }

    /// The checkout: `CODEBUILD_SRC_DIR`.
    pub(crate) fn source(&self) -> PathBuf {
        self.0.join("src")
    }

    /// `HOME`.
    pub(crate) fn home(&self) -> PathBuf {
        self.0.join("home")
    }

    /// First on `PATH`.
    pub(crate) fn bin(&self) -> PathBuf {
        self.0.join("bin")
    }

    /// Where the shell and we leave notes for each other.
    pub(crate) fn control(&self) -> Control {
        Control {
            folder: self.0.join("control"),
        }
    }

    /// Makes the folder anew, with `towline` and `aws` in its `bin`.
    pub(crate) fn prepare(
        &self,
        towline: &Path,
        plugins: Option<&Path>,
        password: &str,
    ) -> io::Result<()> {
        self.remove()?;
        let control = self.control().folder;
        let docker = self.home().join(".docker");
        for folder in [&self.source(), &self.bin(), &control, &docker] {
            fs::create_dir_all(folder)?;
        }
        fs::set_permissions(&self.0, Permissions::from_mode(0o700))?;
        if let Some(plugins) = plugins.filter(|plugins| plugins.is_dir()) {
            symlink(plugins, docker.join("cli-plugins"))?;
        }
        symlink(towline, self.bin().join("towline"))?;
        let secret = control.join("registry-password");
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&secret)?;
        file.write_all(format!("{password}\n").as_bytes())?;
        let aws = self.bin().join("aws");
        fs::write(&aws, shim(&self.bin(), &secret))?;
        fs::set_permissions(&aws, Permissions::from_mode(0o755))
    }

    /// Removes the folder with everything in it.
    pub(crate) fn remove(&self) -> io::Result<()> {
        if !self.0.exists() || fs::remove_dir_all(&self.0).is_ok() {
            return Ok(());
        }
        // Some tools leave folders that not even their owner may write to.
        open_up(&self.0)?;
        fs::remove_dir_all(&self.0)
    }
}

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

/// What stands in for the AWS command line: the registry login, and the real one for the rest.
fn shim(bin: &Path, secret: &Path) -> String {
    let (bin, secret) = (quote(bin), quote(secret));
    format!(
        r#"#!/bin/sh
if [ "$1 $2" = 'ecr get-login-password' ]; then
    plain=yes
    expects=
    for argument in "$@"; do
        case "$expects$argument" in
            ecr | get-login-password | --region=* | value:*) expects= ;;
            --region) expects=value: ;;
            *) plain= ;;
        esac
    done
    if [ "$plain" ]; then
        IFS= read -r password <{secret} || exit 1
        printf '%s\n' "$password"
        exit
    fi
fi
set -f
IFS=:
for folder in $PATH; do
    if [ "$folder" != {bin} ] && [ -x "$folder/aws" ]; then
        unset IFS
        exec "$folder/aws" "$@"
    fi
done
echo 'aws: there is no AWS command line on this machine; towline stands in for "aws ecr get-login-password [--region NAME]" and nothing else.' >&2
exit 127
"#
    )
}
