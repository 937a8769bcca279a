//! Runs one seed: for an hour everyone acts and faults happen; then the faults stop and work settles.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use towline_bus::Router;

use crate::chance::{Occurrence, Storm};
use crate::plan::{HOUR, Plan};
use crate::shop;
use crate::weather::Profile;
use crate::world::{Happening, World};

/// Within this time, the stage tags must have been compared with the registry.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

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
    /// What did not hold: at a step, which ends the seed, or at the end.
    pub faults: Vec<String>,
    /// The faults that happened.
    pub happened: Vec<Occurrence>,
    /// What happened in words, if that was asked for.
    pub story: Vec<(Timestamp, String)>,
    /// The world in words, if something did not hold.
    pub view: String,
}

#[must_use]
pub fn live(plan: &Plan, router: &Arc<Router>) -> Outcome {
    live_in(&mut World::new(plan.seed, plan.profile, router), plan)
}

/// Runs a plan, and describes what happens: acts and faults, or also every invocation.
#[must_use]
pub fn tell(plan: &Plan, in_full: bool, router: &Arc<Router>) -> Outcome {
    let mut world = World::new(plan.seed, plan.profile, router);
    world.chance.listen(in_full);
    live_in(&mut world, plan)
}

fn live_in(world: &mut World, plan: &Plan) -> Outcome {
    let ended = catch_unwind(AssertUnwindSafe(|| world.live(plan)));
    let faults = ended.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
        vec![said.unwrap_or_else(|| "a panic without words".into())]
    });
    let moves = world.watch.look(|known| {
        let pointers = known
            .stages
            .values()
            .filter_map(|stage| stage.pointer.as_ref());
        pointers.map(|pointer| pointer.version).sum()
    });
    let view = match faults.is_empty() {
        true => String::new(),
        false => world.view(),
    };
    Outcome {
        hash: world.chance.hash(),
        steps: world.chance.steps(),
        deliveries: world.deliveries,
        moves,
        orphans: world.watch.look(|known| known.orphans() as u64),
        faults,
        happened: world.chance.happened(),
        story: world.chance.story(),
        view,
    }
}

impl World {
    /// Lives a plan until nothing is left to do; returns what does not hold then.
    fn live(&mut self, plan: &Plan) -> Vec<String> {
        self.by_chance = true;
        self.chance.count_nothing();
        self.definition.clone_from(&plan.definition);
        self.watch.expects_right_clocks(plan.profile.skew == 0);
        for mechanism in &plan.without {
            self.chance.take_out(*mechanism);
        }
        if let Some(only) = &plan.only {
            self.chance.allow_only(only.clone());
        }
        let start = self.now();
        let storms = plan.storms.iter();
        let storms = storms.map(|(from, until)| Storm {
            from: start + *from,
            until: start + *until,
        });
        self.chance.set_storms(storms.collect());
        self.places.most = plan.places;
        if let Some((from, until)) = plan.denied {
            self.later(from, Happening::Denies(true));
            self.later(until, Happening::Denies(false));
        }
        for act in &plan.acts {
            self.later(act.at, Happening::Act(act.clone()));
        }
        for repository in [shop::OTHER, shop::REPOSITORY] {
            self.at = repository;
            self.push("main", "the beginning", &[]);
        }
        self.pass(HOUR);
        self.chance.set_storms(Vec::new());
        if !plan.silence.is_zero() {
            self.chance.tell(|| "no sweep takes place for a day".into());
            self.withheld.sweeps = true;
            self.pass(plan.silence);
            self.withheld.sweeps = false;
        }
        self.chance.tell(|| "from now on, nothing fails".into());
        self.chance.set_profile(Profile {
            concurrency: plan.profile.concurrency,
            jump: plan.profile.jump,
            ..Profile::QUIET
        });
        self.is_peaceful = true;
        self.watch.begins_peace();
        self.settle();
        self.compare_tags();
        self.settle();
        self.faults_at_rest()
    }

    /// Lets time pass until the stage tags of every repository were compared with the registry. An
    /// invocation may still run out of time, and a comparison is not owed, so some are lost.
    fn compare_tags(&mut self) {
        let from = self.now();
        let known = [shop::REPOSITORY, shop::OTHER].into_iter();
        let open: Vec<_> = known.filter(|id| self.has_pushed(*id)).collect();
        let is_over = |world: &Self, id| world.tags_compared.get(id).is_some_and(|at| *at >= from);
        while !open.iter().all(|id| is_over(self, id)) {
            assert!(
                self.now() < from + LONGEST,
                "F35: the stage tags are never compared"
            );
            self.step();
        }
    }
}
