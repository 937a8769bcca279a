//! Plain HTTP works too, and which failures may be retried.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

use super::*;

/// The result of a request to this address: its status, or the error.
async fn asked(http: &Http, address: &str) -> Result<u16, ConnectorError> {
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_uri(address).unwrap();
    let answer = http.call(request).await?;
    Ok(answer.status().as_u16())
}

#[tokio::test]
async fn plain_http_is_asked_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().route("/", get(|| async { "ok" }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let http = Http(connections(&Trust::BuiltIn));
    assert_eq!(asked(&http, &address).await.unwrap(), 200);
}

#[tokio::test]
async fn a_host_that_is_not_there_may_be_tried_again_and_a_wrong_start_not() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let http = Http(connections(&Trust::BuiltIn));
    assert!(asked(&http, &nobody).await.unwrap_err().is_io());
    let http = Http(Err(TrustError("no trusted roots".into())));
    assert!(asked(&http, &nobody).await.unwrap_err().is_user());
}
