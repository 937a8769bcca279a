//! The functions' binaries: built here with cargo-lambda, or built before.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use tokio::process::Command;
use towline_buildspec::generate::quote;

use crate::templates;
use towline_console::outcome::{Outcome, refused};
use towline_console::output::Output;

/// The file of a binary.
const PACKED: &str = "bootstrap.zip";

/// Processors.
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
    /// The name in the template.
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
    Checkout { root: PathBuf, arch: Arch },
    /// Built already, as `<name>/bootstrap.zip` in this folder.
    Built(PathBuf),
}

impl Functions {
    /// The folder that was named, otherwise the checkout that this runs in.
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
                "{} is not in a checkout of Towline, so no functions can be built; name one with --source DIR, or built functions with --functions DIR",
                from.display()
            )
            .into()),
        }
    }

    /// The checkout's template, otherwise the one in this binary.
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

    /// The plan's line about them.
    pub fn described(&self) -> String {
        match self {
            Self::Checkout { root, arch } => {
                format!("built from {} for {}", root.display(), arch.name())
            }
            Self::Built(folder) => format!("built before, in {}", folder.display()),
        }
    }

    /// The folder of the binaries.
    pub fn folder(&self) -> PathBuf {
        match self {
            Self::Checkout { root, .. } => root.join("target/lambda"),
            Self::Built(folder) => folder.clone(),
        }
    }

    /// The arguments with which `cargo` builds them.
    pub fn command(&self, names: &[&str]) -> Vec<String> {
        let arch = match self {
            Self::Checkout { arch, .. } => *arch,
            Self::Built(_) => return Vec::new(),
        };
        let fixed = "lambda build --release --output-format zip --lambda-dir";
        let mut words: Vec<String> = fixed.split(' ').map(str::to_owned).collect();
        words.insert(3, arch.flag().into());
        words.push(self.folder().display().to_string());
        // In one command, so that shared crates are compiled once.
        for name in names {
            words.extend(["--package".to_owned(), (*name).to_owned()]);
        }
        words
    }

    /// The path of `towline` for builds on these processors.
    pub fn tool(&self, arch: Arch) -> PathBuf {
        self.tools(arch).join("towline/bootstrap")
    }

    fn tools(&self, arch: Arch) -> PathBuf {
        self.folder().join("tools").join(arch.name())
    }

    /// The arguments with which `cargo` builds it.
    pub fn tool_command(&self, arch: Arch) -> Vec<String> {
        let fixed = "lambda build --release --lambda-dir";
        let mut words: Vec<String> = fixed.split(' ').map(str::to_owned).collect();
        words.insert(3, arch.flag().into());
        words.push(self.tools(arch).display().to_string());
        words.extend(["--package", "towline"].map(str::to_owned));
        words
    }

    /// Checks that the binaries exist, or that the tools that build them are installed.
    ///
    /// # Errors
    /// With what to install.
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
            "building functions needs cargo-lambda and zig; install them with `pip install cargo-lambda ziglang` (and `rustup target add aarch64-unknown-linux-gnu`), or name built functions with --functions DIR"
        )
        .into())
    }

    /// Whether Rust's libraries for their processors are installed.
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
    /// Refused when the build fails; its output goes to stderr.
    pub async fn build_tool(&self, arch: Arch, output: Output) -> Outcome {
        let Self::Checkout { root, .. } = self else {
            return Ok(());
        };
        output.progress(&format!(
            "Building towline for builds on {}; the first time takes some minutes.",
            arch.name()
        ));
        if cargo(root, self.tool_command(arch)).await? {
            return Ok(());
        }
        refused(
            "towline was not built, and nothing has been changed; --no-tool leaves it out, and then the preset pack needs build images that contain it",
        )
    }

    /// Builds them.
    ///
    /// # Errors
    /// Refused when the build fails; its output goes to stderr.
    pub async fn build(&self, names: &[&str], output: Output) -> Outcome {
        let Self::Checkout { root, .. } = self else {
            return Ok(());
        };
        output.progress("Building the functions; the first time takes some minutes.");
        if cargo(root, self.command(names)).await? {
            return Ok(());
        }
        refused(
            "the functions were not built, and nothing has been changed; if a target is missing, run `rustup target add aarch64-unknown-linux-gnu` (or x86_64-unknown-linux-gnu)",
        )
    }

    fn complete(&self, names: &[&str]) -> Outcome {
        let folder = self.folder();
        let absent = |name: &&&str| !folder.join(name).join(PACKED).is_file();
        let missing: Vec<&str> = names.iter().filter(absent).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(anyhow!(
            "{} has no {}; each function must be NAME/{PACKED}",
            folder.display(),
            missing.join(", ")
        )
        .into())
    }

    /// Puts the template into a folder, with the binaries where it looks for them; gives its path.
    ///
    /// # Errors
    /// When a binary is missing.
    pub fn lay_out(&self, template: &str, folder: &Path) -> Outcome<PathBuf> {
        self.complete(&templates::names(template))?;
        let path = folder.join(templates::CONTROL_PATH);
        let laid = || {
            fs::create_dir(folder.join("infra"))?;
            fs::write(&path, template)?;
            fs::create_dir(folder.join("target"))?;
            symlink(self.folder(), folder.join("target/lambda"))
        };
        laid().context("preparing the upload")?;
        Ok(path)
    }
}

/// Whether Rust's library for these processors is installed, if rustc says so.
async fn check_target(root: &Path, arch: Arch) -> Outcome {
    let target = arch.target();
    let printed = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        // A checkout can name a toolchain of its own.
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
    Err(anyhow!("Rust has no library for {target}; run `rustup target add {target}` in {}, or name built functions with --functions DIR", root.display()).into())
}

/// Runs cargo with its output on stderr.
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

/// The command as a person would type it.
pub fn shown(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
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
