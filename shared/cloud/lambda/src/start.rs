//! The start of every function on Lambda: AWS, the table and the bus.

use towline_aws::{Aws, EventBus, Table};
use towline_ports::system::SystemClock;
use towline_state::Context;

use crate::settings::{SettingError, State, settings};

pub struct Start {
    pub aws: Aws,
    pub table: Table,
    bus: EventBus,
}

impl Start {
    /// Connects a function to the table and bus in its environment.
    ///
    /// # Errors
    /// When the environment names no table or no bus.
    pub async fn of(function: &str) -> Result<Self, SettingError> {
        let State { table, bus } = settings()?;
        let aws = Aws::from_environment(function).await;
        Ok(Self {
            table: aws.table(table),
            bus: aws.bus(bus),
            aws,
        })
    }

    /// What handlers need to decide, commit and announce.
    #[must_use]
    pub fn context(&self) -> Context<'_> {
        Context {
            store: &self.table,
            bus: &self.bus,
            clock: &SystemClock,
        }
    }
}
