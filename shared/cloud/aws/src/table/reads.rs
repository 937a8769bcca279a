//! Reads: an item, items in order, and items that are due.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::timeout;
use towline_ports::{Due, Item, Key, Page, PortError, Query};

use super::bounds::{Sorts, bounds};
use super::item::{self, Attributes};
use super::schema::{DUE, DUE_INDEX, DUE_SHARD, DUE_SHARDS, PARTITION, SORT};
use super::{PATIENCE, Table};
use crate::fault::failed;
use crate::wait::pause;

/// Keys in one `BatchGetItem` (DynamoDB API).
const MOST_KEYS: usize = 100;

/// How often to request items that a `BatchGetItem` left out.
const MOST_ROUNDS: u32 = 6;

/// The longest wait before the second attempt.
const PAUSE: Duration = Duration::from_millis(50);

impl Table {
    pub(super) async fn read(&self, key: &Key) -> Result<Option<Item>, PortError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(item::key(key)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| {
                failed(format!("reading {:?}", (&key.partition, &key.sort)), &error)
            })?;
        answer.item.map(item::read).transpose()
    }

    /// The items under at most [`MOST_KEYS`] keys, in their order.
    pub(super) async fn read_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, PortError> {
        let mut items = HashMap::new();
        for found in self.read_all(keys, "reading items").await? {
            let item = item::read(found)?;
            items.insert(item.key.clone(), item);
        }
        Ok(keys.iter().map(|key| items.remove(key)).collect())
    }

    /// Reads as many pages of DynamoDB, of at most 1 MB each, as the limit needs.
    pub(super) async fn read_in_order(&self, query: &Query) -> Result<Page, PortError> {
        let mut page = Page {
            items: Vec::new(),
            next: None,
        };
        let Some(bounds) = bounds(query) else {
            return Ok(page);
        };
        let mut request = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .scan_index_forward(!query.newest_first)
            .expression_attribute_names("#p", PARTITION)
            .expression_attribute_values(":p", item::text(&query.partition));
        let condition = match bounds.sorts {
            Sorts::All => "#p = :p",
            Sorts::BeginWith(prefix) => {
                request = request.expression_attribute_values(":s", item::text(prefix));
                "#p = :p AND begins_with(#s, :s)"
            }
            Sorts::UpTo(up_to) => {
                request = request.expression_attribute_values(":s", item::text(up_to));
                "#p = :p AND #s <= :s"
            }
            Sorts::Between(first, last) => {
                request = request
                    .expression_attribute_values(":s", item::text(first))
                    .expression_attribute_values(":t", item::text(last));
                "#p = :p AND #s BETWEEN :s AND :t"
            }
        };
        // DynamoDB rejects names that are not used.
        if bounds.sorts != Sorts::All {
            request = request.expression_attribute_names("#s", SORT);
        }
        let request = request.key_condition_expression(condition);
        let mut start = bounds
            .after
            .map(|after| item::key(&Key::new(&query.partition, after)));
        loop {
            let rest = query.limit - page.items.len();
            let answer = request
                .clone()
                .limit(i32::try_from(rest).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| failed(format!("reading in {:?}", query.partition), &error))?;
            for found in answer.items.unwrap_or_default() {
                page.items.push(item::read(found)?);
            }
            start = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                return Ok(page);
            }
            if page.items.len() >= query.limit {
                page.next = page.items.last().map(|item| item.key.sort.to_string());
                return Ok(page);
            }
        }
    }

    /// Queries all parts of the index at once, then reads these items again from the table, and
    /// leaves out those that are done or due later by now. So a page may be short; items that the
    /// index does not have yet are found the next time.
    pub(super) async fn read_due(&self, until: Timestamp, limit: usize) -> Result<Due, PortError> {
        let mut parts = JoinSet::new();
        for part in 0..DUE_SHARDS {
            let table = self.clone();
            parts.spawn(async move { table.read_due_part(part, until, limit).await });
        }
        let mut found = Vec::new();
        let mut complete = true;
        while let Some(part) = parts.join_next().await {
            let part = part.map_err(|error| PortError::new("reading what is due", error))?;
            let (keys, is_all) = part?;
            found.extend(keys);
            complete &= is_all;
        }
        complete &= found.len() <= limit;
        found.sort();
        found.truncate(limit);
        let keys: Vec<Key> = found.into_iter().map(|(_, key)| key).collect();
        let mut items = Vec::with_capacity(keys.len());
        for found in self.read_all(&keys, "reading what is due").await? {
            match item::read(found) {
                Ok(item) => items.push(item),
                // One unreadable item must not stop the others.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(
                        error,
                        "cannot read an item that is due; it needs a person's attention"
                    );
                }
            }
        }
        items.retain(|item| item.due.is_some_and(|due| due <= until));
        items.sort_by(|one, other| (one.due, &one.key).cmp(&(other.due, &other.key)));
        Ok(Due { items, complete })
    }

    /// Due times, in nanoseconds, and keys of one part of the index, earliest first, and whether these
    /// are all.
    async fn read_due_part(
        &self,
        part: u64,
        until: Timestamp,
        limit: usize,
    ) -> Result<(Vec<(i128, Key)>, bool), PortError> {
        let request = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(DUE_INDEX)
            .key_condition_expression("#part = :part AND #due <= :until")
            .expression_attribute_names("#part", DUE_SHARD)
            .expression_attribute_names("#due", DUE)
            .expression_attribute_values(":part", item::text(part.to_string()))
            .expression_attribute_values(":until", item::number(until.as_nanosecond()));
        let mut found = Vec::new();
        let mut start = None;
        loop {
            let rest = limit - found.len();
            let answer = request
                .clone()
                .limit(i32::try_from(rest).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| failed("reading what is due", &error))?;
            for mut attributes in answer.items.unwrap_or_default() {
                let due = match attributes.get(DUE) {
                    Some(AttributeValue::N(due)) => due.parse().unwrap_or(i128::MAX),
                    _ => i128::MAX,
                };
                found.push((due, item::read_key(&mut attributes)?));
            }
            start = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() || found.len() >= limit {
                return Ok((found, start.is_none()));
            }
        }
    }

    /// Reads these items, in any order; missing ones are left out. It takes no longer than one call may
    /// take, however often DynamoDB leaves items out.
    async fn read_all(&self, keys: &[Key], doing: &str) -> Result<Vec<Attributes>, PortError> {
        let rounds = timeout(PATIENCE.operation, self.read_in_rounds(keys, doing)).await;
        rounds.unwrap_or_else(|late| Err(PortError::new(doing, late)))
    }

    async fn read_in_rounds(
        &self,
        keys: &[Key],
        doing: &str,
    ) -> Result<Vec<Attributes>, PortError> {
        let mut items = Vec::with_capacity(keys.len());
        let mut open: Vec<Attributes> = keys.iter().map(item::key).collect();
        let mut fruitless = 0;
        while !open.is_empty() {
            let portion = open.split_off(open.len().saturating_sub(MOST_KEYS));
            let asked = portion.len();
            let request = KeysAndAttributes::builder()
                .set_keys(Some(portion))
                .consistent_read(true)
                .build()
                .map_err(|error| PortError::new(doing, error))?;
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.name, request)
                .send()
                .await
                .map_err(|error| failed(doing, &error))?;
            for found in answer.responses.into_iter().flat_map(HashMap::into_values) {
                items.extend(found);
            }
            let left = answer.unprocessed_keys.into_iter().flatten();
            let left: Vec<Attributes> = left.flat_map(|(_, left)| left.keys).collect();
            if left.len() >= asked {
                fruitless += 1;
                if fruitless >= MOST_ROUNDS {
                    return Err(PortError::because(format!(
                        "{doing}: DynamoDB left out {} items {fruitless} times",
                        left.len()
                    )));
                }
                pause(PAUSE, fruitless).await;
            } else {
                fruitless = 0;
            }
            open.extend(left);
        }
        Ok(items)
    }
}
