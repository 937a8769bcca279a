//! A stand-in for the AWS command line: a strict table of calls, and a record of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::session::Session;

/// Answers by the table in the folder beside it; what is not in the table fails, and is noted.
///
/// A row is `NNN.call`, a pattern of the shell for the arguments joined by spaces, with `NNN.out`,
/// `NNN.err` or both; a row with `NNN.once` answers one call only.
const SCRIPT: &str = r#"#!/bin/sh
here=${0%/*}
line="$*"
printf '%s\n' "$line" >>"$here/asked"
case "$line" in *file:///dev/stdin*) cat >>"$here/given" ;; esac
for row in "$here"/*.call; do
    pattern=$(cat "$row")
    name=${row%.call}
    case "$line" in
    $pattern)
        if [ -e "$name.once" ]; then mv "$row" "$name.used"; fi
        if [ -e "$name.err" ]; then cat "$name.err" >&2; exit 254; fi
        cat "$name.out"
        exit 0 ;;
    esac
done
printf '%s\n' "$line" >>"$here/unknown"
echo "aws: no answer for: $line" >&2
exit 255
"#;

/// The table, in a folder that is the whole PATH except for the system's own programs.
pub(crate) struct Aws {
    folder: tempfile::TempDir,
    rows: usize,
}

impl Aws {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let aws = Self { folder, rows: 0 };
        aws.program("aws", SCRIPT);
        aws
    }

    /// Puts another program on the PATH.
    pub(crate) fn program(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn row(&mut self, call: &str, ending: &str, text: &str) {
        self.rows += 1;
        let name = format!("{:03}", self.rows);
        fs::write(self.path(&format!("{name}.call")), call).unwrap();
        fs::write(self.path(&format!("{name}.{ending}")), text).unwrap();
    }

    /// Answers calls that match the pattern.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a table reads better without references"
    )]
    pub(crate) fn says(mut self, call: &str, answer: Value) -> Self {
        let text = answer
            .as_str()
            .map_or_else(|| answer.to_string(), str::to_owned);
        self.row(call, "out", &text);
        self
    }

    /// Answers one call that matches the pattern; the next entry answers the next call.
    pub(crate) fn says_once(self, call: &str, answer: Value) -> Self {
        let aws = self.says(call, answer);
        fs::write(aws.path(&format!("{:03}.once", aws.rows)), "").unwrap();
        aws
    }

    /// Refuses calls that match the pattern.
    pub(crate) fn refuses(mut self, call: &str, code: &str, why: &str) -> Self {
        let text = format!("\nAn error occurred ({code}) when calling the X operation: {why}\n");
        self.row(call, "err", &text);
        self
    }

    /// Refuses one call that matches the pattern.
    pub(crate) fn refuses_once(self, call: &str, code: &str, why: &str) -> Self {
        let aws = self.refuses(call, code, why);
        fs::write(aws.path(&format!("{:03}.once", aws.rows)), "").unwrap();
        aws
    }

    /// A session in which `aws` is this stand-in.
    pub(crate) fn session(&self) -> Session {
        let path = format!("{}:/usr/bin:/bin", self.folder.path().display());
        Session::new()
            .set("PATH", &path)
            .set("AWS_REGION", "eu-west-1")
    }

    /// Every call that changes something, one per line.
    pub(crate) fn changes(&self) -> String {
        let looks = [
            " describe-",
            " get-",
            " list-",
            " head-",
            " batch-get-",
            " simulate-",
        ];
        let asked = self.asked();
        let changes = asked
            .lines()
            .filter(|line| !looks.iter().any(|word| line.contains(word)));
        changes.map(|line| format!("{line}\n")).collect()
    }

    /// Every call.
    pub(crate) fn asked(&self) -> String {
        fs::read_to_string(self.path("asked")).unwrap_or_default()
    }

    /// Everything that was written to standard input.
    pub(crate) fn given(&self) -> String {
        fs::read_to_string(self.path("given")).unwrap_or_default()
    }

    /// Text without the folder's name.
    pub(crate) fn plain(&self, text: &str) -> String {
        text.replace(&self.folder.path().display().to_string(), "[bin]")
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        let unknown = fs::read_to_string(self.path("unknown")).unwrap_or_default();
        if !std::thread::panicking() {
            assert_eq!(unknown, "", "calls that nobody expected");
        }
    }
}
