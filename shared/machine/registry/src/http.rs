//! The OCI distribution protocol over HTTP: authentication, routes and handlers.

mod blobs;
mod fault;
mod listings;
mod manifests;
mod range;
mod route;
mod uploads;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;

use crate::authority::{Access, Authority, Credentials, Verdict};
use crate::registry::Registry;
use fault::Fault;
use route::Route;

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Clients up to Docker 1.x check this header to recognize a registry.
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

struct Server {
    registry: Registry,
    authority: Arc<dyn Authority>,
}

pub(crate) fn router(registry: Registry, authority: Arc<dyn Authority>) -> Router {
    let server = Arc::new(Server {
        registry,
        authority,
    });
    // Repository names contain slashes, so `route` parses the paths.
    Router::new()
        .route("/v2", any(serve))
        .route("/v2/", any(serve))
        .route("/v2/{*path}", any(serve))
        .with_state(server)
}

async fn serve(State(server): State<Arc<Server>>, request: Request) -> Response {
    let mut response = match server.answer(request).await {
        Ok(response) => response,
        Err(fault) => fault.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

impl Server {
    async fn answer(&self, request: Request) -> Result<Response, Fault> {
        let (request, body) = request.into_parts();
        self.check_host(&request)?;
        let asked = Asked {
            credentials: Credentials::basic(&request.headers),
            server: self,
        };
        let route = Route::parse(request.uri.path())?;
        match route {
            Route::Ping => {
                asked.may(Access::Ping)?;
                only_reads(&request.method)?;
                Ok(([(header::CONTENT_TYPE, "application/json")], "{}").into_response())
            }
            Route::Catalog => listings::catalog(&asked, &request).await,
            Route::Tags { repository } => listings::tags(&asked, &repository, &request).await,
            Route::Referrers { repository, digest } => {
                listings::referrers(&asked, &repository, &digest, &request).await
            }
            Route::Manifest {
                repository,
                reference,
            } => manifests::answer(&asked, &repository, &reference, &request, body).await,
            Route::Blob { repository, digest } => {
                blobs::answer(&asked, &repository, &digest, &request).await
            }
            Route::Uploads { repository } => {
                uploads::start(&asked, &repository, &request, body).await
            }
            Route::Upload { repository, id } => {
                uploads::answer(&asked, &repository, &id, &request, body).await
            }
        }
    }

    fn check_host(&self, request: &Parts) -> Result<(), Fault> {
        let header = request.headers.get(header::HOST);
        let asked_for = match request.uri.host() {
            Some(host) => host,
            None => header
                .and_then(|host| host.to_str().ok())
                .map_or("", without_port),
        };
        let known = &self.registry.inner().settings.hosts;
        if is_loopback(asked_for)
            || known
                .iter()
                .any(|host| host.eq_ignore_ascii_case(asked_for))
        {
            Ok(())
        } else {
            Err(Fault::wrong_host(asked_for))
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // In an IPv6 address without port, the last colon is inside the brackets.
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn only_reads(method: &Method) -> Result<(), Fault> {
    if method == Method::GET || method == Method::HEAD {
        Ok(())
    } else {
        Err(Fault::method_unknown())
    }
}

/// A request and its sender.
struct Asked<'a> {
    credentials: Option<Credentials>,
    server: &'a Server,
}

impl Asked<'_> {
    fn registry(&self) -> &Registry {
        &self.server.registry
    }

    fn verdict(&self, access: Access<'_>) -> Verdict {
        self.server
            .authority
            .judge(self.credentials.as_ref(), access)
    }

    fn may(&self, access: Access<'_>) -> Result<(), Fault> {
        match self.verdict(access) {
            Verdict::Allow => Ok(()),
            Verdict::Unknown => Err(Fault::unauthorized(self.credentials.is_some())),
            Verdict::Deny(reason) => Err(Fault::denied(reason)),
        }
    }
}

/// The decoded value of the query's first parameter with this name.
fn query(request: &Parts, name: &str) -> Option<String> {
    let query = request.uri.query()?;
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A header value that contains only characters of URLs, digests and numbers.
fn value(text: impl AsRef<str>) -> HeaderValue {
    HeaderValue::from_str(text.as_ref()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn respond<const N: usize>(
    status: StatusCode,
    headers: [(HeaderName, HeaderValue); N],
    body: impl Into<Body>,
) -> Response {
    (status, headers, body.into()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_counts_as_loopback() {
        for host in [
            "localhost",
            "LOCALHOST:5000",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]",
            "[::1]:80",
        ] {
            assert!(is_loopback(without_port(host)), "{host} is refused");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example:80",
            "0.0.0.0",
            "10.0.0.1:80",
            "[::2]",
        ] {
            assert!(!is_loopback(without_port(host)), "{host} is taken");
        }
    }
}
