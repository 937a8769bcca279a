//! Accepts connections: a limited number, and none that stays silent.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Request};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::places::{Exchange, Places};

/// How long a request's head may take to arrive.
const HEAD: Duration = Duration::from_secs(15);
/// The most bytes to buffer for a connection; this also limits the size of a request's head.
const AHEAD: usize = 64 * 1024;
/// How long answers in progress may take once the machine stops.
const LAST: Duration = Duration::from_secs(5);

/// Whether the headers have valid credentials.
pub(super) type HasCredentials = Arc<dyn Fn(&HeaderMap) -> bool + Send + Sync>;

/// Serves connections until `stop` is set, then gives running ones a moment to end.
pub(super) async fn connections(
    listener: TcpListener,
    router: Router,
    has_credentials: HasCredentials,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::<Places>::default();
    let graceful = GracefulShutdown::new();
    let mut builder = http1::Builder::new();
    let builder = builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let builder = builder.max_buf_size(AHEAD);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Temporary, such as too many open files: continue with the next connection.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (place, closed) = places.take(peer.ip());
        let router = TowerToHyperService::new(router.clone());
        let has_credentials = Arc::clone(&has_credentials);
        let service = service_fn(move |request: Request<Incoming>| {
            let has_credentials = has_credentials(request.headers());
            let arriving = place.request(has_credentials);
            let answer = router.call(request.map(|body| Watched::new(body, arriving)));
            let place = place.clone();
            async move {
                let answer = answer.await?;
                let leaving = place.answer(has_credentials);
                Ok::<_, Infallible>(answer.map(|body| Watched::new(body, leaving)))
            }
        });
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            tokio::select! {
                // Clients end connections in many ways; none is an error here.
                _ = connection => {}
                _ = closed => {}
            }
        });
    }
    if timeout(LAST, graceful.shutdown()).await.is_err() {
        tracing::info!("closed connections that did not end");
    }
}

/// A body that tells its connection's place when bytes move and when it ends.
struct Watched<B> {
    body: B,
    exchange: Option<Exchange>,
}

impl<B: Body> Watched<B> {
    fn new(body: B, exchange: Exchange) -> Self {
        let is_empty = body.is_end_stream();
        Self {
            body,
            exchange: Some(exchange).filter(|_| !is_empty),
        }
    }
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let (Poll::Ready(Some(Ok(_))), Some(exchange)) = (&frame, &self.exchange) {
            exchange.moved();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
