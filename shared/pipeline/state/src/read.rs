//! Values read from the store, with their version and intents.

use std::sync::Arc;

use towline_ports::Item;

use crate::content::{HandlerError, Stored, decode};
use crate::outbox::Outbox;

/// A value as it was read.
#[derive(Debug, Clone)]
pub struct Read<T> {
    pub value: T,
    /// The version to replace.
    pub version: u64,
    /// Its intents.
    pub outbox: Outbox,
}

impl<T: Stored> Read<T> {
    /// An item as a value.
    pub fn of(item: &Item) -> Result<Self, HandlerError> {
        Ok(Self {
            value: Arc::unwrap_or_clone(decode(item)?),
            version: item.version,
            outbox: Outbox::of(item)?,
        })
    }
}
