//! Reads the repository in a `--repo` option.

use towline_source::described::describe;
use towline_source::{Origin, Registered};

/// Why a `--repo` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RegisterError(String);

/// Reads `[OWNER/NAME=]SOURCE`.
pub fn registered(text: &str) -> Result<Registered, RegisterError> {
    let refused = |reason: String| RegisterError(reason);
    if let Some((name, origin)) = text.split_once('=')
        && let Ok(name) = name.parse()
    {
        let origin: Origin = origin
            .parse()
            .map_err(|error| refused(format!("--repo {text}: {error}")))?;
        return Ok(Registered { name, origin });
    }
    match text
        .parse()
        .map_err(|error| refused(format!("--repo {text}: {error}")))?
    {
        Origin::Url(_) => Err(refused(format!(
            "--repo {text}: a URL needs a repository name; write --repo OWNER/NAME={text}"
        ))),
        Origin::Path(path) => {
            let described =
                describe(&path).map_err(|error| refused(format!("--repo {text}: {error}")))?;
            Ok(Registered {
                name: described.name,
                origin: Origin::Path(described.path),
            })
        }
    }
}
