//! Our credentials for GitHub, and where they come from.

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use towline_ports::{KeptSecret, PortError};
use towline_wire::github::{Access, AccessError};

use crate::key::{AppKey, KeyError};

#[derive(Debug, Clone)]
pub enum Credentials {
    /// None: public repositories can be read, 60 times an hour, and no status is shown.
    None,
    /// A personal access token with "Contents: read" and "Commit statuses: write" for the repositories
    /// (classic: `repo`).
    Token(SecretString),
    /// A GitHub App with the same permissions, installed on the repositories.
    App {
        /// Its client id (which GitHub recommends) or its number.
        id: String,
        /// Its private key in PEM, as downloaded from GitHub (PKCS#1), or as PKCS#8.
        private_key: SecretString,
    },
    /// The secret cannot be used.
    Unusable(CredentialsError),
}

/// Why a text does not contain credentials. Says how to fix that, and never shows the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    #[error("GitHub's secret {0}")]
    Written(AccessError),
    /// The private key cannot be used.
    #[error("the private_key of GitHub's secret {0}")]
    Key(#[from] KeyError),
}

impl Credentials {
    /// Reads a secret in the form of [`Access`].
    ///
    /// # Errors
    /// When it has another form, or the private key cannot be used.
    pub fn from_json(text: &str) -> Result<Self, CredentialsError> {
        Ok(
            match Access::read(text).map_err(CredentialsError::Written)? {
                Access::None => Self::None,
                Access::Token(token) => Self::Token(token),
                Access::App { id, private_key } => {
                    AppKey::new(&id, &private_key)?;
                    Self::App { id, private_key }
                }
            },
        )
    }
}

/// The source of credentials: a secret that may change while we run.
#[async_trait]
pub trait CredentialsSource: Send + Sync {
    /// The credentials, possibly some minutes old. Called before every request, so a remote secret is
    /// cached.
    async fn read(&self) -> Result<Credentials, PortError>;

    /// The current credentials. Called once after GitHub rejected the previous ones.
    async fn reread(&self) -> Result<Credentials, PortError>;
}

/// Credentials as JSON in a secret store.
#[derive(Debug)]
pub struct FromSecret<S>(pub S);

#[async_trait]
impl<S: KeptSecret> CredentialsSource for FromSecret<S> {
    async fn read(&self) -> Result<Credentials, PortError> {
        Ok(said(self.0.text(false).await?))
    }

    async fn reread(&self) -> Result<Credentials, PortError> {
        Ok(said(self.0.text(true).await?))
    }
}

fn said(secret: Option<SecretString>) -> Credentials {
    let Some(secret) = secret else {
        return Credentials::None;
    };
    Credentials::from_json(secret.expose_secret()).unwrap_or_else(Credentials::Unusable)
}

/// Credentials that do not change.
#[async_trait]
impl CredentialsSource for Credentials {
    async fn read(&self) -> Result<Credentials, PortError> {
        Ok(self.clone())
    }

    async fn reread(&self) -> Result<Credentials, PortError> {
        Ok(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: &str = include_str!("memory/app-key.pem");

    fn check(text: &str, expected: &str) {
        let shown = match Credentials::from_json(text) {
            Ok(Credentials::None) => "none".into(),
            Ok(Credentials::Token(token)) => format!("token {}", token.expose_secret()),
            Ok(Credentials::App { id, .. }) => format!("app {id}"),
            Ok(Credentials::Unusable(error)) | Err(error) => error.to_string(),
        };
        assert!(shown.starts_with(expected), "{text}: {shown}");
    }

    #[test]
    fn a_secret_holds_nothing_a_token_or_an_app() {
        for nothing in ["", "unset", "unset\n", "{}", " {} "] {
            check(nothing, "none");
        }
        check(r#"{"token": " ghp_x\n"}"#, "token ghp_x");
        let long = "x".repeat(5000);
        check(
            &json!({"token": long}).to_string(),
            &format!("token {long}"),
        );
        let app = |id: serde_json::Value, key: &str| {
            json!({"app_id": id, "private_key": key}).to_string()
        };
        check(&app(json!("Iv23.x"), KEY), "app Iv23.x");
        check(&app(json!(1234), KEY), "app 1234");
        check(&app(json!("1234"), &KEY.replace('\n', "\\n")), "app 1234");
        check(&app(json!("1234"), &KEY.replace('\n', "\r\n")), "app 1234");
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_said_without_showing_it() {
        let app = |key: &str| json!({"app_id": "1", "private_key": key}).to_string();
        let key = |kind: &str, content: &str| {
            format!("-----BEGIN {kind}-----\n{content}\n-----END {kind}-----")
        };
        let elliptic = "EC PRIVATE KEY";
        for (text, expected) in [
            (
                "hunter2",
                "GitHub's secret is not a JSON object (line 1, column 1)",
            ),
            (
                r#"{"token": "hunter2""#,
                "GitHub's secret is not a JSON object",
            ),
            (
                r#""hunter2""#,
                "GitHub's secret has an unknown key or value",
            ),
            (
                r#"["hunter2"]"#,
                "GitHub's secret has an unknown key or value",
            ),
            (
                r#"{"tokne": "hunter2"}"#,
                "GitHub's secret has an unknown key or value",
            ),
            (
                r#"{"hunter2": 1}"#,
                "GitHub's secret has an unknown key or value",
            ),
            (
                r#"{"token": ["hunter2"]}"#,
                "GitHub's secret has an unknown key or value",
            ),
            (r#"{"token": ""}"#, "GitHub's secret has an empty token"),
            (
                r#"{"token": "hunter2\n\nx"}"#,
                "GitHub's secret has a token with",
            ),
            (
                r#"{"token": "hünter2"}"#,
                "GitHub's secret has a token with",
            ),
            (
                r#"{"app_id": "hunter2"}"#,
                "GitHub's secret has app_id, but no",
            ),
            (
                r#"{"private_key": "hunter2"}"#,
                "GitHub's secret has private_key, but no",
            ),
            (
                r#"{"app_id": " ", "private_key": "hunter2"}"#,
                "GitHub's secret has an invalid app_id",
            ),
            (
                r#"{"token": "hunter2", "app_id": "1", "private_key": "x"}"#,
                "GitHub's secret has a token and a GitHub App",
            ),
            (
                &app("hunter2"),
                "GitHub's secret has an incomplete private_key",
            ),
            (
                &app(&KEY[..KEY.len() / 2]),
                "GitHub's secret has an incomplete private_key",
            ),
            (
                &app(&key(elliptic, "SFVOVEVSMg==")),
                "GitHub's secret has an incomplete private_key",
            ),
            (
                &app(&key("PRIVATE KEY", "hunter2!")),
                "the private_key of GitHub's secret is not a private key in PEM",
            ),
            (
                &app(&key("PRIVATE KEY", "SFVOVEVSMg==")),
                "the private_key of GitHub's secret is not an RSA key",
            ),
        ] {
            check(text, expected);
            let error = Credentials::from_json(text).expect_err("it is wrong");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("unter2"), "{shown}");
        }
        let token = Credentials::Token(SecretString::from("hunter2"));
        assert_eq!(format!("{token:?}"), "Token(SecretBox<str>([REDACTED]))");
    }
}
