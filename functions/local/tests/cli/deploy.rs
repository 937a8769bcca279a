//! Deploying: the plan, the calls, and the messages when AWS refuses.

use expect_test::{Expect, expect};
use serde_json::{Value, json};
use towline_bus::rules::FUNCTIONS;

use crate::aws::Aws;
use crate::session::{Session, shown};

/// The arguments of most deployments.
const DEPLOY: [&str; 6] = [
    "deploy",
    "--repositories",
    "acme/shop",
    "--functions",
    "built",
    "--yes",
];
const ABSENT: (&str, &str) = ("ValidationError", "Stack with id towline does not exist");

/// An account with valid credentials.
pub(crate) fn aws() -> Aws {
    with_concurrency(1000)
}

fn with_concurrency(limit: u32) -> Aws {
    Aws::new().says(
        "sts get-caller-identity *",
        json!({"Account": "111122223333", "Arn": "arn:aws:iam::111122223333:user/kim", "UserId": "U"}),
    )
    .says(
        "lambda get-account-settings *",
        json!({"AccountLimit": {"ConcurrentExecutions": limit, "UnreservedConcurrentExecutions": limit}}),
    )
}

pub(crate) fn stack(status: &str) -> Value {
    let output = |name: &str, value: &str| json!({"OutputKey": name, "OutputValue": value});
    let parameter =
        |name: &str, value: &str| json!({"ParameterKey": name, "ParameterValue": value});
    json!({"Stacks": [{
        "StackStatus": status,
        "Parameters": [parameter("Repositories", "acme/shop"), parameter("Architecture", "x86_64")],
        "Outputs": [
            output("ApiUrl", "https://a1b2c3.execute-api.eu-west-1.amazonaws.com"),
            output("WebhookUrl", "https://a1b2c3.execute-api.eu-west-1.amazonaws.com/webhooks/github"),
        ],
    }]})
}

pub(crate) fn event(id: &str, name: &str, kind: &str, status: &str, reason: &str) -> Value {
    json!({
        "EventId": id, "LogicalResourceId": name, "ResourceType": kind,
        "ResourceStatus": status, "ResourceStatusReason": reason,
    })
}

fn with_functions(aws: &Aws) -> Session {
    let session = aws.session();
    for name in FUNCTIONS {
        session.write(&format!("built/{name}/bootstrap.zip"), "PK");
    }
    session
}

pub(crate) fn check(aws: &Aws, session: &Session, command: &[&str], expected: &Expect) {
    let text = shown(&session.towline(command));
    let folder = session
        .path("")
        .canonicalize()
        .unwrap()
        .display()
        .to_string();
    let text = text.replace(folder.trim_end_matches('/'), "[folder]");
    expected.assert_eq(&aws.plain(&text));
}

/// Calls, without the names of temporary folders.
pub(crate) fn without_scratch(calls: &str) -> String {
    let mut text = String::new();
    for word in calls.split_inclusive([' ', '\n']) {
        let end = if word.ends_with('\n') { "\n" } else { " " };
        match word.trim_end().split_once("=/") {
            Some((option, path)) => {
                let file = path.rsplit('/').next().unwrap_or_default();
                text += &format!("{option}=[scratch]/{file}{end}");
            }
            None => text += word,
        }
    }
    text
}

#[test]
fn a_dry_run_shows_everything_and_changes_nothing() {
    let aws = aws()
        .refuses("cloudformation describe-stacks *", ABSENT.0, ABSENT.1)
        .refuses("s3api head-bucket *", "404", "Not Found");
    let session = with_functions(&aws);
    let command = &[
        "deploy",
        "--repositories",
        "acme/shop, acme/*",
        "--functions",
        "built",
        "--parameter",
        "Tracing=Active",
        "--dry-run",
    ];
    check(
        &aws,
        &session,
        command,
        &expect![[r#"
          account     111122223333 as arn:aws:iam::111122223333:user/kim
          region      eu-west-1
          stack       towline (new)
          functions   built before, in [folder]/built
          bucket      towline-111122223333-eu-west-1 (new: private, encrypted, versioned)
          parameters  Repositories = acme/shop,acme/*
                      Tracing = Active

        Commands
          aws s3api create-bucket --bucket=towline-111122223333-eu-west-1 --create-bucket-configuration=LocationConstraint=eu-west-1 --region=eu-west-1
          aws s3api put-public-access-block --bucket=towline-111122223333-eu-west-1 --expected-bucket-owner=111122223333 --public-access-block-configuration=BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true --region=eu-west-1
          aws s3api put-bucket-encryption --bucket=towline-111122223333-eu-west-1 --expected-bucket-owner=111122223333 '--server-side-encryption-configuration={"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}' --region=eu-west-1
          aws s3api put-bucket-versioning --bucket=towline-111122223333-eu-west-1 --expected-bucket-owner=111122223333 --versioning-configuration=Status=Enabled --region=eu-west-1
          aws cloudformation package --template-file=infra/template.yaml --s3-bucket=towline-111122223333-eu-west-1 --s3-prefix=towline --output-template-file=packaged.yaml --region=eu-west-1
          aws cloudformation deploy --template-file=packaged.yaml --stack-name=towline --s3-bucket=towline-111122223333-eu-west-1 --s3-prefix=towline --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --no-fail-on-empty-changeset --parameter-overrides 'Repositories=acme/shop,acme/*' Tracing=Active --region=eu-west-1
        !
        ! Nothing has been changed.
    "#]],
    );
    assert_eq!(aws.changes(), "");
    let mut nothing = command.to_vec();
    nothing.pop();
    nothing.extend(["--alarm-email", "ops@acme.example"]);
    let output = shown(&session.towline(&nothing));
    assert!(
        output.contains("there is no terminal to ask on; use --yes to continue"),
        "{output}"
    );
    assert_eq!(aws.changes(), "");
}

#[test]
fn a_first_deployment_makes_the_bucket_and_says_what_is_next() {
    let aws = aws()
        .refuses_once("cloudformation describe-stacks *", ABSENT.0, ABSENT.1)
        .says("cloudformation describe-stacks *", stack("CREATE_COMPLETE"))
        .refuses("s3api head-bucket *", "404", "Not Found")
        .says("s3api *", json!(""))
        .says("cloudformation package *", json!(""))
        .refuses_once("cloudformation describe-stack-events *", ABSENT.0, ABSENT.1)
        .says("cloudformation deploy *", json!(""))
        .says(
            "cloudformation describe-stack-events *",
            json!({"StackEvents": [
                event("3", "towline", "AWS::CloudFormation::Stack", "CREATE_COMPLETE", ""),
                event("2", "ReceiveGitHub", "AWS::Lambda::Function", "CREATE_COMPLETE", ""),
                event("1", "Table", "AWS::DynamoDB::Table", "CREATE_COMPLETE", ""),
                event("0", "Table", "AWS::DynamoDB::Table", "CREATE_IN_PROGRESS", ""),
            ]}),
        );
    let session = with_functions(&aws);
    check(
        &aws,
        &session,
        &DEPLOY,
        &expect![[r#"
        towline is deployed.

          ApiUrl      https://a1b2c3.execute-api.eu-west-1.amazonaws.com
          WebhookUrl  https://a1b2c3.execute-api.eu-west-1.amazonaws.com/webhooks/github

        Next
          1. towline secret set webhook --generate --stack towline --region eu-west-1
             prints the secret that GitHub signs with; keep it for step 3.
          2. towline secret set github --stack towline --region eu-west-1
             takes a token or a GitHub App's key, to read definitions and write statuses.
          3. On GitHub, in each repository: Settings, Webhooks, Add webhook
               Payload URL   https://a1b2c3.execute-api.eu-west-1.amazonaws.com/webhooks/github
               Content type  application/json
               Secret        what step 1 printed
               Events        just the push event
          4. towline people add YOU --group '*' --stack towline --region eu-west-1
             prints your token; put it into TOWLINE_TOKEN.
          5. towline deploy components --region eu-west-1
             in each repository, beside its .towline.yml.
          6. towline doctor --stack towline --region eu-west-1
             says what is missing.
        !   account     111122223333 as arn:aws:iam::111122223333:user/kim
        !   region      eu-west-1
        !   stack       towline (new)
        !   functions   built before, in [folder]/built
        !   bucket      towline-111122223333-eu-west-1 (new: private, encrypted, versioned)
        !   parameters  Repositories = acme/shop
        !
        ! Commands
        !   aws s3api create-bucket --bucket=towline-111122223333-eu-west-1 --create-bucket-configuration=LocationConstraint=eu-west-1 --region=eu-west-1
        !   aws s3api put-public-access-block --bucket=towline-111122223333-eu-west-1 --expected-bucket-owner=111122223333 --public-access-block-configuration=BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true --region=eu-west-1
        !   aws s3api put-bucket-encryption --bucket=towline-111122223333-eu-west-1 --expected-bucket-owner=111122223333 '--server-side-encryption-configuration={"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}' --region=eu-west-1
        !   aws s3api put-bucket-versioning --bucket=towline-111122223333-eu-west-1 --expected-bucket-owner=111122223333 --versioning-configuration=Status=Enabled --region=eu-west-1
        !   aws cloudformation package --template-file=infra/template.yaml --s3-bucket=towline-111122223333-eu-west-1 --s3-prefix=towline --output-template-file=packaged.yaml --region=eu-west-1
        !   aws cloudformation deploy --template-file=packaged.yaml --stack-name=towline --s3-bucket=towline-111122223333-eu-west-1 --s3-prefix=towline --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --no-fail-on-empty-changeset --parameter-overrides Repositories=acme/shop --region=eu-west-1
        !
        ! Uploading the functions to towline-111122223333-eu-west-1.
        ! Deploying towline; the first time takes some minutes.
        !   created    Table                               AWS::DynamoDB::Table
        !   created    ReceiveGitHub                       AWS::Lambda::Function
    "#]],
    );
    expect![[r#"
        s3api create-bucket --bucket=towline-111122223333-eu-west-1 --create-bucket-configuration=LocationConstraint=eu-west-1 --region=eu-west-1
        s3api put-public-access-block --bucket=towline-111122223333-eu-west-1 --expected-bucket-owner=111122223333 --public-access-block-configuration=BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true --region=eu-west-1
        s3api put-bucket-encryption --bucket=towline-111122223333-eu-west-1 --expected-bucket-owner=111122223333 --server-side-encryption-configuration={"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]} --region=eu-west-1
        s3api put-bucket-versioning --bucket=towline-111122223333-eu-west-1 --expected-bucket-owner=111122223333 --versioning-configuration=Status=Enabled --region=eu-west-1
        cloudformation package --template-file=[scratch]/template.yaml --s3-bucket=towline-111122223333-eu-west-1 --s3-prefix=towline --output-template-file=[scratch]/packaged.yaml --region=eu-west-1
        cloudformation deploy --template-file=[scratch]/packaged.yaml --stack-name=towline --s3-bucket=towline-111122223333-eu-west-1 --s3-prefix=towline --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --no-fail-on-empty-changeset --parameter-overrides Repositories=acme/shop --region=eu-west-1
    "#]].assert_eq(&without_scratch(&aws.changes()));
}

#[test]
fn an_upgrade_keeps_what_is_not_given() {
    let aws = aws()
        .says("cloudformation describe-stacks *", stack("UPDATE_COMPLETE"))
        .says("s3api *", json!(""))
        .says("cloudformation package *", json!(""))
        .says(
            "cloudformation describe-stack-events *",
            json!({"StackEvents": []}),
        )
        .says("cloudformation deploy *", json!(""));
    let session = with_functions(&aws);
    let command = &[
        "deploy",
        "--functions",
        "built",
        "--bucket",
        "acme-deployments",
        "--yes",
    ];
    check(
        &aws,
        &session,
        command,
        &expect![[r#"
            towline is up to date; nothing has changed.

              ApiUrl      https://a1b2c3.execute-api.eu-west-1.amazonaws.com
              WebhookUrl  https://a1b2c3.execute-api.eu-west-1.amazonaws.com/webhooks/github

            Next: towline doctor --stack towline --region eu-west-1
            !   account     111122223333 as arn:aws:iam::111122223333:user/kim
            !   region      eu-west-1
            !   stack       towline (update; it is UPDATE_COMPLETE now)
            !   functions   built before, in [folder]/built
            !   bucket      acme-deployments (yours; not changed)
            !   parameters  Architecture = x86_64 (kept)
            !               Repositories = acme/shop (kept)
            !
            ! Commands
            !   aws cloudformation package --template-file=infra/template.yaml --s3-bucket=acme-deployments --s3-prefix=towline --output-template-file=packaged.yaml --region=eu-west-1
            !   aws cloudformation deploy --template-file=packaged.yaml --stack-name=towline --s3-bucket=acme-deployments --s3-prefix=towline --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --no-fail-on-empty-changeset --region=eu-west-1
            !
            ! Uploading the functions to acme-deployments.
            ! Deploying towline.
        "#]],
    );
    assert!(
        !aws.changes().contains("--parameter-overrides"),
        "{}",
        aws.changes()
    );
    assert!(
        !aws.changes().contains("put-bucket"),
        "a bucket of theirs is left as it is"
    );
}

#[test]
fn a_failed_deployment_tells_why_and_what_to_do() {
    let kept = "You have exceeded the ReservedConcurrentExecutions";
    let aws = aws()
        .refuses_once("cloudformation describe-stacks *", ABSENT.0, ABSENT.1)
        .says("cloudformation describe-stacks *", stack("ROLLBACK_COMPLETE"))
        .says("s3api *", json!(""))
        .says("cloudformation package *", json!(""))
        .refuses_once("cloudformation describe-stack-events *", ABSENT.0, ABSENT.1)
        .refuses("cloudformation deploy *", "", "Failed to create/update the stack")
        .says("cloudformation describe-stack-events *", json!({"StackEvents": [
            event("3", "towline", "AWS::CloudFormation::Stack", "ROLLBACK_IN_PROGRESS", "The following resource(s) failed"),
            event("2", "Table", "AWS::DynamoDB::Table", "CREATE_FAILED", "Resource creation cancelled"),
            event("1", "PlanRuns", "AWS::Lambda::Function", "CREATE_FAILED", kept),
        ]}));
    let session = with_functions(&aws);
    let text = shown(&session.towline(&DEPLOY));
    let (_, end) = text.split_once("Deploying").unwrap();
    expect![[r#"
         towline; the first time takes some minutes.
        !   failed     PlanRuns                            AWS::Lambda::Function
        !   failed     Table                               AWS::DynamoDB::Table
        !   rollback   towline                             AWS::CloudFormation::Stack
        ! towline: CloudFormation failed to deploy towline
        !   PlanRuns: You have exceeded the ReservedConcurrentExecutions
        ! The stack was never complete and is ROLLBACK_COMPLETE. Delete it with `aws cloudformation delete-stack --stack-name=towline --region=eu-west-1`, fix the cause, then run the same command again.
        [exit 1]
    "#]].assert_eq(end);
    // A second run names the obstacle before anything is built.
    check(
        &aws,
        &session,
        &DEPLOY,
        &expect![[r#"
        ! towline: The stack was never complete and is ROLLBACK_COMPLETE. Delete it with `aws cloudformation delete-stack --stack-name=towline --region=eu-west-1`, fix the cause, then run the same command again.
        [exit 1]
    "#]],
    );
}

#[test]
fn what_is_missing_is_named_before_anything_changes() {
    let aws = aws().refuses("cloudformation describe-stacks *", ABSENT.0, ABSENT.1);
    let session = aws.session();
    check(
        &aws,
        &session,
        &["deploy"],
        &expect![[r#"
        ! towline: which repositories may push? name them with --repositories, such as --repositories 'acme/shop,acme/*'
        [exit 1]
    "#]],
    );
    check(
        &aws,
        &session,
        &["deploy", "--repositories", "acme"],
        &expect![[r#"
            ! error: invalid value 'acme' for '--repositories <LIST>': "acme" is neither OWNER/NAME nor OWNER/*
            !
            ! For more information, try '--help'.
            [exit 2]
        "#]],
    );
    let command = &["deploy", "--repositories", "acme/shop", "--yes"];
    check(
        &aws,
        &session,
        command,
        &expect![[r#"
        ! towline: [folder] is not in a checkout of Towline, so no functions can be built; name one with --source DIR, or built functions with --functions DIR
        [exit 2]
    "#]],
    );
    let aws = aws.refuses("s3api head-bucket *", "403", "Forbidden");
    let command = &[
        "deploy",
        "--repositories",
        "acme/shop",
        "--functions",
        ".",
        "--yes",
    ];
    check(
        &aws,
        &session,
        command,
        &expect![[r#"
        ! towline: the bucket towline-111122223333-eu-west-1 cannot be used: it belongs to another account, or arn:aws:iam::111122223333:user/kim may not see it; name another with --bucket
        [exit 1]
    "#]],
    );
}

#[test]
fn a_parameter_that_no_template_has_is_refused_before_anything_is_made() {
    let aws = aws()
        .refuses("cloudformation describe-stacks *", ABSENT.0, ABSENT.1)
        .refuses("s3api head-bucket *", "404", "Not Found");
    let session = with_functions(&aws);
    let command = [&DEPLOY[..], &["--parameter", "LogRetentionn=30"]].concat();
    check(
        &aws,
        &session,
        &command,
        &expect![[r#"
        ! towline: the template has no parameter LogRetentionn; it has Repositories, Architecture, LogRetention, AlarmEmail, KmsKey, Tracing, ReserveConcurrency, Registry, ToolX86, ToolArm64, GitHubApi
        [exit 1]
    "#]],
    );
}

#[test]
fn functions_that_are_missing_are_named_before_anybody_is_asked() {
    let aws = aws()
        .refuses("cloudformation describe-stacks *", ABSENT.0, ABSENT.1)
        .refuses("s3api head-bucket *", "404", "Not Found");
    let session = with_functions(&aws);
    for name in ["sweep", "plan-runs"] {
        std::fs::remove_file(session.path(&format!("built/{name}/bootstrap.zip"))).unwrap();
    }
    let question = DEPLOY.split_last().unwrap().1;
    check(
        &aws,
        &session,
        question,
        &expect![[r#"
        ! towline: [folder]/built has no plan-runs, sweep; each function must be NAME/bootstrap.zip
        [exit 2]
    "#]],
    );
    let dry = [question, &["--dry-run"]].concat();
    let text = aws.plain(&shown(&session.towline(&dry)));
    assert!(text.contains("has no plan-runs, sweep; each"), "{text}");
}

#[test]
fn functions_are_built_from_the_checkout() {
    let aws = aws()
        .refuses("cloudformation describe-stacks *", ABSENT.0, ABSENT.1)
        .says("s3api *", json!(""));
    aws.program("cargo", "#!/bin/sh\necho \"cargo $*\" >>\"${0%/*}/built\"\n[ \"$2\" = --version ] && exit ${CARGO_LAMBDA:-1}\nexit 3\n");
    let session = aws.session();
    session.write("infra/template.yaml", "CodeUri: ../target/lambda/sweep/bootstrap.zip\nCodeUri: ../target/lambda/plan-runs/bootstrap.zip\n");
    session.write("functions/receive-github/Cargo.toml", "");
    session.write("below/it/file", "");
    let command = &[
        "deploy",
        "--repositories",
        "acme/shop",
        "--source",
        "below/it",
        "--yes",
    ];
    let last = |session: &Session| {
        let text = shown(&session.towline(command));
        text.lines()
            .rev()
            .take(2)
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    expect![[r#"
        [exit 2]
        ! towline: building functions needs cargo-lambda and zig; install them with `pip install cargo-lambda ziglang` (and `rustup target add aarch64-unknown-linux-gnu`), or name built functions with --functions DIR
    "#]].assert_eq(&last(&session));
    aws.program("zig", "#!/bin/sh\nexit 0\n");
    expect![[r#"
        [exit 1]
        ! towline: the functions were not built, and nothing has been changed; if a target is missing, run `rustup target add aarch64-unknown-linux-gnu` (or x86_64-unknown-linux-gnu)
    "#]].assert_eq(&last(&session.set("CARGO_LAMBDA", "0")));
}

/// A stack that has a bucket, and these parameters.
pub(crate) fn with_bucket(parameters: &[(&str, &str)]) -> Value {
    let mut stack = stack("UPDATE_COMPLETE");
    let described = &mut stack["Stacks"][0];
    let output = json!({"OutputKey": "BucketName", "OutputValue": "towline-bucket-1x"});
    described["Outputs"].as_array_mut().unwrap().push(output);
    let given = described["Parameters"].as_array_mut().unwrap();
    given.extend(
        parameters
            .iter()
            .map(|(name, value)| json!({"ParameterKey": name, "ParameterValue": value})),
    );
    stack
}

#[test]
fn a_new_account_gets_nothing_set_aside_and_is_told() {
    let aws = with_concurrency(10)
        .refuses("cloudformation describe-stacks *", ABSENT.0, ABSENT.1)
        .refuses("s3api head-bucket *", "404", "Not Found");
    let session = with_functions(&aws);
    let command = [
        "deploy",
        "--repositories",
        "acme/shop",
        "--functions",
        "built",
        "--dry-run",
    ];
    let text = shown(&session.towline(&command));
    assert!(text.contains("ReserveConcurrency = false"), "{text}");
    assert!(
        text.contains("Note: the account may run 10 functions at once"),
        "{text}"
    );
    assert!(
        text.contains("--parameter-overrides Repositories=acme/shop ReserveConcurrency=false"),
        "{text}"
    );
    let long = "a-name-of-more-than-29-letters";
    let text = shown(&session.towline(&["deploy", "--stack", long, "--dry-run"]));
    assert!(text.contains("at most 29 characters"), "{text}");
}

/// The calls of a deployment that concern `towline` for builds.
fn of_tools(aws: &Aws) -> Vec<String> {
    let calls = without_scratch(&aws.changes());
    let of_them = calls
        .lines()
        .filter(|line| line.contains("tools/") || line.starts_with("cloudformation deploy"));
    of_them
        .map(|line| {
            let overrides = line.split_once("--parameter-overrides ");
            match overrides {
                Some((_, rest)) => {
                    format!("deploy {}", rest.split(" --").next().unwrap_or_default())
                }
                None if line.starts_with("cloudformation") => "deploy".to_owned(),
                None => line
                    .split(" --expected")
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            }
        })
        .collect()
}

#[test]
fn the_program_for_builds_is_in_the_bucket_before_the_stack_names_it() {
    // SHA-256 of "ELF".
    let digest = "706abe3c90152075e656b661079730facf323f3ebccda7547ee1935c90845a09";
    let events = json!({"StackEvents": []});
    let common = |aws: Aws| {
        aws.says("cloudformation package *", json!(""))
            .says("cloudformation describe-stack-events *", events.clone())
            .says("cloudformation deploy *", json!(""))
    };
    let with_tool = |aws: &Aws| {
        let session = with_functions(aws);
        session.write("built/tools/x86_64/towline/bootstrap", "ELF");
        session
    };
    let command = [
        "deploy",
        "--functions",
        "built",
        "--repositories",
        "acme/shop",
        "--yes",
    ];

    let first = common(
        aws()
            .refuses_once("cloudformation describe-stacks *", ABSENT.0, ABSENT.1)
            .says("cloudformation describe-stacks *", with_bucket(&[]))
            .refuses("s3api head-object *", "404", "Not Found")
            .says("s3api *", json!("")),
    );
    let session = with_tool(&first);
    shown(&session.towline(&command));
    let put = format!("s3api put-object --bucket=towline-bucket-1x --key=tools/{digest}/towline");
    let named = format!("deploy Repositories=acme/shop ToolX86={digest}");
    assert_eq!(
        of_tools(&first),
        ["deploy Repositories=acme/shop", &put, &named]
    );

    let known = common(
        aws()
            .says("cloudformation describe-stacks *", with_bucket(&[]))
            .says("s3api *", json!("")),
    );
    let session = with_tool(&known);
    shown(&session.towline(&command));
    // It is there already, by its digest.
    assert_eq!(of_tools(&known), [named.as_str()]);

    let without = common(
        aws()
            .says(
                "cloudformation describe-stacks *",
                with_bucket(&[("ToolX86", "0a")]),
            )
            .says("s3api *", json!("")),
    );
    let session = with_tool(&without);
    shown(&session.towline(&[&command[..], &["--no-tool"]].concat()));
    assert_eq!(of_tools(&without), ["deploy Repositories=acme/shop"]);
    let text = shown(&session.towline(&[&command[..], &["--tool", "arm64"]].concat()));
    assert!(text.contains("there is no towline for arm64:"), "{text}");
}
