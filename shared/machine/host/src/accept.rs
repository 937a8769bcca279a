//! Accepts connections: a limited number, and none that stays silent.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

/// Open connections; further ones wait in the system's queue.
const MOST_CONNECTIONS: usize = 512;
/// How long a request's head may take to arrive.
const HEAD: Duration = Duration::from_secs(15);
/// How long running answers may take once the machine stops.
const LAST: Duration = Duration::from_secs(5);

/// Serves connections until `stop` is set, then gives running ones a moment to end.
pub(super) async fn connections(
    listener: TcpListener,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let next = async {
            // The semaphore is never closed, so a permit always becomes available.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            next = next => next,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Temporary, such as too many open files: continue with the next connection.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // A client may end its connection in any way.
            let _ = connection.await;
            drop(place);
        });
    }
    if timeout(LAST, graceful.shutdown()).await.is_err() {
        tracing::info!("closed connections that did not end");
    }
}
