//! All of Towline in one process: store, bus, registry, build runner and source.

pub mod around;
pub mod people;
pub mod reading;
pub mod registered;

mod accept;
mod bodies;
mod dispatch;
mod doorman;
mod doors;
mod feed;
mod folder;
mod invoke;
mod keys;
mod machine;
mod places;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use towline_bus::Queued;

pub use folder::{Folder, FolderError, write_private};
pub use keys::BuildKeys;
pub use machine::{Config, MachineError};

use machine::Machine;

/// How often the sweep runs.
const SWEEP: Duration = Duration::from_secs(5);

/// A machine that is open but not running yet.
pub struct Opened {
    machine: Arc<Machine>,
    listener: TcpListener,
    queue: mpsc::Receiver<Queued>,
}

impl Opened {
    /// Opens everything below the folder and listens on the address.
    pub async fn open(config: Config) -> Result<Self, MachineError> {
        let (machine, listener, queue) = Machine::open(config).await?;
        Ok(Self {
            machine: Arc::new(machine),
            listener,
            queue,
        })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.machine.address
    }

    /// Runs until `stop` is set; work in progress is finished or resumed later.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let Self {
            machine,
            listener,
            queue,
        } = self;
        let work = dispatch::start(&machine, queue, SWEEP, &stop);
        let serve = doors::serve(Arc::clone(&machine), listener, stop.clone());
        // Builds end while the last answers are sent.
        tokio::join!(serve, work.finish(stop));
    }
}
