//! Shared by all clients: region, credentials, endpoints, one HTTP client, timeouts.

#[cfg(all(test, feature = "dynamodb"))]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::app_name::AppName;
use aws_types::region::Region;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use towline_https::Trust;

use crate::http;

/// Region, credentials and connections, from which every client is created.
///
/// Lambda provides region and credentials in the environment, so nothing else is used: no profile, no
/// metadata service. `aws-config`, which supports those, would add an STS client to each binary and
/// work to each start.
#[derive(Debug, Clone)]
pub struct Aws {
    config: SdkConfig,
    #[cfg(feature = "s3")]
    connections: http::Connections,
}

impl Aws {
    /// Reads the environment: `AWS_REGION` (or `AWS_DEFAULT_REGION`), `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, and `AWS_ENDPOINT_URL` or
    /// `AWS_ENDPOINT_URL_<SERVICE>` for a service that is not AWS's own, also with plain http.
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` replace Mozilla's certificate authorities.
    /// CloudTrail and the services' logs show `app/towline-<function>` as the user agent.
    ///
    /// If something is missing, the first request fails and says so. A function starts in any case.
    #[expect(
        clippy::unused_async,
        reason = "a start may need to wait for something"
    )]
    pub async fn from_environment(function: &str) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where an AWS process meets its environment"
        )]
        Self::from_variables(function, |name| std::env::var(name).ok())
    }

    /// Like [`Aws::from_environment`], with these variables as environment.
    pub fn from_variables(
        function: &str,
        variable: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let variable = move |name: &str| variable(name).filter(|value| !value.is_empty());
        let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
        let endpoint = variable("AWS_ENDPOINT_URL");
        let connections = http::connections(&Trust::from_variables(&variable));
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(region.map(Region::new))
            .credentials_provider(credentials(&variable))
            .http_client(http::client(connections.clone()))
            .service_config(Endpoints(Arc::new(variable)))
            // Timeouts handle slow answers; watching each body costs time.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        let mut config = config;
        config.set_endpoint_url(endpoint);
        config.set_app_name(AppName::new(format!("towline-{function}")).ok());
        Self {
            config: config.build(),
            #[cfg(feature = "s3")]
            connections,
        }
    }

    /// What all clients have in common.
    #[cfg(feature = "s3")]
    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }

    #[cfg(feature = "s3")]
    pub(crate) fn connections(&self) -> http::Connections {
        self.connections.clone()
    }

    /// The configuration of one service's client.
    pub(crate) fn patient(&self, patience: &Patience) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(patience.attempt)
            .operation_timeout(patience.operation)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(patience.attempts)
            .with_initial_backoff(FIRST_PAUSE)
            .with_max_backoff(LONGEST_PAUSE);
        let mut config = self.config.to_builder();
        config.set_timeout_config(Some(timeouts));
        config.set_retry_config(Some(retries));
        config.build()
    }
}

/// The longest random wait before the second attempt; twice as long before the third.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest wait between two attempts, throttled or not: waiting is billed, and unfinished work
/// is retried later.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long one call may take, and how often it is tried. A function's timeout in infra/template.yaml
/// has room for several slow calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// One attempt, from sending it to the end of its answer.
    pub(crate) attempt: Duration,
    /// All attempts and the pauses between them.
    pub(crate) operation: Duration,
    pub(crate) attempts: u32,
}

impl Patience {
    pub(crate) const fn new(attempt: Duration, operation: Duration, attempts: u32) -> Self {
        Self {
            attempt,
            operation,
            attempts,
        }
    }
}

/// Lambda's credentials, which outlive the process.
fn credentials(variable: &impl Fn(&str) -> Option<String>) -> SharedCredentialsProvider {
    let id = variable("AWS_ACCESS_KEY_ID");
    let secret = variable("AWS_SECRET_ACCESS_KEY");
    let token = variable("AWS_SESSION_TOKEN");
    match (id, secret) {
        (Some(id), Some(secret)) => {
            SharedCredentialsProvider::new(Credentials::new(id, secret, token, None, "environment"))
        }
        _ => SharedCredentialsProvider::new(NoCredentials),
    }
}

/// Fails on the first request if there are none.
#[derive(Debug)]
struct NoCredentials;

impl ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set",
        )))
    }
}

type Variable = dyn Fn(&str) -> Option<String> + Send + Sync;

/// `AWS_ENDPOINT_URL_<SERVICE>`.
struct Endpoints(Arc<Variable>);

impl fmt::Debug for Endpoints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Endpoints")
    }
}

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        if key.env() != "AWS_ENDPOINT_URL" {
            return None;
        }
        let service = key
            .service_id()
            .to_ascii_uppercase()
            .replace([' ', '-'], "_");
        (self.0)(&format!("AWS_ENDPOINT_URL_{service}"))
    }
}
