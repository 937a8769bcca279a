//! Calls signed with AWS credentials, checked by a server that computes the signature independently.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use expect_test::expect;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::aws::Aws;
use crate::session::{Session, shown};

const ID: &str = "AKIDEXAMPLE";
const KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A server that answers who signed correctly, and records the requests.
struct Door {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Door {
    fn open() -> Self {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&asked));
        runtime.spawn(async { axum::serve(listener, app).await });
        Self {
            url,
            asked,
            _runtime: runtime,
        }
    }

    fn session(&self) -> Session {
        Session::new()
            .set("TOWLINE_URL", &self.url)
            .set("AWS_REGION", "eu-west-1")
    }
}

async fn answer(
    State(asked): State<Arc<Mutex<Vec<String>>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    asked.lock().unwrap().push(
        format!("{method} {uri} {}", String::from_utf8_lossy(&body))
            .trim_end()
            .to_owned(),
    );
    if is_signed(&method, &uri, &headers, &body) {
        (StatusCode::OK, r#"{"answer": "runs", "runs": []}"#.into())
    } else {
        (StatusCode::FORBIDDEN, r#"{"message":"Forbidden"}"#.into())
    }
}

/// Signature Version 4, implemented again from its description (IAM user guide, "Create a signed
/// AWS API request"): the canonical request, the text to sign, the key derived from day, region and
/// service.
fn is_signed(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(authorization) = text("authorization") else {
        return false;
    };
    let part = |name: &str| {
        let (_, rest) = authorization.split_once(name)?;
        Some(rest.split(',').next()?.trim())
    };
    let (Some(credential), Some(signed), Some(signature), Some(date)) = (
        part("Credential="),
        part("SignedHeaders="),
        part("Signature="),
        text("x-amz-date"),
    ) else {
        return false;
    };
    let scope = format!("{}/eu-west-1/execute-api/aws4_request", &date[..8]);
    if credential != format!("{ID}/{scope}") || !signed.split(';').any(|name| name == "host") {
        return false;
    }
    let mut query: Vec<&str> = uri.query().unwrap_or_default().split('&').collect();
    query.sort_unstable();
    let listed: String = signed
        .split(';')
        .map(|name| format!("{name}:{}\n", text(name).unwrap_or_default().trim()))
        .collect();
    let canonical = format!(
        "{method}\n{}\n{}\n{listed}\n{signed}\n{}",
        uri.path(),
        query.join("&"),
        hex::encode(Sha256::digest(body))
    );
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex::encode(Sha256::digest(canonical))
    );
    let mac = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let day = mac(format!("AWS4{KEY}").as_bytes(), &date[..8]);
    let key = mac(&mac(&mac(&day, "eu-west-1"), "execute-api"), "aws4_request");
    hex::encode(mac(&key, &to_sign)) == signature
}

#[test]
fn calls_are_signed_with_the_credentials_of_the_environment() {
    let door = Door::open();
    let session = door
        .session()
        .set("AWS_ACCESS_KEY_ID", ID)
        .set("AWS_SECRET_ACCESS_KEY", KEY);
    let text = session.play(&[
        &[
            "runs",
            "--sigv4",
            "--limit",
            "3",
            "--repository",
            "acme/shop",
        ],
        &["image", "sha256:858e0a1b…", "--sigv4"],
        &["hold", "api", "prod", "a reason, with spaces", "--sigv4"],
    ]);
    assert!(!text.contains("towline:"), "{text}");
    expect![[r#"
        GET /aws/v1/runs?limit=3&repository=acme%2Fshop
        GET /aws/v1/image?image=sha256%3A858e0a1b
        POST /aws/v1/hold {"component":"api","reason":"a reason, with spaces","stage":"prod"}"#]]
    .assert_eq(&door.asked.lock().unwrap().join("\n"));
}

#[test]
fn calls_are_signed_with_what_aws_would_use() {
    let door = Door::open();
    let exported = serde_json::json!({"Version": 1, "AccessKeyId": ID, "SecretAccessKey": KEY});
    let aws = Aws::new().says("configure export-credentials --format=process *", exported);
    let session = aws
        .session()
        .set("TOWLINE_URL", &door.url)
        .set("TOWLINE_AUTH", "sigv4");
    let text = shown(&session.towline(&["runs"]));
    assert!(!text.contains("towline:"), "{text}");

    // Version 1 has no such command, but it prints its keys.
    let aws = Aws::new()
        .refuses("configure export-credentials *", "", "Invalid choice")
        .says("configure get aws_access_key_id*", ID.into())
        .says("configure get aws_secret_access_key*", KEY.into())
        .refuses("configure get aws_session_token*", "", "");
    let session = aws
        .session()
        .set("TOWLINE_URL", &door.url)
        .set("TOWLINE_AUTH", "sigv4");
    let text = shown(&session.towline(&["runs"]));
    assert!(!text.contains("towline:"), "{text}");
    assert!(!aws.asked().contains(KEY), "{}", aws.asked());
}

#[test]
fn nobody_to_sign_for_and_a_wrong_signature_are_told_apart() {
    let door = Door::open();
    let aws = Aws::new().refuses(
        "configure *",
        "",
        "The config profile (towline) could not be found",
    );
    let session = aws.session().set("TOWLINE_URL", &door.url);
    let mut text = shown(&session.towline(&["runs", "--sigv4"]));
    let session = door
        .session()
        .set("AWS_ACCESS_KEY_ID", ID)
        .set("AWS_SECRET_ACCESS_KEY", "another");
    text += &shown(&session.towline(&["runs", "--sigv4"]));
    let session = door
        .session()
        .set("AWS_REGION", "")
        .set("AWS_ACCESS_KEY_ID", ID);
    text += &shown(&session.towline(&["runs", "--sigv4"]));
    let session = door.session().set("TOWLINE_AUTH", "basic");
    text += &shown(&session.towline(&["runs"]));
    expect![[r#"
        ! towline: there are no AWS credentials to sign with: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or sign in with `aws configure` or `aws sso login` and AWS_PROFILE (An error occurred () when calling the X operation: The config profile (towline) could not be found)
        [exit 2]
        ! towline: [server] does not accept your signature; your role needs execute-api:Invoke, and must be added with `towline people add LOGIN --arn ROLE`: Forbidden
        [exit 1]
        ! towline: the region of [server] is not known, and the signature needs it; set AWS_REGION
        [exit 2]
        ! towline: TOWLINE_AUTH is "basic"; set it to token or sigv4
        [exit 2]
    "#]].assert_eq(&text.replace(&door.url, "[server]"));
}
