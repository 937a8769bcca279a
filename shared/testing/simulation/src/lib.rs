//! The real handlers in a world that loses, repeats, reorders and kills, deterministic from a seed.
//!
//! A [`World`] contains the in-memory adapters of `towline-ports`, the rules of `events/rules`, and
//! everyone who acts: developers, CodeBuild, ECR, people and the sweep. Each handler runs as a
//! future that stops at every I/O step, where it may be killed, so "crash at step k" is a dropped
//! future. The invariants ([`watch`]) are checked at every commit.

pub mod ablation;
mod acts;
mod at_rest;
mod aws;
pub mod build;
mod builds;
pub mod campaign;
pub mod chance;
mod contained;
pub mod faulty;
pub mod fold;
pub mod github;
mod hidden;
mod invocation;
pub mod job;
mod kept;
pub mod mechanism;
mod places;
pub mod plan;
pub mod ports;
pub mod scope;
pub mod seeds;
pub mod shop;
mod shown;
pub mod shrink;
mod time;
pub mod view;
pub mod watch;
pub mod weather;
pub mod world;

pub use build::{BuildPlan, Pushes};
pub use campaign::{Outcome, live};
pub use chance::Chance;
pub use job::Job;
pub use mechanism::Mechanism;
pub use plan::Plan;
pub use weather::{Fault, Profile, Weather};
pub use world::World;
