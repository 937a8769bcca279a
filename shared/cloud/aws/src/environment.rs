//! What all clients have in common: region, credentials, endpoints, one HTTP client, time-outs.

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

/// Where AWS is and who asks: what every client is made from.
///
/// Lambda gives each process its region and credentials in the environment, so nothing else is
/// looked at: no profile, no metadata service. `aws-config`, which would do that, adds a client of
/// STS to each binary and work to each start.
#[derive(Debug, Clone)]
pub struct Aws {
    config: SdkConfig,
    #[cfg(feature = "s3")]
    connections: http::Connections,
}

impl Aws {
    /// Reads the environment: `AWS_REGION` (or `AWS_DEFAULT_REGION`), `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, and `AWS_ENDPOINT_URL` or
    /// `AWS_ENDPOINT_URL_<SERVICE>` where the service is not AWS's own; plain http is taken too.
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` say whom to trust instead of the authorities Mozilla does.
    /// CloudTrail and the services' logs show `app/towline-<function>` as the user agent.
    ///
    /// What is missing is said by the first request, so that a function starts in any case.
    #[expect(
        clippy::unused_async,
        reason = "a start may come to wait for something"
    )]
    pub async fn from_environment(function: &str) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where an AWS process meets its environment"
        )]
        Self::from_variables(function, |name| std::env::var(name).ok())
    }

    /// As [`Aws::from_environment`], with these variables for the environment.
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
            // A slow answer is what the time-outs are for; watching each body costs time.
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

    /// What is asked over.
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

/// Before the second attempt at most this is waited, by chance; twice as long before the third.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Longest wait between two attempts, throttled or not: a function is billed while it waits, and
/// what it cannot do now is owed and tried again by whoever called it.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long one call may take, and how often it is tried; a function's own time limit, in
/// infra/template.yaml, has room for several that are slow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// One attempt, from sending it to the end of its answer.
    pub(crate) attempt: Duration,
    /// All attempts and the pauses between them.
    pub(crate) operation: Duration,
    /// How many attempts.
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

/// The credentials Lambda gives; they stay good as long as the process may live.
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

/// Says on the first request that there are none.
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
