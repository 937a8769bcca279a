//! Why a request to AWS failed, in one line without any body of requests or answers.

use std::error::Error;
use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId as _;
use towline_domain::causes::with_causes;
use towline_domain::obstacle::Service;
use towline_ports::PortError;

/// The text of the SDK's error. The error itself is dropped, because its debug text contains the raw
/// answer.
#[derive(Debug)]
pub(crate) struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for Fault {}

impl Fault {
    pub(crate) fn new<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let text = match error {
            SdkError::TimeoutError(_) => "timed out".to_owned(),
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(cause) => DisplayErrorContext(cause).to_string(),
                None => "the request could not be sent".to_owned(),
            },
            SdkError::ServiceError(said) => {
                let meta = said.err().meta();
                let code = meta.code().unwrap_or("no error code");
                let message = meta.message().unwrap_or("no message");
                match error.request_id() {
                    Some(id) => format!("{code}: {message} (request {id})"),
                    None => format!("{code}: {message}"),
                }
            }
            SdkError::ResponseError(answer) => {
                let status = answer.raw().status().as_u16();
                format!("unreadable answer with status {status}")
            }
            SdkError::ConstructionFailure(_) => match error.source() {
                Some(cause) => with_causes(cause),
                None => "the request could not be made".to_owned(),
            },
            _ => "the request failed".to_owned(),
        };
        Self(text)
    }
}

/// What AWS denies: its code and the action, without the numbers of the account and the request.
fn brief(code: &str, said: &str) -> String {
    let action = said.split("not authorized to perform: ").nth(1);
    let action = action.and_then(|rest| rest.split_whitespace().next());
    match action {
        Some(action) => format!("{code}: {action}"),
        None => code.to_owned(),
    }
}

/// A port's error, from what was being done and the SDK's error.
pub(crate) fn failed<E>(doing: impl Into<String>, error: &SdkError<E, HttpResponse>) -> PortError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let said = error.as_service_error().and_then(|said| said.meta().code());
    let fault = Fault::new(error);
    // Every service's error code for this begins the same way (AWS service reference, "Common errors").
    match said.is_some_and(|code| code.starts_with("AccessDenied")) {
        true => {
            let brief = brief(said.unwrap_or_default(), &fault.to_string());
            PortError::denied(Service::Aws, doing, fault).briefly(brief)
        }
        false => PortError::new(doing, fault),
    }
}

#[cfg(any(feature = "codebuild", feature = "ecr", feature = "secretsmanager"))]
/// The service's error code, if it answered.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error
        .as_service_error()
        .and_then(|error| error.meta().code())
}

/// Whether an error code means throttling.
#[cfg(feature = "codebuild")]
pub(crate) fn is_throttled(code: Option<&str>) -> bool {
    code.is_some_and(|code| {
        code.starts_with("Throttl")
            || matches!(
                code,
                "TooManyRequestsException"
                    | "RequestLimitExceeded"
                    | "RequestThrottled"
                    | "RequestThrottledException"
            )
    })
}
