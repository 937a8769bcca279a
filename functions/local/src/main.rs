//! The `towline` command: runs everything on one machine, and talks to a deployed server.

mod cli;
mod commands;

mod answer;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    cli::run().await
}
