//! Compares `infra/component.yaml` with what start-builds and promote-images expect of a component.

use std::collections::BTreeMap;

use crate::common::template;
use serde_json::Value;
use towline_ports::StartBuild;

type Values<'a> = BTreeMap<&'a str, String>;

/// A value as CloudFormation computes it, for the functions in this template.
fn text(value: &Value, parameters: &Values<'_>) -> String {
    if let Some(name) = value["Ref"].as_str() {
        return parameters[name].clone();
    }
    if let Some(arguments) = value["Fn::Join"].as_array() {
        let by = arguments[0].as_str().expect("a text between");
        return list(&arguments[1], parameters).join(by);
    }
    if let Some(arguments) = value["Fn::Select"].as_array() {
        let index = arguments[0].as_u64().expect("an index");
        let items = list(&arguments[1], parameters);
        return items[usize::try_from(index).expect("a small index")].clone();
    }
    let sub = &value["Fn::Sub"];
    let (text_of, mut known) = match sub.as_array() {
        Some(arguments) => (arguments[0].as_str(), with(&arguments[1], parameters)),
        None => (sub.as_str(), parameters.clone()),
    };
    let mut text = text_of.or(value.as_str()).expect("a text").to_owned();
    for (name, value) in &mut known {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    text
}

fn with<'a>(more: &'a Value, parameters: &Values<'a>) -> Values<'a> {
    let mut known = parameters.clone();
    for (name, value) in more.as_object().expect("values") {
        known.insert(name, text(value, parameters));
    }
    known
}

fn list(value: &Value, parameters: &Values<'_>) -> Vec<String> {
    match value["Fn::Split"].as_array() {
        Some(arguments) => {
            let by = arguments[0].as_str().expect("a text to split at");
            text(&arguments[1], parameters)
                .split(by)
                .map(str::to_owned)
                .collect()
        }
        None => {
            let items = value.as_array().expect("a list");
            items.iter().map(|item| text(item, parameters)).collect()
        }
    }
}

#[test]
fn the_project_is_found_under_the_name_that_start_builds_asks_for() {
    let template = template("infra/component.yaml");
    let project = &template.resources()["Project"]["Properties"];
    let logs = &template.resources()["Logs"]["Properties"];
    for (repository, component) in [
        ("acme/shop", "api"),
        ("Acme-Inc/shop.web_site", "front-end"),
        ("a/..--__", "0"),
    ] {
        let parameters = Values::from([
            ("Repository", repository.to_owned()),
            ("Component", component.to_owned()),
        ]);
        let expected = StartBuild::project(
            &repository.parse().expect("a repository"),
            &component.parse().expect("a component"),
        );
        assert_eq!(text(&project["Name"], &parameters), expected);
        let group = format!("/aws/codebuild/{expected}");
        assert_eq!(text(&logs["LogGroupName"], &parameters), group);
    }
}

#[test]
fn the_tags_of_stages_move_and_no_others() {
    let template = template("infra/component.yaml");
    let images = &template.resources()["Images"]["Properties"];
    assert_eq!(images["ImageTagMutability"], "IMMUTABLE_WITH_EXCLUSION");
    let filters = images["ImageTagMutabilityExclusionFilters"].as_array();
    for (tags, expected) in [
        (
            "prod",
            ["prod", "no-tag-2", "no-tag-3", "no-tag-4", "no-tag-5"],
        ),
        (
            "staging,prod*",
            ["staging", "prod*", "no-tag-2", "no-tag-3", "no-tag-4"],
        ),
        ("a,b,c,d,e", ["a", "b", "c", "d", "e"]),
    ] {
        let parameters = Values::from([("StageTags", tags.to_owned())]);
        let found: Vec<String> = filters
            .into_iter()
            .flatten()
            .map(|it| text(&it["ImageTagMutabilityExclusionFilterValue"], &parameters))
            .collect();
        assert_eq!(found, expected, "{tags}");
    }
}

#[test]
fn no_image_with_a_tag_expires_and_none_goes_with_the_stack() {
    let template = template("infra/component.yaml");
    let images = &template.resources()["Images"];
    let policy = images["Properties"]["LifecyclePolicy"]["LifecyclePolicyText"].as_str();
    let policy: Value = serde_json::from_str(policy.expect("a policy")).expect("JSON");
    let rules = policy["rules"].as_array().expect("rules");
    assert!(
        rules
            .iter()
            .all(|rule| rule["selection"]["tagStatus"] == "untagged")
    );
    // A failed first deployment leaves nothing that blocks the next one.
    for (key, policy) in [
        ("DeletionPolicy", "RetainExceptOnCreate"),
        ("UpdateReplacePolicy", "Retain"),
    ] {
        assert_eq!(images[key], policy, "{key}");
    }
}

/// This tag allows the functions' roles to read and tag images.
#[test]
fn functions_reach_the_images_that_a_component_makes() {
    let component = template("infra/component.yaml");
    let tags = component.resources()["Images"]["Properties"]["Tags"].clone();
    let condition = serde_json::json!({"StringLike": {"aws:ResourceTag/towline": "?*"}});
    assert_eq!(tags[0]["Key"], "towline");
    let control = template("infra/template.yaml");
    let statements = towline_infra_checks::policy::statements(&control);
    let images: Vec<_> = statements
        .iter()
        .filter(|it| it.says["Sid"] == "Images")
        .collect();
    assert_eq!(images.len(), 2);
    assert!(images.iter().all(|it| it.says["Condition"] == condition));
}

/// What CodeBuild rejects in a project on Lambda (CodeBuild user guide, "Limitations of AWS Lambda
/// compute").
#[test]
fn on_lambda_nothing_is_said_about_docker_or_time() {
    let template = template("infra/component.yaml");
    let project = &template.resources()["Project"]["Properties"];
    for value in [
        &project["Environment"]["PrivilegedMode"],
        &project["TimeoutInMinutes"],
        &project["QueuedTimeoutInMinutes"],
    ] {
        assert_eq!(value["Fn::If"][0], "OnLambda");
        assert_eq!(value["Fn::If"][1]["Ref"], "AWS::NoValue");
    }
    assert_eq!(project["Cache"]["Fn::If"][0], "Keeps");
    let on_machine = &template.0["Conditions"]["Keeps"]["Fn::And"][1];
    assert_eq!(on_machine["Condition"], "OnMachine");
}

/// A limit that is not set must not be sent: CodeBuild accepts none above the account's.
#[test]
fn a_component_may_leave_capacity_to_others() {
    let template = template("infra/component.yaml");
    let limit = &template.resources()["Project"]["Properties"]["ConcurrentBuildLimit"];
    assert_eq!(limit["Fn::If"][0], "Limited");
    assert_eq!(limit["Fn::If"][1]["Ref"], "ConcurrentBuilds");
    assert_eq!(limit["Fn::If"][2]["Ref"], "AWS::NoValue");
    assert_eq!(template.0["Parameters"]["ConcurrentBuilds"]["Default"], 0);
}

#[test]
fn layers_lie_apart_from_images_and_by_trust() {
    let template = template("infra/component.yaml");
    for (id, trust) in [("TrustedLayers", "trusted"), ("BranchLayers", "branches")] {
        let layers = &template.resources()[id];
        assert_eq!(layers["Condition"], "KeepsLayers");
        let parameters = Values::from([("ImageRepository", "acme/api".to_owned())]);
        let name = text(&layers["Properties"]["RepositoryName"], &parameters);
        assert_eq!(name, format!("towline-cache/{trust}/acme/api"));
        let policy = layers["Properties"]["LifecyclePolicy"]["LifecyclePolicyText"].as_str();
        let policy: Value = serde_json::from_str(policy.expect("a policy")).expect("JSON");
        assert_eq!(policy["rules"][0]["selection"]["tagStatus"], "any");
        // No function needs it, so none may read or tag it.
        assert!(layers["Properties"]["Tags"].is_null());
    }
}
