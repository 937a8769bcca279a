//! Records images that were pushed to ECR.

use std::process::ExitCode;

use towline_handlers::record_images;
use towline_lambda::{Failure, Start, events, run};

const NAME: &str = "record-images";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run(NAME, serve()).await
}

async fn serve() -> Result<(), Failure> {
    let start = Start::of(NAME).await?;
    let context = start.context();
    let images = start.aws.images();
    events(async |event| record_images::handle(context, &images, event).await).await
}
