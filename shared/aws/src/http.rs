//! The HTTP client of all services' clients: HTTP/1.1 over rustls with ring, made once.
//!
//! The SDK's own brings HTTP/2, which none of our services speaks, makes its trust store once for
//! every client and once more for the first request, and decodes a system's certificates for that:
//! four fifths of what a start cost.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::crypto::ring;

/// A connection within a region is there in a few milliseconds or not at all.
const CONNECT: Duration = Duration::from_secs(1);

/// Whom to trust.
#[derive(Debug)]
pub(crate) enum Trust {
    /// The authorities Mozilla trusts, which are in the binary and need no decoding.
    BuiltIn,
    /// Those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    Environment,
    /// A test's own.
    #[cfg(test)]
    Only(rustls::RootCertStore),
}

/// Makes it. When there is nobody to trust, each request says so.
pub(crate) fn client(trust: &Trust) -> SharedHttpClient {
    SharedHttpClient::new(Once(SharedHttpConnector::new(Http(made(trust)))))
}

type Client = legacy::Client<HttpsConnector<connect::HttpConnector>, SdkBody>;

fn made(trust: &Trust) -> Result<Client, Arc<str>> {
    let tls = tls(trust).map_err(|error| Arc::from(error.to_string()))?;
    let mut tcp = connect::HttpConnector::new();
    tcp.set_connect_timeout(Some(CONNECT));
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let https = HttpsConnectorBuilder::new().with_tls_config(tls);
    let https = https.https_or_http().enable_http1().wrap_connector(tcp);
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    Ok(builder.pool_timer(TokioTimer::new()).build(https))
}

fn tls(trust: &Trust) -> Result<ClientConfig, Box<dyn Error>> {
    let provider = Arc::new(ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = match trust {
        Trust::BuiltIn => config.with_webpki_roots(),
        Trust::Environment => config.with_native_roots()?,
        #[cfg(test)]
        Trust::Only(roots) => config.with_root_certificates(roots.clone()),
    };
    Ok(config.with_no_client_auth())
}

/// Hands out the same connections whatever is asked for: all clients wait equally long for them.
#[derive(Debug)]
struct Once(SharedHttpConnector);

impl HttpClient for Once {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.0.clone()
    }
}

#[derive(Debug)]
struct Http(Result<Client, Arc<str>>);

impl HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = match &self.0 {
            Ok(client) => client,
            Err(reason) => {
                let reason = reason.to_string().into();
                return HttpConnectorFuture::ready(Err(ConnectorError::user(reason)));
            }
        };
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let answer = client.request(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await.map_err(failed)?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Whether to try again is decided by what kind of error it is: what the network or the other side
/// did may go well the next time, what we built wrongly will not.
fn failed(error: legacy::Error) -> ConnectorError {
    if caused(&error, |io: &io::Error| {
        io.kind() == io::ErrorKind::TimedOut
    }) {
        ConnectorError::timeout(error.into())
    } else if caused(&error, hyper::Error::is_user) {
        ConnectorError::user(error.into())
    } else {
        ConnectorError::io(error.into())
    }
}

/// Whether one of an error's causes is such a one.
fn caused<E: Error + 'static>(error: &(dyn Error + 'static), is: impl Fn(&E) -> bool) -> bool {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.any(|cause| cause.downcast_ref().is_some_and(&is))
}

#[cfg(test)]
mod tests;
