//! The part of Lambda's Runtime API that a function uses (Lambda developer guide, "Using the Lambda
//! runtime API for custom runtimes").

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

/// How long a function may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// An invocation to hand out.
pub struct Invocation {
    payload: String,
    milliseconds: i64,
}

impl Invocation {
    /// With more time than it needs.
    pub fn of(payload: impl Into<String>) -> Self {
        Self::within(60_000, payload)
    }

    /// With this many milliseconds.
    pub fn within(milliseconds: i64, payload: impl Into<String>) -> Self {
        Self {
            payload: payload.into(),
            milliseconds,
        }
    }
}

/// Hands out invocations in order and keeps the answers.
pub struct RuntimeApi {
    address: SocketAddr,
    count: usize,
    answers: Receiver<String>,
}

impl RuntimeApi {
    /// Listens on a free port of loopback.
    pub fn start(invocations: Vec<Invocation>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, answers) = channel();
        let count = invocations.len();
        thread::spawn(move || {
            let mut waiting = invocations.into_iter().enumerate();
            for stream in listener.incoming() {
                // A function asks over one connection at a time.
                if converse(&stream.unwrap(), &mut waiting, &sender).is_none() {
                    continue;
                }
            }
        });
        Self {
            address,
            count,
            answers,
        }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The answers to all invocations, once they exist.
    pub fn answers(&self) -> Vec<String> {
        let one = |_| self.answers.recv_timeout(PATIENCE).unwrap();
        (0..self.count).map(one).collect()
    }
}

/// Answers requests of one connection until it is closed.
fn converse(
    stream: &TcpStream,
    waiting: &mut impl Iterator<Item = (usize, Invocation)>,
    answers: &Sender<String>,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (line, body) = request(&mut reader)?;
        let reply = if line.contains("/invocation/next ") {
            // When there is no more, the function waits until it is killed.
            let Some((number, next)) = waiting.next() else {
                let _ = reader.read(&mut [0]);
                return None;
            };
            invocation(number, &next)
        } else {
            let _ = answers.send(answer(&line, &body));
            "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".into()
        };
        (&mut &*stream).write_all(reply.as_bytes()).ok()?;
    }
}

fn request(reader: &mut impl std::io::BufRead) -> Option<(String, Vec<u8>)> {
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    let mut length = 0;
    let mut chunked = false;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().ok()?;
        }
        chunked |= line == "transfer-encoding: chunked";
    }
    assert!(!chunked, "answers are sent whole");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((first, body))
}

fn invocation(number: usize, next: &Invocation) -> String {
    #[expect(clippy::disallowed_methods, reason = "Lambda tells when time is over")]
    let deadline = Timestamp::now().as_millisecond() + next.milliseconds;
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nlambda-runtime-aws-request-id: request-{number}\r\n\
         lambda-runtime-deadline-ms: {deadline}\r\n\
         lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-west-1:000000000000:function:under-test\r\n\r\n{}",
        next.payload.len(),
        next.payload
    )
}

/// An answer, without times.
fn answer(line: &str, body: &[u8]) -> String {
    if line.contains("/response ") {
        return format!("response {}", String::from_utf8_lossy(body));
    }
    let error: Value = serde_json::from_slice(body).unwrap();
    let word = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    let reason = match word("errorMessage") {
        reason if reason.starts_with("not done within ") => "not done within …".into(),
        reason => reason,
    };
    format!("error {}: {reason}", word("errorType"))
}
