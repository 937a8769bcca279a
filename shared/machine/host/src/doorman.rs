//! Decides who may do what in the registry: people pull, and builds do what their password permits.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use secrecy::ExposeSecret as _;
use towline_domain::names::ImageRepository;
use towline_domain::person::{EVERY_GROUP, Person};
use towline_ports::Rights;
use towline_registry::{Access, Authority, Credentials, Verdict};
use towline_state::records::Claim;
use towline_state::{Confined, Context, HandlerError, keys};

use crate::keys::{Judged, Shown, judge_claim};
use crate::machine::Machine;

/// Decides about requests to the registry.
pub(super) struct Doorman {
    pub(super) machine: Arc<Machine>,
}

impl Doorman {
    /// Whether a request has the token of a person or the password of a running build.
    pub(super) fn knows(&self, headers: &HeaderMap) -> bool {
        let bearer = || {
            let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| Credentials {
                user: String::new(),
                password: token.trim().into(),
            })
        };
        let Some(credentials) = Credentials::basic(headers).or_else(bearer) else {
            return false;
        };
        let password = credentials.password.expose_secret();
        let machine = &self.machine;
        machine.people.authenticate(password).is_some()
            || matches!(machine.keys.shown(password), Some(Shown::Running(_)))
    }

    /// People who are confined pull images of their repositories.
    async fn judge_confined(&self, person: &Person, images: &ImageRepository) -> Verdict {
        match self.sees(person, images).await {
            Ok(true) => Verdict::Allow,
            Ok(false) => Verdict::Deny(format!(
                "no repository that {} may see has images in {images}",
                person.login
            )),
            Err(error) => unsure(&error),
        }
    }

    async fn sees(&self, person: &Person, images: &ImageRepository) -> Result<bool, HandlerError> {
        let context = self.machine.context();
        let confined = Confined::to(context, &person.only).await?;
        let context = Context {
            store: &confined,
            ..context
        };
        let claim = context.read::<Claim>(&keys::claim(images)).await?;
        Ok(claim.is_some())
    }

    /// Images of the build's own GitHub repository are open to it, and those that belong to none: people put
    /// base images there.
    async fn judge_by_owner(&self, rights: &Rights, repository: &ImageRepository) -> Verdict {
        let claim = keys::claim(repository);
        match self.machine.context().read::<Claim>(&claim).await {
            Ok(claim) => judge_claim(rights, repository, claim.map(|read| read.value.repository)),
            Err(error) => unsure(&error),
        }
    }
}

#[async_trait]
impl Authority for Doorman {
    async fn judge(&self, credentials: Option<&Credentials>, access: Access<'_>) -> Verdict {
        let Some(credentials) = credentials else {
            return Verdict::Unknown;
        };
        let password = credentials.password.expose_secret();
        if let Some(person) = self.machine.people.authenticate(password) {
            if let (Access::Pull { repository }, false) = (&access, person.only.is_empty()) {
                return self.judge_confined(&person, repository).await;
            }
            return judge_person(&person, access);
        }
        match self.machine.keys.judge_build(password, access) {
            Judged::Now(verdict) => verdict,
            Judged::ByOwner(rights, repository) => self.judge_by_owner(&rights, &repository).await,
        }
    }
}

fn unsure(error: &HandlerError) -> Verdict {
    let error = error as &dyn std::error::Error;
    tracing::error!(
        error,
        "cannot read which component owns the image repository"
    );
    Verdict::Unsure("cannot read which component these images belong to; try again".into())
}

/// People pull. Images come from builds, and tags move by promotion; only a person of every group,
/// such as the owner, may push or delete directly.
fn judge_person(person: &Person, access: Access<'_>) -> Verdict {
    let owns = person.groups.iter().any(|group| group == EVERY_GROUP);
    match access {
        Access::Ping => Verdict::Allow,
        Access::Push { .. } | Access::Delete { .. } | Access::Catalog
            if !person.only.is_empty() =>
        {
            Verdict::Deny(format!(
                "{} is confined to some repositories, and may only pull their images",
                person.login
            ))
        }
        Access::Pull { .. } | Access::Catalog => Verdict::Allow,
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
    fn everyone_may_pull_and_only_the_owner_may_push_or_delete() {
        let person = |groups: &[&str]| Person {
            login: "bob".into(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..Person::default()
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
        let confined = Person {
            only: vec!["acme/shop".parse().expect("a repository")],
            ..person(&["*"])
        };
        for access in [push, delete, Access::Catalog] {
            assert!(matches!(judge_person(&confined, access), Verdict::Deny(_)));
        }
        for access in [push, delete] {
            assert!(matches!(
                judge_person(&person(&["release"]), access),
                Verdict::Deny(_)
            ));
            assert_eq!(judge_person(&person(&["*"]), access), Verdict::Allow);
        }
    }
}
