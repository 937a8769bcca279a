//! Container images in the words of the OCI: their names, platforms and documents.
//!
//! Start reading at [`Digest`]. The names need only this crate, so that rules may use them;
//! manifests and indexes are behind the feature `documents`, on the types of `oci-spec`.

mod kind;
mod name;
mod platform;

#[cfg(feature = "documents")]
mod document;
#[cfg(feature = "documents")]
mod index;

pub use kind::{ManifestKind, UnknownKind};
pub use name::{Digest, ImageRepository, NameError, Reference, Tag};
pub use platform::Platform;

#[cfg(feature = "documents")]
pub use document::{Document, DocumentError, canonical, descriptor, digest_of, is_elsewhere};
#[cfg(feature = "documents")]
pub use index::{Index, IndexError, PlatformImage, index};

/// The types of `oci-spec` that manifests and indexes consist of.
#[cfg(feature = "documents")]
pub use oci_spec::image as spec;
