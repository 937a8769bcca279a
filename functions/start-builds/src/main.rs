//! Starts and stops builds on CodeBuild.

use std::process::ExitCode;

use towline_aws::Aws;
use towline_handlers::{Context, start_builds};
use towline_lambda::{Failure, Settings, SystemClock, events, run};

const NAME: &str = "start-builds";

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
    let builds = aws.builds().with_bucket(aws.bucket(settings.bucket()?)?);
    let settings = start_builds::Settings {
        registry: settings.registry()?,
    };
    events(async |event| start_builds::handle(context, &builds, &settings, event).await).await
}
