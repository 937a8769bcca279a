//! What a runner needs to know and to be given.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use towline_domain::names::{BuildId, CommitSha, ImageRepository};
use towline_ports::{PortError, RepositoryRef};

/// Tells the time.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Gives the password with which a build may push to its image repository, and to no other.
pub type RegistryPassword = Arc<dyn Fn(&BuildId, &ImageRepository) -> String + Send + Sync>;

/// Where builds get their source from.
#[async_trait]
pub trait Checkout: Send + Sync {
    /// The folder of a bare repository on this machine that holds the commit; none when the
    /// repository does not have it.
    async fn mirror(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
    ) -> Result<Option<PathBuf>, PortError>;
}

/// What a build gets to see of the machine; nothing else of our environment reaches it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// `PATH`.
    pub search_path: OsString,
    /// Whose Docker plugins are used; builds get a home of their own.
    pub home: Option<PathBuf>,
    /// `LANG`.
    pub lang: Option<String>,
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
}

/// How builds are run.
pub struct Config {
    /// The folder with everything that is kept, and with the folders that builds run in.
    pub dir: PathBuf,
    /// How many builds run at a time, at least one.
    pub concurrency: usize,
    /// How many builds that have ended are kept with their logs and artifacts, at least one; see
    /// [`Config::KEEP`]. One that is not kept is unknown: asked for again, it would be built again.
    pub keep: usize,
    /// The file with the values of `parameter-store` and `secrets-manager`, which only its owner
    /// may read; it is looked for when a build asks for one.
    pub secrets: PathBuf,
    /// A folder that every user may enter: builds that `run-as` another user run below it.
    pub common: PathBuf,
    /// What builds see of the machine.
    pub machine: Machine,
    /// Tells the time.
    pub now: Now,
    /// What `towline` means inside a build.
    pub towline_binary: PathBuf,
    /// Gives the password for the registry.
    pub registry_password: RegistryPassword,
    /// Gives the source.
    pub checkout: Arc<dyn Checkout>,
    /// The region that builds see and events name.
    pub region: String,
    /// The account that builds see and events name.
    pub account: String,
}

impl Config {
    /// How many ended builds are kept when nobody says otherwise.
    pub const KEEP: usize = 200;
}

/// Why the runner could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is in use by another towline: end that one, or give another folder", .0.display())]
    InUse(PathBuf),
    /// Its folder cannot be used.
    #[error("opening the folder of builds {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
