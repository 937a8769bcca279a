//! Advances runs and stages after events of builds, images and people.

use std::process::ExitCode;

use towline_aws::Aws;
use towline_handlers::{Context, advance_stages};
use towline_lambda::{Failure, Settings, SystemClock, events, run};

const NAME: &str = "advance-stages";

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
    let builds = aws.builds();
    events(async |event| advance_stages::handle(context, &builds, event).await).await
}
