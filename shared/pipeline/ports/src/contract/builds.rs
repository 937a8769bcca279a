//! The contract of a build service.

use async_trait::async_trait;
use towline_domain::names::BuildId;
use towline_domain::run::{BuildReport, BuildStatus};

use crate::{Builds, StartBuild};

/// A build service, and builds for it.
#[async_trait]
pub trait BuildsWorld: Send + Sync {
    /// The service; it has room for at least two builds.
    fn builds(&self) -> &dyn Builds;

    /// A build that runs for minutes. Equal numbers give equal builds of one attempt.
    fn long_build(&self, number: u8) -> StartBuild;

    /// Waits until a build has ended.
    async fn ended(&self, build: &BuildId) -> BuildReport;
}

/// Panics unless a service keeps the contract of [`Builds`].
pub async fn builds(world: &dyn BuildsWorld) {
    let builds = world.builds();
    let found = async |asked: &StartBuild| {
        let StartBuild {
            repository,
            component,
            attempt,
            ..
        } = asked;
        let found = builds.find(&repository.name, component, attempt).await;
        found.expect("it answers").map(|report| report.build)
    };
    let (one, other) = (world.long_build(1), world.long_build(2));
    assert_eq!(found(&one).await, None);
    let build = builds.start(one.clone()).await.expect("there is room");
    let again = builds.start(one.clone()).await.expect("it is known");
    assert_eq!(again, build, "one attempt, one build");
    assert_eq!(found(&one).await.as_ref(), Some(&build));
    assert_eq!(found(&other).await, None);
    let second = builds.start(other.clone()).await.expect("there is room");
    assert_ne!(second, build, "two attempts, two builds");
    let report = builds.get(&build).await.expect("it answers");
    let report = report.expect("it is known");
    assert_eq!(
        (report.status, &report.ended_at),
        (BuildStatus::InProgress, &None)
    );

    for _ in 0..2 {
        builds.stop(&build).await.expect("it can be stopped");
        let report = world.ended(&build).await;
        assert_eq!(report.status, BuildStatus::Stopped, "a build ends once");
        assert!(report.ended_at.is_some());
    }
    let report = builds.get(&second).await.expect("it answers");
    let status = report.map(|report| report.status);
    assert_eq!(status, Some(BuildStatus::InProgress), "the other goes on");
    builds.stop(&second).await.expect("it can be stopped");
    world.ended(&second).await;

    let log = builds.log(&build, u64::MAX).await.expect("it answers");
    assert_eq!(log, Some(Vec::new()), "behind the end of a log is nothing");
    let unknown: BuildId = "towline-nothing:00000000-0000-4000-8000-00000000abcd"
        .parse()
        .expect("a build");
    assert_eq!(builds.get(&unknown).await.expect("it answers"), None);
    assert_eq!(builds.log(&unknown, 0).await.expect("it answers"), None);
}
