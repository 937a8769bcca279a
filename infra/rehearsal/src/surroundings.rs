//! Where a test finds what it starts.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Context as _;

/// Paths on this machine.
pub struct Surroundings {
    /// The Python environment with ministack and the AWS command line.
    pub venv: PathBuf,
    /// The folder with the binaries of the functions and of `towline`.
    pub binaries: PathBuf,
    pub search_path: OsString,
}

impl Surroundings {
    /// Reads `TOWLINE_MINISTACK_VENV`, and `TOWLINE_BINARIES` if the binaries are not beside the test.
    ///
    /// # Errors
    /// When the first is not set.
    pub fn from_environment() -> anyhow::Result<Self> {
        let venv = env::var_os("TOWLINE_MINISTACK_VENV");
        let venv = venv.context("TOWLINE_MINISTACK_VENV names no Python environment")?;
        let this = env::current_exe()?;
        // target/debug/deps/<this>: the functions are two folders up by default.
        let beside = this.ancestors().nth(2).map(PathBuf::from);
        let named = env::var_os("TOWLINE_BINARIES").map(PathBuf::from);
        Ok(Self {
            venv: PathBuf::from(venv),
            binaries: named.or(beside).context("where are the functions?")?,
            search_path: env::var_os("PATH").unwrap_or_default(),
        })
    }
}
