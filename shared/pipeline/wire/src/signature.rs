//! GitHub's signature of the raw bytes of a webhook, checked before anything is parsed.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::Sha256;

use crate::http::Headers;

/// The only header that counts; the older SHA-1 header is ignored (A1).
pub const HEADER: &str = "x-hub-signature-256";

/// Length of the shortest accepted secret, in bytes (A3).
pub const SHORTEST_SECRET: usize = 32;

/// A body whose signature was checked. There is no other way to create one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBody(Vec<u8>);

impl VerifiedBody {
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A shared key of at least [`SHORTEST_SECRET`] bytes.
#[derive(Debug, Clone)]
pub struct Secret(SecretSlice<u8>);

impl Secret {
    /// Accepts a secret from the environment or a file. A final line end is ignored.
    ///
    /// # Errors
    /// When it is shorter than [`SHORTEST_SECRET`] bytes or white space surrounds it (A3).
    pub fn new(text: &str) -> Result<Self, SecretError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.trim().is_empty() {
            return Err(SecretError::Blank);
        }
        if text.trim() != text {
            return Err(SecretError::Surrounded);
        }
        if text.len() < SHORTEST_SECRET {
            return Err(SecretError::Short(text.len()));
        }
        Ok(Self(text.as_bytes().to_vec().into()))
    }

    fn bytes(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

/// Why a text is not a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Nothing was given.
    #[error(
        "the secret is empty; set one of at least {SHORTEST_SECRET} characters, for example from `openssl rand -hex 32`"
    )]
    Blank,
    /// White space, probably by mistake.
    #[error("the secret begins or ends with white space; remove it")]
    Surrounded,
    /// Too easy to guess.
    #[error(
        "the secret has {0} bytes and needs at least {SHORTEST_SECRET}; create one with `openssl rand -hex 32` and set it here and on GitHub"
    )]
    Short(usize),
}

/// The keys that are valid now: one, or two while rotating (A4).
#[derive(Debug, Clone)]
pub struct Secrets {
    current: Secret,
    previous: Option<Secret>,
}

impl Secrets {
    /// The current key and, while rotating, the previous one.
    #[must_use]
    pub fn new(current: Secret, previous: Option<Secret>) -> Self {
        Self { current, previous }
    }

    /// Whether a code for these parts was made with one of the keys, compared in constant time.
    pub(crate) fn have_signed(&self, parts: &[&[u8]], code: &[u8; 32]) -> bool {
        let keys = [Some(&self.current), self.previous.as_ref()];
        keys.into_iter()
            .flatten()
            .any(|secret| mac(secret.bytes(), parts).verify_slice(code).is_ok())
    }
}

/// Why a body is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is none.
    #[error("the header X-Hub-Signature-256 is missing; set the same secret on GitHub and here")]
    Missing,
    /// There are several.
    #[error("the header X-Hub-Signature-256 is repeated")]
    Several,
    #[error("the header X-Hub-Signature-256 is not `sha256=` and 64 lower-case hexadecimal digits")]
    Malformed,
    /// It is not ours.
    #[error(
        "the signature does not match the body; check that the secret on GitHub is the one set here"
    )]
    Wrong,
}

/// Checks the signature of a body.
///
/// # Errors
/// When there is not exactly one well-formed signature, or it is from another key or body.
pub fn verify(
    headers: &Headers,
    raw_body: Vec<u8>,
    secrets: &Secrets,
) -> Result<VerifiedBody, SignatureError> {
    let expected = claimed(headers)?;
    if secrets.have_signed(&[&raw_body], &expected) {
        Ok(VerifiedBody(raw_body))
    } else {
        Err(SignatureError::Wrong)
    }
}

/// The code that the headers claim for a body. The body may not have arrived yet.
///
/// # Errors
/// When there is not exactly one well-formed signature.
pub fn claimed(headers: &Headers) -> Result<[u8; 32], SignatureError> {
    let mut values = headers.all(HEADER);
    let value = values.next().ok_or(SignatureError::Missing)?;
    if values.next().is_some() {
        return Err(SignatureError::Several);
    }
    parse(value, "sha256=").ok_or(SignatureError::Malformed)
}

/// The value of [`HEADER`] for a body that we send.
#[must_use]
pub fn sign(secret: &Secret, body: &[u8]) -> String {
    signature(secret.bytes(), body)
}

fn signature(key: &[u8], body: &[u8]) -> String {
    format!("sha256={}", code(key, &[body]))
}

/// The code for these parts, in hexadecimal.
pub(crate) fn code_of(secret: &Secret, parts: &[&[u8]]) -> String {
    code(secret.bytes(), parts)
}

fn code(key: &[u8], parts: &[&[u8]]) -> String {
    hex::encode(mac(key, parts).finalize().into_bytes())
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

/// The code behind a prefix, in lower-case hexadecimal.
pub(crate) fn parse(value: &str, prefix: &str) -> Option<[u8; 32]> {
    let digits = value.strip_prefix(prefix)?;
    if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut code = [0; 32];
    hex::decode_to_slice(digits, &mut code).ok()?;
    Some(code)
}

#[cfg(test)]
mod tests;
