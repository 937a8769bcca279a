//! Values read from the store, with their version and intents.

use serde::de::DeserializeOwned;
use towline_ports::Item;

use crate::content::{HandlerError, decode};
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

impl<T: DeserializeOwned> Read<T> {
    /// An item as a value.
    pub fn of(item: &Item) -> Result<Self, HandlerError> {
        Ok(Self {
            value: decode(&item.key, &item.body)?,
            version: item.version,
            outbox: Outbox::of(item)?,
        })
    }
}
