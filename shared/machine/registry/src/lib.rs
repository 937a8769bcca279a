//! An OCI distribution registry for one machine, with its data under one folder.
//!
//! [`Registry::open`] returns a handle, [`Registry::router`] serves it over HTTP, and the handle's
//! methods do the same in process. Every accepted manifest is committed together with a
//! [`PushEvent`].

mod authority;
mod blobs;
mod database;
mod error;
mod events;
mod files;
mod garbage;
mod http;
mod images;
mod manifest;
mod port;
mod pushes;
mod received;
mod registry;
mod uploads;

pub use authority::{Access, Authority, Credentials, Verdict};
pub use error::RegistryError;
pub use events::{PushEvent, SetAside, set_aside};
pub use garbage::Collected;
pub use images::{Manifest, PutTag, TaggedImage};
pub use registry::{Clock, Registry, Settings};
