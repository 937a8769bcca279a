//! Reads the bodies of requests into memory that all of them share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::body::{Body, HttpBody as _};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The most bytes of all bodies together: those that are arriving, and those whose requests are being
/// answered.
const MOST: usize = 64 * 1024 * 1024;
/// The memory for bodies is allocated in blocks of this many bytes.
const BLOCK: usize = 64 * 1024;
/// How long a body may take to arrive: as long as GitHub waits for an answer (GitHub, "Handling
/// webhook deliveries").
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a refused body is still received.
const LINGER: Duration = Duration::from_secs(2);

/// The bodies in memory.
///
/// If a piece does not fit, the body that began to arrive first is dropped. So an honest client can
/// finish even if many other bodies are never completed, and no request waits for another's body.
pub(super) struct Bodies {
    most: usize,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    bytes: usize,
    begun: u64,
    /// The bodies that arrive, oldest first.
    arriving: BTreeMap<u64, Part>,
}

/// What has arrived of a body.
struct Part {
    /// Each has [`BLOCK`] bytes, except the last. One growing buffer per body would fragment the memory.
    blocks: Vec<Vec<u8>>,
    length: usize,
    /// Its reader gives up when this is dropped.
    _kept: oneshot::Sender<()>,
}

/// The part of the memory that a complete body uses, until this is dropped.
pub(super) struct Share {
    bodies: Arc<Bodies>,
    bytes: usize,
}

/// Why a body is not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It has more bytes than this.
    TooLarge(usize),
    TooSlow,
    /// The client ended the connection.
    CutOff,
    /// Too many bodies are in memory.
    Full,
}

impl Default for Bodies {
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl Bodies {
    fn new(most: usize) -> Self {
        Self {
            most,
            memory: Mutex::default(),
        }
    }

    /// Reads a body of at most `most` bytes. Keep the share as long as the bytes.
    pub(super) async fn read(
        self: &Arc<Self>,
        mut body: Body,
        most: usize,
    ) -> Result<(Vec<u8>, Share), Refused> {
        let read = timeout(PATIENCE, self.receive(&mut body, most)).await;
        let read = read.unwrap_or(Err(Refused::TooSlow));
        if read.is_err() {
            discard(body);
        }
        read
    }

    async fn receive(
        self: &Arc<Self>,
        body: &mut Body,
        most: usize,
    ) -> Result<(Vec<u8>, Share), Refused> {
        if body.size_hint().lower() > most as u64 {
            return Err(Refused::TooLarge(most));
        }
        let (arriving, mut dropped) = self.begin();
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                _ = &mut dropped => return Err(Refused::Full),
            };
            let Some(frame) = frame else {
                return arriving.finish();
            };
            let frame = frame.map_err(|_| Refused::CutOff)?;
            if let Some(piece) = frame.data_ref() {
                arriving.push(piece, most)?;
            }
        }
    }

    fn begin(self: &Arc<Self>) -> (Arriving, oneshot::Receiver<()>) {
        let (kept, dropped) = oneshot::channel();
        let part = Part {
            blocks: Vec::new(),
            length: 0,
            _kept: kept,
        };
        let mut memory = self.lock();
        memory.begun += 1;
        let id = memory.begun;
        memory.arriving.insert(id, part);
        let arriving = Arriving {
            bodies: Arc::clone(self),
            id,
        };
        (arriving, dropped)
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// Of the bodies that have bytes, drops the one that began first; `false` if none is arriving.
    fn drop_oldest(&mut self) -> bool {
        let mut arriving = self.arriving.iter();
        let oldest = arriving.find(|(_, part)| part.length > 0);
        let Some(id) = oldest.map(|(id, _)| *id) else {
            return false;
        };
        self.remove(id);
        true
    }

    /// Stops counting an arriving body, and returns its bytes.
    fn remove(&mut self, id: u64) -> Option<Part> {
        let part = self.arriving.remove(&id)?;
        self.bytes -= part.length;
        Some(part)
    }
}

impl Part {
    fn push(&mut self, mut piece: &[u8]) {
        self.length += piece.len();
        while !piece.is_empty() {
            let last = self.blocks.last_mut().filter(|last| last.len() < BLOCK);
            let Some(last) = last else {
                self.blocks.push(Vec::with_capacity(BLOCK));
                continue;
            };
            let (now, later) = piece.split_at(piece.len().min(BLOCK - last.len()));
            last.extend_from_slice(now);
            piece = later;
        }
    }

    fn join(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.length);
        for block in self.blocks {
            bytes.extend_from_slice(&block);
        }
        bytes
    }
}

/// An arriving body. Its bytes are in [`Memory`], where another body may cause them to be dropped.
struct Arriving {
    bodies: Arc<Bodies>,
    id: u64,
}

impl Arriving {
    fn push(&self, piece: &[u8], most: usize) -> Result<(), Refused> {
        let mut memory = self.bodies.lock();
        let arrived = memory.arriving.get(&self.id).ok_or(Refused::Full)?;
        if arrived.length + piece.len() > most {
            return Err(Refused::TooLarge(most));
        }
        while memory.bytes + piece.len() > self.bodies.most {
            if !memory.drop_oldest() {
                return Err(Refused::Full);
            }
        }
        // This body may have been the oldest itself.
        let arrived = memory.arriving.get_mut(&self.id).ok_or(Refused::Full)?;
        arrived.push(piece);
        memory.bytes += piece.len();
        Ok(())
    }

    fn finish(self) -> Result<(Vec<u8>, Share), Refused> {
        let mut memory = self.bodies.lock();
        let part = memory.remove(self.id).ok_or(Refused::Full)?;
        memory.bytes += part.length;
        drop(memory);
        let share = Share {
            bodies: Arc::clone(&self.bodies),
            bytes: part.length,
        };
        Ok((part.join(), share))
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.bodies.lock().remove(self.id);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.bodies.lock().bytes -= self.bytes;
    }
}

/// Receives the rest of a refused body for a moment and keeps nothing of it. If the connection ended
/// while the client still sends, the client would see a reset and not the answer.
pub(super) fn discard(mut body: Body) {
    tokio::spawn(timeout(LINGER, async move {
        while let Some(Ok(_)) = body.frame().await {}
    }));
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, reason) = match self {
            Self::TooLarge(most) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body has more than {most} bytes"),
            ),
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                format!(
                    "the body did not arrive within {} seconds",
                    PATIENCE.as_secs()
                ),
            ),
            Self::CutOff => (
                StatusCode::BAD_REQUEST,
                "the body is incomplete; send it again".into(),
            ),
            Self::Full => (
                StatusCode::SERVICE_UNAVAILABLE,
                "too many bodies arrive at the same time; send it again".into(),
            ),
        };
        let body = Json(json!({ "status": "refused", "reason": reason }));
        let mut response = (status, body).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use http_body_util::channel::Channel;

    use super::*;

    fn bodies() -> Arc<Bodies> {
        Arc::new(Bodies::new(10))
    }

    #[test]
    fn a32_s8_the_body_that_began_first_makes_room() {
        let bodies = bodies();
        let [silent, first, second, third] = [(); 4].map(|()| bodies.begin().0);
        assert_eq!(first.push(b"1234", 10), Ok(()));
        assert_eq!(second.push(b"1234", 10), Ok(()));
        assert_eq!(third.push(b"1234", 10), Ok(()));
        assert_eq!(bodies.lock().bytes, 8);
        assert_eq!(first.push(b"5", 10), Err(Refused::Full));
        assert!(matches!(first.finish(), Err(Refused::Full)));
        assert_eq!(second.push(b"567", 10), Err(Refused::Full), "the oldest");
        assert!(third.finish().is_ok());
        assert!(silent.finish().is_ok(), "it used nothing");
        drop(second);
        assert_eq!(bodies.lock().bytes, 0);
    }

    #[test]
    fn a32_s8_a_whole_body_keeps_its_memory_until_it_is_answered() {
        let bodies = bodies();
        let [first, second] = [(); 2].map(|()| bodies.begin().0);
        assert_eq!(first.push(b"12345678", 10), Ok(()));
        let Ok((bytes, share)) = first.finish() else {
            panic!("the first body fits");
        };
        assert_eq!(bytes, b"12345678");
        assert_eq!(second.push(b"123", 10), Err(Refused::Full));
        drop(share);
        assert_eq!(second.push(b"123", 10), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a32_s8_a_body_is_read_within_its_limits_or_refused() {
        let bodies = bodies();
        let read = async |body, most| bodies.read(body, most).await.map(|(bytes, _)| bytes);
        assert_eq!(read(Body::from("12345"), 5).await, Ok(b"12345".to_vec()));
        let too_large = Err(Refused::TooLarge(4));
        assert_eq!(read(Body::from("12345"), 4).await, too_large);
        let unknown_length = Body::new(Body::from("12345").map_frame(|frame| frame));
        assert_eq!(read(unknown_length, 4).await, too_large);
        let (sender, cut_off) = Channel::<Bytes, std::io::Error>::new(1);
        sender.abort(std::io::ErrorKind::ConnectionReset.into());
        assert_eq!(read(Body::new(cut_off), 4).await, Err(Refused::CutOff));
        let (_sender, silent) = Channel::<Bytes>::new(1);
        assert_eq!(read(Body::new(silent), 4).await, Err(Refused::TooSlow));
        assert_eq!(bodies.lock().bytes, 0);
    }
}
