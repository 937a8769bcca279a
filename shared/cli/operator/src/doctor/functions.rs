//! The functions of a stack: they exist, events reach them, and they have the rights they need.

use std::collections::BTreeMap;

use futures::FutureExt as _;
use futures::future::join_all;
use serde::Deserialize;
use serde_json::Value;
use towline_bus::rules::{FUNCTIONS, RULES};
use towline_client::aws_cli::AwsError;

use super::check::{Check, grouped};
use super::place::Place;
use super::report::{Findings, Wrong};
use super::role;
use crate::policy::Policy;
use crate::templates;

/// The service that delivers events.
pub const EVENTS: &str = "events.amazonaws.com";
/// The service that delivers requests.
const GATEWAY: &str = "apigateway.amazonaws.com";
/// The functions behind the API (infra/template.yaml).
const DOORS: [&str; 2] = ["answer-chat", "receive-github"];

/// An expected rule.
struct Rule {
    function: &'static str,
    /// The name of the bus in rule files: `default` or `towline`.
    bus: String,
    pattern: Value,
}

pub async fn look(place: &Place<'_>) -> Vec<Findings> {
    let rules = rules();
    let mut checks: Vec<Check<'_>> = FUNCTIONS
        .iter()
        .map(|name| function(place, name, &rules))
        .collect();
    checks.push(schedule(place));
    let groups = [
        ("Functions", format!("all {} are active", FUNCTIONS.len())),
        (
            "Rules",
            "the rules of these functions and the schedule of the sweep are as they should be"
                .into(),
        ),
        (
            "Rights",
            "these functions have the rights they need, and may be called by those who need them"
                .into(),
        ),
    ];
    grouped(checks, &groups).await
}

fn function<'a>(place: &'a Place<'_>, name: &'static str, rules: &'a [Rule]) -> Check<'a> {
    let call = place.call("lambda", "get-function-configuration");
    let call = call.option("--function-name", format!("{}-{name}", place.name));
    Check::read("Functions", name, call)
        .needed(format!("{name} is missing"), &place.put_back)
        .judge(move |function| {
            let reasons = ["StateReason", "LastUpdateStatusReason"];
            let reason = reasons.iter().find_map(|key| function[key].as_str());
            let reason = reason.unwrap_or("no reason given");
            let state = function["State"].as_str().unwrap_or("Active");
            let update = function["LastUpdateStatus"].as_str();
            let what = match update.unwrap_or("Successful") {
                _ if !matches!(state, "Active" | "Inactive") => format!("is {state}"),
                "Successful" => return None,
                update => format!("was not updated ({update})"),
            };
            Some(Wrong::new(format!("{name} {what}: {reason}"), &place.again))
        })
        .then(move |function| {
            let arn = function["FunctionArn"].as_str().unwrap_or_default();
            let own = rules.iter().filter(|rule| rule.function == name);
            own.map(|wanted| rule(place, wanted, arn)).collect()
        })
        .then(move |function| {
            let text = |key: &str| function[key].as_str().unwrap_or_default();
            let role = role::name_of(text("Role"));
            vec![
                callers(place, name, text("FunctionArn")),
                rights(place, name, role),
            ]
        })
}

/// The rules of `events/rules`, one for each bus.
fn rules() -> Vec<Rule> {
    let of_function = |(function, text): (&'static str, &str)| {
        let buses: BTreeMap<String, Value> = serde_json::from_str(text).unwrap_or_default();
        buses.into_iter().map(move |(bus, pattern)| Rule {
            function,
            bus,
            pattern,
        })
    };
    RULES.into_iter().flat_map(of_function).collect()
}

/// The rule that leads to a function: enabled, and with the pattern of `events/rules`.
fn rule<'a>(place: &'a Place<'_>, wanted: &'a Rule, arn: &str) -> Check<'a> {
    // Our own bus has the name of the stack.
    let bus = match wanted.bus.as_str() {
        "default" => "default",
        _ => place.stack.output("BusName").unwrap_or(place.name),
    };
    let what = format!("{} on the bus {bus}", wanted.function);
    let call = move |operation, rule: &Value| {
        let name = rule["Name"].as_str().unwrap_or_default();
        let call = place.call("events", operation).option("--name", name);
        call.option("--event-bus-name", bus)
    };
    let read = deployed(place, bus, arn.to_owned()).boxed();
    Check::of("Rules", what.clone(), read).judge(move |rules| {
        let rules = rules.as_array().cloned().unwrap_or_default();
        let is_same = |rule: &&Value| {
            let pattern = rule["EventPattern"].as_str().unwrap_or_default();
            serde_json::from_str::<Value>(pattern)
                .is_ok_and(|it| normal(it) == normal(wanted.pattern.clone()))
        };
        match (rules.iter().find(is_same), rules.first()) {
            (Some(rule), _) if rule["State"] == "DISABLED" => Some(Wrong::new(
                format!("{what}: its rule is disabled"),
                call("enable-rule", rule).shown(),
            )),
            (Some(_), _) => None,
            (None, None) => Some(Wrong::new(
                format!("{what}: no rule sends events to it"),
                &place.put_back,
            )),
            (None, Some(rule)) => Some(Wrong::new(
                format!("{what}: its rule matches the wrong events"),
                format!(
                    "{}; or, if somebody has changed the rule by hand: {}",
                    place.again,
                    call("put-rule", rule)
                        .option("--event-pattern", &wanted.pattern)
                        .shown()
                ),
            )),
        }
    })
}

/// The rules of a bus that lead to a function.
async fn deployed(place: &Place<'_>, bus: &str, arn: String) -> Result<Value, AwsError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Named {
        rule_names: Vec<String>,
    }
    let call = |operation| place.call("events", operation);
    let named = call("list-rule-names-by-target")
        .option("--target-arn", arn)
        .option("--event-bus-name", bus);
    let named: Named = match named.json().await {
        Err(error) if error.is_absent() => return Ok(Value::Null),
        named => named?,
    };
    let described = named.rule_names.iter().map(|name| {
        call("describe-rule")
            .option("--name", name)
            .option("--event-bus-name", bus)
            .json::<Value>()
    });
    let rules: Result<Vec<Value>, AwsError> = join_all(described).await.into_iter().collect();
    Ok(Value::Array(rules?))
}

/// A pattern with its lists sorted: their order means nothing.
fn normal(mut pattern: Value) -> Value {
    match &mut pattern {
        Value::Array(list) => {
            for item in list.iter_mut() {
                *item = normal(item.take());
            }
            list.sort_by_key(ToString::to_string);
        }
        Value::Object(fields) => {
            for field in fields.values_mut() {
                *field = normal(field.take());
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    pattern
}

fn schedule<'a>(place: &'a Place<'_>) -> Check<'a> {
    let call = place.call("scheduler", "get-schedule");
    let call = call.option("--name", format!("{}-sweep", place.name));
    Check::read("Rules", "the schedule of the sweep", call)
        .needed(
            "the sweep has no schedule, so lost work is not found again",
            &place.put_back,
        )
        .must(
            "/State",
            |state| state != "DISABLED",
            "the schedule of the sweep is disabled",
            &place.put_back,
        )
}

/// The services that deliver events and requests may call the function.
fn callers<'a>(place: &'a Place<'_>, name: &'static str, arn: &str) -> Check<'a> {
    let call = place.call("lambda", "get-policy");
    let call = call.option("--function-name", arn);
    let is_ruled = RULES.iter().any(|(ruled, _)| *ruled == name);
    let needed = [(is_ruled, EVENTS), (DOORS.contains(&name), GATEWAY)];
    let check = Check::read("Rights", format!("who may call {name}"), call).or_empty();
    needed
        .into_iter()
        .filter(|(is_needed, _)| *is_needed)
        .fold(check, |check, (_, service)| {
            check.judge(move |answer| {
                let may =
                    Policy::read(&answer["Policy"]).lets_service(service, "lambda:InvokeFunction");
                let what = format!("{name}: {service} is not allowed to call it");
                (!may).then(|| Wrong::new(what, &place.put_back))
            })
        })
}

/// The role of a function has the rights that the template gives it.
fn rights<'a>(place: &'a Place<'_>, name: &'static str, role: &str) -> Check<'a> {
    let read = role::policies(place.aws, role);
    Check::of("Rights", format!("the role of {name}"), read)
        .needed(
            format!("{name}: its role {role} is missing"),
            &place.put_back,
        )
        .judge(move |document| {
            let policy = Policy::read(document);
            let lacks: Vec<String> = templates::actions(templates::CONTROL, name)
                .into_iter()
                .filter(|action| policy.resources_of(action).is_empty())
                .collect();
            let what = format!("{name}: its role is not allowed {}", lacks.join(", "));
            (!lacks.is_empty()).then(|| Wrong::new(what, &place.put_back))
        })
}
