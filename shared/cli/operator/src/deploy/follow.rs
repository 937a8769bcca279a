//! Follows CloudFormation while it works: each thing made or changed, and why it failed.

use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;
use towline_console::style::{Style, paint};
use towline_domain::untrusted::Untrusted;
use towline_ports::Clock as _;

use towline_client::aws_cli::{AwsCli, AwsError, Call};
use towline_client::stack::Stack;
use towline_console::outcome::{Failure, Outcome};
use towline_console::output::Output;
use towline_ports::system::SystemClock;

/// How often is asked.
const EVERY: Duration = Duration::from_secs(4);
/// Events asked for at a time, the newest ones.
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
    /// The command line.
    pub aws: &'a AwsCli,
    /// The stack.
    pub stack: &'a str,
    /// Where it is told.
    pub output: Output,
}

impl Follow<'_> {
    /// Runs the deployment to its end; whether anything changed.
    ///
    /// # Errors
    /// Refused with the reasons and what to do, when CloudFormation does not get there.
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
            // A question that fails on the way is asked again; the deployment itself decides.
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
        let is_stack = event.resource_type == "AWS::CloudFormation::Stack";
        let status = event.resource_status.as_str();
        let (style, verb) = match status {
            _ if status.ends_with("_FAILED") => (Style::Bad, "failed"),
            _ if status.contains("ROLLBACK_IN_PROGRESS") && is_stack => (Style::Bad, "goes back"),
            _ if is_stack => return,
            "CREATE_COMPLETE" => (Style::Good, "made"),
            "UPDATE_COMPLETE" => (Style::Good, "changed"),
            "DELETE_COMPLETE" => (Style::Quiet, "removed"),
            _ => return,
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
        let mut text = format!("CloudFormation could not deploy {}", self.stack);
        for event in failed {
            let reason = Untrusted::text(&event.resource_status_reason, LONGEST).display();
            text += &format!("\n  {}: {reason}", event.logical_resource_id);
        }
        if failed.is_empty() {
            text += &format!("\n  {error}");
        }
        let stack = Stack::find(self.aws, self.stack).await.ok().flatten();
        let status = stack.map(|stack| stack.status).unwrap_or_default();
        Failure::Refused(format!("{text}\n{}", self.advice(&status)))
    }

    fn advice(&self, status: &str) -> String {
        advice(self.aws, self.stack, status)
            .unwrap_or_else(|| "Mend that, and run the same command again.".into())
    }
}

/// What has to be done before a stack in that state can be deployed, if anything has.
#[must_use]
pub fn advice(aws: &AwsCli, stack: &str, status: &str) -> Option<String> {
    let call = |operation| {
        aws.call("cloudformation", operation)
            .option("--stack-name", stack)
            .shown()
    };
    match status {
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" | "DELETE_FAILED" => {
            Some(format!(
                "The stack was never whole and is {status}; remove it with `{}`, mend the cause, and run the same command again.",
                call("delete-stack")
            ))
        }
        "UPDATE_ROLLBACK_FAILED" => Some(format!(
            "The stack is stuck half-way back; run `{}`, mend the cause, and run the same command again.",
            call("continue-update-rollback")
        )),
        "UPDATE_ROLLBACK_COMPLETE" | "IMPORT_ROLLBACK_COMPLETE" => None,
        // What a person left behind who looked at a change set and made nothing of it.
        "REVIEW_IN_PROGRESS" => None,
        _ if status.ends_with("_IN_PROGRESS") => Some(format!(
            "The stack is being worked on ({status}); run the same command again when `{}` shows it done.",
            call("describe-stacks")
        )),
        _ => None,
    }
}

impl Event {
    /// Whether it says why, and not only that something else failed first.
    fn is_a_cause(&self) -> bool {
        self.resource_status.ends_with("_FAILED")
            && self.resource_type != "AWS::CloudFormation::Stack"
            && !self
                .resource_status_reason
                .to_lowercase()
                .contains("cancelled")
    }
}
