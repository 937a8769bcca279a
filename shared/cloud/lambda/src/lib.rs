//! What every function on Lambda has in common: settings, clock, log lines, metrics and its event loop.
//!
//! A function's `main` is [`run`] around its adapters and one loop: [`events`] for what comes over
//! a bus, [`requests`] for what comes through API Gateway, [`schedule`] for what comes by the clock.
//! No adapter and no handler is known here.

mod failure;
mod log;
mod loops;
mod metric;
mod settings;
mod signed;

use std::process::ExitCode;

use towline_ports::Clock as _;

pub use failure::Failure;
pub use loops::{events, requests, schedule};
pub use settings::{SettingError, Settings};
pub use signed::{again, keys, refusal, unusable};
pub use towline_ports::system::SystemClock;

/// A word of 32 hexadecimal digits that no other invocation has, to hold a lease under.
#[must_use]
pub fn random_word() -> String {
    let clock = SystemClock;
    format!("{:016x}{:016x}", clock.random(), clock.random())
}

/// Runs a function under its name until Lambda ends the process.
///
/// When it cannot start, the reason is one line of its log, and Lambda, which sees the process end,
/// starts it again with the next event.
pub async fn run(
    function: &'static str,
    serve: impl Future<Output = Result<(), Failure>>,
) -> ExitCode {
    log::start(function, settings::level());
    match serve.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!(error = failure.cause(), "the function cannot run");
            ExitCode::FAILURE
        }
    }
}
