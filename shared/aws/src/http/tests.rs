//! Who is trusted, and which failures may be tried again.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// What a request to this address gives: its status, or why there is none.
async fn asked(http: &Http, address: &str) -> Result<u16, ConnectorError> {
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_uri(address).unwrap();
    let answer = http.call(request).await?;
    Ok(answer.status().as_u16())
}

/// An authority of our own, and a service on loopback whose certificate of this name it has signed.
/// The service answers any number of requests of a connection with 200 until it is closed.
async fn service(name: &str) -> (RootCertStore, u16) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();

    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust us ends the handshake.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut request = Vec::new();
                while stream
                    .read_buf(&mut request)
                    .await
                    .is_ok_and(|read| read > 0)
                {
                    if request.ends_with(b"\r\n\r\n") {
                        request.clear();
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        stream.write_all(answer).await.unwrap();
                    }
                }
            });
        }
    });
    (roots, port)
}

#[tokio::test]
async fn a_service_is_asked_over_tls_if_its_certificate_is_trusted_and_of_its_name() {
    let (roots, port) = service("localhost").await;
    let (others, _) = service("localhost").await;
    let ours = || Trust::Only(roots.clone());
    for (trust, name, expected) in [
        (ours(), "localhost", Some(200)),
        (ours(), "127.0.0.1", None),
        (Trust::Only(others), "localhost", None),
        (Trust::Only(RootCertStore::empty()), "localhost", None),
        (Trust::BuiltIn, "localhost", None),
    ] {
        let said = format!("{trust:?} {name}");
        let http = Http(made(&trust));
        for _ in 0..2 {
            let answer = asked(&http, &format!("https://{name}:{port}/")).await;
            match &answer {
                Ok(status) => assert_eq!(Some(*status), expected, "{said}"),
                Err(error) => {
                    assert_eq!(expected, None, "{said}: {error:?}");
                    let reason = format!("{error:?}");
                    assert!(reason.contains("InvalidCertificate"), "{said}: {reason}");
                }
            }
        }
    }
}

#[tokio::test]
async fn plain_http_is_asked_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().route("/", get(|| async { "ok" }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let http = Http(made(&Trust::BuiltIn));
    assert_eq!(asked(&http, &address).await.unwrap(), 200);
}

#[tokio::test]
async fn a_host_that_is_not_there_may_be_tried_again_and_a_wrong_start_not() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let http = Http(made(&Trust::BuiltIn));
    assert!(asked(&http, &nobody).await.unwrap_err().is_io());
    let http = Http(Err("nobody is trusted".into()));
    assert!(asked(&http, &nobody).await.unwrap_err().is_user());
}
