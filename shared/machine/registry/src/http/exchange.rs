//! What all routes share: the request with its sender, and the parts of responses.

use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::fault::Fault;
use crate::authority::{Access, Authority, Credentials, Verdict};
use crate::registry::Registry;

pub(super) const DOCKER_CONTENT_DIGEST: HeaderName =
    HeaderName::from_static("docker-content-digest");

pub(super) struct Server {
    pub(super) registry: Registry,
    pub(super) authority: Arc<dyn Authority>,
}

/// A request and its sender.
pub(super) struct Asked<'a> {
    pub(super) credentials: Option<Credentials>,
    pub(super) server: &'a Server,
}

impl Asked<'_> {
    pub(super) fn registry(&self) -> &Registry {
        &self.server.registry
    }

    pub(super) async fn verdict(&self, access: Access<'_>) -> Verdict {
        let authority = &self.server.authority;
        authority.judge(self.credentials.as_ref(), access).await
    }

    pub(super) async fn may(&self, access: Access<'_>) -> Result<(), Fault> {
        match self.verdict(access).await {
            Verdict::Allow => Ok(()),
            Verdict::Unknown => Err(Fault::unauthorized(self.credentials.is_some())),
            Verdict::Deny(reason) => Err(Fault::denied(reason)),
            Verdict::Unsure(reason) => Err(Fault::unavailable(reason)),
        }
    }
}

pub(super) fn only_reads(method: &Method) -> Result<(), Fault> {
    if method == Method::GET || method == Method::HEAD {
        Ok(())
    } else {
        Err(Fault::method_unknown())
    }
}

/// The decoded value of the query's first parameter with this name.
pub(super) fn query(request: &Parts, name: &str) -> Option<String> {
    let query = request.uri.query()?;
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

pub(super) fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

pub(super) fn respond<const N: usize>(
    status: StatusCode,
    headers: [(HeaderName, HeaderValue); N],
    body: impl Into<Body>,
) -> Response {
    (status, headers, body.into()).into_response()
}
