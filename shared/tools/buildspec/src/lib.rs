//! The typed CodeBuild buildspec: read, generated from presets, linted and printed; it knows
//! nothing of Towline's other crates.

pub mod generate;
pub mod images;
#[cfg(feature = "lint")]
pub mod lint;
pub mod model;
pub(crate) mod print;
mod suggest;
pub mod tag;
pub mod yaml;

pub use model::Buildspec;
