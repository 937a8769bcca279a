//! The requests to CodeBuild, and what each of its answers means.

#[cfg(feature = "logs")]
mod log;
#[cfg(feature = "s3")]
mod long;

use std::time::Duration;

use serde_json::{Value, json};
use towline_domain::definition::Architecture;
use towline_domain::names::{AttemptId, BuildId, ComponentName, RepositoryId, RepositoryName};
use towline_domain::run::BuildStatus;
use towline_ports::{Builds as _, RepositoryRef, StartBuild, StartError, Trust};

use crate::testing::{Answer, Service, broken, ok, refused, said};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const PROJECT: &str = "towline-acme-shop-backend";
const ATTEMPT: &str = "0190f3a1-0000-7000-8000-000000000001";

fn build() -> BuildId {
    format!("{PROJECT}:1").parse().expect("a build id")
}

fn repository() -> RepositoryName {
    "acme/shop".parse().expect("a name")
}

fn component() -> ComponentName {
    "backend".parse().expect("a name")
}

fn attempt() -> AttemptId {
    ATTEMPT.parse().expect("an attempt id")
}

fn request() -> StartBuild {
    StartBuild {
        attempt: attempt(),
        component: component(),
        repository: RepositoryRef {
            id: RepositoryId(7),
            name: repository(),
        },
        commit: COMMIT.parse().expect("a commit"),
        git_ref: "refs/heads/main".parse().expect("a ref"),
        trust: Trust::DefaultBranch,
        image_repository: "acme/shop".parse().expect("a repository"),
        image: "aws/codebuild/standard:7.0".into(),
        architecture: None,
        privileged: true,
        buildspec: "version: 0.2".into(),
        environment: vec![("GIT_BRANCH".into(), "$(id)".into())],
        timeout: Duration::from_secs(30 * 60),
    }
}

/// A build in CodeBuild's words.
fn described(id: &str, status: &str, attempts: &[&str]) -> Value {
    let variables = attempts
        .iter()
        .map(|attempt| json!({ "name": "TOWLINE_ATTEMPT", "value": attempt, "type": "PLAINTEXT" }));
    json!({
        "id": format!("{PROJECT}:{id}"),
        "buildStatus": status,
        "sourceVersion": "refs/heads/main",
        "resolvedSourceVersion": COMMIT,
        "startTime": 1_762_074_845.5,
        "endTime": (status != "IN_PROGRESS").then_some(1_762_074_900),
        "environment": {
            "type": "LINUX_CONTAINER",
            "image": "i",
            "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": variables.collect::<Vec<_>>(),
        },
        "phases": [
            { "phaseType": "SUBMITTED", "phaseStatus": "SUCCEEDED" },
            { "phaseType": "BUILD", "phaseStatus": status, "contexts": [
                { "statusCode": "COMMAND_EXECUTION_ERROR", "message": "exit status 2" },
                { "statusCode": "", "message": "" },
            ]},
            { "phaseType": "COMPLETED" },
        ],
        "logs": { "groupName": "group", "streamName": "stream" },
    })
}

fn builds(builds: &[Value]) -> Answer {
    ok(json!({ "builds": builds, "buildsNotFound": [] }))
}

fn started() -> Answer {
    ok(json!({ "build": described("1", "IN_PROGRESS", &[ATTEMPT]) }))
}

fn listed(ids: &[&str], next: Option<&str>) -> Answer {
    let ids: Vec<String> = ids.iter().map(|id| format!("{PROJECT}:{id}")).collect();
    ok(json!({ "ids": ids, "nextToken": next }))
}

#[tokio::test]
async fn a_build_is_asked_for_with_all_that_the_port_says() {
    let (service, aws) = Service::start([started()]).await;
    let id = aws.builds().start(request()).await.expect("it starts");
    assert_eq!(id, build());
    let (operation, asked) = service.asked().remove(0);
    assert_eq!(operation, "StartBuild");
    let expected = json!({
        "projectName": PROJECT,
        "sourceVersion": COMMIT,
        "buildspecOverride": "version: 0.2",
        "environmentVariablesOverride": [
            { "name": "GIT_BRANCH", "value": "$(id)", "type": "PLAINTEXT" },
        ],
        "imageOverride": "aws/codebuild/standard:7.0",
        "privilegedModeOverride": true,
        "timeoutInMinutesOverride": 30,
        "autoRetryLimitOverride": 0,
        "idempotencyToken": ATTEMPT,
    });
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn one_of_several_platforms_asks_for_machines_of_its_own() {
    let (usual, lambda) = (
        "aws/codebuild/standard:7.0",
        "aws/codebuild/amazonlinux-aarch64-lambda-standard:nodejs22",
    );
    for (architecture, image, expected) in [
        (None, usual, Value::Null),
        (Some(Architecture::X86), usual, json!("LINUX_CONTAINER")),
        (Some(Architecture::Arm), usual, json!("ARM_CONTAINER")),
        (
            Some(Architecture::X86),
            lambda,
            json!("LINUX_LAMBDA_CONTAINER"),
        ),
        (
            Some(Architecture::Arm),
            lambda,
            json!("ARM_LAMBDA_CONTAINER"),
        ),
    ] {
        let (service, aws) = Service::start([started()]).await;
        let request = StartBuild {
            architecture,
            image: image.into(),
            ..request()
        };
        aws.builds().start(request).await.expect("it starts");
        let (_, asked) = service.asked().remove(0);
        assert_eq!(asked["environmentTypeOverride"], expected, "{image}");
    }
}

#[tokio::test]
async fn s3_a30_only_builds_of_the_default_branch_use_the_cache_of_the_project() {
    let lambda = "aws/codebuild/amazonlinux-x86_64-lambda-standard:nodejs22";
    for (trust, image, expected) in [
        (
            Trust::DefaultBranch,
            "aws/codebuild/standard:7.0",
            Value::Null,
        ),
        (
            Trust::Other,
            "aws/codebuild/standard:7.0",
            json!({ "type": "NO_CACHE" }),
        ),
        (Trust::Other, lambda, Value::Null),
    ] {
        let (service, aws) = Service::start([started()]).await;
        let request = StartBuild {
            trust,
            image: image.into(),
            ..request()
        };
        aws.builds().start(request).await.expect("it starts");
        let (_, asked) = service.asked().remove(0);
        assert_eq!(asked["cacheOverride"], expected, "{trust:?} {image}");
    }
}

#[tokio::test]
async fn the_time_a_build_may_take_is_in_whole_minutes_that_codebuild_takes() {
    for (seconds, minutes) in [(1, 5), (300, 5), (301, 6), (3_600, 60), (1_000_000, 2_160)] {
        let (service, aws) = Service::start([started()]).await;
        let request = StartBuild {
            timeout: Duration::from_secs(seconds),
            ..request()
        };
        aws.builds().start(request).await.expect("it starts");
        let (_, asked) = service.asked().remove(0);
        assert_eq!(asked["timeoutInMinutesOverride"], minutes, "{seconds} s");
    }
}

#[tokio::test]
async fn what_codebuild_cannot_take_is_refused_without_asking_it() {
    let (service, aws) = Service::start([started(), started()]).await;
    let builds = aws.builds();
    let spec = |length: usize| StartBuild {
        buildspec: "é".repeat(length),
        ..request()
    };
    let value = |length: usize| StartBuild {
        environment: vec![("LONG".into(), "é".repeat(length))],
        ..request()
    };
    for (request, expected) in [
        (
            spec(25_601),
            "the buildspec has 25601 characters, more than CodeBuild's limit of 25600, and no bucket is configured for it; run `towline deploy` again, then `towline deploy components`",
        ),
        (spec(0), "the buildspec is empty"),
        (
            value(4_097),
            "the value of the environment variable LONG has 4097 characters; CodeBuild accepts at most 4096",
        ),
    ] {
        match builds.start(request).await {
            Err(StartError::Refused(why)) => assert_eq!(why, expected),
            other => panic!("{other:?}"),
        }
    }
    assert!(service.asked().is_empty());
    for request in [spec(25_600), value(4_096)] {
        builds
            .start(request)
            .await
            .expect("it is within the limits");
    }
}

#[tokio::test]
async fn on_lambda_compute_nothing_is_said_about_docker_or_time() {
    for (image, on_lambda) in [
        (
            "aws/codebuild/amazonlinux-x86_64-lambda-standard:nodejs22",
            true,
        ),
        (
            "aws/codebuild/amazonlinux-aarch64-lambda-standard:go1.24",
            true,
        ),
        ("aws/codebuild/amazonlinux-x86_64-standard:5.0", false),
        ("example.com/aws/codebuild/x-lambda-standard:1", false),
    ] {
        let (service, aws) = Service::start([started()]).await;
        let request = StartBuild {
            image: image.into(),
            ..request()
        };
        aws.builds().start(request).await.expect("it starts");
        let (_, asked) = service.asked().remove(0);
        for name in ["privilegedModeOverride", "timeoutInMinutesOverride"] {
            assert_eq!(asked[name].is_null(), on_lambda, "{image}: {name}");
        }
    }
}

#[tokio::test]
async fn each_error_of_a_start_means_one_thing() {
    let project = "CodeBuild project towline-acme-shop-backend not found; create it with `towline deploy components`";
    let told =
        "CodeBuild rejected the build: InvalidInputException: because of InvalidInputException";
    let gone = || refused("ResourceNotFoundException");
    let other = described("9", "IN_PROGRESS", &["another"]);
    let ours = described("1", "IN_PROGRESS", &[ATTEMPT]);
    let twice = described("9", "IN_PROGRESS", &[ATTEMPT, ATTEMPT]);
    type Case<'a> = (&'a str, Vec<Answer>, &'a str);
    let cases: [Case<'_>; 9] = [
        (
            "limit",
            vec![refused("AccountLimitExceededException")],
            "busy: AccountLimitExceededException: because of AccountLimitExceededException",
        ),
        (
            "throttled",
            vec![refused("ThrottlingException"); 2],
            "busy: ThrottlingException: because of ThrottlingException",
        ),
        ("no project", vec![gone()], &format!("refused: {project}")),
        (
            "invalid",
            vec![refused("InvalidInputException"), gone()],
            &format!("refused: {told}"),
        ),
        (
            "invalid, others run",
            vec![
                refused("InvalidInputException"),
                listed(&["9"], None),
                builds(&[other]),
            ],
            &format!("refused: {told}"),
        ),
        (
            "known token",
            vec![
                refused("InvalidInputException"),
                listed(&["1"], None),
                builds(&[ours]),
            ],
            "towline-acme-shop-backend:1",
        ),
        (
            "named twice",
            vec![
                refused("InvalidInputException"),
                listed(&["9"], None),
                builds(&[twice]),
            ],
            &format!("refused: {told}"),
        ),
        (
            "broken",
            vec![broken(), broken()],
            "unknown: starting a build of towline-acme-shop-backend: InternalServerError: not now",
        ),
        (
            "broken once",
            vec![broken(), started()],
            "towline-acme-shop-backend:1",
        ),
    ];
    for (name, answers, expected) in cases {
        let (_service, aws) = Service::start(answers).await;
        let found = match aws.builds().start(request()).await {
            Ok(id) => id.to_string(),
            Err(StartError::Busy(why)) => format!("busy: {why}"),
            Err(StartError::Refused(why)) => format!("refused: {why}"),
            Err(StartError::Port(error)) => format!("unknown: {}", said(&error)),
        };
        assert_eq!(found, expected, "{name}");
    }
}

#[tokio::test]
async fn a_build_is_reported_on_in_the_words_of_its_event() {
    for (status, expected) in [
        ("IN_PROGRESS", Some((BuildStatus::InProgress, None))),
        ("SUCCEEDED", Some((BuildStatus::Succeeded, None))),
        (
            "FAILED",
            Some((
                BuildStatus::Failed,
                Some("BUILD: COMMAND_EXECUTION_ERROR: exit status 2"),
            )),
        ),
        (
            "TIMED_OUT",
            Some((
                BuildStatus::TimedOut,
                Some("BUILD: COMMAND_EXECUTION_ERROR: exit status 2"),
            )),
        ),
        // F19: never guessed.
        ("PAUSED", None),
    ] {
        let (_service, aws) = Service::start([builds(&[described("1", status, &[])])]).await;
        let report = aws.builds().get(&build()).await.expect("it answers");
        let found = report
            .as_ref()
            .map(|report| (report.status, report.reason.as_deref()));
        assert_eq!(found, expected);
        let Some(report) = report else { continue };
        assert_eq!(report.build, build());
        assert_eq!(report.commit, Some(COMMIT.parse().expect("a commit")));
        let time = |at: Option<jiff::Timestamp>| at.map(jiff::Timestamp::as_millisecond);
        assert_eq!(time(report.started_at), Some(1_762_074_845_500));
        let ended = (status != "IN_PROGRESS").then_some(1_762_074_900_000);
        assert_eq!(time(report.ended_at), ended);
    }
    let (_service, aws) = Service::start([builds(&[])]).await;
    assert_eq!(aws.builds().get(&build()).await.expect("it answers"), None);
}

#[tokio::test]
async fn f10_a_build_is_found_by_the_attempt_in_its_environment_and_nothing_else() {
    let ids: Vec<String> = (0..60).map(|number| number.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let other = || described("9", "FAILED", &["another"]);
    let ours = described("1", "SUCCEEDED", &[ATTEMPT]);
    let (service, aws) = Service::start([
        listed(&ids, Some("more")),
        builds(&[other(), other()]),
        builds(&[other()]),
        builds(&[]),
        listed(&["1"], None),
        builds(&[other(), ours]),
    ])
    .await;
    let found = aws
        .builds()
        .find(&repository(), &component(), &attempt())
        .await;
    let found = found.expect("it answers").map(|report| report.build);
    assert_eq!(found, Some(build()));
    let asked = service.asked();
    assert_eq!(
        asked[0].1,
        json!({ "projectName": PROJECT, "sortOrder": "DESCENDING" })
    );
    let sizes: Vec<usize> = asked[1..4]
        .iter()
        .map(|(_, asked)| asked["ids"].as_array().map_or(0, Vec::len))
        .collect();
    assert_eq!(sizes, [25, 25, 10]);
    assert_eq!(asked[4].1["nextToken"], "more");

    for (answers, requests) in [
        (vec![refused("ResourceNotFoundException")], 1),
        (vec![listed(&[], None)], 1),
        (
            vec![
                listed(&[], Some("a")),
                listed(&[], Some("b")),
                listed(&[], Some("c")),
            ],
            3,
        ),
    ] {
        let (service, aws) = Service::start(answers).await;
        let found = aws
            .builds()
            .find(&repository(), &component(), &attempt())
            .await;
        assert_eq!(found.expect("it answers"), None);
        assert_eq!(service.asked().len(), requests);
    }
}

#[tokio::test]
async fn stopping_what_has_ended_or_never_was_is_fine() {
    let running = || builds(&[described("1", "IN_PROGRESS", &[])]);
    let ended = builds(&[described("1", "STOPPED", &[])]);
    for (answers, expected) in [
        (vec![ok(json!({}))], true),
        (vec![refused("ResourceNotFoundException")], true),
        (vec![refused("InvalidInputException"), ended], true),
        (vec![refused("InvalidInputException"), builds(&[])], true),
        (vec![refused("InvalidInputException"), running()], false),
        (vec![refused("AccessDeniedException")], false),
    ] {
        let (_service, aws) = Service::start(answers.clone()).await;
        let stopped = aws.builds().stop(&build()).await;
        assert_eq!(stopped.is_ok(), expected, "{answers:?}");
    }
}
