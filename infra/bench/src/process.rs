//! A function's process, from its start to its end.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::quota::Quota;
use crate::runtime_api::RuntimeApi;

/// Moves itself under a quota, if any, prints the time, and executes the function.
const BECOME: &str = r#"[ -z "$1" ] || echo $$ > "$1"; shift; echo now; exec "$@""#;

pub struct Subject {
    /// Its name in the table.
    pub name: &'static str,
    command: Vec<PathBuf>,
    environment: Vec<(String, String)>,
}

impl Subject {
    /// A process that is started this way.
    pub fn new(name: &'static str, command: &[&PathBuf], environment: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            name,
            command: command.iter().map(|&part| part.clone()).collect(),
            environment: environment.iter().map(owned).collect(),
        }
    }
}

pub struct Process {
    pub api: RuntimeApi,
    /// From executing the function to its request for the first event.
    pub until_polled: Duration,
    child: Child,
}

impl Process {
    /// Starts a function with this address for AWS, and waits until it asks for an event.
    pub fn start(subject: &Subject, endpoint: &str, quota: Option<&Quota>) -> Result<Self> {
        let api = RuntimeApi::start()?;
        let processes = quota.map(Quota::processes).unwrap_or_default();
        let mut child = Command::new("/bin/sh")
            .args(["-c", BECOME, "sh"])
            .arg(processes)
            .args(&subject.command)
            // Other trusted certificates would be read at every start.
            .env_remove("SSL_CERT_DIR")
            .env_remove("SSL_CERT_FILE")
            .envs(
                subject
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", "AKIAMEASURED")
            .env("AWS_SECRET_ACCESS_KEY", "measured")
            .env("AWS_SESSION_TOKEN", "measured")
            .env("AWS_LAMBDA_FUNCTION_NAME", "measured")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_RUNTIME_API", api.address().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting it")?;
        let mut log = BufReader::new(child.stdout.take().context("its log")?);
        let mut now = String::new();
        log.read_line(&mut now)?;
        let started = Instant::now();
        // Its log lines are read, as on Lambda, so that it never blocks on writing them.
        thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let until_polled = api.polled()?.saturating_duration_since(started);
        Ok(Self {
            api,
            until_polled,
            child,
        })
    }

    /// The peak resident memory, in MB.
    pub fn peak_memory(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kilobytes: f64 = kilobytes.context("VmHWM")?.trim().parse()?;
        Ok(kilobytes / 1_024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
