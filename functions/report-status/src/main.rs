//! Shows the state of a commit's builds and stages on GitHub.

use std::process::ExitCode;

use towline_handlers::report_status;
use towline_lambda::{Failure, Links, Start, events, run, settings};

const NAME: &str = "report-status";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run(NAME, serve()).await
}

async fn serve() -> Result<(), Failure> {
    let start = Start::of(NAME).await?;
    let context = start.context();
    let github = start.github(None)?;
    let settings = report_status::Settings {
        url: settings::<Links>()?.url,
    };
    events(async |event| report_status::handle(context, &github, &settings, event).await).await
}
