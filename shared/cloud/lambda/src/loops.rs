//! The loops: receive an invocation from Lambda, handle it, answer; one at a time.

use std::cell::Cell;
use std::error::Error;
use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::task::{Context as Waker, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use lambda_runtime::tower::Service;
use lambda_runtime::tower::layer::layer_fn;
use lambda_runtime::{Context, Diagnostic, LambdaEvent, LambdaInvocation, Runtime, service_fn};
use serde_json::Value;
use towline_domain::causes::with_causes;
use towline_ports::Clock as _;
use towline_wire::eventbridge::Envelope;
use towline_wire::http::{Request, Response};
use tracing::Instrument as _;

use crate::envelope::envelope;
use crate::failure::Failure;
use crate::http_api::{self, RequestError};
use crate::signed::refusal;
use towline_ports::system::SystemClock;

/// How long before the timeout an invocation is ended here, so that it is logged and Lambda does not kill
/// the process.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Handles events from a bus.
///
/// Input that is not an event can never be handled, so it is logged and dropped. Lambda retries after a
/// failure or panic, twice, then sends the event to the function's failure destination.
///
/// # Errors
/// When Lambda's API does not answer.
pub async fn events<E>(handle: impl AsyncFn(&Envelope) -> Result<(), E>) -> Result<(), Failure>
where
    E: Error + Send + Sync + 'static,
{
    serve(async |body: Bytes| {
        let event = match envelope(&body) {
            Ok(event) => event,
            Err(error) => {
                tracing::error!(error = &error as &dyn Error, "dropped: not an event");
                return Ok(Value::Null);
            }
        };
        drop(body);
        let said = |pointer| event.detail.pointer(pointer).and_then(Value::as_str);
        let span = tracing::info_span!(
            "event",
            event = event.id,
            kind = event.detail_type,
            intent = said("/intent_id"),
            run = said("/intent/run"),
        );
        handle(&event).instrument(span).await?;
        Ok(Value::Null)
    })
    .await
}

/// Handles requests from API Gateway, and returns the answers.
///
/// An unreadable request is answered here: 413 if its body is too large, otherwise 400. If `handle` panics
/// or takes too long, API Gateway answers 500.
///
/// # Errors
/// When Lambda's API does not answer.
pub async fn requests(handle: impl AsyncFn(Request) -> Response) -> Result<(), Failure> {
    serve(async |body: Bytes| {
        let request = http_api::decode(&body);
        drop(body);
        let response = match request {
            Ok(request) => handle(request).await,
            Err(error) => refuse(&error),
        };
        Ok(http_api::encode(&response))
    })
    .await
}

/// Acts at each tick of the schedule; the result is logged at `debug`.
///
/// # Errors
/// When Lambda's API does not answer.
pub async fn schedule<T: Debug, E>(handle: impl AsyncFn() -> Result<T, E>) -> Result<(), Failure>
where
    E: Error + Send + Sync + 'static,
{
    serve(async |_| {
        let outcome = handle().await?;
        tracing::debug!(?outcome, "done");
        Ok(Value::Null)
    })
    .await
}

async fn serve(handle: impl AsyncFn(Bytes) -> Result<Value, Failure>) -> Result<(), Failure> {
    let body = Rc::new(Cell::new(Bytes::new()));
    let service = service_fn(|event: LambdaEvent<()>| {
        // Boxed, because the nested type of all futures would be too deep for rustc.
        let work = handle(body.take()).boxed_local();
        invoke(work, event.context)
    });
    let whole = layer_fn(|inner| WholeBody {
        inner,
        body: Rc::clone(&body),
    });
    let runtime = Runtime::new(service).layer(whole);
    runtime.run().await.map_err(Failure)
}

/// One invocation, which is ended before its timeout and logged in any case.
async fn invoke(
    work: LocalBoxFuture<'_, Result<Value, Failure>>,
    context: Context,
) -> Result<Value, Diagnostic> {
    let span = tracing::info_span!("invocation", request_id = context.request_id);
    let left = time_left(context.deadline);
    async {
        let work = AssertUnwindSafe(work).catch_unwind();
        match tokio::time::timeout(left.saturating_sub(LAST_WORDS), work).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(failure))) => {
                tracing::error!(error = failure.cause(), "failed");
                Err(diagnostic("Failed", with_causes(failure.cause())))
            }
            // The panic handler has logged where and why.
            Ok(Err(_)) => Err(diagnostic("Panicked", "the function panicked".into())),
            Err(_) => {
                let most = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                tracing::error!(milliseconds = most, "stopped shortly before the timeout");
                let reason = format!("not done within {most} ms");
                Err(diagnostic("OutOfTime", reason))
            }
        }
    }
    .instrument(span)
    .await
}

/// The time until a deadline in milliseconds since 1970.
fn time_left(deadline: u64) -> Duration {
    let now = u64::try_from(SystemClock.now().as_millisecond()).unwrap_or(0);
    Duration::from_millis(deadline.saturating_sub(now))
}

fn diagnostic(error_type: &str, error_message: String) -> Diagnostic {
    Diagnostic {
        error_type: error_type.into(),
        error_message,
    }
}

fn refuse(error: &RequestError) -> Response {
    let status = match error {
        RequestError::TooLarge(_) => 413,
        RequestError::Shape(_) | RequestError::Field(_) | RequestError::Base64(_) => 400,
    };
    let reason = with_causes(error);
    tracing::warn!(status, reason, "refused");
    refusal(status, &reason)
}

/// Prevents the runtime from parsing the payload, because its parser tracks positions and takes several
/// times as long; the loops parse the bytes once.
struct WholeBody<S> {
    inner: S,
    body: Rc<Cell<Bytes>>,
}

impl<S: Service<LambdaInvocation>> Service<LambdaInvocation> for WholeBody<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, waker: &mut Waker<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(waker)
    }

    fn call(&mut self, mut invocation: LambdaInvocation) -> S::Future {
        let nothing = Bytes::from_static(b"null");
        self.body
            .set(std::mem::replace(&mut invocation.body, nothing));
        self.inner.call(invocation)
    }
}
