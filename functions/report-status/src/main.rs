//! Shows the state of a commit's builds and stages on GitHub.

use std::process::ExitCode;
use std::sync::Arc;

use towline_github::{FromSecret, GitHub};
use towline_handlers::report_status;
use towline_lambda::{Failure, Links, Start, SystemClock, events, run, settings};

const NAME: &str = "report-status";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run(NAME, serve()).await
}

async fn serve() -> Result<(), Failure> {
    let start = Start::of(NAME).await?;
    let context = start.context();
    let clock = Arc::new(SystemClock);
    let asked = settings::<towline_lambda::GitHub>()?;
    let secret = start.aws.secrets().cached(asked.secret, clock.clone());
    let github = GitHub::new(
        towline_github::Settings {
            api: asked.api.parse()?,
            ..towline_github::Settings::default()
        },
        Arc::new(FromSecret(secret)),
        clock,
    );
    let settings = report_status::Settings {
        url: settings::<Links>()?.url,
    };
    events(async |event| report_status::handle(context, &github, &settings, event).await).await
}
