//! Lambda's Runtime API with a stopwatch: the time of the first request, and of each answer.

use std::io::BufReader;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use crate::http;

/// How long to wait for a function before the measurement fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// The timeout that functions see.
const LIMIT: Duration = Duration::from_secs(30);

enum Seen {
    Polled(Instant),
    Answered(Answer),
}

/// An answer of a function.
pub struct Answer {
    /// From the first byte of the event to the last byte of the answer.
    pub took: Duration,
    /// Whether it is an answer and not an error.
    pub good: bool,
    pub body: Vec<u8>,
}

/// The API for one process.
pub struct RuntimeApi {
    address: SocketAddr,
    events: Sender<Arc<Vec<u8>>>,
    seen: Receiver<Seen>,
}

struct Shared {
    events: Mutex<Receiver<Arc<Vec<u8>>>>,
    sent: Mutex<Instant>,
    seen: Sender<Seen>,
}

impl RuntimeApi {
    /// Listens on a free port of loopback.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let (events, waiting) = channel();
        let (sender, seen) = channel();
        let shared = Arc::new(Shared {
            events: Mutex::new(waiting),
            sent: Mutex::new(Instant::now()),
            seen: sender,
        });
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    if let Err(error) = converse(&stream, &shared) {
                        eprintln!("the Runtime API: {error:#}");
                    }
                });
            }
        });
        Ok(Self {
            address,
            events,
            seen,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// When the function asked for its next event.
    pub fn polled(&self) -> Result<Instant> {
        match self.seen.recv_timeout(PATIENCE).context("it never asked")? {
            Seen::Polled(at) => Ok(at),
            Seen::Answered(answer) => bail!("{}", String::from_utf8_lossy(&answer.body)),
        }
    }

    /// Hands out an event; when this returns, the function waits for the next one.
    pub fn invoke(&self, event: &Arc<Vec<u8>>) -> Result<Answer> {
        self.events.send(Arc::clone(event))?;
        let Seen::Answered(answer) = self.seen.recv_timeout(PATIENCE).context("no answer")? else {
            bail!("it asked for the next event before it had answered");
        };
        self.polled()?;
        Ok(answer)
    }
}

fn converse(stream: &TcpStream, shared: &Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(1 << 20, stream);
    let mut writer = stream;
    while let Some(request) = http::read(&mut reader)? {
        let at = Instant::now();
        if request.line.contains("/invocation/next ") {
            let _ = shared.seen.send(Seen::Polled(at));
            let Ok(event) = lock(&shared.events).recv() else {
                return Ok(()); // the measurement is over
            };
            let deadline = deadline();
            let headers = [
                (
                    "lambda-runtime-aws-request-id",
                    "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
                ),
                ("lambda-runtime-deadline-ms", deadline.as_str()),
                (
                    "lambda-runtime-invoked-function-arn",
                    "arn:aws:lambda:eu-west-1:000000000000:function:measured",
                ),
                ("content-type", "application/json"),
            ];
            *lock(&shared.sent) = Instant::now();
            http::write(&mut writer, "200 OK", &headers, &event)?;
        } else {
            let _ = shared.seen.send(Seen::Answered(Answer {
                took: at - *lock(&shared.sent),
                good: request.line.contains("/response "),
                body: request.body,
            }));
            http::write(&mut writer, "202 Accepted", &[], b"")?;
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(
    clippy::disallowed_methods,
    reason = "Lambda tells a function when its time is over"
)]
fn deadline() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    (now.unwrap_or_default() + LIMIT).as_millis().to_string()
}
