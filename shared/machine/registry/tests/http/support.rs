//! A registry to test, and a tiny client of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use towline_oci::Digest;
use towline_registry::{Access, Authority, Clock, Credentials, Registry, Settings, Verdict};

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// `read` may read, `all` may also write, only `root` may do either in `secret/…`.
struct Doorkeeper;

#[async_trait]
impl Authority for Doorkeeper {
    async fn judge(&self, credentials: Option<&Credentials>, access: Access<'_>) -> Verdict {
        let password = credentials
            .filter(|it| it.user == "AWS")
            .map(|it| it.password.expose_secret());
        let (repository, writes) = match access {
            Access::Ping | Access::Catalog => ("", false),
            Access::Pull { repository } => (repository.as_str(), false),
            Access::Push { repository, .. } | Access::Delete { repository } => {
                (repository.as_str(), true)
            }
        };
        match password {
            Some("all" | "read") if repository.starts_with("secret/") => {
                Verdict::Deny(format!("{repository} is closed"))
            }
            Some("read") if writes => Verdict::Deny(format!("you may only read {repository}")),
            Some("root" | "all" | "read") => Verdict::Allow,
            _ => Verdict::Unknown,
        }
    }
}

/// A registry that is served.
pub(crate) struct Served {
    pub(crate) registry: Registry,
    pub(crate) address: SocketAddr,
    pub(crate) dir: Arc<TempDir>,
    now: Arc<AtomicI64>,
    settings: Settings,
    client: reqwest::Client,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

pub(crate) async fn serve() -> Served {
    serve_with(Settings::default()).await
}

pub(crate) async fn serve_with(settings: Settings) -> Served {
    let dir = Arc::new(TempDir::new().unwrap());
    start(dir, Arc::new(AtomicI64::new(1_000_000)), settings).await
}

async fn start(dir: Arc<TempDir>, now: Arc<AtomicI64>, settings: Settings) -> Served {
    let ticking = Arc::clone(&now);
    let clock: Clock = Arc::new(move || ticking.load(Ordering::SeqCst));
    let registry = Registry::open(dir.path(), settings.clone(), clock).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = registry.router(Arc::new(Doorkeeper));
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        axum::serve(listener, router)
            .with_graceful_shutdown(stopped)
            .await
            .unwrap();
    });
    Served {
        registry,
        address,
        dir,
        now,
        settings,
        client: client(),
        stop,
        task,
    }
}

pub(crate) fn client() -> reqwest::Client {
    // Other crates of the workspace switch TLS on in reqwest, and leave the provider to the binary.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

impl Served {
    /// Stops the registry and opens its folder again.
    pub(crate) async fn restart(self) -> Self {
        let Self {
            registry,
            dir,
            now,
            settings,
            client,
            stop,
            task,
            ..
        } = self;
        drop(client);
        stop.send(()).unwrap();
        task.await.unwrap();
        drop(registry);
        start(dir, now, settings).await
    }

    pub(crate) fn pass_ms(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http:") {
            path.to_owned()
        } else {
            format!("http://{}{path}", self.address)
        };
        self.client.request(method, url)
    }

    pub(crate) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).basic_auth("AWS", Some("all"))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.ask(Method::GET, path).send().await.unwrap()
    }

    pub(crate) async fn head(&self, path: &str) -> Response {
        self.ask(Method::HEAD, path).send().await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) -> Response {
        self.ask(Method::DELETE, path).send().await.unwrap()
    }

    /// Starts an upload and gives its path.
    pub(crate) async fn start_upload(&self, repository: &str) -> String {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let response = self.ask(Method::POST, &path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        header(&response, "location").to_owned()
    }

    /// Pushes a blob the short way.
    pub(crate) async fn push_blob(&self, repository: &str, bytes: impl Into<Vec<u8>>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let response = self
            .ask(Method::POST, &path)
            .body(bytes)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        digest
    }

    pub(crate) async fn put_manifest(
        &self,
        path: &str,
        media_type: &str,
        bytes: impl Into<Vec<u8>>,
    ) -> Response {
        self.ask(Method::PUT, path)
            .header("content-type", media_type)
            .body(bytes.into())
            .send()
            .await
            .unwrap()
    }

    /// Pushes an image with this one layer, config first; gives its manifest.
    pub(crate) async fn push_image(
        &self,
        repository: &str,
        reference: &str,
        layer: &str,
    ) -> Vec<u8> {
        let image = self.image(repository, layer, "amd64").await;
        let reference = reference.replace("DIGEST", Digest::of(&image).as_str());
        let path = format!("/v2/{repository}/manifests/{reference}");
        let response = self.put_manifest(&path, OCI_MANIFEST, image.clone()).await;
        assert_eq!(response.status(), StatusCode::CREATED, "{path}");
        image
    }

    /// Pushes an image's blobs; gives its manifest.
    pub(crate) async fn image(&self, repository: &str, layer: &str, architecture: &str) -> Vec<u8> {
        let config = json!({ "os": "linux", "architecture": architecture, "layer": layer });
        let config = config.to_string();
        let config_digest = self.push_blob(repository, config.clone()).await;
        let layer_digest = self.push_blob(repository, layer).await;
        manifest(
            (&config_digest, config.len()),
            &[(&layer_digest, layer.len())],
        )
    }
}

pub(crate) fn manifest(config: (&Digest, usize), layers: &[(&Digest, usize)]) -> Vec<u8> {
    let layers: Vec<Value> = layers
        .iter()
        .map(|(digest, size)| {
            json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": digest.as_str(),
                "size": size,
            })
        })
        .collect();
    let manifest = json!({
        "schemaVersion": 2,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config.0.as_str(),
            "size": config.1,
        },
        "layers": layers,
    });
    serde_json::to_vec_pretty(&manifest).unwrap()
}

pub(crate) fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

/// The one error of a refusal, as `<status> <code>: <message>`.
pub(crate) async fn refusal(response: Response) -> String {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    let error = &body["errors"][0];
    let text = |key: &str| error[key].as_str().unwrap().to_owned();
    format!("{status} {}: {}", text("code"), text("message"))
}

#[track_caller]
pub(crate) fn assert_has(text: &str, part: &str) {
    assert!(text.contains(part), "{text:?} lacks {part:?}");
}
