//! One seed's hour: pushes, builds, people and meddlers at random, faults all the way, then peace.

use std::sync::Arc;
use std::time::Duration;

use towline_answers::{Command, command};
use towline_bus::Router;

use crate::chance::Profile;
use crate::shop;
use crate::world::{Happening, World};

/// How long faults happen.
const HOUR: Duration = Duration::from_secs(50 * 60);

/// The result of one seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// A hash of everything that happened: the same for the same seed.
    pub hash: u64,
    /// I/O steps of all handlers.
    pub steps: u64,
    /// Invocations of handlers.
    pub deliveries: u64,
    /// Promotions that were carried out.
    pub moves: u64,
    /// Rows of ledgers that were written for decisions that were not committed.
    pub orphans: u64,
    /// What did not hold at the end.
    pub faults: Vec<String>,
    /// The world in words.
    pub view: String,
}

/// Runs one seed.
#[must_use]
pub fn campaign(seed: u64, profile: Profile, router: &Arc<Router>) -> Outcome {
    campaign_of(World::new(seed, profile, router), profile)
}

/// Runs one seed of a shop that builds its backend for two platforms.
#[must_use]
pub fn campaign_in_parts(seed: u64, profile: Profile, router: &Arc<Router>) -> Outcome {
    let mut world = World::new(seed, profile, router);
    world.definition = shop::definition_in_parts();
    campaign_of(world, profile)
}

/// Runs one seed in which no comparison of heads ever finds a move.
#[must_use]
pub fn campaign_without_comparisons(seed: u64, profile: Profile, router: &Arc<Router>) -> Outcome {
    let world = World::new(seed, profile, router);
    world.ports.source.blind();
    campaign_of(world, profile)
}

fn campaign_of(mut world: World, profile: Profile) -> Outcome {
    world.by_chance = true;
    for _ in 0..world.chance.below(16) + 16 {
        let when = world.chance.up_to(HOUR);
        world.later(when, Happening::Somebody);
    }
    world.push("main", "the beginning", &[]);
    world.pass(HOUR);
    world.chance.set_profile(Profile {
        concurrency: profile.concurrency,
        jump: profile.jump,
        ..Profile::QUIET
    });
    world.settle();
    // Once more, the stage tags are compared with the registry.
    world.pass(Duration::from_secs(360));
    world.settle();
    let moves = world.watch.look(|known| {
        let pointers = known
            .stages
            .values()
            .filter_map(|stage| stage.pointer.as_ref());
        pointers.map(|pointer| pointer.version).sum()
    });
    Outcome {
        hash: world.chance.hash(),
        steps: world.chance.steps(),
        deliveries: world.deliveries,
        moves,
        orphans: world.watch.look(|known| known.orphans() as u64),
        faults: world.faults_at_rest(),
        view: world.view(),
    }
}

impl World {
    /// Somebody does something unexpected.
    pub(crate) fn somebody_acts(&mut self) {
        self.acts += 1;
        match self.chance.below(100) {
            0..40 => self.somebody_pushes(),
            40..43 => self.somebody_pushes_again(),
            43..46 => self.somebody_meddles(),
            46..52 => self.somebody_goes_back_and_forth(),
            _ => self.somebody_commands(),
        }
    }

    fn somebody_pushes(&mut self) {
        let branch = ["main", "main", "main", "release/1"][self.draw(4)];
        let files = [
            &["backend/main.rs"][..],
            &["web/index.html"],
            &["libs/money.rs"],
            &["backend/README.md"],
            &["backend/main.rs", "web/index.html"],
        ][self.draw(5)];
        if self.chance.below(8) == 0 {
            self.force(branch);
        }
        let title = format!("change {}", self.acts);
        self.push(branch, &title, files);
    }

    /// Moves a branch back to before its last commit, so that the next push is forced.
    fn force(&mut self, branch: &str) {
        let git_ref = towline_domain::names::GitRef::Branch(branch.into());
        let source = &self.ports.source.inner;
        source.change(shop::REPOSITORY, |repository| {
            let parent = repository
                .refs
                .get(&git_ref)
                .and_then(|head| repository.commits[head].parents.first().cloned());
            if let Some(parent) = parent {
                repository.refs.insert(git_ref, parent);
            }
        });
    }

    fn somebody_pushes_again(&mut self) {
        if let Some(head) = self.head("main") {
            let request = self.webhook("main", None, &head, "seen again");
            self.deliver(request);
        }
    }

    /// Moves main back by one commit, or to where it was before its last such move.
    fn somebody_goes_back_and_forth(&mut self) {
        let Some(head) = self.head("main") else {
            return;
        };
        let source = &self.ports.source.inner;
        let parent = source.change(shop::REPOSITORY, |repository| {
            repository.commits[&head].parents.first().cloned()
        });
        let to = match self.chance.below(2) {
            0 => self.left.take().or(parent),
            _ => parent,
        };
        if let Some(to) = to.filter(|to| *to != head) {
            self.left = Some(head);
            let title = format!("back and forth {}", self.acts);
            self.push_existing("main", &to, &title);
        }
    }

    fn somebody_meddles(&mut self) {
        let (repository, tag) = [
            ("acme/backend", "staging"),
            ("acme/web", "prod"),
            ("acme/backend", "somebodys"),
        ][self.draw(3)];
        let manifest = format!("meddled {}", self.acts);
        let repository = repository.parse().expect("an image repository");
        let tag = tag.parse().expect("a tag");
        self.put_image(&repository, &tag, &manifest);
    }

    fn somebody_commands(&mut self) {
        let login = ["lee", "park", "lee", "park", "dana", "mallory"][self.draw(6)];
        let component = ["backend", "web"][self.draw(2)].parse().expect("a name");
        let stage = ["staging", "prod", "prod"][self.draw(3)]
            .parse()
            .expect("a name");
        let waiting: Vec<u64> = self.watch.look(|known| {
            let stages = known.stages.values();
            stages
                .flat_map(|stage| stage.waiting.iter().map(|known| known.number))
                .collect()
        });
        let promotion = if waiting.is_empty() {
            self.chance.below(12) + 1
        } else {
            waiting[self.draw(waiting.len())]
        };
        let build = self.chance.below(20) + 1;
        let repository = None;
        let command = match self.chance.below(100) {
            0..50 => Command::Approve(command::Approve {
                promotion,
                comment: None,
                repository,
            }),
            50..55 => Command::Reject(command::Reject {
                promotion,
                reason: "no".into(),
                repository,
            }),
            55..65 => Command::Rollback(command::Rollback {
                component,
                stage,
                to: None,
                reason: None,
                repository,
            }),
            65..70 => Command::Hold(command::Hold {
                component,
                stage,
                reason: "wait".into(),
                repository,
            }),
            70..85 => Command::Resume(command::Resume {
                component,
                stage,
                repository,
            }),
            85..90 => Command::Cancel(command::OfBuild { build, repository }),
            90..95 => Command::Retry(command::OfBuild { build, repository }),
            _ => Command::Promote(command::Promote {
                component,
                image: format!("build#{build}"),
                stage,
                reason: None,
                overrides: false,
                repository,
            }),
        };
        self.ask(login, command);
    }

    fn draw(&self, most: usize) -> usize {
        usize::try_from(self.chance.below(most as u64)).unwrap_or(0)
    }
}
