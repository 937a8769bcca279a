//! Strict in-memory adapters for stories and simulation.

mod builds;
mod bus;
mod clock;
mod images;
mod source;
mod statuses;
mod store;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use builds::MemoryBuilds;
pub use bus::MemoryBus;
pub use clock::{MemoryClock, SplitMix64};
pub use images::MemoryImages;
pub use source::{MemoryCommit, MemoryRepository, MemorySource};
pub use statuses::MemoryStatuses;
pub use store::MemoryStore;

/// Locks. If another test panicked while it held the lock, that is ignored here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
