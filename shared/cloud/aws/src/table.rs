//! `Store` on one DynamoDB table.

mod bounds;
mod item;
mod reads;
mod rows;
pub mod schema;
#[cfg(test)]
mod tests;
mod writes;

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use jiff::Timestamp;
use towline_ports::limits;
use towline_ports::{Due, Item, Key, Page, PortError, Query, Row, Store, TransactError, Write};

use crate::environment::{Aws, Patience};

/// A read or write takes a few milliseconds; only a new connection to a slow host takes a second.
/// infra/template.yaml adds up the times for receive-github.
pub(crate) const PATIENCE: Patience =
    Patience::new(Duration::from_secs(2), Duration::from_secs(5), 4);

/// The store on a table of this [schema].
///
/// One change is one `PutItem`, `UpdateItem` or `DeleteItem` with a condition, at half the price of
/// a transaction; several are one `TransactWriteItems`. Rows are `BatchWriteItem`, 25 at a time.
/// All reads are strongly consistent.
#[derive(Debug, Clone)]
pub struct Table {
    client: Client,
    name: String,
}

impl Aws {
    #[must_use]
    pub fn table(&self, name: impl Into<String>) -> Table {
        Table::new(Client::new(&self.patient(&PATIENCE)), name)
    }
}

impl Table {
    /// The table of this name, through an existing client.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self {
            client,
            name: name.into(),
        }
    }

    /// The client, for [`schema::create`] and for tests that look into the table.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }
}

#[async_trait]
impl Store for Table {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        limits::check_key(key)?;
        self.read(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, PortError> {
        limits::check_keys(keys)?;
        self.read_many(keys).await
    }

    async fn query(&self, query: &Query) -> Result<Page, PortError> {
        limits::check_query(query)?;
        self.read_in_order(query).await
    }

    async fn due(&self, until: Timestamp, limit: usize) -> Result<Due, PortError> {
        limits::check_items(limit)?;
        self.read_due(until, limit).await
    }

    async fn put_rows(&self, rows: Vec<Row>) -> Result<(), PortError> {
        let bodies = limits::checked_rows(&rows)?;
        self.write_rows(&rows, bodies).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TransactError> {
        let bodies = limits::checked_bodies(&writes).map_err(PortError::from)?;
        self.write(&writes, bodies).await
    }
}
