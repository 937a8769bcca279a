//! The registry with real clients: `docker` and `skopeo`.
//!
//! Ignored unless asked for: it needs both programs and a running Docker daemon, as `.ci/run clients` has
//! them. `TOWLINE_DOCKER` names another `docker` to run.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use flate2::Compression;
use flate2::write::GzEncoder;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use towline_oci::{Digest, Reference};
use towline_registry::{Access, Authority, Credentials, Manifest, Registry, Settings, Verdict};

const PASSWORD: &str = "a password for tests";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

struct OnePassword;

#[async_trait]
impl Authority for OnePassword {
    async fn judge(&self, credentials: Option<&Credentials>, _: Access<'_>) -> Verdict {
        match credentials {
            Some(it) if it.user == "AWS" && it.password.expose_secret() == PASSWORD => {
                Verdict::Allow
            }
            _ => Verdict::Unknown,
        }
    }
}

/// A served registry and a folder for the clients.
struct Bench {
    registry: Registry,
    address: SocketAddr,
    dir: TempDir,
}

async fn bench() -> Bench {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("registry");
    let registry = Registry::open(&data, Settings::default(), Arc::new(|| 0)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = registry.router(Arc::new(OnePassword));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Bench {
        registry,
        address,
        dir,
    }
}

impl Bench {
    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.address)
    }

    fn docker(&self, arguments: &[&str]) -> Command {
        let program = std::env::var_os("TOWLINE_DOCKER").unwrap_or_else(|| "docker".into());
        let mut command = Command::new(program);
        command
            .env("DOCKER_CONFIG", self.path("docker"))
            .args(arguments);
        command
    }

    /// Runs `skopeo`, with the credentials that `log_in_skopeo` left.
    fn skopeo(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("skopeo");
        command
            .env("REGISTRY_AUTH_FILE", self.path("skopeo.json"))
            .arg("--insecure-policy")
            .args(arguments);
        succeed(&mut command)
    }

    fn log_in_skopeo(&self) {
        let mut command = Command::new("skopeo");
        command
            .env("REGISTRY_AUTH_FILE", self.path("skopeo.json"))
            .args(["login", "--tls-verify=false", "--username", "AWS"])
            .args(["--password-stdin", &self.address.to_string()]);
        let output = with_input(&mut command, PASSWORD);
        assert!(output.status.success(), "{}", text(&output));
    }

    /// Copies with `skopeo`; `@` stands for the registry.
    fn copy(&self, options: &[&str], from: &str, to: &str) {
        let registry = format!("docker://{}/", self.address);
        let (from, to) = (from.replace('@', &registry), to.replace('@', &registry));
        let mut arguments = vec!["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
        arguments.extend(options);
        arguments.extend([from.as_str(), to.as_str()]);
        self.skopeo(&arguments);
    }

    async fn read(&self, repository: &str, reference: &str) -> Manifest {
        let repository = repository.parse().unwrap();
        let reference: Reference = reference.parse().unwrap();
        let read = self.registry.read(&repository, &reference).await;
        read.unwrap().unwrap()
    }
}

fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[track_caller]
fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = text(&output);
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

fn with_input(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn log_in_docker(bench: &Bench, password: &str) -> Output {
    let address = bench.address.to_string();
    let arguments = ["login", "--username", "AWS", "--password-stdin", &address];
    with_input(&mut bench.docker(&arguments), password)
}

/// Builds an image of one file and pushes it.
fn build_and_push(bench: &Bench, name: &str, content: &str) -> String {
    let context = bench.path("context");
    fs::create_dir_all(&context).unwrap();
    fs::write(Path::new(&context).join("file"), content).unwrap();
    fs::write(
        Path::new(&context).join("Dockerfile"),
        "FROM scratch\nCOPY file /file\n",
    )
    .unwrap();
    succeed(&mut bench.docker(&["build", "--tag", name, &context]));
    succeed(&mut bench.docker(&["push", name]))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker and skopeo: `.ci/run clients`"]
async fn docker_logs_in_builds_pushes_and_pulls_the_same_digest() {
    let bench = bench().await;
    let refused = log_in_docker(&bench, "wrong");
    assert!(!refused.status.success(), "{}", text(&refused));
    let taken = log_in_docker(&bench, PASSWORD);
    assert!(taken.status.success(), "{}", text(&taken));

    let name = bench.name("team/app:v1");
    // Content of its own for each run, so that nothing is there already.
    let pushed = build_and_push(&bench, &name, &bench.address.to_string());
    let manifest = bench.read("team/app", "v1").await;
    assert!(pushed.contains(manifest.digest.as_str()), "{pushed}");
    assert_eq!(manifest.platforms[0].os, "linux");
    let events = bench.registry.next_events(0, 9).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].digest, manifest.digest);

    let other = bench.name("team/other:v1");
    succeed(&mut bench.docker(&["tag", &name, &other]));
    let mounted = succeed(&mut bench.docker(&["push", &other]));
    assert!(mounted.contains("Mounted from team/app"), "{mounted}");
    assert_eq!(bench.read("team/other", "v1").await.digest, manifest.digest);

    succeed(&mut bench.docker(&["rmi", &name, &other]));
    let by_digest = bench.name(&format!("team/app@{}", manifest.digest));
    succeed(&mut bench.docker(&["pull", &by_digest]));
    let format = "{{json .RepoDigests}}";
    let inspected = succeed(&mut bench.docker(&["inspect", "--format", format, &by_digest]));
    assert!(inspected.contains(&by_digest), "{inspected}");
    succeed(&mut bench.docker(&["rmi", &by_digest]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker and skopeo: `.ci/run clients`"]
async fn docker_manifest_pushes_a_list_of_images() {
    let bench = bench().await;
    let taken = log_in_docker(&bench, PASSWORD);
    assert!(taken.status.success(), "{}", text(&taken));
    let (one, two) = (bench.name("team/app:one"), bench.name("team/app:two"));
    build_and_push(&bench, &one, "one");
    build_and_push(&bench, &two, "two");
    let list = bench.name("team/app:both");
    succeed(&mut bench.docker(&["manifest", "create", "--insecure", &list, &one, &two]));
    succeed(&mut bench.docker(&["manifest", "annotate", "--arch", "arm64", &list, &two]));
    let pushed = succeed(&mut bench.docker(&["manifest", "push", "--insecure", &list]));
    let manifest = bench.read("team/app", "both").await;
    assert!(pushed.contains(manifest.digest.as_str()), "{pushed}");
    assert_eq!(manifest.media_type, DOCKER_LIST);
    assert_eq!(manifest.platforms.len(), 2);
    succeed(&mut bench.docker(&["rmi", &one, &two]));
}

/// An OCI layout with one index of two images, tagged `multi`; gives the index's digest.
fn lay_out(folder: &Path) -> Digest {
    fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    let mut entries = Vec::new();
    for (architecture, blocks) in [("amd64", 2), ("arm64", 4)] {
        // Empty blocks make an archive without files.
        let tar = vec![0; blocks * 512];
        let mut layer = GzEncoder::new(Vec::new(), Compression::default());
        layer.write_all(&tar).unwrap();
        let config = json!({
            "architecture": architecture, "os": "linux", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [Digest::of(&tar).as_str()] },
            "history": [{ "created_by": "test" }],
        });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": store(folder, "application/vnd.oci.image.config.v1+json", config.to_string()),
            "layers": [store(
                folder,
                "application/vnd.oci.image.layer.v1.tar+gzip",
                layer.finish().unwrap(),
            )],
        });
        let mut entry = store(folder, OCI_MANIFEST, manifest.to_string());
        entry["platform"] = json!({ "os": "linux", "architecture": architecture });
        entries.push(entry);
    }
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
    let mut entry = store(folder, OCI_INDEX, index.to_string());
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "multi" });
    let top = json!({ "schemaVersion": 2, "manifests": [entry] });
    fs::write(folder.join("index.json"), top.to_string()).unwrap();
    Digest::of(index.to_string().as_bytes())
}

/// Writes a blob into an OCI layout; gives its descriptor.
fn store(folder: &Path, media_type: &str, bytes: impl AsRef<[u8]>) -> Value {
    let bytes = bytes.as_ref();
    let digest = Digest::of(bytes);
    fs::write(folder.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
    json!({ "mediaType": media_type, "digest": digest.as_str(), "size": bytes.len() })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker and skopeo: `.ci/run clients`"]
async fn skopeo_copies_an_index_in_across_and_out_again() {
    let bench = bench().await;
    bench.log_in_skopeo();
    let layout = bench.dir.path().join("layout");
    let digest = lay_out(&layout);
    let all = ["--all", "--preserve-digests"];
    bench.copy(
        &all,
        &format!("oci:{}:multi", layout.display()),
        "@team/app:v1",
    );
    let index = bench.read("team/app", "v1").await;
    assert_eq!(index.digest, digest);
    assert_eq!(index.media_type, OCI_INDEX);
    let platforms: Vec<String> = index.platforms.iter().map(ToString::to_string).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);

    bench.copy(&all, "@team/app:v1", "@team/other:v2");
    assert_eq!(bench.read("team/other", "v2").await.bytes, index.bytes);

    let out = bench.path("out");
    let by_digest = bench.name(&format!("team/other@{digest}"));
    let arguments = ["copy", "--all", "--src-tls-verify=false"];
    let (from, to) = (format!("docker://{by_digest}"), format!("dir:{out}"));
    bench.skopeo(&[&arguments[..], &[&from, &to]].concat());
    let manifest = fs::read(Path::new(&out).join("manifest.json")).unwrap();
    assert_eq!(manifest, index.bytes);

    bench.copy(
        &all,
        "@team/app:v1",
        &format!("oci:{}:multi", bench.path("again")),
    );
    let again = Path::new(&bench.path("again"))
        .join("blobs/sha256")
        .join(digest.hex());
    assert_eq!(fs::read(again).unwrap(), index.bytes);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker and skopeo: `.ci/run clients`"]
async fn skopeo_pushes_both_formats_lists_and_deletes() {
    let bench = bench().await;
    bench.log_in_skopeo();
    let layout = bench.dir.path().join("layout");
    lay_out(&layout);
    let from = format!("oci:{}:multi", layout.display());
    for (format, tag, media_type) in [
        ("oci", "oci", OCI_MANIFEST),
        (
            "v2s2",
            "docker",
            "application/vnd.docker.distribution.manifest.v2+json",
        ),
    ] {
        bench.copy(&["--format", format], &from, &format!("@team/app:{tag}"));
        let manifest = bench.read("team/app", tag).await;
        assert_eq!(manifest.media_type, media_type);
        let into = bench.path(tag);
        bench.copy(&[], &format!("@team/app:{tag}"), &format!("dir:{into}"));
        let copied = fs::read(Path::new(&into).join("manifest.json")).unwrap();
        assert_eq!(copied, manifest.bytes);
        let name = format!("docker://{}", bench.name(&format!("team/app:{tag}")));
        let inspected = bench.skopeo(&["inspect", "--tls-verify=false", &name]);
        assert!(inspected.contains(manifest.digest.as_str()), "{inspected}");
    }
    let repository = format!("docker://{}", bench.name("team/app"));
    let listed = bench.skopeo(&["list-tags", "--tls-verify=false", &repository]);
    assert!(listed.contains("\"docker\""), "{listed}");
    let name = format!("{repository}:docker");
    bench.skopeo(&["delete", "--tls-verify=false", &name]);
    let tags = bench
        .registry
        .tags(&"team/app".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(tags.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker and skopeo: `.ci/run clients`"]
async fn docker_pulls_its_own_platform_of_an_index() {
    let bench = bench().await;
    bench.log_in_skopeo();
    let taken = log_in_docker(&bench, PASSWORD);
    assert!(taken.status.success(), "{}", text(&taken));
    let layout = bench.dir.path().join("layout");
    let digest = lay_out(&layout);
    let from = format!("oci:{}:multi", layout.display());
    bench.copy(&["--all"], &from, "@team/app:multi");
    let name = bench.name("team/app:multi");
    let pulled = succeed(&mut bench.docker(&["pull", &name]));
    assert!(pulled.contains(digest.as_str()), "{pulled}");
    succeed(&mut bench.docker(&["rmi", &name]));
}
