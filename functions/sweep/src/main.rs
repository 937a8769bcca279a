//! Finds lost events and unfinished work, every minute.

use std::process::ExitCode;

use towline_aws::Aws;
use towline_handlers::{Context, sweep};
use towline_lambda::{Failure, Settings, SystemClock, run, schedule};

const NAME: &str = "sweep";

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
    schedule(async || sweep::handle(context, &builds).await).await
}
