//! The contract of the repositories that may push.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::task::JoinSet;
use towline_domain::names::RepositoryId;

use crate::{Admission, Repositories, RepositoryRef, admission};

/// What must be registered: names, and the id that each is pushed with first. None has been pushed yet.
pub const REGISTERED: [(RepositoryId, &str); 3] = [
    (RepositoryId(7), "acme/shop"),
    (CLONE, "acme/Cloned"),
    (RepositoryId(30), "acme/contested"),
];

/// A clone on somebody's machine.
const CLONE: RepositoryId = admission::local(1);

/// Another one.
const OTHER_CLONE: RepositoryId = admission::local(2);

/// The number of repositories that push under one name at once.
const RIVALS: u64 = 12;

/// A place where [`REGISTERED`] is stored.
#[async_trait]
pub trait RepositoriesWorld: Send + Sync {
    /// Opens it, as a process does that starts. The one that was opened before is closed.
    async fn open(&self) -> Arc<dyn Repositories>;
}

/// Panics unless repositories keep the contract of [`Repositories`].
pub async fn repositories(world: &dyn RepositoriesWorld) {
    each_is_bound_to_the_id_of_its_first_push(world).await;
    of_twelve_that_push_first_one_is_bound(world).await;
}

/// The answer in a few words.
async fn admitted(repositories: &dyn Repositories, id: RepositoryId, name: &str) -> String {
    let claim = RepositoryRef {
        id,
        name: name.parse().expect("a name"),
    };
    match repositories.admit(&claim).await.expect("it answers") {
        Admission::Admitted(known) => format!("{} {}", known.id, known.name),
        Admission::Unknown => "unknown".to_owned(),
        Admission::Impostor { known, .. } => format!("impostor of {known}"),
    }
}

async fn each_is_bound_to_the_id_of_its_first_push(world: &dyn RepositoriesWorld) {
    let cloned = format!("{CLONE} acme/Cloned");
    let cloned = cloned.as_str();
    let claims = [
        (RepositoryId(9), "attacker/repo", "unknown"),
        (admission::local(9), "attacker/repo", "unknown"),
        // The first push, then the name in another case.
        (RepositoryId(7), "acme/shop", "7 acme/shop"),
        (RepositoryId(7), "ACME/Shop", "7 acme/shop"),
        // Deleted and recreated on GitHub.
        (RepositoryId(10), "acme/shop", "impostor of 7"),
        (RepositoryId(7), "acme/renamed", "7 acme/shop"),
        (RepositoryId(7), "acme/cloned", "7 acme/shop"),
        // Pushed from a clone.
        (CLONE, "acme/shop", "7 acme/shop"),
        // A clone pushes first, then a webhook arrives, then one of another repository.
        (CLONE, "acme/cloned", cloned),
        (RepositoryId(8), "acme/cloned", cloned),
        (RepositoryId(9), "acme/cloned", "impostor of 8"),
        (RepositoryId(8), "acme/shop", cloned),
        (OTHER_CLONE, "acme/cloned", cloned),
    ];
    for (id, name, expected) in claims {
        for time in ["at first", "again", "after a restart"] {
            let repositories = world.open().await;
            let answer = admitted(&*repositories, id, name).await;
            assert_eq!(answer, expected, "{id} {name}, {time}");
        }
    }
    // One process that has answered other questions before.
    let repositories = world.open().await;
    for (id, name, expected) in claims {
        let answer = admitted(&*repositories, id, name).await;
        assert_eq!(answer, expected, "{id} {name}, at last");
    }
}

async fn of_twelve_that_push_first_one_is_bound(world: &dyn RepositoriesWorld) {
    let ((RepositoryId(first), name), repositories) = (REGISTERED[2], world.open().await);
    let mut tasks = JoinSet::new();
    for id in first..first + RIVALS {
        let repositories = Arc::clone(&repositories);
        tasks.spawn(async move {
            let answer = admitted(&*repositories, RepositoryId(id), name).await;
            (id, answer)
        });
    }
    let answers = tasks.join_all().await;
    let is_bound = |(id, answer): &&(u64, String)| *answer == format!("{id} {name}");
    let bound: Vec<u64> = answers.iter().filter(is_bound).map(|(id, _)| *id).collect();
    let [bound] = bound[..] else {
        panic!("one is bound: {answers:?}");
    };
    let others = answers.iter().filter(|(id, _)| *id != bound);
    for (id, answer) in others {
        assert_eq!(*answer, format!("impostor of {bound}"), "{id}");
    }
}
