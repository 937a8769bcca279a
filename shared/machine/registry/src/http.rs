//! The OCI distribution protocol over HTTP: authentication, routes and handlers.

mod blobs;
mod exchange;
mod fault;
mod listings;
mod manifests;
mod range;
mod route;
mod uploads;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;

use crate::authority::{Access, Authority, Credentials};
use crate::registry::Registry;
use exchange::{Asked, Server, only_reads};
use fault::Fault;
use route::Route;

/// Clients up to Docker 1.x check this header to recognize a registry.
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

impl Registry {
    /// Serves `/v2/` of the OCI distribution specification; `authority` decides about requests.
    pub fn router(&self, authority: Arc<dyn Authority>) -> Router {
        routes(self.clone(), authority)
    }
}

fn routes(registry: Registry, authority: Arc<dyn Authority>) -> Router {
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
                asked.may(Access::Ping).await?;
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
