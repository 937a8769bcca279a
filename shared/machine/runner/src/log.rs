//! A build's log: the output of its processes and the runner's lines, in order, with secrets masked.

use std::fs::File;
use std::io::{self, PipeWriter, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use tokio::net::unix::pipe::Receiver;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::process::GRACE;

/// The most output of processes that is kept.
pub(crate) const MOST: u64 = 64 * 1024 * 1024;

/// Shorter values are not masked, because that would make the log unreadable.
const SHORTEST_SECRET: usize = 4;

/// More than a pipe can contain (pipe(7): 64 KiB).
const PIPE: usize = 256 * 1024;

/// Writes to a build's log.
pub(crate) struct Log {
    orders: mpsc::Sender<(Order, oneshot::Sender<()>)>,
    writer: PipeWriter,
    task: JoinHandle<()>,
}

/// Commands for the writer of a log.
enum Order {
    Say(String),
    Mask(Vec<String>),
}

impl Log {
    /// Appends to a file, with `secrets` masked everywhere; notifies `written` after each write.
    pub(crate) fn open(
        path: &Path,
        secrets: Vec<String>,
        most: u64,
        written: Arc<Notify>,
    ) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        let (reader, writer) = io::pipe()?;
        let receiver = Receiver::from_owned_fd(OwnedFd::from(reader))?;
        let (orders, inbox) = mpsc::channel(1);
        let sink = Sink::new(file, secrets, most, written);
        Ok(Self {
            orders,
            writer,
            task: tokio::spawn(write(receiver, inbox, sink)),
        })
    }

    /// The end of the pipe that a process prints to.
    pub(crate) fn output(&self) -> io::Result<PipeWriter> {
        self.writer.try_clone()
    }

    /// Adds a line, after everything that was printed before.
    pub(crate) async fn say(&self, line: String) {
        self.order(Order::Say(line)).await;
    }

    /// Masks these values too from now on.
    pub(crate) async fn mask(&self, secrets: Vec<String>) {
        self.order(Order::Mask(secrets)).await;
    }

    async fn order(&self, order: Order) {
        let (done, heard) = oneshot::channel();
        if self.orders.send((order, done)).await.is_ok() {
            // An error means that the writer has ended, so there is nothing to wait for.
            let _ = heard.await;
        }
    }

    /// Waits until all output is written, but only briefly if a process still has the pipe open.
    pub(crate) async fn close(self) {
        drop(self.writer);
        drop(self.orders);
        let mut task = self.task;
        if timeout(GRACE, &mut task).await.is_err() {
            task.abort();
        }
    }
}

async fn write(
    mut pipe: Receiver,
    mut inbox: mpsc::Receiver<(Order, oneshot::Sender<()>)>,
    mut sink: Sink,
) {
    let mut speaking = true;
    let mut printing = true;
    while speaking || printing {
        tokio::select! {
            order = inbox.recv(), if speaking => match order {
                Some((order, done)) => {
                    drain(&pipe, &mut sink);
                    match order {
                        Order::Say(line) => sink.say(&line),
                        Order::Mask(secrets) => sink.also_mask(secrets),
                    }
                    // The sender may have stopped waiting.
                    let _ = done.send(());
                }
                None => speaking = false,
            },
            more = read(&mut pipe, &mut sink), if printing => printing = more,
        }
    }
    sink.finish();
}

/// Waits for output and writes it; returns false at its end.
async fn read(pipe: &mut Receiver, sink: &mut Sink) -> bool {
    let mut chunk = [0; 8192];
    loop {
        if pipe.readable().await.is_err() {
            return false;
        }
        match pipe.try_read(&mut chunk) {
            Ok(0) => return false,
            Ok(count) => {
                sink.print(&chunk[..count]);
                return true;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
}

/// Writes what is in the pipe now. Bypasses tokio, which may not know of it yet.
fn drain(pipe: &Receiver, sink: &mut Sink) {
    let mut chunk = [0; 8192];
    let mut room = PIPE;
    while room > 0 {
        match rustix::io::read(pipe, &mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(count) => {
                sink.print(&chunk[..count]);
                room = room.saturating_sub(count);
            }
        }
    }
}

/// Whether more text may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Final,
}

/// The file, its limit and its masks.
struct Sink {
    file: File,
    secrets: Vec<Vec<u8>>,
    /// The end of the output, while it may be the start of a secret.
    held: Vec<u8>,
    room: u64,
    full: bool,
    in_line: bool,
    written: Arc<Notify>,
}

impl Sink {
    fn new(file: File, secrets: Vec<String>, most: u64, written: Arc<Notify>) -> Self {
        let mut sink = Self {
            file,
            secrets: Vec::new(),
            held: Vec::new(),
            room: most,
            full: false,
            in_line: false,
            written,
        };
        sink.also_mask(secrets);
        sink
    }

    fn also_mask(&mut self, secrets: Vec<String>) {
        let long = |secret: &String| secret.len() >= SHORTEST_SECRET;
        let secrets = secrets.into_iter().filter(long);
        self.secrets.extend(secrets.map(String::into_bytes));
        // The longest first, so that a secret that starts with another is masked completely.
        self.secrets
            .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    fn print(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        self.release(End::Open);
    }

    fn say(&mut self, line: &str) {
        self.release(End::Final);
        if self.in_line {
            self.put(b"\n");
        }
        let (masked, _) = self.mask(line.as_bytes(), End::Final);
        self.put(&masked);
        self.put(b"\n");
    }

    fn finish(&mut self) {
        self.release(End::Final);
        if let Err(error) = self.file.sync_all() {
            tracing::warn!(%error, "a build's log could not be synced");
        }
    }

    /// Writes what is held back, except an end that may be the start of a secret.
    fn release(&mut self, end: End) {
        let held = std::mem::take(&mut self.held);
        let (masked, done) = self.mask(&held, end);
        self.held = held[done..].to_vec();
        self.append(&masked);
    }

    /// The text with every secret replaced by stars, and how much of the text that covers.
    fn mask(&self, text: &[u8], end: End) -> (Vec<u8>, usize) {
        let mut masked = Vec::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let begins = |secret: &&Vec<u8>| secret.len() > rest.len() && secret.starts_with(rest);
            if end == End::Open && self.secrets.iter().any(|secret| begins(&secret)) {
                break;
            }
            match self.secrets.iter().find(|secret| rest.starts_with(secret)) {
                Some(secret) => {
                    masked.extend_from_slice(b"***");
                    at += secret.len();
                }
                None => {
                    masked.push(text[at]);
                    at += 1;
                }
            }
        }
        (masked, at)
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.full {
            return;
        }
        let length = bytes.len() as u64;
        if length <= self.room {
            self.room -= length;
            self.put(bytes);
            return;
        }
        let fitting = usize::try_from(self.room).map_or(bytes.len(), |room| room.min(bytes.len()));
        self.put(&bytes[..fitting]);
        self.full = true;
        self.put(b"\n[towline] The log has reached its limit: further output is dropped.\n");
    }

    fn put(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else {
            return;
        };
        self.in_line = *last != b'\n';
        if let Err(error) = self.file.write_all(bytes) {
            tracing::warn!(%error, "a build's log could not be written");
        }
        self.written.notify_one();
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn check(secrets: &[&str], most: u64, printed: &[&str], expected: &str) {
        let path = tempfile::NamedTempFile::new().unwrap();
        let secrets = secrets.iter().map(|&secret| secret.into()).collect();
        let mut sink = Sink::new(path.reopen().unwrap(), secrets, most, Arc::default());
        for part in printed {
            match part.strip_prefix("say ") {
                Some(line) => sink.say(line),
                None => match part.strip_prefix("mask ") {
                    Some(secret) => sink.also_mask(vec![secret.into()]),
                    None => sink.print(part.as_bytes()),
                },
            }
        }
        sink.finish();
        let written = std::fs::read_to_string(path.path()).unwrap();
        assert_eq!(written, expected, "{printed:?}");
    }

    #[test]
    fn a31_secrets_are_masked_however_they_arrive() {
        let secrets = ["hunter2", "hunter2-long", "ababab", "abc"];
        for (printed, expected) in [
            (&["a hunter2 b\n"] as &[&str], "a *** b\n"),
            (&["a hun", "ter", "2 b\n"], "a *** b\n"),
            (&["hunter2-", "long\n"], "***\n"),
            (&["hunter2hunter2"], "******"),
            (&["hunter2", "!\n"], "***!\n"),
            (&["ababa", "bab\n"], "***ab\n"),
            (&["hunhunter2\n"], "hun***\n"),
            (&["a hunt", "say now"], "a hunt\nnow\n"),
            (&["say the hunter2"], "the ***\n"),
            (&["abcd, ", "mask abcde", "abcde\n"], "abcd, ***\n"),
            (&["abc is too short\n"], "abc is too short\n"),
            (&["hunte"], "hunte"),
        ] {
            check(&secrets, 1000, printed, expected);
        }
    }

    #[test]
    fn a_log_has_an_end() {
        let note = "[towline] The log has reached its limit: further output is dropped.\n";
        check(
            &[],
            6,
            &["1234", "5678", "9", "say done"],
            &format!("123456\n{note}done\n"),
        );
    }
}
