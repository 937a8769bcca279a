//! `towline build --local`: runs one component's buildspec on the working tree. No server is needed.

mod choose;
mod registry;
mod snapshot;
mod timeline;

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use towline_domain::names::{BuildId, CommitSha, ComponentName};
use towline_domain::run::BuildStatus;
use towline_domain::turns::Room;
use towline_ports::{Builds as _, Clock as _, PortError, RepositoryRef, StartError};
use towline_runner::{Checkout, Config, Runner};
use towline_wire::eventbridge::{LOCAL_REGION, NO_ACCOUNT};

use towline_client::context::Context;
use towline_client::words;
use towline_console::outcome::{Failure, Outcome, refused};
use towline_console::output::Output;
use towline_console::process as console;
use towline_console::surroundings;
use towline_console::terminal::Harmless;
use towline_host::Folder;
use towline_host::around::of_builds;
use towline_ports::system::SystemClock;

use registry::OwnRegistry;
use snapshot::Snapshot;
use timeline::Timeline;

/// How many builds are kept in the folder with their logs and artifacts.
const KEEP: usize = 20;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  towline build --local
  towline build --local backend --env APP_ENV=test
  towline build --local --spec ci/buildspec.yml --repo ~/code/shop

Builds a copy of the working tree, with uncommitted changes and without the files that .gitignore
lists. Submodules are empty, as on CodeBuild by default. Commands run as child processes with your
rights, and can read and change your files.

The buildspec is FILE, or the component's in .towline.yml, or buildspec.yml if there is no
.towline.yml. $ECR_REGISTRY is a registry for this build only, on a free port of 127.0.0.1. A push to
it shows that publishing works; its images are removed when the build ends. Commands can still push
to other places. No run is recorded and nothing is promoted.

Values of parameter-store and secrets-manager come from DIR/secrets.json, which must have mode 600:
  {\"parameter-store\": {\"/shop/token\": \"…\"}, \"secrets-manager\": {\"shop/db\": {\"password\": \"…\"}}}
Add another version of a secret as \"shop/db::AWSPREVIOUS\" or \"shop/db:::VERSION-ID\".
Artifacts, logs and caches are kept in DIR/build.

Exit status: 0 the build succeeded, 1 it failed or was refused, 2 it could not be started.")]
pub struct Args {
    /// Build on this machine; all other builds are started by a push or `towline retry`
    #[arg(long)]
    local: bool,
    /// The component [default: the only one]
    component: Option<ComponentName>,
    /// Buildspec to run instead of the component's
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// The repository, or a folder in it
    #[arg(long, value_name = "PATH", default_value = ".")]
    repo: PathBuf,
    /// Variable of the project; may be repeated; not for secrets, because others could see them
    #[arg(long, value_name = "NAME=VALUE", value_parser = words::pair)]
    env: Vec<(String, String)>,
    /// Folder for secrets, artifacts, logs and caches
    #[arg(long, value_name = "DIR", default_value = ".towline-data")]
    data: PathBuf,
}

/// Runs the build, shows its log as it grows, and prints how long each phase took.
pub async fn run(context: &Context, args: Args) -> Outcome {
    if !args.local {
        return refused(
            "builds are started by a push or `towline retry`; use --local to build the working tree on this machine",
        );
    }
    let output = context.output;
    let chosen = choose::chosen(&args, output)?;
    let folder = Folder::open(&args.data).map_err(anyhow::Error::from)?;
    let registry = OwnRegistry::default();
    let snapshot = folder.path("build/snapshot.git");
    let runner = Runner::open(config(&folder, &snapshot, &registry))
        .await
        .map_err(anyhow::Error::from)?;
    // The runner has locked the folder, so anything here is from an earlier build.
    let built = build(&folder, chosen, &runner, registry, output).await;
    runner.close().await;
    remove(&folder)?;
    let timeline = built?;
    timeline.print(output)?;
    if timeline.status == BuildStatus::Succeeded {
        return Ok(());
    }
    Err(Failure::Found)
}

async fn build(
    folder: &Folder,
    chosen: choose::Chosen,
    runner: &Runner,
    registry: OwnRegistry,
    output: Output,
) -> Outcome<Timeline> {
    remove(folder)?;
    let snapshot = Snapshot::take(&chosen.repository.path, &folder.path("build/snapshot.git"))?;
    let registry = registry.open(&folder.path("build/registry")).await?;
    let request = chosen.request(&snapshot.commit, &registry.host)?;
    output.progress(&format!("{}; {}", chosen.sentence(), snapshot.sentence()));
    let component = request.component.clone();
    let build = runner.start(request).await.map_err(|error| match error {
        StartError::Refused(reason) => Failure::Refused(reason),
        StartError::Busy(_) | StartError::Port(_) => Failure::Impossible(error.into()),
    })?;
    let status = follow(runner, &build, output).await?;
    let phases = runner.phases(&build).await.map_err(anyhow::Error::from)?;
    let exported = runner
        .exported_variables(&build)
        .await
        .map_err(anyhow::Error::from)?;
    Ok(Timeline {
        component,
        commit: snapshot.commit,
        status,
        phases: phases.unwrap_or_default(),
        exported: exported.unwrap_or_default(),
        artifacts: runner
            .artifacts(&build)
            .await
            .map_err(anyhow::Error::from)?,
        images: registry.images().await?,
    })
}

/// Shows the log until the build has ended; stops the build on SIGINT or SIGTERM.
async fn follow(runner: &Runner, build: &BuildId, output: Output) -> Outcome<BuildStatus> {
    let mut log = Shown {
        output,
        from: 0,
        held: Vec::new(),
        harmless: Harmless::default(),
    };
    let mut asked = pin!(console::asked_to_stop());
    let mut stopping = false;
    loop {
        let report = runner.get(build).await.map_err(anyhow::Error::from)?;
        let report = report.context("the build is unknown")?;
        log.grow(runner, build).await?;
        if report.status != BuildStatus::InProgress {
            return Ok(report.status);
        }
        tokio::select! {
            () = runner.written().notified() => {}
            () = runner.changed().notified() => {}
            () = &mut asked, if !stopping => {
                stopping = true;
                output.progress("stopping the build and everything it started");
                runner.stop(build).await.map_err(anyhow::Error::from)?;
            }
        }
    }
}

/// How much of a log has been shown: on standard output, or on stderr if standard output is for programs.
struct Shown {
    output: Output,
    from: u64,
    /// The beginning of a character whose end has not been read yet.
    held: Vec<u8>,
    harmless: Harmless,
}

impl Shown {
    async fn grow(&mut self, runner: &Runner, build: &BuildId) -> Outcome {
        loop {
            let part = runner.log(build, self.from).await;
            let part = part.map_err(anyhow::Error::from)?.unwrap_or_default();
            if part.is_empty() {
                return Ok(());
            }
            self.from += part.len() as u64;
            self.held.extend(part);
            let text = whole_text(&mut self.held);
            let text = self.harmless.pass(&text);
            if self.output.is_json() {
                self.output.aside(&text);
            } else {
                self.output.text(&text)?;
            }
        }
    }
}

/// Takes everything except an incomplete character at the end.
fn whole_text(held: &mut Vec<u8>) -> String {
    let whole = match std::str::from_utf8(held) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => held.len(),
    };
    let rest = held.split_off(whole);
    let text = String::from_utf8_lossy(held).into_owned();
    *held = rest;
    text
}

fn config(folder: &Folder, snapshot: &Path, registry: &OwnRegistry) -> Config {
    let clock = SystemClock;
    Config {
        dir: folder.path("build"),
        concurrency: 1,
        room: Room::default(),
        keep: KEEP,
        secrets: folder.path("secrets.json"),
        awaits_secrets: false,
        common: std::env::temp_dir(),
        build_user: None,
        machine: of_builds(surroundings::variable),
        now: Arc::new(move || clock.now()),
        towline_binary: console::own_binary().unwrap_or_else(|_| "towline".into()),
        registry_address: None,
        registry: Arc::new(registry.keys.clone()),
        checkout: Arc::new(Fixed(snapshot.to_owned())),
        region: LOCAL_REGION.into(),
        account: NO_ACCOUNT.into(),
    }
}

/// The only repository that builds are checked out from.
struct Fixed(PathBuf);

#[async_trait]
impl Checkout for Fixed {
    async fn mirror(
        &self,
        _repository: &RepositoryRef,
        _commit: &CommitSha,
    ) -> Result<Option<PathBuf>, PortError> {
        Ok(Some(self.0.clone()))
    }
}

/// Removes the files of a build that are not needed afterwards.
fn remove(folder: &Folder) -> anyhow::Result<()> {
    for name in ["build/snapshot.git", "build/registry"] {
        let path = folder.path(name);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(anyhow!(error).context(format!("removing {}", path.display())));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_in_two_parts_is_shown_whole() {
        let mut held = Vec::new();
        let mut shown = String::new();
        for part in ["a\u{d45c}".as_bytes(), b"\xff", b"b"].concat().chunks(1) {
            held.extend(part);
            shown += &whole_text(&mut held);
        }
        assert_eq!((shown.as_str(), held.len()), ("a\u{d45c}\u{fffd}b", 0));
    }
}
