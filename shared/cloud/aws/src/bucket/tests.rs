//! The request to S3, and what each of its answers means.

use serde_json::Value;

use super::*;
use crate::testing::{Answer, Service, ok, said};

const ARN: &str = "arn:aws:s3:::stack-bucket-1x2y";

/// An answer in S3's words.
fn says(status: u16, code: &str) -> Answer {
    Answer::Says(status, format!("<Error><Code>{code}</Code></Error>").into())
}

#[tokio::test]
async fn an_object_is_put_and_signed_with_its_content() {
    let (service, aws) = Service::start([ok(Value::Null)]).await;
    let bucket = aws.bucket(ARN).expect("an ARN");
    let arn = bucket.put_object("buildspecs/a.yml", "é\n").await;
    assert_eq!(arn.expect("it is put"), format!("{ARN}/buildspecs/a.yml"));
    let (operation, asked) = service.asked().remove(0);
    assert_eq!(operation, "PUT /stack-bucket-1x2y/buildspecs/a.yml");
    assert_eq!(asked["body"], "é\n");
    assert_eq!(
        asked["sha256"],
        hex::encode(Sha256::digest("é\n".as_bytes()))
    );
    let signed = asked["authorization"].as_str().unwrap_or_default();
    for part in [
        "AWS4-HMAC-SHA256 Credential=test/",
        "/eu-west-1/s3/aws4_request",
        "x-amz-content-sha256",
    ] {
        assert!(signed.contains(part), "{signed}");
    }
}

#[tokio::test]
async fn what_may_go_well_the_next_time_is_tried_again() {
    let gone = "the bucket stack-bucket-1x2y no longer exists";
    let unsure = "putting k into the bucket stack-bucket-1x2y: S3 answered ";
    for (answers, expected) in [
        (vec![says(503, "SlowDown"), ok(Value::Null)], "put"),
        (
            vec![
                says(500, "InternalError"),
                says(409, "OperationAborted"),
                ok(Value::Null),
            ],
            "put",
        ),
        (
            vec![says(500, "InternalError"); 3],
            &format!("{unsure}500 InternalError"),
        ),
        (vec![says(404, "NoSuchBucket")], gone),
        // Not at once, but later.
        (
            vec![says(403, "AccessDenied")],
            &format!("{unsure}403 AccessDenied{DENIED}"),
        ),
        (
            vec![says(403, "RequestTimeTooSkewed")],
            &format!("{unsure}403 RequestTimeTooSkewed"),
        ),
        // Not an error code of S3, so it is not passed on.
        (
            vec![says(400, "a b<c")],
            unsure.trim_end_matches("S3 answered "),
        ),
    ] {
        let (service, aws) = Service::start(answers.clone()).await;
        let bucket = aws.bucket(ARN).expect("an ARN");
        let found = match bucket.put_object("k", "v").await {
            Ok(_) => "put".to_owned(),
            Err(error) => said(&error),
        };
        assert!(found.starts_with(expected), "{found}");
        assert_eq!(service.asked().len(), answers.len(), "{found}");
    }
}

#[tokio::test]
async fn a_bucket_is_at_its_own_host_unless_somebody_says_otherwise() {
    for (region, endpoint, expected) in [
        (
            "eu-west-1",
            None,
            "https://stack-bucket-1x2y.s3.eu-west-1.amazonaws.com",
        ),
        (
            "cn-north-1",
            None,
            "https://stack-bucket-1x2y.s3.cn-north-1.amazonaws.com.cn",
        ),
        (
            "eu-west-1",
            Some("http://127.0.0.1:1/"),
            "http://127.0.0.1:1/stack-bucket-1x2y",
        ),
    ] {
        let aws = Aws::from_variables("test", move |name| {
            (name == "AWS_ENDPOINT_URL_S3").then(|| endpoint.map(str::to_owned))?
        });
        let bucket = aws.bucket(ARN).expect("an ARN");
        assert_eq!(bucket.address(region), expected);
    }
}

#[test]
fn only_an_arn_of_a_bucket_is_one() {
    let aws = Aws::from_variables("test", |_| None);
    for (arn, is_one) in [
        (ARN, true),
        ("arn:aws-cn:s3:::b", true),
        ("stack-bucket", false),
        ("arn:aws:s3:::", false),
        ("arn:aws:s3:::a/b", false),
        ("arn:aws:s3:::a@b", false),
        ("arn:aws:sqs:::a", false),
    ] {
        assert_eq!(aws.bucket(arn).is_ok(), is_one, "{arn}");
    }
}
