//! Shared by all functions on Lambda: settings, clock, log, metrics and event loop.
//!
//! A function's `main` is [`run`] with its adapters and one loop: [`events`] from a bus, [`requests`] from
//! API Gateway, or [`schedule`] from a timer. Of the adapters, this crate knows the table and the bus,
//! which every function has, and with the feature `github` GitHub; it knows no handler.

mod envelope;
mod failure;
#[cfg(feature = "github")]
mod github;
pub mod http_api;
mod log;
mod loops;
mod metric;
mod settings;
mod signed;
mod start;

use std::process::ExitCode;

use towline_ports::Clock as _;

pub use envelope::{EnvelopeError, envelope};
pub use failure::Failure;
pub use loops::{events, requests, schedule};
pub use settings::{Builds, Callers, Links, Registered, SettingError, Tools, Webhook, settings};
pub use signed::{again, keys, refusal, unusable};
pub use start::Start;
pub use towline_ports::system::SystemClock;

/// A random word of 32 hexadecimal digits, as the holder of a lease.
#[must_use]
pub fn random_word() -> String {
    let clock = SystemClock;
    format!("{:016x}{:016x}", clock.random(), clock.random())
}

/// Runs a function under its name until Lambda ends the process.
///
/// If it cannot start, it logs one line with the reason, and Lambda starts it again with the next
/// event.
pub async fn run(
    function: &'static str,
    serve: impl Future<Output = Result<(), Failure>>,
) -> ExitCode {
    log::start(function, settings::level());
    match serve.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!(error = failure.cause(), "the function cannot start");
            ExitCode::FAILURE
        }
    }
}
