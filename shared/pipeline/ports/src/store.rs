//! The store: items under keys, which change together or not at all, and only if they are unchanged
//! since they were read.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{Content, PortError};

/// The key of an item: a partition and a sort key.
///
/// Both parts are compared as UTF-8 bytes, as DynamoDB does. At most 2,048 and 1,024 bytes; never
/// empty (DynamoDB developer guide, "Constraints").
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub partition: Arc<str>,
    pub sort: Arc<str>,
}

impl Key {
    /// A key of these parts.
    pub fn new(partition: impl AsRef<str>, sort: impl AsRef<str>) -> Self {
        Self {
            partition: partition.as_ref().into(),
            sort: sort.as_ref().into(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub key: Key,
    /// 1 when created, one more with every change; set by the store.
    pub version: u64,
    /// Its content: a JSON object of at most 300 KiB (DynamoDB accepts 400 KB with names).
    pub body: Content,
    /// When to look at it again, if ever; [`Store::due`] finds it then.
    pub due: Option<Timestamp>,
}

/// One change of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Writes an item whose key must be free.
    Create {
        key: Key,
        body: Content,
        /// When to look again.
        due: Option<Timestamp>,
    },
    /// Writes an item that must still have the version that was read.
    Replace {
        key: Key,
        /// The version that was read.
        version: u64,
        body: Content,
        /// When to look again.
        due: Option<Timestamp>,
    },
    /// Writes an item regardless of its version.
    Put {
        key: Key,
        body: Content,
        /// When to look again.
        due: Option<Timestamp>,
    },
    /// Removes an item that must still have the version that was read. If the item does not exist, that
    /// is not a conflict.
    Delete {
        key: Key,
        /// The version that was read.
        version: u64,
    },
}

impl Write {
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Create { key, .. }
            | Self::Replace { key, .. }
            | Self::Put { key, .. }
            | Self::Delete { key, .. } => key,
        }
    }
}

/// A record that is written without a version check: the last writer wins.
///
/// Most rows lead to an item or repeat what it said, and have no effect without that item: `build#142`
/// counts only if the attempt has that number. A repository's row contains what its latest push said. A
/// key holds rows or items that are changed by version, never both.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub key: Key,
    pub body: Content,
}

/// Items of one partition, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub partition: String,
    /// Only sort keys that begin with this; empty for all.
    pub prefix: String,
    /// Only sort keys up to and including this, if given.
    pub up_to: Option<String>,
    /// In descending order.
    pub newest_first: bool,
    /// The most items, 1 to 1,000.
    pub limit: usize,
    /// Continue after this sort key, from [`Page::next`].
    pub after: Option<String>,
}

impl Query {
    /// The first 1,000 items of a partition, in order.
    pub fn all(partition: impl Into<String>) -> Self {
        Self {
            partition: partition.into(),
            prefix: String::new(),
            up_to: None,
            newest_first: false,
            limit: 1_000,
            after: None,
        }
    }

    /// Only sort keys that begin with `prefix`.
    #[must_use]
    pub fn prefix(self, prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            ..self
        }
    }

    /// Only sort keys up to and including `sort`.
    #[must_use]
    pub fn up_to(self, sort: impl Into<String>) -> Self {
        Self {
            up_to: Some(sort.into()),
            ..self
        }
    }

    /// In descending order.
    #[must_use]
    pub fn newest_first(self) -> Self {
        Self {
            newest_first: true,
            ..self
        }
    }

    /// At most this many.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self {
            limit: limit.clamp(1, 1_000),
            ..self
        }
    }
}

/// The result of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub items: Vec<Item>,
    /// Where to continue, if there may be more.
    pub next: Option<String>,
}

/// The items that are due.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    pub items: Vec<Item>,
    /// Whether these are surely all. With as many as the limit, a store may not know that.
    pub complete: bool,
}

/// Why a transaction changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum TransactError {
    /// An item was changed since it was read: load and decide again.
    #[error("{} was changed since it was read", .0.partition)]
    Conflict(Key),
    /// The store did not answer; it may have changed everything or nothing.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// One table of items.
///
/// Reads see every transaction that was acknowledged before they began. An acknowledged
/// transaction survives a crash of the process and a loss of power.
#[async_trait]
pub trait Store: Send + Sync {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError>;

    /// Reads items of any partitions, 1 to 100 keys, none twice (DynamoDB API, `BatchGetItem`), in
    /// the order of the keys.
    ///
    /// Each item is as fresh as from [`Self::get`]. Together, they are not a snapshot.
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, PortError>;

    /// Reads items of one partition in order.
    async fn query(&self, query: &Query) -> Result<Page, PortError>;

    /// Items whose `due` is at or before `until`, earliest first, at most `limit` (1 to 1,000).
    async fn due(&self, until: Timestamp, limit: usize) -> Result<Due, PortError>;

    /// Writes rows, 1 to 1,000, no key twice. They replace existing rows, and their version is 1.
    ///
    /// They are not written together: after an error, some of them may be there. So they are
    /// written before the item that makes them count, and have no effect without it.
    async fn put_rows(&self, rows: Vec<Row>) -> Result<(), PortError>;

    /// Makes all changes or none: 1 to 100, no key twice (DynamoDB API, `TransactWriteItems`).
    async fn transact(&self, writes: Vec<Write>) -> Result<(), TransactError>;
}
