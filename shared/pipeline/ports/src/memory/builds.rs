//! A stand-in for CodeBuild whose builds end when a test says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use towline_domain::names::{AttemptId, BuildId, ComponentName, RepositoryName};
use towline_domain::run::{BuildReport, BuildStatus};

use super::{MemoryClock, lock};
use crate::{Builds, Clock, PortError, StartBuild, StartError};

/// How long CodeBuild remembers an idempotency token (CodeBuild API, `StartBuild`).
const REMEMBERED: Duration = Duration::from_secs(5 * 60);
/// The most characters of an environment variable's value (CodeBuild's `InvalidInputException`).
const MOST_VALUE: usize = 4_096;
/// The variable with the outputs of a build.
const OUTPUTS: &str = "TOWLINE_OUTPUTS";
/// Bytes of one answer of [`Builds::log`].
const MOST_LOG: usize = 256 << 10;

/// Builds that run until [`MemoryBuilds::finish`] or [`Builds::stop`].
#[derive(Debug)]
pub struct MemoryBuilds {
    clock: Arc<MemoryClock>,
    capacity: usize,
    builds: Mutex<Vec<Build>>,
}

#[derive(Debug)]
struct Build {
    id: BuildId,
    start: StartBuild,
    asked_at: Timestamp,
    report: BuildReport,
    log: Vec<u8>,
}

impl MemoryBuilds {
    /// Builds with this limit of simultaneous builds.
    #[must_use]
    pub fn new(clock: Arc<MemoryClock>, capacity: usize) -> Self {
        Self {
            clock,
            capacity,
            builds: Mutex::default(),
        }
    }

    /// Every started build, in order, with its request.
    #[must_use]
    pub fn started(&self) -> Vec<(BuildId, StartBuild)> {
        let builds = lock(&self.builds);
        let started = builds
            .iter()
            .map(|build| (build.id.clone(), build.start.clone()));
        started.collect()
    }

    /// Ends a build and returns its report. An ended build does not change.
    ///
    /// # Panics
    ///
    /// When there is no such build.
    pub fn finish(&self, build: &BuildId, status: BuildStatus) -> BuildReport {
        let now = self.clock.now();
        let mut builds = lock(&self.builds);
        let build = find_mut(&mut builds, build).expect("a build that was started");
        build.end(status, now);
        build.report.clone()
    }

    /// Forgets all idempotency tokens, as if they were older than five minutes.
    pub fn forget(&self) {
        for build in lock(&self.builds).iter_mut() {
            build.asked_at = Timestamp::MIN;
        }
    }

    /// Adds to a build's log.
    ///
    /// # Panics
    ///
    /// When there is no such build.
    pub fn print(&self, build: &BuildId, text: &str) {
        let mut builds = lock(&self.builds);
        let build = find_mut(&mut builds, build).expect("a build that was started");
        build.log.extend_from_slice(text.as_bytes());
    }
}

impl Build {
    fn end(&mut self, status: BuildStatus, now: Timestamp) {
        if self.report.status != BuildStatus::InProgress || status == BuildStatus::InProgress {
            return;
        }
        self.report.status = status;
        self.report.ended_at = Some(now);
        self.report.reason = reason(status).map(str::to_owned);
        if status == BuildStatus::Succeeded {
            self.report.outputs = self.outputs();
        }
    }

    /// The requested outputs: each is JSON with the build's tag in `tag`.
    fn outputs(&self) -> BTreeMap<String, String> {
        let variable = |wanted| {
            let mut variables = self.start.environment.iter();
            let found = variables.find(|(name, _)| name == wanted);
            found.map_or("", |(_, value)| value.as_str())
        };
        let names = variable(OUTPUTS).split_whitespace();
        names
            .map(|name| {
                let text = format!(r#"{{"tag": "{}"}}"#, variable("IMAGE_TAG"));
                (name.to_owned(), text)
            })
            .collect()
    }
}

/// CodeBuild's context of the failed phase, in short.
fn reason(status: BuildStatus) -> Option<&'static str> {
    match status {
        BuildStatus::InProgress | BuildStatus::Succeeded | BuildStatus::Stopped => None,
        BuildStatus::Failed => Some("BUILD: COMMAND_EXECUTION_ERROR: exit status 1"),
        BuildStatus::Fault => Some("PROVISIONING: INTERNAL_SERVICE_ERROR"),
        BuildStatus::TimedOut => Some("BUILD: BUILD_TIMED_OUT"),
    }
}

fn find_mut<'a>(builds: &'a mut [Build], id: &BuildId) -> Option<&'a mut Build> {
    builds.iter_mut().find(|build| build.id == *id)
}

#[async_trait]
impl Builds for MemoryBuilds {
    async fn start(&self, start: StartBuild) -> Result<BuildId, StartError> {
        if let Some(objection) = objection(&start) {
            return Err(StartError::Refused(objection));
        }
        let now = self.clock.now();
        let mut builds = lock(&self.builds);
        let same = builds.iter().rfind(|build| {
            build.start.attempt == start.attempt && now < build.asked_at + REMEMBERED
        });
        if let Some(build) = same {
            if build.start != start {
                let why = "the idempotency token was used with other parameters";
                return Err(StartError::Refused(why.into()));
            }
            return Ok(build.id.clone());
        }
        let running = builds
            .iter()
            .filter(|build| build.report.status == BuildStatus::InProgress)
            .count();
        if running >= self.capacity {
            let why = format!("{running} builds are in progress");
            return Err(StartError::Busy(why));
        }
        let project = StartBuild::project(&start.repository.name, &start.component);
        let id: BuildId = format!("{project}:00000000-0000-4000-8000-{:012x}", builds.len())
            .parse()
            .expect("a project's name and a UUID");
        builds.push(Build {
            id: id.clone(),
            asked_at: now,
            report: BuildReport {
                build: id.clone(),
                status: BuildStatus::InProgress,
                commit: Some(start.commit.clone()),
                started_at: Some(now),
                ended_at: None,
                reason: None,
                interrupted: false,
                outputs: BTreeMap::new(),
                gave_way: None,
            },
            start,
            log: Vec::new(),
        });
        Ok(id)
    }

    async fn get(&self, build: &BuildId) -> Result<Option<BuildReport>, PortError> {
        let mut builds = lock(&self.builds);
        Ok(find_mut(&mut builds, build).map(|build| build.report.clone()))
    }

    /// The first one, if there are several because the token was forgotten in between.
    async fn find(
        &self,
        repository: &RepositoryName,
        component: &ComponentName,
        attempt: &AttemptId,
    ) -> Result<Option<BuildReport>, PortError> {
        let builds = lock(&self.builds);
        let found = builds.iter().find(|build| {
            let start = &build.start;
            start.repository.name == *repository
                && start.component == *component
                && start.attempt == *attempt
        });
        Ok(found.map(|build| build.report.clone()))
    }

    async fn stop(&self, build: &BuildId) -> Result<(), PortError> {
        let now = self.clock.now();
        let mut builds = lock(&self.builds);
        let found = find_mut(&mut builds, build)
            .ok_or_else(|| PortError::because(format!("stop {build}: there is no such build")))?;
        found.end(BuildStatus::Stopped, now);
        Ok(())
    }

    async fn log(&self, build: &BuildId, from: u64) -> Result<Option<Vec<u8>>, PortError> {
        let mut builds = lock(&self.builds);
        let Some(build) = find_mut(&mut builds, build) else {
            return Ok(None);
        };
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let rest = build.log.get(from..).unwrap_or_default();
        Ok(Some(rest[..rest.len().min(MOST_LOG)].to_vec()))
    }
}

/// What CodeBuild always refuses (CodeBuild API, `StartBuild`).
fn objection(start: &StartBuild) -> Option<String> {
    let project = StartBuild::project(&start.repository.name, &start.component);
    let legal = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    if !(2..=150).contains(&project.len()) || !project.chars().all(legal) {
        return Some(format!("{project:?} is not a project name"));
    }
    let length = start.buildspec.len();
    if !(1..=StartBuild::LONGEST_BUILDSPEC).contains(&length) {
        return Some(format!(
            "a buildspec has 1 to {} bytes, not {length}",
            StartBuild::LONGEST_BUILDSPEC
        ));
    }
    let minutes = start.timeout.as_secs() / 60;
    if !(5..=2_160).contains(&minutes) {
        return Some(format!("a timeout is 5 to 2160 minutes, not {minutes}"));
    }
    if start.image.is_empty() {
        return Some("the image to run in has no name".into());
    }
    let mut names = BTreeMap::new();
    for (name, value) in &start.environment {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Some(format!("no environment can hold {name:?}"));
        }
        if value.chars().count() > MOST_VALUE {
            return Some(format!(
                "EnvironmentVariable should be at most {MOST_VALUE} characters: {name}"
            ));
        }
        if names.insert(name, value).is_some() {
            return Some(format!("the environment has {name} twice"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use towline_domain::names::RepositoryId;

    use super::*;
    use crate::contract::{self, BuildsWorld};
    use crate::{RepositoryRef, Trust};

    #[async_trait]
    impl BuildsWorld for MemoryBuilds {
        fn builds(&self) -> &dyn Builds {
            self
        }

        fn long_build(&self, number: u8) -> StartBuild {
            start(number)
        }

        async fn ended(&self, build: &BuildId) -> BuildReport {
            let report = self.get(build).await.expect("it answers");
            report.expect("it is known")
        }
    }

    #[tokio::test]
    async fn it_keeps_the_contract() {
        contract::builds(&builds(2).0).await;
    }

    fn start(attempt: u8) -> StartBuild {
        StartBuild {
            attempt: format!("00000000-0000-4000-8000-0000000000{attempt:02x}")
                .parse()
                .expect("an attempt"),
            component: "backend".parse().expect("a component"),
            repository: RepositoryRef {
                id: RepositoryId(7),
                name: "acme/shop".parse().expect("a repository"),
            },
            commit: "a".repeat(40).parse().expect("a commit"),
            git_ref: "refs/heads/main".parse().expect("a ref"),
            trust: Trust::DefaultBranch,
            image_repository: "acme/shop".parse().expect("an image repository"),
            image: "aws/codebuild/standard:7.0".into(),
            architecture: None,
            privileged: false,
            buildspec: "version: 0.2\n".into(),
            environment: vec![("GIT_REF".into(), "refs/heads/main".into())],
            timeout: Duration::from_secs(3_600),
        }
    }

    fn builds(capacity: usize) -> (MemoryBuilds, Arc<MemoryClock>) {
        let clock = Arc::new(MemoryClock::new(Timestamp::UNIX_EPOCH, 0));
        (MemoryBuilds::new(Arc::clone(&clock), capacity), clock)
    }

    #[tokio::test]
    async fn f10_the_same_attempt_starts_no_second_build_for_five_minutes() {
        let (builds, clock) = builds(9);
        let first = builds.start(start(1)).await.expect("there is room");
        clock.advance(Duration::from_secs(299));
        assert_eq!(builds.start(start(1)).await.expect("it is known"), first);
        let mut changed = start(1);
        changed.buildspec.push('#');
        let answer = builds.start(changed).await;
        assert!(matches!(answer, Err(StartError::Refused(_))));

        clock.advance(Duration::from_secs(1));
        let second = builds.start(start(1)).await.expect("it is forgotten");
        assert_ne!(second, first);
        let asked = start(1);
        let found = builds
            .find(&asked.repository.name, &asked.component, &asked.attempt)
            .await
            .expect("it answers");
        assert_eq!(found.map(|report| report.build), Some(first));
        assert_eq!(builds.started().len(), 2);
    }

    #[tokio::test]
    async fn f9_beyond_capacity_it_is_busy_until_a_build_ends() {
        let (builds, _) = builds(1);
        let first = builds.start(start(1)).await.expect("there is room");
        let answer = builds.start(start(2)).await;
        assert!(matches!(answer, Err(StartError::Busy(_))));
        builds.finish(&first, BuildStatus::Succeeded);
        builds.start(start(2)).await.expect("there is room again");
    }

    #[tokio::test]
    async fn a_build_ends_once() {
        let (builds, clock) = builds(9);
        let build = builds.start(start(1)).await.expect("there is room");
        let report = builds
            .get(&build)
            .await
            .expect("it answers")
            .expect("it is known");
        assert_eq!(report.status, BuildStatus::InProgress);
        clock.advance(Duration::from_secs(60));
        builds.stop(&build).await.expect("it runs");
        clock.advance(Duration::from_secs(60));
        let report = builds.finish(&build, BuildStatus::Succeeded);
        assert_eq!(report.status, BuildStatus::Stopped);
        assert_eq!(report.ended_at, Timestamp::from_second(60).ok());
        builds.stop(&build).await.expect("it has ended");
        let unknown = "towline:0".parse().expect("a build");
        assert!(builds.stop(&unknown).await.is_err());
        assert_eq!(builds.get(&unknown).await.expect("it answers"), None);
    }

    #[tokio::test]
    async fn logs_are_read_in_parts() {
        let (builds, _) = builds(9);
        let build = builds.start(start(1)).await.expect("there is room");
        builds.print(&build, "one\n");
        builds.print(&build, &"x".repeat(MOST_LOG));
        let read = async |from| builds.log(&build, from).await.expect("it answers");
        let first = read(0).await.expect("it is known");
        assert_eq!((&first[..4], first.len()), (&b"one\n"[..], MOST_LOG));
        assert_eq!(read(MOST_LOG as u64).await, Some(b"xxxx".to_vec()));
        assert_eq!(read(u64::MAX).await, Some(Vec::new()));
    }

    #[tokio::test]
    async fn what_codebuild_refuses_is_refused() {
        let change = |change: fn(&mut StartBuild)| {
            let mut asked = start(1);
            change(&mut asked);
            asked
        };
        let (builds, _) = builds(9);
        for (asked, says) in [
            (change(|asked| asked.buildspec.clear()), "1 to 65536"),
            (
                change(|asked| asked.buildspec = "é".repeat(32_769)),
                "65538",
            ),
            (
                change(|asked| asked.environment[0].1 = "é".repeat(4_097)),
                "4096",
            ),
            (change(|asked| asked.environment[0].1.push('\0')), "GIT_REF"),
            (change(|asked| asked.environment[0].0.clear()), "hold"),
            (
                change(|asked| asked.environment.extend_from_within(..)),
                "twice",
            ),
            (
                change(|asked| asked.timeout = Duration::from_secs(299)),
                "5 to 2160",
            ),
            (change(|asked| asked.image.clear()), "no name"),
        ] {
            let Err(StartError::Refused(why)) = builds.start(asked).await else {
                panic!("it should be refused: {says}");
            };
            assert!(why.contains(says), "{why}");
        }
        assert_eq!(builds.started(), []);
        let most = change(|asked| {
            asked.buildspec = "é".repeat(32_768);
            asked.environment[0].1 = "é".repeat(4_096);
        });
        builds
            .start(most)
            .await
            .expect("it is just within the limits");
    }
}
