//! Assembles an OCI image from files and an optional base, and pushes it, without a Docker
//! daemon and byte for byte reproducibly: the same input gives the same digest.
//!
//! ```no_run
//! use std::sync::Arc;
//! use towline_pack::{ImagePlan, Registry, Target, Transport, assemble, push};
//!
//! # async fn example() -> Result<(), towline_pack::PackError> {
//! let mut plan = ImagePlan::new("dist", "linux/amd64".parse()?);
//! plan.destination = "/app".parse()?;
//! plan.entrypoint = vec!["/app/server".to_owned()];
//! let image = assemble(&plan, "/tmp".as_ref()).await?;
//!
//! let mut registry = Registry::new("127.0.0.1:5000".parse()?);
//! registry.transport = Transport::PlainOnLoopback;
//! let (repository, tags) = ("shop/api".parse()?, vec!["main".parse()?]);
//! let target = Target { registry, repository, tags };
//! let digest = push(&image, &target, Arc::new(|_| {})).await?;
//! # let _ = digest;
//! # Ok(())
//! # }
//! ```
//!
//! What an image keeps of a file: its path, its content, and whether its owner may run it.
//! What it does not: owner, time, other permissions, extended attributes, hard links (each
//! name is a file of its own).
//!
//! This crate knows nothing of pipelines and reads no clock. Of the environment, only the HTTP
//! client below it takes something: a proxy, and where trusted roots are.

mod plan;
mod reference;

mod image;
mod push;

mod layout;

mod host;

mod error;

mod base;
mod client;
mod config;
mod gzip;
mod inside;
mod layer;
mod select;
mod tree;

pub use client::install_tls_provider;
pub use error::{PackError, Refusal};
pub use host::Host;
pub use image::{Image, assemble};
pub use inside::refuse_links_out_of;
pub use layout::write_layout;
pub use plan::{Destination, ExposedPort, ImagePlan};
pub use push::{OnProgress, Progress, push};
pub use reference::{BaseReference, Basic, Registry, Target, Transport};
