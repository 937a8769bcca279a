//! The stack to check, and the commands that repair it.

use towline_client::aws_cli::{AwsCli, Call};
use towline_client::stack::{Place as Options, Stack, StackState};

use super::report::Findings;

pub struct Place<'a> {
    pub aws: &'a AwsCli,
    pub name: &'a str,
    pub stack: &'a Stack,
    /// The options that name region and profile to any command.
    pub options: String,
    /// The options that name the stack to our own commands.
    pub at: String,
    /// The command that deploys it again.
    pub again: String,
    /// The command that undoes differences from the template.
    pub put_back: String,
    /// The command that undoes differences from a component's template.
    pub components_back: String,
}

impl<'a> Place<'a> {
    pub fn new(
        aws: &'a AwsCli,
        name: &'a str,
        stack: &'a Stack,
        options: &Options,
        region: &str,
    ) -> Self {
        let options = options.options(region);
        let at = format!("--stack {name} {options}");
        let or_drift =
            |command: &str| format!("{command}; if that changes nothing, see Drift below");
        let again = format!("towline deploy {at}");
        Self {
            aws,
            name,
            stack,
            put_back: or_drift(&again),
            components_back: or_drift(&format!("towline deploy components {options}")),
            again,
            at,
            options,
        }
    }

    pub fn call(&self, service: &str, operation: &str) -> Call {
        self.aws.call(service, operation)
    }

    /// An output of the stack, or the finding that it has none.
    pub fn output(&self, group: &'static str, name: &str) -> Result<&'a str, Findings> {
        self.stack.output(name).ok_or_else(|| {
            let mut findings = Findings::of(group);
            findings.wrong(format!("the stack has no output {name}"), &self.again);
            findings
        })
    }

    /// Whether the last deployment ended well.
    pub fn status(&self) -> Findings {
        let mut findings = Findings::of("Stack");
        let status = &self.stack.status;
        match status.state() {
            StackState::Deployed => findings.good(format!("deployed ({status})")),
            StackState::Busy | StackState::OnlyReviewed => findings.unknown(
                format!("a deployment is in progress ({status})"),
                "run this again when it has ended",
            ),
            StackState::Failed | StackState::NeverComplete | StackState::Stuck => {
                let events = self.call("cloudformation", "describe-stack-events");
                let events = events.option("--stack-name", self.name).shown();
                findings.wrong(
                    format!("the last deployment failed ({status})"),
                    format!("see why with `{events}`, fix it, then run {}", self.again),
                );
            }
        }
        findings
    }

    /// How to undo changes made outside of CloudFormation, which compares with the last template and
    /// not with the existing resources (CloudFormation user guide, "Using drift-aware change sets").
    pub fn drift(&self) -> String {
        let keys = self.stack.parameters();
        let keys = keys.keys();
        let kept: String = keys
            .map(|key| format!(" ParameterKey={key},UsePreviousValue=true"))
            .collect();
        let parameters = if kept.is_empty() {
            kept
        } else {
            format!(" --parameters{kept}")
        };
        format!(
            "`towline deploy` does not undo changes made by hand. This does: {}{parameters}. Look at the change set with describe-change-set, and run it with execute-change-set",
            self.revert(self.name, "CAPABILITY_IAM CAPABILITY_AUTO_EXPAND"),
        )
    }

    /// The same for a component's stack.
    pub fn component_drift(&self) -> String {
        format!(
            "a component's stack has the name of its CodeBuild project. This undoes changes made by hand: {} --parameters, with ParameterKey=NAME,UsePreviousValue=true for each of its parameters. Look at the change set with describe-change-set, and run it with execute-change-set",
            self.revert("PROJECT", "CAPABILITY_IAM"),
        )
    }

    fn revert(&self, stack: &str, capabilities: &str) -> String {
        format!(
            "aws cloudformation create-change-set --stack-name {stack} {} --change-set-name put-back --deployment-mode REVERT_DRIFT --use-previous-template --capabilities {capabilities}",
            self.options
        )
    }
}
