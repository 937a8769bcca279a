//! Announces promoted images to your own deployers.

use std::process::ExitCode;

use towline_aws::Aws;
use towline_handlers::{Context, deploy_images};
use towline_lambda::{Failure, Settings, SystemClock, events, run};

const NAME: &str = "deploy-images";

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
    events(async |event| deploy_images::handle(context, event).await).await
}
