//! What CodeBuild is asked for, and what each of its answers means.

use std::time::Duration;

use serde_json::{Value, json};
use towline_domain::names::{AttemptId, BuildId, ComponentName, RepositoryId, RepositoryName};
use towline_domain::run::BuildStatus;
use towline_ports::{Architecture, Builds as _, RepositoryRef, StartBuild, StartError};

use crate::testing::{Answer, Service, broken, ok, refused, said};

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
        commit: "0123456789abcdef0123456789abcdef01234567"
            .parse()
            .expect("a commit"),
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
        "sourceVersion": "0123456789abcdef0123456789abcdef01234567",
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
            "the buildspec has 25601 characters, more than the 25600 that CodeBuild takes along with a build, and this Towline has no bucket to keep it in; deploy it again with `towline deploy`, and then its components with `towline deploy components`",
        ),
        (spec(0), "the buildspec is empty"),
        (
            value(4_097),
            "the value of the environment variable LONG has 4097 characters, CodeBuild takes at most 4096",
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

#[cfg(feature = "s3")]
mod long {
    use super::*;

    const BUCKET: &str = "arn:aws:s3:::stack-bucket";

    fn with_buildspec(length: usize) -> StartBuild {
        StartBuild {
            buildspec: "é".repeat(length),
            ..request()
        }
    }

    #[tokio::test]
    async fn a_buildspec_over_the_limit_is_read_from_the_bucket() {
        for (length, is_put) in [(25_600, false), (25_601, true), (60_000, true)] {
            let answers = is_put
                .then(|| ok(Value::Null))
                .into_iter()
                .chain([started()]);
            let (service, aws) = Service::start(answers).await;
            let bucket = aws.bucket(BUCKET).expect("an ARN");
            let builds = aws.builds().with_bucket(bucket);
            let build = with_buildspec(length);
            let text = build.buildspec.clone();
            builds.start(build).await.expect("it starts");
            let mut asked = service.asked();
            let (operation, started) = asked.pop().expect("a request");
            assert_eq!(operation, "StartBuild");
            let Some((operation, put)) = asked.pop() else {
                assert_eq!(started["buildspecOverride"], text.as_str());
                assert!(!is_put, "{length}");
                continue;
            };
            assert!(is_put, "{length}");
            let key = operation.strip_prefix("PUT /stack-bucket/").expect("a key");
            assert_eq!(put["body"], text.as_str());
            assert_eq!(
                key,
                format!(
                    "buildspecs/{}.yml",
                    put["sha256"].as_str().unwrap_or_default()
                )
            );
            assert_eq!(started["buildspecOverride"], format!("{BUCKET}/{key}"));
        }
    }

    #[tokio::test]
    async fn asking_again_asks_for_the_same() {
        let (service, aws) =
            Service::start([ok(Value::Null), started(), ok(Value::Null), started()]).await;
        let builds = aws
            .builds()
            .with_bucket(aws.bucket(BUCKET).expect("an ARN"));
        for _ in 0..2 {
            builds
                .start(with_buildspec(30_000))
                .await
                .expect("it starts");
        }
        let asked = service.asked();
        // Written again, so that it does not expire before it is read.
        assert_eq!(asked[0].0, asked[2].0);
        assert_eq!(asked[1], asked[3]);
    }

    #[tokio::test]
    async fn without_the_bucket_no_build_is_started() {
        let gone = Answer::Says(404, "<Code>NoSuchBucket</Code>".into());
        let broken = Answer::Says(500, "<Code>InternalError</Code>".into());
        for (answers, expected) in [
            (
                vec![gone],
                "refused: the buildspec has 25601 characters, more than the 25600 that CodeBuild takes along with a build, and its bucket stack-bucket is gone or may not be written to; deploy Towline again with `towline deploy`",
            ),
            (vec![broken; 3], "unknown"),
        ] {
            let (service, aws) = Service::start(answers).await;
            let builds = aws
                .builds()
                .with_bucket(aws.bucket(BUCKET).expect("an ARN"));
            let found = match builds.start(with_buildspec(25_601)).await {
                Err(StartError::Refused(why)) => format!("refused: {why}"),
                Err(StartError::Port(_)) => "unknown".to_owned(),
                other => panic!("{other:?}"),
            };
            assert_eq!(found, expected);
            assert!(service.operations().iter().all(|it| it != "StartBuild"));
        }
    }
}

#[tokio::test]
async fn each_error_of_a_start_means_one_thing() {
    let project = "there is no CodeBuild project towline-acme-shop-backend; deploy infra/component.yaml for it with `towline deploy components`";
    let told =
        "CodeBuild cannot build this: InvalidInputException: because of InvalidInputException";
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

#[cfg(feature = "logs")]
mod log {
    use super::*;

    fn lines(lines: &[&str], next: &str) -> Answer {
        let events = lines.iter().map(|line| json!({ "message": line }));
        ok(json!({ "events": events.collect::<Vec<_>>(), "nextForwardToken": next }))
    }

    fn known() -> Answer {
        builds(&[described("1", "IN_PROGRESS", &[])])
    }

    async fn read(aws: &crate::CodeBuild, from: u64) -> Option<String> {
        let part = aws.log(&build(), from).await.expect("it answers")?;
        Some(String::from_utf8(part).expect("text"))
    }

    #[tokio::test]
    async fn a_log_is_its_lines_as_bytes_from_any_place_on() {
        for (from, expected) in [
            (0, "one\ntwo\nthrée\n"),
            (2, "e\ntwo\nthrée\n"),
            (8, "thrée\n"),
            (15, ""),
            (99, ""),
        ] {
            let (service, aws) = Service::start([
                known(),
                lines(&["one\n", "two"], "a"),
                lines(&["thrée\n"], "b"),
                lines(&[], "b"),
            ])
            .await;
            let text = read(&aws.builds(), from).await;
            assert_eq!(text.as_deref(), Some(expected), "from {from}");
            let asked = service.asked().remove(1).1;
            let expected = json!({ "logGroupName": "group", "logStreamName": "stream", "startFromHead": true });
            assert_eq!(asked, expected);
        }
    }

    #[tokio::test]
    async fn who_follows_a_log_reads_on_where_the_last_page_ended() {
        let (service, aws) = Service::start([
            known(),
            lines(&["one\n"], "a"),
            lines(&[], "a"),
            known(),
            lines(&["two\n"], "b"),
            lines(&[], "b"),
            known(),
            lines(&["one\n", "two\n"], "a"),
            lines(&[], "a"),
        ])
        .await;
        let builds = aws.builds();
        assert_eq!(read(&builds, 0).await.as_deref(), Some("one\n"));
        assert_eq!(read(&builds, 4).await.as_deref(), Some("two\n"));
        // Somebody else begins at the beginning.
        assert_eq!(read(&builds, 0).await.as_deref(), Some("one\ntwo\n"));
        let asked = service.asked();
        let tokens: Vec<_> = asked
            .iter()
            .map(|(_, asked)| asked["nextToken"].as_str())
            .collect();
        let expected = [
            None,
            None,
            Some("a"),
            None,
            Some("a"),
            Some("b"),
            None,
            None,
            Some("a"),
        ];
        assert_eq!(tokens, expected);
    }

    #[tokio::test]
    async fn a_large_log_comes_in_parts_that_fit_together() {
        let line = format!("{}\n", "x".repeat(99_999));
        let page = || lines(&[line.as_str(); 5], "a");
        let (_service, aws) =
            Service::start([known(), page(), known(), page(), lines(&[], "a")]).await;
        let builds = aws.builds();
        let first = read(&builds, 0).await.expect("it is known");
        assert_eq!(first.len(), 256 << 10);
        let rest = read(&builds, 256 << 10).await.expect("it is known");
        assert_eq!(first + &rest, line.repeat(5));
    }

    #[tokio::test]
    async fn a_log_that_has_not_begun_is_empty_and_that_of_no_build_is_none() {
        let mut quiet = described("1", "IN_PROGRESS", &[]);
        quiet["logs"] = json!({ "cloudWatchLogs": { "status": "ENABLED" } });
        for (answers, expected) in [
            (vec![builds(&[])], None),
            (vec![builds(&[quiet])], Some("")),
            (
                vec![known(), refused("ResourceNotFoundException")],
                Some(""),
            ),
        ] {
            let (_service, aws) = Service::start(answers).await;
            assert_eq!(read(&aws.builds(), 0).await.as_deref(), expected);
        }
    }
}
