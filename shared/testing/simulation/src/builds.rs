//! CodeBuild, with the passwords and the turns of builds on one machine: builds wait, run, push and end.

use std::time::Duration;

use serde_json::Value;
use towline_domain::names::{BuildId, ImageRepository, Tag};
use towline_domain::run::BuildStatus;
use towline_ports::memory::SplitMix64;
use towline_ports::{Rights, StartBuild};
use towline_wire::codebuild::{self, Phase, StateChange, Status};
use towline_wire::eventbridge;

use crate::build::{BuildPlan, Pushes, variable};
use crate::faulty::BuildNews;
use crate::mechanism::Mechanism;
use crate::places::Waiting;
use crate::weather::Fault;
use crate::world::{Happening, World};

/// How long it takes until a build that was stopped before it began is said to have ended.
const SOON: Duration = Duration::from_secs(1);

impl World {
    /// Builds that were just requested or stopped.
    pub(crate) fn hear_of_builds(&mut self) {
        for news in self.ports.builds.take_news() {
            match news {
                BuildNews::Started(id, start) => {
                    let plan = self.next_plan();
                    self.places.join(Waiting { id, start, plan });
                }
                BuildNews::Stopped(id) => {
                    self.watch.build_ended(&id, BuildStatus::Stopped);
                    if let Some(Waiting { id, start, plan }) = self.places.leave(&id) {
                        self.later(SOON, Happening::BuildEnds(id, start, plan));
                    }
                }
            }
            self.begin_builds();
        }
    }

    /// Begins builds while places are free.
    fn begin_builds(&mut self) {
        let is_fair = !self.chance.lacks(Mechanism::Fairness);
        while let Some(next) = self.places.begin(is_fair) {
            if let Some(unfair) = next.unfair {
                self.watch.violated(unfair);
            }
            let Waiting { id, start, plan } = next.build;
            self.build_event(&id, &start, BuildStatus::InProgress);
            if let Err(leak) = self.kept.restore(&start) {
                self.watch.violated(leak);
            }
            self.later(plan.takes, Happening::BuildEnds(id, start, plan));
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
            strays: lots.draw() % 100 < 15,
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
            self.push_image(id, start, &own);
            if plan.pushes == Pushes::Twice {
                self.push_image(id, start, &format!("{own} again"));
            }
        }
        if !stopped && plan.strays {
            self.strays(id, start);
        }
        if !stopped && plan.ends == BuildStatus::Succeeded {
            self.kept.save(start);
        }
        let report = self.ports.builds.inner.finish(id, plan.ends);
        self.watch.build_ended(id, report.status);
        self.build_event(id, start, report.status);
        if plan.strays {
            self.push_image(id, start, "what an ended build pushes");
        }
        self.places.leave(id);
        self.begin_builds();
    }

    /// Pushes an image under the tags that the build's variables name.
    fn push_image(&mut self, id: &BuildId, start: &StartBuild, manifest: &str) {
        let tags = variable(start, "IMAGE_TAGS").split(' ');
        let tags: Vec<Tag> = tags.filter_map(|tag| tag.parse().ok()).collect();
        for tag in tags {
            self.build_pushes(id, start, &tag, manifest);
        }
    }

    /// A hostile build pushes to a stage's tag, and to the tag of another attempt.
    fn strays(&mut self, id: &BuildId, start: &StartBuild) {
        let images = &start.image_repository;
        let other = self.watch.look(|known| {
            let runs = known.runs.values().flat_map(|run| run.components.values());
            let attempts = runs.filter(|component| component.repository == *images);
            let mut attempts = attempts.flat_map(|component| &component.attempts);
            let other =
                attempts.find(|known| known.id != start.attempt && !known.state.is_terminal());
            other.map(|known| known.unique_tag.clone())
        });
        let stage: Tag = "prod".parse().expect("a tag");
        for tag in other.into_iter().chain([stage]) {
            self.build_pushes(id, start, &tag, "what a hostile build pushes");
        }
    }

    /// Pushes an image with the build's password, as the registry of one machine judges it.
    fn build_pushes(&mut self, id: &BuildId, start: &StartBuild, tag: &Tag, manifest: &str) {
        let images: &ImageRepository = &start.image_repository;
        let rights = Rights::of(start.repository.id, images, &start.environment);
        let runs = self.watch.look(|known| known.builds.get(id) == Some(&None));
        let refused = !runs || rights.objection_to_push(images, Some(tag)).is_some();
        if refused && !self.chance.lacks(Mechanism::TagPassword) {
            self.chance
                .tell(|| format!("{id} may not push to {images}:{tag}"));
            return;
        }
        self.watch.build_pushes(id, &start.attempt, tag);
        self.image_lands(images, tag, manifest);
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
