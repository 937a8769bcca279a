//! Measures the functions as Lambda starts and drives them, and prints the table in `BENCHMARKS.md`.
//!
//! `infra/bench/run` builds the functions and calls this.

mod aws;
mod events;
mod http;
mod process;
mod quota;
mod runtime_api;
mod statistics;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use serde_json::Value;

use process::{Process, Subject};
use quota::Quota;
use statistics::Times;

/// Bytes of a typical push, and of one with thousands of files.
const SIZES: [usize; 2] = [10 * 1024, 1024 * 1024];

/// Measures start and response times of functions
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder with the functions' binaries for this machine
    #[arg(long)]
    functions: PathBuf,
    /// Certificate for 127.0.0.1; nothing else is trusted
    #[arg(long)]
    certificate: PathBuf,
    /// Key of the certificate
    #[arg(long)]
    key: PathBuf,
    /// The Node function, bundled into one file; skipped if not given
    #[arg(long)]
    node: Option<PathBuf>,
    /// Number of starts to measure
    #[arg(long, default_value_t = 11)]
    starts: usize,
    /// Number of events of each kind for a warm process
    #[arg(long, default_value_t = 200)]
    events: usize,
}

/// Where AWS is.
struct Clouds {
    plain: SocketAddr,
    tls: SocketAddr,
}

/// An event for a function, and the expected status.
struct Job {
    subject: Subject,
    first: Case,
    warm: Vec<Case>,
}

#[derive(Clone)]
struct Case {
    event: Arc<Vec<u8>>,
    status: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let clouds = Clouds {
        plain: aws::start(None)?,
        tls: aws::start(Some((&arguments.certificate, &arguments.key)))?,
    };
    let jobs = jobs(&arguments)?;
    let quota = Quota::new();
    let limits: Vec<_> = match &quota {
        Ok(quota) => vec![None, Some(quota)],
        Err(error) => {
            eprintln!("no quota: {error:#}; only the full CPU is measured");
            vec![None]
        }
    };
    for limit in limits {
        let cpu = match limit {
            None => "a whole core".into(),
            Some(quota) => quota.to_string(),
        };
        println!("\nMilliseconds (median; of events p50 (p99)) with {cpu}:\n");
        println!(
            "| function | exec to first poll | first invoke | with its first TLS call | 10 KB | 1 MB | refused | peak MB |"
        );
        println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
        for job in &jobs {
            measure(job, &arguments, &clouds, limit)
                .with_context(|| job.subject.name.to_owned())?;
        }
    }
    Ok(())
}

fn jobs(arguments: &Arguments) -> Result<Vec<Job>> {
    let trusted = arguments.certificate.display().to_string();
    let function = |name: &'static str, extra: &[(&str, &str)]| {
        let mut environment = vec![
            ("TOWLINE_TABLE", "towline"),
            ("TOWLINE_BUS", "towline"),
            (
                "TOWLINE_REGISTRY",
                "000000000000.dkr.ecr.eu-west-1.amazonaws.com",
            ),
            ("TOWLINE_REPOSITORIES", events::REPOSITORY),
            ("TOWLINE_WEBHOOK_SECRET_ID", events::WEBHOOK),
            ("TOWLINE_SLACK_SECRET_ID", events::SLACK),
            ("TOWLINE_PEOPLE_SECRET_ID", events::PEOPLE),
            ("SSL_CERT_FILE", &trusted),
        ];
        environment.extend_from_slice(extra);
        Subject::new(name, &[&arguments.functions.join(name)], &environment)
    };
    let case = |event, status| Case { event, status };
    let [usual, large] = SIZES;
    let pushes = vec![
        case(events::push(usual)?, 202),
        case(events::push(large)?, 202),
        case(events::forged(usual)?, 401),
    ];
    let bare = pushes.iter().map(|push| case(Arc::clone(&push.event), 200));
    let mut jobs = vec![
        Job {
            subject: function("bare", &[]),
            first: case(events::push(usual)?, 200),
            warm: bare.take(2).collect(),
        },
        Job {
            subject: function("receive-github", &[]),
            first: pushes[0].clone(),
            warm: pushes.clone(),
        },
        Job {
            subject: function("answer-chat", &[]),
            first: case(events::question(true)?, 200),
            warm: vec![case(events::question(true)?, 200)],
        },
    ];
    if let Some(node) = &arguments.node {
        let secret = events::secret(events::WEBHOOK).context("a secret")?;
        let environment = [
            ("TOWLINE_TABLE", "towline"),
            ("WEBHOOK_SECRET", secret.as_str()),
            ("NODE_EXTRA_CA_CERTS", &trusted),
            ("NODE_NO_WARNINGS", "1"),
        ];
        jobs.push(Job {
            subject: Subject::new(
                "Node by hand",
                &[&PathBuf::from("node"), node],
                &environment,
            ),
            first: pushes[0].clone(),
            warm: pushes,
        });
    }
    Ok(jobs)
}

/// Prints one row.
fn measure(job: &Job, arguments: &Arguments, clouds: &Clouds, limit: Option<&Quota>) -> Result<()> {
    let plain = format!("http://{}", clouds.plain);
    let tls = format!("https://{}", clouds.tls);
    let (mut polls, mut firsts, mut tls_firsts) = Default::default();
    for _ in 0..arguments.starts {
        for (endpoint, times) in [(&plain, &mut firsts), (&tls, &mut tls_firsts)] {
            let process = Process::start(&job.subject, endpoint, limit)?;
            Times::add(&mut polls, process.until_polled);
            pause(limit, 0);
            Times::add(times, invoke(&process, &job.first)?);
        }
    }
    let process = Process::start(&job.subject, &tls, limit)?;
    let mut cells = vec![
        job.subject.name.to_owned(),
        polls.median(),
        firsts.median(),
        tls_firsts.median(),
    ];
    for case in &job.warm {
        let mut times = Times::default();
        for round in 0..arguments.events + arguments.events / 10 {
            let took = invoke(&process, case)?;
            // The first events find cold caches and closed connections.
            if round >= arguments.events / 10 {
                times.add(took);
            }
            pause(limit, round);
        }
        cells.push(times.spread());
    }
    cells.resize(7, "–".into());
    cells.push(format!("{:.1}", process.peak_memory()?));
    println!("| {} |", cells.join(" | "));
    Ok(())
}

/// Lets a quota refill, so that rounds start at different points of its period.
fn pause(limit: Option<&Quota>, round: usize) {
    let spread = u64::try_from(round * 7 % 20).unwrap_or(0);
    let time = match limit {
        None => Duration::from_millis(1),
        Some(_) => Duration::from_millis(25 + spread),
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "pauses between events are part of the measurement"
    )]
    std::thread::sleep(time);
}

fn invoke(process: &Process, case: &Case) -> Result<Duration> {
    let answer = process.api.invoke(&case.event)?;
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    if !answer.good || said["statusCode"].as_u64() != Some(case.status) {
        let said = String::from_utf8_lossy(&answer.body);
        bail!("{} was expected, not {said}", case.status);
    }
    Ok(answer.took)
}
