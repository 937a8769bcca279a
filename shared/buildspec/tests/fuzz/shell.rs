//! Generated commands, run in bash with functions in the place of tools: each says with which words it was called.
//!
//! Nothing else can run: no program is on the path, and what is not found says so.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::panic::resume_unwind;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use tempfile::TempDir;
use towline_buildspec::Buildspec;
use towline_buildspec::generate::{Common, Docker, Login, Make, MakeLogin, Pack, Preset, generate};
use towline_buildspec::model::PhaseName;

use crate::mutate::Orders;

/// How many builds one bash runs, one after the other: starting it takes as long as some builds.
const IN_ONE: usize = 100;
/// How many of them run at a time; they start processes all along and wait for them.
const AT_ONCE: usize = 2;

/// Parts of names that a careless shell, template or option parser acts on.
const PARTS: [&str; 44] = [
    "a",
    "B",
    "7",
    "/",
    "-",
    "--",
    ".",
    "..",
    "_",
    " ",
    "  ",
    "\t",
    "\n",
    "'",
    "\"",
    "`",
    "\\",
    "$",
    "$(touch canary)",
    "`touch canary`",
    ";touch canary;",
    "&&touch canary",
    "|touch canary",
    "\ntouch canary\n",
    ">canary",
    "<canary",
    "${IFS}",
    "$((1/0))",
    "*",
    "?",
    "[a-z]",
    "{a,b}",
    "~",
    "#",
    "!!",
    "%s",
    "=",
    ":",
    "@",
    "^",
    "é",
    "한",
    "🚀",
    "\u{202e}",
];

/// What the tools are: the words of each call between signs that no text holds, and what the commands build on.
const TOOLS: &str = r#"
PATH=/nowhere
say() { printf '%s\037' "$@" >&3; printf '\036' >&3; }
command_not_found_handle() { say NOT-FOUND "$@"; return 127; }
docker() {
  case "$1 $2" in
    "login "*) while read -r _; do :; done ;;
    "buildx version") return 1 ;;
    "inspect "*) return 0 ;;
  esac
  say docker "$@"
}
aws() { echo password; }
towline() { say towline "$@"; }
make() { say make "$@"; }
cd() { say cd "$@"; }
mktemp() { echo file; }
grep() { while read -r _; do :; done; }
head() { while read -r _; do :; done; }
rm() { :; }
cat() { :; }
"#;

/// Builds that wait to be run together, and those that run.
#[derive(Default)]
pub(crate) struct Batch {
    waiting: Vec<Case>,
    running: Vec<JoinHandle<usize>>,
    /// How many have been run.
    ran: usize,
}

/// A build, and what it has to do.
pub(crate) struct Case {
    /// Its variables and commands.
    pub(crate) script: String,
    /// The calls that have to come of it, in their order; others may stand between them.
    pub(crate) expected: Vec<Vec<String>>,
    /// The words by which those calls are known.
    pub(crate) heads: Vec<&'static str>,
}

/// A text of parts; never with NUL, which no environment can hold.
fn text(orders: &mut Orders<'_>) -> String {
    let parts = orders.below(6);
    (0..parts).map(|_| orders.pick(&PARTS)).collect()
}

fn path(orders: &mut Orders<'_>) -> String {
    format!("x{}", text(orders))
}

/// A value as bash reads it whatever it holds; not the quoting that is tested.
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
    /// Generates a build as the bytes say.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let mut orders = Orders::new(bytes);
        let context = path(&mut orders);
        let strangers = [
            ("GIT_SHA", text(&mut orders)),
            ("SOURCE_URL", text(&mut orders)),
            ("CREATED_AT", text(&mut orders)),
            ("ECR_REGISTRY", text(&mut orders)),
            ("IMAGE_REPO", text(&mut orders)),
            ("GIT_BRANCH", text(&mut orders)),
        ];
        let common = Common {
            context: context.clone(),
            login: orders.pick(&[Login::Open, Login::Open, Login::Open, Login::Ecr]),
            ..Common::default()
        };
        let value = |name: &str| {
            let found = strangers.iter().find(|(known, _)| *known == name);
            found.map_or("", |(_, value)| value.as_str())
        };
        let labels = [
            format!(
                "--label=org.opencontainers.image.revision={}",
                value("GIT_SHA")
            ),
            format!(
                "--label=org.opencontainers.image.source={}",
                value("SOURCE_URL")
            ),
            format!(
                "--label=org.opencontainers.image.created={}",
                value("CREATED_AT")
            ),
        ];
        let repository = format!("{}/{}", value("ECR_REGISTRY"), value("IMAGE_REPO"));
        let image = format!("{repository}:3f9c2ab-1");
        let (preset, calls, heads): (_, Vec<Vec<String>>, Vec<&'static str>) = match orders.below(3)
        {
            0 => {
                let (file, target, argument) =
                    (path(&mut orders), text(&mut orders), text(&mut orders));
                let mut call = words(&["docker", "build"]);
                call.extend([format!("--file={file}"), format!("--target={target}")]);
                call.push(format!("--build-arg=TITLE={argument}"));
                call.extend(labels);
                call.extend([format!("--tag={image}"), ".".to_owned()]);
                let calls = vec![call, vec!["docker".to_owned(), "push".to_owned(), image]];
                let docker = Docker {
                    dockerfile: file,
                    target: Some(target),
                    arguments: vec![("TITLE".to_owned(), Some(argument))],
                    ..Docker::default()
                };
                (Preset::Docker(docker), calls, vec!["build", "push"])
            }
            1 => {
                let make = Make {
                    build: words(&["test", "publish"]),
                    always: words(&["clean"]),
                    login: MakeLogin::Builtin,
                };
                let calls = ["test", "publish", "clean"].map(|target| words(&["make", target]));
                (
                    Preset::Make(make),
                    calls.to_vec(),
                    vec!["test", "publish", "clean"],
                )
            }
            _ => {
                let (root, label, user) = (path(&mut orders), text(&mut orders), text(&mut orders));
                let entry = words(&[&text(&mut orders), &text(&mut orders)]);
                let json = serde_json::Value::from(entry.clone()).to_string();
                let mut call = words(&["towline", "pack", "--output-file=file"]);
                call.extend([
                    format!("--repository={repository}"),
                    "--tag=3f9c2ab-1".to_owned(),
                ]);
                call.extend([
                    format!("--root={root}"),
                    "--platform=linux/amd64".to_owned(),
                ]);
                call.extend([
                    format!("--entrypoint={json}"),
                    format!("--label=team={label}"),
                ]);
                call.push(format!("--user={user}"));
                call.extend(labels);
                if common.login == Login::Ecr {
                    call.push("--password-stdin".to_owned());
                }
                let pack = Pack {
                    root,
                    entrypoint: entry,
                    labels: vec![("team".to_owned(), label)],
                    user: Some(user),
                    ..Pack::default()
                };
                (Preset::Pack(pack), vec![call], vec!["pack"])
            }
        };
        let Ok(spec) = generate(&common, &preset) else {
            return;
        };
        let mut expected = vec![words(&["cd", "--", &format!("source/{context}")])];
        expected[0][2] = enter(&context);
        expected.extend(calls);
        self.push(Case {
            script: exports(&strangers) + &commands(&spec),
            expected,
            heads,
        });
    }

    /// Takes one more build; those that wait run when they are many.
    pub(crate) fn push(&mut self, case: Case) {
        self.waiting.push(case);
        if self.waiting.len() >= IN_ONE {
            self.start();
        }
    }

    /// Runs what waits, behind the back of who makes more.
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

    /// Waits for everything, and says how many builds there were.
    pub(crate) fn finish(mut self) -> usize {
        self.start();
        for running in std::mem::take(&mut self.running) {
            self.end(running);
        }
        self.ran
    }
}

/// Runs these builds in one bash, and says how many they are.
fn run(cases: &[Case]) -> usize {
    let mut script = String::from(TOOLS);
    for case in cases {
        let _ = writeln!(
            script,
            "{{\n{}\n}} 2> /dev/null\nprintf '\\035' >&3",
            case.script
        );
    }
    let folder = TempDir::new().expect("a folder");
    let mut child = Command::new("bash")
        .args([
            "--noprofile",
            "--norc",
            "-c",
            "exec 3>&1 >/dev/null; source /dev/stdin",
        ])
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bash starts");
    let mut input = child.stdin.take().expect("a pipe");
    let writer = thread::spawn(move || input.write_all(script.as_bytes()));
    let output = child.wait_with_output().expect("bash ends");
    let written = writer.join().expect("writing does not panic");
    written.expect("bash reads its script");
    let output = String::from_utf8(output.stdout).expect("words are text");
    let outcomes: Vec<&str> = output.split_terminator('\u{1d}').collect();
    if let Some(case) = cases.get(outcomes.len()) {
        panic!("bash does not get through\n{}", case.script);
    }
    for (case, outcome) in cases.iter().zip(outcomes) {
        judge(case, outcome);
    }
    let left: Vec<_> = fs::read_dir(&folder).expect("the folder").collect();
    assert!(left.is_empty(), "something ran and left {left:?}");
    cases.len()
}

fn enter(context: &str) -> String {
    let folder = context.trim_end_matches('/');
    format!("source/{folder}")
}

/// The variables of a build, those of strangers with whatever they hold.
pub(crate) fn exports(strangers: &[(&str, String)]) -> String {
    let mut script = String::from(
        "export CODEBUILD_SRC_DIR=source IMAGE_TAG=3f9c2ab-1 AWS_DEFAULT_REGION=eu-west-1 CANARY=canary\n",
    );
    for (name, value) in strangers {
        let _ = writeln!(script, "export {name}={}", bytes(value));
    }
    script
}

/// The commands of a buildspec, one after the other.
pub(crate) fn commands(spec: &str) -> String {
    let (spec, _) = Buildspec::read(spec).expect("what is generated is read");
    let mut script = String::new();
    for phase in PhaseName::ALL {
        let commands = &spec.phases.get(phase).commands;
        // Asking for the digest hands nothing over and takes five processes.
        let told = commands
            .iter()
            .filter(|command| !command.starts_with("export IMAGE_DIGEST="));
        for command in told {
            script.push_str(command);
            script.push('\n');
        }
    }
    script
}

fn judge(case: &Case, outcome: &str) {
    let calls: Vec<Vec<String>> = outcome
        .split_terminator('\u{1e}')
        .map(|call| call.split_terminator('\u{1f}').map(str::to_owned).collect())
        .collect();
    let foreign = calls.iter().find(|call| call[0] == "NOT-FOUND");
    assert_eq!(foreign, None, "this ran in\n{}", case.script);
    let wanted = |call: &&Vec<String>| {
        call[0] == "cd"
            || call
                .get(1)
                .is_some_and(|word| case.heads.contains(&word.as_str()))
    };
    let mut told: Vec<&Vec<String>> = calls.iter().filter(wanted).collect();
    // The folder is entered again before each part.
    told.dedup_by(|one, other| one == other);
    told.retain({
        let mut seen_cd = false;
        move |call| call[0] != "cd" || !std::mem::replace(&mut seen_cd, true)
    });
    let expected: Vec<&Vec<String>> = case.expected.iter().collect();
    assert_eq!(told, expected, "in\n{}", case.script);
}
