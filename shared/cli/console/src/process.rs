//! The process: its log, its signals, its binary, and hidden input.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::terminal::Lines;

/// Hides metrics, which only CloudWatch reads; warnings remain.
const NO_METRICS: &str = "towline::metric=warn";

/// Sends logs to stderr: `info` and above, or what `TOWLINE_LOG` asks for.
pub fn log_to_stderr() {
    let filter = filter(crate::surroundings::text("TOWLINE_LOG").as_deref());
    let terminal = io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Lines(io::stderr()))
        .with_ansi(terminal)
        .with_target(false);
    // A second call keeps the first's settings.
    let _ = subscriber.try_init();
}

/// The log filter; metrics only if `wanted` names them, as `towline::metric=info` does.
fn filter(wanted: Option<&str>) -> EnvFilter {
    let wanted = wanted.unwrap_or("info");
    EnvFilter::try_new(format!("{NO_METRICS},{wanted}"))
        .unwrap_or_else(|_| EnvFilter::new(format!("{NO_METRICS},info")))
}

/// Waits for SIGINT or SIGTERM.
pub async fn asked_to_stop() {
    match (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}

/// The file this process runs from.
pub fn own_binary() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// Reads a secret: one hidden line from the terminal, else all of standard input.
pub fn hidden(question: &str) -> io::Result<String> {
    let stdin = io::stdin();
    let mut text = String::new();
    if !stdin.is_terminal() {
        stdin.lock().read_to_string(&mut text)?;
        return Ok(text);
    }
    let mut stderr = io::stderr();
    stderr.write_all(question.as_bytes())?;
    stderr.flush()?;
    let before = tcgetattr(&stdin)?;
    let mut unseen = before.clone();
    unseen.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &unseen)?;
    let read = stdin.read_line(&mut text);
    tcsetattr(&stdin, OptionalActions::Flush, &before)?;
    stderr.write_all(b"\n")?;
    read.map(|_| text)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_metric_is_logged_only_where_it_is_asked_for() {
        let check = |wanted: Option<&str>, expected: &[&str]| {
            let sink = Sink::default();
            let writer = sink.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_env_filter(filter(wanted))
                .with_writer(move || writer.clone())
                .without_time()
                .with_level(false)
                .with_target(false)
                .finish();
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!(target: "towline::metric", "counted");
                tracing::error!(target: "towline::metric", "held");
                tracing::info!("told");
                tracing::debug!("whispered");
            });
            let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            assert_eq!(lines, expected, "{wanted:?}");
        };
        check(None, &["held", "told"]);
        check(Some("error"), &["held"]);
        check(Some("debug"), &["held", "told", "whispered"]);
        check(Some("this is=no filter="), &["held", "told"]);
        check(Some("error,towline::metric=info"), &["counted", "held"]);
        check(Some("info,towline::metric=off"), &["told"]);
    }
}
