//! Commands of another user, which only root can have.

use super::*;

const SPEC: &str = "version: 0.2
run-as: nobody
phases:
  install:
    run-as: root
    commands: ['id -un', export FROM=root; cd docs, echo \"$FROM\" >by-root]
  build:
    commands:
      - 'echo \"$(id -un) in $(basename \"$PWD\") from $FROM at $HOME\"'
      - touch by-nobody \"$HOME/mine\" && git -C \"$CODEBUILD_SRC_DIR\" status >/dev/null
      - '[ \"$(aws ecr get-login-password)\" = hunter2-hunter2 ] && towline'
      - export FROM=nobody
      - cat \"$HOME/../control/registry-password\" 2>/dev/null || echo refused
  post_build:
    run-as: root
    commands: ['echo \"$(id -un) from $FROM\"', 'git status >/dev/null && ls by-nobody']
artifacts: {files: ['docs/by-*']}
";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test]
async fn commands_run_as_the_user_they_name_or_not_at_all() {
    let world = World::with(1, |config, dir| {
        config.common = dir.join("common");
        fs::create_dir(&config.common).unwrap();
    })
    .await;
    // A folder that everybody may enter.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(world.path("."), open).unwrap();
    let build = world.start(1, SPEC).await;
    let report = world.end(&build).await;
    let log = world.log(&build).await;
    if !is_root() {
        let reason = report.reason.unwrap();
        let expected = "run-as: root needs root, but towline does not run as root";
        assert!(reason.ends_with(expected), "{reason}");
        return;
    }
    assert_eq!(report.status, BuildStatus::Succeeded, "{log}");
    assert!(log.contains("\nroot\n"), "{log}");
    assert!(log.contains("\nnobody in docs from root at "), "{log}");
    assert!(log.contains("\nrefused\n"), "{log}");
    assert!(log.contains("\nroot from root\n"), "{log}");
    assert!(log.contains("\nby-nobody\n"), "{log}");
    assert!(!log.contains(PASSWORD), "{log}");
    let artifacts = world.runner.artifacts(&build).await.unwrap().unwrap();
    assert!(artifacts.join("main/docs/by-nobody").is_file());
    let left = fs::read_dir(world.path("common")).unwrap().count();
    assert_eq!(left, 0, "the folders of builds are removed");
}

#[tokio::test]
async fn a_user_that_cannot_be_had_fails_the_build_before_any_command() {
    let world = World::new(1).await;
    let two = match is_root() {
        true => "run-as: nobody and daemon: a build can use only one user besides root here",
        false => "run-as: nobody needs root, but towline does not run as root",
    };
    for (number, install, build, expected) in [
        (
            1,
            "nobody-at-all",
            "nobody-at-all",
            "run-as: no user nobody-at-all in /etc/passwd",
        ),
        (2, "nobody", "daemon", two),
    ] {
        let spec = format!(
            "version: 0.2
phases:
  install: {{run-as: {install}, commands: [echo never]}}
  build: {{run-as: {build}, commands: [echo never]}}
"
        );
        let build = world.start(number, &spec).await;
        let reason = world.end(&build).await.reason.unwrap();
        assert_eq!(reason, format!("DOWNLOAD_SOURCE: CLIENT_ERROR: {expected}"));
    }
}

#[tokio::test]
async fn the_user_that_runs_towline_needs_no_right() {
    let world = World::new(1).await;
    let own = Command::new("id").arg("-un").output().unwrap();
    let own = String::from_utf8(own.stdout).unwrap();
    let spec = format!(
        "version: 0.2\nrun-as: {}\nphases: {{build: {{commands: ['id -un']}}}}\n",
        own.trim()
    );
    let (status, log) = world.run(1, &spec).await;
    assert_eq!(status, BuildStatus::Succeeded, "{log}");
    assert!(log.contains(&format!("\n{own}")), "{log}");
}

#[tokio::test]
async fn f37_what_a_killed_runner_left_of_such_a_build_is_removed() {
    let world = World::with(1, |config, dir| config.common = dir.into()).await;
    let common = world.runner.inner.common();
    let World {
        dir,
        commit,
        runner,
    } = world;
    runner.close().await;
    drop(runner);
    fs::create_dir_all(common.join("left/src")).unwrap();
    let path = dir.path().to_owned();
    let world = World::reopened(dir, commit, |config| config.common = path.clone()).await;
    assert!(!common.join("left").exists());
    drop(world);
}
