//! Compares `infra/template.yaml` with rules, folders, settings and the table.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{functions, sources, stems, template, text};
use serde_json::{Value, json};
use towline_aws::table::schema;
use towline_infra_checks::Template;

const PATH: &str = "infra/template.yaml";

fn reference(name: &str) -> Value {
    json!({ "Ref": name })
}

fn attribute(name: &str, attribute: &str) -> Value {
    json!({ "Fn::GetAtt": [name, attribute] })
}

/// The rules of a template, in the form of `events/rules`: function, bus, pattern.
fn rules(template: &Template) -> BTreeMap<String, BTreeMap<String, Value>> {
    let mut found: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for (function, _, properties) in template.functions() {
        for rule in rules_of(properties) {
            let bus = &rule["EventBusName"];
            let bus = match bus.as_str() {
                Some(name) => name.to_owned(),
                None if *bus == reference("Bus") => "towline".to_owned(),
                None => panic!("{bus} is no bus"),
            };
            let of = found.entry(function.to_owned()).or_default();
            assert_eq!(
                of.insert(bus, rule["Pattern"].clone()),
                None,
                "{function} hears twice"
            );
        }
    }
    found
}

fn rules_of(function: &Value) -> Vec<&Value> {
    let events = function["Events"].as_object().into_iter().flatten();
    events
        .filter(|(_, event)| event["Type"] == "EventBridgeRule")
        .map(|(_, event)| &event["Properties"])
        .collect()
}

#[test]
fn every_rule_is_the_one_of_its_file() {
    let files: BTreeMap<String, BTreeMap<String, Value>> = stems("events/rules")
        .into_iter()
        .map(|name| {
            let file = text(&format!("events/rules/{name}.json"));
            (name, serde_json::from_str(&file).unwrap())
        })
        .collect();
    assert_eq!(rules(&template(PATH)), files);
}

#[test]
fn what_cannot_be_delivered_is_kept() {
    let template = template(PATH);
    let queue = attribute("DeadLetters", "Arn");
    let mut without = Vec::new();
    for (name, _, function) in template.functions() {
        let events = function["Events"].as_object().into_iter().flatten();
        without.extend(events.filter_map(|(event, it)| {
            let kept = it["Properties"]["DeadLetterConfig"]["Arn"] == queue;
            let tried = it["Properties"]["RetryPolicy"]["MaximumRetryAttempts"].is_number();
            (!kept || !tried).then(|| format!("{name} {event}"))
        }));
    }
    assert_eq!(without, Vec::<String>::new());
    let failed = &template.0["Globals"]["Function"]["EventInvokeConfig"];
    assert_eq!(
        failed["DestinationConfig"]["OnFailure"]["Destination"],
        queue
    );
}

#[test]
fn every_folder_is_a_function_with_its_own_role_and_log() {
    let template = template(PATH);
    let names: BTreeSet<String> = template.functions().map(|it| it.0.to_owned()).collect();
    assert_eq!(names, functions());
    for (name, id, function) in template.functions() {
        let code = format!("../target/lambda/{name}/bootstrap.zip");
        assert_eq!(function["CodeUri"], code.as_str(), "{name}");
        assert_eq!(
            function["Role"],
            attribute(&format!("{id}Role"), "Arn"),
            "{name}"
        );
        let logs = &template.resources()[&format!("{id}Logs")]["Properties"];
        assert_eq!(
            function["LoggingConfig"]["LogGroup"],
            reference(&format!("{id}Logs")),
            "{name}"
        );
        let group = format!("/aws/lambda/${{AWS::StackName}}-{name}");
        assert_eq!(logs["LogGroupName"]["Fn::Sub"], group.as_str(), "{name}");
        let reserved = &function["ReservedConcurrentExecutions"]["Fn::If"];
        assert_eq!(reserved[0], "Reserving", "{name}");
        assert!(reserved[1].as_u64().is_some_and(|most| most > 0), "{name}");
    }
}

#[test]
fn what_is_reserved_is_what_the_parameter_says() {
    let template = template(PATH);
    let reserved =
        |(_, _, it): (_, _, &Value)| it["ReservedConcurrentExecutions"]["Fn::If"][1].as_u64();
    let together: u64 = template.functions().filter_map(reserved).sum();
    let said = template.0["Parameters"]["ReserveConcurrency"]["Description"]
        .as_str()
        .unwrap();
    assert!(
        said.contains(&format!(" {together} in total")),
        "{together}"
    );
}

#[test]
fn every_log_is_kept_for_a_time() {
    let forever: Vec<String> = ["infra/template.yaml", "infra/component.yaml"]
        .iter()
        .flat_map(|path| {
            let template = template(path);
            let groups = template.of("AWS::Logs::LogGroup");
            let forever =
                groups.filter(|(_, it)| it["RetentionInDays"] != reference("LogRetention"));
            forever.map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(forever, Vec::<String>::new());
}

/// Which variables each concern of shared/cloud/lambda reads.
fn concerns() -> BTreeMap<String, BTreeSet<String>> {
    let files = ["settings", "github"];
    let source = files.map(|name| text(&format!("shared/cloud/lambda/src/{name}.rs")));
    let source = source.concat();
    let concerns = source.split("impl Concern for ").skip(1).map(|concern| {
        let (name, body) = concern.split_once(' ').unwrap();
        let body = body.split("\n}\n").next().unwrap();
        let parts = body.split('"').filter(|part| part.starts_with("TOWLINE_"));
        (name.to_owned(), parts.map(str::to_owned).collect())
    });
    concerns.collect()
}

#[test]
fn functions_are_told_what_they_read_and_no_more() {
    let concerns = concerns();
    assert!(concerns.len() >= 7, "settings.rs was misread: {concerns:?}");
    for (name, _, function) in template(PATH).functions() {
        let source = sources(&format!("functions/{name}/src"));
        let is_read = |concern: &str| {
            let asked = [format!("<{concern}>()"), format!("::{concern}>()")];
            match concern {
                // Every function starts with the table and the bus.
                "State" => true,
                // Read by `Start::github`.
                "Access" => source.contains(".github("),
                _ => asked.iter().any(|text| source.contains(text)),
            }
        };
        let read = concerns.iter().filter(|(concern, _)| is_read(concern));
        let reads: BTreeSet<&str> = read
            .flat_map(|(_, variables)| variables.iter().map(String::as_str))
            .collect();
        let told = function["Environment"]["Variables"].as_object().unwrap();
        let told: BTreeSet<&str> = told.keys().map(String::as_str).collect();
        assert_eq!(told, reads, "{name}");
    }
}

#[test]
fn the_table_is_the_one_the_adapter_reads() {
    let template = template(PATH);
    let (_, table) = template.of("AWS::DynamoDB::Table").next().unwrap();
    let key = |hash: &str, range: &str| {
        json!([
            {"AttributeName": hash, "KeyType": "HASH"},
            {"AttributeName": range, "KeyType": "RANGE"},
        ])
    };
    assert_eq!(table["KeySchema"], key(schema::PARTITION, schema::SORT));
    let index = json!([{
        "IndexName": schema::DUE_INDEX,
        "KeySchema": key(schema::DUE_SHARD, schema::DUE),
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }]);
    assert_eq!(table["GlobalSecondaryIndexes"], index);
    let types: BTreeMap<&str, &str> = table["AttributeDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (
                it["AttributeName"].as_str().unwrap(),
                it["AttributeType"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        (schema::PARTITION, "S"),
        (schema::SORT, "S"),
        (schema::DUE_SHARD, "S"),
        (schema::DUE, "N"),
    ];
    assert_eq!(types, BTreeMap::from(expected));
    assert_eq!(
        table["TimeToLiveSpecification"]["AttributeName"],
        schema::EXPIRES
    );
}

#[test]
fn the_ledger_is_not_lost_with_the_stack() {
    let template = template(PATH);
    let table = &template.resources()["Table"];
    // `RetainExceptOnCreate` would block a rollback, because of deletion protection.
    for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
        assert_eq!(table[policy], "Retain", "{policy}");
    }
    assert_eq!(table["Properties"]["DeletionProtectionEnabled"], true);
    let recovery = &table["Properties"]["PointInTimeRecoverySpecification"];
    assert_eq!(recovery["PointInTimeRecoveryEnabled"], true);
}

/// The paths that one machine serves, without those of its registry.
fn paths_of_one_machine() -> BTreeSet<String> {
    let source = text("shared/machine/host/src/doors.rs");
    let calls = source.split(".route(").skip(1);
    let path = |call: &str| call.split('"').nth(1).unwrap_or_default().to_owned();
    calls.map(path).collect()
}

#[test]
fn the_doors_are_those_of_one_machine() {
    let template = template(PATH);
    let routes: BTreeMap<&str, (&str, &str)> = template
        .of("AWS::ApiGatewayV2::Route")
        .map(|(_, it)| {
            let text = |value: &'static str| it[value].as_str().unwrap();
            let target = it["Target"]["Fn::Sub"].as_str().unwrap();
            (text("RouteKey"), (text("AuthorizationType"), target))
        })
        .collect();
    let receive = "integrations/${ReceiveIntegration}";
    let answer = "integrations/${AnswerIntegration}";
    let expected = [
        ("POST /webhooks/github", ("NONE", receive)),
        ("POST /slack/commands", ("NONE", answer)),
        ("GET /v1/{word}", ("NONE", answer)),
        ("POST /v1/{word}", ("NONE", answer)),
        ("GET /aws/v1/{word}", ("AWS_IAM", answer)),
        ("POST /aws/v1/{word}", ("AWS_IAM", answer)),
        ("GET /healthz", ("NONE", answer)),
    ];
    assert_eq!(routes, BTreeMap::from(expected));

    let paths = routes.keys().filter_map(|route| route.split_once(' '));
    // Only a gateway verifies AWS identities.
    let paths = paths.filter(|(_, path)| !path.starts_with("/aws/"));
    let paths: BTreeSet<String> = paths.map(|(_, path)| path.to_owned()).collect();
    assert_eq!(paths, paths_of_one_machine());

    let stage = &template.resources()["ApiStage"];
    let throttled = stage["Properties"]["RouteSettings"].as_object().unwrap();
    let throttled: BTreeSet<&str> = throttled.keys().map(String::as_str).collect();
    assert_eq!(throttled, routes.keys().copied().collect());
    let waited: BTreeSet<&str> = stage["DependsOn"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let there: BTreeSet<&str> = template
        .of("AWS::ApiGatewayV2::Route")
        .map(|it| it.0)
        .collect();
    assert_eq!(waited, there);
}

#[test]
fn every_function_is_watched() {
    let template = template(PATH);
    let watched: BTreeSet<&str> = template
        .of("AWS::CloudWatch::Alarm")
        .filter(|(_, it)| it["Namespace"] == "AWS/Lambda" && it["MetricName"] == "Errors")
        .filter_map(|(_, it)| it["Dimensions"][0]["Value"]["Ref"].as_str())
        .collect();
    assert_eq!(watched, template.functions().map(|it| it.1).collect());
}

/// A name that is the same in every stack, so that a second stack could not be created.
#[test]
fn two_stacks_can_live_in_one_account() {
    let template = template(PATH);
    let mut fixed = Vec::new();
    for (id, resource) in template.resources() {
        let properties = resource["Properties"].as_object().unwrap();
        let own = properties.iter().filter(|(key, _)| key.ends_with("Name"));
        let schedule = &resource["Properties"]["Events"]["EveryMinute"]["Properties"]["Name"];
        let names = own
            .map(|(_, name)| name)
            .chain((!schedule.is_null()).then_some(schedule));
        let free = |name: &&Value| {
            let name = name.to_string();
            !name.contains("AWS::StackName") && !name.contains("Ref") && name != r#""$default""#
        };
        let metric = resource["Type"] == "AWS::CloudWatch::Alarm";
        fixed.extend(
            names
                .filter(free)
                .filter(|_| !metric)
                .map(|name| format!("{id}: {name}")),
        );
    }
    assert_eq!(fixed, Vec::<String>::new());
}

#[test]
fn a_secret_begins_as_nothing() {
    let template = template(PATH);
    let texts: BTreeMap<&str, &str> = template
        .of("AWS::SecretsManager::Secret")
        .map(|(name, it)| (name, it["SecretString"].as_str().unwrap()))
        .collect();
    let expected = [
        ("WebhookSecret", "unset"),
        ("GitHubSecret", "{}"),
        ("SlackSecret", "unset"),
        ("PeopleSecret", "[]"),
    ];
    assert_eq!(texts, BTreeMap::from(expected));
}
