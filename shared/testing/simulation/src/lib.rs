//! The real handlers in a world that loses, repeats, reorders and kills, deterministic from a seed.
//!
//! A [`World`] contains the in-memory adapters of `towline-ports`, the rules of `events/rules`, and
//! everyone who acts: developers, CodeBuild, ECR, people and the sweep. Each handler runs as a
//! future that stops at every I/O step, where it may be killed, so "crash at step k" is a dropped
//! future. The invariants ([`watch`]) are checked at every commit.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod campaign;
pub mod chance;
pub mod faulty;
pub mod rest;
pub mod seeds;
pub mod shop;
pub mod view;
pub mod watch;
pub mod world;

pub use campaign::{Outcome, campaign, campaign_in_parts};
pub use chance::{Chance, Profile};
pub use faulty::Ablation;
pub use world::{BuildPlan, Job, Pushes, World};
