//! Generated commands, run in bash with functions in the place of tools: each reports the words of its call.
//!
//! Nothing else can run: no program is on the path, and a missing one is reported.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tempfile::TempDir;
use towline_buildspec::Buildspec;
use towline_buildspec::model::PhaseName;

/// How many builds one bash runs: starting it takes as long as some builds.
const IN_ONE: usize = 100;
/// How many of them run at a time; they mostly start processes and wait for them.
const AT_ONCE: usize = 2;

/// The program that a build downloads, which runs where it is, and its SHA-256.
macro_rules! program {
    () => {
        r#"say towline "$@""#
    };
}
pub(crate) const PROGRAM_SUM: &str =
    "96e9dd16ab1fd8f753641d68c53e4a4936984fb0d51456f9fe16102c3b8d1864";

/// The tools: they report the words of each call between signs that no text contains, and do what
/// the commands need.
///
/// A build that has a folder, `$HERE`, uses the real folders in it, and its files are real.
const TOOLS: &str = concat!(
    r#"
set -T
ROOT=$PWD SUM=$(type -P sha256sum) MODE=$(type -P chmod)
say() { printf '%s\037' "${@#"$HERE/"}" >&3; printf '\036' >&3; }
command_not_found_handle() { say NOT-FOUND "$@"; return 127; }
docker() {
  case "$1 $2" in
    "login "*) while read -r _; do :; done ;;
    "buildx version") return "$NO_BUILDX" ;;
    "inspect "*) return 0 ;;
  esac
  say docker "$@"
  [ "$1 $2" != "buildx create" ] || return "$NO_BUILDER"
}
aws() {
  [ "$1" = s3 ] || { echo password; return; }
  say aws "$@"
  printf %s '"#,
    program!(),
    r#"' > "$5"
}
towline() {
  [ "${!#}" != --password-stdin ] || while read -r _; do :; done
  if [ -d "$HERE/tools" ]; then source "$(type -P towline)" "$@"; else say towline "$@"; fi
}
make() { say make "$@"; printf 'made\r\n%s\n' "$1"; }
cd() { say cd "$@"; [ ! -d "$HERE" ] || builtin cd -- "$HERE/$2"; }
mktemp() { [ "$1" = -d ] && echo "$HERE/tools" || echo file; }
uname() { echo "$MACHINE"; }
command() { return 1; }
sha256sum() { "$SUM" "$@"; }
chmod() { "$MODE" "$@"; }
tr() {
  local all
  [ "$*" = '-d \r\n' ] || say NOT-FOUND tr "$@"
  IFS= read -r -d '' all
  printf %s "${all//[$'\r\n']/}"
}
wc() {
  local LC_ALL=C all
  [ "$*" = -c ] || say NOT-FOUND wc "$@"
  IFS= read -r -d '' all
  echo "${#all}"
}
grep() { while read -r _; do :; done; }
head() { while read -r _; do :; done; }
rm() { say rm "$@"; }
cat() { :; }
start() { HERE=$1; NO_BUILDX=1; builtin cd -- "$ROOT"; PATH=/nowhere; }
"#
);

/// Reports every command before it runs, as the shell has parsed it; not those of the stand-ins.
pub(crate) const TELL: &str = r#"trap '[ -n "$FUNCNAME" ] || printf "RUNS\037%s\037\036" "$BASH_COMMAND" >&3' DEBUG
"#;

/// Builds that wait to run together, and those that run.
#[derive(Default)]
pub(crate) struct Batch {
    waiting: Vec<Case>,
    running: Vec<JoinHandle<usize>>,
    /// The number of builds so far.
    ran: usize,
}

/// A build, and what it must do.
#[derive(Default)]
pub(crate) struct Case {
    /// Its variables and commands.
    pub(crate) script: String,
    /// The expected calls in order; others may be between them.
    pub(crate) expected: Vec<Vec<String>>,
    /// The words that identify those calls.
    pub(crate) heads: Vec<&'static str>,
    /// Its folders, the files in them before it starts, and those it may leave; none if it only
    /// reports its folder.
    pub(crate) folders: Vec<String>,
    pub(crate) files: Vec<(String, String)>,
    pub(crate) leaves: Vec<String>,
    /// The commands that must run, if it reports them ([`TELL`]).
    pub(crate) runs: Option<Arc<Vec<String>>>,
}

/// Any value as bash reads it; not the quoting that is tested.
fn bytes(value: &str) -> String {
    let mut quoted = String::from("$'");
    for byte in value.bytes() {
        // Writing to a string cannot fail.
        let _ = write!(quoted, "\\x{byte:02x}");
    }
    quoted + "'"
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Batch {
    /// Adds a build; waiting ones run when there are many.
    pub(crate) fn push(&mut self, case: Case) {
        self.waiting.push(case);
        if self.waiting.len() >= IN_ONE {
            self.start();
        }
    }

    /// Runs the waiting builds while more are made.
    fn start(&mut self) {
        if self.running.len() >= AT_ONCE {
            let oldest = self.running.remove(0);
            self.end(oldest);
        }
        let cases = std::mem::take(&mut self.waiting);
        self.running.push(thread::spawn(move || run(&cases)));
    }

    fn end(&mut self, running: JoinHandle<usize>) {
        self.ran += running.join().unwrap_or_else(|panic| resume_unwind(panic));
    }

    /// Waits for everything, and returns the number of builds.
    pub(crate) fn finish(mut self) -> usize {
        self.start();
        for running in std::mem::take(&mut self.running) {
            self.end(running);
        }
        self.ran
    }
}

/// Runs these builds in one bash, and returns their number.
fn run(cases: &[Case]) -> usize {
    let root = TempDir::new().expect("a folder");
    for (number, case) in cases.iter().enumerate() {
        case.prepare(&root.path().join(number.to_string()));
    }
    let output = outcomes(cases, root.path());
    let told: Vec<&str> = output.split_terminator('\u{1d}').collect();
    if let Some(case) = cases.get(told.len()) {
        panic!("bash does not get through\n{}", case.script);
    }
    for (case, outcome) in cases.iter().zip(told) {
        judge(case, outcome);
    }
    for entry in fs::read_dir(&root).expect("the folder") {
        let entry = entry.expect("an entry");
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let case = number.and_then(|number: usize| cases.get(number));
        let case = case.unwrap_or_else(|| panic!("something ran and left {entry:?}"));
        case.clean(&entry.path(), "");
    }
    cases.len()
}

/// The commands that run when this build does.
pub(crate) fn runs(case: &Case) -> Vec<String> {
    let root = TempDir::new().expect("a folder");
    let output = outcomes(std::slice::from_ref(case), root.path());
    told_runs(&calls(&output))
}

impl Case {
    fn prepare(&self, folder: &Path) {
        for name in &self.folders {
            // Without parts such as `.`, which cannot be created.
            let name: PathBuf = Path::new(name).components().collect();
            fs::create_dir_all(folder.join(name)).expect("a folder");
        }
        for (name, content) in &self.files {
            fs::write(folder.join(name), content).expect("a file");
        }
    }

    /// There may be no files except its own.
    fn clean(&self, folder: &Path, below: &str) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            if entry.file_type().expect("its kind").is_dir() {
                self.clean(&entry.path(), &format!("{name}/"));
            } else {
                let is_own = |own: &String| {
                    Path::new(own)
                        .components()
                        .eq(Path::new(&name).components())
                };
                assert!(
                    self.leaves.iter().any(is_own),
                    "something ran and left {name:?} in\n{}",
                    self.script
                );
            }
        }
    }
}

/// The output of these builds.
fn outcomes(cases: &[Case], root: &Path) -> String {
    let mut script = String::from(TOOLS);
    for (number, case) in cases.iter().enumerate() {
        let _ = writeln!(
            script,
            "start \"$ROOT/{number}\"\n{{\n{}\n}} 2> /dev/null\ntrap - DEBUG\nprintf '\\035' >&3",
            case.script
        );
    }
    let mut child = Command::new("bash")
        .args([
            "--noprofile",
            "--norc",
            "-c",
            "exec 3>&1 >/dev/null; source /dev/stdin",
        ])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bash starts");
    let mut input = child.stdin.take().expect("a pipe");
    let writer = thread::spawn(move || input.write_all(script.as_bytes()));
    let output = child.wait_with_output().expect("bash ends");
    let written = writer.join().expect("writing does not panic");
    written.expect("bash reads its script");
    String::from_utf8(output.stdout).expect("words are text")
}

/// The variables of a build, including those of strangers with any values.
pub(crate) fn exports(strangers: &[(&str, String)]) -> String {
    let mut script = String::from(
        "export CODEBUILD_SRC_DIR=source IMAGE_TAG=3f9c2ab-1 AWS_DEFAULT_REGION=eu-west-1 CANARY=canary\n",
    );
    for (name, value) in strangers {
        let _ = writeln!(script, "export {name}={}", bytes(value));
    }
    script
}

/// The commands of a buildspec as the service runs them: the first failure ends its phase, and
/// except in `build` the whole build.
pub(crate) fn commands(spec: &Buildspec) -> String {
    let mut script = String::from("while :; do\nexport CODEBUILD_BUILD_SUCCEEDING=1\n");
    for phase in PhaseName::ALL {
        let name = phase.as_str();
        if phase == PhaseName::Build {
            script.push_str("while :; do\n");
        }
        // Reading the digest passes nothing and takes five processes.
        let commands = spec.phases.get(phase).commands.iter();
        for command in commands.filter(|command| !command.starts_with("export IMAGE_DIGEST=")) {
            let _ = writeln!(
                script,
                "{command}\n[ $? = 0 ] || {{ CODEBUILD_BUILD_SUCCEEDING=0; say FAILED {name}; break; }}"
            );
        }
        if phase == PhaseName::Build {
            script.push_str("break; done\n");
        }
    }
    script.push_str("break; done\n");
    script
}

fn calls(outcome: &str) -> Vec<Vec<String>> {
    outcome
        .trim_end_matches('\u{1d}')
        .split_terminator('\u{1e}')
        .map(|call| call.split_terminator('\u{1f}').map(str::to_owned).collect())
        .collect()
}

fn told_runs(calls: &[Vec<String>]) -> Vec<String> {
    let runs = calls.iter().filter(|call| call[0] == "RUNS");
    runs.map(|call| call[1..].join("\u{1f}")).collect()
}

fn judge(case: &Case, outcome: &str) {
    let calls = calls(outcome);
    let foreign = calls.iter().find(|call| call[0] == "NOT-FOUND");
    assert_eq!(foreign, None, "this ran in\n{}", case.script);
    if let Some(runs) = &case.runs {
        let told = told_runs(&calls);
        assert_eq!(&told, &**runs, "other commands ran for\n{}", case.script);
    }
    let wanted = |call: &&Vec<String>| {
        ["cd", "FAILED", "OUTPUT"].contains(&call[0].as_str())
            || call
                .iter()
                .take(2)
                .any(|word| case.heads.contains(&word.as_str()))
    };
    let mut told: Vec<&Vec<String>> = calls.iter().filter(wanted).collect();
    // The folder is entered again before each part.
    let first = told.iter().find(|call| call[0] == "cd").copied();
    let mut is_there = false;
    told.retain(|call| Some(*call) != first || !std::mem::replace(&mut is_there, true));
    let expected: Vec<&Vec<String>> = case.expected.iter().collect();
    assert_eq!(told, expected, "in\n{}", case.script);
}
