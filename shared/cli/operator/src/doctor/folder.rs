//! The folder of a `towline serve`: whose it is, what it holds, and whether it is whole.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use tokio::process::Command;
use towline_handlers::{Context, answer_chat};
use towline_ports::{Clock as _, Images as _};
use towline_registry::Registry;
use towline_source::Origin;
use towline_store::{OpenError, SqliteStore};

use super::nobody::Nobody;
use super::pointers::{self, GROUP};
use super::report::{Findings, Report};
use towline_console::outcome::Failure;
use towline_console::surroundings;
use towline_host::around::of_git;
use towline_host::registered::registered;
use towline_host::{Folder, FolderError};
use towline_ports::system::SystemClock;

/// What is in the folder, and what people call it.
const PARTS: [(&str, &str); 4] = [
    ("store", "ledger"),
    ("registry", "images"),
    ("source", "mirrors"),
    ("runner", "builds and logs"),
];
/// What mends a ledger and a registry that are not whole.
const BACKUP: &str = "bring the folder back from your backup";
/// Files that nobody else may read.
const PRIVATE: [&str; 4] = [
    "owner.token",
    "webhook.secret",
    "registry.key",
    "people.json",
];

/// Looks at everything.
pub async fn look(path: &Path, repositories: &[String]) -> Report {
    let mut report = Report::of(format!("the folder {}", path.display()));
    let mut findings = Findings::of("Folder");
    // Opening it would close it to others, which is one of the things to look at.
    let open_to = mode(path);
    let folder = match Folder::existing(path) {
        Ok(folder) => folder,
        Err(error) => {
            let (what, mend) = match error {
                FolderError::Missing(path) => (
                    format!("nothing has been served from {}", path.display()),
                    "name the folder of `towline serve` with --data, or begin one with `towline serve --repo FOLDER`",
                ),
                error => (
                    format!("{:#}", anyhow::Error::from(error)),
                    "let it be yours, or name another with --data",
                ),
            };
            findings.wrong(what, mend);
            report.take(findings);
            return report;
        }
    };
    if open_to.is_some_and(|mode| mode & 0o077 != 0) {
        findings.wrong(
            format!("others could enter {}", path.display()),
            "this has just closed it; change the tokens in it if others use this machine",
        );
    }
    for name in PRIVATE {
        let file = folder.path(name);
        if mode(&file).is_some_and(|mode| mode & 0o077 != 0) {
            findings.wrong(
                format!("others can read {name}"),
                format!("chmod 600 {}", file.display()),
            );
        }
    }
    let sizes =
        PARTS.map(|(name, label)| format!("{label} {}", readable(size(&folder.path(name)))));
    findings.good(sizes.join(", "));
    report.take(findings);
    report.take(tools().await);
    report.take(origins(repositories).await);
    report.take(live(&folder).await);
    report
}

fn mode(path: &Path) -> Option<u32> {
    Some(fs::metadata(path).ok()?.permissions().mode() & 0o777)
}

fn size(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return 0;
    };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size(&entry.path())).sum()
}

fn readable(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KB", "MB", "GB", "TB"];
    let mut value = bytes / 100;
    let mut unit = 0;
    while value >= 10_000 && unit + 1 < UNITS.len() {
        value /= 1_000;
        unit += 1;
    }
    format!("{}.{} {}", value / 10, value % 10, UNITS[unit])
}

async fn tools() -> Findings {
    let mut findings = Findings::of("Tools");
    match version("git", &["--version"]).await {
        Some(version) => findings.good(version),
        None => findings.wrong(
            "there is no git on the PATH, so no definition can be read",
            "install git",
        ),
    }
    match version("docker", &["version", "--format", "{{.Server.Version}}"]).await {
        Some(version) => findings.good(format!("docker {version}")),
        None => findings.left_out("no Docker answers; only the preset docker needs it"),
    }
    findings
}

async fn version(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let output = output.await.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether repositories answer that are served from here.
async fn origins(repositories: &[String]) -> Findings {
    let mut findings = Findings::of("Repositories");
    if repositories.is_empty() {
        findings
            .left_out("name them with --repo, as for `towline serve`, to see whether they answer");
    }
    for text in repositories {
        let registered = match registered(text) {
            Ok(registered) => registered,
            Err(error) => {
                findings.wrong(error.to_string(), "write it as for `towline serve`");
                continue;
            }
        };
        let location = match &registered.origin {
            Origin::Path(path) => path.display().to_string(),
            Origin::Url(url) => url.clone(),
        };
        let around = of_git(surroundings::variable);
        let mut git = Command::new("git");
        git.args(["ls-remote", "--quiet", "--heads", "--end-of-options"])
            .arg(&location)
            .env("PATH", around.search_path)
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdin(Stdio::null());
        match git.output().await {
            Ok(output) if output.status.success() => {
                findings.good(format!("{} answers", registered.name));
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let said = said.lines().next().unwrap_or_default();
                findings.wrong(
                    format!("{} does not answer ({said})", registered.name),
                    "check its address and the credentials in .netrc or .ssh",
                );
            }
            Err(error) => findings.unknown(registered.name.to_string(), format!("git: {error}")),
        }
    }
    findings
}

/// Whether the ledger opens, and the registry agrees with it.
async fn live(folder: &Folder) -> Findings {
    let mut findings = Findings::of(GROUP);
    let path = folder.path("store");
    if !path.exists() {
        findings.left_out("nothing has been kept yet");
        return findings;
    }
    let store = match SqliteStore::open(&path) {
        Ok(store) => store,
        Err(OpenError::InUse { pid, .. }) => {
            let pid = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
            findings.left_out(format!("a towline{pid} serves from here; stop it to have the registry compared, or ask it with --url"));
            return findings;
        }
        Err(error) => {
            findings.wrong(format!("{:#}", anyhow::Error::from(error)), BACKUP);
            return findings;
        }
    };
    let clock = SystemClock;
    let settings = towline_registry::Settings::default();
    let opened = Registry::open(
        &folder.path("registry"),
        settings,
        Arc::new(move || clock.now().as_millisecond()),
    );
    let registry = match opened {
        Ok(registry) => registry,
        Err(error) => {
            findings.wrong(format!("{:#}", anyhow::Error::from(error)), BACKUP);
            return findings;
        }
    };
    let ask = async |query| {
        let context = Context {
            store: &store,
            bus: &Nobody,
            clock: &clock,
        };
        let answer = answer_chat::ask(context, &Nobody, query).await;
        answer.map_err(|error| Failure::Impossible(error.into()))
    };
    let pointers = match pointers::expected(&mut findings, ask).await {
        Ok(pointers) => pointers,
        Err(failure) => {
            findings.unknown("what is live", failure.sentence().unwrap_or_default());
            return findings;
        }
    };
    for pointer in &pointers {
        match registry.by_tag(&pointer.repository, &pointer.tag).await {
            Ok(found) => pointers::judge(
                &mut findings,
                pointer,
                found.as_ref().map(|it| it.digest.as_str()),
                BACKUP,
            ),
            Err(error) => findings.unknown(&pointer.place, error.to_string()),
        }
    }
    match pointers.len() {
        0 => findings.good("nothing is live yet"),
        count => findings.good_unless_found(format!(
            "{count} stage tags are on the images the ledger says"
        )),
    }
    findings
}
