//! One repository of a document's shape, the programs its builds call, and Towline around it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Repository, Server, client, deliver, search_path};

const PATIENCE: Duration = Duration::from_secs(120);

/// The stand-ins for the machine's programs in the builds of these tests.
const TOOLS: [&str; 4] = ["docker", "docker-compose", "dockerd", "aws"];

/// Staging automatically, prod after an approval.
const STAGES: &str = "\
stages:
  - {name: staging, from: build, deploy: {event: {}}}
  - {name: prod, from: staging, gates: [approval: {}], deploy: {event: {}}}
";

/// A repository on disk.
pub(crate) struct Shop {
    scratch: TempDir,
    repository: Repository,
    /// The image repository of its one component.
    images: String,
}

/// The result of a push.
pub(crate) struct Pushed {
    shop: Shop,
    server: Server,
    client: reqwest::Client,
    body: String,
    /// `succeeded`, or how else its build ended.
    pub(crate) state: String,
    /// Why, if it did not succeed.
    pub(crate) why: String,
    pub(crate) commit: String,
    pub(crate) log: String,
    pub(crate) digest: Option<String>,
}

impl Shop {
    /// The files of a shape, in their own repository; the only component pushes to `images` and is
    /// built this way.
    pub(crate) fn of(shape: &str, images: &str, build: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
        copy(&here.join("tools"), &scratch.path().join("tools"));
        for tool in TOOLS {
            let path = scratch.path().join("tools").join(tool);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let repository = Repository::create(scratch.path().join("shop"));
        copy(&here.join("shapes").join(shape), &repository.path);
        let shop = Self {
            scratch,
            repository,
            images: images.to_owned(),
        };
        shop.write(".gitignore", "/.towline-data\n");
        shop.built_by(build)
    }

    /// The same with another way to build.
    pub(crate) fn built_by(self, build: &str) -> Self {
        let definition = format!(
            "version: 1\npipeline: shop\ncomponents:\n  app:\n    repository: {}\n    build: {build}\n{STAGES}",
            self.images
        );
        self.write(".towline.yml", &definition);
        self
    }

    /// The same with one place in one file changed.
    pub(crate) fn with(self, file: &str, from: &str, to: &str) -> Self {
        let text = self.read(file);
        assert_eq!(text.matches(from).count(), 1, "{from} in {file}: {text}");
        self.write(file, &text.replace(from, to));
        self
    }

    /// The same after `towline lint --fix`.
    pub(crate) fn fixed(self) -> Self {
        let (status, said) = self.towline(&["lint", "--fix"]);
        assert_ne!(status, 2, "{said}");
        self
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        self.repository.write(file, text);
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.repository.path
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.repository.path.join(file)).unwrap()
    }

    pub(crate) fn commit(&self) -> String {
        self.repository.commit("Open the shop")
    }

    /// Runs `towline` in the repository; returns its exit status and output.
    pub(crate) fn towline(&self, arguments: &[&str]) -> (i32, String) {
        let (status, out, beside) = self.output(arguments, &[]);
        (status, out + &beside)
    }

    /// The same with `--json`; returns the output.
    pub(crate) fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let (status, out, beside) = self.output(&[arguments, &["--json"]].concat(), &[]);
        let value = serde_json::from_str(&out);
        let value = value.unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}{beside}"));
        (status, value)
    }

    fn output(&self, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_towline"))
            .args(arguments)
            .current_dir(&self.repository.path)
            .env_clear()
            .env("PATH", search_path(&self.scratch.path().join("tools")))
            .env("HOME", self.scratch.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    /// The findings of `towline lint`, as `code file:line`, one a line.
    pub(crate) fn findings(&self, arguments: &[&str]) -> String {
        let (_, report) = self.json(&[&["lint"], arguments].concat());
        assert_eq!(report["failed"], json!([]), "{report}");
        let findings = report["findings"].as_array().unwrap().iter();
        let lines = findings.map(|finding| {
            let part = |name: &str| finding[name].as_str().unwrap();
            let line = &finding["start"]["line"];
            format!("{} {}:{line}\n", part("code"), part("file"))
        });
        lines.collect()
    }

    /// Builds the working tree with `towline build --local`; returns its JSON output and the log.
    pub(crate) fn built_locally(&self, arguments: &[&str]) -> (Value, String) {
        self.commit();
        let (_, out, log) =
            self.output(&[&["build", "--local", "--json"], arguments].concat(), &[]);
        self.is_understood();
        let value =
            serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{log}"));
        (value, log)
    }

    /// The same for a build that must fail: the failed phases, each with the reason, and the log.
    pub(crate) fn fails_locally(&self, arguments: &[&str]) -> (String, String) {
        let (built, log) = self.built_locally(arguments);
        assert_eq!(built["status"], "FAILED", "{log}");
        (failed(&built), log)
    }

    /// The same for a build that must fail because a stand-in refuses this call only.
    pub(crate) fn fails_locally_for_want_of(&self, call: &str) -> (String, String) {
        self.commit();
        let (_, out, log) = self.output(&["build", "--local", "--json"], &[]);
        let refused = self.not_understood();
        assert!(
            refused.lines().count() == 1 && refused.contains(call),
            "{refused}"
        );
        fs::remove_file(self.scratch.path().join("unknown")).unwrap();
        let built: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(built["status"], "FAILED", "{log}");
        (failed(&built), log)
    }

    /// Whether the stand-ins knew all calls.
    fn is_understood(&self) {
        assert_eq!(self.not_understood(), "");
    }

    /// From now on, the profile `docker-in-aws` finds the second factor that it needs.
    pub(crate) fn has_a_second_factor(&self) {
        fs::write(self.scratch.path().join("second-factor"), "").unwrap();
    }

    /// The names of the stacks in the stand-in for CloudFormation, in order.
    pub(crate) fn stacks(&self) -> Vec<String> {
        let entries = fs::read_dir(self.scratch.path().join("stacks")).into_iter();
        let names = entries.flatten().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.into_string().unwrap());
        let stacks = names.filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned));
        let mut stacks: Vec<String> = stacks.collect();
        stacks.sort();
        stacks
    }

    /// The template and the parameters of a stack.
    pub(crate) fn stack(&self, name: &str) -> (String, String) {
        let folder = self.scratch.path().join("stacks");
        let part = |ending: &str| fs::read_to_string(folder.join(format!("{name}.{ending}")));
        (part("yaml").unwrap(), part("parameters").unwrap())
    }

    /// The same where the AWS command line refuses to say which account it is.
    pub(crate) fn without_sts(self) -> Self {
        let aws = self.scratch.path().join("tools/aws");
        let text = fs::read_to_string(&aws).unwrap();
        let asked = "'sts get-caller-identity --query Account --output text'";
        assert_eq!(text.matches(asked).count(), 1);
        fs::write(aws, text.replace(asked, "'sts nobody'")).unwrap();
        self
    }

    /// The calls that the stand-ins do not know, one per line.
    pub(crate) fn not_understood(&self) -> String {
        let unknown = fs::read_to_string(self.scratch.path().join("unknown"));
        unknown.unwrap_or_default()
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        self.repository.git(arguments)
    }

    /// Commits everything, pushes it to its own Towline, and waits for the end of the build.
    pub(crate) async fn pushed(self) -> Pushed {
        self.pushed_as("main").await
    }

    /// The same with this default branch.
    pub(crate) async fn pushed_as(self, branch: &str) -> Pushed {
        self.commit();
        self.git(&["branch", "--move", branch]);
        self.served().await.push(branch, branch).await
    }

    /// The same on another branch than the default one, after that was pushed.
    pub(crate) async fn pushed_beside(self, branch: &str) -> Pushed {
        self.commit();
        let pushed = self.served().await.push("main", "main").await;
        pushed.shop.git(&["checkout", "--quiet", "-b", branch]);
        pushed.shop.commit();
        pushed.push(branch, "main").await
    }

    /// The same, with an action after the build says that it runs and before it may continue.
    pub(crate) async fn pushed_and_meanwhile(self, meanwhile: impl FnOnce(&Self)) -> Pushed {
        self.commit();
        let pushed = self.served().await.delivered("main", "main").await;
        let runs = pushed.shop.mark("runs");
        let is_running = |_: &Value| Path::new(&runs).exists().then_some(());
        pushed.until("runs", is_running).await;
        meanwhile(&pushed.shop);
        fs::write(pushed.shop.mark("go"), "").unwrap();
        pushed.ended().await
    }

    /// A file beside the repository with which a build and its test signal each other.
    pub(crate) fn mark(&self, name: &str) -> String {
        self.scratch.path().join(name).to_str().unwrap().to_owned()
    }

    /// With a server for it, before any push.
    async fn served(self) -> Pushed {
        let data = self.scratch.path().join("data");
        let tools = self.scratch.path().join("tools");
        let server = Server::with_tools(&data, &self.repository.path, &tools);
        Pushed {
            shop: self,
            server,
            client: client(),
            body: String::new(),
            state: String::new(),
            why: String::new(),
            commit: "0".repeat(40),
            log: String::new(),
            digest: None,
        }
    }
}

/// The run of a commit once its only build has ended, or if there is none.
fn ended(answer: &Value) -> Option<Value> {
    let run = answer["runs"].get(0)?;
    let state = |build: &Value| build["state"].as_str().map(str::to_owned);
    let ended = match run["builds"].get(0) {
        None => run["skipped"].get(0).is_some() || run["refused"].is_string(),
        Some(build) => !matches!(state(build)?.as_str(), "due" | "building"),
    };
    ended.then(|| run.clone())
}

impl Pushed {
    /// Pushes the current commit, and waits for the end of its build.
    async fn push(self, branch: &str, default: &str) -> Self {
        self.delivered(branch, default).await.ended().await
    }

    /// Pushes the current commit.
    async fn delivered(mut self, branch: &str, default: &str) -> Self {
        let commit = self.shop.git(&["rev-parse", "HEAD"]);
        let body = self.shop.repository.push(&self.commit, &commit);
        let body = body.replace("refs/heads/main", &format!("refs/heads/{branch}"));
        let branch_of = |name: &str| format!("\"default_branch\":\"{name}\"");
        self.body = body.replace(&branch_of("main"), &branch_of(default));
        let taken = deliver(&self.client, &self.server.url, self.body.clone(), None);
        assert_eq!(taken.await, Ok(202));
        self.commit = commit;
        self
    }

    /// Waits for the end of the build of what was pushed last.
    async fn ended(mut self) -> Self {
        let path = format!("commit?commit={}", self.commit);
        let run = self.until(&path, ended).await;
        let build = &run["builds"][0];
        let word = |value: &Value| value.as_str().map(str::to_owned);
        let not_built = || word(&run["skipped"][0]["reason"]).or_else(|| word(&run["refused"]));
        self.state = word(&build["state"]).unwrap_or_else(|| "not built".to_owned());
        self.why = word(&build["why"]).or_else(not_built).unwrap_or_default();
        self.digest = word(&build["digest"]);
        self.log = build["build"]
            .as_u64()
            .map_or_else(String::new, |number| self.log_of(number));
        self.shop.is_understood();
        self
    }

    /// Changes a file, pushes that, and waits for the end of the build.
    pub(crate) async fn again(self, file: &str, text: &str) -> Self {
        self.shop.write(file, text);
        self.shop.commit();
        self.push("main", "main").await
    }

    fn log_of(&self, build: u64) -> String {
        let token = self.shop.scratch.path().join("data/owner.token");
        let variables = [
            ("TOWLINE_URL", self.server.url.as_str()),
            ("TOWLINE_TOKEN_FILE", token.to_str().unwrap()),
        ];
        let (_, log, _) = self.shop.output(&["logs", &build.to_string()], &variables);
        log
    }

    pub(crate) fn url(&self) -> &str {
        &self.server.url
    }

    /// Runs `towline` with the owner's token; what it says as JSON.
    pub(crate) fn told(&self, arguments: &[&str]) -> Value {
        let token = self.shop.scratch.path().join("data/owner.token");
        let variables = [
            ("TOWLINE_URL", self.server.url.as_str()),
            ("TOWLINE_TOKEN_FILE", token.to_str().unwrap()),
        ];
        let (_, out, beside) = self
            .shop
            .output(&[arguments, &["--json"]].concat(), &variables);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{beside}"))
    }

    /// The body of the last push.
    pub(crate) fn body(&self) -> String {
        self.body.clone()
    }

    pub(crate) async fn ask(&self, path: &str) -> Value {
        self.server.ask(&self.client, path).await.unwrap()
    }

    pub(crate) async fn until<T>(&self, path: &str, found: impl Fn(&Value) -> Option<T>) -> T {
        self.server.until(&self.client, path, PATIENCE, found).await
    }

    /// The digest of a tag in the registry.
    pub(crate) async fn held(&self, tag: &str) -> Option<String> {
        let answer = self.registry_says(&format!("manifests/{tag}")).await;
        let digest = answer.headers().get("docker-content-digest")?;
        Some(digest.to_str().unwrap().to_owned())
    }

    /// The labels of the image under a tag.
    pub(crate) async fn labels(&self, tag: &str) -> Value {
        let manifest = self.fetched(&format!("manifests/{tag}")).await;
        let config = manifest["config"]["digest"].as_str().unwrap();
        let config = self.fetched(&format!("blobs/{config}")).await;
        config["config"]["Labels"].clone()
    }

    async fn fetched(&self, path: &str) -> Value {
        let answer = self.registry_says(path).await;
        answer.json().await.unwrap()
    }

    async fn registry_says(&self, path: &str) -> reqwest::Response {
        let url = format!("{}/v2/{}/{path}", self.server.url, self.shop.images);
        let accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
        let request = self.client.get(url).header("accept", accept);
        let request = request.basic_auth("AWS", Some(&self.server.token));
        request.send().await.unwrap()
    }

    /// Whether the component's repository is empty.
    pub(crate) async fn published_nothing(&self) {
        let answer = self.registry_says("tags/list").await;
        let found: Value = answer.json().await.unwrap();
        assert_eq!(found["errors"][0]["code"], "NAME_UNKNOWN", "{found}");
    }

    /// Follows the image to staging, approves it, and follows it to prod.
    pub(crate) async fn promoted(&self) {
        let digest = self.digest.clone().unwrap();
        let live = |stage: &str| {
            let digest = digest.clone();
            (format!("now?stage={stage}"), move |answer: &Value| {
                (answer["live"][0]["image"]["digest"] == digest.as_str()).then_some(())
            })
        };
        let (path, found) = live("staging");
        self.until(&path, found).await;
        let waiting = |answer: &Value| answer["live"][0]["waiting"][0]["promotion"].as_u64();
        let promotion = self.until("now?stage=prod", waiting).await;
        let yes = json!({ "promotion": promotion });
        let taken = self.server.tell(&self.client, "approve", yes).await;
        taken.unwrap();
        let (path, found) = live("prod");
        self.until(&path, found).await;
        assert_eq!(self.held("prod").await.as_ref(), Some(&digest));
    }
}

/// The phases that failed, each with why: `PRE_BUILD exit status 1`.
pub(crate) fn failed(built: &Value) -> String {
    let phases = built["phases"].as_array().unwrap().iter();
    let failed = phases.filter(|phase| phase["status"] == "FAILED");
    let lines = failed.map(|phase| {
        let why = phase["context"][0].as_str().unwrap_or_default();
        let why = why.rsplit_once("Reason: ").map_or(why, |(_, why)| why);
        format!("{} {why}", phase["phase"].as_str().unwrap())
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The artifact of a local build with this name, if it exists.
pub(crate) fn artifact(built: &Value, name: &str) -> Option<String> {
    let folder = built["artifacts"].as_str()?;
    fs::read_to_string(format!("{folder}/main/{name}")).ok()
}

/// The images that a build has pushed, as `repository:tag`, in order.
pub(crate) fn images(built: &Value) -> Vec<String> {
    let images = built["images"].as_array().unwrap().iter();
    let name = |image: &Value| {
        let part = |name: &str| image[name].as_str().unwrap().to_owned();
        format!("{}:{}", part("repository"), part("tag"))
    };
    images.map(name).collect()
}

/// The phases of a log, with how each ended.
pub(crate) fn phases(log: &str) -> Vec<String> {
    let phase = |line: &str| {
        let (_, rest) = line.split_once("Phase complete: ")?;
        let (phase, state) = rest.split_once(" State: ")?;
        Some(format!("{phase} {state}"))
    };
    log.lines().filter_map(phase).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
