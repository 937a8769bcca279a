//! Records images that were pushed to ECR.

use std::process::ExitCode;

use towline_aws::Aws;
use towline_handlers::{Context, record_images};
use towline_lambda::{Failure, Settings, SystemClock, events, run};

const NAME: &str = "record-images";

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
    let images = aws.images();
    events(async |event| record_images::handle(context, &images, event).await).await
}
