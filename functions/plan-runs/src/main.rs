//! Plans the run of an accepted push.

use std::process::ExitCode;

use towline_handlers::plan_runs::{self, Tool};
use towline_lambda::{Failure, Start, Tools, events, run, settings};

const NAME: &str = "plan-runs";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run(NAME, serve()).await
}

async fn serve() -> Result<(), Failure> {
    let start = Start::of(NAME).await?;
    let context = start.context();
    let github = start.github(None)?;
    let settings = plan_runs::Settings {
        tools: tools(settings::<Tools>()?),
    };
    events(async |event| plan_runs::handle(context, &github, &settings, event).await).await
}

/// The programs `towline` in the stack's bucket, as `towline deploy` stores them.
fn tools(settings: Tools) -> Vec<Tool> {
    let bucket = settings.bucket.rsplit(':').next().unwrap_or_default();
    let known = [("x86_64", settings.x86_64), ("aarch64", settings.aarch64)];
    let tools = known.into_iter().filter_map(|(machine, sha256)| {
        let sha256 = sha256?;
        Some(Tool {
            machine: machine.to_owned(),
            source: format!("s3://{bucket}/tools/{sha256}/towline"),
            sha256,
        })
    });
    tools.collect()
}
