//! The errors of this crate, worded for people.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use oci_client::errors::{OciDistributionError, OciErrorCode};
use towline_oci::{DocumentError, NameError};

/// Refused input and the rule it breaks. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

impl Refusal {
    /// Refuses `subject`, the beginning of the sentence that `reason` ends.
    pub(crate) fn new(subject: impl Into<String>, reason: impl Into<String>) -> Self {
        Self(format!("{} {}", subject.into(), reason.into()))
    }

    /// Refuses a named value, quoted so that blanks and control characters are visible.
    pub(crate) fn value(name: &str, value: &str, reason: impl Into<String>) -> Self {
        Self::new(format!("{name} {value:?}"), reason)
    }

    /// Refuses a file or folder.
    pub(crate) fn path(path: &Path, reason: impl Into<String>) -> Self {
        Self::new(path.display().to_string(), reason)
    }
}

impl From<NameError> for Refusal {
    fn from(error: NameError) -> Self {
        Self(error.to_string())
    }
}

/// Why an image was not assembled, written or pushed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The plan or the target is invalid; retrying does not help.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// The action, such as `read`.
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A document is invalid.
    #[error("cannot understand {document}")]
    Document {
        /// The document and its image.
        document: String,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// No client could be set up, not even for plain HTTP, because it needs trusted certificates.
    #[error(
        "cannot set up TLS; install this system's root certificates \
         (the package is often called ca-certificates)"
    )]
    Tls(#[source] Box<OciDistributionError>),
    /// The registry asks for credentials, or for others than those given.
    #[error("not allowed to {action} {reference}; check the credentials for this registry")]
    NotAllowed {
        action: &'static str,
        reference: String,
        source: Box<OciDistributionError>,
    },
    /// The registry could not be reached or refused; a retry may help.
    #[error("cannot {action} {reference}")]
    Registry {
        action: &'static str,
        reference: String,
        /// The registry's answer, or the network's error.
        source: Box<OciDistributionError>,
    },
    /// The registry was silent for too long.
    #[error("cannot {action} {reference}: no progress for {seconds} seconds")]
    Stalled {
        action: &'static str,
        reference: String,
        /// How long nothing happened.
        seconds: u64,
    },
    /// The registry has another image under the tag than the one just pushed: another client pushed
    /// the same tag, or the registry rewrites manifests.
    #[error("{reference} is {found} in the registry, but {pushed} was pushed")]
    DigestDiffers {
        /// The tag that was pushed.
        reference: String,
        /// The digest of the image that was pushed.
        pushed: String,
        /// The digest the registry reports.
        found: String,
    },
    /// The work was interrupted, for example when the process stops.
    #[error("packing was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
}

impl From<NameError> for PackError {
    fn from(error: NameError) -> Self {
        Self::Refused(error.into())
    }
}

impl PackError {
    /// Whether the input was at fault, so that the same call can never succeed.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    pub(crate) fn file(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    pub(crate) fn registry(
        action: &'static str,
        reference: impl Display,
    ) -> impl FnOnce(OciDistributionError) -> Self {
        let reference = reference.to_string();
        move |source| {
            let denied = is_denied(&source);
            let source = Box::new(source);
            if denied {
                Self::NotAllowed {
                    action,
                    reference,
                    source,
                }
            } else {
                Self::Registry {
                    action,
                    reference,
                    source,
                }
            }
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum is foreign: what else it has, or will have, is no denial"
)]
fn is_denied(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::AuthenticationFailure(_)
        | OciDistributionError::UnauthorizedError { .. } => true,
        OciDistributionError::ServerError { code, .. } => matches!(code, 401 | 403),
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|error| {
                matches!(
                    error.code,
                    OciErrorCode::Unauthorized | OciErrorCode::Denied
                )
            })
        }
        OciDistributionError::RequestError(error) => error
            .status()
            .is_some_and(|status| matches!(status.as_u16(), 401 | 403)),
        _ => false,
    }
}
