//! What every command that asks a Towline is given.

use crate::client::Client;
use crate::credentials;
use crate::stack::Place;
use towline_console::outcome::Outcome;
use towline_console::output::Output;

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
