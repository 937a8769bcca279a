//! The passwords of builds, and what each permits in the registry: a build pushes the tags of its own attempt
//! while it runs, and pulls what belongs to its GitHub repository.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::ExposeSecret as _;
use sha2::Sha256;
use towline_domain::names::{BuildId, ImageRepository, RepositoryId, Tag};
use towline_ports::Rights;
use towline_ports::system::random_bytes;
use towline_registry::{Access, Authority, Credentials, Verdict};
use towline_runner::RegistryAccess;

/// Creates and checks the passwords of builds: the build's id and a MAC. The MAC's key is never on
/// disk, where a build could read it. It can stay in memory, because no build outlives this process.
#[derive(Clone)]
pub struct BuildKeys {
    key: [u8; 32],
    running: Arc<Mutex<HashMap<BuildId, Rights>>>,
}

impl Default for BuildKeys {
    fn default() -> Self {
        Self {
            key: random_bytes(),
            running: Arc::default(),
        }
    }
}

/// The build that a password belongs to.
pub(super) enum Shown {
    Running(Box<Rights>),
    Ended(BuildId),
}

/// What a password permits.
pub(super) enum Judged {
    Now(Verdict),
    /// It depends on who owns the repository.
    ByOwner(Box<Rights>, ImageRepository),
}

impl BuildKeys {
    fn mac(&self, build: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(build.as_bytes());
        mac
    }

    fn running(&self) -> MutexGuard<'_, HashMap<BuildId, Rights>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The build of a password, if it is one of ours.
    pub(super) fn shown(&self, password: &str) -> Option<Shown> {
        let (mac, build) = password.split_once('.')?;
        let mac = hex::decode(mac).ok()?;
        self.mac(build).verify_slice(&mac).ok()?;
        let build: BuildId = build.parse().ok()?;
        let rights = self.running().get(&build).cloned();
        Some(match rights {
            Some(rights) => Shown::Running(Box::new(rights)),
            None => Shown::Ended(build),
        })
    }

    pub(super) fn judge_build(&self, password: &str, access: Access<'_>) -> Judged {
        let rights = match self.shown(password) {
            None => return Judged::Now(Verdict::Unknown),
            Some(Shown::Ended(build)) => {
                return Judged::Now(Verdict::Deny(format!(
                    "build {build} has ended, and its password with it; only a running build may use the registry"
                )));
            }
            Some(Shown::Running(rights)) => rights,
        };
        Judged::Now(match access {
            Access::Ping => Verdict::Allow,
            Access::Push { repository, tag } => judge_push(&rights, repository, tag),
            Access::Pull { repository } => match judge_pull(&rights, repository) {
                Some(verdict) => verdict,
                None => return Judged::ByOwner(rights, repository.clone()),
            },
            Access::Delete { .. } | Access::Catalog => {
                Verdict::Deny("a build may not delete or list images".into())
            }
        })
    }
}

/// For a registry in which nobody else has images, so a build may pull from every repository.
#[async_trait]
impl Authority for BuildKeys {
    async fn judge(&self, credentials: Option<&Credentials>, access: Access<'_>) -> Verdict {
        let password = credentials.map(|it| it.password.expose_secret());
        match password.map(|password| self.judge_build(password, access)) {
            None => Verdict::Unknown,
            Some(Judged::Now(verdict)) => verdict,
            Some(Judged::ByOwner(..)) => Verdict::Allow,
        }
    }
}

impl RegistryAccess for BuildKeys {
    fn open(&self, build: &BuildId, rights: Rights) -> String {
        self.running().insert(build.clone(), rights);
        let mac = hex::encode(self.mac(build.as_str()).finalize().into_bytes());
        format!("{mac}.{build}")
    }

    fn close(&self, build: &BuildId) {
        self.running().remove(build);
    }
}

fn judge_push(rights: &Rights, repository: &ImageRepository, tag: Option<&Tag>) -> Verdict {
    match rights.objection_to_push(repository, tag) {
        None => Verdict::Allow,
        Some(objection) => Verdict::Deny(objection),
    }
}

/// The verdict about a pull; none if it depends on who owns the repository.
fn judge_pull(rights: &Rights, repository: &ImageRepository) -> Option<Verdict> {
    Some(match rights.may_pull(repository)? {
        true => Verdict::Allow,
        false => Verdict::Deny(format!(
            "this build may not read the layers in {repository}"
        )),
    })
}

pub(super) fn judge_claim(
    rights: &Rights,
    repository: &ImageRepository,
    owner: Option<RepositoryId>,
) -> Verdict {
    match owner.filter(|owner| *owner != rights.repository) {
        None => Verdict::Allow,
        Some(_) => Verdict::Deny(format!(
            "this build may pull images of its own GitHub repository; {repository} belongs to another"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good<T: std::str::FromStr>(text: &str) -> T {
        let parsed = text.parse();
        parsed.unwrap_or_else(|_| panic!("{text:?} is not what it should be"))
    }

    fn rights() -> Rights {
        let layers = "towline-cache/branches/acme/web";
        Rights {
            repository: RepositoryId(7),
            pushes: vec![
                (good("acme/web"), vec![good("3f-142"), good("main")]),
                (good(layers), vec![good("main--linux-amd64")]),
            ],
            layers: vec![good(layers), good("towline-cache/trusted/acme/web")],
        }
    }

    #[test]
    fn s6_a_password_opens_the_registry_while_its_build_runs() {
        let (keys, other) = (BuildKeys::default(), BuildKeys::default());
        let build: BuildId = good("towline-acme-shop-web:0b5c");
        let is_open = |keys: &BuildKeys, password: &str| {
            keys.shown(password)
                .map(|shown| matches!(shown, Shown::Running(_)))
        };
        let password = keys.open(&build, rights());
        assert_eq!(is_open(&keys, &password), Some(true));
        assert_eq!(is_open(&other, &password), None);
        let forged = password.replace("0b5c", "0b5d");
        for wrong in [forged.as_str(), "", ".", build.as_str()] {
            assert_eq!(is_open(&keys, wrong), None, "{wrong:?}");
        }
        keys.close(&build);
        assert_eq!(is_open(&keys, &password), Some(false));
    }

    #[test]
    fn s6_a26_a_build_pushes_the_tags_of_its_attempt_and_nothing_else() {
        let check = |repository: &str, tag: Option<&str>, refusal: Option<&str>| {
            let tag = tag.map(good);
            let verdict = judge_push(&rights(), &good(repository), tag.as_ref());
            match (&verdict, refusal) {
                (Verdict::Allow, None) => {}
                (Verdict::Deny(said), Some(refusal)) if said.contains(refusal) => {}
                (verdict, _) => panic!("{repository} {tag:?}: {verdict:?}"),
            }
        };
        check("acme/web", None, None);
        check("acme/web", Some("3f-142"), None);
        check("acme/web", Some("main"), None);
        check("acme/web", Some("prod"), Some("the tags 3f-142, main"));
        check("acme/web", Some("3f-141"), Some("not 3f-141"));
        check("acme/api", None, Some("not to acme/api"));
        let layers = "towline-cache/branches/acme/web";
        check(layers, Some("main--linux-amd64"), None);
        check(layers, Some("other--linux-amd64"), Some("not other"));
        check("towline-cache/trusted/acme/web", None, Some("not to"));
    }

    #[test]
    fn s22_a_build_pulls_what_belongs_to_its_repository() {
        let check = |repository: &str, owner: Option<u64>, may: bool| {
            let (rights, repository) = (rights(), good(repository));
            let owner = owner.map(RepositoryId);
            let verdict = judge_pull(&rights, &repository)
                .unwrap_or_else(|| judge_claim(&rights, &repository, owner));
            assert_eq!(verdict == Verdict::Allow, may, "{repository}: {verdict:?}");
        };
        check("acme/web", Some(7), true);
        check("acme/api", Some(7), true);
        check("base/debian", None, true);
        check("towline-cache/trusted/acme/web", None, true);
        check("towline-cache/trusted/acme/api", None, false);
        check("rival/web", Some(8), false);
    }
}
