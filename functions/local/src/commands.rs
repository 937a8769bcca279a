//! One module per command, or per family of similar commands.

pub mod demo;
pub mod people;
pub mod serve;

pub mod send;

pub mod audit;
pub mod logs;
pub mod read;

pub mod rollback;
pub mod wait;
pub mod write;

pub mod build;
pub mod claims;
pub mod explain;
pub mod generate;
pub mod lint;
pub mod pack;
pub mod schema;
pub mod validate;
