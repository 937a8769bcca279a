//! The functions' requests to AWS, in order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::Notify;

use crate::model::Violation;

/// One request of a function, and its result.
#[derive(Debug, Clone)]
pub struct Request {
    /// The function; empty if the user agent does not name one.
    pub function: String,
    /// The service, by botocore's name.
    pub service: String,
    pub operation: String,
    pub body: Value,
    /// The length of the body in bytes.
    pub size: usize,
    /// The status of the answer; 0 if the connection was cut.
    pub status: u16,
    pub answer: Value,
}

#[derive(Clone, Default)]
pub struct Recording {
    inner: Arc<Mutex<Inner>>,
    grown: Arc<Notify>,
}

#[derive(Default)]
struct Inner {
    requests: Vec<Request>,
    violations: Vec<Violation>,
}

impl Recording {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, request: Request, violations: Vec<Violation>) {
        let mut inner = self.inner();
        inner.requests.push(request);
        inner.violations.extend(violations);
        drop(inner);
        self.grown.notify_waiters();
    }

    pub(crate) fn object(&self, violation: Violation) {
        self.inner().violations.push(violation);
    }

    /// The current position, for [`Recording::since`].
    #[must_use]
    pub fn mark(&self) -> usize {
        self.inner().requests.len()
    }

    /// The requests after a mark.
    #[must_use]
    pub fn since(&self, mark: usize) -> Vec<Request> {
        self.inner().requests[mark..].to_vec()
    }

    /// Everything that AWS would have rejected, once each, in the words of its model.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        let inner = self.inner();
        let texts = inner.violations.iter();
        let mut texts: Vec<String> = texts
            .map(|found| format!("{}: {}", found.path, found.reason))
            .collect();
        texts.sort();
        texts.dedup();
        texts
    }
}
