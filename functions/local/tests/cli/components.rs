//! Deploying components: the parameters of each, and what is refused before anything is created.

use expect_test::expect;
use serde_json::{Value, json};

use crate::deploy::{aws, check, event, stack, with_bucket, without_scratch};
use crate::session::shown;

const DEFINITION: &str = "\
version: 1
pipeline: shop
source: {github: acme/shop}
components:
  api:
    repository: acme/api
    build: {preset: docker}
  site:
    repository: acme/site
    build: {preset: pack, run: [\"true\"], root: out}
stages:
  - {name: staging, from: build, promote: auto, tag: [staging]}
  - {name: prod, from: staging, promote: manual, tag: [prod, live]}
";

/// The query for the control stack.
const CONTROL: &str = "cloudformation describe-stacks --stack-name=towline --*";

#[test]
fn components_get_a_stack_each() {
    let absent = "Stack with id x does not exist";
    let aws = aws()
        .says(CONTROL, with_bucket(&[("ToolX86", "0a")]))
        .refuses(
            "cloudformation describe-stacks --stack-name=towline-acme-shop-api *",
            "ValidationError",
            absent,
        )
        .says(
            "cloudformation describe-stacks --stack-name=towline-acme-shop-site *",
            stack("UPDATE_COMPLETE"),
        )
        .refuses_once(
            "cloudformation describe-stack-events *",
            "ValidationError",
            absent,
        )
        .says_once(
            "cloudformation describe-stack-events *",
            json!({"StackEvents": [
                event("1", "Images", "AWS::ECR::Repository", "CREATE_COMPLETE", ""),
            ]}),
        )
        .says(
            "cloudformation describe-stack-events *",
            json!({"StackEvents": []}),
        )
        .says("cloudformation deploy *", json!(""));
    let session = aws.session();
    session.write(".towline.yml", DEFINITION);
    let dry = &["deploy", "components", "--dry-run"];
    check(
        &aws,
        &session,
        dry,
        &expect![[r#"
              account     111122223333 as arn:aws:iam::111122223333:user/kim
              region      eu-west-1
              repository  acme/shop
              stacks      towline-acme-shop-api (new)
                          towline-acme-shop-site (update)

            Commands
              aws cloudformation deploy --template-file=infra/component.yaml --stack-name=towline-acme-shop-api --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset --parameter-overrides Bucket=towline-bucket-1x BuildImage=aws/codebuild/standard:7.0 Cache=false Component=api Compute=BUILD_GENERAL1_SMALL Environment=LINUX_CONTAINER ImageRepository=acme/api LayerCache=false Parameters= Privileged=true Reports=false Repository=acme/shop Secrets= StageTags=live,prod,staging --region=eu-west-1
              aws cloudformation deploy --template-file=infra/component.yaml --stack-name=towline-acme-shop-site --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset --parameter-overrides Bucket=towline-bucket-1x BuildImage=aws/codebuild/standard:7.0 Cache=false Component=site Compute=BUILD_GENERAL1_SMALL Environment=LINUX_CONTAINER ImageRepository=acme/site LayerCache=false Parameters= Privileged=false Reports=false Repository=acme/shop Secrets= StageTags=live,prod,staging --region=eu-west-1

            Note: without --connection CodeBuild clones public repositories only
            !
            ! Nothing has been changed.
        "#]],
    );
    let command = &["deploy", "components", "--component", "web"];
    check(
        &aws,
        &session,
        command,
        &expect![[r#"
            ! towline: unknown component web; the definition has api, site
            [exit 1]
        "#]],
    );
    let connection = "arn:aws:codeconnections:eu-west-1:111122223333:connection/1";
    let command = &["deploy", "components", "--connection", connection, "--yes"];
    let output = session.towline(command);
    expect![[r#"
        towline-acme-shop-api created
        towline-acme-shop-site is up to date

        Next: push a commit, then see its run with: towline runs
    "#]]
    .assert_eq(&String::from_utf8(output.stdout).unwrap());
    expect![[r#"
        cloudformation deploy --template-file=[scratch]/component.yaml --stack-name=towline-acme-shop-api --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset --parameter-overrides Bucket=towline-bucket-1x BuildImage=aws/codebuild/standard:7.0 Cache=false Component=api Compute=BUILD_GENERAL1_SMALL Connection=arn:aws:codeconnections:eu-west-1:111122223333:connection/1 Environment=LINUX_CONTAINER ImageRepository=acme/api LayerCache=false Parameters= Privileged=true Reports=false Repository=acme/shop Secrets= StageTags=live,prod,staging --region=eu-west-1
        cloudformation deploy --template-file=[scratch]/component.yaml --stack-name=towline-acme-shop-site --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset --parameter-overrides Bucket=towline-bucket-1x BuildImage=aws/codebuild/standard:7.0 Cache=false Component=site Compute=BUILD_GENERAL1_SMALL Connection=arn:aws:codeconnections:eu-west-1:111122223333:connection/1 Environment=LINUX_CONTAINER ImageRepository=acme/site LayerCache=false Parameters= Privileged=false Reports=false Repository=acme/shop Secrets= StageTags=live,prod,staging --region=eu-west-1
    "#]].assert_eq(&without_scratch(&aws.changes()));
}

#[test]
fn a_builds_tag_that_comes_again_is_refused_or_let_move() {
    let check = |tags: &str, parameters: &[&str], kept: Option<&str>, expected: &str| {
        let aws = aws().says(CONTROL, with_bucket(&[])).says(
            "cloudformation describe-stacks *",
            json!({"Stacks": [{"StackStatus": "UPDATE_COMPLETE", "Parameters": [
                {"ParameterKey": "Environment", "ParameterValue": "ARM_CONTAINER"},
                {"ParameterKey": "StageTags", "ParameterValue": kept.unwrap_or("live")},
            ]}]}),
        );
        let session = aws.session();
        let tags = format!("build: {{preset: docker, tags: [\"{{build}}\", {tags}]}}");
        session.write(
            ".towline.yml",
            &DEFINITION.replace("build: {preset: docker}", &tags),
        );
        let mut command = vec!["deploy", "components", "--component", "api", "--dry-run"];
        command.extend_from_slice(parameters);
        let text = shown(&session.towline(&command));
        assert!(text.contains(expected), "{tags}: {text}");
    };
    let back = "Environment=LINUX_CONTAINER ImageRepository";
    check("\"{sha}-{build}\"", &[], None, back);
    check("latest", &[], None, "StageTags=latest,live,prod,staging");
    check("latest", &[], Some("l*,prod,s*"), "'StageTags=l*,prod,s*'");
    let again = "the second push to a branch fails: its tag {branch_slug} exists already";
    check("\"{branch_slug}\"", &[], None, again);
    let moving = ["--parameter", "StageTags=b-*,prod,live,staging"];
    check("\"b-{branch_slug}\"", &moving, None, "StageTags=b-*,prod");
    check(
        "\"{sha7}\"",
        &[],
        None,
        "fails: its tag {sha7} exists already",
    );
    let few = ["--parameter", "StageTags=prod"];
    check(
        "latest",
        &few,
        None,
        "StageTags does not let latest, live, staging move",
    );
}

#[test]
fn a_component_is_given_what_its_definition_asks_for() {
    let check =
        |control: Value, build: &str, more: &[&str], kept: &[(&str, &str)], expected: &[&str]| {
            let kept: Vec<Value> = kept
                .iter()
                .map(|(name, value)| json!({"ParameterKey": name, "ParameterValue": value}))
                .collect();
            let aws = aws().says(CONTROL, control).says(
                "cloudformation describe-stacks *",
                json!({"Stacks": [{"StackStatus": "UPDATE_COMPLETE", "Parameters": kept}]}),
            );
            let session = aws.session();
            session.write(
                ".towline.yml",
                &DEFINITION.replace("build: {preset: docker}", &format!("build: {build}")),
            );
            let mut command = vec!["deploy", "components", "--component", "api", "--dry-run"];
            command.extend_from_slice(more);
            let text = shown(&session.towline(&command));
            for expected in expected {
                assert!(text.contains(expected), "{build}: no {expected} in {text}");
            }
        };
    let none = with_bucket(&[]);
    check(
        none.clone(),
        "{preset: docker}",
        &[],
        &[("Secrets", "arn:old"), ("LayerCache", "true")],
        &[
            "Bucket=towline-bucket-1x",
            "Cache=false",
            "LayerCache=false",
            "Parameters= ",
            "Reports=false",
            "Secrets= ",
        ],
    );
    check(
        none.clone(),
        "{preset: docker, layer_cache: registry, cache: [target], secrets: {TOKEN: \"shop/npm:token\"}, reports: {unit: {files: [a.xml]}}}",
        &[],
        &[],
        &[
            "Cache=true",
            "LayerCache=true",
            "Reports=true",
            "'Secrets=arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/npm-??????'",
        ],
    );
    check(
        none.clone(),
        "{inline: \"version: 0.2\\nenv:\\n  parameter-store: {A: /shop/a}\\nphases: {build: {commands: [make]}}\\n\"}",
        &[],
        &[],
        &["Parameters=arn:aws:ssm:eu-west-1:111122223333:parameter/shop/a"],
    );
    let lambda = "aws/codebuild/amazonlinux-aarch64-lambda-standard:nodejs22";
    let pack = format!("{{preset: pack, run: [\"true\"], root: out, image: \"{lambda}\"}}");
    check(
        none.clone(),
        &pack,
        &[],
        &[("Compute", "BUILD_GENERAL1_LARGE")],
        &[
            "Compute=BUILD_LAMBDA_2GB",
            "Environment=ARM_LAMBDA_CONTAINER",
            "api: the preset pack needs the program towline, which the stack towline does not have; run `towline deploy --tool arm64`",
        ],
    );
    check(
        none.clone(),
        &pack,
        &[],
        &[("Compute", "BUILD_LAMBDA_8GB")],
        &["Compute=BUILD_LAMBDA_8GB"],
    );
    check(
        none.clone(),
        "{preset: docker}",
        &[],
        &[("Compute", "BUILD_LAMBDA_8GB")],
        &["Compute=BUILD_GENERAL1_SMALL"],
    );
    check(
        none.clone(),
        &pack,
        &["--parameter", "Compute=BUILD_GENERAL1_SMALL"],
        &[],
        &["api: Compute=BUILD_GENERAL1_SMALL does not fit Environment=ARM_LAMBDA_CONTAINER"],
    );
    check(
        none.clone(),
        "{preset: docker}",
        &["--parameter", "Environment=LINUX_LAMBDA_CONTAINER"],
        &[],
        &["api: Environment=LINUX_LAMBDA_CONTAINER does not fit its image"],
    );
    let several =
        "{preset: pack, run: [\"true\"], root: out, platforms: [linux/amd64, linux/arm64]";
    check(
        none.clone(),
        &format!("{several}}}"),
        &[],
        &[],
        &["run `towline deploy --tool x86_64 --tool arm64`"],
    );
    check(
        none.clone(),
        &format!(
            "{several}, image: {{linux/amd64: \"aws/codebuild/standard:7.0\", linux/arm64: \"{lambda}\"}}}}"
        ),
        &[],
        &[],
        &[
            "api: Environment=LINUX_CONTAINER does not fit its image aws/codebuild/amazonlinux-aarch64-lambda",
        ],
    );
    check(
        none,
        &format!("{{preset: docker, image: \"{lambda}\"}}"),
        &[],
        &[],
        &["api: on Lambda compute there is no Docker; name another image than"],
    );
    check(
        stack("UPDATE_COMPLETE"),
        "{preset: docker}",
        &[],
        &[("Bucket", "kept")],
        &["the stack towline has no bucket yet; run `towline deploy`"],
    );
    check(
        json!({"Stacks": []}),
        "{preset: docker}",
        &["--stack", "towline"],
        &[],
        &["stack towline not found here; name Towline's stack with --stack"],
    );
}
