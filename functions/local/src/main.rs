//! The `towline` command: everything on one machine, and the way to ask one that runs elsewhere.

mod cli;
mod commands;

mod client;
mod credentials;
mod outcome;
mod output;
mod signing;

mod aws_cli;
mod stack;
mod templates;

mod git;
mod repository;
mod terminal;

mod machine;
mod people;

mod clock;
mod console;
mod surroundings;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    cli::run().await
}
