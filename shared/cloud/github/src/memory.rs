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
mod objects;
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

/// The private key of an [`App`] made with [`App::new`], in PEM (PKCS#8). It is known to
/// everybody and opens nothing.
pub const APP_KEY: &str = include_str!("memory/app-key.pem");

pub struct MemoryGitHub {
    pub repositories: Vec<Repository>,
    pub apps: Vec<App>,
    /// Every token, those of installations among them.
    pub tokens: BTreeMap<String, Token>,
    /// What goes wrong with the next requests, one after the other; then all goes well.
    pub faults: VecDeque<Fault>,
    /// Every request that came: `GET /repos/acme/shop`.
    pub requests: Vec<String>,
    /// Most entries of a tree with those below it.
    pub most_entries: usize,
    /// Most files of a comparison.
    pub most_files: usize,
    clock: Arc<dyn Clock>,
}

/// What goes wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    Pass,
    /// The secondary rate limit: 403 with `Retry-After` in seconds.
    RetryAfter(u64),
    /// The primary rate limit: 403, nothing remaining, and when it begins anew.
    Exhausted(Timestamp),
    /// 502 from before GitHub.
    ServerError,
    /// 401, whichever the credentials.
    Unauthorized,
    /// It answers, but only after this time.
    Slow(Duration),
    /// It begins to answer and then hangs up.
    HangUp,
    /// It answers with this many bytes of nothing.
    Large(usize),
    /// It leads elsewhere, with this status.
    Redirect(u16, String),
}

impl MemoryGitHub {
    /// A GitHub without repositories, whose tokens end by this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            repositories: Vec::new(),
            apps: Vec::new(),
            tokens: BTreeMap::new(),
            faults: VecDeque::new(),
            requests: Vec::new(),
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

    /// The same, to change it.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn repository_mut(&mut self, id: u64) -> &mut Repository {
        let mut all = self.repositories.iter_mut();
        all.find(|repository| repository.id == id)
            .expect("a repository that was added")
    }

    /// Serves it at this address; port 0 takes a free one.
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

/// A GitHub in memory that is being served, until this is dropped.
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

    /// What it holds, to read and to change; it answers nobody as long as this is held.
    pub fn github(&self) -> MutexGuard<'_, MemoryGitHub> {
        lock(&self.github)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
