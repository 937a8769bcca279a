//! The rules that carry events: there, switched on, the same as in `events/rules`, and leading to
//! their function.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde::Deserialize;
use serde_json::Value;

use super::machinery::Place;
use super::report::Findings;
use super::rights::Function;
use towline_bus::rules::RULES;
use towline_client::aws_cli::AwsError;

/// One rule as it is deployed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    name: String,
    state: String,
    #[serde(default)]
    event_pattern: String,
}

/// One rule as it should be.
struct Wanted {
    function: &'static str,
    /// As rule files call it: `default` or `towline`.
    bus: String,
    pattern: Value,
}

/// Looks at the rules that lead to the functions that are there.
pub async fn look(place: &Place<'_>, functions: &[Function]) -> Findings {
    let mut findings = Findings::of("Rules");
    let wanted = wanted();
    let asked = wanted.iter().map(|wanted| async {
        match functions.iter().find(|it| it.name == wanted.function) {
            Some(function) => Some(deployed(place, &wanted.bus, &function.arn).await),
            None => None,
        }
    });
    let answers = join_all(asked).await;
    for (wanted, answer) in wanted.iter().zip(answers) {
        let what = format!(
            "{} on the bus {}",
            wanted.function,
            bus_of(place, &wanted.bus)
        );
        match answer {
            None => findings.unknown(what, "the function itself could not be seen"),
            Some(Err(error)) => findings.refused(what, &error),
            Some(Ok(rules)) => judge(&mut findings, place, wanted, &what, &rules),
        }
    }
    sweep(place, &mut findings).await;
    findings.good_unless_found(format!(
        "all {} are on, as they should be, and lead to their functions; so does the schedule of the sweep",
        wanted.len()
    ));
    findings
}

fn judge(findings: &mut Findings, place: &Place<'_>, wanted: &Wanted, what: &str, rules: &[Rule]) {
    let is_same = |rule: &&Rule| {
        serde_json::from_str::<Value>(&rule.event_pattern)
            .is_ok_and(|it| normal(it) == normal(wanted.pattern.clone()))
    };
    let call = |operation, rule: &Rule| {
        let call = place
            .aws
            .call("events", operation)
            .option("--name", &rule.name);
        call.option("--event-bus-name", bus_of(place, &wanted.bus))
    };
    match rules.iter().find(is_same) {
        Some(rule) if rule.state == "DISABLED" => findings.wrong(
            format!("{what} is switched off"),
            call("enable-rule", rule).shown(),
        ),
        Some(_) => {}
        None if rules.is_empty() => {
            findings.wrong(
                format!("{what}: no rule leads there"),
                place.put_back.clone(),
            );
        }
        None => findings.wrong(
            format!("{what}: its rule hears other events than it should"),
            format!(
                "{}; or, where somebody has changed the rule by hand: {}",
                place.again,
                call("put-rule", &rules[0])
                    .option("--event-pattern", &wanted.pattern)
                    .shown()
            ),
        ),
    }
}

/// A pattern's lists mean the same in any order.
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

fn wanted() -> Vec<Wanted> {
    let mut all = Vec::new();
    for (function, text) in RULES {
        let rule: BTreeMap<String, Value> = serde_json::from_str(text).unwrap_or_default();
        all.extend(rule.into_iter().map(|(bus, pattern)| Wanted {
            function,
            bus,
            pattern,
        }));
    }
    all
}

/// Our own bus is called as the stack.
fn bus_of<'a>(place: &'a Place<'_>, bus: &'a str) -> &'a str {
    match bus {
        "default" => bus,
        _ => place.stack.output("BusName").unwrap_or(place.name),
    }
}

async fn deployed(place: &Place<'_>, bus: &str, arn: &str) -> Result<Vec<Rule>, AwsError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Named {
        rule_names: Vec<String>,
    }
    let bus = bus_of(place, bus);
    let call = place.aws.call("events", "list-rule-names-by-target");
    let call = call
        .option("--target-arn", arn)
        .option("--event-bus-name", bus);
    let named: Named = match call.json().await {
        Err(error) if error.is_absent() => return Ok(Vec::new()),
        named => named?,
    };
    let asked = named.rule_names.iter().map(|name| {
        let call = place.aws.call("events", "describe-rule");
        call.option("--name", name)
            .option("--event-bus-name", bus)
            .json::<Rule>()
    });
    join_all(asked).await.into_iter().collect()
}

async fn sweep(place: &Place<'_>, findings: &mut Findings) {
    let name = format!("{}-sweep", place.name);
    let call = place.aws.call("scheduler", "get-schedule");
    match call.option("--name", &name).json::<Value>().await {
        Ok(schedule) if schedule["State"] == "DISABLED" => {
            findings.wrong(
                "the schedule of the sweep is switched off",
                place.put_back.clone(),
            );
        }
        Ok(_) => {}
        Err(error) if error.is_absent() => {
            findings.wrong(
                "the sweep has no schedule, so nothing lost is found again",
                place.put_back.clone(),
            );
        }
        Err(error) => findings.refused("the schedule of the sweep", &error),
    }
}
