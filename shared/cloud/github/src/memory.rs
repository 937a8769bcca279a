//! A GitHub in memory: plain structs that a test fills and reads, and an API over HTTP on
//! loopback that answers from them and writes to them.
//!
//! It has the part of the API that Towline uses, in GitHub's shapes and with GitHub's limits, and
//! answers 404 to everything else. Commits have the ids that Git would give them.
//!
//! ```
//! # use std::sync::Arc;
//! # use towline_github::memory::{MemoryGitHub, Repository};
//! # use towline_ports::memory::MemoryClock;
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let clock = Arc::new(MemoryClock::new(jiff::Timestamp::UNIX_EPOCH, 1));
//! let mut shop = Repository::new(7, "acme/shop".parse().unwrap());
//! shop.push("refs/heads/main", "Begin", &[("towline.yaml", "pipelines: {}")]);
//! let mut github = MemoryGitHub::new(clock);
//! github.repositories.push(shop);
//! let server = github.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
//! // Give `server.url()` to what is tested, let it work, and look at what the world holds now:
//! assert!(server.github().repository(7).statuses.is_empty());
//! # });
//! ```

mod access;
mod git_data;
mod hooks;
mod objects;
mod reply;
mod repository;
mod routes;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use towline_ports::Clock;

use crate::lock;

pub use access::{App, Installation, Token};
pub use repository::{Commit, Delivery, File, Hook, Repository, Status};

/// The private key of an [`App`] created with [`App::new`], in PEM (PKCS#8). It is public and protects
/// nothing.
pub const APP_KEY: &str = include_str!("memory/app-key.pem");

pub struct MemoryGitHub {
    pub repositories: Vec<Repository>,
    pub apps: Vec<App>,
    /// The webhooks of organizations, by login.
    pub organizations: BTreeMap<String, Vec<Hook>>,
    /// Every token, including those of installations.
    pub tokens: BTreeMap<String, Token>,
    /// Failures of the next requests, one by one; afterwards requests succeed.
    pub faults: VecDeque<Fault>,
    /// Every request: `GET /repos/acme/shop`.
    pub requests: Vec<String>,
    /// The requests that answers say are left, and until when.
    pub left: Option<(u32, Timestamp)>,
    /// The most entries of a recursive tree.
    pub most_entries: usize,
    /// The most files of a comparison.
    pub most_files: usize,
    clock: Arc<dyn Clock>,
}

/// The failure of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    Pass,
    /// The secondary rate limit: 403 with `Retry-After` in seconds.
    RetryAfter(u64),
    /// The primary rate limit: 403, nothing remaining, and when it resets.
    Exhausted(Timestamp),
    /// 502 from a proxy in front of GitHub.
    ServerError,
    /// 401, whatever the credentials are.
    Unauthorized,
    /// It answers, but only after this time.
    Slow(Duration),
    /// It begins to answer and then closes the connection.
    HangUp,
    /// It answers with this many meaningless bytes.
    Large(usize),
    /// It redirects, with this status.
    Redirect(u16, String),
}

impl MemoryGitHub {
    /// A GitHub without repositories; tokens expire by this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            repositories: Vec::new(),
            apps: Vec::new(),
            organizations: BTreeMap::new(),
            tokens: BTreeMap::new(),
            faults: VecDeque::new(),
            requests: Vec::new(),
            left: None,
            most_entries: 100_000,
            most_files: 300,
            clock,
        }
    }

    /// The repository with this id.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn repository(&self, id: u64) -> &Repository {
        let mut all = self.repositories.iter();
        all.find(|repository| repository.id == id)
            .expect("a repository that was added")
    }

    /// The same, mutable.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn repository_mut(&mut self, id: u64) -> &mut Repository {
        let mut all = self.repositories.iter_mut();
        all.find(|repository| repository.id == id)
            .expect("a repository that was added")
    }

    /// Serves it at this address; port 0 chooses a free one.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened at.
    pub async fn serve(self, address: SocketAddr) -> io::Result<Server> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let github = Arc::new(Mutex::new(self));
        let routes = routes::all(github.clone(), address);
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "the GitHub in memory stopped");
            }
        });
        Ok(Server {
            address,
            github,
            serving,
        })
    }
}

/// A GitHub in memory that is served until this is dropped.
pub struct Server {
    address: SocketAddr,
    github: Arc<Mutex<MemoryGitHub>>,
    serving: JoinHandle<()>,
}

impl Server {
    /// The base address of its API.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its content, to read and to change; it answers no request while this is held.
    pub fn github(&self) -> MutexGuard<'_, MemoryGitHub> {
        lock(&self.github)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
