//! `towline pack`: makes an image from files and pushes it, without a Docker daemon. Builds of the
//! preset `pack` run it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::json;
use towline_domain::definition::USUAL_PLATFORM;
use towline_oci::{Digest, ImageRepository, NameError, Platform, Tag};
use towline_pack::{
    BaseReference, Basic, Destination, ExposedPort, Host, Image, ImagePlan, PackError, Progress,
    Refusal, Registry, Target, Transport,
};

use towline_client::context::Context;
use towline_client::words::{WordError, pair};
use towline_console::outcome::{Failure, Outcome};
use towline_console::output::Output;
use towline_console::surroundings;

/// Longest password read.
const MOST_PASSWORD: u64 = 64 * 1024;

/// Blobs of at least this many bytes show their progress.
const LARGE: u64 = 8 * 1024 * 1024;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline pack --root=dist --repository=127.0.0.1:8017/shop --tag=v1 --entrypoint=/server
  aws ecr get-login-password | towline pack --root=dist --repository=HOST/shop --tag=v1 --password-stdin
  towline pack --root=dist --layout=image      writes an OCI layout and pushes nothing

The same files and options give the same digest, on any machine and at any time.")]
pub struct Pack {
    /// Folder whose content becomes the image
    #[arg(long, value_name = "FOLDER")]
    root: PathBuf,
    /// Where the content is put in the image
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    destination: Destination,
    /// Only files that match this glob; may be repeated
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// Leave out files that match this glob, as .dockerignore does; may be repeated
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Base image, by digest: HOST/REPOSITORY@sha256:…
    #[arg(long, value_name = "IMAGE")]
    base: Option<BaseReference>,
    /// Platform of the image; the base must be for it too
    #[arg(long, value_name = "OS/ARCHITECTURE", default_value = USUAL_PLATFORM)]
    platform: Platform,
    /// Program the image runs, as a JSON list of words or one word
    #[arg(long, value_name = "JSON")]
    entrypoint: Option<Words>,
    /// Arguments of the program, as a JSON list of words or one word
    #[arg(long, value_name = "JSON")]
    cmd: Option<Words>,
    /// Environment variable in the image; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,
    /// Label of the image; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    label: Vec<(String, String)>,
    /// User the program runs as
    #[arg(long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Folder the program starts in
    #[arg(long, value_name = "FOLDER")]
    workdir: Option<String>,
    /// Port the program listens on; may be repeated
    #[arg(long, value_name = "PORT[/PROTOCOL]")]
    expose: Vec<ExposedPort>,
    /// Where to push: HOST/REPOSITORY
    #[arg(
        long,
        value_name = "HOST/REPOSITORY",
        required_unless_present = "layout"
    )]
    repository: Option<Place>,
    /// Tag to push; may be repeated
    #[arg(long = "tag", value_name = "TAG", required_unless_present = "layout")]
    tags: Vec<Tag>,
    /// User for the registry; the password comes by --password-stdin
    #[arg(
        long,
        value_name = "USER",
        default_value = "AWS",
        requires = "password_stdin"
    )]
    username: String,
    /// Read the registry's password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Allow plain HTTP to a registry beyond this machine; it shows layers and passwords to the network
    #[arg(long)]
    insecure_http: bool,
    /// File to write the image's digest to
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
    /// Folder to write the image to as an OCI layout, instead of pushing it
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["repository", "tags"])]
    layout: Option<PathBuf>,
}

/// The words of a command.
#[derive(Debug, Clone)]
struct Words(Vec<String>);

impl FromStr for Words {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        if !text.trim_start().starts_with('[') {
            return Ok(Self(vec![text.to_owned()]));
        }
        serde_json::from_str(text).map(Self).map_err(|_| {
            WordError::new(
                r#"write one word, or a JSON list of words such as ["/server","--port=80"]"#,
            )
        })
    }
}

/// A repository in a registry.
#[derive(Debug, Clone)]
struct Place {
    host: Host,
    repository: ImageRepository,
}

/// Why a text is not a repository in a registry.
#[derive(Debug, thiserror::Error)]
enum PlaceError {
    #[error("write it as HOST/REPOSITORY, such as 127.0.0.1:8017/shop/api")]
    NoSlash,
    #[error(transparent)]
    Host(#[from] Refusal),
    #[error(transparent)]
    Repository(#[from] NameError),
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let (host, repository) = text.split_once('/').ok_or(PlaceError::NoSlash)?;
        Ok(Self {
            host: host.parse()?,
            repository: repository.parse()?,
        })
    }
}

/// Assembles the image and pushes it; prints its digest.
pub async fn run(context: &Context, args: Pack) -> Outcome {
    let password = if args.password_stdin {
        Some(password()?)
    } else {
        None
    };
    let credentials = password.map(|password| Basic {
        username: args.username.clone(),
        password: password.into(),
    });
    let scratch =
        surroundings::variable("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    let plan = plan(&args, credentials.as_ref());
    check_root(&args.root)?;
    let image = towline_pack::assemble(&plan, &scratch)
        .await
        .map_err(failure)?;
    let digest = match (&args.layout, &args.repository) {
        (Some(folder), _) => {
            towline_pack::write_layout(&image, folder)
                .await
                .map_err(failure)?;
            image.digest().clone()
        }
        (None, Some(place)) => push(context.output, &args, place, credentials, &image).await?,
        (None, None) => return Err(anyhow!("use --repository to say where to push").into()),
    };
    if let Some(file) = &args.output_file {
        std::fs::write(file, format!("{digest}\n"))
            .with_context(|| format!("writing {}", file.display()))?;
    }
    if context.output.is_json() {
        return context.output.value(&json!({ "digest": digest.to_string(), "tags": args.tags.iter().map(ToString::to_string).collect::<Vec<_>>() }));
    }
    context.output.text(&format!("{digest}\n"))
}

/// Refuses a root that leads out of the repository through a link. The repository is the build's
/// source, or the one that this command runs in.
fn check_root(root: &Path) -> Outcome {
    let here = Path::new(".")
        .canonicalize()
        .context("finding the current folder")?;
    let source = surroundings::variable("CODEBUILD_SRC_DIR").map(PathBuf::from);
    let own = || {
        let above = here.ancestors().find(|folder| folder.join(".git").exists());
        above.map(Path::to_owned)
    };
    let Some(repository) = source.or_else(own) else {
        return Ok(());
    };
    // The shell's name for this folder still contains the links that led here.
    let named = surroundings::variable("PWD").map(PathBuf::from);
    let named = named.filter(|named| named.canonicalize().is_ok_and(|named| named == here));
    let root = named.unwrap_or(here).join(root);
    towline_pack::refuse_links_out_of(&repository, &root).map_err(failure)
}

fn plan(args: &Pack, credentials: Option<&Basic>) -> ImagePlan {
    let mut plan = ImagePlan::new(&args.root, args.platform.clone());
    plan.base = args.base.clone().map(|mut base| {
        // The password is only for the registry that receives the image.
        let ours = args
            .repository
            .as_ref()
            .is_some_and(|place| place.host == base.registry.host);
        base.registry.credentials = credentials.filter(|_| ours).cloned();
        base.registry.transport = transport(&base.registry.host, args.insecure_http && ours);
        base
    });
    plan.destination = args.destination.clone();
    plan.include.clone_from(&args.include);
    plan.exclude.clone_from(&args.exclude);
    plan.entrypoint = args
        .entrypoint
        .clone()
        .map(|words| words.0)
        .unwrap_or_default();
    plan.command = args.cmd.clone().map(|words| words.0).unwrap_or_default();
    plan.environment.clone_from(&args.env);
    plan.labels = args.label.iter().cloned().collect::<BTreeMap<_, _>>();
    plan.working_directory.clone_from(&args.workdir);
    plan.user.clone_from(&args.user);
    plan.exposed_ports.clone_from(&args.expose);
    plan
}

async fn push(
    output: Output,
    args: &Pack,
    place: &Place,
    credentials: Option<Basic>,
    image: &Image,
) -> Outcome<Digest> {
    let mut registry = Registry::new(place.host.clone());
    registry.transport = transport(&place.host, args.insecure_http);
    registry.credentials = credentials;
    let target = Target {
        registry,
        repository: place.repository.clone(),
        tags: args.tags.clone(),
    };
    output.progress(&format!(
        "pushing {} to {}/{}",
        image.digest(),
        place.host,
        place.repository
    ));
    let teller = Arc::new(Teller::new(output));
    let digest = towline_pack::push(
        image,
        &target,
        Arc::new(move |progress| teller.tell(&progress)),
    )
    .await;
    digest.map_err(failure)
}

fn transport(host: &Host, insecure: bool) -> Transport {
    match (host.is_loopback(), insecure) {
        (true, _) => Transport::PlainOnLoopback,
        (false, true) => Transport::PlainAnywhere,
        (false, false) => Transport::Tls,
    }
}

/// Reports every blob; for a large one also its progress, in tenths.
struct Teller {
    output: Output,
    tenths: Mutex<BTreeMap<Digest, u64>>,
}

impl Teller {
    fn new(output: Output) -> Self {
        Self {
            output,
            tenths: Mutex::default(),
        }
    }

    fn tell(&self, progress: &Progress) {
        let (digest, what) = match progress {
            Progress::Present { digest, size } => (digest, format!("{size} bytes, exists already")),
            Progress::Mounted { digest, size } => {
                let from = "copied from another repository";
                (digest, format!("{size} bytes, {from}"))
            }
            Progress::Sent { digest, sent, size } if self.is_news(digest, *sent, *size) => {
                (digest, format!("{sent} of {size} bytes sent"))
            }
            Progress::Sent { .. } => return,
        };
        let short: String = digest.hex().chars().take(8).collect();
        self.output.progress(&format!("  sha256:{short}…  {what}"));
    }

    fn is_news(&self, digest: &Digest, sent: u64, size: u64) -> bool {
        if sent == size || size < LARGE {
            return sent == size;
        }
        let tenth = sent.saturating_mul(10) / size;
        let mut tenths = self.tenths.lock().unwrap_or_else(PoisonError::into_inner);
        let before = tenths.insert(digest.clone(), tenth).unwrap_or(0);
        before < tenth
    }
}

/// Refusals have exit status 1; everything else is an error.
fn failure(error: PackError) -> Failure {
    match error {
        PackError::Refused(refusal) => Failure::Refused(refusal.to_string()),
        PackError::File { .. }
        | PackError::Document { .. }
        | PackError::Tls(_)
        | PackError::NotAllowed { .. }
        | PackError::Registry { .. }
        | PackError::Stalled { .. }
        | PackError::DigestDiffers { .. }
        | PackError::Interrupted(_) => Failure::Impossible(error.into()),
    }
}

fn password() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .take(MOST_PASSWORD)
        .read_to_string(&mut text)
        .context("reading the password from standard input")?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(anyhow!(
            "the password on standard input is empty; did the command that prints it fail?"
        ));
    }
    Ok(password.to_owned())
}
