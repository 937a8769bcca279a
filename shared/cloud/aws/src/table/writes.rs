//! Writes single changes and transactions, and tells what each refusal means.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Delete, Put, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};
use jiff::Timestamp;
use tokio::time::timeout;
use towline_ports::{Key, PortError, TransactError, Write};

use super::item::{self, Attributes};
use super::schema::{BODY, DUE, DUE_SHARD, PARTITION, VERSION, WRITER};
use super::{PATIENCE, Table};
use crate::fault::failed;
use crate::wait::{chance, pause};

/// How often to try a change while transactions of others lock one of its items, which takes
/// milliseconds, or while an item or the table is throttled.
const MOST_TRIES: u32 = 6;

/// The longest wait before the second attempt.
const PAUSE: Duration = Duration::from_millis(10);

/// Reasons for a cancelled transaction that is worth retrying (DynamoDB API, `TransactWriteItems`).
const THROTTLED: [&str; 3] = [
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
];

/// DynamoDB's result for a change.
enum Outcome {
    Done,
    /// A condition failed: that of the change at this index.
    Held(usize),
    /// Another transaction is changing the item at this index.
    Contended(usize),
    /// DynamoDB is throttling.
    Throttled(PortError),
    /// An earlier attempt of this transaction is still in progress.
    InProgress,
    Failed(PortError),
}

/// A condition expression.
struct Condition {
    expression: &'static str,
    names: HashMap<String, String>,
    values: Option<HashMap<String, AttributeValue>>,
}

impl Condition {
    fn is_free() -> Self {
        Self {
            expression: "attribute_not_exists(#p)",
            names: HashMap::from([("#p".to_owned(), PARTITION.to_owned())]),
            values: None,
        }
    }

    fn has_version(version: u64) -> Self {
        Self {
            expression: "#v = :read",
            names: HashMap::from([("#v".to_owned(), VERSION.to_owned())]),
            values: Some(HashMap::from([(":read".to_owned(), item::number(version))])),
        }
    }

    fn is_gone_or_has_version(version: u64) -> Self {
        let Self {
            mut names, values, ..
        } = Self::has_version(version);
        names.extend(Self::is_free().names);
        Self {
            expression: "attribute_not_exists(#p) OR #v = :read",
            names,
            values,
        }
    }
}

/// A complete item to write, under a condition.
struct Whole {
    item: Attributes,
    condition: Condition,
}

impl Whole {
    fn new(
        write: &Write,
        key: &Key,
        body: String,
        due: Option<Timestamp>,
        writer: Option<&str>,
    ) -> Self {
        let (version, condition) = match write {
            // No item has version 0, so replacing version 0 always fails.
            Write::Replace { version, .. } => (*version, Condition::has_version(*version)),
            Write::Create { .. } | Write::Put { .. } | Write::Delete { .. } => {
                (0, Condition::is_free())
            }
        };
        Self {
            item: item::whole(key, i128::from(version) + 1, body, due, writer),
            condition,
        }
    }
}

impl Table {
    /// Writes the changes, with all attempts within the time of one call.
    pub(super) async fn write(
        &self,
        writes: &[Write],
        bodies: Vec<Option<String>>,
    ) -> Result<(), TransactError> {
        let tries = self.write_until_it_is_done(writes, bodies);
        let done = timeout(PATIENCE.operation, tries).await;
        done.unwrap_or_else(|late| Err(PortError::new(doing(writes), late).into()))
    }

    async fn write_until_it_is_done(
        &self,
        writes: &[Write],
        bodies: Vec<Option<String>>,
    ) -> Result<(), TransactError> {
        // Built once: a transaction that is retried with its token must be identical byte for byte,
        // or DynamoDB rejects it (DynamoDB API, `IdempotentParameterMismatchException`).
        let parts = match writes {
            [_] => Vec::new(),
            _ => self.parts(writes, &bodies)?,
        };
        let mut token = token();
        for attempt in 0..MOST_TRIES {
            let outcome = match writes {
                [write] => self.write_one(write, bodies[0].as_deref(), &token).await,
                _ => self.write_together(writes, parts.clone(), &token).await,
            };
            let last = attempt + 1 == MOST_TRIES;
            match outcome {
                Outcome::Done => return Ok(()),
                Outcome::Held(place) => return Err(conflict(writes, place)),
                Outcome::Contended(place) if last => return Err(conflict(writes, place)),
                Outcome::Throttled(error) if last => return Err(error.into()),
                // Nothing was written, so the next attempt is a new transaction with a new token. A single
                // write keeps its token, because the token marks its writer.
                Outcome::Contended(_) | Outcome::Throttled(_) if writes.len() > 1 => {
                    token = self::token();
                }
                Outcome::Contended(_) | Outcome::Throttled(_) => {}
                Outcome::InProgress => {}
                Outcome::Failed(error) => return Err(error.into()),
            }
            pause(PAUSE, attempt).await;
        }
        Err(PortError::because(format!(
            "{}: the transaction is still in progress",
            doing(writes)
        ))
        .into())
    }

    async fn write_one(&self, write: &Write, body: Option<&str>, token: &str) -> Outcome {
        let body = body.unwrap_or_default().to_owned();
        match write {
            Write::Create { key, due, .. } | Write::Replace { key, due, .. } => {
                let whole = Whole::new(write, key, body, *due, Some(token));
                self.put_whole(whole, write, token).await
            }
            Write::Put { key, due, .. } => {
                let update = Upsert::new(key, body, *due);
                self.upsert(key, update, write).await
            }
            Write::Delete { key, version } => self.delete(key, *version, write).await,
        }
    }

    async fn put_whole(&self, whole: Whole, write: &Write, token: &str) -> Outcome {
        let answer = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(whole.item))
            .condition_expression(whole.condition.expression)
            .set_expression_attribute_names(Some(whole.condition.names))
            .set_expression_attribute_values(whole.condition.values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = answer else {
            return Outcome::Done;
        };
        match error.as_service_error() {
            // An earlier attempt whose answer was lost has written it.
            Some(PutItemError::ConditionalCheckFailedException(held))
                if held.item().is_some_and(|item| is_by(item, token)) =>
            {
                Outcome::Done
            }
            Some(PutItemError::ConditionalCheckFailedException(_)) => Outcome::Held(0),
            Some(PutItemError::TransactionConflictException(_)) => Outcome::Contended(0),
            _ => Outcome::Failed(failed(doing(std::slice::from_ref(write)), &error)),
        }
    }

    async fn upsert(&self, key: &Key, update: Upsert, write: &Write) -> Outcome {
        let answer = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(item::key(key)))
            .update_expression(update.expression)
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values))
            .send()
            .await;
        let Err(error) = answer else {
            return Outcome::Done;
        };
        match error.as_service_error() {
            Some(UpdateItemError::TransactionConflictException(_)) => Outcome::Contended(0),
            _ => Outcome::Failed(failed(doing(std::slice::from_ref(write)), &error)),
        }
    }

    async fn delete(&self, key: &Key, version: u64, write: &Write) -> Outcome {
        let condition = Condition::is_gone_or_has_version(version);
        let answer = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(item::key(key)))
            .condition_expression(condition.expression)
            .set_expression_attribute_names(Some(condition.names))
            .set_expression_attribute_values(condition.values)
            .send()
            .await;
        let Err(error) = answer else {
            return Outcome::Done;
        };
        match error.as_service_error() {
            Some(DeleteItemError::ConditionalCheckFailedException(_)) => Outcome::Held(0),
            Some(DeleteItemError::TransactionConflictException(_)) => Outcome::Contended(0),
            _ => Outcome::Failed(failed(doing(std::slice::from_ref(write)), &error)),
        }
    }

    async fn write_together(
        &self,
        writes: &[Write],
        parts: Vec<TransactWriteItem>,
        token: &str,
    ) -> Outcome {
        let answer = self
            .client
            .transact_write_items()
            .set_transact_items(Some(parts))
            .client_request_token(token)
            .send()
            .await;
        let Err(error) = answer else {
            return Outcome::Done;
        };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                let reasons = cancelled.cancellation_reasons();
                let first = |code: &str| {
                    let mut reasons = reasons.iter();
                    reasons.position(|reason| reason.code() == Some(code))
                };
                if let Some(place) = first("ConditionalCheckFailed") {
                    return Outcome::Held(place);
                }
                let all = reasons.iter().filter_map(said).collect::<Vec<_>>();
                let because = format!("{} ({})", doing(writes), all.join(", "));
                if THROTTLED.iter().any(|code| first(code).is_some()) {
                    Outcome::Throttled(failed(because, &error))
                } else if let Some(place) = first("TransactionConflict") {
                    Outcome::Contended(place)
                } else {
                    Outcome::Failed(failed(because, &error))
                }
            }
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => Outcome::InProgress,
            _ => Outcome::Failed(failed(doing(writes), &error)),
        }
    }

    /// The changes as parts of a transaction.
    fn parts(
        &self,
        writes: &[Write],
        bodies: &[Option<String>],
    ) -> Result<Vec<TransactWriteItem>, PortError> {
        let parts = writes.iter().zip(bodies);
        let parts = parts.map(|(write, body)| self.part(write, body.clone().unwrap_or_default()));
        let parts: Result<_, _> = parts.collect();
        parts.map_err(|error| PortError::new(doing(writes), error))
    }

    /// One change as part of a transaction.
    fn part(&self, write: &Write, body: String) -> Result<TransactWriteItem, BuildError> {
        let part = TransactWriteItem::builder();
        let part = match write {
            Write::Create { key, due, .. } | Write::Replace { key, due, .. } => {
                // The transaction's token recognizes its own write.
                let whole = Whole::new(write, key, body, *due, None);
                part.put(
                    Put::builder()
                        .table_name(&self.name)
                        .set_item(Some(whole.item))
                        .condition_expression(whole.condition.expression)
                        .set_expression_attribute_names(Some(whole.condition.names))
                        .set_expression_attribute_values(whole.condition.values)
                        .build()?,
                )
            }
            Write::Put { key, due, .. } => {
                let update = Upsert::new(key, body, *due);
                part.update(
                    Update::builder()
                        .table_name(&self.name)
                        .set_key(Some(item::key(key)))
                        .update_expression(update.expression)
                        .set_expression_attribute_names(Some(update.names))
                        .set_expression_attribute_values(Some(update.values))
                        .build()?,
                )
            }
            Write::Delete { key, version } => {
                let condition = Condition::is_gone_or_has_version(*version);
                part.delete(
                    Delete::builder()
                        .table_name(&self.name)
                        .set_key(Some(item::key(key)))
                        .condition_expression(condition.expression)
                        .set_expression_attribute_names(Some(condition.names))
                        .set_expression_attribute_values(condition.values)
                        .build()?,
                )
            }
        };
        Ok(part.build())
    }
}

/// An item that is written regardless of its version: only DynamoDB knows the next one.
struct Upsert {
    expression: String,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Upsert {
    fn new(key: &Key, body: String, due: Option<Timestamp>) -> Self {
        let mut expression =
            "SET #version = if_not_exists(#version, :zero) + :one, #body = :body".to_owned();
        let mut names = HashMap::from([
            ("#version".to_owned(), VERSION.to_owned()),
            ("#body".to_owned(), BODY.to_owned()),
        ]);
        let mut values = HashMap::from([
            (":zero".to_owned(), item::number(0)),
            (":one".to_owned(), item::number(1)),
            (":body".to_owned(), item::content(body)),
        ]);
        for (name, value) in item::times(key, due) {
            expression.push_str(&format!(", #{name} = :{name}"));
            names.insert(format!("#{name}"), name.to_owned());
            values.insert(format!(":{name}"), value);
        }
        if due.is_none() {
            expression.push_str(&format!(" REMOVE #{DUE}, #{DUE_SHARD}"));
            names.insert(format!("#{DUE}"), DUE.to_owned());
            names.insert(format!("#{DUE_SHARD}"), DUE_SHARD.to_owned());
        }
        Self {
            expression,
            names,
            values,
        }
    }
}

/// 1 to 36 characters that were never used before (DynamoDB API, `ClientRequestToken`).
fn token() -> String {
    format!("{:016x}{:016x}", chance(), chance())
}

fn is_by(item: &Attributes, token: &str) -> bool {
    matches!(item.get(WRITER), Some(AttributeValue::S(writer)) if writer == token)
}

fn conflict(writes: &[Write], place: usize) -> TransactError {
    let write = writes.get(place).or(writes.first());
    match write {
        Some(write) => TransactError::Conflict(write.key().clone()),
        None => PortError::because("writing nothing").into(),
    }
}

fn doing(writes: &[Write]) -> String {
    match writes {
        [write] => {
            let key = write.key();
            format!("writing {:?}", (&key.partition, &key.sort))
        }
        _ => format!("writing {} items together", writes.len()),
    }
}

fn said(reason: &CancellationReason) -> Option<String> {
    let code = reason.code().filter(|code| *code != "None")?;
    let message = reason.message().unwrap_or_default();
    Some(format!("{code} {message}").trim_end().to_owned())
}
