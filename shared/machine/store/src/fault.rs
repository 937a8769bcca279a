//! Problems with the database, worded with advice.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;
use towline_ports::PortError;

/// Why SQLite failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("no space left in {}; free some space, and try again", .dir.display())]
    Full {
        dir: PathBuf,
        #[source]
        cause: rusqlite::Error,
    },
    #[error("{} cannot be written to; check who owns it and whether the disk is read-only", .path.display())]
    ReadOnly {
        path: PathBuf,
        #[source]
        cause: rusqlite::Error,
    },
    #[error("{} is damaged or not a store of Towline; replace it with a backup, or move it away to start with an empty store", .path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        cause: rusqlite::Error,
    },
    #[error("{} could not be read or written", .path.display())]
    Other {
        path: PathBuf,
        #[source]
        cause: rusqlite::Error,
    },
}

impl Fault {
    pub(crate) fn new(path: &Path, cause: rusqlite::Error) -> Self {
        let path = path.to_owned();
        if is_unreadable(&cause) {
            return Self::Damaged { path, cause };
        }
        match cause.sqlite_error_code() {
            _ if is_full(&cause) => Self::Full {
                dir: path.parent().unwrap_or(Path::new(".")).to_owned(),
                cause,
            },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                Self::ReadOnly { path, cause }
            }
            _ => Self::Other { path, cause },
        }
    }

    /// The folder without space, if that is the reason.
    pub(crate) fn full(&self) -> Option<&Path> {
        match self {
            Self::Full { dir, .. } => Some(dir),
            Self::ReadOnly { .. } | Self::Damaged { .. } | Self::Other { .. } => None,
        }
    }
}

/// The port's error for a fault.
pub(crate) fn port_error(doing: &str, fault: Arc<Fault>) -> PortError {
    match fault.full().map(Path::to_owned) {
        Some(folder) => PortError::no_space(doing, folder, fault),
        None => PortError::new(doing, fault),
    }
}

/// Whether the disk is full. Readers find out when the memory that they share cannot grow.
fn is_full(cause: &rusqlite::Error) -> bool {
    let extended = cause.sqlite_error().map(|error| error.extended_code);
    cause.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

fn is_unreadable(cause: &rusqlite::Error) -> bool {
    let by_value = matches!(
        cause,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
    );
    let by_code = matches!(
        cause.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    );
    by_value || by_code
}
