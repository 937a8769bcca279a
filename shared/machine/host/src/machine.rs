//! The parts of one machine, opened.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use towline_bus::rules::RULES;
use towline_bus::{LocalBus, Queued, Router};
use towline_domain::names::CommitSha;
use towline_domain::turns::Room;
use towline_handlers::Context;
use towline_handlers::start_builds::Settings;
use towline_ports::{Clock as _, PortError, RepositoryRef};
use towline_registry::Registry;
use towline_runner::Checkout;
use towline_runner::Runner;
use towline_source::{GitSource, Registered, Surroundings};
use towline_store::SqliteStore;
use towline_wire::eventbridge::{LOCAL_REGION, NO_ACCOUNT};
use towline_wire::signature::Secrets;

use crate::folder::{Folder, FolderError};
use crate::keys::BuildKeys;
use crate::people::People;
use towline_ports::system::SystemClock;

/// The parts and settings of a machine.
pub struct Config {
    pub folder: Folder,
    /// The address to listen on; port 0 chooses a free one.
    pub listen: SocketAddr,
    /// Additional host names, besides its address and `localhost`.
    pub names: Vec<String>,
    /// The repositories that may push.
    pub repositories: Vec<Registered>,
    /// The secrets of their webhooks.
    pub secrets: Secrets,
    /// The signing secret of a Slack app, if one is connected.
    pub slack: Option<Secrets>,
    /// Builds that run at the same time.
    pub concurrency: usize,
    /// Builds that may wait for their turn.
    pub room: Room,
    /// The user that builds run as, if it is not the user of this process.
    pub build_user: Option<towline_runner::User>,
    /// The `towline` that builds find on their path.
    pub binary: PathBuf,
    /// The environment of `git`.
    pub surroundings: Surroundings,
    /// The environment of builds.
    pub builds: towline_runner::Machine,
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
    /// A rule is invalid.
    #[error(transparent)]
    Rule(#[from] towline_bus::RuleError),
    /// The people cannot be read.
    #[error(transparent)]
    People(#[from] crate::people::PeopleError),
    /// The address cannot be used.
    #[error(
        "listening on {address}; if another towline runs there, use --listen with another port"
    )]
    Listen {
        address: SocketAddr,
        #[source]
        cause: std::io::Error,
    },
}

/// One machine, running.
pub(crate) struct Machine {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    pub(crate) store: SqliteStore,
    pub(crate) bus: LocalBus,
    pub(crate) registry: Registry,
    pub(crate) runner: Runner,
    pub(crate) source: Arc<GitSource>,
    pub(crate) people: People,
    pub(crate) secrets: Secrets,
    pub(crate) slack: Option<Secrets>,
    pub(crate) settings: Settings,
    pub(crate) clock: SystemClock,
    pub(crate) keys: BuildKeys,
    /// The file with the secrets of builds.
    pub(crate) build_secrets: PathBuf,
}

impl Machine {
    pub(crate) async fn open(
        mut config: Config,
    ) -> Result<(Self, TcpListener, mpsc::Receiver<Queued>), MachineError> {
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
        let keys = BuildKeys::default();
        let clock = SystemClock;
        let registry_settings = towline_registry::Settings {
            hosts: hosts(address, std::mem::take(&mut config.names)),
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
            std::mem::take(&mut config.repositories),
        )?);
        let runner = Runner::open(runner(&config, address, &keys, &source)).await?;
        let (bus, queue) = LocalBus::new(Router::new(RULES)?);
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
            build_secrets: build_secrets(&config.folder),
            secrets: config.secrets,
            slack: config.slack,
            settings,
            clock,
            keys,
        };
        Ok((machine, listener, queue))
    }

    /// What handlers need to decide, commit and announce.
    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            store: &self.store,
            bus: &self.bus,
            clock: &self.clock,
        }
    }
}

/// The address at which builds on this machine reach it. An address that means "every interface" cannot
/// be a target.
fn from_here(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()))
    } else {
        address
    }
}

/// The host names that requests may use, as protection against DNS rebinding.
fn hosts(address: SocketAddr, names: Vec<String>) -> Vec<String> {
    let own = [
        address.ip().to_string(),
        "localhost".into(),
        "127.0.0.1".into(),
        "[::1]".into(),
    ];
    own.into_iter().chain(names).collect()
}

fn build_secrets(folder: &Folder) -> PathBuf {
    folder.path("secrets.json")
}

/// How builds run here.
fn runner(
    config: &Config,
    address: SocketAddr,
    keys: &BuildKeys,
    source: &Arc<GitSource>,
) -> towline_runner::Config {
    let clock = SystemClock;
    towline_runner::Config {
        dir: config.folder.path("runner"),
        concurrency: config.concurrency,
        room: config.room,
        keep: towline_runner::Config::KEEP,
        secrets: build_secrets(&config.folder),
        awaits_secrets: true,
        common: std::env::temp_dir(),
        build_user: config.build_user.clone(),
        machine: config.builds.clone(),
        now: Arc::new(move || clock.now()),
        towline_binary: config.binary.clone(),
        registry_address: Some(from_here(address).to_string()),
        registry: Arc::new(keys.clone()),
        checkout: Arc::new(Mirrors(Arc::clone(source))),
        region: LOCAL_REGION.into(),
        account: NO_ACCOUNT.into(),
    }
}

/// The source's mirrors, from which builds are checked out.
struct Mirrors(Arc<GitSource>);

#[async_trait]
impl Checkout for Mirrors {
    async fn mirror(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
    ) -> Result<Option<PathBuf>, PortError> {
        self.0.mirror_with(repository, commit).await
    }
}
