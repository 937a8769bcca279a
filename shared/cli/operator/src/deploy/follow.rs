//! Follows CloudFormation while it works: prints each resource that is created or changed, and why it
//! failed.

use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;
use towline_console::style::{Style, paint};
use towline_domain::untrusted::Untrusted;
use towline_ports::Clock as _;

use towline_client::aws_cli::{AwsCli, AwsError, Call};
use towline_client::stack::{Stack, StackState, StackStatus};
use towline_console::outcome::{Failure, Outcome, refused};
use towline_console::output::Output;
use towline_ports::system::SystemClock;

/// Time between two queries.
const EVERY: Duration = Duration::from_secs(4);
/// Newest events read at a time.
const MOST: usize = 100;
/// Longest reason shown, in bytes.
const LONGEST: usize = 400;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    event_id: String,
    logical_resource_id: String,
    resource_type: String,
    resource_status: String,
    #[serde(default)]
    resource_status_reason: String,
}

/// One deployment of one stack.
pub struct Follow<'a> {
    pub aws: &'a AwsCli,
    pub stack: &'a str,
    pub output: Output,
}

impl Follow<'_> {
    /// Runs the deployment to its end; says whether anything changed.
    ///
    /// # Errors
    /// Refused when CloudFormation fails, with the reasons and what to do.
    pub async fn through(&self, deploy: Call) -> Outcome<bool> {
        let before = self.events().await?;
        let mut known: HashSet<String> = before.into_iter().map(|event| event.event_id).collect();
        let mut failed = Vec::new();
        let mut any = false;
        let end = deploy.begin()?.end();
        tokio::pin!(end);
        let ended = loop {
            let ended = tokio::select! {
                ended = &mut end => Some(ended),
                () = SystemClock.sleep(EVERY) => None,
            };
            // A failed query is repeated; the deployment itself decides.
            for event in self.events().await.unwrap_or_default() {
                if known.insert(event.event_id.clone()) {
                    any = true;
                    self.tell(&event);
                    failed.extend(event.is_a_cause().then_some(event));
                }
            }
            if let Some(ended) = ended {
                break ended;
            }
        };
        match ended {
            Ok(()) => Ok(any),
            Err(error) => Err(self.explained(error, &failed).await),
        }
    }

    /// The newest events, oldest first; none while there is no stack.
    async fn events(&self) -> Result<Vec<Event>, AwsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Listed {
            stack_events: Vec<Event>,
        }
        let call = self.aws.call("cloudformation", "describe-stack-events");
        let call = call.option("--stack-name", self.stack);
        match call.option("--max-items", MOST).json::<Listed>().await {
            Ok(mut listed) => {
                listed.stack_events.reverse();
                Ok(listed.stack_events)
            }
            Err(error) if error.is_absent() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn tell(&self, event: &Event) {
        let (style, verb) = match event.step() {
            Step::Failed => (Style::Bad, "failed"),
            Step::RollingBack if event.is_of_stack() => (Style::Bad, "rollback"),
            Step::Created if !event.is_of_stack() => (Style::Good, "created"),
            Step::Updated if !event.is_of_stack() => (Style::Good, "updated"),
            Step::Deleted if !event.is_of_stack() => (Style::Quiet, "deleted"),
            Step::RollingBack | Step::Created | Step::Updated | Step::Deleted | Step::Other => {
                return;
            }
        };
        let line = format!(
            "  {}  {:<34}  {}",
            paint(style, &format!("{verb:<9}")),
            event.logical_resource_id,
            paint(Style::Quiet, &event.resource_type)
        );
        self.output.progress(&line);
    }

    async fn explained(&self, error: AwsError, failed: &[Event]) -> Failure {
        if matches!(error, AwsError::Credentials { .. } | AwsError::Missing) {
            return error.into();
        }
        let mut text = format!("CloudFormation failed to deploy {}", self.stack);
        for event in failed {
            let reason = Untrusted::text(&event.resource_status_reason, LONGEST).display();
            text += &format!("\n  {}: {reason}", event.logical_resource_id);
        }
        if failed.is_empty() {
            text += &format!("\n  {error}");
        }
        let stack = Stack::find(self.aws, self.stack).await.ok().flatten();
        let advice = stack.and_then(|stack| advice(self.aws, self.stack, &stack.status));
        let advice = advice.unwrap_or_else(|| "Fix that, then run the same command again.".into());
        Failure::Refused(format!("{text}\n{advice}"))
    }
}

/// Refuses to deploy a stack in a state that does not allow it.
///
/// # Errors
/// Refused, with what to do first.
pub fn must_be_free(aws: &AwsCli, name: &str, stack: Option<&Stack>) -> Outcome {
    match stack.and_then(|stack| advice(aws, name, &stack.status)) {
        Some(advice) => refused(advice),
        None => Ok(()),
    }
}

/// What must be done before a stack in that state can be deployed.
fn advice(aws: &AwsCli, stack: &str, status: &StackStatus) -> Option<String> {
    let call = |operation| {
        aws.call("cloudformation", operation)
            .option("--stack-name", stack)
            .shown()
    };
    match status.state() {
        StackState::NeverComplete => Some(format!(
            "The stack was never complete and is {status}. Delete it with `{}`, fix the cause, then run the same command again.",
            call("delete-stack")
        )),
        StackState::Stuck => Some(format!(
            "The stack is stuck in a rollback. Run `{}`, fix the cause, then run the same command again.",
            call("continue-update-rollback")
        )),
        StackState::Busy => Some(format!(
            "Another deployment is in progress ({status}). Run the same command again when `{}` shows that it has ended.",
            call("describe-stacks")
        )),
        StackState::Deployed | StackState::Failed | StackState::OnlyReviewed => None,
    }
}

/// What an event says about its resource, or of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Created,
    Updated,
    Deleted,
    Failed,
    RollingBack,
    /// Started, cleaning up, or any other status.
    Other,
}

impl Event {
    fn step(&self) -> Step {
        match self.resource_status.as_str() {
            "CREATE_COMPLETE" => Step::Created,
            "UPDATE_COMPLETE" => Step::Updated,
            "DELETE_COMPLETE" => Step::Deleted,
            status if status.ends_with("_FAILED") => Step::Failed,
            status if status.contains("ROLLBACK_IN_PROGRESS") => Step::RollingBack,
            _ => Step::Other,
        }
    }

    fn is_of_stack(&self) -> bool {
        self.resource_type == "AWS::CloudFormation::Stack"
    }

    /// Whether it is a cause, and not a consequence of another failure.
    fn is_a_cause(&self) -> bool {
        self.step() == Step::Failed
            && !self.is_of_stack()
            && !self
                .resource_status_reason
                .to_lowercase()
                .contains("cancelled")
    }
}
