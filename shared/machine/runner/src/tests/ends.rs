//! How stopped builds end, and that none of their processes survives (F37).

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::*;

/// A shell, a child that ignores signals, one in its own session, and a file with their ids.
const STUBBORN: &str = "version: 0.2
phases:
  build:
    commands:
      - |
        (trap '' TERM; while :; do sleep 0.1; done) &
        one=$!
        setsid sh -c 'trap \"\" TERM; echo $$ > \"$OUT.two\"; while :; do sleep 0.1; done' &
        while ! [ -s \"$OUT.two\" ]; do sleep 0.01; done
        echo \"$$ $one $(cat \"$OUT.two\")\" > \"$OUT\"
        sleep 1000
  post_build: {commands: [echo never]}
";

async fn start_stubborn(world: &World, timeout: Duration) -> (BuildId, PathBuf) {
    let out = world.path("out");
    let mut request = world.request(1, STUBBORN);
    request.environment = vec![("OUT".into(), out.display().to_string())];
    request.timeout = timeout;
    (world.runner.start(request).await.unwrap(), out)
}

/// Asserts that all of these processes have ended.
fn assert_gone(pids: &str) {
    assert_eq!(pids.split(' ').count(), 3, "{pids}");
    for pid in pids.split(' ') {
        assert!(!lives(pid), "process {pid} of {pids} lives");
    }
}

#[tokio::test]
async fn a_timeout_ends_every_process_of_the_build() {
    let world = World::new(1).await;
    let (build, out) = start_stubborn(&world, Duration::from_secs(2)).await;
    let report = world.end(&build).await;
    assert_eq!(report.status, BuildStatus::TimedOut);
    assert_eq!(
        report.reason.as_deref(),
        Some("BUILD: BUILD_TIMED_OUT: the build took longer than 2 seconds")
    );
    assert_gone(&appears(&out).await);
    assert_eq!(
        world.phases(&build).await,
        "SUBMITTED QUEUED PROVISIONING DOWNLOAD_SOURCE INSTALL PRE_BUILD BUILD=TIMED_OUT \
         FINALIZING COMPLETED"
    );
    let log = world.log(&build).await;
    assert!(log.contains("Build ended: TIMED_OUT"), "{log}");
    assert!(!log.contains("\nnever"), "{log}");
}

#[tokio::test]
async fn a_stopped_build_stops_and_stays_stopped() {
    let world = World::new(1).await;
    let (build, out) = start_stubborn(&world, LONG).await;
    let pids = appears(&out).await;
    let waiting = world.start(2, "version: 0.2\nphases: {}\n").await;
    world.runner.stop(&waiting).await.unwrap();
    world.runner.stop(&build).await.unwrap();
    for build in [&build, &waiting] {
        let report = world.end(build).await;
        assert_eq!(report.status, BuildStatus::Stopped);
        let reason = report.reason.unwrap();
        assert!(reason.ends_with(": the build was stopped"), "{reason}");
        world.runner.stop(build).await.unwrap();
        assert_eq!(world.end(build).await.status, BuildStatus::Stopped);
    }
    assert_gone(&pids);
    assert_eq!(
        world.phases(&waiting).await,
        "SUBMITTED QUEUED=STOPPED COMPLETED"
    );
    let unknown = "x:y".parse().unwrap();
    world.runner.stop(&unknown).await.unwrap();
}

#[tokio::test]
async fn a_build_that_ends_leaves_no_process_behind() {
    let world = World::new(1).await;
    let spec = STUBBORN.replace("sleep 1000", "true");
    let out = world.path("out");
    let mut request = world.request(1, &spec);
    request.environment = vec![("OUT".into(), out.display().to_string())];
    let build = world.runner.start(request).await.unwrap();
    assert_eq!(world.end(&build).await.status, BuildStatus::Succeeded);
    assert_gone(&appears(&out).await);
}

#[tokio::test]
async fn a_closed_runner_ends_its_builds_and_keeps_its_queue() {
    let world = World::new(1).await;
    let (build, out) = start_stubborn(&world, LONG).await;
    let waiting = world.start(2, "version: 0.2\nphases: {}\n").await;
    let pids = appears(&out).await;
    world.runner.close().await;
    assert_gone(&pids);
    let report = world.end(&build).await;
    assert_eq!(report.status, BuildStatus::Fault);
    let reason = report.reason.unwrap();
    assert_eq!(
        reason,
        "BUILD: TOWLINE_RESTARTED: towline was stopped while the build ran"
    );
    let World {
        dir,
        commit,
        runner,
    } = world;
    assert!(matches!(
        Runner::open(config(dir.path(), 1)).await,
        Err(crate::OpenError::InUse(_))
    ));
    drop(runner);
    let world = World::reopened(dir, commit, |_| ()).await;
    assert_eq!(world.end(&waiting).await.status, BuildStatus::Succeeded);
}

/// The process that the test below kills, run in that test's folder.
#[tokio::test]
#[ignore = "the other half of f37_a_killed_runner_leaves_nothing_running"]
async fn a_runner_that_waits_to_be_killed() {
    let dir = Path::new(".").canonicalize().unwrap();
    assert!(dir.join("here").exists(), "only the test below runs this");
    let commit = origin(&dir);
    let runner = Runner::open(config(&dir, 1)).await.unwrap();
    let mut running = request(1, &commit, STUBBORN);
    running.environment = vec![("OUT".into(), dir.join("out").display().to_string())];
    runner.start(running).await.unwrap();
    let queued = "version: 0.2\nphases: {build: {commands: [echo at last]}}\n";
    runner.start(request(2, &commit, queued)).await.unwrap();
    appears(&dir.join("out")).await;
    println!("ready {commit}");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn f37_a_killed_runner_leaves_nothing_running() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("here"), "").unwrap();
    let mut runner = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("tests::ends::a_runner_that_waits_to_be_killed")
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(runner.stdout.take().unwrap()).lines();
    let commit = lines
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("ready ")?.1.parse().unwrap()))
        .expect("the other half is ready");
    runner.kill().unwrap();
    runner.wait().unwrap();
    let pids = appears(&dir.path().join("out")).await;
    assert!(pids.split(' ').all(lives), "they outlive the kill: {pids}");
    let world = World::reopened(dir, commit, |_| ()).await;
    assert_gone(&pids);
    let ids = [1, 2].map(|number| {
        let id = format!("towline-acme-shop-web:{}", attempt(number));
        id.parse::<BuildId>().unwrap()
    });
    let report = world.end(&ids[0]).await;
    assert_eq!(
        (report.status, report.interrupted),
        (BuildStatus::Fault, true)
    );
    assert_eq!(
        report.reason.as_deref(),
        Some("BUILD: TOWLINE_RESTARTED: towline was restarted while the build ran")
    );
    assert_eq!(world.end(&ids[1]).await.status, BuildStatus::Succeeded);
    let events = world.runner.next_events(0, 10).await.unwrap();
    let told: Vec<_> = events
        .iter()
        .map(|event| &event.document["detail"]["build-status"])
        .collect();
    assert_eq!(told, ["IN_PROGRESS", "FAULT", "IN_PROGRESS", "SUCCEEDED"]);
}
