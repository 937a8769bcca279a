//! Finds lost events and unfinished work, every minute.

use std::process::ExitCode;

use towline_handlers::sweep;
use towline_lambda::{Failure, Start, run, schedule};

const NAME: &str = "sweep";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run(NAME, serve()).await
}

async fn serve() -> Result<(), Failure> {
    let start = Start::of(NAME).await?;
    let context = start.context();
    let builds = start.aws.builds();
    schedule(async || {
        let swept = sweep::handle(context, &builds).await;
        if sweep::compares_tags(context.now()) {
            sweep::compare_tags(context).await?;
        }
        swept
    })
    .await
}
