//! The command line as people use it: sessions in text, with files and with a scripted server.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod audit;
mod aws;
mod build;
mod client;
mod components;
mod deploy;
mod doctor;
mod doors;
mod files;
mod iam;
mod lint;
mod people;
mod pushes;
mod secrets;
mod session;
mod signed;
mod slack;
