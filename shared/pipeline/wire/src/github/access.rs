//! What the stored secret gives access to GitHub with, as people write it.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

/// The content of the secret.
#[derive(Debug, Clone)]
pub enum Access {
    /// Nothing: `{}`, `unset`, or an empty text.
    None,
    /// `{"token": "…"}`
    Token(SecretString),
    /// `{"app_id": "…", "private_key": "…"}`
    App {
        /// Its client id or its number.
        id: String,
        /// Its private key in PEM. Only its first and last lines have been checked.
        private_key: SecretString,
    },
}

/// Why a text is not such a secret: the rest of a sentence, which says how to fix that and never shows
/// the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    #[error(
        "is not a JSON object (line {line}, column {column}); write {{\"token\": \"…\"}} or \
         {{\"app_id\": \"…\", \"private_key\": \"…\"}}"
    )]
    NotJson { line: usize, column: usize },
    /// It has an unknown key or a value of another type.
    #[error(
        "has an unknown key or value; it needs \"token\", or \"app_id\" and \"private_key\", all strings"
    )]
    Unknown,
    #[error("has an empty token; set it, or write {{}}")]
    EmptyToken,
    #[error("has a token with invalid characters")]
    InvalidToken,
    #[error("has an invalid app_id; use the App's client id")]
    InvalidApp,
    #[error(
        "has an incomplete private_key; paste the whole file from GitHub, with its BEGIN and END lines, and \
         line ends as \\n"
    )]
    IncompleteKey,
    #[error("has app_id, but no private_key; add it")]
    NoKey,
    #[error("has private_key, but no app_id; add it")]
    NoApp,
    #[error("has a token and a GitHub App; keep only one")]
    Both,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    token: Option<SecretString>,
    app_id: Option<Id>,
    private_key: Option<SecretString>,
}

/// The number of an App may be written with or without quotes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(u64),
}

impl Access {
    /// # Errors
    /// When the text is anything else.
    pub fn read(text: &str) -> Result<Self, AccessError> {
        let text = text.trim();
        if text.is_empty() || text == "unset" {
            return Ok(Self::None);
        }
        let written: Written =
            serde_json::from_str(text).map_err(|error| match error.is_data() {
                true => AccessError::Unknown,
                false => AccessError::NotJson {
                    line: error.line(),
                    column: error.column(),
                },
            })?;
        written.checked()
    }
}

impl Written {
    fn checked(self) -> Result<Access, AccessError> {
        match (self.token, self.app_id, self.private_key) {
            (None, None, None) => Ok(Access::None),
            (Some(token), None, None) => {
                let token = SecretString::from(token.expose_secret().trim());
                match token.expose_secret() {
                    "" => Err(AccessError::EmptyToken),
                    text if is_one_word(text) => Ok(Access::Token(token)),
                    _ => Err(AccessError::InvalidToken),
                }
            }
            (None, Some(id), Some(private_key)) => {
                let id = match id {
                    Id::Text(text) => text.trim().to_owned(),
                    Id::Number(number) => number.to_string(),
                };
                if id.is_empty() || !is_one_word(&id) {
                    return Err(AccessError::InvalidApp);
                }
                let private_key = SecretString::from(private_key.expose_secret().trim());
                if !is_whole(private_key.expose_secret()) {
                    return Err(AccessError::IncompleteKey);
                }
                Ok(Access::App { id, private_key })
            }
            (None, Some(_), None) => Err(AccessError::NoKey),
            (None, None, Some(_)) => Err(AccessError::NoApp),
            (Some(_), _, _) => Err(AccessError::Both),
        }
    }
}

fn is_one_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether the key begins and ends. Text around it, such as a tool's comments, is ignored.
fn is_whole(key: &str) -> bool {
    ["RSA PRIVATE KEY", "PRIVATE KEY"].iter().any(|kind| {
        let (begin, end) = (
            format!("-----BEGIN {kind}-----"),
            format!("-----END {kind}-----"),
        );
        key.split_once(&begin)
            .is_some_and(|(_, rest)| rest.contains(&end))
    })
}
