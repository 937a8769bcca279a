//! Commands for operators of Towline: deploy it, set its secrets, print policies, find problems.

pub mod defined;
pub mod definition;
pub mod deploy;
pub mod doctor;
pub mod iam;
pub mod secret;

mod policy;
mod tags;
mod templates;
