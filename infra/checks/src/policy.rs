//! Our rules about permissions.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::Template;

/// The only actions that may be allowed on `*`, with reasons.
pub const WITHOUT_A_RESOURCE: [(&str, &str); 3] = [
    (
        "ecr:GetAuthorizationToken",
        "a token is for all that the role may do; it names no repository",
    ),
    (
        "xray:PutTraceSegments",
        "a trace belongs to nothing that has an ARN",
    ),
    ("xray:PutTelemetryRecords", "nor does what is said about it"),
];

/// Services that may act only for our resources or our account.
const CONFUSED_DEPUTIES: [&str; 4] = [
    "codebuild.amazonaws.com",
    "events.amazonaws.com",
    "scheduler.amazonaws.com",
    "apigateway.amazonaws.com",
];

/// A statement of a policy, and its place.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// The resource in the template that contains it.
    pub of: &'a str,
    pub says: &'a Value,
}

impl<'a> Statement<'a> {
    #[must_use]
    pub fn actions(self) -> Vec<&'a str> {
        texts(&self.says["Action"])
    }

    fn allows(self) -> bool {
        self.says["Effect"] != "Deny"
    }

    /// Whether one of its resources is just `*`.
    fn is_on_everything(self) -> bool {
        texts(&self.says["Resource"]).contains(&"*")
    }
}

/// One string or a list of strings; computed values are skipped.
fn texts(value: &Value) -> Vec<&str> {
    match value.as_array() {
        Some(all) => all.iter().filter_map(Value::as_str).collect(),
        None => value.as_str().into_iter().collect(),
    }
}

#[must_use]
pub fn statements(template: &Template) -> Vec<Statement<'_>> {
    let mut found = Vec::new();
    for (of, resource) in template.resources() {
        collect(of, &resource["Properties"], &mut found);
    }
    found
}

fn collect<'a>(of: &'a str, value: &'a Value, found: &mut Vec<Statement<'a>>) {
    match value {
        Value::Object(entries) if entries.contains_key("Effect") => {
            found.push(Statement { of, says: value });
        }
        Value::Object(entries) => entries.values().for_each(|value| collect(of, value, found)),
        Value::Array(items) => items.iter().for_each(|value| collect(of, value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What a template allows but must not.
#[must_use]
pub fn complaints(template: &Template) -> Vec<String> {
    let mut found = Vec::new();
    for statement in statements(template).into_iter().filter(|it| it.allows()) {
        for complaint in complaints_about(statement) {
            found.push(format!("{}: {complaint}", statement.of));
        }
    }
    for (name, permission) in template.of("AWS::Lambda::Permission") {
        if permission["SourceArn"].is_null() {
            found.push(format!("{name}: lets any API in"));
        }
    }
    found.extend(template.of("AWS::IAM::Role").filter_map(foreign_policy));
    found
}

fn complaints_about(statement: Statement<'_>) -> Vec<String> {
    let says = statement.says;
    let mut found = Vec::new();
    for key in ["NotAction", "NotResource", "NotPrincipal"] {
        if !says[key].is_null() {
            found.push(format!("{key} allows what nobody has thought of"));
        }
    }
    let actions = statement.actions();
    if actions.is_empty() {
        found.push("allows actions that cannot be read here".into());
    }
    for action in &actions {
        let may_be_anywhere = WITHOUT_A_RESOURCE.iter().any(|(name, _)| name == action);
        if action.contains('*') {
            found.push(format!("{action} is more than one action"));
        } else if action.starts_with("iam:") {
            found.push(format!("{action} hands out rights"));
        } else if statement.is_on_everything() && !may_be_anywhere {
            found.push(format!("{action} on everything"));
        }
    }
    let principal = &says["Principal"];
    let service = principal["Service"].as_str();
    let limited = ["aws:SourceArn", "aws:SourceAccount"]
        .iter()
        .any(|key| says["Condition"].to_string().contains(key));
    match service {
        Some(service) if CONFUSED_DEPUTIES.contains(&service) && !limited => {
            found.push(format!("{service} may act for any account"));
        }
        None if !principal.is_null() => found.push(format!("{principal} is no service")),
        _ => {}
    }
    if principal.is_null() && says["Resource"].is_null() {
        found.push("names no resource".into());
    }
    found
}

/// A policy from elsewhere: AWS's managed policies allow more than needed.
fn foreign_policy((name, role): (&str, &Value)) -> Option<String> {
    let attached = role["ManagedPolicyArns"].as_array()?;
    let foreign = attached.iter().find(|it| it["Ref"].is_null())?;
    Some(format!("{name}: {foreign} is not written here"))
}

/// The actions of a role, from its own statements and attached policies.
#[must_use]
pub fn may<'a>(template: &'a Template, role: &str) -> BTreeSet<&'a str> {
    let properties = &template.resources()[role]["Properties"];
    let attached = properties["ManagedPolicyArns"].as_array();
    let mut of: Vec<&str> = attached
        .into_iter()
        .flatten()
        .filter_map(|policy| policy["Ref"].as_str())
        .collect();
    of.push(role);
    let all = statements(template).into_iter();
    all.filter(|it| of.contains(&it.of) && it.says["Principal"].is_null())
        .flat_map(Statement::actions)
        .collect()
}
