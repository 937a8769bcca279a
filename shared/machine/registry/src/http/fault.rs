//! Errors in the protocol's form: a status, a code, a sentence.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use towline_domain::causes::with_causes;

use crate::error::RegistryError;

/// The codes of the OCI distribution specification and of Docker's earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    Denied,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    NotFound,
    PaginationInvalid,
    SizeInvalid,
    TagInvalid,
    TooManyRequests,
    Unauthorized,
    Unknown,
    Unsupported,
}

impl Code {
    fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::Denied => "DENIED",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::NotFound => "NOT_FOUND",
            Self::PaginationInvalid => "PAGINATION_NUMBER_INVALID",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::TagInvalid => "TAG_INVALID",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Unknown => "UNKNOWN",
            Self::Unsupported => "UNSUPPORTED",
        }
    }
}

#[derive(Debug)]
pub(super) struct Fault {
    status: StatusCode,
    code: Code,
    message: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Fault {
    pub(super) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    pub(super) fn with(mut self, name: HeaderName, text: impl AsRef<str>) -> Self {
        self.headers.push((name, value(text)));
        self
    }

    pub(super) fn unauthorized(credentials_came: bool) -> Self {
        let message = if credentials_came {
            "unknown credentials; log in again"
        } else {
            "log in first, for example with docker login"
        };
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message)
            .with(header::WWW_AUTHENTICATE, "Basic realm=\"towline\"")
    }

    pub(super) fn denied(reason: String) -> Self {
        Self::new(StatusCode::FORBIDDEN, Code::Denied, reason)
    }

    pub(super) fn unavailable(reason: String) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unknown, reason)
            .with(header::RETRY_AFTER, "1")
    }

    pub(super) fn wrong_host(host: &str) -> Self {
        let message = format!(
            "{:?} is not a host name of this registry; use localhost, or add the name with --host",
            host.chars().take(80).collect::<String>()
        );
        Self::new(StatusCode::MISDIRECTED_REQUEST, Code::Denied, message)
    }

    pub(super) fn path_unknown() -> Self {
        let message = "unknown path; see the OCI distribution specification";
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, message)
    }

    pub(super) fn method_unknown() -> Self {
        let message = "this path does not support the method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message)
    }
}

impl From<RegistryError> for Fault {
    fn from(error: RegistryError) -> Self {
        use RegistryError as E;
        let (status, code) = match &error {
            E::DigestMismatch { .. } => (StatusCode::BAD_REQUEST, Code::DigestInvalid),
            E::RepositoryUnknown(_) => (StatusCode::NOT_FOUND, Code::NameUnknown),
            E::BlobUnknown { .. } => (StatusCode::NOT_FOUND, Code::BlobUnknown),
            E::ManifestUnknown { .. } => (StatusCode::NOT_FOUND, Code::ManifestUnknown),
            E::ManifestInvalid(_) | E::BlobSize { .. } => {
                (StatusCode::BAD_REQUEST, Code::ManifestInvalid)
            }
            E::ManifestTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, Code::ManifestInvalid),
            E::ReferenceUnknown { .. } => (StatusCode::BAD_REQUEST, Code::ManifestBlobUnknown),
            E::StillReferred { .. } => (StatusCode::CONFLICT, Code::Denied),
            E::TooManyTags { .. } => (StatusCode::FORBIDDEN, Code::Denied),
            E::UploadUnknown => (StatusCode::NOT_FOUND, Code::BlobUploadUnknown),
            E::TooManyUploads { .. } => (StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests),
            E::UploadTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid),
            E::ChunkOutOfOrder { .. } => {
                (StatusCode::RANGE_NOT_SATISFIABLE, Code::BlobUploadInvalid)
            }
            E::ChunkLength { .. } => (StatusCode::BAD_REQUEST, Code::SizeInvalid),
            E::Receiving { .. } => (StatusCode::BAD_REQUEST, Code::BlobUploadInvalid),
            E::DiskFull { .. } => (StatusCode::INSUFFICIENT_STORAGE, Code::Unknown),
            E::InUse { .. }
            | E::TooNew { .. }
            | E::File { .. }
            | E::Database { .. }
            | E::CutOff { .. }
            | E::Name(_) => (StatusCode::INTERNAL_SERVER_ERROR, Code::Unknown),
        };
        let message = if status.is_server_error() {
            tracing::error!(error = with_causes(&error), "the registry failed");
            server_message(&error)
        } else {
            with_causes(&error)
        };
        Self::new(status, code, message)
    }
}

/// The part that the client may know, which says nothing about our files.
fn server_message(error: &RegistryError) -> String {
    if matches!(error, RegistryError::DiskFull { .. }) {
        return error.to_string();
    }
    "internal error; see the registry's log".to_owned()
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "errors": [{ "code": self.code.as_str(), "message": self.message }]
        });
        let content_type = (header::CONTENT_TYPE, "application/json");
        let mut response = (self.status, [content_type], body.to_string()).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}

/// A header value that contains only characters of URLs, digests and numbers.
pub(super) fn value(text: impl AsRef<str>) -> HeaderValue {
    HeaderValue::from_str(text.as_ref()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_full_disk_is_told_to_the_client_and_other_failures_are_not() {
        let failed = |kind: io::ErrorKind| {
            let source = io::Error::from(kind);
            Fault::from(RegistryError::file(
                "writing to",
                Path::new("/secret"),
                source,
            ))
        };
        let full = failed(io::ErrorKind::StorageFull);
        assert_eq!(full.status, StatusCode::INSUFFICIENT_STORAGE);
        assert!(full.message.contains("free disk space"), "{}", full.message);
        let broken = failed(io::ErrorKind::PermissionDenied);
        assert_eq!(broken.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!broken.message.contains("secret"), "{}", broken.message);
    }
}
