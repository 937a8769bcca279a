//! `/v2/<name>/blobs/uploads/`

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use towline_oci::{Digest, ImageRepository};

use super::exchange::{Asked, DOCKER_CONTENT_DIGEST, header_text, query, respond};
use super::fault::{Code, Fault, value};
use super::range::chunk;
use super::route;
use crate::authority::{Access, Verdict};
use crate::blobs::Mounted;
use crate::error::RegistryError;
use crate::registry::Registry;
use crate::uploads::ChunkRange;

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// Starts an upload, stores a whole blob, or mounts one from another repository.
pub(super) async fn start(
    asked: &Asked<'_>,
    repository: &ImageRepository,
    request: &Parts,
    body: Body,
) -> Result<Response, Fault> {
    if request.method != Method::POST {
        return Err(Fault::method_unknown());
    }
    asked.may(push(repository)).await?;
    if let Some(digest) = query(request, "digest") {
        return take_whole(asked, repository, &route::digest(&digest)?, request, body).await;
    }
    if let Some(digest) = mount(asked, repository, request).await? {
        return Ok(created(repository, &digest));
    }
    let id = asked.registry().start_upload(repository).await?;
    Ok(received(StatusCode::ACCEPTED, repository, &id, 0))
}

/// The answer to a started upload.
pub(super) async fn answer(
    asked: &Asked<'_>,
    repository: &ImageRepository,
    id: &str,
    request: &Parts,
    body: Body,
) -> Result<Response, Fault> {
    asked.may(push(repository)).await?;
    let registry = asked.registry();
    match request.method {
        Method::GET => {
            let size = registry.upload_size(repository, id).await?;
            Ok(received(StatusCode::NO_CONTENT, repository, id, size))
        }
        Method::PATCH => {
            let size = append(registry, repository, id, request, body).await?;
            Ok(received(StatusCode::ACCEPTED, repository, id, size))
        }
        Method::PUT => {
            let digest = route::digest(&query(request, "digest").unwrap_or_default())?;
            append(registry, repository, id, request, body).await?;
            registry.finish_upload(repository, id, &digest).await?;
            Ok(created(repository, &digest))
        }
        Method::DELETE => {
            registry.cancel_upload(repository, id)?;
            Ok(respond(StatusCode::NO_CONTENT, [], Body::empty()))
        }
        _ => Err(Fault::method_unknown()),
    }
}

fn push(repository: &ImageRepository) -> Access<'_> {
    Access::Push {
        repository,
        tag: None,
    }
}

/// Ends an upload that only this request knows, even if the client disconnects.
struct CancelOnDrop<'a> {
    registry: &'a Registry,
    repository: &'a ImageRepository,
    id: String,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.registry.cancel_upload(self.repository, &self.id);
    }
}

async fn take_whole(
    asked: &Asked<'_>,
    repository: &ImageRepository,
    digest: &Digest,
    request: &Parts,
    body: Body,
) -> Result<Response, Fault> {
    let registry = asked.registry();
    let upload = CancelOnDrop {
        registry,
        repository,
        id: registry.start_upload(repository).await?,
    };
    append(registry, repository, &upload.id, request, body).await?;
    registry
        .finish_upload(repository, &upload.id, digest)
        .await?;
    Ok(created(repository, digest))
}

/// Mounts a blob from another repository that the client may read. If that fails for any
/// reason, the client must upload the blob (OCI distribution specification, mounting a blob
/// from another repository).
async fn mount(
    asked: &Asked<'_>,
    repository: &ImageRepository,
    request: &Parts,
) -> Result<Option<Digest>, Fault> {
    let (Some(digest), Some(from)) = (query(request, "mount"), query(request, "from")) else {
        return Ok(None);
    };
    let digest = route::digest(&digest)?;
    let Ok(from) = from.parse::<ImageRepository>() else {
        return Ok(None);
    };
    if asked.verdict(Access::Pull { repository: &from }).await != Verdict::Allow {
        return Ok(None);
    }
    match asked
        .registry()
        .mount_blob(repository, &digest, &from)
        .await?
    {
        Mounted::Yes => Ok(Some(digest)),
        Mounted::NotThere => Ok(None),
    }
}

async fn append(
    registry: &Registry,
    repository: &ImageRepository,
    id: &str,
    request: &Parts,
    body: Body,
) -> Result<u64, Fault> {
    let range = chunk_range(request)?;
    let body = body.into_data_stream();
    match registry.append_upload(repository, id, range, body).await {
        Ok(size) => Ok(size),
        Err(error) => {
            let mut out_of_order = None;
            if let RegistryError::ChunkOutOfOrder { received, .. } = error {
                out_of_order = Some(received);
            }
            let fault = Fault::from(error);
            Err(match out_of_order {
                Some(size) => fault
                    .with(header::LOCATION, location(repository, id))
                    .with(header::RANGE, range_until(size)),
                None => fault,
            })
        }
    }
}

fn chunk_range(request: &Parts) -> Result<Option<ChunkRange>, Fault> {
    let Some(header) = header_text(&request.headers, &header::CONTENT_RANGE) else {
        return Ok(None);
    };
    let Some(range) = chunk(header) else {
        let message = "the Content-Range is not of the form <first>-<last>";
        let status = StatusCode::RANGE_NOT_SATISFIABLE;
        return Err(Fault::new(status, Code::BlobUploadInvalid, message));
    };
    let length = header_text(&request.headers, &header::CONTENT_LENGTH);
    match length.and_then(|length| length.parse().ok()) {
        Some(actual) if actual != range.length() => {
            let announced = range.length();
            Err(RegistryError::ChunkLength { announced, actual }.into())
        }
        _ => Ok(Some(range)),
    }
}

fn location(repository: &ImageRepository, id: &str) -> String {
    format!("/v2/{repository}/blobs/uploads/{id}")
}

/// The specification has no range for an empty upload; Docker's registry sends this.
fn range_until(size: u64) -> String {
    format!("0-{}", size.saturating_sub(1))
}

fn received(status: StatusCode, repository: &ImageRepository, id: &str, size: u64) -> Response {
    let headers = [
        (header::LOCATION, value(location(repository, id))),
        (header::RANGE, value(range_until(size))),
        (UPLOAD_ID, value(id)),
    ];
    respond(status, headers, Body::empty())
}

fn created(repository: &ImageRepository, digest: &Digest) -> Response {
    let headers: [(HeaderName, HeaderValue); 2] = [
        (
            header::LOCATION,
            value(format!("/v2/{repository}/blobs/{digest}")),
        ),
        (DOCKER_CONTENT_DIGEST, value(digest.as_str())),
    ];
    respond(StatusCode::CREATED, headers, Body::empty())
}
