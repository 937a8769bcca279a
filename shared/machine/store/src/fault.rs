//! Problems with the database, worded with advice.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why SQLite failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the disk with {} is full; free some space and try again", .path.display())]
    Full {
        path: PathBuf,
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
            Some(ErrorCode::DiskFull) => Self::Full { path, cause },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                Self::ReadOnly { path, cause }
            }
            _ => Self::Other { path, cause },
        }
    }
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
