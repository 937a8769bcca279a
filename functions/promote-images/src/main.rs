//! Puts a stage's tags on promoted images.

use std::process::ExitCode;
use std::time::Duration;

use towline_handlers::promote_images;
use towline_lambda::{Failure, Start, events, random_word, run};

const NAME: &str = "promote-images";
/// The time for one call of GitHub, so that the tags can still be set within the function's time.
const ONE_CALL: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run(NAME, serve()).await
}

async fn serve() -> Result<(), Failure> {
    let start = Start::of(NAME).await?;
    let context = start.context();
    let images = start.aws.images();
    let github = start.github(Some(ONE_CALL))?;
    events(async |event| {
        // Two invocations can handle one event at once; each takes the stage's lease under its own name.
        let holder = random_word();
        promote_images::handle(context, &images, &github, &holder, event).await
    })
    .await
}
