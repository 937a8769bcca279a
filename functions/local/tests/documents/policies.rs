//! The roles and repository policies of both documents, by `towline iam`.

use serde_json::{Value, json};

use crate::harness::{Test, test};
use crate::shop::Shop;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!(a13_each_component_has_a_role_of_its_own_with_logs_and_ecr),
        test!(a14_listing_is_allowed_when_asked_for_and_said_once),
        test!(a15_the_token_is_for_everything_and_nobody_complains),
        test!(a16_a_role_writes_its_own_repository_and_no_other),
        test!(a17_a_role_for_another_account_or_region_is_told),
        test!(a18_two_repositories_are_two_components_and_neither_writes_the_others),
        test!(b1_a_repository_lets_codebuild_pull_a_build_image_for_our_projects_alone),
        test!(b2_b3_repositories_and_roles_are_a_cloudformation_template),
        test!(b3_components_are_installed_with_a_profile_that_asks_for_a_second_factor),
    ]
}

/// Both repositories of document A, one of them built in an image of the account's own, as document B does.
const DEFINITION: &str = r#"version: 1
pipeline: shop
source: {github: acme/shop}
components:
  backend:
    repository: sbcntr-backend
    build:
      image: "975141803454.dkr.ecr.ap-northeast-2.amazonaws.com/docker-in-aws/codebuild:1"
      buildspec: buildspec.yml
      tags: ["{sha7}-{build}"]
  frontend:
    repository: sbcntr-frontend
    build: {preset: docker, tags: ["{sha7}-{build}"]}
"#;

const PLACE: [&str; 4] = ["--account", "975141803454", "--region", "ap-northeast-2"];

fn shop() -> Shop {
    let shop = Shop::of("document-a", "sbcntr-backend", "{}");
    shop.write(".towline.yml", DEFINITION);
    shop.fixed()
}

fn iam(further: &[&str]) -> Value {
    let (status, policies) = shop().json(&[&["iam"], &PLACE[..], further].concat());
    assert_eq!(status, 0, "{policies}");
    policies
}

/// The statement of a component's role with this name.
fn statement(policies: &Value, component: &str, sid: &str) -> Value {
    let statements = policies["roles"][component]["policy"]["Statement"].as_array();
    let found = statements.unwrap().iter().filter(|it| it["Sid"] == sid);
    let found: Vec<&Value> = found.collect();
    assert!(found.len() < 2, "{sid} is there twice: {policies}");
    found.first().map_or(Value::Null, |found| (*found).clone())
}

/// What a statement is about, as a list.
fn listed(value: &Value) -> Vec<&str> {
    match value {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().map(|one| one.as_str().unwrap()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => panic!("{value}"),
    }
}

fn repository(name: &str) -> String {
    format!("arn:aws:ecr:ap-northeast-2:975141803454:repository/{name}")
}

fn a13_each_component_has_a_role_of_its_own_with_logs_and_ecr() {
    let policies = iam(&[]);
    for component in ["backend", "frontend"] {
        let policy = &policies["roles"][component]["policy"]["Statement"];
        let sids: Vec<&str> = policy
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["Sid"].as_str().unwrap())
            .collect();
        assert_eq!(
            sids,
            ["GetAuthorizationToken", "ManageRepositoryContents", "Logs"],
            "{policy}"
        );
        let logs = statement(&policies, component, "Logs");
        let group = format!("log-group:/aws/codebuild/towline-acme-shop-{component}:*");
        assert!(listed(&logs["Resource"])[0].ends_with(&group), "{logs}");
    }
}

fn a14_listing_is_allowed_when_asked_for_and_said_once() {
    assert_eq!(
        statement(&iam(&[]), "backend", "ListImagesInRepository"),
        Value::Null
    );
    let policies = iam(&["--also", "ecr:ListImages"]);
    let listing = statement(&policies, "backend", "ListImagesInRepository");
    assert_eq!(listed(&listing["Action"]), ["ecr:ListImages"]);
    assert_eq!(listed(&listing["Resource"]), [repository("sbcntr-backend")]);
    let pushing = statement(&policies, "backend", "ManageRepositoryContents");
    assert!(
        !listed(&pushing["Action"]).contains(&"ecr:ListImages"),
        "{pushing}"
    );
}

fn a15_the_token_is_for_everything_and_nobody_complains() {
    let policies = iam(&[]);
    for component in ["backend", "frontend"] {
        let token = statement(&policies, component, "GetAuthorizationToken");
        assert_eq!(listed(&token["Action"]), ["ecr:GetAuthorizationToken"]);
        assert_eq!(listed(&token["Resource"]), ["*"]);
        for sid in ["ManageRepositoryContents", "Logs"] {
            let other = statement(&policies, component, sid);
            assert!(!listed(&other["Resource"]).contains(&"*"), "{other}");
        }
    }
    let told = shop().findings(&PLACE);
    assert!(!told.contains("role.json"), "{told}");
}

fn a16_a_role_writes_its_own_repository_and_no_other() {
    let policies = iam(&[]);
    for (component, name) in [
        ("backend", "sbcntr-backend"),
        ("frontend", "sbcntr-frontend"),
    ] {
        let pushing = statement(&policies, component, "ManageRepositoryContents");
        assert_eq!(listed(&pushing["Resource"]), [repository(name)]);
        let mut actions = listed(&pushing["Action"]);
        actions.sort_unstable();
        assert_eq!(
            actions,
            [
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:CompleteLayerUpload",
                "ecr:GetDownloadUrlForLayer",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ]
        );
    }
    let asked = iam(&[
        "--also",
        "ecr:GetRepositoryPolicy",
        "--also",
        "ecr:DescribeRepositories",
    ]);
    let pushing = statement(&asked, "backend", "ManageRepositoryContents");
    assert_eq!(listed(&pushing["Action"]).len(), 9, "{pushing}");
}

fn a17_a_role_for_another_account_or_region_is_told() {
    for (place, told) in [
        (
            ["--account", "975141803454", "--region", "ap-northeast-2"],
            0,
        ),
        (
            ["--account", "111122223333", "--region", "ap-northeast-2"],
            4,
        ),
        (["--account", "975141803454", "--region", "eu-west-1"], 4),
    ] {
        let findings = shop().findings(&place);
        assert_eq!(
            findings.matches("W021 role.json:").count(),
            told,
            "{place:?}: {findings}"
        );
    }
}

/// One role for both would let a build of the backend overwrite the frontend.
fn a18_two_repositories_are_two_components_and_neither_writes_the_others() {
    let shop = shop();
    let (status, good) = shop.towline(&["validate"]);
    assert_eq!(status, 0, "{good}");
    shop.write(
        "buildspec.yml",
        "version: 0.2
phases:
  build:
    commands:
      - aws ecr get-login-password | towline pack --password-stdin --root=. --repository=$ECR_REGISTRY/sbcntr-frontend --tag=$IMAGE_TAG
",
    );
    let (failed, log) = shop.fails_locally(&["backend"]);
    assert_eq!(failed, "BUILD exit status 2");
    assert!(
        log.contains("this build may push to sbcntr-backend, not to sbcntr-frontend"),
        "{log}"
    );
    let (built, log) = shop.built_locally(&["frontend"]);
    assert_eq!(built["images"][0]["repository"], "sbcntr-frontend", "{log}");
}

fn b1_a_repository_lets_codebuild_pull_a_build_image_for_our_projects_alone() {
    let policies = iam(&[]);
    let image = &policies["build_images"]["docker-in-aws/codebuild"];
    assert_eq!(image["account"], "975141803454");
    let policy = &image["policy"];
    assert_eq!(
        policy["Statement"].as_array().map(Vec::len),
        Some(1),
        "{policies}"
    );
    let statement = &policy["Statement"][0];
    assert_eq!(statement["Effect"], "Allow", "{policies}");
    assert_eq!(
        statement["Principal"],
        json!({"Service": "codebuild.amazonaws.com"})
    );
    assert_eq!(
        listed(&statement["Action"]),
        [
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:GetDownloadUrlForLayer"
        ]
    );
    let condition = statement["Condition"].to_string();
    for expected in [
        r#""aws:SourceAccount":"975141803454""#,
        "arn:aws:codebuild:ap-northeast-2:975141803454:project/towline-acme-shop-backend",
    ] {
        assert!(condition.contains(expected), "{condition}");
    }
    assert!(!condition.contains("shop-frontend"), "{condition}");
}

/// As code, with a slash in the name, for any account and region.
fn b2_b3_repositories_and_roles_are_a_cloudformation_template() {
    let (status, template) = shop().json(&["iam", "--format", "cloudformation"]);
    assert_eq!(status, 0);
    let resources = template["Resources"].as_object().unwrap().values();
    let of = |kind: &str| {
        let found = resources.clone().filter(|it| it["Type"] == kind);
        found.map(|it| it["Properties"].clone()).collect::<Vec<_>>()
    };
    let repositories = of("AWS::ECR::Repository");
    assert_eq!(repositories.len(), 1, "{template}");
    assert_eq!(repositories[0]["RepositoryName"], "docker-in-aws/codebuild");
    assert_eq!(of("AWS::IAM::Role").len(), 2, "{template}");
    let text = template.to_string();
    assert!(
        !text.contains("975141803454") && text.contains("AWS::AccountId"),
        "{text}"
    );
}

/// A stack for each component by `aws` itself, so that a profile with a second factor works as it does by
/// hand.
fn b3_components_are_installed_with_a_profile_that_asks_for_a_second_factor() {
    let shop = shop();
    let deploy = [
        "deploy",
        "components",
        "--region",
        "ap-northeast-2",
        "--profile",
        "docker-in-aws",
        "--yes",
    ];
    let (status, said) = shop.towline(&deploy);
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("MultiFactorAuthentication failed"), "{said}");
    assert_eq!(shop.stacks(), Vec::<String>::new());
    shop.has_a_second_factor();
    let (status, said) = shop.towline(&deploy);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("assumed-role/admin/kim"), "{said}");
    let stacks = ["backend", "frontend"].map(|name| format!("towline-acme-shop-{name}"));
    assert_eq!(shop.stacks(), stacks);
    for (stack, images) in stacks.iter().zip(["sbcntr-backend", "sbcntr-frontend"]) {
        let (template, parameters) = shop.stack(stack);
        for kind in ["AWS::ECR::Repository", "AWS::CodeBuild::Project"] {
            assert!(template.contains(kind), "{template}");
        }
        let expected = format!("ImageRepository={images}");
        assert!(
            parameters.lines().any(|line| line == expected),
            "{parameters}"
        );
    }
    assert_eq!(shop.not_understood(), "");
}
