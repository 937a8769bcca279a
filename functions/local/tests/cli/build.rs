//! `build --local`: a buildspec on the working tree, live, with the time of each phase.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::Value;

use crate::session::{Session, shown};

const PACK: &str = r#"version: 1
pipeline: shop
components:
  web:
    repository: acme/web
    build: {preset: pack, root: dist, run: ["mkdir dist && cp page dist/"], tags: ["{sha7}-{build_uuid}"]}
  api:
    repository: acme/api
    build: {buildspec: ci/buildspec.yml, env: {GREETING: "hello {branch_slug}"}, tags: ["{build_uuid}"]}
"#;

/// A repository with one commit of these files.
fn repository(files: &[(&str, &str)]) -> Session {
    let session = Session::new();
    session.git(&["init", "-q", "-b", "main"]);
    for (name, text) in files {
        session.write(name, text);
    }
    session.git(&["add", "-A"]);
    session.git(&["commit", "-q", "-m", "first"]);
    session
}

/// The output of a build, without the parts that differ between builds.
fn told(session: &Session, arguments: &[&str]) -> String {
    let text = shown(&session.towline(arguments));
    let folder = session.path(".").canonicalize().unwrap();
    let text = text.replace(&folder.display().to_string(), "[shop]");
    let logs = fs::read_dir(session.path(".towline-data/build/logs"));
    let ids = logs.into_iter().flatten().map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.trim_end_matches(".log").to_owned()
    });
    let text = ids.fold(text, |text, id| text.replace(&id, "ID"));
    let lines = text.lines().map(|line| {
        let line = match line.split_once("] 20") {
            Some(("[towline", rest)) => rest.split_once("Z ").map_or(rest, |(_, said)| said),
            _ => line,
        };
        let seconds = |word: &str| {
            word.split_once('.')
                .is_some_and(|(_, tenth)| tenth.len() == 1 && word.parse::<f64>().is_ok())
        };
        let words = line.split_whitespace();
        let words = words.map(|word| if seconds(word) { "0.0" } else { word });
        words.collect::<Vec<_>>().join(" ")
    });
    let lines = lines.filter(|line| !line.starts_with("Build towline-"));
    lines.map(|line| format!("{line}\n")).collect()
}

fn json(session: &Session, arguments: &[&str]) -> (Value, String) {
    let output = session.towline(&[arguments, &["--json"]].concat());
    let beside = String::from_utf8(output.stderr).unwrap();
    let document = serde_json::from_slice(&output.stdout);
    (
        document.unwrap_or_else(|error| panic!("{error}: {beside}")),
        beside,
    )
}

#[test]
fn a_spec_runs_on_what_is_there_and_its_phases_are_timed() {
    let session = repository(&[
        (".gitignore", "ignored\nkept\n"),
        ("page", "committed\n"),
        (
            "buildspec.yml",
            "version: 0.2
env: {exported-variables: [WORD]}
phases:
  install: {commands: ['cat page new kept; [ ! -e ignored ]']}
  build: {commands: ['export WORD=$GIVEN', 'cat page | tee out.txt']}
artifacts: {files: [out.txt]}
",
        ),
    ]);
    let clean = told(&session, &["build", "--local"]);
    assert!(
        clean.contains("! building buildspec.yml; the working tree is commit "),
        "{clean}"
    );
    // A tracked file that is ignored, an untracked one, and changes.
    session.write("kept", "kept\n");
    session.git(&["add", "-f", "kept"]);
    session.write("ignored", "never\n");
    session.write("page", "changed\n");
    session.write("new", "new\n");
    let before = session.git(&["status", "--porcelain"]);
    let text = told(&session, &["build", "--local", "--env", "GIVEN=by hand"]);
    expect_test::expect![[r#"
        Phase complete: PROVISIONING State: SUCCEEDED
        Entering phase DOWNLOAD_SOURCE
        Phase complete: DOWNLOAD_SOURCE State: SUCCEEDED
        Entering phase INSTALL
        Running command cat page new kept; [ ! -e ignored ]
        changed
        new
        kept
        Phase complete: INSTALL State: SUCCEEDED
        Entering phase PRE_BUILD
        Phase complete: PRE_BUILD State: SUCCEEDED
        Entering phase BUILD
        Running command export WORD=$GIVEN
        Running command cat page | tee out.txt
        changed
        Phase complete: BUILD State: SUCCEEDED
        Entering phase POST_BUILD
        Phase complete: POST_BUILD State: SUCCEEDED
        Entering phase UPLOAD_ARTIFACTS
        Kept 1 files as artifacts in [shop]/.towline-data/build/artifacts/ID/main
        Phase complete: UPLOAD_ARTIFACTS State: SUCCEEDED
        Entering phase FINALIZING
        Build ended: SUCCEEDED

        PHASE STATUS SECONDS
        SUBMITTED SUCCEEDED 0.0
        QUEUED SUCCEEDED 0.0
        PROVISIONING SUCCEEDED 0.0
        DOWNLOAD_SOURCE SUCCEEDED 0.0
        INSTALL SUCCEEDED 0.0
        PRE_BUILD SUCCEEDED 0.0
        BUILD SUCCEEDED 0.0
        POST_BUILD SUCCEEDED 0.0
        UPLOAD_ARTIFACTS SUCCEEDED 0.0
        FINALIZING SUCCEEDED 0.0

        SUCCEEDED in 0.0 seconds
        exported WORD=by hand
        artifacts [shop]/.towline-data/build/artifacts/ID
        ! building buildspec.yml; the working tree has uncommitted changes
    "#]]
    .assert_eq(&text);
    assert_eq!(session.git(&["status", "--porcelain"]), before);
    let builds = fs::read_dir(session.path(".towline-data/build")).unwrap();
    let mut left: Vec<String> = builds
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("builds.sqlite"))
        .collect();
    left.sort();
    assert_eq!(left, ["artifacts", "builds", "lock", "logs"]);
}

#[test]
fn a_component_builds_as_a_run_would_and_pushes_to_a_registry_of_its_own() {
    let spec = "version: 0.2\nphases: {build: {commands: ['echo $GREETING from $TOWLINE_COMPONENT', (exit 3)]}}\n";
    let session = repository(&[
        (".towline.yml", PACK),
        ("page", "hello\n"),
        ("ci/buildspec.yml", spec),
    ]);
    let (built, log) = json(&session, &["build", "--local", "web"]);
    assert_eq!(built["status"], "SUCCEEDED", "{log}");
    assert_eq!(built["commit"], session.git(&["rev-parse", "HEAD"]));
    let image = &built["images"][0];
    assert_eq!(image["repository"], "acme/web", "{built}");
    let digest = image["digest"].as_str().unwrap();
    assert_eq!(built["exported"]["IMAGE_DIGEST"], digest);
    let phases = built["phases"].as_array().unwrap();
    let phases: Vec<&str> = phases
        .iter()
        .map(|phase| phase["phase"].as_str().unwrap())
        .collect();
    assert_eq!(
        phases.join(" "),
        "SUBMITTED QUEUED PROVISIONING DOWNLOAD_SOURCE INSTALL PRE_BUILD BUILD POST_BUILD UPLOAD_ARTIFACTS FINALIZING"
    );
    let output = session.towline(&["build", "--local", "api", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("\nhello main from api\n"), "{log}");
    let built: Value = serde_json::from_slice(&output.stdout).unwrap();
    let failed = built["phases"].as_array().unwrap().iter();
    let failed: Vec<&Value> = failed.filter(|phase| phase["status"] == "FAILED").collect();
    assert_eq!(failed.len(), 1);
    let why =
        "COMMAND_EXECUTION_ERROR: Error while executing command: (exit 3). Reason: exit status 3";
    assert_eq!(failed[0]["context"][0], why);
}

#[test]
fn secrets_come_from_the_file_of_the_folder_and_are_not_shown() {
    let session = repository(&[(
        "buildspec.yml",
        "version: 0.2
env: {parameter-store: {TOKEN: /shop/token}}
phases: {build: {commands: ['echo \"it is $TOKEN\"']}}
",
    )]);
    let missing = told(&session, &["build", "--local"]);
    let why = "DOWNLOAD_SOURCE FAILED 0.0 CLIENT_ERROR: the buildspec needs TOKEN (parameter-store /shop/token): \
               [shop]/.towline-data/secrets.json does not exist;";
    assert!(missing.contains(why), "{missing}");
    let file = session.path(".towline-data/secrets.json");
    fs::write(
        &file,
        r#"{"parameter-store": {"/shop/token": "t0ken-value"}}"#,
    )
    .unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let built = told(&session, &["build", "--local"]);
    assert!(built.contains("\nit is ***\n"), "{built}");
    assert!(!built.contains("t0ken-value"), "{built}");
}

#[test]
fn what_cannot_be_built_is_said() {
    let session = repository(&[(".towline.yml", PACK), ("page", "x")]);
    let other = repository(&[("page", "x")]);
    let check = |session: &Session, arguments: &[&str], expected: &str| {
        assert_eq!(told(session, arguments), expected, "{arguments:?}");
    };
    check(
        &session,
        &["build", "web"],
        "! towline: builds are started by a push or `towline retry`; use --local to build the working tree on this machine\n[exit 1]\n",
    );
    check(
        &session,
        &["build", "--local"],
        "! towline: name a component: web, api\n[exit 1]\n",
    );
    check(
        &session,
        &["build", "--local", "site"],
        "! towline: [shop]/.towline.yml has no component site; it has web, api\n[exit 1]\n",
    );
    check(
        &session,
        &["build", "--local", "api"],
        "! towline: reading [shop]/ci/buildspec.yml: No such file or directory (os error 2)\n[exit 2]\n",
    );
    check(
        &other,
        &["build", "--local"],
        "! towline: [shop] has neither .towline.yml nor buildspec.yml; name a buildspec with --spec\n[exit 1]\n",
    );
    check(
        &other,
        &["build", "--local", "web"],
        "! towline: there is no [shop]/.towline.yml, so there is no component web; leave out the name to run buildspec.yml, \
         or name a buildspec with --spec\n[exit 1]\n",
    );
}

#[test]
fn an_interrupt_ends_the_build_and_all_it_started() {
    let session = repository(&[(
        "buildspec.yml",
        "version: 0.2
phases:
  build:
    commands:
      - (trap '' TERM; sleep 1000) & echo \"started $! $$\"; wait
  post_build: {commands: [echo never]}
",
    )]);
    let mut command = session.command(env!("CARGO_BIN_EXE_towline"));
    command
        .args(["build", "--local"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut line = || lines.next().map(Result::unwrap);
    let started = loop {
        let line = line().expect("the build starts");
        if let Some(pids) = line.strip_prefix("started ") {
            break pids.to_owned();
        }
    };
    let interrupted = session
        .command("kill")
        .arg("-INT")
        .arg(child.id().to_string())
        .status();
    assert!(interrupted.unwrap().success());
    let rest: Vec<String> = std::iter::from_fn(line).collect();
    let rest = rest.join("\n");
    assert_eq!(child.wait().unwrap().code(), Some(1), "{rest}");
    assert!(rest.contains("BUILD             STOPPED"), "{rest}");
    assert!(!rest.contains("\nnever"), "{rest}");
    for pid in started.split(' ') {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        assert!(
            stat.is_err() || stat.unwrap().contains(") Z "),
            "{pid} lives"
        );
    }
}
