//! The settings of a function, which `infra/template.yaml` sets in its environment; one struct for
//! each concern.

use tracing::level_filters::LevelFilter;

/// Why a setting cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// It is not set, or empty.
    #[error("{0} is not set; infra/template.yaml sets it")]
    Missing(&'static str),
}

/// A concern that a function reads from its environment.
pub trait Concern: Sized {
    /// # Errors
    /// When a variable that it needs is not set.
    fn read(from: Variables) -> Result<Self, SettingError>;
}

/// Reads a concern from the environment.
///
/// # Errors
/// When a variable that it needs is not set.
pub fn settings<T: Concern>() -> Result<T, SettingError> {
    T::read(Variables(environment))
}

/// The source of variables.
#[derive(Clone, Copy)]
pub struct Variables(pub(crate) fn(&str) -> Option<String>);

impl Variables {
    pub(crate) fn needed(self, name: &'static str) -> Result<String, SettingError> {
        self.optional(name).ok_or(SettingError::Missing(name))
    }

    pub(crate) fn optional(self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.trim().is_empty())
    }
}

/// The names of the table and of our own bus.
pub struct State {
    pub table: String,
    pub bus: String,
}

impl Concern for State {
    fn read(from: Variables) -> Result<Self, SettingError> {
        Ok(Self {
            table: from.needed("TOWLINE_TABLE")?,
            bus: from.needed("TOWLINE_BUS")?,
        })
    }
}

/// The registry that builds push to, and the bucket for their long buildspecs.
pub struct Builds {
    /// The host of the registry.
    pub registry: String,
    /// The ARN of the stack's bucket.
    pub bucket: String,
}

impl Concern for Builds {
    fn read(from: Variables) -> Result<Self, SettingError> {
        Ok(Self {
            registry: from.needed("TOWLINE_REGISTRY")?,
            bucket: from.needed("TOWLINE_BUCKET")?,
        })
    }
}

/// `towline` for builds with the preset pack: its SHA-256 for each architecture that has one.
pub struct Tools {
    /// The ARN of the stack's bucket.
    pub bucket: String,
    pub x86_64: Option<String>,
    pub aarch64: Option<String>,
}

impl Concern for Tools {
    fn read(from: Variables) -> Result<Self, SettingError> {
        Ok(Self {
            bucket: from.needed("TOWLINE_BUCKET")?,
            x86_64: from.optional("TOWLINE_TOOL_X86_64"),
            aarch64: from.optional("TOWLINE_TOOL_AARCH64"),
        })
    }
}

/// The repositories that may push, and the secret of their webhooks.
pub struct Webhook {
    /// Names and `owner/*`, separated by commas.
    pub repositories: String,
    /// The ARN of the secret.
    pub secret: String,
}

impl Concern for Webhook {
    fn read(from: Variables) -> Result<Self, SettingError> {
        Ok(Self {
            repositories: from.needed("TOWLINE_REPOSITORIES")?,
            secret: from.needed("TOWLINE_WEBHOOK_SECRET_ID")?,
        })
    }
}

/// The repositories that may push.
pub struct Registered {
    /// Names and `owner/*`, separated by commas.
    pub repositories: String,
}

impl Concern for Registered {
    fn read(from: Variables) -> Result<Self, SettingError> {
        Ok(Self {
            repositories: from.needed("TOWLINE_REPOSITORIES")?,
        })
    }
}

/// The ARNs of the secrets that authenticate callers.
pub struct Callers {
    /// Signs Slack's requests.
    pub slack: String,
    /// Lists the people and the hashes of their tokens.
    pub people: String,
}

impl Concern for Callers {
    fn read(from: Variables) -> Result<Self, SettingError> {
        Ok(Self {
            slack: from.needed("TOWLINE_SLACK_SECRET_ID")?,
            people: from.needed("TOWLINE_PEOPLE_SECRET_ID")?,
        })
    }
}

/// The address of Towline for links, if there is one.
pub struct Links {
    pub url: Option<String>,
}

impl Concern for Links {
    fn read(from: Variables) -> Result<Self, SettingError> {
        Ok(Self {
            url: from.optional("TOWLINE_URL"),
        })
    }
}

/// A log level that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotALevel {
    pub(crate) word: String,
}

/// The log level: `TOWLINE_LOG`, one of `off`, `error`, `warn`, `info`, `debug`, `trace`.
pub(crate) fn level() -> Result<LevelFilter, NotALevel> {
    let Some(word) = environment("TOWLINE_LOG").filter(|word| !word.is_empty()) else {
        return Ok(LevelFilter::INFO);
    };
    word.parse().map_err(|_| NotALevel { word })
}

/// The stack of a function: `infra/template.yaml` names functions `<stack>-<function>`.
pub(crate) fn stack(function: &str) -> String {
    let name = environment("AWS_LAMBDA_FUNCTION_NAME");
    let stack = name.and_then(|name| {
        let stack = name.strip_suffix(function)?.strip_suffix('-')?;
        Some(stack.to_owned())
    });
    stack.unwrap_or_else(|| "towline".into())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a function's settings are its environment"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_blank_is_named() {
        let blank = Variables(|name| match name {
            "TOWLINE_TABLE" => Some("set".into()),
            _ => Some(" ".into()),
        });
        let missing = |name| Some(SettingError::Missing(name));
        assert_eq!(State::read(blank).err(), missing("TOWLINE_BUS"));
        assert_eq!(Webhook::read(blank).err(), missing("TOWLINE_REPOSITORIES"));
        assert_eq!(Links::read(blank).map(|it| it.url), Ok(None));
        assert_eq!(
            SettingError::Missing("TOWLINE_TABLE").to_string(),
            "TOWLINE_TABLE is not set; infra/template.yaml sets it"
        );
    }
}
