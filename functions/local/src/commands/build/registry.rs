//! A registry for one build: on a free port of this machine, open to this build only.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use towline_host::BuildKeys;
use towline_ports::Clock as _;
use towline_ports::system::SystemClock;
use towline_registry::{Registry, Settings};

/// The most pushes that are listed.
const MOST: usize = 1_000;

/// A registry that does not listen yet.
#[derive(Default)]
pub(super) struct OwnRegistry {
    /// The build gets its password from here, as under `serve`.
    pub(super) keys: BuildKeys,
}

/// A registry that serves until it is dropped.
pub(super) struct Serving {
    /// `host:port`
    pub(super) host: String,
    registry: Registry,
    task: JoinHandle<()>,
}

#[derive(Debug, Serialize)]
pub(super) struct Pushed {
    pub(super) repository: String,
    pub(super) tag: Option<String>,
    pub(super) digest: String,
}

impl OwnRegistry {
    pub(super) async fn open(self, folder: &Path) -> anyhow::Result<Serving> {
        let clock = SystemClock;
        let registry = Registry::open(
            folder,
            Settings::default(),
            Arc::new(move || clock.now().as_millisecond()),
        )?;
        let router = registry.router(Arc::new(self.keys));
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
