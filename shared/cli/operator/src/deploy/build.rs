//! The functions' binaries: built here with cargo-lambda, or built before by somebody else.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use tempfile::TempDir;
use tokio::process::Command;

use crate::templates;
use towline_client::aws_cli::quoted;
use towline_console::outcome::{Outcome, refused};
use towline_console::output::Output;

/// What a binary is packed as.
const PACKED: &str = "bootstrap.zip";

/// What functions run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    /// Graviton: cheaper for the same work
    #[value(name = "arm64")]
    Arm64,
    /// Intel and AMD
    #[value(name = "x86_64")]
    X86,
}

impl Arch {
    /// As the template has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86 => "x86_64",
        }
    }

    fn target(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-unknown-linux-gnu",
            Self::X86 => "x86_64-unknown-linux-gnu",
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::Arm64 => "--arm64",
            Self::X86 => "--x86-64",
        }
    }
}

/// Where binaries come from.
#[derive(Debug)]
pub enum Functions {
    /// Built from this checkout.
    Checkout {
        /// Its top folder.
        root: PathBuf,
        /// For these processors.
        arch: Arch,
    },
    /// Built already, as `<name>/bootstrap.zip` in this folder.
    Built(PathBuf),
}

impl Functions {
    /// Finds them: in the folder given, else built from the checkout we are in.
    ///
    /// # Errors
    /// When there is neither.
    pub fn find(built: Option<&Path>, source: Option<&Path>, arch: Arch) -> Outcome<Self> {
        if let Some(folder) = built {
            let folder = folder
                .canonicalize()
                .with_context(|| format!("looking for functions in {}", folder.display()))?;
            return Ok(Self::Built(folder));
        }
        let from = source.unwrap_or(Path::new("."));
        let from = from
            .canonicalize()
            .with_context(|| format!("looking for a checkout in {}", from.display()))?;
        let mut above = from.ancestors();
        let root = above.find(|folder| templates::is_checkout(folder));
        match root {
            Some(root) => Ok(Self::Checkout {
                root: root.to_owned(),
                arch,
            }),
            None => Err(anyhow!(
                "{} is in no checkout of Towline to build functions from; name one with --source DIR, or built functions with --functions DIR",
                from.display()
            )
            .into()),
        }
    }

    /// The template that goes with them: the checkout's, else the one this binary carries.
    ///
    /// # Errors
    /// When the checkout's cannot be read.
    pub fn template(&self) -> Outcome<String> {
        match self {
            Self::Built(_) => Ok(templates::CONTROL.to_owned()),
            Self::Checkout { root, .. } => {
                let path = root.join(templates::CONTROL_PATH);
                let text = fs::read_to_string(&path);
                Ok(text.with_context(|| format!("reading {}", path.display()))?)
            }
        }
    }

    /// Where they are, in words.
    #[must_use]
    pub fn described(&self) -> String {
        match self {
            Self::Checkout { root, arch } => {
                format!("built from {} for {}", root.display(), arch.name())
            }
            Self::Built(folder) => format!("as built in {}", folder.display()),
        }
    }

    /// The folder the binaries are in, or will be.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        match self {
            Self::Checkout { root, .. } => root.join("target/lambda"),
            Self::Built(folder) => folder.clone(),
        }
    }

    /// The command that builds them, if one does.
    #[must_use]
    pub fn command(&self, names: &[&str]) -> Option<Vec<String>> {
        let Self::Checkout { arch, .. } = self else {
            return None;
        };
        let fixed = [
            "lambda",
            "build",
            "--release",
            arch.flag(),
            "--output-format",
            "zip",
            "--lambda-dir",
        ];
        let mut words: Vec<String> = fixed.into_iter().map(str::to_owned).collect();
        words.push(self.folder().display().to_string());
        // All at once: what they share is compiled once.
        words.extend(
            names
                .iter()
                .flat_map(|name| ["--package".to_owned(), (*name).to_owned()]),
        );
        Some(words)
    }

    /// Where `towline` for builds on these processors is, or will be.
    #[must_use]
    pub fn tool(&self, arch: Arch) -> PathBuf {
        self.tools(arch).join("towline/bootstrap")
    }

    fn tools(&self, arch: Arch) -> PathBuf {
        self.folder().join("tools").join(arch.name())
    }

    /// The command that builds it, if one does.
    #[must_use]
    pub fn tool_command(&self, arch: Arch) -> Option<Vec<String>> {
        let Self::Checkout { .. } = self else {
            return None;
        };
        let fixed = ["lambda", "build", "--release", arch.flag(), "--lambda-dir"];
        let mut words: Vec<String> = fixed.into_iter().map(str::to_owned).collect();
        words.push(self.tools(arch).display().to_string());
        words.extend(["--package", "towline"].map(str::to_owned));
        Some(words)
    }

    /// Whether those of these names are there, or what builds them is installed.
    ///
    /// # Errors
    /// Impossible, with how to mend it, when they are not.
    pub async fn check(&self, names: &[&str], tools: &[Arch]) -> Outcome {
        if matches!(self, Self::Built(_)) {
            return self.complete(names);
        }
        let zig =
            runs("zig", &["version"]).await || runs("python3", &["-m", "ziglang", "version"]).await;
        if runs("cargo", &["lambda", "--version"]).await && zig {
            return self.check_targets(tools).await;
        }
        Err(anyhow!(
            "functions are built with cargo-lambda and zig, which are not both here; install them with `pip install cargo-lambda ziglang` (and `rustup target add aarch64-unknown-linux-gnu`), or name built functions with --functions DIR"
        )
        .into())
    }

    /// Whether Rust's libraries for their processors are installed, as far as rustc says.
    async fn check_targets(&self, tools: &[Arch]) -> Outcome {
        let Self::Checkout { root, arch } = self else {
            return Ok(());
        };
        check_target(root, *arch).await?;
        for tool in tools.iter().filter(|tool| *tool != arch) {
            check_target(root, *tool).await?;
        }
        Ok(())
    }

    /// Builds `towline` for builds on these processors.
    ///
    /// # Errors
    /// Refused when the build fails; what it says goes to stderr as it comes.
    pub async fn build_tool(&self, arch: Arch, output: Output) -> Outcome {
        let (Self::Checkout { root, .. }, Some(words)) = (self, self.tool_command(arch)) else {
            return Ok(());
        };
        output.progress(&format!(
            "Building towline for builds on {}; the first time takes some minutes.",
            arch.name()
        ));
        if cargo(root, words).await? {
            return Ok(());
        }
        refused(
            "towline was not built, and nothing has been changed; with --no-tool it is left out, and then the preset pack needs build images that have it",
        )
    }

    /// Builds them.
    ///
    /// # Errors
    /// Refused when the build fails; what it says goes to stderr as it comes.
    pub async fn build(&self, names: &[&str], output: Output) -> Outcome {
        let (Self::Checkout { root, .. }, Some(words)) = (self, self.command(names)) else {
            return Ok(());
        };
        output.progress("Building the functions; the first time takes some minutes.");
        if cargo(root, words).await? {
            return Ok(());
        }
        refused(
            "the functions were not built, and nothing has been changed; where a target is missing, `rustup target add aarch64-unknown-linux-gnu` (or x86_64-unknown-linux-gnu) adds it",
        )
    }

    /// Whether all binaries are there.
    fn complete(&self, names: &[&str]) -> Outcome {
        let folder = self.folder();
        let absent = |name: &&&str| !folder.join(name).join(PACKED).is_file();
        let missing: Vec<&str> = names.iter().filter(absent).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(anyhow!(
            "{} lacks {}: each is to be in NAME/{PACKED}",
            folder.display(),
            missing.join(", ")
        )
        .into())
    }

    /// Lays the template where it finds the binaries, wherever they are.
    ///
    /// # Errors
    /// Impossible when one is missing.
    pub fn lay_out(&self, template: &str) -> Outcome<TempDir> {
        self.complete(&templates::names(template))?;
        let laid = || {
            let place = tempfile::tempdir()?;
            fs::create_dir(place.path().join("infra"))?;
            fs::write(place.path().join(templates::CONTROL_PATH), template)?;
            fs::create_dir(place.path().join("target"))?;
            symlink(self.folder(), place.path().join("target/lambda"))?;
            Ok::<_, io::Error>(place)
        };
        Ok(laid().context("laying out what is uploaded")?)
    }
}

/// Whether Rust's library for these processors is installed.
async fn check_target(root: &Path, arch: Arch) -> Outcome {
    let target = arch.target();
    let printed = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        // A checkout may name a toolchain of its own.
        .current_dir(root)
        .stdin(Stdio::null())
        .output()
        .await;
    let Ok(printed) = printed else {
        return Ok(());
    };
    let folder = String::from_utf8_lossy(&printed.stdout).trim().to_owned();
    if !printed.status.success() || folder.is_empty() || Path::new(&folder).is_dir() {
        return Ok(());
    }
    Err(anyhow!("Rust has no library for {target} here; run `rustup target add {target}` in {}, or name built functions with --functions DIR", root.display()).into())
}

/// Runs cargo, which says what it does on stderr.
async fn cargo(root: &Path, words: Vec<String>) -> Outcome<bool> {
    let status = Command::new("cargo")
        .args(words)
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status()
        .await
        .context("running cargo")?;
    Ok(status.success())
}

/// A command of cargo's as a person would type it.
#[must_use]
pub fn shown(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("cargo {}", quoted.join(" "))
}

async fn runs(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.await.is_ok_and(|status| status.success())
}
