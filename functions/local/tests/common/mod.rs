//! A real `towline serve` in its own process, a sample repository, and signed pushes.

#![expect(dead_code, reason = "each test uses its own part")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use towline_wire::signature::{Secret, sign};

/// The webhook secret of tests.
pub const SECRET: &str = "a secret of tests, long enough for anybody";

/// An HTTP client for loopback.
pub fn client() -> reqwest::Client {
    towline_pack::install_tls_provider();
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
}

/// A running server; killed when it is dropped.
pub struct Server {
    child: Child,
    pub url: String,
    pub token: String,
}

impl Server {
    /// Starts one on a free port and waits until it prints its address.
    pub fn start(data: &Path, repository: &Path) -> Self {
        Self::of(spawn(data, &[repository], None), data)
    }

    /// The same, with these programs first on the search path.
    pub fn with_tools(data: &Path, repository: &Path, tools: &Path) -> Self {
        Self::of(spawn(data, &[repository], Some(tools)), data)
    }

    /// One for several repositories, with further options.
    pub fn with(data: &Path, repositories: &[&Path], options: &[&str]) -> Self {
        let mut command = command(data, repositories);
        let child = command.args(options).spawn().expect("the binary starts");
        Self::of(child, data)
    }

    /// What the command line prints for the owner.
    pub fn towline(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_towline"))
            .args(arguments)
            .env("TOWLINE_URL", &self.url)
            .env("TOWLINE_TOKEN", &self.token)
            .output()
            .expect("the binary starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn of(mut child: Child, data: &Path) -> Self {
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        let url = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .unwrap_or_else(|| panic!("no address in {line:?}"));
        let url = url.trim_end_matches(',').to_owned();
        // The rest of the output is read, so that the server never blocks on it.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        let token = std::fs::read_to_string(data.join("owner.token")).expect("the owner's token");
        Self {
            child,
            url,
            token: token.trim().to_owned(),
        }
    }

    /// Starts one and kills it after a time, wherever it is.
    #[expect(
        clippy::disallowed_methods,
        reason = "the moment of the kill is a time, not a state"
    )]
    pub fn stillborn(data: &Path, repository: &Path, life: Duration) {
        let mut child = spawn(data, &[repository], None);
        std::thread::sleep(life);
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it like a power failure: SIGKILL, without cleaning up.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Asks the API.
    pub async fn ask(&self, client: &reqwest::Client, path: &str) -> Result<Value, String> {
        let request = client
            .get(format!("{}/v1/{path}", self.url))
            .bearer_auth(&self.token);
        let response = request.send().await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body: Value = response.json().await.map_err(|error| error.to_string())?;
        if status.is_success() {
            Ok(body)
        } else {
            Err(format!("{status}: {body}"))
        }
    }

    /// Sends a command to the API.
    pub async fn tell(
        &self,
        client: &reqwest::Client,
        word: &str,
        body: Value,
    ) -> Result<Value, String> {
        let request = client
            .post(format!("{}/v1/{word}", self.url))
            .bearer_auth(&self.token)
            .json(&body);
        let response = request.send().await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body: Value = response.json().await.map_err(|error| error.to_string())?;
        if status.is_success() {
            Ok(body)
        } else {
            Err(format!("{status}: {body}"))
        }
    }

    /// Asks until `found` returns a value.
    pub async fn until<T>(
        &self,
        client: &reqwest::Client,
        path: &str,
        patience: Duration,
        found: impl Fn(&Value) -> Option<T>,
    ) -> T {
        let began = Instant::now();
        loop {
            let answer = self.ask(client, path).await;
            if let Some(found) = answer.as_ref().ok().and_then(&found) {
                return found;
            }
            assert!(
                began.elapsed() < patience,
                "not within {patience:?}: {path} still says {answer:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn spawn(data: &Path, repositories: &[&Path], tools: Option<&Path>) -> Child {
    let mut command = command(data, repositories);
    if let Some(tools) = tools {
        command.env("PATH", search_path(tools));
    }
    let command = command.args(["--builds", "2"]);
    command.spawn().expect("the binary starts")
}

fn command(data: &Path, repositories: &[&Path]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_towline"));
    command
        .arg("serve")
        .args(["--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .args(
            repositories
                .iter()
                .flat_map(|path| [Path::new("--repo"), path]),
        )
        .env("TOWLINE_GITHUB_WEBHOOK_SECRET", SECRET)
        .env("TOWLINE_LOG", "error")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// The search path: first a folder, then that of the test process.
#[expect(
    clippy::disallowed_methods,
    reason = "programs are where those who run the tests have them"
)]
pub fn search_path(first: &Path) -> std::ffi::OsString {
    let mut path = first.as_os_str().to_owned();
    if let Some(rest) = std::env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    path
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Git repository on disk.
pub struct Repository {
    pub path: PathBuf,
}

impl Repository {
    /// An empty one.
    pub fn create(path: PathBuf) -> Self {
        std::fs::create_dir_all(&path).expect("a folder");
        let repository = Self { path };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// Commits everything; returns the commit.
    pub fn commit(&self, title: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", title]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(&self.path)
            .args(arguments)
            .envs([
                ("GIT_AUTHOR_NAME", "kim"),
                ("GIT_AUTHOR_EMAIL", "kim@acme.example"),
            ])
            .envs([
                ("GIT_COMMITTER_NAME", "kim"),
                ("GIT_COMMITTER_EMAIL", "kim@acme.example"),
            ])
            .envs([
                ("GIT_CONFIG_GLOBAL", "/dev/null"),
                ("GIT_CONFIG_NOSYSTEM", "1"),
            ])
            .output()
            .expect("git runs");
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The body of a push of `after` to main.
    pub fn push(&self, before: &str, after: &str) -> String {
        self.push_to("main", before, after)
    }

    /// The body of a push of `after` to a branch.
    pub fn push_to(&self, branch: &str, before: &str, after: &str) -> String {
        let id = towline_source::local_id(&self.path).expect("an id");
        let name = self
            .path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let commit = json!({
            "id": after, "message": "a change", "timestamp": "2026-01-01T00:00:00Z",
            "author": {"name": "kim", "email": "kim@acme.example", "username": "kim"},
            "committer": {"name": "kim", "email": "kim@acme.example", "username": "kim"},
            "added": [], "removed": [], "modified": [],
        });
        json!({
            "ref": format!("refs/heads/{branch}"), "before": before, "after": after,
            "created": before.bytes().all(|byte| byte == b'0'), "deleted": false, "forced": false,
            "base_ref": null, "compare": "", "commits": [commit], "head_commit": commit,
            "repository": {
                "id": id, "name": name, "full_name": format!("local/{name}"), "default_branch": "main",
                "owner": {"name": "local", "login": "local"}, "created_at": 1, "pushed_at": 1,
            },
            "pusher": {"name": "kim", "email": "kim@acme.example"},
            "sender": {"login": "kim", "id": 1},
        })
        .to_string()
    }
}

/// Delivers a push, signed like GitHub's; returns the status, or the error.
pub async fn deliver(
    client: &reqwest::Client,
    url: &str,
    body: String,
    signature: Option<String>,
) -> Result<u16, String> {
    deliver_as(client, url, "push", body, signature).await
}

/// Delivers another event in the same way.
pub async fn deliver_as(
    client: &reqwest::Client,
    url: &str,
    event: &str,
    body: String,
    signature: Option<String>,
) -> Result<u16, String> {
    let signature =
        signature.unwrap_or_else(|| sign(&Secret::new(SECRET).expect("a secret"), body.as_bytes()));
    let response = client
        .post(format!("{url}/webhooks/github"))
        .header("content-type", "application/json")
        .header("x-github-event", event)
        .header("x-github-delivery", "0b989ba4-242f-11e5-81e1-c7b6966d2516")
        .header("x-hub-signature-256", signature)
        .body(body)
        .send()
        .await
        .map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let _ = response.bytes().await;
    Ok(status)
}

/// A small sequence of numbers that a seed decides.
pub struct Dice(pub u64);

impl Dice {
    /// The next number below `most`.
    pub fn roll(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }
}
