//! `/v2/<name>/blobs/<digest>`

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures::{Stream, stream};
use tokio::task::spawn_blocking;
use towline_oci::{Digest, ImageRepository};

use super::exchange::{Asked, DOCKER_CONTENT_DIGEST, header_text, respond};
use super::fault::{Code, Fault, value};
use super::range::{Part, part};
use crate::authority::Access;
use crate::error::RegistryError;

/// Bytes of a blob to read at once.
const PIECE: u64 = 256 << 10;

pub(super) async fn answer(
    asked: &Asked<'_>,
    repository: &ImageRepository,
    digest: &Digest,
    request: &Parts,
) -> Result<Response, Fault> {
    match request.method {
        Method::GET => {
            asked.may(Access::Pull { repository }).await?;
            get(asked, repository, digest, request).await
        }
        Method::HEAD => {
            asked.may(Access::Pull { repository }).await?;
            let size = asked.registry().blob_size(repository, digest).await?;
            let size = size.ok_or_else(|| unknown(repository, digest))?;
            Ok(respond(
                StatusCode::OK,
                headers(digest, size),
                Body::empty(),
            ))
        }
        Method::DELETE => {
            asked.may(Access::Delete { repository }).await?;
            asked.registry().delete_blob(repository, digest).await?;
            Ok(respond(StatusCode::ACCEPTED, [], Body::empty()))
        }
        _ => Err(Fault::method_unknown()),
    }
}

fn unknown(repository: &ImageRepository, digest: &Digest) -> RegistryError {
    RegistryError::BlobUnknown {
        repository: repository.clone(),
        digest: digest.clone(),
    }
}

fn headers(digest: &Digest, length: u64) -> [(HeaderName, HeaderValue); 4] {
    [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        ),
        (header::CONTENT_LENGTH, length.into()),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (DOCKER_CONTENT_DIGEST, value(digest.as_str())),
    ]
}

async fn get(
    asked: &Asked<'_>,
    repository: &ImageRepository,
    digest: &Digest,
    request: &Parts,
) -> Result<Response, Fault> {
    let found = asked.registry().open_blob(repository, digest).await?;
    let (file, size) = found.ok_or_else(|| unknown(repository, digest))?;
    match part(header_text(&request.headers, &header::RANGE), size) {
        Part::Whole => {
            let body = Body::from_stream(pieces(file, 0, size));
            Ok(respond(StatusCode::OK, headers(digest, size), body))
        }
        Part::Range { first, last } => {
            let length = last - first + 1;
            let body = Body::from_stream(pieces(file, first, length));
            let mut response = respond(StatusCode::PARTIAL_CONTENT, headers(digest, length), body);
            response.headers_mut().insert(
                header::CONTENT_RANGE,
                value(format!("bytes {first}-{last}/{size}")),
            );
            Ok(response)
        }
        Part::Outside => {
            let message = format!("the blob has {size} bytes, none of them in this range");
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            Err(Fault::new(status, Code::SizeInvalid, message)
                .with(header::CONTENT_RANGE, format!("bytes */{size}")))
        }
    }
}

/// The file's bytes from `start`, read piece by piece outside the async threads.
fn pieces(file: File, start: u64, length: u64) -> impl Stream<Item = io::Result<Bytes>> {
    let file = Arc::new(file);
    stream::try_unfold((start, length), move |(start, left)| {
        let file = Arc::clone(&file);
        async move {
            if left == 0 {
                return Ok(None);
            }
            let size = left.min(PIECE);
            let piece = spawn_blocking(move || {
                let mut piece = vec![0; usize::try_from(size).unwrap_or(0)];
                file.read_exact_at(&mut piece, start)?;
                io::Result::Ok(Bytes::from(piece))
            })
            .await
            .map_err(io::Error::other)??;
            Ok(Some((piece, (start + size, left - size))))
        }
    })
}
