//! The environment of this process.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};

/// An environment variable, when it is set and not empty.
pub fn variable(name: &str) -> Option<OsString> {
    set(name).filter(|value| !value.is_empty())
}

/// The same as text.
pub fn text(name: &str) -> Option<String> {
    variable(name).and_then(|value| value.into_string().ok())
}

/// A secret from the environment variable, or from the file that `NAME_FILE` names.
///
/// # Errors
/// When it is empty or cannot be read. An empty value is a mistake and does not count as unset.
pub fn secret(name: &str) -> anyhow::Result<Option<String>> {
    if let Some(value) = set(name) {
        let text = value
            .into_string()
            .map_err(|_| anyhow!("{name} is not text in UTF-8"))?;
        if text.trim().is_empty() {
            return Err(anyhow!(
                "{name} is set but empty; give it a value, or unset it"
            ));
        }
        return Ok(Some(text));
    }
    let named = format!("{name}_FILE");
    let Some(path) = set(&named).map(PathBuf::from) else {
        return Ok(None);
    };
    if path.as_os_str().is_empty() {
        return Err(anyhow!(
            "{named} is set but empty; name the file with the secret, or unset it"
        ));
    }
    let file = path.display();
    let text = fs::read_to_string(&path)
        .with_context(|| format!("reading {file}"))
        .with_context(|| format!("{named} names {file}"))?;
    if text.trim().is_empty() {
        return Err(anyhow!(
            "{named} names {file}, which is empty; write the secret to that file, or unset {named}"
        ));
    }
    Ok(Some(text))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the environment comes in here and nowhere else"
)]
fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
