//! ministack, started on a free port and stopped with its handle.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::{Client, until};
use crate::{ACCOUNT, REGION};

/// How long it may take to start.
const START: Duration = Duration::from_secs(60);

/// How long it may take to stop its functions and itself.
const END: Duration = Duration::from_secs(10);

pub struct Emulator {
    process: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Emulator {
    /// Starts it from a Python environment. Its functions use `endpoint` for AWS, and IAM policies are
    /// enforced.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(venv: &Path, folder: &Path, endpoint: SocketAddr) -> anyhow::Result<Self> {
        // If the port is taken meanwhile, the start fails and says so.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let log = folder.join("ministack.log");
        let output = File::create(&log)?;
        let scratch = folder.join("tmp");
        std::fs::create_dir_all(&scratch)?;
        let process = Command::new(venv.join("bin/ministack"))
            .env_clear()
            .envs([
                ("PATH", "/usr/local/bin:/usr/bin:/bin"),
                ("BIND_HOST", "127.0.0.1"),
                ("IOT_MTLS_ENABLED", "0"),
                ("SFTP_ENABLED", "0"),
                ("AUTH", "true"),
                ("GATEWAY_PORT", &port.to_string()),
                ("MINISTACK_HOST", "localhost"),
                ("MINISTACK_REGION", REGION),
                ("MINISTACK_ACCOUNT_ID", ACCOUNT),
                ("AWS_ENDPOINT_URL", &format!("http://{endpoint}")),
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
                ("DOCKER_HOST", "unix:///nowhere/docker.sock"),
                ("LOG_LEVEL", "INFO"),
            ])
            .env("TMPDIR", &scratch)
            .env("HOME", folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting ministack of {}", venv.display()))?;
        let mut emulator = Self {
            process,
            address,
            log,
        };
        emulator.until_ready().await?;
        Ok(emulator)
    }

    async fn until_ready(&mut self) -> anyhow::Result<()> {
        let client = Client::new(self.address)?;
        let (process, log) = (&mut self.process, self.log.clone());
        let mut ended = move || process.try_wait();
        let ready = until("the start of ministack", START, || {
            let (client, ended) = (client.clone(), ended());
            let log = log.clone();
            async move {
                if let Some(status) = ended? {
                    let text = std::fs::read_to_string(log)?;
                    bail!("ministack ended with {status}:\n{text}");
                }
                let (service, target) = ("dynamodb", "DynamoDB_20120810.ListTables");
                let nothing = serde_json::json!({});
                Ok(client.call(service, target, &nothing).await.ok())
            }
        });
        ready.await.map(|_| ())
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// Its log file.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The environment for the AWS command line.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_REGION", REGION.into()),
            ("AWS_DEFAULT_REGION", REGION.into()),
            ("AWS_ACCESS_KEY_ID", "test".into()),
            ("AWS_SECRET_ACCESS_KEY", "test".into()),
            ("AWS_PAGER", String::new()),
        ]
    }
}

impl Drop for Emulator {
    /// Asks it to stop, so that it stops its functions, and kills it after a while.
    fn drop(&mut self) {
        let process = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw);
        if let Some(process) = process {
            let _gone_already = kill_process(process, Signal::TERM);
        }
        let began = std::time::Instant::now();
        while began.elapsed() < END {
            match self.process.try_wait() {
                Ok(None) => std::thread::park_timeout(Duration::from_millis(50)),
                _ => return,
            }
        }
        let _gone_already = self.process.kill();
        let _gone_already = self.process.wait();
    }
}
