//! Decides who may push to the registry: a build, to its own repository for a while; people only pull.
//!
//! As on AWS, where no policy limits the tags a role may push, a build can put any tag on an image
//! of its own repository. That proves nothing (A26): only the unique tag of the bound build counts,
//! read back, and a stage's tag that moves otherwise holds the stage.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use towline_domain::Timestamp;
use towline_domain::names::{BuildId, ImageRepository};
use towline_domain::person::{EVERY_GROUP, Person};
use towline_ports::Clock as _;
use towline_registry::{Access, Authority, Credentials, Verdict};

use crate::people::People;
use towline_ports::system::SystemClock;

/// How long a build's password is valid: longer than the longest build, 36 hours.
const LASTS_SECONDS: i64 = 40 * 3600;

/// Creates and checks the passwords of builds: a repository, an end time, and a MAC.
#[derive(Clone)]
pub struct RegistryKeys {
    key: SecretString,
}

impl RegistryKeys {
    pub(super) fn new(key: String) -> Self {
        Self { key: key.into() }
    }

    fn mac(&self, message: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::new_from_slice(self.key.expose_secret().as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(message.as_bytes());
        mac
    }

    /// A password for pushing only to `repository`.
    pub(super) fn password(
        &self,
        build: &BuildId,
        repository: &ImageRepository,
        now: Timestamp,
    ) -> String {
        let message = format!("{}.{build}.{repository}", now.as_second() + LASTS_SECONDS);
        let mac = hex::encode(self.mac(&message).finalize().into_bytes());
        format!("{mac}.{message}")
    }

    /// The repository of a password, if the password is valid now.
    fn repository(&self, password: &str, now: Timestamp) -> Option<String> {
        let (mac, message) = password.split_once('.')?;
        self.mac(message)
            .verify_slice(&hex::decode(mac).ok()?)
            .ok()?;
        let mut parts = message.splitn(3, '.');
        let until: i64 = parts.next()?.parse().ok()?;
        let _build = parts.next()?;
        let repository = parts.next()?;
        (now.as_second() < until).then(|| repository.to_owned())
    }
}

/// Decides about requests to the registry.
pub(super) struct Doorman {
    pub(super) keys: RegistryKeys,
    pub(super) people: People,
    pub(super) clock: SystemClock,
}

impl Doorman {
    /// Whether a request has the token of a person or the password of a build.
    pub(super) fn knows(&self, headers: &HeaderMap) -> bool {
        let bearer = || {
            let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| Credentials {
                user: String::new(),
                password: token.trim().into(),
            })
        };
        let credentials = Credentials::basic(headers).or_else(bearer);
        self.judge(credentials.as_ref(), Access::Ping) == Verdict::Allow
    }
}

impl Authority for Doorman {
    fn judge(&self, credentials: Option<&Credentials>, access: Access<'_>) -> Verdict {
        let Some(credentials) = credentials else {
            return Verdict::Unknown;
        };
        if let Some(person) = self
            .people
            .authenticate(credentials.password.expose_secret())
        {
            return judge_person(&person, access);
        }
        let Some(own) = self
            .keys
            .repository(credentials.password.expose_secret(), self.clock.now())
        else {
            return Verdict::Unknown;
        };
        match access {
            Access::Ping | Access::Pull { .. } => Verdict::Allow,
            Access::Push { repository, .. } if repository.as_str() == own => Verdict::Allow,
            Access::Push { repository, .. } => {
                Verdict::Deny(format!("this build may push to {own}, not to {repository}"))
            }
            Access::Delete { .. } | Access::Catalog => {
                Verdict::Deny("a build may neither delete nor list".into())
            }
        }
    }
}

/// People pull. Images come from builds, and tags move by promotion; only a person of every group,
/// such as the owner, may push or delete directly.
fn judge_person(person: &Person, access: Access<'_>) -> Verdict {
    let owns = person.groups.iter().any(|group| group == EVERY_GROUP);
    match access {
        Access::Ping | Access::Pull { .. } | Access::Catalog => Verdict::Allow,
        Access::Push { .. } | Access::Delete { .. } if owns => Verdict::Allow,
        Access::Push { .. } | Access::Delete { .. } => Verdict::Deny(format!(
            "{} may pull; images are pushed by builds and moved by promotions",
            person.login
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a26_a_builds_password_opens_its_own_repository_until_it_expires() {
        let keys = RegistryKeys::new("k".repeat(64));
        let build = "towline-acme-shop-web:0b5c".parse().expect("a build id");
        let repository = "acme/web.app".parse().expect("an image repository");
        let now = Timestamp::UNIX_EPOCH;
        let password = keys.password(&build, &repository, now);
        assert_eq!(
            keys.repository(&password, now).as_deref(),
            Some("acme/web.app")
        );
        let late = Timestamp::from_second(LASTS_SECONDS).expect("a time");
        assert_eq!(keys.repository(&password, late), None);
        assert_eq!(
            keys.repository(&password.replace("acme/web", "acme/api"), now),
            None
        );
        assert_eq!(
            RegistryKeys::new("other".into()).repository(&password, now),
            None
        );
        assert_eq!(keys.repository("", now), None);
    }

    #[test]
    fn people_pull_and_the_owner_may_mend() {
        let person = |groups: &[&str]| Person {
            login: "bob".into(),
            emails: Vec::new(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        };
        let repository = "acme/web".parse().expect("a repository");
        let push = Access::Push {
            repository: &repository,
            tag: None,
        };
        let pull = Access::Pull {
            repository: &repository,
        };
        let delete = Access::Delete {
            repository: &repository,
        };
        assert_eq!(judge_person(&person(&["release"]), pull), Verdict::Allow);
        for access in [push, delete] {
            assert!(matches!(
                judge_person(&person(&["release"]), access),
                Verdict::Deny(_)
            ));
            assert_eq!(judge_person(&person(&["*"]), access), Verdict::Allow);
        }
    }
}
