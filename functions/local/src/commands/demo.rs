//! `towline demo`: shows a push, a promotion and a rollback on a sample repository.

mod sample;
mod story;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use tokio::sync::watch;
use towline_domain::person::Person;
use towline_domain::turns::Room;
use towline_source::{Origin, Registered};
use towline_wire::signature::{Secret, Secrets};

use towline_console::outcome::Outcome;
use towline_console::output::Output;
use towline_console::process as console;
use towline_console::surroundings;
use towline_host::around::{of_builds, of_git};
use towline_host::people::{People, known};
use towline_host::{Config, Folder, Opened};
use towline_ports::system::random_bytes;

use sample::{Preset, Sample};
use story::Story;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The demo uses its own folder and free ports of 127.0.0.1. It installs nothing, and removes
everything at the end unless you use --keep.")]
pub struct Args {
    /// Build with `docker build` and push with `docker push`; needs a Docker daemon
    #[arg(long)]
    docker: bool,
    /// Keep everything in this folder, to look at afterwards
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Runs the demo; as JSON it prints one document at the end instead of the steps as they happen.
///
/// # Errors
/// When a step fails; the message names the step and shows the log of a failed build.
pub async fn run(args: Args, output: Output) -> Outcome {
    let scratch = tempfile::Builder::new()
        .prefix("towline-demo-")
        .tempdir()
        .context("creating a folder for the demo")?;
    let keep = args.keep.as_deref().unwrap_or(scratch.path());
    let (opened, story) = set_up(keep, args.docker, output).await?;
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(opened.run(stopped));
    let told = tokio::select! {
        told = story.tell() => told,
        () = console::asked_to_stop() => Err(anyhow!("stopped").into()),
    };
    stop.send_replace(true);
    serving.await.map_err(anyhow::Error::from)?;
    told
}

/// Everything that is needed before the first push.
async fn set_up(place: &Path, docker: bool, output: Output) -> anyhow::Result<(Opened, Story)> {
    let around = of_git(surroundings::variable);
    if docker {
        sample::look_for_docker().await?;
    }
    let folder = Folder::open(place)?;
    let preset = if docker { Preset::Docker } else { Preset::Pack };
    let repository = Sample::create(&folder.path("shop"), preset, &around).await?;
    let secret = hex::encode(random_bytes::<32>());
    let data = Folder::open(&folder.path("data"))?;
    let people = People::open(&data)?;
    let kim = let_in(&people, "kim", &["release-managers"])?;
    let lee = let_in(&people, "lee", &["release-managers"])?;
    let origin = Origin::Path(repository.path().to_owned());
    let opened = Opened::open(Config {
        folder: data,
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        names: Vec::new(),
        repositories: vec![Registered {
            name: repository.name(),
            origin,
        }],
        secrets: Secrets::new(Secret::new(&secret)?, None),
        slack: None,
        concurrency: 2,
        room: Room::default(),
        build_user: None,
        binary: console::own_binary()?,
        surroundings: around,
        builds: of_builds(surroundings::variable),
    })
    .await?;
    let url = format!("http://{}", opened.address())
        .parse()
        .context("reading the address of the server")?;
    let story = Story {
        url,
        secret: Secret::new(&secret)?,
        repository,
        kim,
        lee,
        output,
    };
    Ok((opened, story))
}

/// A person of the sample team, new or from a kept folder; returns their token.
fn let_in(people: &People, login: &str, groups: &[&str]) -> anyhow::Result<String> {
    if people
        .entries()?
        .iter()
        .any(|entry| entry.person.login == login)
    {
        people.remove(login)?;
    }
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    let person = known(Person {
        login: login.into(),
        emails: vec![format!("{login}@acme.example")],
        groups,
        ..Person::default()
    });
    people.add(person, true)?.context("no token was created")
}
