//! How a command ends: success, refused, or error.

use std::io;
use std::process::ExitCode;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// A refusal: exit status 1. The sentence says what to do.
    Refused(String),
    /// The findings have been printed already: exit status 1.
    Found,
    /// Checks that could not run have been printed already: exit status 2.
    Unsure,
    /// An error: exit status 2.
    Impossible(anyhow::Error),
    /// The reader closed the output, as `head` does: exit status 0.
    Closed,
}

/// The result of a command.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// The status the process ends with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Closed => ExitCode::SUCCESS,
            Self::Refused(_) | Self::Found => ExitCode::from(1),
            Self::Impossible(_) | Self::Unsure => ExitCode::from(2),
        }
    }

    /// The message to show, unless it has been shown already.
    pub fn sentence(&self) -> Option<String> {
        match self {
            Self::Refused(reason) => Some(reason.clone()),
            Self::Impossible(error) => Some(format!("{error:#}")),
            Self::Found | Self::Unsure | Self::Closed => None,
        }
    }

    /// The failure for an error of writing to standard output.
    pub fn writing(error: io::Error) -> Self {
        match error.kind() == io::ErrorKind::BrokenPipe {
            true => Self::Closed,
            false => Self::Impossible(anyhow::Error::new(error).context("writing the answer")),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Impossible(error)
    }
}

/// Ends a command with this message and exit status 1.
pub fn refused<T>(reason: impl Into<String>) -> Outcome<T> {
    Err(Failure::Refused(reason.into()))
}
