//! ECR and EventBridge: images land, and events say so.

use std::sync::Arc;

use serde_json::Value;
use towline_domain::names::{Digest, ImageRepository, Tag};
use towline_wire::ecr::{self, Action, ImageAction};
use towline_wire::eventbridge;

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
        self.hear_of_builds();
        for (repository, tag, digest) in self.ports.images.take_news() {
            self.image_event(&repository, &tag, &digest);
        }
    }

    /// Pushes an image that no build of ours made, with ECR's event.
    pub fn put_image(&mut self, repository: &ImageRepository, tag: &Tag, manifest: &str) -> Digest {
        self.watch.meddled(tag);
        self.image_lands(repository, tag, manifest)
    }

    pub(crate) fn image_lands(
        &mut self,
        repository: &ImageRepository,
        tag: &Tag,
        manifest: &str,
    ) -> Digest {
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
}
