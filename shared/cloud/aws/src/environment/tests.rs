//! Errors of an incomplete environment, the user agent, and timeouts.

use std::time::Instant;

use serde_json::json;
use towline_ports::{Key, Store as _};

use super::Aws;
use crate::testing::{Answer, Service, ok, said};

fn key() -> Key {
    Key::new("p", "s")
}

#[tokio::test]
async fn what_is_missing_is_said_by_the_first_request() {
    for (variables, expected) in [
        (
            vec![("AWS_REGION", "eu-west-1")],
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set",
        ),
        (
            vec![("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")],
            "region",
        ),
    ] {
        let aws = Aws::from_variables("test", move |name| {
            let mut known = variables.iter();
            known
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        });
        let error = aws.table("t").get(&key()).await.expect_err("it cannot ask");
        let error = said(&error);
        assert!(
            error.to_lowercase().contains(&expected.to_lowercase()),
            "{error}"
        );
    }
}

#[tokio::test]
async fn requests_name_the_function_and_go_where_the_service_is() {
    let (service, aws) = Service::start([ok(json!({}))]).await;
    aws.table("t").get(&key()).await.expect("it answers");
    let agents = service.agents();
    assert!(agents[0].contains("app/towline-test"), "{agents:?}");

    let (service, _) = Service::start([ok(json!({}))]).await;
    let address = service.address();
    let aws = Aws::from_variables("test", move |name| match name {
        "AWS_ENDPOINT_URL" => Some("http://127.0.0.1:1".to_owned()),
        "AWS_ENDPOINT_URL_DYNAMODB" => Some(address.clone()),
        _ => Some("test".to_owned()),
    });
    aws.table("t").get(&key()).await.expect("it answers there");
}

#[tokio::test]
async fn a_service_that_never_answers_is_given_up_in_time() {
    let (service, aws) = Service::start(vec![Answer::Nothing; 9]).await;
    let begun = Instant::now();
    let error = aws.table("t").get(&key()).await.expect_err("no answer");
    assert_eq!(said(&error), r#"reading ("p", "s"): timed out"#);
    let waited = begun.elapsed();
    assert!(waited < crate::table::PATIENCE.operation * 2, "{waited:?}");
    assert!((2..=4).contains(&service.asked().len()));
}
