//! Commands of another user, which only root can start; `users.rs` tests who may.

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

#[tokio::test]
#[ignore = "needs root: `.ci/run root`"]
async fn commands_run_as_the_user_they_name() {
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
async fn an_unknown_user_fails_the_build_before_any_command() {
    let world = World::new(1).await;
    let spec = "version: 0.2
phases:
  install: {commands: [echo never]}
  build: {run-as: nobody-at-all, commands: [echo never]}
";
    let build = world.start(1, spec).await;
    let reason = world.end(&build).await.reason.unwrap();
    let expected = "DOWNLOAD_SOURCE: CLIENT_ERROR: run-as: no user nobody-at-all in /etc/passwd";
    assert_eq!(reason, expected);
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
