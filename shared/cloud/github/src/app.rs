//! A GitHub App's proof of identity, and its tokens for one repository each.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use towline_domain::names::RepositoryId;
use towline_ports::PortError;
use towline_ports::admission::is_local;

use crate::address::Path;
use crate::call::{Call, Failure, Purpose, bearer};
use crate::credentials::KeyError;
use crate::http::{Ask, JSON, MOST};
use crate::lock;

/// How long before its end a token is renewed; it is valid for an hour (GitHub REST API,
/// "Create an installation access token for an app").
const EARLY: Duration = Duration::from_secs(300);

/// GitHub's clock may be behind ours ("Generating a JSON Web Token (JWT) for a GitHub App").
const BACKDATED: i64 = 60;

/// How long a proof is valid; the maximum is 600 seconds (same page).
const GOOD_FOR: i64 = 540;

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
            _ => return Err(KeyError::NotRsa),
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

/// The valid tokens of installations.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<(RepositoryId, Purpose), Minted>>);

struct Minted {
    token: SecretString,
    expires: Timestamp,
    /// The App they are for, in case the secret changes to another one.
    app: String,
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
}

#[derive(Deserialize)]
struct Given {
    token: String,
    expires_at: Timestamp,
}

impl Tokens {
    /// The token for a call; none if GitHub rejects the App.
    pub(crate) async fn of(
        &self,
        call: &Call<'_>,
        id: &str,
        private_key: &SecretString,
    ) -> Result<Option<SecretString>, Failure> {
        let key = (call.repository.id, call.purpose);
        let now = call.github.clock.now();
        if let Some(minted) = lock(&self.0).get(&key)
            && minted.app == id
            && minted.expires.duration_since(now).unsigned_abs() > EARLY
            && minted.expires > now
        {
            return Ok(Some(minted.token.clone()));
        }
        let app = AppKey::new(id, private_key)
            .map_err(|cause| PortError::new("using the GitHub App's private key", cause))?;
        let Some(given) = mint(call, &app).await? else {
            return Ok(None);
        };
        let token = SecretString::from(given.token.trim());
        let minted = Minted {
            token: token.clone(),
            expires: given.expires_at,
            app: id.to_owned(),
        };
        let mut tokens = lock(&self.0);
        tokens.retain(|_, minted| minted.expires > now);
        tokens.insert(key, minted);
        Ok(Some(token))
    }

    /// Removes the token that a call used.
    pub(crate) fn forget(&self, call: &Call<'_>) {
        lock(&self.0).remove(&(call.repository.id, call.purpose));
    }
}

/// Requests a token for only the call's repository and purpose.
async fn mint(call: &Call<'_>, app: &AppKey) -> Result<Option<Given>, Failure> {
    let name = &call.repository.name;
    let doing = &format!("asking GitHub for a token for {name}");
    let proof = bearer(&app.prove(call.github.clock.now())?)?;
    let ask = Ask {
        method: Method::GET,
        accept: JSON,
        body: None,
        most: MOST,
    };
    let path = call.path().then("/installation");
    let answer = call
        .exchange(doing, &path, &ask, Some(proof.clone()))
        .await?;
    let installation: Installation = match answer.status {
        StatusCode::OK => answer.json(doing)?,
        StatusCode::UNAUTHORIZED => return Ok(None),
        StatusCode::NOT_FOUND => {
            return Err(Failure::Never(format!(
                "{doing}: the GitHub App is not installed on {name}; install it there"
            )));
        }
        _ => return Err(answer.error(doing).into()),
    };
    let permissions = match call.purpose {
        Purpose::Read => json!({"contents": "read"}),
        Purpose::Status => json!({"statuses": "write"}),
    };
    let id = call.repository.id;
    // By its id if GitHub returned it, so that a token never reaches a repository that took over the name (A8).
    let body = if is_local(id) {
        let name = name.as_str().rsplit('/').next();
        json!({"repositories": [name], "permissions": permissions})
    } else {
        json!({"repository_ids": [id.0], "permissions": permissions})
    };
    let ask = Ask {
        method: Method::POST,
        body: Some(body.to_string().into()),
        ..ask
    };
    let path = Path::new("/app/installations")
        .number(installation.id)
        .then("/access_tokens");
    let answer = call.exchange(doing, &path, &ask, Some(proof)).await?;
    match answer.status {
        StatusCode::CREATED => Ok(Some(answer.json(doing)?)),
        StatusCode::UNAUTHORIZED => Ok(None),
        _ => Err(Failure::Never(format!(
            "{doing}: GitHub answered {}; the GitHub App needs the permission {permissions} for \
             it, accepted by the owner",
            answer.refusal()
        ))),
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
