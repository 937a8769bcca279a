//! How commands reach Towline, on one machine or on AWS.

pub mod aws_cli;
pub mod client;
pub mod context;
pub mod credentials;
pub mod stack;
pub mod tree;
pub mod words;

mod signing;
