//! Compares what the functions' roles allow with the requests that the functions made.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use serde_json::Value;
use towline_rehearsal::recording::Request;
use towline_rehearsal::stack::{FUNCTIONS, STACK};

use super::driver::Driver;

/// What every role allows, through the policy that they share, because every function uses the
/// table and the bus; which function uses it depends on events. At least one must.
const SHARED: &[&str] = &[
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
    "events:PutEvents",
];

/// What a role allows although its function does not need it in the rehearsal, and why.
const NOT_PROVOKED: &[(&str, &str, &str)] = &[
    (
        "",
        "sqs:SendMessage",
        "Lambda sends failed events to the dead-letter queue by it",
    ),
    (
        "",
        "dynamodb:DeleteItem",
        "ends an intent that has an item of its own",
    ),
    (
        "",
        "dynamodb:UpdateItem",
        "owes an intent that has an item of its own",
    ),
    ("", "logs:CreateLogStream", "Lambda writes logs by it"),
    ("", "logs:PutLogEvents", "Lambda writes logs by it"),
    (
        "start-builds",
        "codebuild:BatchGetBuilds",
        "looks for a build after CodeBuild forgot the token",
    ),
    (
        "start-builds",
        "codebuild:ListBuildsForProject",
        "looks for a build after CodeBuild forgot the token",
    ),
    (
        "advance-stages",
        "codebuild:BatchGetBuilds",
        "asks again when an event has an unknown status",
    ),
    (
        "promote-images",
        "ecr:DescribeImages",
        "tells an archived image from one that is gone",
    ),
];

/// Each function's role allows what the function asks for, and nothing else without a reason.
pub async fn are_exact(driver: &Driver<'_>) -> anyhow::Result<()> {
    let requests = driver.stack.proxy.recording().since(0);
    let details = driver
        .aws(&["iam", "get-account-authorization-details"])
        .await?;
    let functions = driver.aws(&["lambda", "list-functions"]).await?;
    let mut wrong = Vec::new();
    for function in FUNCTIONS {
        let asked: BTreeSet<String> = requests
            .iter()
            .filter(|request| request.function == *function)
            .flat_map(actions)
            .collect();
        let name = format!("{STACK}-{function}");
        let mut known = functions["Functions"].as_array().into_iter().flatten();
        let known = known.find(|known| known["FunctionName"] == name.as_str());
        let role = known
            .and_then(|known| known["Role"].as_str())
            .unwrap_or_default();
        let allowed = allowed(&details, role.rsplit('/').next().unwrap_or_default());
        for action in asked.difference(&allowed) {
            wrong.push(format!(
                "{function} asks for {action}, which its role does not allow"
            ));
        }
        for action in allowed.difference(&asked) {
            let known = NOT_PROVOKED
                .iter()
                .any(|(of, known, _)| (of.is_empty() || of == function) && known == action);
            if !known && !SHARED.contains(&action.as_str()) {
                wrong.push(format!(
                    "{function} never asks for {action}, which its role allows"
                ));
            }
        }
    }
    let all: BTreeSet<String> = requests.iter().flat_map(actions).collect();
    let provoked = |action: &str| !NOT_PROVOKED.iter().any(|(_, known, _)| *known == action);
    let missing = SHARED.iter().filter(|action| !all.contains(**action));
    for action in missing.filter(|action| provoked(action)) {
        wrong.push(format!("nobody asks for {action}, which every role allows"));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The IAM actions for a request; a transaction needs the rights for each of its parts.
fn actions(request: &Request) -> Vec<String> {
    let operation = request.operation.as_str();
    if operation != "TransactWriteItems" {
        return vec![format!("{}:{operation}", request.service)];
    }
    let parts = request.body["TransactItems"]
        .as_array()
        .into_iter()
        .flatten();
    let parts = parts
        .filter_map(Value::as_object)
        .flat_map(|part| part.keys());
    let words: BTreeMap<&str, &str> = [
        ("Put", "PutItem"),
        ("Update", "UpdateItem"),
        ("Delete", "DeleteItem"),
    ]
    .into();
    parts
        .map(|part| format!("dynamodb:{}", words[part.as_str()]))
        .collect()
}

/// The actions that a role's policies allow, its own and shared ones.
fn allowed(details: &Value, role: &str) -> BTreeSet<String> {
    let roles = details["RoleDetailList"].as_array().into_iter().flatten();
    let mut roles = roles.filter(|known| known["RoleName"] == role);
    let role = roles.next().cloned().unwrap_or_default();
    let own = list(&role["RolePolicyList"]);
    let own = own
        .into_iter()
        .map(|policy| policy["PolicyDocument"].clone());
    let attached = list(&role["AttachedManagedPolicies"]);
    let shared = list(&details["Policies"]).into_iter().filter(|policy| {
        attached
            .iter()
            .any(|attached| attached["PolicyArn"] == policy["Arn"])
    });
    let versions = shared.flat_map(|policy| list(&policy["PolicyVersionList"]));
    let current = versions.filter(|version| version["IsDefaultVersion"] == true);
    let documents = own.chain(current.map(|version| version["Document"].clone()));
    let statements = documents.flat_map(|document| list(&document["Statement"]));
    let actions = statements.flat_map(|statement| list(&statement["Action"]));
    actions
        .filter_map(|action| action.as_str().map(str::to_owned))
        .collect()
}

/// A value in a policy, alone or as a list.
fn list(value: &Value) -> Vec<Value> {
    match value.as_array() {
        Some(all) => all.clone(),
        None if value.is_null() => Vec::new(),
        None => vec![value.clone()],
    }
}
