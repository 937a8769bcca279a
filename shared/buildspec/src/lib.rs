//! The typed CodeBuild buildspec: read, written by preset, and printed; it knows nothing of Towline's other crates.

pub mod tag;
pub mod yaml;
