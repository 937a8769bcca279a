//! The event bus.

use std::sync::Arc;

use async_trait::async_trait;
use towline_ports::memory::MemoryBus;
use towline_ports::{Announcement, Bus, PortError};

use crate::chance::Chance;
use crate::hidden;
use crate::watch::Watch;

pub struct FaultyBus {
    pub(crate) inner: MemoryBus,
    pub(crate) chance: Arc<Chance>,
    pub(crate) watch: Arc<Watch>,
}

#[async_trait]
impl Bus for FaultyBus {
    async fn announce(&self, mut announcements: Vec<Announcement>) -> Result<(), PortError> {
        self.chance.before("announce").await?;
        hidden::announce(&self.chance, &mut announcements);
        self.watch.announced(&announcements);
        self.inner.announce(announcements).await?;
        self.chance.after("announce").await
    }
}
