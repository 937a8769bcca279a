//! GitHub's API with the credentials in the stack's secret.

use std::sync::Arc;
use std::time::Duration;

use towline_github::{FromSecret, GitHub, Settings};
use towline_ports::system::SystemClock;

use crate::failure::Failure;
use crate::settings::{Concern, SettingError, Variables, settings};
use crate::start::Start;

impl Start {
    /// GitHub, where one call of a port may take this long; without a time, as long as usual
    /// ([`Settings::patience`]).
    ///
    /// # Errors
    /// When the environment names no secret, or an address that is not one of GitHub's API.
    pub fn github(&self, patience: Option<Duration>) -> Result<GitHub, Failure> {
        let Access { secret, api } = settings()?;
        let clock = Arc::new(SystemClock);
        let secret = self.aws.secrets().cached(secret, clock.clone());
        let usual = Settings::default();
        let settings = Settings {
            api: api.parse()?,
            patience: patience.unwrap_or(usual.patience),
            ..usual
        };
        Ok(GitHub::new(settings, Arc::new(FromSecret(secret)), clock))
    }
}

struct Access {
    /// The ARN of the secret.
    secret: String,
    /// The address of the API.
    api: String,
}

impl Concern for Access {
    fn read(from: Variables) -> Result<Self, SettingError> {
        let api = from.optional("TOWLINE_GITHUB_API");
        Ok(Self {
            secret: from.needed("TOWLINE_GITHUB_SECRET_ID")?,
            api: api.unwrap_or_else(|| "https://api.github.com".into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_that_of_github_unless_it_is_set() {
        let blank = Variables(|name| match name {
            "TOWLINE_GITHUB_SECRET_ID" => Some("set".into()),
            _ => Some(" ".into()),
        });
        let api = Access::read(blank).map(|it| it.api);
        assert_eq!(api.as_deref(), Ok("https://api.github.com"));
        let unset = Access::read(Variables(|_| None)).err();
        let missing = SettingError::Missing("TOWLINE_GITHUB_SECRET_ID");
        assert_eq!(unset, Some(missing));
    }
}
