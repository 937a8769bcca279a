//! Permissions: nothing on `*`, and each function what its adapters call.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{sources, template, text};
use towline_infra_checks::policy::{complaints, may, statements};
use towline_infra_checks::{Template, read};

/// The calls of the adapter behind each feature of `towline-aws`. A transaction needs the permissions of
/// its parts (DynamoDB developer guide, "Using IAM with transactions").
const FEATURES: [(&str, &[&str]); 7] = [
    (
        "dynamodb",
        &[
            "dynamodb:GetItem",
            "dynamodb:Query",
            "dynamodb:BatchGetItem",
            "dynamodb:BatchWriteItem",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
            "dynamodb:DeleteItem",
        ],
    ),
    ("eventbridge", &["events:PutEvents"]),
    (
        "codebuild",
        &[
            "codebuild:StartBuild",
            "codebuild:StopBuild",
            "codebuild:BatchGetBuilds",
            "codebuild:ListBuildsForProject",
        ],
    ),
    ("logs", &["logs:GetLogEvents"]),
    (
        "ecr",
        &["ecr:BatchGetImage", "ecr:DescribeImages", "ecr:PutImage"],
    ),
    ("s3", &["s3:PutObject"]),
    ("secretsmanager", &["secretsmanager:GetSecretValue"]),
];

/// What Lambda does for a function: writes its log, reports failures, traces.
const OF_LAMBDA: [&str; 5] = [
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "sqs:SendMessage",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
];

/// The SDK's name of a call: `PutItem` is `put_item`.
fn method(action: &str) -> String {
    let (_, name) = action.split_once(':').expect("a service and a name");
    let mut method = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !method.is_empty() {
            method.push('_');
        }
        method.push(letter.to_ascii_lowercase());
    }
    method
}

#[test]
fn nobody_may_do_more_than_is_named() {
    for path in ["infra/template.yaml", "infra/component.yaml"] {
        assert_eq!(complaints(&template(path)), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn adapters_call_what_their_features_stand_for() {
    let adapters = sources("shared/cloud/aws/src");
    for (feature, calls) in FEATURES {
        for call in calls {
            let method = method(call);
            let built = format!("{}Input::builder", call.split_once(':').unwrap().1);
            let found = adapters.contains(&format!(".{method}(")) || adapters.contains(&built);
            assert!(found, "{feature}: nobody calls {method}");
        }
    }
}

#[test]
fn a_function_may_do_what_its_features_call() {
    let template = template("infra/template.yaml");
    for (name, id, _) in template.functions() {
        let manifest = text(&format!("functions/{name}/Cargo.toml"));
        let line = manifest.lines().find(|it| it.starts_with("towline-aws"));
        let line = line.unwrap_or_else(|| panic!("{name} has no adapters"));
        let role = format!("{id}Role");
        let may = may(&template, &role);
        let features = FEATURES
            .iter()
            .filter(|(feature, _)| line.contains(&format!("\"{feature}\"")));
        let mut calls: BTreeSet<String> = OF_LAMBDA.map(str::to_owned).into();
        for (feature, of) in features {
            let of = of.iter().map(ToString::to_string);
            let of: BTreeSet<String> = of.collect();
            let used = may.iter().any(|action| of.contains(*action));
            assert!(used, "{name} may not use {feature}");
            calls.extend(of);
        }
        let more: Vec<&str> = may
            .into_iter()
            .filter(|action| !calls.contains(*action))
            .collect();
        assert_eq!(more, Vec::<&str>::new(), "{name} may do more than it can");
    }
}

/// Actions for one or a few functions only.
#[test]
fn what_changes_the_world_is_for_those_who_have_to() {
    let template = template("infra/template.yaml");
    let mut who: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, id, _) in template.functions() {
        for action in may(&template, &format!("{id}Role")) {
            who.entry(action).or_default().push(name);
        }
    }
    let cases: [(&str, &[&str]); 7] = [
        ("codebuild:StartBuild", &["start-builds"]),
        ("codebuild:StopBuild", &["start-builds"]),
        ("ecr:PutImage", &["promote-images"]),
        ("ecr:BatchGetImage", &["promote-images", "record-images"]),
        ("logs:GetLogEvents", &["answer-chat"]),
        ("s3:PutObject", &["start-builds"]),
        (
            "secretsmanager:GetSecretValue",
            &[
                "answer-chat",
                "plan-runs",
                "promote-images",
                "receive-github",
                "report-status",
                "sweep",
            ],
        ),
    ];
    for (action, functions) in cases {
        let mut found = who[action].clone();
        found.sort_unstable();
        assert_eq!(found, functions, "{action}");
    }
}

/// Exactly the seven actions of a push (ECR user guide, "Pushing an image").
#[test]
fn a_build_may_push_and_write_its_log() {
    let component = template("infra/component.yaml");
    let push = statements(&component)
        .into_iter()
        .find(|it| it.of == "Role" && it.says["Sid"] == "Push")
        .expect("a build may push");
    let expected = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:GetDownloadUrlForLayer",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
    ];
    assert_eq!(push.actions(), expected);
    assert_eq!(push.says["Resource"]["Fn::GetAtt"][0], "Images");
}

/// Everything except pushing and writing a log depends on parameters.
#[test]
fn what_only_some_builds_may_is_asked_for() {
    let component = template("infra/component.yaml");
    let role = &component.resources()["Role"]["Properties"];
    let all = role["Policies"][0]["PolicyDocument"]["Statement"].as_array();
    let found: BTreeMap<&str, &str> = all
        .expect("statements")
        .iter()
        .map(|statement| match statement["Fn::If"].as_array() {
            Some(parts) => {
                assert_eq!(parts[2]["Ref"], "AWS::NoValue");
                (
                    parts[1]["Sid"].as_str().unwrap(),
                    parts[0].as_str().unwrap(),
                )
            }
            None => (statement["Sid"].as_str().unwrap(), ""),
        })
        .collect();
    let expected = [
        ("Logs", ""),
        ("Login", ""),
        ("Push", ""),
        ("Layers", "KeepsLayers"),
        ("Bucket", "HasBucket"),
        ("ReadSecrets", "HasSecrets"),
        ("ReadParameters", "HasParameters"),
        ("Reports", "Reporting"),
        ("Source", "Connected"),
    ];
    assert_eq!(found, BTreeMap::from(expected));
    let parameters = &component.0["Parameters"];
    for name in ["Bucket", "Secrets", "Parameters", "Connection"] {
        assert_eq!(parameters[name]["Default"], "", "{name}");
    }
    for name in ["Reports", "LayerCache", "Cache", "Privileged"] {
        assert_eq!(parameters[name]["Default"], "false", "{name}");
    }
}

#[test]
fn at_most_five_checks_are_left_out_each_with_its_reason() {
    let mut left_out = BTreeSet::new();
    for path in ["infra/template.yaml", "infra/component.yaml"] {
        for line in text(path)
            .lines()
            .filter(|line| line.contains("checkov:skip"))
        {
            let skip = line.split_once("checkov:skip=").expect("a skip").1;
            let (check, reason) = skip.split_once(':').unwrap_or((skip, ""));
            assert!(reason.len() > 20, "{path}: {check} has no reason");
            left_out.insert(check.to_owned());
        }
    }
    assert!(left_out.len() <= 5, "{left_out:?}");
}

fn broken(statement: &str) -> Template {
    let text = format!(
        "Resources:\n  Role:\n    Type: AWS::IAM::Role\n    Properties:\n      Policies: [{statement}]\n"
    );
    Template(read(&text).expect("a template"))
}

#[test]
fn what_breaks_the_rules_is_found() {
    let cases = [
        (
            "{Effect: Allow, Action: '*', Resource: X}",
            "* is more than one action",
        ),
        (
            "{Effect: Allow, Action: ['ecr:*'], Resource: X}",
            "ecr:* is more than one action",
        ),
        (
            "{Effect: Allow, Action: 'ecr:PutImage', Resource: '*'}",
            "ecr:PutImage on everything",
        ),
        (
            "{Effect: Allow, Action: 'ecr:PutImage', Resource: [X, '*']}",
            "ecr:PutImage on everything",
        ),
        (
            "{Effect: Allow, Action: 'ecr:PutImage'}",
            "names no resource",
        ),
        (
            "{Effect: Allow, NotAction: 'ecr:PutImage', Resource: X}",
            "NotAction allows what nobody has thought of",
        ),
        (
            "{Effect: Allow, Action: 'iam:PassRole', Resource: X}",
            "iam:PassRole hands out rights",
        ),
        (
            "{Effect: Allow, Action: 'sts:AssumeRole', Principal: {Service: codebuild.amazonaws.com}}",
            "codebuild.amazonaws.com may act for any account",
        ),
        (
            "{Effect: Allow, Action: 'sqs:SendMessage', Principal: '*', Resource: X}",
            "\"*\" is no service",
        ),
        (
            "!If [A, {Effect: Allow, Action: 'a:B', Resource: '*'}, !Ref AWS::NoValue]",
            "a:B on everything",
        ),
    ];
    for (statement, complaint) in cases {
        let found = complaints(&broken(statement));
        assert!(
            found.contains(&format!("Role: {complaint}")),
            "{statement}: {found:?}"
        );
    }
    for fine in [
        "{Effect: Allow, Action: 'ecr:GetAuthorizationToken', Resource: '*'}",
        "{Effect: Deny, Action: '*', Principal: '*', Resource: '*'}",
        "{Effect: Allow, Action: 'sts:AssumeRole', Principal: {Service: lambda.amazonaws.com}}",
    ] {
        assert_eq!(complaints(&broken(fine)), Vec::<String>::new(), "{fine}");
    }
}

#[test]
fn a_policy_of_somebody_else_or_an_open_door_is_found() {
    let text = "Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      ManagedPolicyArns: ['arn:aws:iam::aws:policy/AdministratorAccess']
  Door:
    Type: AWS::Lambda::Permission
    Properties:
      Principal: apigateway.amazonaws.com
";
    let found = complaints(&Template(read(text).expect("a template")));
    let expected = [
        "Door: lets any API in",
        "Role: \"arn:aws:iam::aws:policy/AdministratorAccess\" is not written here",
    ];
    assert_eq!(found, expected);
}
