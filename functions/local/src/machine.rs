//! One machine as the whole cloud: store, bus, registry, build runner and source in one process.

mod accept;
mod dispatch;
mod doors;
mod folder;
mod keys;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use towline_bus::{LocalBus, Queued, Router};
use towline_handlers::Context;
use towline_handlers::start_builds::Settings;
use towline_ports::Clock;
use towline_registry::Registry;
use towline_runner::Runner;
use towline_source::{GitSource, Registered, Surroundings};
use towline_store::SqliteStore;
use towline_wire::signature::Secrets;

pub use folder::{Folder, FolderError, write_private};

use crate::clock::SystemClock;
use crate::people::People;
use crate::templates;

/// How often what was lost is looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// What a machine is made of.
pub struct Config {
    /// Where everything is kept.
    pub folder: Folder,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Further names under which it is asked, besides its address and `localhost`.
    pub names: Vec<String>,
    /// The repositories that may push.
    pub repositories: Vec<Registered>,
    /// What signs their webhooks.
    pub secrets: Secrets,
    /// What signs a Slack app's requests, if one is connected.
    pub slack: Option<Secrets>,
    /// Builds that run at the same time.
    pub concurrency: usize,
    /// The `towline` that builds find on their path.
    pub binary: PathBuf,
    /// What `git` and builds get to see of this machine.
    pub surroundings: Surroundings,
}

/// Why a machine does not start.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] towline_store::OpenError),
    /// The registry does not open.
    #[error(transparent)]
    Registry(#[from] towline_registry::RegistryError),
    /// The runner does not open.
    #[error(transparent)]
    Runner(#[from] towline_runner::OpenError),
    /// A repository cannot be registered.
    #[error(transparent)]
    Source(#[from] towline_source::OpenError),
    /// A rule is broken.
    #[error(transparent)]
    Rule(#[from] towline_bus::RuleError),
    /// The people cannot be read.
    #[error(transparent)]
    People(#[from] crate::people::PeopleError),
    /// Nobody can listen there.
    #[error(
        "listening on {address}; is another towline running there? use --listen with another port"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        cause: std::io::Error,
    },
}

/// One machine, running.
pub struct Machine {
    /// Where it listens.
    pub address: SocketAddr,
    store: SqliteStore,
    bus: LocalBus,
    registry: Registry,
    runner: Runner,
    source: Arc<GitSource>,
    people: People,
    secrets: Secrets,
    slack: Option<Secrets>,
    settings: Settings,
    clock: SystemClock,
    keys: keys::RegistryKeys,
}

/// A machine that is open but does nothing yet.
pub struct Opened {
    machine: Arc<Machine>,
    listener: TcpListener,
    queue: mpsc::Receiver<Queued>,
}

impl Machine {
    /// Opens everything below the folder and binds the address.
    ///
    /// # Errors
    /// When the folder is in use or unusable, or the address is taken.
    pub async fn open(config: Config) -> Result<Opened, MachineError> {
        let folder = &config.folder;
        let store = SqliteStore::open(folder.path("store"))?;
        let listener = TcpListener::bind(config.listen)
            .await
            .and_then(|listener| Ok((listener.local_addr()?, listener)))
            .map_err(|cause| MachineError::Listen {
                address: config.listen,
                cause,
            });
        let (address, listener) = listener?;
        let keys = keys::RegistryKeys::new(folder.registry_key()?);
        let clock = SystemClock;
        let registry_settings = towline_registry::Settings {
            hosts: hosts(address, config.names),
            ..towline_registry::Settings::default()
        };
        let registry = Registry::open(
            &folder.path("registry"),
            registry_settings,
            Arc::new(move || clock.now().as_millisecond()),
        )?;
        let source = Arc::new(GitSource::open(
            &folder.path("source"),
            &config.surroundings,
            config.repositories,
        )?);
        let runner = Runner::open(dispatch::runner_config(
            &config.folder,
            config.concurrency,
            config.binary,
            &config.surroundings,
            keys.clone(),
            Arc::clone(&source),
        ))
        .await?;
        let (bus, queue) = LocalBus::new(Router::new(templates::RULES)?);
        let people = People::open(folder)?;
        let settings = Settings {
            registry: from_here(address).to_string(),
        };
        let machine = Self {
            address,
            store,
            bus,
            registry,
            runner,
            source,
            people,
            secrets: config.secrets,
            slack: config.slack,
            settings,
            clock,
            keys,
        };
        Ok(Opened {
            machine: Arc::new(machine),
            listener,
            queue,
        })
    }

    /// What handlers decide, commit and announce with.
    #[must_use]
    pub fn context(&self) -> Context<'_> {
        Context {
            store: &self.store,
            bus: &self.bus,
            clock: &self.clock,
        }
    }
}

/// Where builds of this machine reach it: an address that means "every interface" is no place to go.
fn from_here(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()))
    } else {
        address
    }
}

/// The names under which a machine may be asked, against pages that point a name of theirs here.
fn hosts(address: SocketAddr, names: Vec<String>) -> Vec<String> {
    let own = [
        address.ip().to_string(),
        "localhost".into(),
        "127.0.0.1".into(),
        "[::1]".into(),
    ];
    own.into_iter().chain(names).collect()
}

impl Opened {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.machine.address
    }

    /// Does its work until `stop` says so; what is being done then is finished or resumed later.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let Self {
            machine,
            listener,
            queue,
        } = self;
        let work = dispatch::start(&machine, queue, SWEEP, &stop);
        let serve = doors::serve(Arc::clone(&machine), listener, stop.clone());
        // Builds end while the last answers are given.
        tokio::join!(serve, work.finish(stop));
    }
}
