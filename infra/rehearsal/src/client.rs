//! Calls the emulator's APIs as an operator with all permissions.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::REGION;

/// How often to check a state.
const GLANCE: Duration = Duration::from_millis(100);

/// An HTTP client for this machine.
///
/// # Errors
/// When it cannot be created.
pub fn http() -> anyhow::Result<reqwest::Client> {
    // Nothing here uses TLS, but reqwest needs a provider because other crates enable TLS.
    let _already = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().no_proxy().build()?)
}

/// A client of the emulator.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    http: reqwest::Client,
}

impl Client {
    /// A client of the emulator at this address.
    ///
    /// # Errors
    /// When the HTTP client cannot be created.
    pub fn new(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self {
            address,
            http: http()?,
        })
    }

    /// One that shares connections.
    pub(crate) fn over(http: reqwest::Client, address: SocketAddr) -> Self {
        Self { address, http }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Calls a service with a JSON protocol; the target has the form `DynamoDB_20120810.Query`.
    ///
    /// # Errors
    /// When it does not answer, or answers with an error.
    pub async fn call(&self, service: &str, target: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self
            .http
            .post(format!("http://{}/", self.address))
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.1")
            .header("authorization", authorization(service))
            .body(body.to_string());
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            bail!("{target} was answered with {status}: {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("{target} was answered with no JSON"))
    }

    /// The text of an object, by its ARN.
    ///
    /// # Errors
    /// When it does not exist or cannot be read.
    pub async fn object(&self, arn: &str) -> anyhow::Result<String> {
        let place = arn.rsplit(":::").next().unwrap_or_default();
        let request = self
            .http
            .get(format!("http://{}/{place}", self.address))
            .header("authorization", authorization("s3"));
        let response = request.send().await?;
        let status = response.status();
        if !status.is_success() {
            bail!("reading {arn} was answered with {status}");
        }
        Ok(response.text().await?)
    }

    /// Calls a function; with `later`, does not wait for the answer.
    ///
    /// # Errors
    /// When it cannot be called. A failed function's answer is returned.
    pub async fn invoke(
        &self,
        function: &str,
        event: &Value,
        later: bool,
    ) -> anyhow::Result<Value> {
        let kind = if later { "Event" } else { "RequestResponse" };
        let url = format!(
            "http://{}/2015-03-31/functions/{function}/invocations",
            self.address
        );
        let request = self
            .http
            .post(url)
            .header("x-amz-invocation-type", kind)
            .header("authorization", authorization("lambda"))
            .body(event.to_string());
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            bail!("calling {function} was answered with {status}: {text}");
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

/// The signer of a request; the emulator does not check the signature.
fn authorization(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request, \
         SignedHeaders=host, Signature=none"
    )
}

/// Asks until there is an answer.
///
/// # Errors
/// When there is none in time, or asking fails.
pub async fn until<T, F>(
    what: &str,
    patience: Duration,
    mut ask: impl FnMut() -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let began = Instant::now();
    while began.elapsed() < patience {
        if let Some(found) = ask().await? {
            return Ok(found);
        }
        sleep(GLANCE).await;
    }
    bail!(
        "timed out after {} s waiting for {what}",
        patience.as_secs()
    )
}
