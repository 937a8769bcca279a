//! Callers of the GitHub in memory, and their permissions.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::reply::{Reply, refuse, reply};
use super::{APP_KEY, Hook, MemoryGitHub, Repository};

/// How long an installation's token is valid.
const GOOD_FOR: Duration = Duration::from_secs(3600);

/// The longest lifetime of a proof, in seconds.
const LONGEST: i64 = 600;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The repositories; none for all.
    pub repositories: Option<Vec<u64>>,
    /// The permissions there: `contents` to `read`, `statuses` to `write`.
    pub permissions: BTreeMap<String, String>,
    pub expires: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The names it may use: its client id and its number.
    pub issuers: Vec<String>,
    /// The public part of its key: `RSAPublicKey` in DER (PKCS#1).
    pub public_key: Vec<u8>,
    pub installations: Vec<Installation>,
    /// Its own webhook.
    pub hook: Option<Hook>,
}

/// Where an App is installed, and its permissions there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    pub id: u64,
    pub repositories: Vec<u64>,
    pub permissions: BTreeMap<String, String>,
}

pub(super) enum Asking {
    Nobody,
    Token(Token),
    /// By its index in the list.
    App(usize),
}

#[derive(Deserialize)]
struct Claims {
    iat: i64,
    exp: i64,
    iss: Value,
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    repository_ids: Option<Vec<u64>>,
    #[serde(default)]
    repositories: Option<Vec<String>>,
    #[serde(default)]
    permissions: Option<BTreeMap<String, String>>,
}

impl Token {
    /// A token with all permissions that never expires.
    #[must_use]
    pub fn of_everything() -> Self {
        Self {
            repositories: None,
            permissions: permissions(&[
                ("contents", "write"),
                ("organization_hooks", "write"),
                ("repository_hooks", "write"),
                ("statuses", "write"),
            ]),
            expires: None,
        }
    }
}

impl App {
    /// An App with this id and the key [`APP_KEY`], installed on these repositories to read
    /// contents and to write statuses.
    ///
    /// # Panics
    ///
    /// When the key is broken: never.
    #[must_use]
    pub fn new(id: &str, repositories: Vec<u64>) -> Self {
        let key = PrivatePkcs8KeyDer::from_pem_slice(APP_KEY.as_bytes()).expect("a key in PEM");
        let pair = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).expect("an RSA key");
        Self {
            issuers: vec![id.to_owned()],
            public_key: pair.public_key().as_ref().to_vec(),
            hook: None,
            installations: vec![Installation {
                id: 1,
                repositories,
                permissions: permissions(&[
                    ("contents", "read"),
                    ("metadata", "read"),
                    ("statuses", "write"),
                ]),
            }],
        }
    }
}

impl Asking {
    /// Whether a repository is visible.
    pub(super) fn sees(&self, repository: &Repository) -> bool {
        let given = match self {
            Self::Token(token) => token
                .repositories
                .as_ref()
                .is_none_or(|ids| ids.contains(&repository.id)),
            Self::Nobody | Self::App(_) => false,
        };
        given || !repository.private
    }

    /// Whether an action is allowed in a visible repository.
    pub(super) fn may(&self, repository: &Repository, what: &str, how: &str) -> bool {
        let Self::Token(token) = self else {
            return how == "read" && !repository.private;
        };
        let here = token.repositories.as_ref();
        let here = here.is_none_or(|ids| ids.contains(&repository.id));
        let granted = token.permissions.get(what).map(String::as_str);
        (how == "read" && !repository.private)
            || (here && (granted == Some(how) || granted == Some("write")))
    }
}

impl MemoryGitHub {
    pub(super) fn asking(&self, headers: &HeaderMap) -> Result<Asking, Reply> {
        let Some(header) = headers.get("authorization") else {
            return Ok(Asking::Nobody);
        };
        let bad = || refuse(StatusCode::UNAUTHORIZED, "Bad credentials");
        let (kind, secret) = header
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .ok_or_else(bad)?;
        if !matches!(kind.to_ascii_lowercase().as_str(), "bearer" | "token") {
            return Err(bad());
        }
        let now = self.clock.now();
        match self.tokens.get(secret) {
            Some(token) if token.expires.is_none_or(|end| end > now) => {
                Ok(Asking::Token(token.clone()))
            }
            Some(_) => Err(bad()),
            None => self.prove(secret, now).map(Asking::App),
        }
    }

    /// The App that a JSON Web Token proves, or GitHub's error message.
    fn prove(&self, text: &str, now: Timestamp) -> Result<usize, Reply> {
        let bad = |why| refuse(StatusCode::UNAUTHORIZED, why);
        let undecoded = "A JSON web token could not be decoded";
        let read = |part: &str| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        let [header, claims, signature] = text.split('.').collect::<Vec<_>>()[..] else {
            return Err(bad("Bad credentials"));
        };
        let signed = format!("{header}.{claims}");
        let header = read(header).ok_or_else(|| bad(undecoded))?;
        let claims = read(claims).and_then(|claims| serde_json::from_value(claims).ok());
        let claims: Claims = claims.ok_or_else(|| bad(undecoded))?;
        let signature = URL_SAFE_NO_PAD.decode(signature);
        let signature = signature.map_err(|_| bad(undecoded))?;
        let issuer = claims.iss.as_str();
        let issuer = issuer.map_or_else(|| claims.iss.to_string(), str::to_owned);
        let place = self.apps.iter().position(|app| {
            let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &app.public_key);
            app.issuers.contains(&issuer) && key.verify(signed.as_bytes(), &signature).is_ok()
        });
        let place = place.ok_or_else(|| bad(undecoded))?;
        let now = now.as_second();
        if header["alg"] != "RS256" {
            return Err(bad(undecoded));
        }
        if claims.iat > now {
            return Err(bad(
                "'Issued at' claim ('iat') must be an Integer representing \
                            the time that the assertion was issued",
            ));
        }
        if claims.exp <= now || claims.exp > now + LONGEST {
            return Err(bad(
                "'Expiration time' claim ('exp') must be a numeric value \
                            representing the future time at which the assertion expires",
            ));
        }
        Ok(place)
    }

    /// `GET /repos/{owner}/{repo}/installation`
    pub(super) fn installation(&self, asking: &Asking, repository: u64) -> Reply {
        let Asking::App(app) = asking else {
            return refuse(
                StatusCode::UNAUTHORIZED,
                "A JSON web token could not be decoded",
            );
        };
        let mut all = self.apps[*app].installations.iter();
        match all.find(|installation| installation.repositories.contains(&repository)) {
            Some(installation) => reply(
                StatusCode::OK,
                json!({
                    "id": installation.id,
                    "app_slug": "towline",
                    "repository_selection": "selected",
                    "permissions": installation.permissions,
                    "events": ["push"],
                }),
            ),
            None => refuse(StatusCode::NOT_FOUND, "Not Found"),
        }
    }

    /// `POST /app/installations/{id}/access_tokens`
    pub(super) fn access_token(&mut self, asking: &Asking, id: &str, body: &[u8]) -> Reply {
        let Asking::App(app) = asking else {
            return refuse(
                StatusCode::UNAUTHORIZED,
                "A JSON web token could not be decoded",
            );
        };
        let mut all = self.apps[*app].installations.iter();
        let Some(installation) = all.find(|known| known.id.to_string() == id) else {
            return refuse(StatusCode::NOT_FOUND, "Not Found");
        };
        let Ok(wanted) = serde_json::from_slice::<Wanted>(body) else {
            return refuse(StatusCode::BAD_REQUEST, "Problems parsing JSON");
        };
        let named = wanted.repositories.map(|names| {
            let whole = |repository: &&Repository| {
                let name = repository.name.as_str().split_once('/');
                name.is_some_and(|(_, name)| names.iter().any(|wanted| wanted == name))
            };
            self.repositories
                .iter()
                .filter(whole)
                .map(|known| known.id)
                .collect()
        });
        let repositories: Vec<u64> = wanted
            .repository_ids
            .or(named)
            .unwrap_or_else(|| installation.repositories.clone());
        let here = |id| installation.repositories.contains(id);
        if repositories.is_empty() || !repositories.iter().all(here) {
            return refuse(
                StatusCode::UNPROCESSABLE_ENTITY,
                "There is at least one repository that does not exist or is not accessible to the \
                 parent installation.",
            );
        }
        let granted = &installation.permissions;
        let permissions = wanted.permissions.unwrap_or_else(|| granted.clone());
        let may = |(what, how): (&String, &String)| {
            let granted = granted.get(what);
            granted == Some(how) || granted.is_some_and(|granted| granted == "write")
        };
        if !permissions.iter().all(may) {
            return refuse(
                StatusCode::UNPROCESSABLE_ENTITY,
                "The permissions requested are not granted to this installation.",
            );
        }
        let expires = self.clock.now() + GOOD_FOR;
        // As long as GitHub's tokens since 2026, and not hard to guess.
        let lot = self.clock.random();
        let text = format!("ghs_{id}_{lot:016x}{}", "x".repeat(480));
        let answer = json!({
            "token": text,
            "expires_at": Timestamp::from_second(expires.as_second()).unwrap_or(expires),
            "permissions": permissions,
            "repository_selection": "selected",
        });
        let token = Token {
            repositories: Some(repositories),
            permissions,
            expires: Some(expires),
        };
        self.tokens.insert(text, token);
        reply(StatusCode::CREATED, answer)
    }
}

fn permissions(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    let all = all.iter();
    all.map(|(what, how)| ((*what).to_owned(), (*how).to_owned()))
        .collect()
}
