//! Foreign formats in and out: each is read into our own types, or refused with a reason.

pub mod http;

pub mod signature;

pub mod github;

pub mod slack;

pub mod people;

pub mod eventbridge;

pub mod codebuild;
pub mod ecr;

mod lenient;
mod time;

pub use lenient::ShapeError;
