//! Contract tests that every adapter of a port passes.
