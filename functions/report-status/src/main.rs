//! Shows the state of a commit's builds and stages on GitHub.

use std::process::ExitCode;
use std::sync::Arc;

use towline_aws::Aws;
use towline_github::{FromSecret, GitHub};
use towline_handlers::{Context, report_status};
use towline_lambda::{Failure, Settings, SystemClock, events, run};

const NAME: &str = "report-status";

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
    let clock = Arc::new(SystemClock);
    let secret = aws.secrets();
    let secret = secret.cached(settings.github_secret()?, clock.clone());
    let github = GitHub::new(
        towline_github::Settings {
            api: settings.github_api().parse()?,
            ..towline_github::Settings::default()
        },
        Arc::new(FromSecret(secret)),
        clock,
    );
    let settings = report_status::Settings {
        url: settings.url(),
    };
    events(async |event| report_status::handle(context, &github, &settings, event).await).await
}
