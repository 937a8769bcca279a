//! Where a registered repository is fetched from: the operator's address, never a payload's (A24).

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use towline_domain::names::{RepositoryId, RepositoryName};
use towline_ports::admission;

/// A repository that the operator registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The name, as in the payloads.
    pub name: RepositoryName,
    /// Where it is fetched from.
    pub origin: Origin,
}

/// A place to fetch from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A repository on this machine.
    Path(PathBuf),
    /// An `https://` or `ssh://` address.
    Url(String),
}

/// Why a text is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Neither a path nor a supported address.
    #[error("{0:?} is not a repository address: use a folder, https://… or ssh://…")]
    Scheme(String),
    /// A secret in an address would appear in the list of processes.
    #[error(
        "the address of {0} contains a user, password or token: remove it and use a Git credential \
         helper"
    )]
    Password(String),
    #[error("the address {0:?} contains a space or control character")]
    Characters(String),
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text {
                "" => Err(OriginError::Scheme(text.into())),
                _ => Ok(Self::Path(PathBuf::from(text))),
            };
        };
        let authority = rest.split('/').next().unwrap_or_default();
        // No error repeats the part before the host.
        let shown = || match rest.rsplit_once('@') {
            Some((_, rest)) => format!("{scheme}://{rest}"),
            None => text.to_owned(),
        };
        if !matches!(scheme, "https" | "ssh") {
            return Err(OriginError::Scheme(shown()));
        }
        let host = match authority.rsplit_once('@') {
            // GitHub accepts a token as user name; the user name for ssh is not secret.
            Some((user, host)) if scheme == "https" || user.contains(':') => {
                return Err(OriginError::Password(host.into()));
            }
            Some((_, host)) => host,
            None => authority,
        };
        if host.is_empty() || host.starts_with('-') {
            return Err(OriginError::Scheme(shown()));
        }
        if text.chars().any(|c| c.is_control() || c == ' ') {
            return Err(OriginError::Characters(shown()));
        }
        Ok(Self::Url(text.into()))
    }
}

/// The id of a repository on this machine: the first 48 bits of the SHA-256 of its canonical path,
/// in a range of their own ([`is_local`](crate::is_local)).
///
/// # Errors
/// When the path cannot be made canonical, for example because it does not exist.
pub fn local_id(path: &Path) -> io::Result<RepositoryId> {
    let canonical = path.canonicalize()?;
    let hash = Sha256::digest(canonical.as_os_str().as_bytes());
    let bits = hash
        .iter()
        .take(6)
        .fold(0, |bits, byte| (bits << 8) | u64::from(*byte));
    Ok(admission::local(bits))
}
