//! Rows: written without a condition, several in one request.

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use std::time::Duration;
use tokio::time::timeout;
use towline_ports::{PortError, Row};

use super::{PATIENCE, Table, item};
use crate::fault::failed;
use crate::wait::pause;

/// Rows in one `BatchWriteItem` (DynamoDB API).
const MOST_TOGETHER: usize = 25;

/// How often to write rows that a `BatchWriteItem` left out.
const MOST_ROUNDS: u32 = 6;

/// The longest wait before the second attempt.
const PAUSE: Duration = Duration::from_millis(50);

impl Table {
    /// Writes the rows within the time of one call.
    pub(super) async fn write_rows(
        &self,
        rows: &[Row],
        bodies: Vec<String>,
    ) -> Result<(), PortError> {
        let doing = match rows {
            [row] => format!("writing {:?}", (&row.key.partition, &row.key.sort)),
            _ => format!("writing {} rows", rows.len()),
        };
        let written = timeout(PATIENCE.operation, async {
            match (rows, bodies.as_slice()) {
                ([row], [body]) => self.write_row(row, body, &doing).await,
                _ => self.write_in_batches(rows, bodies, &doing).await,
            }
        });
        let written = written.await;
        written.unwrap_or_else(|late| Err(PortError::new(doing, late)))
    }

    async fn write_row(&self, row: &Row, body: &str, doing: &str) -> Result<(), PortError> {
        let item = item::whole(&row.key, 1, body.to_owned(), None, None);
        let put = self.client.put_item().table_name(&self.name);
        let put = put.set_item(Some(item)).send().await;
        put.map_err(|error| failed(doing, &error))?;
        Ok(())
    }

    async fn write_in_batches(
        &self,
        rows: &[Row],
        bodies: Vec<String>,
        doing: &str,
    ) -> Result<(), PortError> {
        let mut open = Vec::with_capacity(rows.len());
        for (row, body) in rows.iter().zip(bodies) {
            let put = PutRequest::builder()
                .set_item(Some(item::whole(&row.key, 1, body, None, None)))
                .build()
                .map_err(|error| PortError::new(doing, error))?;
            open.push(WriteRequest::builder().put_request(put).build());
        }
        let mut fruitless = 0;
        while !open.is_empty() {
            let portion = open.split_off(open.len().saturating_sub(MOST_TOGETHER));
            let asked = portion.len();
            let answer = self
                .client
                .batch_write_item()
                .request_items(&self.name, portion)
                .send()
                .await
                .map_err(|error| failed(doing, &error))?;
            let left = answer.unprocessed_items.into_iter().flatten();
            let left: Vec<WriteRequest> = left.flat_map(|(_, left)| left).collect();
            if left.len() >= asked {
                fruitless += 1;
                if fruitless >= MOST_ROUNDS {
                    return Err(PortError::because(format!(
                        "{doing}: DynamoDB left out {} rows {fruitless} times",
                        left.len()
                    )));
                }
                pause(PAUSE, fruitless).await;
            } else {
                fruitless = 0;
            }
            open.extend(left);
        }
        Ok(())
    }
}
