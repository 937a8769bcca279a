//! Starts and stops builds on CodeBuild.

use std::process::ExitCode;

use towline_handlers::start_builds;
use towline_lambda::{Builds, Failure, Start, events, run, settings};

const NAME: &str = "start-builds";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run(NAME, serve()).await
}

async fn serve() -> Result<(), Failure> {
    let start = Start::of(NAME).await?;
    let context = start.context();
    let settings = settings::<Builds>()?;
    let bucket = start.aws.bucket(settings.bucket)?;
    let builds = start.aws.builds().with_bucket(bucket);
    let settings = start_builds::Settings {
        registry: settings.registry,
    };
    events(async |event| start_builds::handle(context, &builds, &settings, event).await).await
}
