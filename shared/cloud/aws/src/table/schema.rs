//! How the table is laid out; `infra/template.yaml` declares the same.
//!
//! Partition key [`PARTITION`] and sort key [`SORT`], both texts. The index [`DUE_INDEX`] has the
//! partition key [`DUE_SHARD`], the sort key [`DUE`] and keys only: what is found there is read
//! again from the table, because an index may be behind, and an index of keys is written only when
//! the due time changes, not with every new content. [`EXPIRES`] is the time-to-live attribute.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TableStatus,
};
use towline_ports::{Key, PortError};

use crate::fault::failed;

/// The table's partition key, a text.
pub const PARTITION: &str = "partition";
/// The table's sort key, a text.
pub const SORT: &str = "sort";
/// How often the item was written, a number.
pub const VERSION: &str = "version";
/// The content: JSON, as text or, where it is long, as the bytes of that text deflated (RFC 1951).
pub const BODY: &str = "body";
/// When it is due: nanoseconds since 1970, absent if never. Milliseconds would make it due too early.
pub const DUE: &str = "due";
/// The part of the index it is in, a text from `0` on; only together with [`DUE`].
pub const DUE_SHARD: &str = "due_shard";
/// When DynamoDB may delete it: seconds since 1970. For housekeeping only.
pub const EXPIRES: &str = "expires";
/// The request that wrote it, so that a retry recognizes its own write.
pub const WRITER: &str = "writer";

/// The index by [`DUE_SHARD`] and [`DUE`], of keys only.
pub const DUE_INDEX: &str = "due";

/// Parts of the index, for four times the 1,000 writes a second of one part. Each sweep queries
/// every part, so more parts would cost more.
pub const DUE_SHARDS: u64 = 4;

/// Partitions with this prefix expire after [`EXPIRES_AFTER_SECONDS`].
pub const EXPIRING: &str = "INBOX#";

/// 30 days. GitHub redelivers for three, EventBridge for one.
pub const EXPIRES_AFTER_SECONDS: i64 = 30 * 24 * 60 * 60;

/// The part of the index that a key is in: always the same, in every process (FNV-1a).
pub(crate) fn shard(key: &Key) -> String {
    let bytes = key.partition.bytes().chain([0]).chain(key.sort.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The low bits of FNV-1a alone are uneven for short texts.
    ((hash ^ (hash >> 32)) % DUE_SHARDS).to_string()
}

/// Creates the table, unless it exists, and waits until it can be used; for tests.
///
/// # Errors
///
/// When DynamoDB cannot create it.
pub async fn create(client: &Client, name: &str) -> Result<(), PortError> {
    let doing = || format!("creating the table {name}");
    let build = |error| PortError::new(doing(), error);
    let attribute = |attribute: &str, kind: ScalarAttributeType| {
        AttributeDefinition::builder()
            .attribute_name(attribute)
            .attribute_type(kind)
            .build()
    };
    let key = |attribute: &str, kind: KeyType| {
        KeySchemaElement::builder()
            .attribute_name(attribute)
            .key_type(kind)
            .build()
    };
    let index = GlobalSecondaryIndex::builder()
        .index_name(DUE_INDEX)
        .key_schema(key(DUE_SHARD, KeyType::Hash).map_err(build)?)
        .key_schema(key(DUE, KeyType::Range).map_err(build)?)
        .projection(
            Projection::builder()
                .projection_type(ProjectionType::KeysOnly)
                .build(),
        )
        .build()
        .map_err(build)?;
    let made = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute(PARTITION, ScalarAttributeType::S).map_err(build)?)
        .attribute_definitions(attribute(SORT, ScalarAttributeType::S).map_err(build)?)
        .attribute_definitions(attribute(DUE_SHARD, ScalarAttributeType::S).map_err(build)?)
        .attribute_definitions(attribute(DUE, ScalarAttributeType::N).map_err(build)?)
        .key_schema(key(PARTITION, KeyType::Hash).map_err(build)?)
        .key_schema(key(SORT, KeyType::Range).map_err(build)?)
        .global_secondary_indexes(index)
        .send()
        .await;
    match made {
        // The caller of a slow request asks again.
        Err(error)
            if error
                .as_service_error()
                .is_some_and(CreateTableError::is_resource_in_use_exception) => {}
        made => {
            made.map_err(|error| failed(doing(), &error))?;
        }
    }
    loop {
        let described = client.describe_table().table_name(name).send().await;
        let described = described.map_err(|error| failed(doing(), &error))?;
        let status = described.table().and_then(|table| table.table_status());
        if status == Some(&TableStatus::Active) {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn keys_are_spread_over_all_parts_of_the_index() {
        let mut parts = BTreeMap::new();
        for number in 0..1_000 {
            let key = Key::new(format!("INTENT#{number:016x}"), "intent");
            *parts.entry(shard(&key)).or_insert(0) += 1;
        }
        assert_eq!(parts.len() as u64, DUE_SHARDS);
        assert!(parts.values().all(|count| *count > 150), "{parts:?}");
        let same = shard(&Key::new("INTENT#1", "intent"));
        assert_eq!(same, "2", "items that are there already would not be found");
    }
}
