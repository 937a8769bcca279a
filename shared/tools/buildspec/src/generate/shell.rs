//! Quotes text of the definition for shell commands.

use super::GenerateError;

/// `text` as one word of a POSIX shell, readable if nothing needs quoting.
///
/// In a build, for values of the definition only: a stranger's text is never part of its commands, quoted
/// or not.
#[must_use]
pub fn quote(text: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "_./:@%+,=-".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `--name=value`, so that a value that starts with `-` is not an option.
pub(super) fn option(name: &str, value: &str) -> String {
    format!("--{name}={}", quote(value))
}

/// `--name=key=value`.
pub(super) fn pair(name: &str, key: &str, value: &str) -> String {
    option(name, &format!("{key}={value}"))
}

/// The path, if it stays inside the folder it is relative to.
pub(super) fn inner_path(path: &str) -> Result<&str, GenerateError> {
    let leaves = path.starts_with('/') || path.split('/').any(|part| part == "..");
    if path.is_empty() || leaves || path.contains(char::is_control) {
        return Err(GenerateError::Path {
            path: path.to_owned(),
        });
    }
    Ok(path)
}

/// The command that changes to a folder of the repository, regardless of the commands before it.
pub(super) fn enter(context: &str) -> Result<String, GenerateError> {
    let context = inner_path(context)?.trim_end_matches('/');
    match context.strip_prefix("./").unwrap_or(context) {
        "." | "" => Ok(r#"cd -- "$CODEBUILD_SRC_DIR""#.to_owned()),
        folder => Ok(format!(r#"cd -- "$CODEBUILD_SRC_DIR"/{}"#, quote(folder))),
    }
}
