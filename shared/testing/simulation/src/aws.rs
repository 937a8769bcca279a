//! CodeBuild, ECR and EventBridge: builds end, images land, and events say so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use towline_domain::names::{BuildId, Digest, ImageRepository, Tag};
use towline_domain::run::BuildStatus;
use towline_ports::StartBuild;
use towline_ports::memory::SplitMix64;
use towline_wire::codebuild::{self, Phase, StateChange, Status};
use towline_wire::ecr::{self, Action, ImageAction};
use towline_wire::eventbridge;

use crate::build::{BuildPlan, Pushes};
use crate::faulty::BuildNews;
use crate::job::Job;
use crate::weather::Fault;
use crate::world::{Happening, World};

impl World {
    /// Puts an event on the bus, which may lose it, duplicate it or delay it.
    pub fn emit(&mut self, event: Value) {
        let event = Arc::new(event);
        let profile = self.chance.profile();
        let kind = event["detail-type"].as_str().unwrap_or_default();
        for function in self.router.functions(&event) {
            let told = |what: &str| format!("{kind} for {function} {what}");
            let twice = self.everything_twice
                || self
                    .chance
                    .strikes(Fault::Duplicate, || told("comes twice"));
            let times = 1 + u32::from(twice);
            for _ in 0..times {
                if self.chance.strikes(Fault::Lose, || told("is lost")) {
                    continue;
                }
                let wait = self.chance.late(profile.delay, || told("is late"));
                let job = Job::Event(function.clone(), Arc::clone(&event), 0);
                self.later(wait, Happening::Job(Arc::new(job)));
            }
        }
    }

    /// Handles the effects of handlers.
    pub(crate) fn hear(&mut self) {
        for announcement in self.ports.bus.inner.take() {
            if announcement.detail_type == eventbridge::PROMOTED {
                let promoted = serde_json::from_value(announcement.detail.clone());
                self.promoted
                    .push(promoted.expect("it says what it should"));
            }
            if self.withheld.announcements {
                continue;
            }
            let event = eventbridge::own(
                &announcement.id,
                &announcement.detail_type,
                &announcement.detail,
                announcement.at,
            );
            self.emit(event);
        }
        for news in self.ports.builds.take_news() {
            match news {
                BuildNews::Started(id, start) => {
                    self.build_event(&id, &start, BuildStatus::InProgress);
                    let plan = self.next_plan();
                    let stopped = Happening::BuildEnds(id, start, plan);
                    self.later(plan.takes, stopped);
                }
                BuildNews::Stopped(id) => self.watch.build_ended(&id, BuildStatus::Stopped),
            }
        }
        for (repository, tag, digest) in self.ports.images.take_news() {
            self.image_event(&repository, &tag, &digest);
        }
    }

    fn next_plan(&mut self) -> BuildPlan {
        if let Some(plan) = self.next_builds.pop_front() {
            return plan;
        }
        if !self.by_chance {
            return BuildPlan::default();
        }
        let usual = BuildPlan {
            takes: Duration::from_secs(20) + self.chance.up_to(Duration::from_secs(580)),
            ..BuildPlan::default()
        };
        let told = || "a build goes wrong".into();
        let Some(how) = self.chance.struck(Fault::BadBuild, told) else {
            return usual;
        };
        let mut lots = SplitMix64::new(how);
        let ends = match lots.draw() % 100 {
            0..30 => BuildStatus::Failed,
            30..45 => BuildStatus::Fault,
            45..50 => BuildStatus::TimedOut,
            _ => BuildStatus::Succeeded,
        };
        let pushes = match lots.draw() % 100 {
            0..10 => Pushes::Nothing,
            10..20 => Pushes::Twice,
            20..50 => Pushes::SameImage,
            _ => Pushes::Image,
        };
        BuildPlan {
            ends,
            pushes,
            ..usual
        }
    }

    /// A build pushes its image and ends, unless it was stopped before.
    pub(crate) fn build_ends(&mut self, id: &BuildId, start: &StartBuild, plan: BuildPlan) {
        let stopped = self
            .watch
            .look(|known| known.builds.get(id).copied().flatten())
            .is_some();
        if !stopped && plan.pushes != Pushes::Nothing {
            let own = match plan.pushes {
                Pushes::SameImage => start.component.to_string(),
                Pushes::Image | Pushes::Nothing | Pushes::Twice => id.to_string(),
            };
            self.push_image(start, &own);
            if plan.pushes == Pushes::Twice {
                self.push_image(start, &format!("{own} again"));
            }
        }
        let report = self.ports.builds.inner.finish(id, plan.ends);
        self.watch.build_ended(id, report.status);
        self.build_event(id, start, report.status);
    }

    fn push_image(&mut self, start: &StartBuild, manifest: &str) {
        let tags = variable(start, "IMAGE_TAGS").split(' ');
        let tags: Vec<Tag> = tags.filter_map(|tag| tag.parse().ok()).collect();
        for tag in tags {
            self.image_lands(&start.image_repository, &tag, manifest);
        }
    }

    /// Pushes an image that no build of ours made, with ECR's event.
    pub fn put_image(&mut self, repository: &ImageRepository, tag: &Tag, manifest: &str) -> Digest {
        self.watch.meddled(tag);
        self.image_lands(repository, tag, manifest)
    }

    fn image_lands(&mut self, repository: &ImageRepository, tag: &Tag, manifest: &str) -> Digest {
        let images = &self.ports.images.inner;
        let digest = images
            .push(repository, tag, manifest.as_bytes())
            .expect("no tag of the shop is immutable");
        self.watch.pushed(repository, tag, &digest);
        self.image_event(repository, tag, &digest);
        digest
    }

    fn image_event(&mut self, repository: &ImageRepository, tag: &Tag, digest: &Digest) {
        if !self.withheld.images {
            let event = self.image_pushed(repository, tag, digest);
            self.emit(event);
        }
    }

    /// ECR's event of a push.
    #[must_use]
    pub fn image_pushed(&self, repository: &ImageRepository, tag: &Tag, digest: &Digest) -> Value {
        ecr::event(&ImageAction {
            id: format!("ecr-{tag}"),
            at: self.now(),
            account: eventbridge::NO_ACCOUNT.into(),
            region: "eu-central-1".into(),
            repository: repository.clone(),
            action: Action::Push,
            succeeded: true,
            digest: Some(digest.clone()),
            tag: Some(tag.clone()),
            media_type: None,
        })
    }

    fn build_event(&mut self, id: &BuildId, start: &StartBuild, status: BuildStatus) {
        if !self.withheld.builds {
            let event = self.build_changed(id, start, Status::Known(status));
            self.emit(event);
        }
    }

    /// CodeBuild's event of a build that has started or ended.
    #[must_use]
    pub fn build_changed(&self, id: &BuildId, start: &StartBuild, status: Status) -> Value {
        let phase = Phase {
            name: "BUILD".into(),
            status: Some("FAILED".into()),
            started_at: None,
            ended_at: None,
            context: vec!["COMMAND_EXECUTION_ERROR: exit status 1".into()],
        };
        let failed = matches!(status, Status::Known(BuildStatus::Failed));
        codebuild::event(&StateChange {
            id: format!("codebuild-{id}"),
            at: self.now(),
            account: eventbridge::NO_ACCOUNT.into(),
            region: "eu-central-1".into(),
            build: id.clone(),
            status,
            project: StartBuild::project(&start.repository.name, &start.component),
            commit: Some(start.commit.clone()),
            started_at: None,
            environment: start.environment.clone(),
            phases: if failed { vec![phase] } else { Vec::new() },
        })
    }
}

/// A variable of a build's environment.
#[must_use]
pub fn variable<'a>(start: &'a StartBuild, name: &str) -> &'a str {
    let environment: BTreeMap<&str, &str> = start
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    environment.get(name).copied().unwrap_or_default()
}
