//! What functions may do, and who may call them, against what the template gives.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::Value;

use super::component::role_policy;
use super::machinery::Place;
use super::report::Findings;
use crate::policy::Policy;
use crate::templates;
use towline_bus::rules::RULES;

/// Who carries events.
pub const EVENTS: &str = "events.amazonaws.com";
/// Who carries requests.
const GATEWAY: &str = "apigateway.amazonaws.com";
/// The functions behind the API (infra/template.yaml).
const DOORS: [&str; 2] = ["answer-chat", "receive-github"];
/// The policy that all roles of functions have.
const EVERYBODY: &str = "EveryFunction";

/// A function as far as rights are about it.
pub struct Function {
    /// Its name, as its folder.
    pub name: &'static str,
    /// Its address.
    pub arn: String,
    /// Its role's ARN; empty when it is not known.
    pub role: String,
}

/// Looks at each of them.
pub async fn look(place: &Place<'_>, functions: &[Function]) -> Findings {
    let mut findings = Findings::of("Rights");
    let asked = functions.iter().map(|function| one(place, function));
    for found in join_all(asked).await {
        findings.extend(found);
    }
    if !functions.is_empty() {
        findings.good_unless_found(
            "functions may do what they have to, and are called by those who have to",
        );
    }
    findings
}

async fn one(place: &Place<'_>, function: &Function) -> Findings {
    let mut findings = Findings::of("Rights");
    let name = function.name;
    let call = place.aws.call("lambda", "get-policy");
    let call = call.option("--function-name", &function.arn);
    let role = function.role.rsplit('/').next().unwrap_or_default();
    let (callers, own) = tokio::join!(call.json::<Value>(), role_policy(place.aws, role));
    let is_ruled = RULES.iter().any(|(ruled, _)| *ruled == name);
    let needed = is_ruled
        .then_some(EVENTS)
        .into_iter()
        .chain(DOORS.contains(&name).then_some(GATEWAY));
    let mut policy = Policy::default();
    match callers {
        Ok(answer) => policy.take(&answer["Policy"]),
        Err(error) if error.is_absent() => {}
        Err(error) => {
            findings.refused(format!("who may call {name}"), &error);
            policy.take(&serde_json::json!({"Statement": {
                "Effect": "Allow", "Principal": "*", "Action": "lambda:InvokeFunction",
            }}));
        }
    }
    for service in needed {
        if !policy.lets_service(service, "lambda:InvokeFunction") {
            findings.wrong(
                format!("{name}: {service} may not call it"),
                place.put_back.clone(),
            );
        }
    }
    match own {
        Ok(policy) => {
            let lacks: Vec<String> = actions(templates::CONTROL, name)
                .into_iter()
                .filter(|action| policy.resources_of(action).is_empty())
                .collect();
            if !lacks.is_empty() {
                findings.wrong(
                    format!("{name}: its role lacks {}", lacks.join(", ")),
                    place.put_back.clone(),
                );
            }
        }
        Err(error) if error.is_absent() => findings.wrong(
            format!("{name}: its role {role} is gone"),
            place.put_back.clone(),
        ),
        Err(error) => findings.refused(format!("the role of {name}"), &error),
    }
    findings
}

/// What the template lets a function do, but for what hangs on a parameter.
fn actions(template: &str, function: &str) -> Vec<String> {
    let blocks = blocks(template);
    let plain: String = function.replace('-', "");
    let is_its = |block: &str| block.eq_ignore_ascii_case(&format!("{plain}Role"));
    let mut all = Vec::new();
    for (name, lines) in &blocks {
        if !is_its(name) && *name != EVERYBODY {
            continue;
        }
        // What stands under `!If` may rightly be missing.
        let mut under: Option<usize> = None;
        for line in lines {
            let depth = line.len() - line.trim_start().len();
            if under.is_some_and(|above| depth > above) {
                continue;
            }
            under = line.contains("!If").then_some(depth);
            if line.trim_start().starts_with('#') {
                continue;
            }
            let words = line.split([' ', ',', '[', ']', '{', '}']);
            all.extend(words.filter(|word| is_action(word)).map(str::to_owned));
        }
    }
    all.sort();
    all.dedup();
    all.retain(|action| action != "sts:AssumeRole");
    all
}

/// The template's resources by name, each with its lines.
fn blocks(template: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut blocks: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut current = "";
    for line in template.lines() {
        let name = line
            .strip_prefix("  ")
            .and_then(|rest| rest.strip_suffix(':'));
        match name {
            Some(name) if name.chars().all(|it| it.is_ascii_alphanumeric()) => current = name,
            _ => blocks.entry(current).or_default().push(line),
        }
    }
    blocks
}

/// Such as `dynamodb:GetItem`.
fn is_action(word: &str) -> bool {
    let Some((service, action)) = word.split_once(':') else {
        return false;
    };
    !service.is_empty()
        && service
            .bytes()
            .all(|it| it.is_ascii_lowercase() || it == b'-')
        && action.starts_with(|first: char| first.is_ascii_uppercase())
        && action.bytes().all(|it| it.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_tells_what_a_function_may_do() {
        let sweep = actions(templates::CONTROL, "sweep");
        for action in [
            "dynamodb:Query",
            "codebuild:BatchGetBuilds",
            "logs:PutLogEvents",
            "events:PutEvents",
        ] {
            assert!(
                sweep.iter().any(|it| it == action),
                "{sweep:?} lacks {action}"
            );
        }
        for action in ["sts:AssumeRole", "xray:PutTraceSegments", "ecr:PutImage"] {
            assert!(
                !sweep.iter().any(|it| it == action),
                "{sweep:?} has {action}"
            );
        }
        let template = "  SweepRole:\n    - !If\n      - Traced\n      - Action: xray:Put\n    Action: [a:B, c:D]\n  Other:\n    Action: e:F\n";
        assert_eq!(actions(template, "sweep"), ["a:B", "c:D"]);
    }
}
