//! Puts a stage's tags on promoted images.

use std::process::ExitCode;

use towline_aws::Aws;
use towline_handlers::{Context, promote_images};
use towline_lambda::{Failure, Settings, SystemClock, events, random_word, run};

const NAME: &str = "promote-images";

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
    events(async |event| {
        // Two invocations may act on one event at once; each holds the stage under its own word.
        let holder = random_word();
        promote_images::handle(context, &images, &holder, event).await
    })
    .await
}
