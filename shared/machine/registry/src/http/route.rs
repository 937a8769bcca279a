//! Parses the path of a request.

use super::fault::{Code, Fault};
use axum::http::StatusCode;
use towline_oci::{Digest, ImageRepository, NameError, Reference};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Ping,
    Catalog,
    Tags {
        repository: ImageRepository,
    },
    Referrers {
        repository: ImageRepository,
        digest: Digest,
    },
    Manifest {
        repository: ImageRepository,
        reference: Reference,
    },
    Blob {
        repository: ImageRepository,
        digest: Digest,
    },
    Uploads {
        repository: ImageRepository,
    },
    Upload {
        repository: ImageRepository,
        id: String,
    },
}

impl Route {
    /// Reads a path as it was sent, from its end, because repository names may contain every
    /// word that paths contain.
    pub(super) fn parse(path: &str) -> Result<Self, Fault> {
        let path = path.strip_prefix("/v2").unwrap_or(path);
        let path = path.strip_prefix('/').unwrap_or(path);
        match path {
            "" => return Ok(Self::Ping),
            "_catalog" => return Ok(Self::Catalog),
            _ => {}
        }
        if let Some(name) = path
            .strip_suffix("/blobs/uploads/")
            .or_else(|| path.strip_suffix("/blobs/uploads"))
        {
            return Ok(Self::Uploads {
                repository: repository(name)?,
            });
        }
        let mut words = path.rsplitn(3, '/');
        let (last, kind, name) = (words.next(), words.next(), words.next());
        let (Some(last), Some(kind), Some(name)) = (last, kind, name) else {
            return Err(Fault::path_unknown());
        };
        // Some clients encode the colon of a digest. Nothing else in a path needs encoding.
        let last = last.replace("%3A", ":").replace("%3a", ":");
        match kind {
            "tags" if last == "list" => Ok(Self::Tags {
                repository: repository(name)?,
            }),
            "referrers" => Ok(Self::Referrers {
                repository: repository(name)?,
                digest: digest(&last)?,
            }),
            "manifests" => Ok(Self::Manifest {
                repository: repository(name)?,
                reference: reference(&last)?,
            }),
            "blobs" => Ok(Self::Blob {
                repository: repository(name)?,
                digest: digest(&last)?,
            }),
            "uploads" => match name.strip_suffix("/blobs") {
                Some(name) => Ok(Self::Upload {
                    repository: repository(name)?,
                    id: last,
                }),
                None => Err(Fault::path_unknown()),
            },
            _ => Err(Fault::path_unknown()),
        }
    }
}

fn repository(text: &str) -> Result<ImageRepository, Fault> {
    text.parse()
        .map_err(|error| refused(Code::NameInvalid, &error))
}

/// The digest in a path.
pub(super) fn digest(text: &str) -> Result<Digest, Fault> {
    text.parse()
        .map_err(|error| refused(Code::DigestInvalid, &error))
}

fn reference(text: &str) -> Result<Reference, Fault> {
    let code = match text.contains(':') {
        true => Code::DigestInvalid,
        false => Code::TagInvalid,
    };
    text.parse().map_err(|error| refused(code, &error))
}

fn refused(code: Code, error: &NameError) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        let hex = "0".repeat(64);
        let path = path.replace("HEX", &hex);
        let found = match Route::parse(&path) {
            Ok(route) => format!("{route:?}").replace(&hex, "HEX"),
            Err(fault) => format!("{fault:?}"),
        };
        assert!(
            found.contains(expected),
            "{path:?}: {found:?} lacks {expected:?}"
        );
    }

    #[test]
    fn a_path_is_read_from_its_end() {
        check("/v2", "Ping");
        check("/v2/", "Ping");
        check("/v2/_catalog", "Catalog");
        check("/v2/a/b/tags/list", "Tags { repository: \"a/b\" }");
        check("/v2/ab/manifests/latest", "Tag(\"latest\")");
        check("/v2/ab/manifests/sha256:HEX", "Digest(\"sha256:HEX\")");
        check("/v2/ab/manifests/sha256%3AHEX", "Digest(\"sha256:HEX\")");
        check("/v2/ab/blobs/uploads/", "Uploads { repository: \"ab\" }");
        check("/v2/ab/blobs/uploads", "Uploads { repository: \"ab\" }");
        check(
            "/v2/ab/blobs/uploads/1-2",
            "Upload { repository: \"ab\", id: \"1-2\" }",
        );
        check("/v2/a/blobs/uploads/manifests/x", "\"a/blobs/uploads\"");
        check("/v2/manifests/manifests/manifests", "Tag(\"manifests\")");
    }

    #[test]
    fn an_evil_path_is_refused() {
        for path in [
            "/v2/../x/manifests/latest",
            "/v2/%2e%2e/manifests/latest",
            "/v2/a%2fb/manifests/latest",
            "/v2/UPPER/manifests/latest",
            "/v2//manifests/latest",
            "/v2/ab//tags/list",
        ] {
            check(path, "NameInvalid");
        }
        check("/v2/ab/blobs/sha256:..%2F..%2Fx", "DigestInvalid");
        check("/v2/ab/manifests/..", "TagInvalid");
        check("/v2/ab/other/x", "NotFound");
        check("/v2/x", "NotFound");
    }
}
