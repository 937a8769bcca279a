//! A GitHub App's private key, and the JSON Web Tokens it signs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use towline_ports::PortError;

/// GitHub's clock may be behind ours ("Generating a JSON Web Token (JWT) for a GitHub App").
const BACKDATED: i64 = 60;

/// How long a proof is valid; the maximum is 600 seconds (same page).
const GOOD_FOR: i64 = 540;

/// Why a private key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error(
        "is not a private key in PEM; paste the whole file from GitHub, with its BEGIN and END \
         lines included, and line ends as \\n"
    )]
    NotPem,
    #[error(
        "is not an RSA key of 2048 to 4096 bits; generate a private key in the settings of the \
         GitHub App"
    )]
    NotRsa,
}

/// An App and the key it signs with.
pub(crate) struct AppKey {
    id: String,
    pair: RsaKeyPair,
}

impl AppKey {
    pub(crate) fn new(id: &str, private_key: &SecretString) -> Result<Self, KeyError> {
        // When people paste a key into JSON, line breaks often become a backslash and an n.
        let pem = private_key.expose_secret().replace("\\n", "\n");
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| KeyError::NotPem)?;
        let pair = match &key {
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            // rustls may learn further kinds.
            PrivateKeyDer::Sec1(_) | _ => return Err(KeyError::NotRsa),
        };
        Ok(Self {
            id: id.to_owned(),
            pair: pair.map_err(|_| KeyError::NotRsa)?,
        })
    }

    /// A JSON Web Token that proves for nine minutes that we are the App.
    pub(crate) fn prove(&self, now: Timestamp) -> Result<String, PortError> {
        let now = now.as_second();
        let encode = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let header = encode(json!({"alg": "RS256", "typ": "JWT"}));
        let claims = encode(json!({
            "iat": now - BACKDATED,
            "exp": now + GOOD_FOR,
            "iss": self.id,
        }));
        let signed = format!("{header}.{claims}");
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .map_err(|_| PortError::because("signing the GitHub App's proof"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_begins_a_minute_ago_and_ends_within_ten() {
        let pem = SecretString::from(include_str!("memory/app-key.pem"));
        let app = AppKey::new("Iv23.towline", &pem).expect("a key");
        let now = Timestamp::from_second(1_000_000).expect("a time");
        let proof = app.prove(now).expect("it is signed");
        let parts: Vec<_> = proof.split('.').collect();
        let read = |part: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64");
            String::from_utf8(bytes).expect("text")
        };
        assert_eq!(read(parts[0]), r#"{"alg":"RS256","typ":"JWT"}"#);
        let claims = r#"{"exp":1000540,"iat":999940,"iss":"Iv23.towline"}"#;
        assert_eq!(read(parts[1]), claims);
        assert_eq!(parts.len(), 3);
    }
}
