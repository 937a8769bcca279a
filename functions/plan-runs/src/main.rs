//! Plans the run of an accepted push.

use std::process::ExitCode;
use std::sync::Arc;

use towline_aws::Aws;
use towline_github::{FromSecret, GitHub};
use towline_handlers::plan_runs::Tool;
use towline_handlers::{Context, plan_runs};
use towline_lambda::{Failure, Settings, SystemClock, events, run};

const NAME: &str = "plan-runs";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run(NAME, serve()).await
}

async fn serve() -> Result<(), Failure> {
    let settings = Settings::from_environment();
    let aws = Aws::from_environment(NAME).await;
    let (table, bus) = (aws.table(settings.table()?), aws.bus(settings.bus()?));
    let context = Context {
        store: &table,
        bus: &bus,
        clock: &SystemClock,
    };
    let clock = Arc::new(SystemClock);
    let secret = aws.secrets();
    let secret = secret.cached(settings.github_secret()?, clock.clone());
    let github = GitHub::new(
        towline_github::Settings {
            api: settings.github_api().parse()?,
            ..towline_github::Settings::default()
        },
        Arc::new(FromSecret(secret)),
        clock,
    );
    let settings = plan_runs::Settings {
        tools: tools(settings)?,
    };
    events(async |event| plan_runs::handle(context, &github, &settings, event).await).await
}

/// The programs `towline` in the stack's bucket, as `towline deploy` puts them there.
fn tools(settings: Settings) -> Result<Vec<Tool>, Failure> {
    let arn = settings.bucket()?;
    let bucket = arn.rsplit(':').next().unwrap_or_default();
    let known = [
        ("x86_64", settings.tool_x86_64()),
        ("aarch64", settings.tool_aarch64()),
    ];
    let tools = known.into_iter().filter_map(|(machine, sha256)| {
        let sha256 = sha256?;
        Some(Tool {
            machine: machine.to_owned(),
            source: format!("s3://{bucket}/tools/{sha256}/towline"),
            sha256,
        })
    });
    Ok(tools.collect())
}
