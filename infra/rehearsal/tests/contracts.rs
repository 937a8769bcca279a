//! The contracts of ports, kept by the adapters of AWS on stand-ins for its services.
//!
//! Ignored unless asked for: `.ci/run rehearsal` installs and starts what they need.

#[path = "contracts/builds.rs"]
mod builds;
#[path = "contracts/bus.rs"]
mod bus;
#[path = "contracts/images.rs"]
mod images;
#[path = "contracts/store.rs"]
mod store;

use tempfile::TempDir;
use tokio::sync::mpsc;
use towline_aws::Aws;
use towline_rehearsal::REGION;
use towline_rehearsal::client::Client;
use towline_rehearsal::emulator::Emulator;
use towline_rehearsal::model::Models;
use towline_rehearsal::proxy::Proxy;
use towline_rehearsal::surroundings::Surroundings;

/// Adapters for the services at this address.
fn aws(endpoint: String) -> Aws {
    Aws::from_variables("rehearsal", move |name| match name {
        "AWS_ENDPOINT_URL" => Some(endpoint.clone()),
        "AWS_REGION" => Some(REGION.to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        _ => None,
    })
}

/// The emulator behind the proxy, with nothing deployed. Fields end in this order.
struct Cloud {
    _emulator: Emulator,
    proxy: Proxy,
    /// An operator's way to AWS.
    client: Client,
    around: Surroundings,
    folder: TempDir,
}

impl Cloud {
    async fn open() -> anyhow::Result<Self> {
        let around = Surroundings::from_environment()?;
        let folder = tempfile::tempdir()?;
        // Nobody waits for the events of pushes here.
        let (pushes, _) = mpsc::unbounded_channel();
        let proxy = Proxy::start(Models::read(&around.venv)?, pushes).await?;
        let emulator = Emulator::start(&around.venv, folder.path(), proxy.address()).await?;
        proxy.forward_to(emulator.address(), emulator.process());
        Ok(Self {
            client: Client::new(emulator.address())?,
            _emulator: emulator,
            proxy,
            around,
            folder,
        })
    }

    /// Adapters whose requests go through the proxy.
    fn aws(&self) -> Aws {
        aws(self.address())
    }

    fn address(&self) -> String {
        format!("http://{}", self.proxy.address())
    }

    /// Panics if AWS's models forbid a request that was sent, or if none was.
    fn check_requests(&self, service: &str) {
        let recording = self.proxy.recording();
        let requests = recording.since(0);
        assert!(requests.iter().any(|request| request.service == service));
        assert_eq!(recording.violations(), Vec::<String>::new());
    }
}
