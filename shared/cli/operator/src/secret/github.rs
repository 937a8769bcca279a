//! Checks GitHub's secret as functions read it.

use towline_wire::github::{Access, AccessError};

/// Why functions could not use it: the rest of a sentence, which never shows the secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAccess {
    #[error(transparent)]
    Unreadable(#[from] AccessError),
    /// It would only read public repositories, which needs no secret.
    #[error("is empty; set a token, or an App with its private key")]
    Empty,
}

/// Checks that functions can use it. Whether the private key is one is only checked by a function, which
/// signs with it.
///
/// # Errors
/// With what is wrong, as the rest of a sentence that never shows the secret.
pub fn github(text: &str) -> Result<(), NoAccess> {
    match Access::read(text)? {
        Access::Token(_) | Access::App { .. } => Ok(()),
        Access::None => Err(NoAccess::Empty),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use towline_github::Credentials;
    use towline_github::memory::APP_KEY;

    use super::*;

    #[test]
    fn what_is_taken_for_github_is_what_functions_take() {
        let app = |id: Value, key: &str| json!({ "app_id": id, "private_key": key });
        let cut = &APP_KEY[..APP_KEY.len() / 2];
        for secret in [
            json!({ "token": "ghp_x" }),
            json!({ "token": " ghp_x\n" }),
            json!({ "token": "" }),
            json!({ "token": "two words" }),
            json!({ "token": 12 }),
            json!({ "token": "x", "app_id": "1", "private_key": APP_KEY }),
            json!({ "token": "x", "more": "y" }),
            json!({ "token": "x", "app_id": null }),
            app(json!("Iv23.x"), APP_KEY),
            app(json!(1234), APP_KEY),
            app(json!("1234"), &APP_KEY.replace('\n', "\\n")),
            app(json!(" "), APP_KEY),
            app(json!(1.5), APP_KEY),
            app(json!("1234"), "text"),
            app(json!("1234"), cut),
            json!({ "app_id": "1234" }),
            json!({ "private_key": APP_KEY }),
            json!(["ghp_x"]),
            json!("ghp_x"),
        ] {
            let text = secret.to_string();
            let taken = Credentials::from_json(&text).is_ok();
            assert_eq!(github(&text).is_ok(), taken, "{text}");
        }
    }
}
