//! Delivers events of AWS services to the stack with public APIs only: asks EventBridge which rules of the
//! default bus match, and calls their targets.

use std::collections::BTreeSet;

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::client::Client;

/// A rule and the functions it calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub name: String,
    pub bus: String,
    /// The deployed pattern.
    pub pattern: String,
    /// The names of the functions.
    pub functions: Vec<String>,
}

/// The rules of a bus that have a pattern.
///
/// # Errors
/// When EventBridge does not answer, or a rule changes events.
pub async fn rules(client: &Client, bus: &str) -> anyhow::Result<Vec<Rule>> {
    let listed = client
        .call(
            "events",
            "AWSEvents.ListRules",
            &json!({"EventBusName": bus}),
        )
        .await?;
    let mut rules = Vec::new();
    for rule in listed["Rules"].as_array().into_iter().flatten() {
        let name = rule["Name"].as_str().unwrap_or_default();
        let Some(pattern) = rule["EventPattern"].as_str() else {
            continue;
        };
        let asked = json!({"EventBusName": bus, "Rule": name});
        let targets = client
            .call("events", "AWSEvents.ListTargetsByRule", &asked)
            .await?;
        let mut functions = Vec::new();
        for target in targets["Targets"].as_array().into_iter().flatten() {
            for changing in ["Input", "InputPath", "InputTransformer"] {
                if !target[changing].is_null() {
                    bail!("the rule {name} changes events by {changing}; that is not played here");
                }
            }
            let arn = target["Arn"].as_str().unwrap_or_default();
            let function = arn.split(":function:").nth(1);
            let function = function.ok_or_else(|| anyhow!("{name} calls {arn}, no function"))?;
            functions.push(function.to_owned());
        }
        rules.push(Rule {
            name: name.into(),
            bus: bus.into(),
            pattern: pattern.into(),
            functions,
        });
    }
    Ok(rules)
}

/// Whether a rule matches an event, decided by EventBridge.
///
/// # Errors
/// When EventBridge rejects the pattern or the event.
pub async fn matches(client: &Client, rule: &Rule, event: &Value) -> anyhow::Result<bool> {
    let asked = json!({"EventPattern": rule.pattern, "Event": event.to_string()});
    let answer = client
        .call("events", "AWSEvents.TestEventPattern", &asked)
        .await?;
    answer["Result"]
        .as_bool()
        .with_context(|| format!("whether {} matches is not said", rule.name))
}

/// Delivers events until it is dropped.
pub struct Carrier(JoinHandle<()>);

impl Carrier {
    /// Starts delivering events to the functions of the default bus's rules.
    #[must_use]
    pub fn start(
        client: Client,
        rules: Vec<Rule>,
        mut events: mpsc::UnboundedReceiver<Value>,
    ) -> Self {
        Self(tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if let Err(error) = carry(&client, &rules, &event).await {
                    eprintln!("an event was not delivered: {error:#}\n{event}");
                }
            }
        }))
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Delivers one event, once to each function.
///
/// # Errors
/// When a function cannot be called.
pub async fn carry(client: &Client, rules: &[Rule], event: &Value) -> anyhow::Result<()> {
    let mut functions = BTreeSet::new();
    for rule in rules {
        if matches(client, rule, event).await? {
            functions.extend(&rule.functions);
        }
    }
    for function in functions {
        client.invoke(function, event, true).await?;
    }
    Ok(())
}
