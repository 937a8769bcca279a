//! Builds are started once, run in order, are reported by events, and keep their logs.

use towline_ports::StartError;
use towline_wire::{codebuild, eventbridge};

use super::*;

#[tokio::test]
async fn f10_an_attempt_is_started_only_once() {
    let world = World::new(1).await;
    let spec = "version: 0.2\nphases: {build: {commands: ['echo x >> \"$OUT\"']}}\n";
    let out = world.path("out");
    let mut request = world.request(1, spec);
    request.environment = vec![("OUT".into(), out.display().to_string())];
    let build = world.runner.start(request.clone()).await.unwrap();
    world.end(&build).await;
    for _ in 0..3 {
        let again = world.runner.start(request.clone()).await.unwrap();
        assert_eq!(again, build);
        world.end(&again).await;
    }
    // A build that would appear if it had been queued again runs after it.
    let last = world.start(2, spec).await;
    world.end(&last).await;
    assert_eq!(fs::read_to_string(out).unwrap(), "x\n");
    let (repository, component) = (&request.repository.name, &request.component);
    let find = async |component, attempt: AttemptId| {
        let found = world.runner.find(repository, component, &attempt);
        found.await.unwrap().map(|report| report.build)
    };
    assert_eq!(find(component, attempt(1)).await, Some(build));
    assert_eq!(find(component, attempt(9)).await, None);
    assert_eq!(find(&"other".parse().unwrap(), attempt(1)).await, None);
    let unknown = "x:y".parse().unwrap();
    assert_eq!(world.runner.get(&unknown).await.unwrap(), None);
    assert_eq!(world.runner.log(&unknown, 0).await.unwrap(), None);
}

#[tokio::test]
async fn builds_beyond_the_limit_wait_their_turn() {
    let world = World::new(2).await;
    let out = world.path("out");
    let gate = world.path("gate");
    let spec = format!(
        "version: 0.2\nphases: {{build: {{commands: ['echo $CODEBUILD_BUILD_NUMBER >> {out}; \
         until rmdir {gate} 2>/dev/null; do sleep 0.01; done']}}}}\n",
        out = out.display(),
        gate = gate.display()
    );
    let mut builds = Vec::new();
    for number in 1..=4 {
        builds.push(world.start(number, &spec).await);
    }
    let lines = async |count: usize| loop {
        let text = appears(&out).await;
        if text.lines().count() >= count {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    for running in [2, 3, 4] {
        let text = timeout(LONG, lines(running)).await.unwrap();
        assert_eq!(text.lines().count(), running);
        fs::create_dir(&gate).unwrap();
        let taken = async {
            while gate.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, taken).await.unwrap();
    }
    fs::create_dir(&gate).unwrap();
    for build in &builds {
        assert_eq!(world.end(build).await.status, BuildStatus::Succeeded);
    }
    let order = fs::read_to_string(out).unwrap();
    assert!(
        order == "1\n2\n3\n4\n" || order == "2\n1\n3\n4\n",
        "{order}"
    );
}

#[tokio::test]
async fn what_codebuild_would_refuse_is_refused() {
    let world = World::new(1).await;
    let with = |name: &str, value: &str| {
        let mut request = world.request(1, "version: 0.2\nphases: {}\n");
        request.environment = vec![(name.into(), value.into())];
        request
    };
    for (request, expected) in [
        (
            world.request(1, &"x".repeat(65_537)),
            "the buildspec has 65537 bytes, the maximum is 65536: move commands into a script",
        ),
        (
            with("TITLE", &"\u{e9}".repeat(4097)),
            "the environment variable TITLE has 4097 characters; CodeBuild accepts at most 4096",
        ),
        (
            with("A=B", ""),
            "\"A=B\" is not a name for an environment variable",
        ),
        (
            with("TITLE", "a\0b"),
            "the environment variable TITLE contains a NUL",
        ),
    ] {
        match world.runner.start(request).await {
            Err(StartError::Refused(reason)) => assert_eq!(reason, expected),
            other => panic!("{other:?}"),
        }
    }
    let longest = with("TITLE", &"\u{e9}".repeat(4096));
    assert!(world.runner.start(longest).await.is_ok());
}

#[tokio::test]
async fn events_look_like_codebuilds_and_never_hold_the_password() {
    let world = World::new(1).await;
    let mut request = world.request(
        1,
        "version: 0.2\nphases: {build: {commands: ['aws ecr get-login-password; false']}}\n",
    );
    request.environment = vec![("TOWLINE_RUN".into(), "0123456789abcdef".into())];
    let build = world.runner.start(request).await.unwrap();
    let report = world.end(&build).await;
    let events = world.runner.next_events(0, 10).await.unwrap();
    assert_eq!(events.len(), 2);
    let text = events[1].document.to_string();
    assert!(!text.contains(PASSWORD), "{text}");
    for event in &events {
        let envelope = eventbridge::decode(event.document.to_string().as_bytes()).unwrap();
        let change = codebuild::decode(&envelope).unwrap();
        assert_eq!(change.project, "towline-acme-shop-web");
        assert_eq!(change.region, "eu-central-1");
        assert_eq!(
            change.environment,
            [("TOWLINE_RUN".to_owned(), "0123456789abcdef".to_owned())]
        );
    }
    let envelope = eventbridge::decode(text.as_bytes()).unwrap();
    let told = codebuild::decode(&envelope).unwrap().report();
    assert_eq!(told, Some(report), "as when it is asked for");
    let first = &events[0].document["detail"];
    assert_eq!(first["build-status"], "IN_PROGRESS");
    assert_eq!(first["current-phase"], "PROVISIONING");
    assert_eq!(first["additional-information"]["build-complete"], false);
    let rest = world.runner.next_events(events[0].id, 10).await.unwrap();
    assert_eq!(rest, events[1..]);
    world.runner.forget_events(events[1].id).await.unwrap();
    assert!(world.runner.next_events(0, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_log_grows_while_the_build_runs_and_is_read_from_anywhere() {
    let world = World::new(1).await;
    let gate = world.path("gate");
    let spec = format!(
        "version: 0.2\nphases: {{build: {{commands: ['echo early; while ! [ -e {gate} ]; do sleep \
         0.01; done; head -c 300000 /dev/zero | tr \"\\0\" x; echo; echo late']}}}}\n",
        gate = gate.display()
    );
    let build = world.start(1, &spec).await;
    let early = async {
        while !world.log(&build).await.contains("\nearly\n") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, early).await.unwrap();
    fs::create_dir(&gate).unwrap();
    world.end(&build).await;
    let part = async |from| world.runner.log(&build, from).await.unwrap().unwrap();
    let first = part(0).await;
    assert_eq!(first.len(), 256 * 1024);
    let rest = String::from_utf8(part(256 * 1024).await).unwrap();
    assert!(rest.contains("x\nlate\n"), "{rest}");
    assert!(rest.ends_with("Build ended: SUCCEEDED\n"), "{rest}");
    assert_eq!(part(10_000_000).await, b"");
}

#[tokio::test]
async fn a34_repositories_take_turns_and_a_flood_gives_way() {
    let room = Room {
        per_repository: 3,
        per_ref: 2,
    };
    let world = World::with(1, |config, _| config.room = room).await;
    let (out, gate) = (world.path("out"), world.path("gate"));
    let spec = format!(
        "version: 0.2\nphases: {{build: {{commands: ['echo $TOWLINE_RUN >> {out}; \
         until rmdir {gate} 2>/dev/null; do sleep 0.01; done']}}}}\n",
        out = out.display(),
        gate = gate.display()
    );
    let request = |number: u32, repository: u64, branch: &str| {
        let mut request = world.request(number, &spec);
        request.repository.id = RepositoryId(repository);
        request.git_ref = format!("refs/heads/{branch}").parse().unwrap();
        request.trust = Trust::of(&request.git_ref, Some("main"));
        request.environment = vec![(codebuild::RUN_VARIABLE.into(), format!("{number:016x}"))];
        request
    };
    let mut builds = Vec::new();
    for (number, repository, branch) in [
        (1, 7, "main"),
        (2, 7, "main"),
        (3, 7, "a"),
        (4, 7, "b"),
        (5, 7, "c"),
        (6, 8, "main"),
    ] {
        let build = world
            .runner
            .start(request(number, repository, branch))
            .await
            .unwrap();
        builds.push(build);
        appears(&out).await;
    }
    // The oldest of a branch gave way, and the default branch did not.
    let report = world.end(&builds[2]).await;
    assert_eq!(report.status, BuildStatus::Stopped);
    let gave_way = report.gave_way.clone().unwrap();
    assert_eq!(gave_way.to.as_str(), "0000000000000005");
    let events = world.runner.next_events(0, 10).await.unwrap();
    let event = events.last().unwrap().document.to_string();
    let envelope = eventbridge::decode(event.as_bytes()).unwrap();
    let told = codebuild::decode(&envelope).unwrap().report();
    assert_eq!(told, Some(report), "as when it is asked for");

    let line = world.runner.line().await.unwrap().unwrap();
    let expected = [5, 3, 4, 1].map(|index| builds[index].clone());
    assert_eq!(
        line, expected,
        "the other repository, then refs without a turn"
    );
    for build in [0, 5, 3, 4, 1] {
        fs::create_dir(&gate).unwrap();
        world.end(&builds[build]).await;
    }
    let order = fs::read_to_string(out).unwrap();
    let order: Vec<&str> = order.lines().map(|line| &line[15..]).collect();
    assert_eq!(order, ["1", "6", "4", "5", "2"]);
}
