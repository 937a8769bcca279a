//! Finds tokens and secrets in the environment or in files. Arguments are never used, because everyone
//! on the machine can read them.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use reqwest::Url;
use secrecy::SecretString;

use towline_console::surroundings;

/// The default data folder of `towline serve`.
pub const DATA_FOLDER: &str = ".towline-data";

/// How a caller authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    Token,
    /// By a signature with AWS credentials.
    Sigv4,
}

/// The method of this caller: from `--sigv4` or `TOWLINE_AUTH`.
///
/// # Errors
/// When `TOWLINE_AUTH` holds another word.
pub fn auth(sigv4: bool) -> anyhow::Result<Auth> {
    match surroundings::text("TOWLINE_AUTH").as_deref() {
        _ if sigv4 => Ok(Auth::Sigv4),
        None | Some("token") => Ok(Auth::Token),
        Some("sigv4") => Ok(Auth::Sigv4),
        Some(other) => Err(anyhow!(
            "TOWLINE_AUTH is {other:?}; set it to token or sigv4"
        )),
    }
}

/// The caller's token, if one is found.
///
/// If it is not set, the file that `towline serve` wrote in the same folder is used. That token is sent
/// only to this machine.
pub fn token(asked: &Url) -> anyhow::Result<Option<SecretString>> {
    found("TOWLINE_TOKEN", asked, "owner.token")
}

/// The secret that signs webhooks; found like [`token`].
pub fn webhook_secret(asked: &Url) -> anyhow::Result<Option<SecretString>> {
    found("TOWLINE_GITHUB_WEBHOOK_SECRET", asked, "webhook.secret")
}

/// Whether an address is a loopback address of this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            bare.parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
        }
        None => false,
    }
}

fn found(variable: &str, asked: &Url, left: &str) -> anyhow::Result<Option<SecretString>> {
    if let Some(text) = surroundings::secret(variable)? {
        return Ok(Some(text.trim_end().into()));
    }
    let path = Path::new(DATA_FOLDER).join(left);
    if !is_loopback(asked) || !path.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    match text.trim_end() {
        "" => Err(anyhow!(
            "{} is empty; delete it, and restart `towline serve`, which makes a new one",
            path.display()
        )),
        text => Ok(Some(text.into())),
    }
}
