//! What `infra/template.yaml` tells a function through its environment.

use tracing::level_filters::LevelFilter;

/// Why a setting cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// It is not there, or empty.
    #[error("{0} is not set; infra/template.yaml sets it")]
    Missing(&'static str),
}

/// The settings, each read when it is asked for: a function asks for those it needs.
#[derive(Clone, Copy)]
pub struct Settings {
    read: fn(&str) -> Option<String>,
}

/// Where GitHub's API is, unless a setting says otherwise.
const GITHUB_API: &str = "https://api.github.com";

impl Settings {
    /// Those of the environment.
    #[must_use]
    pub fn from_environment() -> Self {
        Self { read: environment }
    }

    /// The table everything is kept in.
    ///
    /// # Errors
    /// When `TOWLINE_TABLE` is not set.
    pub fn table(self) -> Result<String, SettingError> {
        self.needed("TOWLINE_TABLE")
    }

    /// The bus that our own events go over.
    ///
    /// # Errors
    /// When `TOWLINE_BUS` is not set.
    pub fn bus(self) -> Result<String, SettingError> {
        self.needed("TOWLINE_BUS")
    }

    /// The host of the registry that builds push to.
    ///
    /// # Errors
    /// When `TOWLINE_REGISTRY` is not set.
    pub fn registry(self) -> Result<String, SettingError> {
        self.needed("TOWLINE_REGISTRY")
    }

    /// The stack's bucket, by ARN: long buildspecs, and the program `towline` for builds.
    ///
    /// # Errors
    /// When `TOWLINE_BUCKET` is not set.
    pub fn bucket(self) -> Result<String, SettingError> {
        self.needed("TOWLINE_BUCKET")
    }

    /// The SHA-256 of the `towline` in the bucket for builds on x86-64; there may be none.
    #[must_use]
    pub fn tool_x86_64(self) -> Option<String> {
        self.optional("TOWLINE_TOOL_X86_64")
    }

    /// The SHA-256 of the `towline` in the bucket for builds on ARM; there may be none.
    #[must_use]
    pub fn tool_aarch64(self) -> Option<String> {
        self.optional("TOWLINE_TOOL_AARCH64")
    }

    /// The repositories that may push: names and `owner/*`, with commas between them.
    ///
    /// # Errors
    /// When `TOWLINE_REPOSITORIES` is not set.
    pub fn repositories(self) -> Result<String, SettingError> {
        self.needed("TOWLINE_REPOSITORIES")
    }

    /// The secret that signs GitHub's webhooks, by ARN.
    ///
    /// # Errors
    /// When `TOWLINE_WEBHOOK_SECRET_ID` is not set.
    pub fn webhook_secret(self) -> Result<String, SettingError> {
        self.needed("TOWLINE_WEBHOOK_SECRET_ID")
    }

    /// The secret with which GitHub is asked, by ARN.
    ///
    /// # Errors
    /// When `TOWLINE_GITHUB_SECRET_ID` is not set.
    pub fn github_secret(self) -> Result<String, SettingError> {
        self.needed("TOWLINE_GITHUB_SECRET_ID")
    }

    /// The secret that signs Slack's requests, by ARN.
    ///
    /// # Errors
    /// When `TOWLINE_SLACK_SECRET_ID` is not set.
    pub fn slack_secret(self) -> Result<String, SettingError> {
        self.needed("TOWLINE_SLACK_SECRET_ID")
    }

    /// The secret that lists the people and the hashes of their tokens, by ARN.
    ///
    /// # Errors
    /// When `TOWLINE_PEOPLE_SECRET_ID` is not set.
    pub fn people_secret(self) -> Result<String, SettingError> {
        self.needed("TOWLINE_PEOPLE_SECRET_ID")
    }

    /// The address under which people reach Towline, for links; there may be none.
    #[must_use]
    pub fn url(self) -> Option<String> {
        self.optional("TOWLINE_URL")
    }

    /// Where GitHub's API is.
    #[must_use]
    pub fn github_api(self) -> String {
        self.optional("TOWLINE_GITHUB_API")
            .unwrap_or_else(|| GITHUB_API.into())
    }

    fn needed(self, name: &'static str) -> Result<String, SettingError> {
        self.optional(name).ok_or(SettingError::Missing(name))
    }

    fn optional(self, name: &str) -> Option<String> {
        (self.read)(name).filter(|value| !value.trim().is_empty())
    }
}

/// How much is logged: `TOWLINE_LOG`, one of `off`, `error`, `warn`, `info`, `debug`, `trace`.
pub(crate) fn level() -> Result<LevelFilter, String> {
    let Some(word) = environment("TOWLINE_LOG").filter(|word| !word.is_empty()) else {
        return Ok(LevelFilter::INFO);
    };
    word.parse().map_err(|_| word)
}

/// The stack a function is of: `infra/template.yaml` calls a function `<stack>-<function>`.
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
        let blank = Settings {
            read: |name| (name == "TOWLINE_BUS").then(|| " ".into()),
        };
        let missing = |name| Err(SettingError::Missing(name));
        assert_eq!(blank.table(), missing("TOWLINE_TABLE"));
        assert_eq!(blank.bus(), missing("TOWLINE_BUS"));
        assert_eq!(blank.url(), None);
        assert_eq!(blank.github_api(), "https://api.github.com");
        assert_eq!(
            SettingError::Missing("TOWLINE_TABLE").to_string(),
            "TOWLINE_TABLE is not set; infra/template.yaml sets it"
        );
    }
}
