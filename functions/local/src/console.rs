//! The terminal and the process: where logs go, when to stop, which binary this is.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Sends logs to stderr: `info` and above, or what `TOWLINE_LOG` asks for.
pub fn log_to_stderr() {
    let wanted = crate::surroundings::text("TOWLINE_LOG").unwrap_or_else(|| "info".into());
    let filter = EnvFilter::try_new(wanted).unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
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
pub fn own_binary() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}
