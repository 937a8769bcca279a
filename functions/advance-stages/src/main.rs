//! Advances runs and stages after events of builds, images and people.

use std::process::ExitCode;

use towline_handlers::advance_stages;
use towline_lambda::{Failure, Start, events, run};

const NAME: &str = "advance-stages";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run(NAME, serve()).await
}

async fn serve() -> Result<(), Failure> {
    let start = Start::of(NAME).await?;
    let context = start.context();
    let builds = start.aws.builds();
    events(async |event| advance_stages::handle(context, &builds, event).await).await
}
