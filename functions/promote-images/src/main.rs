//! Puts a stage's tags on promoted images.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use towline_github::{FromSecret, GitHub};
use towline_handlers::promote_images;
use towline_lambda::{Failure, Start, SystemClock, events, random_word, run, settings};

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
    let clock = Arc::new(SystemClock);
    let asked = settings::<towline_lambda::GitHub>()?;
    let secret = start.aws.secrets().cached(asked.secret, clock.clone());
    let github = GitHub::new(
        towline_github::Settings {
            api: asked.api.parse()?,
            patience: ONE_CALL,
            ..towline_github::Settings::default()
        },
        Arc::new(FromSecret(secret)),
        clock,
    );
    events(async |event| {
        // Two invocations can handle one event at once; each takes the stage's lease under its own name.
        let holder = random_word();
        promote_images::handle(context, &images, &github, &holder, event).await
    })
    .await
}
