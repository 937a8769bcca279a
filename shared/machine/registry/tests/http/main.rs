//! The registry through its front door: HTTP on a loopback port.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

mod access;
mod blobs;
mod contract;
mod garbage;
mod life;
mod manifests;
mod roundtrip;
mod tags;
