//! A registry in memory, strict about digests, that records requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use tokio::net::TcpListener;
use towline_oci::Digest;
use towline_pack::{BaseReference, Registry, Target, Transport};

/// `user:secret`, as Basic authentication encodes it.
const CREDENTIALS: &str = "Basic dXNlcjpzZWNyZXQ=";

/// A registry's unusual behavior.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    Usual,
    /// Answers a mount as if an upload had been requested, which is allowed.
    NoMounts,
    /// Accepts only `user` with `secret`.
    AsksWho,
    /// Stores another manifest than the one pushed.
    RewritesManifests,
    /// Does not return the location of a manifest, like ECR.
    NoLocation,
}

/// Repository and digest, or repository and tag, and the content.
type Store = BTreeMap<(String, String), Bytes>;

pub(crate) struct FakeRegistry {
    habit: Habit,
    address: String,
    blobs: Mutex<Store>,
    manifests: Mutex<Store>,
    requests: Mutex<Vec<String>>,
}

impl FakeRegistry {
    pub(crate) async fn start(habit: Habit) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let registry = Arc::new(Self {
            habit,
            address: listener.local_addr().unwrap().to_string(),
            blobs: Mutex::default(),
            manifests: Mutex::default(),
            requests: Mutex::default(),
        });
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&registry));
        tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        registry
    }

    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::new(self.address.parse().unwrap());
        registry.transport = Transport::PlainOnLoopback;
        registry
    }

    pub(crate) fn target(&self, repository: &str, tags: &[&str]) -> Target {
        Target {
            registry: self.registry(),
            repository: repository.parse().unwrap(),
            tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
        }
    }

    pub(crate) fn base(&self, repository: &str, digest: &Digest) -> BaseReference {
        BaseReference {
            registry: self.registry(),
            repository: repository.parse().unwrap(),
            digest: digest.clone(),
        }
    }

    pub(crate) fn put_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let key = (repository.to_owned(), digest.to_string());
        self.blobs
            .lock()
            .unwrap()
            .insert(key, Bytes::copy_from_slice(bytes));
        digest
    }

    pub(crate) fn put_manifest(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let key = (repository.to_owned(), digest.to_string());
        self.manifests
            .lock()
            .unwrap()
            .insert(key, Bytes::copy_from_slice(bytes));
        digest
    }

    pub(crate) fn manifest(&self, repository: &str, reference: &str) -> Option<Bytes> {
        let key = (repository.to_owned(), reference.to_owned());
        self.manifests.lock().unwrap().get(&key).cloned()
    }

    pub(crate) fn blobs(&self, repository: &str) -> Vec<String> {
        let blobs = self.blobs.lock().unwrap();
        let digests = blobs.keys().filter(|(name, _)| name == repository);
        digests.map(|(_, digest)| digest.clone()).collect()
    }

    /// The requests since the last time, without digests.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    fn reply(&self, method: &Method, path: &str, query: &str, body: Bytes) -> Response {
        let Some(rest) = path.strip_prefix("/v2/").filter(|rest| !rest.is_empty()) else {
            return status(StatusCode::OK);
        };
        if let Some((name, _)) = rest.split_once("/blobs/uploads/") {
            return self.upload(method, name, query, body);
        }
        if let Some((name, digest)) = rest.split_once("/blobs/") {
            let blobs = self.blobs.lock().unwrap();
            return stored(method, blobs.get(&(name.to_owned(), digest.to_owned())));
        }
        let (name, reference) = rest.split_once("/manifests/").unwrap();
        if *method == Method::PUT {
            return self.keep_manifest(name, reference, body);
        }
        let manifests = self.manifests.lock().unwrap();
        stored(
            method,
            manifests.get(&(name.to_owned(), reference.to_owned())),
        )
    }

    fn upload(&self, method: &Method, name: &str, query: &str, body: Bytes) -> Response {
        let parameters: BTreeMap<String, String> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| {
                (
                    key.to_owned(),
                    value.replace("%3A", ":").replace("%2F", "/"),
                )
            })
            .collect();
        let mut blobs = self.blobs.lock().unwrap();
        if *method == Method::PUT {
            let digest = &parameters["digest"];
            if Digest::of(&body).as_str() != digest {
                return status(StatusCode::BAD_REQUEST);
            }
            blobs.insert((name.to_owned(), digest.clone()), body);
            return located(StatusCode::CREATED, name);
        }
        let mounted = parameters
            .get("mount")
            .filter(|_| self.habit != Habit::NoMounts)
            .and_then(|digest| {
                blobs
                    .get(&(parameters["from"].clone(), digest.clone()))
                    .cloned()
            });
        match mounted {
            Some(body) => {
                blobs.insert((name.to_owned(), parameters["mount"].clone()), body);
                located(StatusCode::CREATED, name)
            }
            None => located(StatusCode::ACCEPTED, name),
        }
    }

    fn keep_manifest(&self, name: &str, reference: &str, body: Bytes) -> Response {
        let body = match self.habit == Habit::RewritesManifests {
            true => Bytes::from(
                [
                    &body,
                    &b"
"[..],
                ]
                .concat(),
            ),
            false => body,
        };
        self.put_manifest(name, &body);
        let key = (name.to_owned(), reference.to_owned());
        self.manifests.lock().unwrap().insert(key, body);
        match self.habit == Habit::NoLocation {
            true => status(StatusCode::CREATED),
            false => located(StatusCode::CREATED, name),
        }
    }

    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let shown = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        self.habit != Habit::AsksWho || shown == Some(CREDENTIALS)
    }
}

async fn answer(State(registry): State<Arc<FakeRegistry>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or(""));
    let kept: Vec<&str> = path
        .split('/')
        .filter(|part| !part.contains("sha256:"))
        .collect();
    let line = format!("{} {}", parts.method, kept.join("/"));
    registry.requests.lock().unwrap().push(line);
    if !registry.lets_in(&parts.headers) {
        let mut response = status(StatusCode::UNAUTHORIZED);
        let challenge = "Basic realm=\"fake\"".parse().unwrap();
        response.headers_mut().insert("www-authenticate", challenge);
        return response;
    }
    registry.reply(&parts.method, path, query, body)
}

fn stored(method: &Method, bytes: Option<&Bytes>) -> Response {
    let Some(bytes) = bytes else {
        return status(StatusCode::NOT_FOUND);
    };
    let body = match *method == Method::HEAD {
        true => Bytes::new(),
        false => bytes.clone(),
    };
    let mut response = Response::new(Body::from(body));
    let digest = Digest::of(bytes).to_string().parse().unwrap();
    response
        .headers_mut()
        .insert("docker-content-digest", digest);
    response
}

fn located(code: StatusCode, name: &str) -> Response {
    let mut response = status(code);
    let location = format!("/v2/{name}/blobs/uploads/1?state=x")
        .parse()
        .unwrap();
    response.headers_mut().insert("location", location);
    response
}

fn status(code: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}
