//! Buildspecs that are too long for a request.

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
    let denied = Answer::Says(403, "<Code>AccessDenied</Code>".into());
    let broken = Answer::Says(500, "<Code>InternalError</Code>".into());
    for (answers, expected) in [
        (
            vec![gone],
            "refused: the buildspec has 25601 characters, more than CodeBuild's limit of 25600, and the bucket stack-bucket no longer exists; run `towline deploy` again",
        ),
        (vec![denied], "unknown"),
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
