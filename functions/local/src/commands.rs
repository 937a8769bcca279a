//! One module per command, or per family of commands that do alike.

pub mod demo;
pub mod people;
pub mod serve;

pub mod send;

pub mod logs;
pub mod read;

pub mod rollback;
pub mod wait;
pub mod write;

pub mod generate;
pub mod pack;
pub mod validate;

use crate::client::Client;
use crate::outcome::Outcome;
use crate::output::Output;

/// What every command is given.
pub struct Context {
    /// Where the Towline is that is asked.
    pub url: String,
    /// Where answers go.
    pub output: Output,
}

impl Context {
    /// A client for the Towline that is asked.
    ///
    /// # Errors
    /// When its address is none, or the token cannot be read.
    pub fn client(&self) -> Outcome<Client> {
        Client::open(&self.url)
    }
}
