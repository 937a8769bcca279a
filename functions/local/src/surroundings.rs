//! What of this machine's environment is used, read once at the start.

use std::ffi::OsString;
use std::path::PathBuf;

use towline_runner::Machine;
use towline_source::Surroundings;

/// An environment variable, when it is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment comes in here and nowhere else"
)]
#[must_use]
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The same as text.
#[must_use]
pub fn text(name: &str) -> Option<String> {
    variable(name).and_then(|value| value.into_string().ok())
}

/// What `git` gets to see.
#[must_use]
pub fn of_git() -> Surroundings {
    Surroundings {
        search_path: variable("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()),
        home: variable("HOME").map(PathBuf::from),
    }
}

/// What builds get to see, and nothing else.
#[must_use]
pub fn of_builds(around: &Surroundings) -> Machine {
    Machine {
        search_path: around.search_path.clone(),
        home: around.home.clone(),
        lang: text("LANG"),
        docker_host: text("DOCKER_HOST"),
    }
}
