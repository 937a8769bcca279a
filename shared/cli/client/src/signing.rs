//! Signs calls to a deployed API (Signature Version 4) with the AWS credentials of this machine.

use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::{Request, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use towline_ports::Clock as _;

use crate::aws_cli::{AwsCli, AwsError};
use crate::stack::Place;
use towline_console::surroundings;
use towline_ports::system::SystemClock;

/// The name of API Gateway in a signature.
const SERVICE: &str = "execute-api";

/// AWS credentials, and the region to call.
pub struct Signer {
    credentials: Credentials,
    region: String,
}

/// What `aws configure export-credentials` prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exported {
    access_key_id: String,
    secret_access_key: SecretString,
    session_token: Option<SecretString>,
}

impl Signer {
    /// Uses the credentials of the named profile, otherwise those of the environment, otherwise those
    /// that `aws` would use.
    pub async fn find(api: &Url, place: &Place) -> anyhow::Result<Self> {
        let region = region_of(api).or_else(|| {
            if let Some(region) = &place.region {
                return Some(region.clone());
            }
            let names = ["AWS_REGION", "AWS_DEFAULT_REGION"];
            names.into_iter().find_map(surroundings::text)
        });
        let region = region.with_context(|| {
            let api = api.as_str().trim_end_matches('/');
            format!("the region of {api} is not known, and the signature needs it; set AWS_REGION")
        })?;
        let exported = match of_environment() {
            Some(exported) if place.profile.is_none() => exported,
            _ => of_aws(&place.aws()).await?,
        };
        let credentials = Credentials::new(
            exported.access_key_id,
            exported.secret_access_key.expose_secret(),
            exported
                .session_token
                .map(|token| token.expose_secret().to_owned()),
            None,
            "towline",
        );
        Ok(Self {
            credentials,
            region,
        })
    }

    /// Signs a request, which must not change afterwards.
    pub fn sign(&self, request: &mut Request) -> anyhow::Result<()> {
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(SERVICE)
            .time(SystemTime::from(SystemClock.now()))
            .settings(SigningSettings::default())
            .build()
            .context("signing the call")?;
        let body = match request.body() {
            Some(body) => body.as_bytes().context("a stream cannot be signed")?,
            None => &[],
        };
        let headers = request.headers().iter();
        let headers: Result<Vec<_>, _> = headers
            .map(|(name, value)| value.to_str().map(|value| (name.as_str(), value)))
            .collect();
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.url().as_str(),
            headers.context("signing the call")?.into_iter(),
            SignableBody::Bytes(body),
        );
        let signed = sign(signable.context("signing the call")?, &params.into());
        let (instructions, _) = signed.context("signing the call")?.into_parts();
        let (headers, _) = instructions.into_parts();
        for header in headers {
            let mut value = reqwest::header::HeaderValue::from_str(header.value())?;
            value.set_sensitive(header.sensitive());
            request.headers_mut().insert(header.name(), value);
        }
        Ok(())
    }
}

/// The region in an address such as `https://a1b2c3.execute-api.eu-west-1.amazonaws.com`.
fn region_of(api: &Url) -> Option<String> {
    let mut labels = api.host_str()?.split('.').skip(1);
    (labels.next()? == SERVICE).then(|| labels.next().map(str::to_owned))?
}

fn of_environment() -> Option<Exported> {
    Some(Exported {
        access_key_id: surroundings::text("AWS_ACCESS_KEY_ID")?,
        secret_access_key: surroundings::text("AWS_SECRET_ACCESS_KEY")?.into(),
        session_token: surroundings::text("AWS_SESSION_TOKEN").map(SecretString::from),
    })
}

/// The credentials of the `aws` command line. Version 1 cannot export them, but has long-lived keys.
async fn of_aws(aws: &AwsCli) -> anyhow::Result<Exported> {
    let export = aws.call("configure", "export-credentials");
    let refused = match export.option("--format", "process").json().await {
        Ok(exported) => return Ok(exported),
        Err(error @ AwsError::Missing) => {
            return Err(anyhow!(
                "{error}; or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ));
        }
        Err(error) => error,
    };
    let get = async |name| aws.call("configure", "get").word(name).text().await.ok();
    let keys = (
        get("aws_access_key_id").await,
        get("aws_secret_access_key").await,
    );
    let (Some(access_key_id), Some(secret_access_key)) = keys else {
        let reason = match refused {
            AwsError::Refused { said, .. } | AwsError::Credentials { said } => said,
            AwsError::Missing
            | AwsError::Start { .. }
            | AwsError::Unreadable { .. }
            | AwsError::Value(_) => refused.to_string(),
        };
        return Err(anyhow!(
            "there are no AWS credentials to sign with: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or sign in with `aws configure` or `aws sso login` and AWS_PROFILE ({reason})"
        ));
    };
    Ok(Exported {
        access_key_id,
        secret_access_key: secret_access_key.into(),
        session_token: get("aws_session_token").await.map(SecretString::from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_an_api_tells_its_region() {
        let check = |address: &str, expected: Option<&str>| {
            let url: Url = address.parse().expect("an address");
            assert_eq!(region_of(&url).as_deref(), expected, "{address}");
        };
        check(
            "https://a1b2.execute-api.eu-west-1.amazonaws.com",
            Some("eu-west-1"),
        );
        check(
            "https://a1b2.execute-api.cn-north-1.amazonaws.com.cn/prod",
            Some("cn-north-1"),
        );
        check("https://towline.acme.example", None);
        check("http://127.0.0.1:8017", None);
    }
}
