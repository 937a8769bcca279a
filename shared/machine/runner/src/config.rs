//! The settings of a runner.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use towline_domain::names::{BuildId, CommitSha};
use towline_domain::turns::Room;
use towline_ports::{PortError, RepositoryRef, Rights};

use crate::users::User;

pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Gives builds access to the registry while they run.
pub trait RegistryAccess: Send + Sync {
    /// Returns the password of a build that begins. The password gives access to what these rights
    /// name.
    fn open(&self, build: &BuildId, rights: Rights) -> String;

    /// A build ends. From now on, its password gives no access.
    fn close(&self, build: &BuildId);
}

/// The same password for every build, for a registry that checks rights in another way.
#[derive(Debug, Clone)]
pub struct OnePassword(pub String);

impl RegistryAccess for OnePassword {
    fn open(&self, _build: &BuildId, _rights: Rights) -> String {
        self.0.clone()
    }

    fn close(&self, _build: &BuildId) {}
}

/// Where builds get their source.
#[async_trait]
pub trait Checkout: Send + Sync {
    /// The folder of a bare repository on this machine that contains the commit; none if the
    /// repository does not have it.
    async fn mirror(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
    ) -> Result<Option<PathBuf>, PortError>;
}

/// The environment that builds get. They do not inherit the rest of ours.
#[derive(Debug, Clone)]
pub struct Machine {
    pub search_path: OsString,
    /// The home folder with Docker's plugins; builds have their own home folder.
    pub home: Option<PathBuf>,
    pub lang: Option<String>,
    pub docker_host: Option<String>,
}

pub struct Config {
    /// The folder for stored data and for the folders that builds run in.
    pub dir: PathBuf,
    /// The number of simultaneous builds, at least one.
    pub concurrency: usize,
    /// How many builds may wait for their turn.
    pub room: Room,
    /// The number of ended builds to keep with logs and artifacts, at least one; see [`Config::KEEP`].
    /// Older builds are unknown; if they were requested again, they would run again.
    pub keep: usize,
    /// The file with the values of `parameter-store` and `secrets-manager`, readable by its owner only.
    /// It is read when a build needs a value.
    pub secrets: PathBuf,
    /// Whether a build whose secrets are missing is requested again later. Otherwise it fails.
    pub awaits_secrets: bool,
    /// A folder that every user may enter, for builds that run as another user.
    pub common: PathBuf,
    /// The user that all builds run as, if it is not towline's own.
    pub build_user: Option<User>,
    /// The environment that builds get.
    pub machine: Machine,
    pub now: Now,
    /// The program `towline` in builds.
    pub towline_binary: PathBuf,
    /// The address of the registry, `host:port`. Builds that an earlier process has queued get this one, if
    /// it is given.
    pub registry_address: Option<String>,
    /// Gives builds their passwords for the registry.
    pub registry: Arc<dyn RegistryAccess>,
    pub checkout: Arc<dyn Checkout>,
    /// The region in builds and events.
    pub region: String,
    /// The account in builds and events.
    pub account: String,
}

impl Config {
    /// The default number of ended builds to keep.
    pub const KEEP: usize = 200;
}

/// Why the runner could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is in use by another towline: stop it, or use another folder", .0.display())]
    InUse(PathBuf),
    /// Its folder cannot be used.
    #[error("opening the builds folder {}", path.display())]
    Folder {
        path: PathBuf,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
