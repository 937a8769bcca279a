//! Puts objects into an S3 bucket, the only request to S3.
//!
//! The SDK for S3 would add XML, several checksums and another signer to each start of a function.
//! Connections, credentials and signature are shared with the other clients.

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use http_body_util::{BodyExt as _, Collected, Limited};
use hyper::{Request, StatusCode};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;
use towline_domain::causes::with_causes;
use towline_domain::obstacle::Service;
use towline_ports::PortError;

use crate::environment::Aws;
use crate::http::Connections;
use crate::wait::pause;

/// For one attempt: some kilobytes within a region.
const ATTEMPT: Duration = Duration::from_secs(3);

const ATTEMPTS: u32 = 3;

/// The longest wait before the second attempt.
const PAUSE: Duration = Duration::from_millis(50);

/// The most bytes of an answer to read; the error is in its first lines.
const MOST_SAID: usize = 16 * 1024;

/// Advice if S3 denies the request.
const DENIED: &str = ": retrying, because new permissions take AWS some minutes; if it persists, run `towline deploy` again, and check that no other account owns the bucket";

#[derive(Debug, Clone)]
pub struct Bucket {
    arn: String,
    name: String,
    config: SdkConfig,
    connections: Connections,
}

/// Why a text is not a bucket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BucketError {
    /// It is not `arn:<partition>:s3:::<name>`.
    #[error("{0:?} is not a bucket ARN")]
    Arn(String),
}

/// Why an object was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PutError {
    /// The bucket no longer exists; retrying does not help.
    #[error("the bucket {0} no longer exists")]
    Gone(String),
    /// Retrying may help, even if access is denied: a permission from the same deployment takes AWS a
    /// while.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Aws {
    /// The bucket of this ARN.
    ///
    /// # Errors
    /// When it is not a bucket ARN.
    pub fn bucket(&self, arn: impl Into<String>) -> Result<Bucket, BucketError> {
        let arn = arn.into();
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", partition, "s3", "", "", name] = *parts else {
            return Err(BucketError::Arn(arn));
        };
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if partition.is_empty() || name.is_empty() || !name.bytes().all(is_plain) {
            return Err(BucketError::Arn(arn));
        }
        Ok(Bucket {
            name: name.to_owned(),
            config: self.config().clone(),
            connections: self.connections(),
            arn,
        })
    }
}

/// Why S3 has not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum NotAsked {
    #[error("AWS_REGION is not set")]
    NoRegion,
    #[error("credentials are not set")]
    NoCredentials,
    /// With its causes.
    #[error("{0}")]
    Failed(String),
}

impl Bucket {
    /// Stores an object under a key of letters, digits, `-`, `_`, `.` and `/`; returns its ARN. Replaces
    /// an existing object, which restarts its expiration.
    pub(crate) async fn put_object(&self, key: &str, content: &str) -> Result<String, PutError> {
        let doing = || format!("putting {key} into the bucket {}", self.name);
        let failed = |cause: String| PortError::new(doing(), cause);
        let denied = |cause: String| PortError::denied(Service::Aws, doing(), cause);
        let mut attempt = 0;
        loop {
            let answer = timeout(ATTEMPT, self.put(key, content)).await;
            attempt += 1;
            let said = match answer {
                Ok(Ok((status, _))) if status.is_success() => {
                    return Ok(format!("{}/{key}", self.arn));
                }
                Ok(Ok((status, code)))
                    if status == StatusCode::NOT_FOUND && code == "NoSuchBucket" =>
                {
                    return Err(PutError::Gone(self.name.clone()));
                }
                Ok(Ok((status, code))) => {
                    let may_help = status.is_server_error()
                        || matches!(status.as_u16(), 408 | 429)
                        || matches!(&*code, "RequestTimeout" | "SlowDown" | "OperationAborted");
                    let said = format!("S3 answered {} {code}", status.as_u16());
                    if code == "AccessDenied" {
                        return Err(denied(said + DENIED).into());
                    }
                    if !may_help {
                        return Err(failed(said).into());
                    }
                    said
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "timed out".to_owned(),
            };
            if attempt == ATTEMPTS {
                return Err(failed(said).into());
            }
            pause(PAUSE, attempt).await;
        }
    }

    /// One attempt: the status, and S3's error code.
    async fn put(&self, key: &str, content: &str) -> Result<(StatusCode, String), NotAsked> {
        let connections = self.connections.as_ref();
        let client = connections.map_err(|error| NotAsked::Failed(error.to_string()))?;
        let request = self.signed(key, content).await?;
        let answer = client
            .request(request)
            .await
            .map_err(|error| NotAsked::Failed(with_causes(&error)))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MOST_SAID).collect().await;
        let body = body.map(Collected::to_bytes).unwrap_or_default();
        Ok((status, code(&String::from_utf8_lossy(&body)).to_owned()))
    }

    async fn signed(&self, key: &str, content: &str) -> Result<Request<SdkBody>, NotAsked> {
        let region = self.config.region().ok_or(NotAsked::NoRegion)?;
        let credentials = self.config.credentials_provider();
        let credentials = credentials.ok_or(NotAsked::NoCredentials)?;
        let credentials = credentials.provide_credentials().await;
        let credentials = credentials.map_err(|error| NotAsked::Failed(with_causes(&error)))?;
        let address = format!("{}/{key}", self.address(region.as_ref()));
        let app = self.config.app_name().map(ToString::to_string);
        let request = Request::put(&address)
            .header("content-type", "text/plain; charset=utf-8")
            .header("user-agent", format!("app/{}", app.unwrap_or_default()))
            .body(SdkBody::from(content));
        let mut request = request.map_err(|error| NotAsked::Failed(with_causes(&error)))?;

        let mut settings = SigningSettings::default();
        // Specific to S3 (S3 API, "Authenticating Requests (AWS Signature Version 4)").
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        #[expect(
            clippy::disallowed_methods,
            reason = "a signature contains the real time"
        )]
        let now = SystemTime::now();
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region.as_ref())
            .name("s3")
            .time(now)
            .settings(settings)
            .build()
            .map_err(|error| NotAsked::Failed(with_causes(&error)))?;
        let headers = request.headers().iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let body = SignableBody::Precomputed(hex::encode(Sha256::digest(content)));
        let signable = SignableRequest::new("PUT", &address, headers, body);
        let signed = sign(
            signable.map_err(|error| NotAsked::Failed(with_causes(&error)))?,
            &params.into(),
        );
        let (instructions, _) = signed
            .map_err(|error| NotAsked::Failed(with_causes(&error)))?
            .into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }

    /// The bucket's address: its own host on S3, a path elsewhere.
    fn address(&self, region: &str) -> String {
        let key = ServiceConfigKey::builder()
            .service_id("S3")
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build();
        let own = self.config.service_config().zip(key.ok());
        let own = own.and_then(|(config, key)| config.load_config(key));
        let elsewhere = own.or_else(|| self.config.endpoint_url().map(str::to_owned));
        let name = &self.name;
        match elsewhere {
            Some(endpoint) => format!("{}/{name}", endpoint.trim_end_matches('/')),
            None if region.starts_with("cn-") => {
                format!("https://{name}.s3.{region}.amazonaws.com.cn")
            }
            None => format!("https://{name}.s3.{region}.amazonaws.com"),
        }
    }
}

/// S3's error code, in an answer such as `<Error><Code>NoSuchBucket</Code>…`.
fn code(answer: &str) -> &str {
    let code = answer
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"));
    let code = code.map_or("", |(code, _)| code);
    let is_word = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_word { code } else { "" }
}
