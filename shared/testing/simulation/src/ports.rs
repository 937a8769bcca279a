//! The ports of the handlers, in memory and with faults.

use std::sync::{Arc, Mutex};

use towline_handlers::start_builds::Settings;
use towline_ports::memory::{
    MemoryBuilds, MemoryBus, MemoryClock, MemoryImages, MemoryRepository, MemorySource,
    MemoryStatuses, MemoryStore,
};
use towline_wire::signature::{Secret, Secrets};

use crate::chance::Chance;
use crate::faulty::{
    FaultyBuilds, FaultyBus, FaultyImages, FaultySource, FaultyStatuses, FaultyStore,
};
use crate::shop;
use crate::watch::Watch;

/// How many builds CodeBuild runs at once.
const PLACES: usize = 20;

/// The ports of the handlers.
pub struct Ports {
    pub store: FaultyStore,
    pub bus: FaultyBus,
    pub clock: Arc<MemoryClock>,
    /// CodeBuild.
    pub builds: FaultyBuilds,
    /// ECR.
    pub images: FaultyImages,
    /// GitHub.
    pub source: FaultySource,
    /// The statuses beside commits.
    pub statuses: FaultyStatuses,
    pub(crate) secrets: Secrets,
    pub(crate) settings: Settings,
}

impl Ports {
    pub(crate) fn new(clock: Arc<MemoryClock>, chance: &Arc<Chance>, watch: &Arc<Watch>) -> Self {
        let source = MemorySource::new();
        for id in [shop::REPOSITORY, shop::OTHER] {
            source.add(id, MemoryRepository::new(shop::name_of(id)));
        }
        Self {
            store: FaultyStore {
                inner: MemoryStore::new(),
                chance: Arc::clone(chance),
                watch: Arc::clone(watch),
                late: Mutex::default(),
                written: Mutex::default(),
            },
            bus: FaultyBus {
                inner: MemoryBus::new(),
                chance: Arc::clone(chance),
                watch: Arc::clone(watch),
            },
            builds: FaultyBuilds {
                inner: MemoryBuilds::new(Arc::clone(&clock), PLACES),
                chance: Arc::clone(chance),
                watch: Arc::clone(watch),
                news: Default::default(),
            },
            images: FaultyImages {
                inner: MemoryImages::new(),
                chance: Arc::clone(chance),
                watch: Arc::clone(watch),
                news: Default::default(),
                denies: Default::default(),
                denied: Default::default(),
            },
            source: FaultySource {
                inner: source,
                pushed: Mutex::default(),
                chance: Arc::clone(chance),
            },
            statuses: FaultyStatuses {
                inner: MemoryStatuses::new(),
                failing: Mutex::new(None),
                chance: Arc::clone(chance),
                watch: Arc::clone(watch),
            },
            clock,
            secrets: Secrets::new(secret(), None),
            settings: Settings {
                registry: "registry.example".into(),
            },
        }
    }
}

/// GitHub's signing key.
pub(crate) fn secret() -> Secret {
    let secret = "a secret of thirty-two characters, or more";
    Secret::new(secret).expect("a secret that is long enough")
}
