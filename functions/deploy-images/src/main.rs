//! Announces promoted images to your own deployers.

use std::process::ExitCode;

use towline_handlers::deploy_images;
use towline_lambda::{Failure, Start, events, run};

const NAME: &str = "deploy-images";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run(NAME, serve()).await
}

async fn serve() -> Result<(), Failure> {
    let start = Start::of(NAME).await?;
    let context = start.context();
    events(async |event| deploy_images::handle(context, event).await).await
}
