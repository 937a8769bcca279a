//! The doctor: a sound stack, one with everything wrong, a folder, and an address.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::aws::Aws;
use crate::client::Server;
use crate::session::{Session, shown};

const DEFINITION: &str = "\
version: 1
pipeline: shop
source: {github: acme/shop}
components:
  api:
    repository: acme/api
    build: {preset: docker, image: \"111122223333.dkr.ecr.eu-west-1.amazonaws.com/builders/rust:1\"}
stages:
  - {name: staging, from: build, promote: auto, tag: [staging]}
  - {name: prod, from: staging, promote: manual, tag: [prod]}
";
const IMAGES: &str = "arn:aws:ecr:eu-west-1:111122223333:repository/acme/api";
const ROLE: &str = "arn:aws:iam::111122223333:role/towline-acme-shop-api-Role-1";

fn stack(url: &str) -> Value {
    let output = |name: &str, value: &str| json!({"OutputKey": name, "OutputValue": value});
    json!({"Stacks": [{
        "StackStatus": "UPDATE_COMPLETE",
        "Parameters": [{"ParameterKey": "Repositories", "ParameterValue": "acme/shop,tools/*"}],
        "Outputs": [
            output("ApiUrl", url),
            output("WebhookUrl", &format!("{url}/webhooks/github")),
            output("TableName", "towline-Table-1"),
            output("BusName", "towline"),
            output("BucketName", "towline-bucket-1x"),
            output("DeadLettersUrl", "https://sqs.eu-west-1.amazonaws.com/111122223333/dead"),
            output("WebhookSecretArn", "arn:webhook"),
            output("GitHubSecretArn", "arn:github"),
            output("SlackSecretArn", "arn:slack"),
            output("PeopleSecretArn", "arn:people"),
        ],
    }]})
}

fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:eu-west-1:111122223333:function:towline-{name}")
}

fn with_functions(mut aws: Aws) -> Aws {
    for name in [
        "advance-stages",
        "answer-chat",
        "deploy-images",
        "plan-runs",
        "promote-images",
        "receive-github",
        "record-images",
        "report-status",
        "start-builds",
        "sweep",
    ] {
        aws = aws.says(
            &format!("lambda get-function-configuration --function-name=towline-{name} *"),
            json!({"FunctionArn": function_arn(name), "Role": format!("arn:aws:iam::111122223333:role/towline-{name}"), "State": "Active", "LastUpdateStatus": "Successful"}),
        );
    }
    aws
}

/// The rules as in `events/rules`, with lower priority than the existing table.
fn with_rules(mut aws: Aws) -> Aws {
    let rules = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/rules");
    for entry in fs::read_dir(rules).unwrap() {
        let path = entry.unwrap().path();
        let function = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let rule: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for (bus, pattern) in rule.as_object().unwrap() {
            let name = format!("towline-{function}-{bus}");
            let target = format!(
                "events list-rule-names-by-target --target-arn={} --event-bus-name={bus} *",
                function_arn(&function)
            );
            aws = aws.says(&target, json!({"RuleNames": [name]})).says(
                &format!("events describe-rule --name={name} --event-bus-name={bus} *"),
                json!({"Name": name, "State": "ENABLED", "EventPattern": pattern.to_string()}),
            );
        }
    }
    aws
}

fn with_the_rest(aws: Aws) -> Aws {
    let secret = |text: &str| json!({"SecretString": text});
    let push = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:CompleteLayerUpload",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
    ];
    let callers = json!({"Statement": [{
        "Effect": "Allow", "Principal": {"Service": ["events.amazonaws.com", "apigateway.amazonaws.com"]},
        "Action": "lambda:InvokeFunction",
    }]});
    let letters = json!({"Statement": [
        {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"},
        {"Effect": "Deny", "Principal": "*", "Action": "sqs:SendMessage", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
    ]});
    let everything = [
        "codebuild:*",
        "dynamodb:*",
        "ecr:*",
        "events:*",
        "logs:*",
        "s3:*",
        "secretsmanager:*",
        "sqs:*",
    ];
    aws.says("lambda get-policy *", json!({"Policy": callers.to_string()}))
        .says("ecr list-tags-for-resource *", json!({"tags": [{"Key": "towline", "Value": "api"}]}))
        .says("sqs get-queue-attributes *", json!({"Attributes": {"ApproximateNumberOfMessages": "0", "Policy": letters.to_string()}}))
        .says("iam get-role-policy --role-name=towline-* --policy-name=own *", json!({"PolicyDocument": {"Statement": [
            {"Effect": "Allow", "Action": everything, "Resource": "*"},
        ]}}))
        .says("scheduler get-schedule --name=towline-sweep *", json!({"State": "ENABLED"}))
        .says("dynamodb describe-table *", json!({"Table": {
            "TableStatus": "ACTIVE", "DeletionProtectionEnabled": true,
            "GlobalSecondaryIndexes": [{"IndexName": "due", "IndexStatus": "ACTIVE"}],
        }}))
        .says("dynamodb describe-continuous-backups *", json!({"ContinuousBackupsDescription": {
            "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"},
        }}))
        .says("dynamodb describe-time-to-live *", json!({"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}}))
        .says("secretsmanager get-secret-value --secret-id=arn:webhook *", secret("a secret of tests, long enough for anybody"))
        .says("secretsmanager get-secret-value --secret-id=arn:github *", secret(r#"{"token": "ghp_the-token"}"#))
        .says("secretsmanager get-secret-value --secret-id=arn:slack *", secret("unset"))
        .says("secretsmanager get-secret-value --secret-id=arn:people *", secret(r#"[{"login": "kim", "token_sha256": "00"}]"#))
        .says("ecr describe-repositories *", json!({"repositories": [{
            "repositoryArn": IMAGES, "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
            "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "staging"}, {"filterType": "WILDCARD", "filter": "pro*"}],
        }]}))
        .says("codebuild batch-get-projects --names=towline-acme-shop-api *", json!({"projects": [{
            "serviceRole": ROLE, "environment": {"privilegedMode": true, "imagePullCredentialsType": "CODEBUILD"},
        }]}))
        .says("iam list-role-policies --role-name=towline-acme-shop-api-Role-1 *", json!({"PolicyNames": ["build"]}))
        .says("iam list-role-policies *", json!({"PolicyNames": ["own"]}))
        .says("iam list-attached-role-policies *", json!({"AttachedPolicies": []}))
        .says("iam get-role-policy *", json!({"PolicyDocument": {"Statement": [
            {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
            {"Effect": "Allow", "Action": push, "Resource": IMAGES},
            {"Effect": "Allow", "Action": "s3:GetObject", "Resource": [
                "arn:aws:s3:::towline-bucket-1x/buildspecs/*", "arn:aws:s3:::towline-bucket-1x/tools/*",
            ]},
        ]}}))
        .says("s3api get-public-access-block --bucket=towline-bucket-1x *", json!({"PublicAccessBlockConfiguration": {
            "BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true, "RestrictPublicBuckets": true,
        }}))
        .refuses("iam simulate-principal-policy *", "AccessDenied", "not authorized")
        .says("ecr get-repository-policy *", json!({"policyText": json!({"Statement": [{
            "Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"},
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        }]}).to_string()}))
}

/// The doctor's output about the stack.
fn told(aws: &Aws, session: &Session) -> String {
    let text = shown(&session.towline(&["doctor", "--stack", "towline"]));
    for secret in ["a secret of tests", "ghp_", "gh-token"] {
        assert!(
            !aws.asked().contains(secret) && !text.contains(secret),
            "{text}"
        );
    }
    text
}

/// The lines of one group.
fn told_of(group: &str, aws: &Aws, session: &Session) -> String {
    let text = told(aws, session);
    let (_, rest) = text.split_once(&format!("\n{group}\n")).unwrap();
    let lines = rest.lines().take_while(|line| !line.is_empty());
    lines
        .map(|line| format!("{}\n", line.trim_start()))
        .collect()
}

#[test]
fn a_sound_stack_is_found_sound() {
    let server = Server::saying(&[(200, json!({"status": "ok"}))]);
    let aws = Aws::new().says("cloudformation describe-stacks *", stack(&server.url));
    let aws = with_the_rest(with_rules(with_functions(aws)));
    let session = aws.session();
    session.write(".towline.yml", DEFINITION);
    let text = told(&aws, &session).replace(&server.url, "[server]");
    expect![[r#"
        stack towline in eu-west-1

        Stack
          ✔ deployed (UPDATE_COMPLETE)

        Functions
          ✔ all 10 are active

        Rules
          ✔ the rules of these functions and the schedule of the sweep are as they should be

        Rights
          ✔ these functions have the rights they need, and may be called by those who need them

        Table
          ✔ active, with point-in-time recovery, time to live, index and deletion protection

        Bucket
          ✔ towline-bucket-1x exists and is private

        Dead letters
          ✔ none

        Secrets
          ✔ webhook is set
          ✔ github is set
          – slack is not set; nobody can ask from Slack
          ✔ people: 1 known

        API
          ✔ [server] answers

        Webhooks
          – set TOWLINE_GITHUB_TOKEN to check them

        Components
          ✔ api: repository, project and role are as they should be

        Live images
          – set TOWLINE_TOKEN, or use --sigv4, to compare them with ECR

        No problems found.
    "#]]
    .assert_eq(&text);
}

#[test]
fn every_problem_is_shown_with_its_fix() {
    let server = Server::saying(&[(502, json!({"message": "Internal Server Error"}))]);
    let mut sick = stack(&server.url);
    sick["Stacks"][0]["StackStatus"] = json!("UPDATE_ROLLBACK_COMPLETE");
    let aws = Aws::new()
        .says("cloudformation describe-stacks *", sick)
        .refuses("lambda get-function-configuration --function-name=towline-sweep *", "ResourceNotFoundException", "Function not found")
        .says("lambda get-function-configuration --function-name=towline-plan-runs *", json!({
            "FunctionArn": function_arn("plan-runs"), "Role": "arn:aws:iam::111122223333:role/towline-plan-runs", "State": "Active",
            "LastUpdateStatus": "Failed", "LastUpdateStatusReason": "The image is gone",
        }))
        .says("events list-rule-names-by-target --target-arn=*plan-runs *", json!({"RuleNames": []}))
        .says("events describe-rule --name=towline-start-builds-towline *", json!({
            "Name": "towline-start-builds-towline", "State": "ENABLED",
            "EventPattern": r#"{"source": ["towline"], "detail-type": ["Build Due"]}"#,
        }))
        .says("events describe-rule --name=towline-record-images-default *", json!({
            "Name": "towline-record-images-default", "State": "DISABLED",
            "EventPattern": include_str!("../../../../events/rules/record-images.json")
                .split_once("\"default\":").unwrap().1.split_once(",\n  \"towline\"").unwrap().0,
        }))
        .refuses("scheduler get-schedule *", "AccessDeniedException", "User: kim is not authorized to perform: scheduler:GetSchedule")
        .says("dynamodb describe-continuous-backups *", json!({"ContinuousBackupsDescription": {
            "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"},
        }}))
        .refuses("s3api get-public-access-block *", "NoSuchBucket", "The specified bucket does not exist")
        .says("sqs get-queue-attributes *", json!({"Attributes": {"ApproximateNumberOfMessages": "3"}}))
        .refuses("lambda get-policy --function-name=*answer-chat *", "ResourceNotFoundException", "none")
        .says("iam list-role-policies --role-name=towline-record-images *", json!({"PolicyNames": []}))
        .says("ecr list-tags-for-resource *", json!({"tags": []}))
        .says("secretsmanager get-secret-value --secret-id=arn:webhook *", json!({"SecretString": "unset"}))
        .says("secretsmanager get-secret-value --secret-id=arn:github *", json!({"SecretString": "{}"}))
        .says("secretsmanager get-secret-value --secret-id=arn:people *", json!({"SecretString": "[]"}))
        .says("ecr describe-repositories *", json!({"repositories": [{
            "repositoryArn": IMAGES, "imageTagMutability": "IMMUTABLE",
        }]}))
        .says("iam get-role-policy *--policy-name=build *", json!({"PolicyDocument": {"Statement": [
            {"Effect": "Allow", "Action": ["ecr:Get*", "ecr:Put*", "ecr:Batch*"], "Resource": "*"},
        ]}}))
        .refuses("ecr get-repository-policy *", "RepositoryPolicyNotFoundException", "none");
    let aws = with_the_rest(with_rules(with_functions(aws)));
    let session = aws.session();
    session.write(".towline.yml", DEFINITION);
    let text = told(&aws, &session).replace(&server.url, "[server]");
    expect![[r#"
        stack towline in eu-west-1

        Stack
          ✘ the last deployment failed (UPDATE_ROLLBACK_COMPLETE) → see why with `aws cloudformation describe-stack-events --stack-name=towline --region=eu-west-1`, fix it, then run towline deploy --stack towline --region eu-west-1

        Functions
          ✘ plan-runs was not updated (Failed): The image is gone → towline deploy --stack towline --region eu-west-1
          ✘ sweep is missing → towline deploy --stack towline --region eu-west-1; if that changes nothing, see Drift below

        Rules
          ✘ plan-runs on the bus towline: no rule sends events to it → towline deploy --stack towline --region eu-west-1; if that changes nothing, see Drift below
          ✘ start-builds on the bus towline: its rule matches the wrong events → towline deploy --stack towline --region eu-west-1; or, if somebody has changed the rule by hand: aws events put-rule --name=towline-start-builds-towline --event-bus-name=towline '--event-pattern={"detail-type":["Build Due","Build Stop Due"],"source":["towline"]}' --region=eu-west-1
          ✘ record-images on the bus default: its rule is disabled → aws events enable-rule --name=towline-record-images-default --event-bus-name=default --region=eu-west-1
          ? the schedule of the sweep: aws scheduler get-schedule: User: kim is not authorized to perform: scheduler:GetSchedule

        Rights
          ✘ record-images: its role is not allowed dynamodb:BatchGetItem, dynamodb:BatchWriteItem, dynamodb:DeleteItem, dynamodb:GetItem, dynamodb:PutItem, dynamodb:Query, dynamodb:UpdateItem, ecr:BatchGetImage, events:PutEvents, logs:CreateLogStream, logs:PutLogEvents, sqs:SendMessage → towline deploy --stack towline --region eu-west-1; if that changes nothing, see Drift below
          ✘ answer-chat: apigateway.amazonaws.com is not allowed to call it → towline deploy --stack towline --region eu-west-1; if that changes nothing, see Drift below

        Table
          ✘ point-in-time recovery is off → aws dynamodb update-continuous-backups --table-name=towline-Table-1 --point-in-time-recovery-specification=PointInTimeRecoveryEnabled=true --region=eu-west-1

        Bucket
          ✘ towline-bucket-1x is missing → towline deploy --stack towline --region eu-west-1; if that changes nothing, see Drift below

        Dead letters
          ✘ events.amazonaws.com is not allowed to send messages to the queue → towline deploy --stack towline --region eu-west-1; if that changes nothing, see Drift below
          ✘ messages in the queue: 3 → read them with `aws sqs receive-message --queue-url=https://sqs.eu-west-1.amazonaws.com/111122223333/dead --attribute-names=All --message-attribute-names=All --region=eu-west-1`, fix their cause, then empty the queue with `aws sqs purge-queue --queue-url=https://sqs.eu-west-1.amazonaws.com/111122223333/dead --region=eu-west-1`; the sweep finds unfinished work again

        Secrets
          ✘ webhook is not set → towline secret set webhook --generate --stack towline --region eu-west-1, then paste the secret into GitHub
          ✘ github is not set → towline secret set github --stack towline --region eu-west-1, with a token on standard input, or --app-id ID --from KEY.pem
          – slack is not set; nobody can ask from Slack
          ✘ people: the list is empty → towline people add YOU --group '*' --stack towline --region eu-west-1

        API
          ✘ [server] answers 502 Bad Gateway → read why with `aws logs tail /aws/lambda/towline-answer-chat --since 1h --region eu-west-1`

        Webhooks
          – set TOWLINE_GITHUB_TOKEN to check them

        Components
          ✘ api: the tags prod, staging cannot be moved → towline deploy components --region eu-west-1; if that changes nothing, see Drift below
          ✘ api: its image repository has no AWS tag towline, so functions may not use it → aws ecr tag-resource --resource-arn=arn:aws:ecr:eu-west-1:111122223333:repository/acme/api --tags=Key=towline,Value=api --region=eu-west-1
          ✘ api: its role is not allowed ecr:CompleteLayerUpload, ecr:InitiateLayerUpload, ecr:UploadLayerPart on arn:aws:ecr:eu-west-1:111122223333:repository/acme/api → towline deploy components --region eu-west-1; if that changes nothing, see Drift below
          ✘ api: its role may also push to * → towline deploy components --region eu-west-1; if that changes nothing, see Drift below
          ✘ api: its role may not read the stack's bucket towline-bucket-1x, so builds with a long buildspec or the preset pack fail → towline deploy components --region eu-west-1; if that changes nothing, see Drift below
          ✘ api: the policy of builders/rust does not let CodeBuild pull the image that builds run in (ecr:BatchGetImage, ecr:GetDownloadUrlForLayer) → aws ecr set-repository-policy --repository-name=builders/rust --registry-id=111122223333 '--policy-text={"Statement":[{"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"}}],"Version":"2012-10-17"}' --region=eu-west-1

        Live images
          – set TOWLINE_TOKEN, or use --sigv4, to compare them with ECR

        Drift
          – `towline deploy` does not undo changes made by hand. This does: aws cloudformation create-change-set --stack-name towline --region eu-west-1 --change-set-name put-back --deployment-mode REVERT_DRIFT --use-previous-template --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --parameters ParameterKey=Repositories,UsePreviousValue=true. Look at the change set with describe-change-set, and run it with execute-change-set
          – a component's stack has the name of its CodeBuild project. This undoes changes made by hand: aws cloudformation create-change-set --stack-name PROJECT --region eu-west-1 --change-set-name put-back --deployment-mode REVERT_DRIFT --use-previous-template --capabilities CAPABILITY_IAM --parameters, with ParameterKey=NAME,UsePreviousValue=true for each of its parameters. Look at the change set with describe-change-set, and run it with execute-change-set

        22 problems found; 1 check could not run.
        [exit 1]
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_webhook_that_does_not_deliver_is_found() {
    let check = |change: &dyn Fn(&mut Value), statuses: &[u16], expected: Expect| {
        let api = Server::saying(&[(200, json!({"status": "ok"}))]);
        let mut hooks = json!([{
            "id": 7, "active": true, "events": ["push"],
            "config": {"url": format!("{}/webhooks/github", api.url), "content_type": "json", "secret": "********"},
        }]);
        change(&mut hooks);
        let deliveries: Vec<Value> = statuses
            .iter()
            .enumerate()
            .map(|(number, status)| {
                json!({
                    "id": number, "guid": number.to_string(), "status_code": status,
                    "delivered_at": "2999-01-01T00:00:00Z",
                })
            })
            .collect();
        let github = Server::saying(&[(200, hooks), (200, json!(deliveries))]);
        let aws = Aws::new().says("cloudformation describe-stacks *", stack(&api.url));
        let aws = with_the_rest(with_rules(with_functions(aws)));
        let session = aws
            .session()
            .set("TOWLINE_GITHUB_TOKEN", "gh-token")
            .set("TOWLINE_GITHUB_API", &github.url);
        let text = told_of("Webhooks", &aws, &session);
        expected.assert_eq(&text.replace(&api.url, "[server]"));
        let asked = github.asked().join("\n");
        assert!(
            asked.contains("/repos/acme/shop/hooks?per_page=100 authorization=Bearer gh-token"),
            "{asked}"
        );
    };
    check(
        &|hooks| *hooks = json!([]),
        &[],
        expect![[r#"
            ✘ acme/shop has no webhook to [server]/webhooks/github → add it at github.com/acme/shop/settings/hooks: content type application/json, just the push event, the secret that `aws secretsmanager get-secret-value --secret-id=arn:webhook --query=SecretString --output=text --region=eu-west-1` prints
            ✔ acme/shop: failed deliveries are repeated, if the stored token may also write webhooks
        "#]],
    );
    let badly = |hooks: &mut Value| {
        hooks[0]["active"] = false.into();
        hooks[0]["events"] = json!(["release"]);
        hooks[0]["config"]["content_type"] = "form".into();
        hooks[0]["config"]["secret"] = "".into();
    };
    check(
        &badly,
        &[202, 503],
        expect![[r#"
            ✘ acme/shop: its webhook is disabled → enable it at github.com/acme/shop/settings/hooks/7
            ✘ acme/shop: its webhook does not send pushes → choose the push event at github.com/acme/shop/settings/hooks/7
            ✘ acme/shop: its webhook sends forms, in which a large push is too large → choose application/json at github.com/acme/shop/settings/hooks/7
            ✘ acme/shop: its webhook has no secret, so its deliveries are refused → paste the secret that `aws secretsmanager get-secret-value --secret-id=arn:webhook --query=SecretString --output=text --region=eu-west-1` prints at github.com/acme/shop/settings/hooks/7
            ✘ acme/shop: 1 delivery failed since 2999-01-01T00:00:00Z: the answer was 503 → read why with `aws logs tail /aws/lambda/towline-receive-github --since 3d --region eu-west-1`; then redeliver with `gh api -X POST repos/acme/shop/hooks/7/deliveries/ID/attempts`, for ID 1
            ✔ acme/shop: failed deliveries are repeated, if the stored token may also write webhooks
        "#]],
    );
    check(
        &|_| (),
        &[401, 401, 202],
        expect![[r#"
            ✘ acme/shop: 2 deliveries failed since 2999-01-01T00:00:00Z: the secret on GitHub differs from the one here (401) → paste the secret that `aws secretsmanager get-secret-value --secret-id=arn:webhook --query=SecretString --output=text --region=eu-west-1` prints at github.com/acme/shop/settings/hooks/7; then redeliver with `gh api -X POST repos/acme/shop/hooks/7/deliveries/ID/attempts`, for ID 0 1
            ✔ acme/shop: failed deliveries are repeated, if the stored token may also write webhooks
        "#]],
    );
}

#[test]
fn a_stage_tag_on_another_image_is_found() {
    let seen =
        json!({"by": "system", "since": "2026-03-02T10:20:00Z", "reason": "its tag was moved"});
    for (hold, expected) in [
        (
            Value::Null,
            expect![[r#"
                  ✘ prod of api in acme/shop: acme/api:prod is sha256:bbbbbbbbbbbb, not sha256:aaaaaaaaaaaa → aws ecr put-image --repository-name=acme/api --image-tag=prod --image-digest=sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa --region=eu-west-1 --image-manifest "$(aws ecr batch-get-image --repository-name=acme/api --image-ids=imageDigest=sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa --accepted-media-types=application/vnd.oci.image.manifest.v1+json '--query=images[0].imageManifest' --output=text --region=eu-west-1)"
            "#]],
        ),
        (
            seen,
            expect![[r#"
                  ✘ prod of api in acme/shop is held by Towline: its tag was moved → find out why, then `towline resume api prod`
                  ✘ prod of api in acme/shop: acme/api:prod is sha256:bbbbbbbbbbbb, not sha256:aaaaaaaaaaaa → `towline resume api prod` puts the tag back
            "#]],
        ),
    ] {
        let found = with_another_image(&hold);
        expected.assert_eq(&found);
    }
}

/// The findings if prod's tag is on another image than the live one.
fn with_another_image(hold: &Value) -> String {
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let commit = "3".repeat(40);
    let at = "2026-03-02T10:14:09Z";
    let now = json!({"answer": "now", "at": null, "live": [{
        "repository": "acme/shop", "component": "api", "stage": "prod", "hold": hold, "waiting": [],
        "image": {"digest": digest("a"), "commit": commit, "build": 1, "since": at, "by": "@kim", "why": "asked"},
    }]});
    let history = json!({"answer": "history", "component": "api", "stage": "prod", "hold": null, "moves": [{
        "at": at, "tag": "prod", "from": null, "to": commit, "digest": digest("a"),
        "by": "@kim", "why": "asked", "promotion": 1, "rollback": false,
    }]});
    let image = json!({"answer": "image", "images": [{
        "repository": "acme/api", "digest": digest("a"), "media_type": "application/vnd.oci.image.manifest.v1+json",
        "size": null, "platforms": [], "at": at, "built": null, "tags": [], "live": [],
    }]});
    let health = json!({"status": "ok"});
    let api = Server::by_path(&[
        ("/healthz", health),
        ("/v1/now", now),
        ("/v1/history", history),
        ("/v1/image", image),
    ]);
    let aws = Aws::new()
        .says("cloudformation describe-stacks *", stack(&api.url))
        .says(
            "ecr describe-images --repository-name=acme/api --image-ids imageTag=prod *",
            json!({"imageDetails": [{"imageDigest": digest("b")}]}),
        );
    let aws = with_the_rest(with_rules(with_functions(aws)));
    let session = aws.session().set("TOWLINE_TOKEN", "kims-token");
    told_of("Live images", &aws, &session)
}

#[test]
fn a_folder_is_looked_through() {
    let session = Session::new();
    let text = session.play(&[
        &["doctor", "--data", "data"],
        &["doctor", "--data", "shop.yml", "--json"],
    ]);
    expect![[r#"
        $ towline doctor --data data
        the folder data

        Folder
          ✘ data is not a folder of `towline serve` → name another with --data, or start one with `towline serve --repo FOLDER`

        1 problem found.
        [exit 1]
        $ towline doctor --data shop.yml --json
        {
          "findings": [
            {
              "group": "Folder",
              "help": "name another with --data, or start one with `towline serve --repo FOLDER`",
              "state": "wrong",
              "what": "shop.yml is not a folder of `towline serve`"
            }
          ],
          "of": "the folder shop.yml",
          "unknown": 0,
          "wrong": 1
        }
        [exit 1]
    "#]].assert_eq(&text);
    session.git(&["init", "-q", "-b", "main", "repo"]);
    session.git(&["-C", "repo", "commit", "-q", "--allow-empty", "-m", "first"]);
    session.write(
        "data/.gitignore",
        "# Created by towline. Everything in this folder belongs to it, including secrets.\n*\n",
    );
    session.write("data/owner.token", "0123456789abcdef0123456789abcdef\n");
    fs::set_permissions(session.path("data"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(
        session.path("data/owner.token"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    let text = session.play(&[&[
        "doctor",
        "--data",
        "data",
        "--repo",
        "repo",
        "--repo",
        "acme/gone=/nowhere/at/all",
    ]]);
    // The test does not depend on this machine's git and Docker.
    let lines = text
        .lines()
        .filter(|line| !line.contains("git version") && !line.contains("ocker"));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    expect![[r#"
        $ towline doctor --data data --repo repo --repo acme/gone=/nowhere/at/all
        the folder data

        Folder
          ✘ others can read owner.token → chmod 600 [folder]/shop/data/owner.token
          ✔ ledger 0.0 KB, images 0.0 KB, mirrors 0.0 KB, builds and logs 0.0 KB

        People
          – nobody yet; `towline serve` adds its owner

        Tools

        Repositories
          ✔ local/repo answers
          ✘ acme/gone does not answer (fatal: '/nowhere/at/all' does not appear to be a git repository) → check its address and the credentials in .netrc or .ssh

        Live images
          – no images yet

        2 problems found.
        [exit 1]
    "#]].assert_eq(&text);
}

#[test]
fn an_address_is_asked() {
    let server = Server::saying(&[
        (200, json!({"status": "ok"})),
        (401, json!({"error": "who?"})),
    ]);
    let session = Session::new().set("TOWLINE_TOKEN", "kims-token");
    let text = session
        .play(&[&["doctor", "--url", &server.url]])
        .replace(&server.url, "[server]");
    expect![[r#"
        $ towline doctor --url [server]
        [server]

        API
          ✔ [server] answers
          ✘ it does not accept your token or signature → [server] does not know your token; set another in TOWLINE_TOKEN, or in the file that TOWLINE_TOKEN_FILE names

        1 problem found.
        [exit 1]
    "#]].assert_eq(&text);
}
