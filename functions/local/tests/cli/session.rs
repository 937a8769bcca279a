//! Runs `towline` in a folder, and shows its output as text.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A person at a terminal.
pub(crate) struct Session {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Session {
    /// In a new folder `shop`, with an empty environment except for the search path.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("shop")).unwrap();
        Self {
            folder,
            variables: Vec::new(),
        }
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("shop").join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The output of a program in the folder.
    #[expect(
        clippy::disallowed_methods,
        reason = "programs are where those who run the tests have them"
    )]
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path().join("shop"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn towline(&self, arguments: &[&str]) -> Output {
        self.towline_with(arguments, "")
    }

    pub(crate) fn towline_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(env!("CARGO_BIN_EXE_towline"));
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command may ignore its input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// The commands with their output: `!` before lines on stderr, the status if it is not 0.
    pub(crate) fn play(&self, commands: &[&[&str]]) -> String {
        let mut text = String::new();
        for arguments in commands {
            writeln!(text, "$ towline {}", arguments.join(" ")).unwrap();
            text.push_str(&shown(&self.towline(arguments)));
        }
        text.replace(
            &self
                .folder
                .path()
                .canonicalize()
                .unwrap()
                .display()
                .to_string(),
            "[folder]",
        )
    }

    /// Runs `git` with a constant author and time.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let mut command = self.command("git");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Kim Lee");
            command.env(format!("GIT_{who}_EMAIL"), "kim@acme.example");
            command.env(format!("GIT_{who}_DATE"), "2026-03-02T10:14:09Z");
        }
        let output = command.args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// The output of a command.
pub(crate) fn shown(output: &Output) -> String {
    let mut text = String::from_utf8(output.stdout.clone()).unwrap();
    for line in String::from_utf8(output.stderr.clone()).unwrap().lines() {
        let mark = if line.is_empty() { "!" } else { "! " };
        writeln!(text, "{mark}{line}").unwrap();
    }
    match output.status.code() {
        Some(0) => {}
        Some(code) => writeln!(text, "[exit {code}]").unwrap(),
        None => writeln!(text, "[killed: {}]", output.status).unwrap(),
    }
    text
}
