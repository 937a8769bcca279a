//! Lists of repositories, of a repository's tags and of a manifest's referrers.

use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::json;
use towline_oci::{Digest, ImageRepository, ManifestKind};

use super::exchange::{Asked, only_reads, query, respond};
use super::fault::{Code, Fault, value};
use crate::authority::Access;
use crate::error::RegistryError;

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

pub(super) async fn catalog(asked: &Asked<'_>, request: &Parts) -> Result<Response, Fault> {
    asked.may(Access::Catalog).await?;
    only_reads(&request.method)?;
    let names = asked.registry().repositories().await?;
    let page = Page::cut(names.iter().map(ImageRepository::as_str), request)?;
    Ok(page.respond("/v2/_catalog", &json!({ "repositories": page.names })))
}

pub(super) async fn tags(
    asked: &Asked<'_>,
    repository: &ImageRepository,
    request: &Parts,
) -> Result<Response, Fault> {
    asked.may(Access::Pull { repository }).await?;
    only_reads(&request.method)?;
    if !asked.registry().has_repository(repository).await? {
        return Err(RegistryError::RepositoryUnknown(repository.clone()).into());
    }
    let tags = asked.registry().tags(repository).await?;
    let page = Page::cut(tags.iter().map(|it| it.tag.as_str()), request)?;
    let body = json!({ "name": repository.as_str(), "tags": page.names });
    Ok(page.respond(&format!("/v2/{repository}/tags/list"), &body))
}

/// An empty list, not an error, if there are none: the specification requires it.
pub(super) async fn referrers(
    asked: &Asked<'_>,
    repository: &ImageRepository,
    subject: &Digest,
    request: &Parts,
) -> Result<Response, Fault> {
    asked.may(Access::Pull { repository }).await?;
    only_reads(&request.method)?;
    let mut referrers = asked.registry().referrers(repository, subject).await?;
    let filter = query(request, "artifactType").filter(|filter| !filter.is_empty());
    if let Some(filter) = &filter {
        referrers.retain(|referrer| referrer.artifact_type.as_ref() == Some(filter));
    }
    let index = ManifestKind::OciIndex.as_str();
    let body = json!({ "schemaVersion": 2, "mediaType": index, "manifests": referrers });
    let content_type = (header::CONTENT_TYPE, HeaderValue::from_static(index));
    let mut response = respond(StatusCode::OK, [content_type], body.to_string());
    if filter.is_some() {
        let applied = HeaderValue::from_static("artifactType");
        response.headers_mut().insert(FILTERS_APPLIED, applied);
    }
    Ok(response)
}

/// A page of a list, and where the next one starts.
struct Page<'a> {
    names: Vec<&'a str>,
    /// The `n` and `last` of the next page, when there is one.
    next: Option<(usize, &'a str)>,
}

impl<'a> Page<'a> {
    /// The page that the request's `n` and `last` ask for.
    fn cut(names: impl Iterator<Item = &'a str>, request: &Parts) -> Result<Self, Fault> {
        let last = query(request, "last").unwrap_or_default();
        let mut names: Vec<&str> = names.skip_while(|name| **name <= *last).collect();
        let Some(limit) = query(request, "n") else {
            return Ok(Self { names, next: None });
        };
        let limit: usize = limit.parse().map_err(|_| {
            let message = "n is not a number; set it to the number of names you want";
            Fault::new(StatusCode::BAD_REQUEST, Code::PaginationInvalid, message)
        })?;
        let more = names.len() > limit;
        names.truncate(limit);
        let next = names.last().filter(|_| more).map(|last| (limit, *last));
        Ok(Self { names, next })
    }

    fn respond(&self, path: &str, body: &serde_json::Value) -> Response {
        let content_type = HeaderValue::from_static("application/json");
        let headers = [(header::CONTENT_TYPE, content_type)];
        let mut response = respond(StatusCode::OK, headers, body.to_string());
        if let Some((limit, last)) = self.next {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("n", &limit.to_string())
                .append_pair("last", last)
                .finish();
            let link = format!("<{path}?{query}>; rel=\"next\"");
            response.headers_mut().insert(header::LINK, value(link));
        }
        response
    }
}
