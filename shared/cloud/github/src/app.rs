//! Tokens of a GitHub App, each for one repository.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use hyper::{Method, StatusCode};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use towline_domain::names::RepositoryId;
use towline_ports::PortError;
use towline_ports::admission::is_local;

use crate::address::Path;
use crate::call::{Call, Failure, Purpose, bearer};
use crate::http::{Ask, JSON, MOST};
use crate::key::AppKey;
use crate::lock;

/// How long before its end a token is renewed; it is valid for an hour (GitHub REST API,
/// "Create an installation access token for an app").
const EARLY: Duration = Duration::from_secs(300);

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
    token: SecretString,
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
        let token = SecretString::from(given.token.expose_secret().trim());
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
        unless: None,
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
            return Err(Failure::Denied(format!(
                "{doing}: the GitHub App is not installed on {name}; install it there"
            )));
        }
        _ => return Err(answer.error(doing).into()),
    };
    let permissions = match call.purpose {
        Purpose::Read => json!({"contents": "read"}),
        Purpose::Status => json!({"statuses": "write"}),
        Purpose::Hooks => json!({"repository_hooks": "write"}),
    };
    let id = call.repository.id;
    // By its id if GitHub returned it, so that a token never reaches a repository that took over the name
    // (A8).
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
        _ => Err(Failure::Denied(format!(
            "{doing}: GitHub answered {}; the GitHub App needs the permission {permissions} for \
             it, accepted by the owner",
            answer.refusal()
        ))),
    }
}
