//! The part of this machine's environment that `git` and builds receive.

use std::ffi::OsString;
use std::path::PathBuf;

use towline_runner::Machine;
use towline_source::Surroundings;

/// Reads a variable of the environment; `None` if it is not set or empty.
pub type Read = fn(&str) -> Option<OsString>;

pub fn of_git(read: Read) -> Surroundings {
    Surroundings {
        search_path: read("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()),
        home: read("HOME").map(PathBuf::from),
    }
}

pub fn of_builds(read: Read) -> Machine {
    let text = |name| read(name).and_then(|value| value.into_string().ok());
    let Surroundings { search_path, home } = of_git(read);
    Machine {
        search_path,
        home,
        lang: text("LANG"),
        docker_host: text("DOCKER_HOST"),
    }
}
