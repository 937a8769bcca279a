//! Settings and output that every command needs to talk to Towline.

use crate::client::Client;
use crate::credentials;
use crate::stack::Place;
use towline_console::outcome::Outcome;
use towline_console::output::Output;

/// The settings of every command.
pub struct Context {
    /// The address of Towline, if it was given.
    pub url: Option<String>,
    /// Whether calls are signed with AWS credentials.
    pub sigv4: bool,
    /// Where answers are printed.
    pub output: Output,
}

/// The default address: Towline on this machine.
const USUAL_URL: &str = "http://127.0.0.1:8017";

impl Context {
    /// The address of Towline.
    pub fn url(&self) -> &str {
        self.url.as_deref().unwrap_or(USUAL_URL)
    }

    /// A client for Towline at that address.
    pub async fn client(&self) -> Outcome<Client> {
        // AWS_PROFILE names the profile.
        let place = Place::default();
        Client::open(self.url(), credentials::auth(self.sigv4)?, &place).await
    }
}
