//! `towline serve`: runs Towline on this machine for real repositories.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::sync::watch;
use towline_domain::turns::Room;
use towline_wire::signature::{Secret, SecretError, Secrets};

use towline_console::outcome::Outcome;
use towline_console::output::Output;
use towline_console::process as console;
use towline_console::surroundings;
use towline_host::around::{of_builds, of_git};
use towline_host::registered::{RegisterError, registered};
use towline_host::{Config, Folder, Opened};
use towline_runner::{User, UserError};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  towline serve --repo ~/code/shop
  towline serve --repo acme/shop=https://github.com/acme/shop.git --listen 127.0.0.1:8017

Secrets come from the environment or from files, never from arguments:
  TOWLINE_GITHUB_WEBHOOK_SECRET(_FILE)            signs webhooks; generated in DIR if not set
  TOWLINE_GITHUB_WEBHOOK_SECRET_PREVIOUS(_FILE)   accepted too, during a rotation
  TOWLINE_SLACK_SIGNING_SECRET(_FILE)             enables a Slack app; ..._PREVIOUS(_FILE) too")]
pub struct Args {
    /// Folder for everything: ledger, images, logs, tokens
    #[arg(long, value_name = "DIR", default_value = ".towline-data")]
    data: PathBuf,
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8017")]
    listen: SocketAddr,
    /// Additional hostname for image pulls
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Repository that may push: a folder or URL; a URL needs OWNER/NAME= before it; may be repeated
    #[arg(long = "repo", value_name = "[OWNER/NAME=]SOURCE")]
    repositories: Vec<String>,
    /// Builds that run at the same time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    builds: u16,
    /// User that builds run as, which must own nothing else; needs root
    #[arg(long, value_name = "USER")]
    build_user: Option<String>,
    /// Builds of one repository that may wait; if there are more, older ones are superseded
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    waiting: u16,
    /// Builds of one branch or tag that may wait, besides those of its newest push
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    waiting_per_ref: u16,
}

/// Why `serve` does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(
        "no repository may push; name one with --repo, such as --repo . or --repo acme/shop=https://github.com/acme/shop.git"
    )]
    NoRepository,
    #[error(
        "{0} is neither a loopback address nor all interfaces; listen on 127.0.0.1, or on 0.0.0.0 for access from other machines"
    )]
    Listen(SocketAddr),
    #[error(transparent)]
    Repository(#[from] RegisterError),
    #[error("--build-user cannot be used")]
    BuildUser(#[from] UserError),
    #[error("{name} cannot be used")]
    Secret {
        name: &'static str,
        #[source]
        cause: SecretError,
    },
}

/// Serves until SIGINT or SIGTERM.
pub async fn run(args: Args, output: Output) -> Outcome {
    console::log_to_stderr();
    let build_user = args.build_user.as_deref().map(User::for_builds);
    let build_user = build_user.transpose().map_err(ServeError::from);
    let build_user = build_user.map_err(anyhow::Error::from)?;
    let folder = Folder::open(&args.data).map_err(anyhow::Error::from)?;
    let is_shared = build_user.is_none();
    let (opened, names) = open(args, &folder, build_user).await?;
    welcome(opened.address(), &folder, &names, output)?;
    if is_shared {
        output.progress(
            "builds run as the user of this process and can read its data; to run them as another user, start `towline serve` as root with --build-user",
        );
    }
    let (stop, stopped) = watch::channel(false);
    let asked = async {
        console::asked_to_stop().await;
        output.progress("stopping; unfinished work is resumed at the next start");
        stop.send_replace(true);
        console::asked_to_stop().await;
        output.progress("stopped immediately");
    };
    tokio::select! {
        () = opened.run(stopped) => {}
        () = asked => {}
    }
    Ok(())
}

/// The machine, and the names of the repositories that may push to it.
async fn open(
    args: Args,
    folder: &Folder,
    build_user: Option<User>,
) -> anyhow::Result<(Opened, Vec<String>)> {
    if args.repositories.is_empty() {
        return Err(ServeError::NoRepository.into());
    }
    // Builds push to the registry on a loopback address, which Docker accepts without TLS.
    if !args.listen.ip().is_loopback() && !args.listen.ip().is_unspecified() {
        return Err(ServeError::Listen(args.listen).into());
    }
    let repositories: Result<Vec<_>, _> = args
        .repositories
        .iter()
        .map(|text| registered(text))
        .collect();
    let repositories = repositories?;
    let names = repositories
        .iter()
        .map(|known| known.name.to_string())
        .collect();
    let opened = Opened::open(Config {
        folder: folder.clone(),
        listen: args.listen,
        names: args.hosts,
        repositories,
        secrets: webhook_secrets(folder)?,
        slack: slack_secrets()?,
        concurrency: usize::from(args.builds),
        room: Room {
            per_repository: usize::from(args.waiting),
            per_ref: usize::from(args.waiting_per_ref),
        },
        build_user,
        binary: console::own_binary()?,
        surroundings: of_git(surroundings::variable),
        builds: of_builds(surroundings::variable),
    });
    Ok((opened.await?, names))
}

fn welcome(address: SocketAddr, folder: &Folder, names: &[String], output: Output) -> Outcome {
    const SECRET: [&str; 2] = [
        "TOWLINE_GITHUB_WEBHOOK_SECRET",
        "TOWLINE_GITHUB_WEBHOOK_SECRET_FILE",
    ];
    let given = SECRET
        .iter()
        .any(|name| surroundings::variable(name).is_some());
    let secret = folder.webhook_secret_file();
    let secret = if given {
        String::new()
    } else {
        format!(
            "  export TOWLINE_GITHUB_WEBHOOK_SECRET_FILE={}\n",
            secret.display()
        )
    };
    output.text(&format!(
        "\
towline serves {names} on http://{address}, data in {data}

In another terminal:
  export TOWLINE_URL=http://{address} TOWLINE_TOKEN_FILE={token}
{secret}  towline send push --repo PATH    sends the newest commit as a signed GitHub push
  towline runs                     shows its run

GitHub's webhook goes to http://{address}/webhooks/github; images are at {address} (docker login -u AWS).

",
        names = names.join(", "),
        data = folder.path("").display(),
        token = folder.token_file().display(),
    ))
}

/// The secrets that sign webhooks: from the environment, otherwise generated and kept in the folder.
fn webhook_secrets(folder: &Folder) -> anyhow::Result<Secrets> {
    const CURRENT: &str = "TOWLINE_GITHUB_WEBHOOK_SECRET";
    const PREVIOUS: &str = "TOWLINE_GITHUB_WEBHOOK_SECRET_PREVIOUS";
    let secret = |name: &'static str, text: String| {
        Secret::new(&text).map_err(|cause| ServeError::Secret { name, cause })
    };
    let current = match surroundings::secret(CURRENT)? {
        Some(text) => text,
        None => folder.secret(&folder.webhook_secret_file())?,
    };
    let previous = surroundings::secret(PREVIOUS)?
        .map(|text| secret(PREVIOUS, text))
        .transpose()?;
    Ok(Secrets::new(secret(CURRENT, current)?, previous))
}

/// The secrets that sign Slack's requests, if an app is connected.
fn slack_secrets() -> anyhow::Result<Option<Secrets>> {
    const CURRENT: &str = "TOWLINE_SLACK_SIGNING_SECRET";
    const PREVIOUS: &str = "TOWLINE_SLACK_SIGNING_SECRET_PREVIOUS";
    let secret = |name: &'static str| -> anyhow::Result<Option<Secret>> {
        let text = surroundings::secret(name)?;
        let read = text.map(|text| Secret::new(&text)).transpose();
        Ok(read.map_err(|cause| ServeError::Secret { name, cause })?)
    };
    let previous = secret(PREVIOUS)?;
    Ok(secret(CURRENT)?.map(|current| Secrets::new(current, previous)))
}
