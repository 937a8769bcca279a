//! Converts values to and from the contents of items, and has the errors of handlers.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use towline_domain::obstacle::Obstacle;
use towline_ports::{Item, Key, PortError};

/// Why a handler did not finish. A retry may help.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// A service did not answer.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Others kept changing the same item (F22).
    #[error("others kept changing {0}; try again")]
    Contended(String),
    /// An item of the store has a content that this version does not know (F36).
    #[error("reading {key} from the store")]
    Unreadable {
        /// Its partition.
        key: String,
        /// What is wrong with it.
        #[source]
        cause: serde_json::Error,
    },
}

impl HandlerError {
    /// Whether a retry never helps: an item cannot be read, or would break a limit of the store.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Port(error) => error.is_permanent(),
            Self::Unreadable { .. } => true,
            Self::Contended(_) => false,
        }
    }

    /// What a person must put right first, if that is why.
    #[must_use]
    pub fn obstacle(&self) -> Option<Obstacle> {
        match self {
            Self::Port(error) => error.obstacle(),
            Self::Contended(_) | Self::Unreadable { .. } => None,
        }
    }

    /// That a disk is full, if it is; see [`PortError::shortage`].
    #[must_use]
    pub fn shortage(&self) -> Option<String> {
        match self {
            Self::Port(error) => error.shortage(),
            Self::Contended(_) | Self::Unreadable { .. } => None,
        }
    }
}

/// A value as an item's content.
pub fn body(value: &impl Serialize) -> Value {
    serde_json::to_value(value)
        .expect("what we keep holds only strings, numbers, lists and maps with string keys")
}

/// What a content can be decoded to.
pub trait Stored: DeserializeOwned + Clone + Send + Sync + 'static {}

impl<T: DeserializeOwned + Clone + Send + Sync + 'static> Stored for T {}

/// The value in an item's content, decoded unless it was before.
pub(crate) fn decode<T: Stored>(item: &Item) -> Result<Arc<T>, HandlerError> {
    item.body.decoded(|json| decode_json(&item.key, json))
}

pub(crate) fn decode_json<T: DeserializeOwned>(key: &Key, json: &Value) -> Result<T, HandlerError> {
    T::deserialize(json).map_err(|cause| HandlerError::Unreadable {
        key: key.partition.to_string(),
        cause,
    })
}
