//! Which certificates are trusted, by environment.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use http_body_util::Empty;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A time in which loopback answers.
const SOON: Duration = Duration::from_secs(5);

/// Our own authority, and a service on loopback with a certificate for this name signed by it. The
/// service answers any number of requests with 200 until the connection is closed.
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
        let client = client::<Empty<Bytes>>(&trust, SOON, SOON).unwrap();
        for _ in 0..2 {
            let address = format!("https://{name}:{port}/");
            let answer = client.get(address.parse().unwrap()).await;
            match &answer {
                Ok(answer) => assert_eq!(Some(answer.status().as_u16()), expected, "{said}"),
                Err(error) => {
                    assert_eq!(expected, None, "{said}: {error:?}");
                    let reason = format!("{error:?}");
                    assert!(reason.contains("InvalidCertificate"), "{said}: {reason}");
                }
            }
        }
    }
}

#[test]
fn an_environment_that_names_certificates_says_whom_to_trust() {
    for (set, expected) in [
        (None, "BuiltIn"),
        (Some(("SSL_CERT_FILE", "")), "BuiltIn"),
        (Some(("SSL_CERT_FILE", "own.pem")), "Environment"),
        (Some(("SSL_CERT_DIR", "own")), "Environment"),
    ] {
        let value = |name: &str| set.filter(|(known, _)| *known == name);
        let trust = Trust::from_variables(|name| value(name).map(|(_, value)| value.into()));
        assert_eq!(format!("{trust:?}"), expected, "{set:?}");
    }
}
