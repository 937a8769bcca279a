//! The contract of statuses.

use async_trait::async_trait;
use towline_domain::names::CommitSha;

use crate::statuses::MOST_DESCRIPTION;
use crate::{CommitStatus, RepositoryRef, StatusState, Statuses};

/// Statuses, and how they are shown.
#[async_trait]
pub trait StatusesWorld: Send + Sync {
    /// The statuses; nothing is shown at first.
    fn statuses(&self) -> &dyn Statuses;

    fn commit(&self) -> (RepositoryRef, CommitSha);

    /// The status that is shown beside that commit for a context.
    async fn shown(&self, context: &str) -> Option<CommitStatus>;
}

/// Panics unless statuses keep the contract of [`Statuses`].
pub async fn statuses(world: &dyn StatusesWorld) {
    let status = |context: &str, state, description: &str| CommitStatus {
        context: context.into(),
        state,
        description: description.into(),
        target_url: Some("https://towline.example/runs/1".into()),
    };
    let (repository, commit) = world.commit();
    let set = async |status: &CommitStatus| {
        let set = world.statuses().set(&repository, &commit, status).await;
        set.expect("it is shown");
    };
    let (build, prod) = ("towline/build/web", "towline/stage/prod");
    assert_eq!(world.shown(build).await, None);
    let pending = status(build, StatusState::Pending, "building");
    let waiting = status(prod, StatusState::Pending, "waiting");
    for shown in [&pending, &waiting, &pending] {
        set(shown).await;
        assert_eq!(world.shown(&shown.context).await.as_ref(), Some(shown));
    }
    for state in [
        StatusState::Error,
        StatusState::Failure,
        StatusState::Success,
    ] {
        let longest = status(build, state, &"é".repeat(MOST_DESCRIPTION));
        set(&longest).await;
        assert_eq!(world.shown(build).await, Some(longest));
    }
    let without = CommitStatus {
        target_url: None,
        ..status(build, StatusState::Success, "built")
    };
    set(&without).await;
    assert_eq!(world.shown(build).await, Some(without));
    assert_eq!(world.shown(prod).await, Some(waiting), "another context");
}
