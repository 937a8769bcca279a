//! The one shell of a build, which runs command after command so that `cd` and `export` persist.
//!
//! The shell's standard input is a socket to this process. A line that this process sends asks the shell
//! to run the command file; the line that the shell returns is the command's exit status. Commands
//! themselves read from `/dev/null`. A command that ends the shell (`exit 3`) has failed with that
//! status, and the next command gets a new shell with the folder and the exported variables of the
//! previous command.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use towline_buildspec::model::Version;

use crate::files::open_beneath;
use crate::users::User;

/// How long an idle shell may take to end.
const IDLE: Duration = Duration::from_millis(200);

/// The exported variables after a command, and its folder.
const STATE: &str = "state";
const CWD: &str = "cwd";

/// The most bytes of such a file to read.
const MOST_NOTE: u64 = 1 << 20;

pub(crate) struct Session {
    child: Child,
    channel: UnixStream,
    control: Control,
}

/// The folder where the shell and this process exchange files.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    pub(crate) folder: PathBuf,
    /// The folder that the shell writes to, owned by its user.
    pub(crate) notes: PathBuf,
    /// The group of that user, if it is not our own.
    pub(crate) reader: Option<u32>,
}

/// The result of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// It ended with this status, and the shell accepts the next one.
    Status(i32),
    /// It ended the shell as well.
    Ended(i32),
}

impl Done {
    pub(crate) fn status(self) -> i32 {
        match self {
            Self::Status(status) | Self::Ended(status) => status,
        }
    }
}

impl Control {
    /// The shell's folder after the last command.
    pub(crate) fn working_folder(&self) -> Option<PathBuf> {
        let text = String::from_utf8(self.note(CWD)?).ok()?;
        let path = PathBuf::from(text.strip_suffix('\n')?);
        path.is_dir().then_some(path)
    }

    /// Writes a file for the shell.
    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, text)?;
        let Some(group) = self.reader else {
            return Ok(());
        };
        chown(&path, None, Some(group))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640))
    }

    /// A file from the shell; a link in its place is not followed.
    pub(crate) fn note(&self, name: &str) -> Option<Vec<u8>> {
        let mut note = Vec::new();
        let file = open_beneath(&self.notes, Path::new(name)).ok()?;
        file.take(MOST_NOTE).read_to_end(&mut note).ok()?;
        Some(note)
    }

    /// Lets another user's shell continue here. No process of that user runs yet.
    pub(crate) fn hand_over(&self, to: &Self, user: &User) -> io::Result<()> {
        for name in [STATE, CWD] {
            let copy = to.notes.join(name);
            match fs::copy(self.notes.join(name), &copy) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
                Ok(_) => user.own_file(&copy)?,
            }
        }
        Ok(())
    }

    /// The shell's program. It uses only builtins and leaves no variables of its own.
    fn driver(&self, version: Version) -> String {
        let note = |name: &str| quote(&self.notes.join(name));
        let command = quote(&self.folder.join("command"));
        let (state, cwd) = (note(STATE), note(CWD));
        let restore = match version {
            Version::V0_1 => String::new(),
            Version::V0_2 => format!("[ ! -f {state} ] || . {state}"),
        };
        format!(
            "{restore}
while {{ IFS= read -r _; }} 2>/dev/null; do
. {command} </dev/null
{{ printf '%s\\n' \"$?\" >&0; }} 2>/dev/null
{{ export -p >|{state}; pwd >|{cwd}; }} 2>/dev/null
done
"
        )
    }
}

impl Session {
    /// Starts a shell. `command` sets the program, environment and output. It continues where the last one
    /// was, except in version 0.1, where each command starts fresh.
    pub(crate) fn start(
        mut command: Command,
        control: &Control,
        version: Version,
    ) -> io::Result<Self> {
        let driver = control.folder.join("driver");
        control.write("driver", &control.driver(version))?;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let child = command
            .arg(&driver)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self {
            child,
            channel: UnixStream::from_std(ours)?,
            control: control.clone(),
        })
    }

    /// The shell's process id while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Tells the shell that no command follows, and gives an idle shell time to end. A busy shell is
    /// ended with the other processes.
    pub(crate) async fn close(&mut self) {
        // Both fail if there is no shell to wait for.
        let _ = self.channel.shutdown().await;
        let _ = timeout(IDLE, self.child.wait()).await;
    }

    /// Runs one command of one or more lines.
    pub(crate) async fn run(&mut self, command: &str) -> io::Result<Done> {
        self.control.write("command", &format!("{command}\n"))?;
        if self.channel.write_all(b"go\n").await.is_err() {
            return Ok(Done::Ended(code(self.child.wait().await?)));
        }
        tokio::select! {
            biased;
            status = status(&mut self.channel) => match status {
                Some(status) => Ok(Done::Status(status)),
                None => Ok(Done::Ended(code(self.child.wait().await?))),
            },
            // A background process may keep the socket open after the shell has ended.
            ended = self.child.wait() => Ok(Done::Ended(code(ended?))),
        }
    }
}

/// The number on the line after a command; none if the shell has ended.
async fn status(channel: &mut UnixStream) -> Option<i32> {
    let mut line = String::new();
    loop {
        match channel.read_u8().await.ok()? {
            b'\n' => return line.parse().ok(),
            byte => line.push(char::from(byte)),
        }
    }
}

/// The status in a shell's form.
fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    let signal = || status.signal().map_or(1, |signal| 128 + signal);
    status.code().unwrap_or_else(signal)
}

/// A path as one word of a shell.
pub(crate) fn quote(path: &Path) -> String {
    towline_buildspec::generate::quote(&path.display().to_string())
}
