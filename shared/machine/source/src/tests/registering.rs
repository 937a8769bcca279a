//! Which repositories are let in, under which name, id and origin.

use std::sync::Arc;

use async_trait::async_trait;
use towline_ports::contract::{self, RepositoriesWorld};
use towline_ports::{Admission, Remedy, Repositories, admission};

use super::*;

/// Registered by an address or, in a folder, with an id of this machine until the first push.
struct Mirrored {
    world: World,
    in_folder: Option<&'static str>,
}

#[async_trait]
impl RepositoriesWorld for Mirrored {
    async fn open(&self) -> Arc<dyn Repositories> {
        let registered = contract::REGISTERED.map(|(_, text)| match self.in_folder {
            Some(folder) if folder == text => registered(text, &self.world.origin()),
            _ => Registered {
                name: name(text),
                origin: format!("https://git.example.com/{text}.git")
                    .parse()
                    .unwrap(),
            },
        });
        Arc::new(open(self.world.dir.path(), registered.into()).unwrap())
    }
}

#[tokio::test]
async fn a7_a8_it_keeps_the_contract_of_repositories() {
    let named = contract::REGISTERED.map(|(_, name)| name);
    for in_folder in named.map(Some).into_iter().chain([None]) {
        let world = World::new();
        contract::repositories(&Mirrored { world, in_folder }).await;
    }
}

#[tokio::test]
async fn a7_a8_an_id_is_bound_permanently() {
    let world = World::new();
    let repositories = || {
        vec![
            registered("acme/shop", &world.origin()),
            Registered {
                name: name("acme/other"),
                origin: "https://git.example.com/acme/other.git".parse().unwrap(),
            },
        ]
    };
    let local = world.repository();
    let source = open(world.dir.path(), repositories()).unwrap();
    assert_eq!(known(&source), vec![local]);
    let reopened = || open(world.dir.path(), repositories()).unwrap();
    let admitted = |id| {
        let registered = if id == 7 { "acme/shop" } else { "acme/other" };
        Admission::Admitted(RepositoryRef {
            id: RepositoryId(id),
            name: name(registered),
        })
    };
    let file = world.dir.path().canonicalize().unwrap();
    let file = file.join("data/repositories.json");
    let impostor = |id, name: &str| Admission::Impostor {
        known: RepositoryId(id),
        remedy: Remedy::EditFile {
            name: super::name(name),
            file: file.clone(),
        },
    };
    let clone = admission::local(1).0;
    let claims = [
        (7, "attacker/repo", Admission::Unknown),
        (7, "acme/shop", admitted(7)),
        (7, "Acme/Shop", admitted(7)),
        (clone, "acme/shop", admitted(7)),
        // Recreated under the old name.
        (8, "acme/shop", impostor(7, "acme/shop")),
        // Renamed, even to a name registered for another repository.
        (7, "acme/renamed", admitted(7)),
        (7, "acme/other", admitted(7)),
        // A clone is pushed first, then the webhook is set up.
        (clone, "acme/other", admitted(clone)),
        (9, "acme/other", admitted(clone)),
        (10, "acme/other", impostor(9, "acme/other")),
        (clone + 1, "acme/other", admitted(clone)),
    ];
    for (number, source) in [source, reopened(), reopened()].iter().enumerate() {
        let first = usize::from(number > 0); // known by then
        for (id, claimed, expected) in &claims[first..] {
            let claim = RepositoryRef {
                id: RepositoryId(*id),
                name: name(claimed),
            };
            let admission = source.admit(&claim).await.unwrap();
            assert_eq!(admission, *expected, "{id} {claimed}");
        }
        let bound = [(7, "acme/shop"), (clone, "acme/other")].map(|(id, text)| RepositoryRef {
            id: RepositoryId(id),
            name: name(text),
        });
        assert_eq!(known(source), bound);
    }
    let source = reopened();
    let stranger = RepositoryRef {
        id: RepositoryId(99),
        name: name("acme/shop"),
    };
    let commit = "f".repeat(40).parse().unwrap();
    let refused = source.file(&stranger, &commit, "x", 1).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "acme/shop (id 99) is not registered here"
    );
}

#[tokio::test]
async fn a8_a_repository_renamed_here_and_there_keeps_its_id() {
    let world = World::new();
    let served = |text: &str| {
        let origin = format!("https://git.example.com/{text}.git");
        let registered = Registered {
            name: name(text),
            origin: origin.parse().unwrap(),
        };
        open(world.dir.path(), vec![registered]).unwrap()
    };
    let clone = admission::local(1).0;
    for (text, id, expected) in [
        ("acme/shop", clone, clone),
        ("acme/shop", 7, clone),
        ("Acme/Store", 7, clone),
        ("acme/store", clone, clone),
        ("acme/else", 8, 8),
    ] {
        let claim = RepositoryRef {
            id: RepositoryId(id),
            name: name(text),
        };
        let source = served(text);
        let expected = Admission::Admitted(RepositoryRef {
            id: RepositoryId(expected),
            name: name(text),
        });
        assert_eq!(source.admit(&claim).await.unwrap(), expected, "{text} {id}");
    }
}

#[tokio::test]
async fn a_repository_that_is_no_repository_says_so() {
    let world = World::new();
    let empty = world.dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let source = open(world.dir.path(), vec![registered("acme/empty", &empty)]).unwrap();
    let repository = known(&source).remove(0);
    let main = GitRef::Branch("main".into());
    let error = source.head(&repository, &main).await.unwrap_err();
    assert_eq!(error.to_string(), "reading a ref of acme/empty");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.contains("does not appear to be a git repository"),
        "{cause}"
    );
}

#[test]
fn repositories_are_registered_once_and_exist() {
    let world = World::new();
    let refused = |repositories| {
        open(world.dir.path(), repositories)
            .err()
            .unwrap()
            .to_string()
    };
    let origin = world.origin();
    let twice = vec![registered("a/b", &origin), registered("A/B", &origin)];
    assert!(refused(twice).contains("A/B is registered twice"));
    let absent = vec![registered("a/b", &origin.join("absent"))];
    assert_eq!(refused(absent), "opening the repository a/b");
}

#[test]
fn a24_origins_are_folders_or_addresses_without_secrets() {
    for good in [
        "https://git.example.com/a/b.git",
        "ssh://git@git.example.com:22/a/b",
    ] {
        assert_eq!(good.parse(), Ok(Origin::Url(good.into())));
    }
    assert_eq!("../shop".parse(), Ok(Origin::Path("../shop".into())));
    for (bad, expected) in [
        ("", "is not a repository address"),
        ("ext::sh -c id://x", "is not a repository address"),
        ("http://git.example.com/a", "is not a repository address"),
        ("file:///etc", "is not a repository address"),
        ("ssh://-oProxyCommand=id/a", "is not a repository address"),
        (
            "ssh://git@-oProxyCommand=id/a",
            "is not a repository address",
        ),
        ("https://git.example.com/a\nb", "control character"),
        (
            "https://me:secret@git.example.com/a",
            "the address of git.example.com contains a user, password or token",
        ),
        (
            "https://secret@git.example.com/a",
            "the address of git.example.com contains a user, password or token",
        ),
        (
            "ssh://git:secret@git.example.com/a",
            "the address of git.example.com contains a user, password or token",
        ),
        (
            "http://secret@git.example.com/a",
            "is not a repository address",
        ),
        (
            "ssh://secret@-git.example.com/a",
            "is not a repository address",
        ),
        ("ssh://secret@git.example.com/a b", "control character"),
    ] {
        let error = bad.parse::<Origin>().unwrap_err().to_string();
        assert!(error.contains(expected), "{bad}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

/// Every repository that knows its id.
fn known(source: &GitSource) -> Vec<RepositoryRef> {
    let known = source.ids().into_iter().filter_map(|known| {
        Some(RepositoryRef {
            id: known.ids.canonical()?,
            name: known.name,
        })
    });
    known.collect()
}
