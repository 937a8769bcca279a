//! The HTTP client of all services' clients, created once.
//!
//! The SDK's own client adds HTTP/2, which none of our services uses, and builds its trust store once
//! per client and again for the first request, decoding the system's certificates each time: four fifths
//! of the cost of a start.

use std::error::Error;
use std::io;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use towline_https::{Client, RequestError, Trust, TrustError};

/// A connection within a region takes a few milliseconds or fails.
const CONNECT: Duration = Duration::from_secs(1);

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(90);

/// The connections. Without trusted roots, every request fails and says so.
pub(crate) type Connections = Result<Client<SdkBody>, TrustError>;

pub(crate) fn connections(trust: &Trust) -> Connections {
    towline_https::client(trust, CONNECT, IDLE)
}

/// The client that uses them.
pub(crate) fn client(connections: Connections) -> SharedHttpClient {
    SharedHttpClient::new(Once(SharedHttpConnector::new(Http(connections))))
}

/// Returns the same connections for all settings, because all clients use the same timeouts.
#[derive(Debug)]
struct Once(SharedHttpConnector);

impl HttpClient for Once {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.0.clone()
    }
}

#[derive(Debug)]
struct Http(Connections);

impl HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = match &self.0 {
            Ok(client) => client,
            Err(error) => {
                let error = ConnectorError::user(error.clone().into());
                return HttpConnectorFuture::ready(Err(error));
            }
        };
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let answer = client.request(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await.map_err(failed)?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// The kind of an error decides about retries: failures of the network or the service may be temporary,
/// an invalid request is not.
fn failed(error: RequestError) -> ConnectorError {
    if caused(&error, |io: &io::Error| {
        io.kind() == io::ErrorKind::TimedOut
    }) {
        ConnectorError::timeout(error.into())
    } else if caused(&error, hyper::Error::is_user) {
        ConnectorError::user(error.into())
    } else {
        ConnectorError::io(error.into())
    }
}

/// Whether one of an error's causes has this type.
fn caused<E: Error + 'static>(error: &(dyn Error + 'static), is: impl Fn(&E) -> bool) -> bool {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.any(|cause| cause.downcast_ref().is_some_and(&is))
}

#[cfg(test)]
mod tests;
