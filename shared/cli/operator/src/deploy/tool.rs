//! `towline` for builds: the preset `pack` downloads it from the stack's bucket by its digest and
//! runs it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::build::Arch;
use towline_client::aws_cli::{AwsCli, Call};
use towline_console::outcome::Outcome;
use towline_console::output::Output;

/// The template's parameter for its digest.
pub fn parameter(arch: Arch) -> &'static str {
    match arch {
        Arch::Arm64 => "ToolArm64",
        Arch::X86 => "ToolX86",
    }
}

/// The processors to upload it for: those that were asked for, and those that the stack has already,
/// because the stack's version changes too. A new stack gets the processors that most builds use.
pub fn wanted(asked: &[Arch], kept: &BTreeMap<&str, &str>) -> Vec<Arch> {
    let has = |arch: &Arch| kept.get(parameter(*arch)).is_some_and(|it| !it.is_empty());
    let mut wanted: Vec<Arch> = [Arch::X86, Arch::Arm64]
        .into_iter()
        .filter(|arch| asked.contains(arch) || has(arch))
        .collect();
    if wanted.is_empty() {
        wanted.push(Arch::X86);
    }
    wanted
}

#[derive(Debug)]
pub struct Tool {
    arch: Arch,
    path: PathBuf,
    bytes: usize,
    sha256: String,
}

impl Tool {
    pub fn read(arch: Arch, path: PathBuf) -> Outcome<Self> {
        let content =
            std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Self {
            arch,
            bytes: content.len(),
            sha256: hex::encode(Sha256::digest(&content)),
            path,
        })
    }

    /// The template's parameter and its value.
    pub fn parameter(&self) -> (String, String) {
        (parameter(self.arch).to_owned(), self.sha256.clone())
    }

    /// Uploads it into the stack's bucket unless it is there. Its key is its digest.
    pub async fn upload(
        &self,
        aws: &AwsCli,
        bucket: &str,
        account: &str,
        output: Output,
    ) -> Outcome {
        let call = |operation| object(aws, operation, bucket, account, &self.sha256);
        match call("head-object").text().await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error.into()),
        }
        output.progress(&format!(
            "Uploading towline for builds on {} ({:.1} MB) to {bucket}.",
            self.arch.name(),
            self.bytes as f64 / 1e6
        ));
        let put = call("put-object").option("--body", self.path.display());
        put.text().await?;
        Ok(())
    }
}

/// The command that uploads it, before bucket and digest are known.
pub fn shown(aws: &AwsCli, arch: Arch, account: &str, path: &std::path::Path) -> String {
    object(aws, "put-object", "BUCKET", account, &placeholder(arch))
        .option("--body", path.display())
        .shown()
}

/// A placeholder for an unknown digest.
pub fn placeholder(arch: Arch) -> String {
    format!("SHA256-{}", arch.name())
}

fn object(
    aws: &AwsCli,
    operation: &'static str,
    bucket: &str,
    account: &str,
    sha256: &str,
) -> Call {
    aws.call("s3api", operation)
        .option("--bucket", bucket)
        .option("--key", format!("tools/{sha256}/towline"))
        .option("--expected-bucket-owner", account)
}
