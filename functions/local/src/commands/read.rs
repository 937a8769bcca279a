//! The commands that ask a question.

use towline_answers::Query;

use crate::answer;
use towline_client::context::Context;
use towline_console::outcome::Outcome;

/// Asks and prints the answer.
///
/// # Errors
/// When there is no answer, or it cannot be printed.
pub async fn run(context: &Context, query: Query) -> Outcome {
    let answer = context.client().await?.ask(&query).await?;
    answer::print(context.output, &answer)
}
