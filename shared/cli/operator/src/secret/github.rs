//! Checks GitHub's secret as functions read it.

use serde::Deserialize;

/// Checks that functions can use it; they read it as towline-github does, `Credentials`.
///
/// # Errors
/// With what is wrong, as the rest of a sentence that never shows the secret.
pub fn github(text: &str) -> Result<(), &'static str> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        token: Option<String>,
        app_id: Option<Id>,
        private_key: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Text(String),
        Number(u64),
    }
    const SHAPE: &str = r#"is neither {"token": …} nor {"app_id": …, "private_key": …}"#;
    let written: Written = serde_json::from_str(text).map_err(|_| SHAPE)?;
    let one_word = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_graphic());
    match (written.token, written.app_id, written.private_key) {
        (Some(token), None, None) if one_word(token.trim()) => Ok(()),
        (Some(_), None, None) => Err("has a token that is not one word"),
        (None, Some(id), Some(key)) => {
            let id = match id {
                Id::Text(text) => text.trim().to_owned(),
                Id::Number(number) => number.to_string(),
            };
            if !one_word(&id) {
                return Err("has an app_id that is not the App's client id or number");
            }
            let kinds = ["RSA PRIVATE KEY", "PRIVATE KEY"];
            // Text around the key, such as a tool's comments, is ignored.
            let is_whole = |kind: &&str| {
                let (begin, end) = (
                    format!("-----BEGIN {kind}-----"),
                    format!("-----END {kind}-----"),
                );
                key.split_once(&begin)
                    .is_some_and(|(_, rest)| rest.contains(&end))
            };
            if !kinds.iter().any(is_whole) {
                return Err(
                    "has an incomplete private key: include the whole file, with its BEGIN and END lines",
                );
            }
            Ok(())
        }
        (Some(_), _, _) => Err("has a token and a GitHub App; keep one"),
        (None, _, _) => Err(SHAPE),
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
        ] {
            let text = secret.to_string();
            let taken = Credentials::from_json(&text).is_ok();
            assert_eq!(github(&text).is_ok(), taken, "{text}");
        }
    }
}
