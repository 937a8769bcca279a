//! `/v2/<name>/manifests/<reference>`

use std::error::Error;

use axum::body::{Body, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::LengthLimitError;
use towline_oci::{ImageRepository, Reference};

use super::exchange::{Asked, DOCKER_CONTENT_DIGEST, header_text, respond};
use super::fault::{Fault, value};
use crate::authority::Access;
use crate::error::RegistryError;
use crate::images::Deleted;
use crate::manifest::LIMIT;

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

pub(super) async fn answer(
    asked: &Asked<'_>,
    repository: &ImageRepository,
    reference: &Reference,
    request: &Parts,
    body: Body,
) -> Result<Response, Fault> {
    match request.method {
        Method::GET | Method::HEAD => {
            asked.may(Access::Pull { repository }).await?;
            get(asked, repository, reference).await
        }
        Method::PUT => {
            let tag = match reference {
                Reference::Tag(tag) => Some(tag),
                Reference::Digest(_) => None,
            };
            asked.may(Access::Push { repository, tag }).await?;
            put(asked, repository, reference, request, body).await
        }
        Method::DELETE => {
            asked.may(Access::Delete { repository }).await?;
            delete(asked, repository, reference).await
        }
        _ => Err(Fault::method_unknown()),
    }
}

fn unknown(repository: &ImageRepository, reference: &Reference) -> Fault {
    Fault::from(RegistryError::ManifestUnknown {
        repository: repository.clone(),
        reference: reference.to_string(),
    })
}

/// Also for HEAD: the body is dropped later, its length is kept.
async fn get(
    asked: &Asked<'_>,
    repository: &ImageRepository,
    reference: &Reference,
) -> Result<Response, Fault> {
    let manifest = asked.registry().read(repository, reference).await?;
    let manifest = manifest.ok_or_else(|| unknown(repository, reference))?;
    let headers = [
        (header::CONTENT_TYPE, value(&manifest.media_type)),
        (header::CONTENT_LENGTH, manifest.bytes.len().into()),
        (DOCKER_CONTENT_DIGEST, value(manifest.digest.as_str())),
    ];
    Ok(respond(StatusCode::OK, headers, manifest.bytes))
}

async fn put(
    asked: &Asked<'_>,
    repository: &ImageRepository,
    reference: &Reference,
    request: &Parts,
    body: Body,
) -> Result<Response, Fault> {
    let content_type = header_text(&request.headers, &header::CONTENT_TYPE).map(str::to_owned);
    let bytes = receive(body).await?;
    let put = asked
        .registry()
        .put_manifest(repository, reference, content_type.as_deref(), bytes)
        .await?;
    let headers = [
        (
            header::LOCATION,
            value(format!("/v2/{repository}/manifests/{}", put.digest)),
        ),
        (DOCKER_CONTENT_DIGEST, value(put.digest.as_str())),
    ];
    let mut response = respond(StatusCode::CREATED, headers, Body::empty());
    if let Some(subject) = put.subject {
        let headers = response.headers_mut();
        headers.insert(OCI_SUBJECT, value(subject.as_str()));
    }
    Ok(response)
}

async fn receive(body: Body) -> Result<Bytes, RegistryError> {
    to_bytes(body, LIMIT).await.map_err(|error| {
        let too_large = error
            .source()
            .is_some_and(<dyn Error>::is::<LengthLimitError>);
        if too_large {
            RegistryError::ManifestTooLarge { limit: LIMIT }
        } else {
            let source = error.into();
            RegistryError::Receiving { source }
        }
    })
}

async fn delete(
    asked: &Asked<'_>,
    repository: &ImageRepository,
    reference: &Reference,
) -> Result<Response, Fault> {
    let registry = asked.registry();
    let deleted = match reference {
        Reference::Tag(tag) => registry.delete_tag(repository, tag).await?,
        Reference::Digest(digest) => {
            registry.delete_manifest(repository, digest).await? == Deleted::Yes
        }
    };
    if deleted {
        Ok(respond(StatusCode::ACCEPTED, [], Body::empty()))
    } else {
        Err(unknown(repository, reference))
    }
}
