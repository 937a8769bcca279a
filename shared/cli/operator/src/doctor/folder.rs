//! The folder of `towline serve`: closed to others, and its registry agrees with the ledger.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;
use towline_source::Origin;

use super::pointers::{self, GROUP};
use super::report::{Findings, Report};
use towline_console::outcome::{Failure, Outcome};
use towline_console::output::Output;
use towline_console::surroundings;
use towline_host::around::of_git;
use towline_host::people;
use towline_host::reading::{self, Reading, ReadingError};
use towline_host::registered::registered;
use towline_host::{Folder, FolderError};

/// The parts of the folder, and their names for people.
const PARTS: [(&str, &str); 4] = [
    ("store", "ledger"),
    ("registry", "images"),
    ("source", "mirrors"),
    ("runner", "builds and logs"),
];
/// The advice for a damaged ledger or registry.
const BACKUP: &str = "restore the folder from your backup";
/// Files that only the owner may read.
const PRIVATE: [&str; 3] = ["owner.token", "webhook.secret", "people.json"];

/// Checks everything.
///
/// # Errors
/// `Found` if something is wrong, `Unsure` if a check could not run.
pub async fn look(path: &Path, repositories: &[String], output: Output) -> Outcome {
    let mut report = Report::begin(format!("the folder {}", path.display()), output)?;
    let mut findings = Findings::of("Folder");
    let folder = opened(path, &mut findings);
    report.take(findings)?;
    if let Some(folder) = folder {
        report.take(people(&folder))?;
        report.take(tools().await)?;
        report.take(origins(repositories).await)?;
        if let Some(findings) = set_aside(&folder) {
            report.take(findings)?;
        }
        report.take(live(&folder).await)?;
    }
    report.finish()
}

fn opened(path: &Path, findings: &mut Findings) -> Option<Folder> {
    // Opening the folder closes it to others, so this is checked first.
    let was_open = is_open(path);
    let folder = match Folder::existing(path) {
        Ok(folder) => folder,
        Err(FolderError::Missing(path)) => {
            findings.wrong(
                format!("{} is not a folder of `towline serve`", path.display()),
                "name another with --data, or start one with `towline serve --repo FOLDER`",
            );
            return None;
        }
        Err(error) => {
            findings.wrong(
                format!("{:#}", anyhow::Error::from(error)),
                "make yourself its owner, or name another with --data",
            );
            return None;
        }
    };
    if was_open {
        findings.wrong(
            format!("others could enter {}", path.display()),
            "it is closed now; change the tokens in it if others use this machine",
        );
    }
    for name in PRIVATE {
        let file = folder.path(name);
        if is_open(&file) {
            findings.wrong(
                format!("others can read {name}"),
                format!("chmod 600 {}", file.display()),
            );
        }
    }
    let sizes =
        PARTS.map(|(name, label)| format!("{label} {}", readable(size(&folder.path(name)))));
    findings.good(sizes.join(", "));
    Some(folder)
}

/// Whether somebody is in every group.
fn people(folder: &Folder) -> Findings {
    let mut findings = Findings::of("People");
    match people::listed(folder) {
        Ok(None) => findings.skipped("nobody yet; `towline serve` adds its owner"),
        Ok(Some(known)) if known.iter().any(people::administers) => {
            findings.good(format!("{} known", known.len()));
        }
        Ok(Some(_)) => findings.wrong(
            "nobody is in every group, so nobody can administer Towline",
            "towline people add LOGIN --group '*'",
        ),
        Err(error) => findings.wrong(
            format!("{:#}", anyhow::Error::from(error)),
            "towline people list says more",
        ),
    }
    findings
}

/// Whether anyone but the owner has rights to it.
fn is_open(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.permissions().mode() & 0o077 != 0)
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
            "git is not on the PATH, so definitions cannot be read",
            "install git",
        ),
    }
    match version("docker", &["version", "--format", "{{.Server.Version}}"]).await {
        Some(version) => findings.good(format!("docker {version}")),
        None => {
            findings.skipped("Docker does not answer; only the presets docker and make need it");
        }
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

/// Whether the served repositories answer.
async fn origins(repositories: &[String]) -> Findings {
    let mut findings = Findings::of("Repositories");
    if repositories.is_empty() {
        findings
            .skipped("name them with --repo, as for `towline serve`, to check that they answer");
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

/// The pushes to the registry that could not be recorded, if any.
fn set_aside(folder: &Folder) -> Option<Findings> {
    let mut findings = Findings::of("Pushes");
    let events = match reading::set_aside(folder) {
        Ok(events) if events.is_empty() => return None,
        Ok(events) => events,
        Err(error) => {
            findings.unknown("pushes that were set aside", error.to_string());
            return Some(findings);
        }
    };
    for event in &events {
        let tag = event.tag.as_ref().map(|tag| format!(":{tag}"));
        let what = format!(
            "the push of {}{} ({}) was set aside and is not recorded: {}",
            event.repository,
            tag.unwrap_or_default(),
            event.digest.short(),
            event.reason
        );
        findings.wrong(what, "remove the cause, and push the image again");
    }
    Some(findings)
}

/// Whether the ledger opens, and the registry agrees with it.
async fn live(folder: &Folder) -> Findings {
    let mut findings = Findings::of(GROUP);
    let reading = match Reading::open(folder) {
        Ok(Some(reading)) => reading,
        Ok(None) => {
            findings.skipped("no images yet");
            return findings;
        }
        Err(ReadingError::InUse { pid }) => {
            let pid = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
            findings.skipped(format!(
                "`towline serve`{pid} runs here; stop it to compare the registry, or ask it with --url"
            ));
            return findings;
        }
        Err(error) => {
            findings.wrong(format!("{:#}", anyhow::Error::from(error)), BACKUP);
            return findings;
        }
    };
    let ask = async |query| {
        let answer = reading.ask(query).await;
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
        match reading.tagged(&pointer.repository, &pointer.tag).await {
            Ok(found) => {
                let found = found.as_ref().map(towline_domain::names::Digest::as_str);
                pointers::judge(&mut findings, pointer, found, BACKUP);
            }
            Err(error) => findings.unknown(&pointer.place, error.to_string()),
        }
    }
    pointers::total(&mut findings, pointers.len());
    findings
}
