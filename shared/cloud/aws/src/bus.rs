//! `Bus` on EventBridge.

#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use tokio::time::timeout;
use towline_ports::{Announcement, Bus, PortError};
use towline_wire::eventbridge;

use crate::environment::{Aws, Patience};
use crate::fault::failed;
use crate::wait::pause;

/// For one `PutEvents`, which takes milliseconds.
const PATIENCE: Patience = Patience::new(Duration::from_secs(2), Duration::from_secs(5), 3);

/// For a whole announcement, with all its requests. The content is committed already, and `sweep`
/// announces failed events again, so it is not worth waiting long.
const MOST_TIME: Duration = Duration::from_secs(6);

/// Entries in one `PutEvents` (EventBridge API).
const MOST_ENTRIES: usize = 10;

/// Bytes in one `PutEvents`: well under 1 MB, because JSON in JSON is escaped.
const MOST_BYTES: usize = 900_000;

/// Bytes that EventBridge counts for an entry with a time, besides its texts.
const ENTRY_BYTES: usize = 14;

/// How often to send entries that EventBridge rejected.
const MOST_TRIES: u32 = 4;

/// The longest wait before the second attempt.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Clone)]
pub struct EventBus {
    client: Client,
    name: String,
}

impl Aws {
    /// The bus of this name or ARN.
    #[must_use]
    pub fn bus(&self, name: impl Into<String>) -> EventBus {
        EventBus {
            client: Client::new(&self.patient(&PATIENCE)),
            name: name.into(),
        }
    }
}

#[async_trait]
impl Bus for EventBus {
    async fn announce(&self, announcements: Vec<Announcement>) -> Result<(), PortError> {
        let count = announcements.len();
        let announced = timeout(MOST_TIME, self.announce_all(&announcements)).await;
        announced
            .unwrap_or_else(|late| Err(PortError::new(format!("announcing some of {count}"), late)))
    }
}

impl EventBus {
    async fn announce_all(&self, announcements: &[Announcement]) -> Result<(), PortError> {
        let entries = announcements
            .iter()
            .map(|announcement| self.entry(announcement))
            .collect();
        let mut left_out = Vec::new();
        for portion in portions(entries) {
            left_out.extend(self.put(portion).await?);
        }
        match left_out.first() {
            None => Ok(()),
            Some(why) => Err(PortError::new(
                format!("announcing {} of {}", left_out.len(), announcements.len()),
                format!("EventBridge rejected them: {why}"),
            )),
        }
    }

    fn entry(&self, announcement: &Announcement) -> PutEventsRequestEntry {
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(eventbridge::SOURCE)
            .detail_type(&announcement.detail_type)
            .detail(announcement.detail.to_string())
            .time(DateTime::from_secs(announcement.at.as_second()))
            .build()
    }

    /// Why each remaining entry was rejected after all attempts.
    async fn put(&self, mut entries: Vec<PutEventsRequestEntry>) -> Result<Vec<String>, PortError> {
        for attempt in 0.. {
            let answer = self
                .client
                .put_events()
                .set_entries(Some(entries.clone()))
                .send()
                .await
                .map_err(|error| failed(format!("announcing on the bus {}", self.name), &error))?;
            let results = answer.entries();
            let failed = usize::try_from(answer.failed_entry_count()).unwrap_or(usize::MAX);
            let refused = results.iter().filter(|it| it.error_code().is_some());
            let refused = refused.count();
            if failed == 0 && refused == 0 {
                break;
            }
            if results.len() != entries.len() || refused != failed {
                return Err(PortError::because(format!(
                    "announcing on the bus {}: EventBridge rejected {failed} of {}, and does \
                     not say which",
                    self.name,
                    entries.len()
                )));
            }
            let (mut again, mut whys) = (Vec::new(), Vec::new());
            for (entry, result) in entries.into_iter().zip(results) {
                if let Some(code) = result.error_code() {
                    let message = result.error_message().unwrap_or("no message");
                    whys.push(format!("{code}: {message}"));
                    again.push(entry);
                }
            }
            if attempt + 1 >= MOST_TRIES {
                return Ok(whys);
            }
            pause(PAUSE, attempt).await;
            entries = again;
        }
        Ok(Vec::new())
    }
}

fn portions(entries: Vec<PutEventsRequestEntry>) -> Vec<Vec<PutEventsRequestEntry>> {
    let mut portions: Vec<Vec<PutEventsRequestEntry>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        let own = size(&entry);
        match portions.last_mut() {
            Some(portion) if portion.len() < MOST_ENTRIES && bytes + own <= MOST_BYTES => {
                bytes += own;
                portion.push(entry);
            }
            _ => {
                bytes = own;
                portions.push(vec![entry]);
            }
        }
    }
    portions
}

fn size(entry: &PutEventsRequestEntry) -> usize {
    let texts = [entry.source(), entry.detail_type(), entry.detail()];
    ENTRY_BYTES + texts.into_iter().flatten().map(str::len).sum::<usize>()
}
