//! How a command ends: done, refused, or could not.

use std::io;
use std::process::ExitCode;

/// Why a command is not done.
#[derive(Debug)]
pub enum Failure {
    /// Asked and got no, or found something wrong: exit status 1. The sentence says what to do.
    Refused(String),
    /// The findings have been printed already: exit status 1.
    Found,
    /// What could not be looked at has been printed already: exit status 2.
    Unsure,
    /// Could not even ask: exit status 2.
    Impossible(anyhow::Error),
    /// Whoever read the output has closed it, as `head` does; that is their right: exit status 0.
    Closed,
}

/// What a command gives.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// The status the process ends with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Closed => ExitCode::SUCCESS,
            Self::Refused(_) | Self::Found => ExitCode::from(1),
            Self::Impossible(_) | Self::Unsure => ExitCode::from(2),
        }
    }

    /// What to tell about it, when that has not been told yet.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        match self {
            Self::Refused(reason) => Some(reason.clone()),
            Self::Impossible(error) => Some(format!("{error:#}")),
            Self::Found | Self::Unsure | Self::Closed => None,
        }
    }

    /// What became of writing to standard output.
    #[must_use]
    pub fn writing(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Impossible(anyhow::Error::new(error).context("writing the answer")),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Impossible(error)
    }
}

/// A sentence of its own that ends a command with status 1.
pub fn refused<T>(reason: impl Into<String>) -> Outcome<T> {
    Err(Failure::Refused(reason.into()))
}
