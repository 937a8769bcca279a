//! One request to GitHub and its answer, limited in size.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, IF_NONE_MATCH, LINK, USER_AGENT,
};
use hyper::{Method, Request, StatusCode, Uri};
use serde::Deserialize;
use towline_domain::untrusted::Untrusted;
use towline_https::{Trust, TrustError};
use towline_ports::PortError;

use crate::{Api, Settings};

/// The version of the API that this crate was written for (GitHub REST API, "API Versions").
const VERSION: &str = "2022-11-28";

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long an idle connection is kept. GitHub closes it after about a minute, which a frozen function
/// does not notice.
const IDLE: Duration = Duration::from_secs(30);

pub(crate) const JSON: &str = "application/vnd.github+json";

/// The raw content of a file.
pub(crate) const RAW: &str = "application/vnd.github.raw+json";

/// The most bytes of an answer: a tree has up to 7 MB (GitHub REST API, "Get a tree").
pub(crate) const MOST: usize = 8 * 1024 * 1024;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A client for one API. Without trusted roots, every request fails and says so.
pub(crate) struct Client {
    api: Api,
    user_agent: String,
    made: Result<towline_https::Client<Full<Bytes>>, TrustError>,
}

#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) accept: &'static str,
    pub(crate) body: Option<Bytes>,
    /// The `ETag` of an answer that need not be repeated.
    pub(crate) unless: Option<HeaderValue>,
    /// Most bytes of the answer.
    pub(crate) most: usize,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// None if it was larger than allowed.
    pub(crate) body: Option<Vec<u8>>,
}

impl Answer {
    /// The link to the next page of a list, if there is one (GitHub REST API, "Using pagination").
    pub(crate) fn next_page(&self) -> Option<&str> {
        let links = self.headers.get_all(LINK).iter();
        let links = links.filter_map(|links| links.to_str().ok());
        let mut links = links.flat_map(|links| links.split(','));
        links.find(|link| link.contains("rel=\"next\""))
    }
}

impl Client {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            api: settings.api.clone(),
            user_agent: settings.user_agent.clone(),
            made: towline_https::client(&Trust::from_environment(), CONNECT, IDLE),
        }
    }

    /// Sends one request. `path` starts with a slash and is encoded.
    pub(crate) async fn exchange(
        &self,
        ask: &Ask,
        path: &str,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, Error> {
        let Api {
            scheme,
            authority,
            prefix,
        } = &self.api;
        let uri = Uri::builder()
            .scheme(scheme.clone())
            .authority(authority.clone())
            .path_and_query(format!("{prefix}{path}"))
            .build()?;
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(uri)
            .header(ACCEPT, ask.accept)
            .header(USER_AGENT, &self.user_agent)
            .header("x-github-api-version", VERSION);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(mark) = &ask.unless {
            request = request.header(IF_NONE_MATCH, mark);
        }
        if ask.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = Full::new(ask.body.clone().unwrap_or_default());
        let made = self.made.as_ref().map_err(Clone::clone)?;
        let response = made.request(request.body(body)?).await?;
        let (parts, mut body) = response.into_parts();
        let mut bytes = Some(Vec::new());
        while let Some(frame) = body.frame().await {
            let frame = frame?;
            let (Some(kept), Some(data)) = (&mut bytes, frame.data_ref()) else {
                continue;
            };
            if kept.len() + data.len() > ask.most {
                bytes = None;
                break;
            }
            kept.extend_from_slice(data);
        }
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: bytes,
        })
    }

    /// The target of a redirect, relative to the base of this API; none if it leads elsewhere.
    pub(crate) fn below<'a>(&self, location: &'a str) -> Option<&'a str> {
        let base = self.api.to_string();
        let path = location.strip_prefix(&base)?;
        path.starts_with('/').then_some(path)
    }
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
    #[serde(default)]
    errors: Vec<serde_json::Value>,
}

impl Answer {
    pub(crate) fn json<'a, T: Deserialize<'a>>(&'a self, doing: &str) -> Result<T, PortError> {
        let Some(body) = &self.body else {
            return Err(PortError::because(format!(
                "{doing}: GitHub's answer is too large"
            )));
        };
        serde_json::from_slice(body)
            .map_err(|cause| PortError::new(format!("{doing}: reading GitHub's answer"), cause))
    }

    /// GitHub's refusal: `404 Not Found`.
    pub(crate) fn refusal(&self) -> String {
        let status = self.status.as_u16();
        let body = self.body.as_deref().unwrap_or_default();
        let Ok(refusal) = serde_json::from_slice::<Refusal>(body) else {
            let reason = self.status.canonical_reason().unwrap_or_default();
            return format!("{status} {reason}");
        };
        let mut text = refusal.message;
        for error in &refusal.errors {
            // Either a string, or an object with a message or with resource, field and code.
            let fact = |key| error.get(key).and_then(serde_json::Value::as_str);
            let said = match (
                error.as_str().or(fact("message")),
                fact("field"),
                fact("code"),
            ) {
                (Some(message), _, _) => message.to_owned(),
                (None, Some(field), Some(code)) => format!("{field} {code}"),
                _ => continue,
            };
            text += &format!("; {said}");
        }
        format!("{status} {}", Untrusted::first_line(&text).display())
    }

    /// An error with what was being done and GitHub's message.
    pub(crate) fn error(&self, doing: &str) -> PortError {
        PortError::because(format!("{doing}: GitHub answered {}", self.refusal()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
