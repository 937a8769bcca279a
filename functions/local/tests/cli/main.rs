//! The command line as people use it: sessions in text, against files and against a server that
//! says what the test tells it to.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod aws;
mod build;
mod client;
mod components;
mod deploy;
mod doctor;
mod files;
mod iam;
mod lint;
mod pushes;
mod secrets;
mod session;
mod signed;
mod slack;
