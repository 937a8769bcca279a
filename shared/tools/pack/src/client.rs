//! The connection to a registry.

use std::future::Future;
use std::time::Duration;

use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::{Reference, RegistryOperation};
use tokio::time::timeout;

use crate::error::{PackError, Refusal};
use crate::reference::{Registry, Transport};

/// How long a registry may be silent.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
const CONNECT: Duration = Duration::from_secs(10);

/// Makes `ring` the process's TLS provider, unless it has one already.
///
/// A binary calls it first in `main`, so that every client in the process agrees; this crate also
/// calls it before it connects, so forgetting it is not an error. `ring` and not `aws-lc`, whose
/// self-tests and size slow down every cold start of a Lambda function.
pub fn install_tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // This fails only if another thread was faster, and then a provider exists.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}

/// A client for one registry, for asking about and moving blobs.
pub(crate) fn connect(registry: &Registry) -> Result<Client, PackError> {
    let protocol = match registry.transport {
        Transport::Tls => ClientProtocol::Https,
        Transport::PlainOnLoopback if !registry.host.is_loopback() => {
            let reason = "is not on this machine, so plain HTTP would show credentials and layers \
                          to the network; use TLS, or ask for insecure HTTP explicitly";
            return Err(Refusal::value("the registry", registry.host.as_str(), reason).into());
        }
        Transport::PlainOnLoopback | Transport::PlainAnywhere => ClientProtocol::Http,
    };
    install_tls_provider();
    // The environment's proxy is for other machines, and cannot reach this one. Giving the client a
    // proxy of its own, which is never used, makes it ignore the environment's.
    let (own_proxy, but_not_for) = match registry.host.is_loopback() {
        true => (
            Some("http://127.0.0.1:9".to_owned()),
            Some("*,0.0.0.0/0,::/0".to_owned()),
        ),
        false => (None, None),
    };
    let configuration = ClientConfig {
        protocol,
        // One request per blob. The client's chunks of 4 MiB are smaller than the 5 MiB that
        // ECR asks of every layer part but the last (ECR API, UploadLayerPart).
        use_monolithic_push: true,
        connect_timeout: Some(CONNECT),
        http_proxy: own_proxy,
        no_proxy: but_not_for,
        user_agent: concat!("towline-pack/", env!("CARGO_PKG_VERSION")),
        ..ClientConfig::default()
    };
    // Not `Client::new`, which panics if this fails.
    Client::try_from(configuration).map_err(|source| PackError::Tls(Box::new(source)))
}

/// Signs in for what `reference` needs. The client's own sign-in would hide the registry's answer.
pub(crate) async fn sign_in(
    client: &Client,
    registry: &Registry,
    reference: &Reference,
    operation: RegistryOperation,
) -> Result<(), PackError> {
    let authentication = registry.authentication();
    let request = client.auth(reference, &authentication, operation);
    patiently("sign in for", reference.whole(), request).await?;
    Ok(())
}

/// Awaits a short request, at most for [`PATIENCE`].
pub(crate) async fn patiently<T>(
    action: &'static str,
    reference: impl Into<String>,
    request: impl Future<Output = Result<T, OciDistributionError>>,
) -> Result<T, PackError> {
    let reference = reference.into();
    match timeout(PATIENCE, request).await {
        Ok(answer) => answer.map_err(PackError::registry(action, reference)),
        Err(_) => Err(PackError::Stalled {
            action,
            reference,
            seconds: PATIENCE.as_secs(),
        }),
    }
}
