//! The `towline` command: everything on one machine, and the way to ask one that runs elsewhere.

#![warn(clippy::wildcard_enum_match_arm)]

mod cli;
mod commands;

mod answer;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    cli::run().await
}
