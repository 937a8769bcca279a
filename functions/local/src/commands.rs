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

pub mod build;
pub mod explain;
pub mod generate;
pub mod iam;
pub mod lint;
pub mod pack;
pub mod validate;

pub mod deploy;
pub mod doctor;
pub mod secret;

use crate::client::Client;
use crate::credentials;
use crate::outcome::Outcome;
use crate::output::Output;
use crate::stack::Place;

/// What every command is given.
pub struct Context {
    /// Where the Towline is that is asked, when somebody has said so.
    pub url: Option<String>,
    /// Whether calls are signed with AWS credentials.
    pub sigv4: bool,
    /// Where answers go.
    pub output: Output,
}

/// Where a Towline is asked that nobody has named: one of this machine.
const USUAL_URL: &str = "http://127.0.0.1:8017";

impl Context {
    /// Where the Towline is that is asked.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_deref().unwrap_or(USUAL_URL)
    }

    /// A client for the Towline that is asked.
    ///
    /// # Errors
    /// When its address is none, the token cannot be read, or there is nothing to sign with.
    pub async fn client(&self) -> Outcome<Client> {
        // Where nobody names a profile here, AWS_PROFILE does.
        let place = Place::default();
        Client::open(self.url(), credentials::auth(self.sigv4)?, &place).await
    }
}
