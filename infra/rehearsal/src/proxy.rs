//! A proxy between the functions and AWS: records and checks requests, injects failures, refuses what the
//! emulator should, and detects pushes to the registry, for which it sends no event.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request as HttpRequest, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use towline_wire::ecr::{self, Action, ImageAction};

use crate::build_service::BuildService;
use crate::client::{self, Client};
use crate::model::{Models, Violation};
use crate::processes;
use crate::recording::{Recording, Request};
use crate::registry;
use crate::{ACCOUNT, REGION};

/// The most bytes of a request; an image layer may be large.
const MOST_BODY: usize = 256 * 1024 * 1024;

/// How a request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// AWS answers with this error, without any effect.
    Refused(&'static str),
    /// The function dies before AWS receives the request.
    DeadBefore,
    /// The function dies after AWS has acted, before it receives the answer.
    DeadAfter,
}

/// A request to match, and the failure to inject.
#[derive(Debug, Clone)]
pub struct Trap {
    pub function: &'static str,
    /// The requested operation.
    pub operation: &'static str,
    /// A text in the request's body.
    pub about: String,
    pub fault: Fault,
    pub times: usize,
}

/// The proxy, serving until it is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    serving: tokio::task::JoinHandle<()>,
}

struct Shared {
    upstream: OnceLock<Upstream>,
    models: Models,
    recording: Recording,
    builds: OnceLock<Arc<BuildService>>,
    traps: Mutex<Vec<Trap>>,
    missed: Mutex<Vec<String>>,
    pushes: mpsc::UnboundedSender<Value>,
    http: reqwest::Client,
}

/// The emulator behind the proxy.
struct Upstream {
    client: Client,
    process: u32,
}

impl Proxy {
    /// Listens on a free port; sends pushes to the registry to `pushes`.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(
        models: Models,
        pushes: mpsc::UnboundedSender<Value>,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream: OnceLock::new(),
            models,
            recording: Recording::default(),
            builds: OnceLock::new(),
            traps: Mutex::default(),
            missed: Mutex::default(),
            pushes,
            http: client::http()?,
        });
        let router = Router::new()
            .fallback(answer)
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            // It ends with the handle only.
            let router = router.into_make_service_with_connect_info::<SocketAddr>();
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            shared,
            address,
            serving,
        })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the emulator to forward to; call it once.
    pub fn forward_to(&self, address: SocketAddr, process: u32) {
        let client = Client::over(self.shared.http.clone(), address);
        let _already = self.shared.upstream.set(Upstream { client, process });
    }

    /// Sets the service that answers for CodeBuild; call it once.
    pub fn build_with(&self, builds: Arc<BuildService>) {
        let _already = self.shared.builds.set(builds);
    }

    #[must_use]
    pub fn recording(&self) -> &Recording {
        &self.shared.recording
    }

    pub fn set(&self, trap: Trap) {
        self.shared.traps().push(trap);
    }

    /// The failures that were not triggered.
    #[must_use]
    pub fn traps_left(&self) -> Vec<Trap> {
        self.shared.traps().clone()
    }

    /// The requests whose function should have died, but did not.
    #[must_use]
    pub fn missed_kills(&self) -> Vec<String> {
        self.shared.missed().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: HttpRequest,
) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts
        .uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let outcome = match axum::body::to_bytes(body, MOST_BODY).await {
        Err(error) => Err(error.into()),
        Ok(body) => match text(&parts.headers, "x-amz-target") {
            Some(target) => {
                shared
                    .call(peer, &target, &path, &parts.headers, body)
                    .await
            }
            None => shared.pass(parts.method, &path, &parts.headers, body).await,
        },
    };
    outcome.unwrap_or_else(|error: anyhow::Error| {
        (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response()
    })
}

impl Shared {
    fn traps(&self) -> MutexGuard<'_, Vec<Trap>> {
        self.traps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn missed(&self) -> MutexGuard<'_, Vec<String>> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request of a JSON protocol.
    async fn call(
        &self,
        peer: SocketAddr,
        target: &str,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> anyhow::Result<Response> {
        let function = text(headers, "user-agent")
            .and_then(|agent| function(&agent))
            .unwrap_or_default();
        let (service, operation) = self.models.called(target).unwrap_or(("unknown", target));
        let violations = self.models.violations(target, &body);
        let fault = self.sprung(&function, operation, &body);
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        let size = body.len();
        if fault == Some(Fault::DeadBefore) {
            self.kill(peer, &function, operation);
        }
        let (status, answer) = match fault {
            Some(Fault::DeadBefore) => (0, Value::Null),
            Some(Fault::Refused(kind)) => error((kind, "on request".into())),
            Some(Fault::DeadAfter) | None if service == "codebuild" => {
                let builds = self.builds.get().context("nobody plays CodeBuild yet")?;
                builds.answer(operation, &asked).await
            }
            Some(Fault::DeadAfter) | None if operation == "PutImage" => {
                match registry::refusal(&self.upstream()?.client, &asked).await {
                    Some(refusal) => error(refusal),
                    None => self.answered(path, headers, body).await?,
                }
            }
            Some(Fault::DeadAfter) | None => self.answered(path, headers, body).await?,
        };
        if operation == "PutImage" && status == 200 {
            self.tell_retagged(&asked, &answer);
        }
        self.recording.add(
            Request {
                function: function.clone(),
                service: service.into(),
                operation: operation.into(),
                body: asked,
                size,
                status,
                answer: answer.clone(),
            },
            violations,
        );
        if fault == Some(Fault::DeadAfter) {
            self.kill(peer, &function, operation);
        }
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let kind = [(header::CONTENT_TYPE, "application/x-amz-json-1.1")];
        Ok((status, kind, answer.to_string()).into_response())
    }

    /// Everything else: S3 objects, and the registry's protocol.
    async fn pass(
        &self,
        method: axum::http::Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> anyhow::Result<Response> {
        let function = text(headers, "user-agent").and_then(|agent| function(&agent));
        let signed = text(headers, "authorization").unwrap_or_default();
        let of_s3 = signed.contains("/s3/aws4_request") && method == axum::http::Method::PUT;
        if let Some(function) = function.as_ref().filter(|_| !of_s3) {
            self.recording.object(Violation {
                path: format!("{method} {path} of {function}"),
                reason: "names no target, so nothing checks it".into(),
            });
        }
        let method = reqwest::Method::from_bytes(method.as_str().as_bytes())?;
        let size = body.len();
        let pushed = (method == reqwest::Method::PUT)
            .then(|| manifest(path))
            .flatten();
        let answered = self.forward(method, path, headers, body).await?;
        if let Some((repository, tag)) = pushed
            && answered.status().is_success()
        {
            let digest = answered.headers().get("docker-content-digest");
            let digest = digest.and_then(|digest| digest.to_str().ok());
            self.tell(repository, digest, tag, text(headers, "content-type"));
        }
        if let Some(function) = function.filter(|_| of_s3) {
            let request = Request {
                function,
                service: "s3".into(),
                operation: "PutObject".into(),
                body: json!({ "path": path }),
                size,
                status: answered.status().as_u16(),
                answer: Value::Null,
            };
            self.recording.add(request, Vec::new());
        }
        let mut response = Response::builder().status(answered.status().as_u16());
        for (name, value) in answered.headers() {
            if !HOP.contains(&name.as_str()) {
                response = response.header(name.as_str(), value.as_bytes());
            }
        }
        Ok(response.body(Body::from(answered.bytes().await?))?)
    }

    /// The emulator's answer to a request of a JSON protocol.
    async fn answered(
        &self,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> anyhow::Result<(u16, Value)> {
        let method = reqwest::Method::POST;
        let answered = self.forward(method, path, headers, body).await?;
        let status = answered.status().as_u16();
        let bytes = answered.bytes().await?;
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    fn upstream(&self) -> anyhow::Result<&Upstream> {
        self.upstream.get().context("there is no emulator yet")
    }

    async fn forward(
        &self,
        method: reqwest::Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> anyhow::Result<reqwest::Response> {
        let address = self.upstream()?.client.address();
        let mut request = self
            .http
            .request(method, format!("http://{address}{path}"))
            .body(body);
        for (name, value) in headers {
            if !HOP.contains(&name.as_str()) {
                request = request.header(name.as_str(), value.as_bytes());
            }
        }
        Ok(request.send().await?)
    }

    fn kill(&self, peer: SocketAddr, function: &str, operation: &str) {
        let upstream = self.upstream.get();
        if !upstream.is_some_and(|upstream| processes::kill(upstream.process, peer)) {
            self.missed().push(format!("{operation} of {function}"));
        }
    }

    /// The failure to inject into a request, if any.
    fn sprung(&self, function: &str, operation: &str, body: &[u8]) -> Option<Fault> {
        let body = String::from_utf8_lossy(body);
        let mut traps = self.traps();
        let place = traps.iter().position(|trap| {
            trap.function == function && trap.operation == operation && body.contains(&trap.about)
        })?;
        let fault = traps[place].fault;
        traps[place].times -= 1;
        if traps[place].times == 0 {
            traps.remove(place);
        }
        Some(fault)
    }

    fn tell_retagged(&self, asked: &Value, answer: &Value) {
        let repository = asked["repositoryName"].as_str().unwrap_or_default();
        let digest = answer["image"]["imageId"]["imageDigest"].as_str();
        let media_type = asked["imageManifestMediaType"].as_str().map(str::to_owned);
        self.tell(repository, digest, asked["imageTag"].as_str(), media_type);
    }

    /// Sends the event of a push, like ECR.
    fn tell(
        &self,
        repository: &str,
        digest: Option<&str>,
        tag: Option<&str>,
        media_type: Option<String>,
    ) {
        let Ok(repository) = repository.parse() else {
            return;
        };
        let at = Timestamp::now();
        let event = ecr::event(&ImageAction {
            id: format!("push-{}", at.as_nanosecond()),
            at,
            account: ACCOUNT.into(),
            region: REGION.into(),
            repository,
            action: Action::Push,
            succeeded: true,
            digest: digest.and_then(|digest| digest.parse().ok()),
            tag: tag.and_then(|tag| tag.parse().ok()),
            media_type,
        });
        // There may be no receiver.
        let _ = self.pushes.send(event);
    }
}

/// The status and body of an error with this code and message.
fn error((kind, message): (&'static str, String)) -> (u16, Value) {
    (400, json!({"__type": kind, "message": message}))
}

/// Headers that concern one connection, or that are recreated for the next. The host stays, because it
/// is signed.
const HOP: &[&str] = &[
    "connection",
    "content-length",
    "keep-alive",
    "transfer-encoding",
];

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// The function in a user agent, whose app name is `towline-<function>`.
fn function(agent: &str) -> Option<String> {
    let mut words = agent.split_whitespace();
    let app = words.find_map(|word| word.strip_prefix("app/"))?;
    Some(app.strip_prefix("towline-").unwrap_or(app).to_owned())
}

/// Repository and tag of a manifest's path; no tag if it is pushed by digest.
fn manifest(path: &str) -> Option<(&str, Option<&str>)> {
    let (repository, reference) = path.strip_prefix("/v2/")?.split_once("/manifests/")?;
    let tag = (!reference.contains(':')).then_some(reference);
    Some((repository, tag))
}
