//! Who gets in.

use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use towline_oci::Digest;
use towline_registry::Settings;

use crate::support::{Served, assert_has, header, refusal, serve, serve_with};

#[tokio::test]
async fn a_docker_login_is_asked_for_its_password_and_then_let_in() {
    let served = serve().await;
    let response = served.anonymous(Method::GET, "/v2/").send().await.unwrap();
    assert_eq!(
        header(&response, "www-authenticate"),
        "Basic realm=\"towline\""
    );
    assert_eq!(
        header(&response, "docker-distribution-api-version"),
        "registry/2.0"
    );
    assert_has(&refusal(response).await, "401 UNAUTHORIZED: log in first");
    assert_eq!(served.get("/v2/").await.status(), StatusCode::OK);
    assert_eq!(served.get("/v2").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn nothing_is_done_for_who_is_unknown() {
    let served = serve().await;
    served.push_image("team/app", "v1", "layer").await;
    let blob = Digest::of(b"layer");
    for (method, path) in [
        (Method::GET, "/v2/_catalog".to_owned()),
        (Method::GET, "/v2/team/app/tags/list".to_owned()),
        (Method::GET, "/v2/team/app/manifests/v1".to_owned()),
        (Method::DELETE, "/v2/team/app/manifests/v1".to_owned()),
        (Method::PUT, "/v2/team/app/manifests/v1".to_owned()),
        (Method::GET, format!("/v2/team/app/blobs/{blob}")),
        (Method::DELETE, format!("/v2/team/app/blobs/{blob}")),
        (Method::GET, format!("/v2/team/app/referrers/{blob}")),
        (Method::POST, "/v2/team/app/blobs/uploads/".to_owned()),
        (Method::PATCH, "/v2/team/app/blobs/uploads/1".to_owned()),
    ] {
        let request = || served.anonymous(method.clone(), &path);
        for request in [
            request(),
            request().basic_auth("AWS", Some("wrong")),
            request().basic_auth("root", Some("all")),
            request().bearer_auth("all"),
            request().header("authorization", "Basic !"),
        ] {
            let response = request.send().await.unwrap();
            assert_eq!(
                response.status(),
                StatusCode::UNAUTHORIZED,
                "{method} {path}"
            );
        }
    }
    assert_eq!(
        served.get("/v2/team/app/manifests/v1").await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn who_is_known_may_only_do_what_the_authority_allows() {
    let served = serve().await;
    let closed = served.get("/v2/secret/app/tags/list").await;
    assert_has(&refusal(closed).await, "403 DENIED: secret/app is closed");
    let written = served
        .anonymous(Method::POST, "/v2/team/app/blobs/uploads/")
        .basic_auth("AWS", Some("read"))
        .send()
        .await
        .unwrap();
    assert_has(
        &refusal(written).await,
        "403 DENIED: you may only read team/app",
    );
}

/// Sends raw bytes, which a proper client would not.
async fn raw(served: &Served, method: &str, path: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic QVdTOmFsbA==\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn an_evil_name_is_refused_and_leaves_nothing() {
    let served = serve().await;
    for name in [
        "../x",
        "a/../../x",
        "%2e%2e",
        "a%2Fb",
        "UPPER",
        "a//b",
        "a\\b",
        ".",
        "a",
    ] {
        for (method, path) in [
            ("POST", "blobs/uploads/"),
            ("PUT", "manifests/v1"),
            ("GET", "tags/list"),
        ] {
            let answer = raw(&served, method, &format!("/v2/{name}/{path}"), "localhost").await;
            assert_has(&answer, "400 Bad Request");
            assert_has(&answer, "NAME_INVALID");
        }
    }
    let digest = raw(
        &served,
        "GET",
        "/v2/ab/blobs/sha256:..%2f..%2flock",
        "localhost",
    )
    .await;
    assert_has(&digest, "DIGEST_INVALID");
    let tag = raw(&served, "PUT", "/v2/ab/manifests/..", "localhost").await;
    assert_has(&tag, "TAG_INVALID");
    assert_eq!(served.registry.repositories().await.unwrap(), []);
}

#[tokio::test]
async fn a_name_made_to_resolve_to_this_machine_is_refused() {
    let served = serve_with(Settings {
        hosts: vec!["registry.internal".to_owned()],
        ..Settings::default()
    })
    .await;
    for host in [
        "localhost:1",
        "127.0.0.1",
        "[::1]:5000",
        "registry.internal:80",
    ] {
        let answer = raw(&served, "GET", "/v2/", host).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{host}: {answer}");
    }
    for host in ["evil.example", "localhost.evil.example", "10.0.0.1", ""] {
        let answer = raw(&served, "GET", "/v2/", host).await;
        assert!(answer.starts_with("HTTP/1.1 421"), "{host}: {answer}");
    }
}
