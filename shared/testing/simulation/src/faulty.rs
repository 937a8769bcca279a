//! The in-memory adapters behind ports that inject faults.

mod builds;
mod bus;
mod images;
mod source;
mod statuses;
mod store;
mod units;

pub(crate) use builds::BuildNews;
pub use builds::FaultyBuilds;
pub use bus::FaultyBus;
pub use images::FaultyImages;
pub use source::FaultySource;
pub use statuses::FaultyStatuses;
pub use store::FaultyStore;
