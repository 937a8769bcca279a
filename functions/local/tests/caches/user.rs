//! Builds that run as another user than the server.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::{PATIENCE, succeeded};
use crate::common::{Repository, SECRET, Server, client, deliver};

/// A user that every Linux has, and that nothing else in the tests runs as.
const USER: &str = "games";

/// A build that looks around, keeps a file, and leaves two processes: in a session of its own with
/// nothing that names the build, and as a child.
fn definition(data: &Path) -> String {
    let data = data.display();
    format!(
        "\
version: 1
pipeline: shop
components:
  web:
    repository: acme/shop-web
    build:
      preset: pack
      cache: [dep]
      root: dist
      run:
        - 'echo \"user: $(id -un)\"; echo \"kept: $(cat dep/lib)\"'
        - 'cat {data}/owner.token && echo readable || true'
        - 'ls {data} && echo listed || true'
        - 'env -i setsid sleep 1007 & sleep 1007 &'
        - 'mkdir -p dep dist; echo word >dep/lib; cp dep/lib dist/'
stages:
  - {{name: staging, from: build}}
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: `.ci/run root`"]
async fn s14_builds_of_another_user_read_no_data_and_leave_nothing_running() {
    let scratch = tempfile::tempdir().expect("a folder");
    // Nothing but the data folder itself keeps the build out.
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let data = scratch.path().join("data");
    let repository = Repository::create(scratch.path().join("shop"));
    repository.write(".towline.yml", &definition(&data));
    let mut before = "0".repeat(40);
    let options = ["--build-user", USER];
    let server = Server::with(&data, &[&repository.path], &options);
    for kept in ["", "word"] {
        repository.write("page", &before);
        let commit = repository.commit("a change");
        let body = repository.push(&before, &commit);
        assert_eq!(deliver(&client(), &server.url, body, None).await, Ok(202));
        before.clone_from(&commit);
        let path = format!("commit?commit={commit}");
        let build = server.until(&client(), &path, PATIENCE, succeeded).await;
        let log = server.towline(&["logs", &build.to_string()]);
        assert!(log.contains(&format!("\nuser: {USER}\n")), "{log}");
        assert!(log.contains(&format!("\nkept: {kept}\n")), "{log}");
        assert!(
            !log.contains("\nreadable\n") && !log.contains("\nlisted\n"),
            "{log}"
        );
        assert!(log.contains("Permission denied"), "{log}");
    }
    let began = std::time::Instant::now();
    while let Some(line) = left() {
        assert!(began.elapsed() < PATIENCE, "still running: {line}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[test]
fn s14_a_user_that_builds_cannot_have_is_refused() {
    let scratch = tempfile::tempdir().expect("a folder");
    let repository = Repository::create(scratch.path().join("shop"));
    let data = scratch.path().join("data");
    let own = Command::new("id").arg("-un").output().expect("id runs");
    let own = String::from_utf8_lossy(&own.stdout).trim().to_owned();
    for (user, expected) in [
        ("nobody-at-all", "no user nobody-at-all in /etc/passwd"),
        (own.as_str(), "is the user of towline itself"),
    ] {
        let (output, said) = refused(&data, &repository, &["--build-user", user]);
        assert_eq!(output, Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(!data.exists(), "nothing was created");
    }
}

/// The exit status and the error of a server that does not start.
fn refused(data: &Path, repository: &Repository, options: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_towline"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .arg("--repo")
        .arg(&repository.path)
        .args(options)
        .env("TOWLINE_GITHUB_WEBHOOK_SECRET", SECRET)
        .output()
        .expect("the binary starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

/// A process that a build has left, if there is one.
fn left() -> Option<String> {
    let output = Command::new("ps").args(["-eo", "pid,args"]).output();
    let output = output.expect("ps runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = text.lines().find(|line| line.ends_with("sleep 1007"));
    found.map(str::to_owned)
}
