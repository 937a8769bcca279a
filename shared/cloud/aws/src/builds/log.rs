//! A build's log as a sequence of bytes. CloudWatch Logs has it as lines and tokens.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_codebuild::types::LogsLocation;
use aws_types::SdkConfig;
use towline_domain::names::BuildId;
use towline_ports::PortError;

use crate::fault::{code, failed};

/// Most bytes of a log in one answer.
const PART: usize = 256 << 10;

/// Pages of up to 1 MB for one answer. The reader asks again for more.
const MOST_PAGES: usize = 20;

#[derive(Debug, Clone)]
pub(super) struct Logs {
    client: Client,
    /// Where the last reader stopped, so that following a log does not read it from the start each
    /// time.
    last: Arc<Mutex<Option<Place>>>,
}

/// A page of a log: the number of bytes before the token.
#[derive(Debug, Clone)]
struct Place {
    build: BuildId,
    before: u64,
    token: String,
}

impl Logs {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self {
            client: Client::new(config),
            last: Arc::default(),
        }
    }

    /// The log from this byte on; empty if there is no more yet.
    pub(super) async fn read(
        &self,
        build: &BuildId,
        place: &LogsLocation,
        from: u64,
    ) -> Result<Vec<u8>, PortError> {
        // Both are missing before the build's first line, or if the project logs elsewhere.
        let (Some(group), Some(stream)) = (place.group_name(), place.stream_name()) else {
            return Ok(Vec::new());
        };
        let known = self.known(build, from);
        let (mut before, mut token) = match known {
            Some(known) => (known.before, Some(known.token)),
            None => (0, None),
        };
        let mut part = Vec::new();
        for _ in 0..MOST_PAGES {
            let answer = self
                .client
                .get_log_events()
                .log_group_name(group)
                .log_stream_name(stream)
                .start_from_head(true)
                .set_next_token(token.clone())
                .send()
                .await;
            let answer = match answer {
                Ok(answer) => answer,
                // It is created with the first line.
                Err(error) if code(&error) == Some("ResourceNotFoundException") => break,
                Err(error) => {
                    return Err(failed(format!("reading the log of {build}"), &error));
                }
            };
            for event in answer.events() {
                let line = line(event.message().unwrap_or_default());
                let skip = from.saturating_sub(before).min(line.len() as u64);
                part.extend_from_slice(&line.as_bytes()[skip as usize..]);
                before += line.len() as u64;
            }
            let next = answer.next_forward_token;
            let is_end = next.is_none() || next == token;
            token = next;
            if part.len() >= PART {
                break;
            }
            if let Some(token) = &token {
                self.remember(build, before, token);
            }
            if is_end {
                break;
            }
        }
        part.truncate(PART);
        Ok(part)
    }

    fn known(&self, build: &BuildId, from: u64) -> Option<Place> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |place: &&Place| place.build == *build && place.before <= from;
        last.as_ref().filter(fits).cloned()
    }

    fn remember(&self, build: &BuildId, before: u64, token: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(Place {
            build: build.clone(),
            before,
            token: token.to_owned(),
        });
    }
}

/// One event as a line. CodeBuild ends most of them with a line break.
fn line(message: &str) -> String {
    if message.ends_with('\n') {
        message.to_owned()
    } else {
        format!("{message}\n")
    }
}
