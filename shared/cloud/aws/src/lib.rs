//! The ports on AWS, one module and one cargo feature for each service.
//!
//! A function enables exactly what its role allows. Start at [`Aws`].

mod environment;
mod fault;
mod http;
#[cfg(test)]
mod testing;
#[cfg(any(feature = "dynamodb", feature = "eventbridge", feature = "s3"))]
mod wait;

#[cfg(feature = "s3")]
mod bucket;
#[cfg(feature = "codebuild")]
mod builds;
#[cfg(feature = "eventbridge")]
mod bus;
#[cfg(feature = "ecr")]
mod images;
mod repositories;
#[cfg(feature = "secretsmanager")]
mod secrets;
#[cfg(feature = "dynamodb")]
pub mod table;

pub use environment::Aws;
pub use repositories::{NamesError, TableRepositories};

#[cfg(feature = "s3")]
pub use bucket::{Bucket, BucketError};
#[cfg(feature = "codebuild")]
pub use builds::CodeBuild;
#[cfg(feature = "eventbridge")]
pub use bus::EventBus;
#[cfg(feature = "ecr")]
pub use images::Ecr;
#[cfg(feature = "secretsmanager")]
pub use secrets::{CachedSecret, SecretVersions, Secrets};
#[cfg(feature = "dynamodb")]
pub use table::Table;
