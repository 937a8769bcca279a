//! The ports [`Source`](towline_ports::Source) and [`Statuses`](towline_ports::Statuses) on
//! GitHub's REST API, for short-lived functions.
//!
//! Every address is built from constants and percent-encoded parts (A24), never from a payload. A
//! redirect is followed only to the requested repository. Facts about GitHub are noted where they are
//! used, with the page of its documentation.
//!
//! It shares the HTTPS client with AWS, and connects on first use.

mod address;
mod app;
mod call;
mod compare;
mod credentials;
mod deliveries;
mod http;
mod key;
mod pace;
mod refs;
mod source;
mod statuses;

#[cfg(feature = "memory")]
pub mod memory;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::Uri;
use hyper::http::uri::{Authority, Scheme};
use jiff::Timestamp;
use towline_domain::names::{RepositoryId, RepositoryName};
use towline_ports::Clock;

pub use credentials::{Credentials, CredentialsError, CredentialsSource, FromSecret};
pub use deliveries::Webhooks;
pub use key::KeyError;

/// The address of GitHub's API, and settings for requests.
#[derive(Debug, Clone)]
pub struct Settings {
    pub api: Api,
    /// The user agent, which GitHub requires (GitHub REST API, "Getting started", User-Agent).
    pub user_agent: String,
    /// The time for one call of a port, including waits and retries. One request may take half of it.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api: Api::default(),
            user_agent: concat!("towline/", env!("CARGO_PKG_VERSION")).to_owned(),
            patience: Duration::from_secs(20),
        }
    }
}

/// The base address of GitHub's API: `https://api.github.com`, or `https://HOST/api/v3` of a
/// GitHub Enterprise Server. Plain `http` is accepted for this machine only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    scheme: Scheme,
    authority: Authority,
    prefix: String,
}

/// Why a text is not a base address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the address of GitHub's API: {reason}")]
pub struct ApiError {
    text: String,
    reason: &'static str,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            scheme: Scheme::HTTPS,
            authority: Authority::from_static("api.github.com"),
            prefix: String::new(),
        }
    }
}

impl FromStr for Api {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let refuse = |reason| ApiError {
            text: text.chars().take(200).collect(),
            reason,
        };
        let uri: Uri = text
            .parse()
            .map_err(|_| refuse("it is not an address; use https://api.github.com"))?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(refuse("it needs https:// and a host"));
        };
        if authority.as_str().contains('@') {
            let error = ApiError {
                text: authority.host().to_owned(),
                reason: "credentials belong in the secret, not in the address",
            };
            return Err(error);
        }
        let host = authority.host();
        let loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        if scheme != Scheme::HTTPS && !(scheme == Scheme::HTTP && loopback) {
            return Err(refuse("only https keeps the credentials secret"));
        }
        let path = parts.path_and_query;
        if path.as_ref().is_some_and(|path| path.query().is_some()) {
            return Err(refuse("it may not have a query"));
        }
        let prefix = path.map_or_else(String::new, |path| {
            path.path().trim_end_matches('/').to_owned()
        });
        Ok(Self {
            scheme,
            authority,
            prefix,
        })
    }
}

impl fmt::Display for Api {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scheme,
            authority,
            prefix,
        } = self;
        write!(formatter, "{scheme}://{authority}{prefix}")
    }
}

/// GitHub as the source of code and the place for statuses.
///
/// One per process. Contains the connections, the installation tokens, the pauses for rate limits, and
/// the repositories that were checked.
pub struct GitHub {
    settings: Settings,
    credentials: Arc<dyn CredentialsSource>,
    clock: Arc<dyn Clock>,
    client: http::Client,
    tokens: app::Tokens,
    pauses: pace::Pauses,
    budgets: pace::Budgets,
    identified: Mutex<HashMap<RepositoryId, (RepositoryName, Timestamp)>>,
}

impl GitHub {
    /// Does not connect yet, and reads the credentials when it first needs them.
    #[must_use]
    pub fn new(
        settings: Settings,
        credentials: Arc<dyn CredentialsSource>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            client: http::Client::new(&settings),
            settings,
            credentials,
            clock,
            tokens: app::Tokens::default(),
            pauses: pace::Pauses::default(),
            budgets: pace::Budgets::default(),
            identified: Mutex::default(),
        }
    }
}

/// The data in these locks stays valid after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_is_reached_over_https_or_on_this_machine() {
        let shown = |text: &str| match text.parse::<Api>() {
            Ok(api) => api.to_string(),
            Err(error) => error
                .reason
                .split(' ')
                .take(3)
                .collect::<Vec<_>>()
                .join(" "),
        };
        for (text, expected) in [
            ("https://api.github.com", "https://api.github.com"),
            ("https://api.github.com/", "https://api.github.com"),
            ("https://ghe.example/api/v3/", "https://ghe.example/api/v3"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:1/x", "http://[::1]:1/x"),
            ("http://api.github.com", "only https keeps"),
            ("http://127.0.0.1.evil.example", "only https keeps"),
            ("ftp://127.0.0.1", "only https keeps"),
            ("https://a:b@api.github.com", "credentials belong in"),
            ("https://api.github.com?x=1", "it may not"),
            ("api.github.com", "it needs https://"),
            ("", "it is not"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        let error = "https://me:hunter2@x"
            .parse::<Api>()
            .expect_err("no credentials");
        assert!(!error.to_string().contains("hunter2"));
    }
}
