//! The HTTPS client of the functions, for AWS and GitHub: HTTP/1.1 over rustls with ring, with
//! built-in certificate authorities.
//!
//! Looking up and decoding the system's certificates would cost more than everything else in a start.

#[cfg(test)]
mod tests;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Body;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::crypto::ring;

pub use legacy::Error as RequestError;

/// A client with its connections; a clone shares them.
pub type Client<B> = legacy::Client<HttpsConnector<HttpConnector>, B>;

#[derive(Debug)]
pub enum Trust {
    /// Mozilla's authorities, which are in the binary and need no decoding.
    BuiltIn,
    /// The authorities in `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    Environment,
    #[cfg(test)]
    Only(rustls::RootCertStore),
}

impl Trust {
    /// [`Trust::Environment`] if one of its variables is set in this process.
    #[must_use]
    pub fn from_environment() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the operator of the process decides whom to trust"
        )]
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// Like [`Trust::from_environment`], with these variables as environment.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let own = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
        let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
        match own.into_iter().any(is_set) {
            true => Self::Environment,
            false => Self::BuiltIn,
        }
    }

    fn config(&self) -> Result<ClientConfig, Box<dyn Error>> {
        let provider = Arc::new(ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = match self {
            Self::BuiltIn => config.with_webpki_roots(),
            Self::Environment => config.with_native_roots()?,
            #[cfg(test)]
            Self::Only(roots) => config.with_root_certificates(roots.clone()),
        };
        Ok(config.with_no_client_auth())
    }
}

/// Why there is no client: the certificates named in the environment cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("reading trusted certificates: {0}")]
pub struct TrustError(pub Arc<str>);

/// Creates a client with these limits for connecting and for idle connections. It works
/// over `http` too if an address says so; the caller must exclude that.
///
/// # Errors
/// When the certificates named in the environment cannot be read.
pub fn client<B>(trust: &Trust, connect: Duration, idle: Duration) -> Result<Client<B>, TrustError>
where
    B: Body + Send,
    B::Data: Send,
{
    let tls = trust.config();
    let tls = tls.map_err(|error| TrustError(error.to_string().into()))?;
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(connect));
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let https = HttpsConnectorBuilder::new().with_tls_config(tls);
    let https = https.https_or_http().enable_http1().wrap_connector(tcp);
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(idle);
    Ok(builder.build(https))
}
