//! The terminal and the process: where logs go, when to stop, which binary this is, what is typed unseen.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Sends logs to stderr: `info` and above, or what `TOWLINE_LOG` asks for.
pub fn log_to_stderr() {
    let wanted = crate::surroundings::text("TOWLINE_LOG").unwrap_or_else(|| "info".into());
    let filter = EnvFilter::try_new(wanted).unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(terminal)
        .with_target(false);
    // A second call keeps the first's settings.
    let _ = subscriber.try_init();
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
///
/// # Errors
/// When the system does not say.
pub fn own_binary() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// Reads what must not be seen: a line typed unseen on the terminal, else all of standard input.
///
/// # Errors
/// When standard input or the terminal fails.
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
