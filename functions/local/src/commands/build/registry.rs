//! A registry for one build: on a free port of this machine, open to this build only.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use towline_domain::names::ImageRepository;
use towline_ports::Clock as _;
use towline_registry::{Access, Authority, Credentials, Registry, Settings, Verdict};

use towline_ports::system::{SystemClock, random_bytes};

/// The most pushes that are listed.
const MOST: usize = 1_000;

/// A registry that does not listen yet; the build's variables already name it.
pub(super) struct OwnRegistry {
    pub(super) password: String,
}

/// A registry that serves until it is dropped.
pub(super) struct Serving {
    /// `host:port`
    pub(super) host: String,
    registry: Registry,
    task: JoinHandle<()>,
}

/// What was pushed.
#[derive(Debug, Serialize)]
pub(super) struct Pushed {
    pub(super) repository: String,
    pub(super) tag: Option<String>,
    pub(super) digest: String,
}

/// Accepts the build's password, for pushes to the build's repository.
struct Gate {
    password: [u8; 32],
    repository: String,
}

impl OwnRegistry {
    pub(super) fn new() -> Self {
        Self {
            password: hex::encode(random_bytes::<32>()),
        }
    }

    pub(super) async fn open(
        self,
        folder: &Path,
        repository: &ImageRepository,
    ) -> anyhow::Result<Serving> {
        let clock = SystemClock;
        let registry = Registry::open(
            folder,
            Settings::default(),
            Arc::new(move || clock.now().as_millisecond()),
        )?;
        let gate = Gate {
            password: Sha256::digest(&self.password).into(),
            repository: repository.to_string(),
        };
        let router = registry.router(Arc::new(gate));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(address)
            .await
            .context("listening on 127.0.0.1")?;
        let host = listener.local_addr()?.to_string();
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!(%error, "the build's registry ended");
            }
        });
        Ok(Serving {
            host,
            registry,
            task,
        })
    }
}

impl Serving {
    /// What was pushed, in order.
    pub(super) async fn images(&self) -> anyhow::Result<Vec<Pushed>> {
        let events = self.registry.next_events(0, MOST).await?;
        let pushed = events.into_iter().map(|event| Pushed {
            repository: event.repository.as_str().to_owned(),
            tag: event.tag.map(|tag| tag.as_str().to_owned()),
            digest: event.digest.as_str().to_owned(),
        });
        Ok(pushed.collect())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Authority for Gate {
    fn judge(&self, credentials: Option<&Credentials>, access: Access<'_>) -> Verdict {
        // Comparing hashes reveals nothing about the secret by its timing.
        let known = credentials.is_some_and(|credentials| {
            <[u8; 32]>::from(Sha256::digest(credentials.password.expose_secret())) == self.password
        });
        if !known {
            return Verdict::Unknown;
        }
        match access {
            Access::Ping | Access::Pull { .. } => Verdict::Allow,
            Access::Push { repository, .. } if repository.as_str() == self.repository => {
                Verdict::Allow
            }
            Access::Push { repository, .. } => Verdict::Deny(format!(
                "this build may push to {}, not to {repository}",
                self.repository
            )),
            Access::Delete { .. } | Access::Catalog => {
                Verdict::Deny("a build may neither delete nor list".into())
            }
        }
    }
}
