//! Secrets and people of a stack: set, rotated and shown, but never in an argument.

use expect_test::expect;
use serde_json::{Value, json};

use crate::aws::Aws;
use crate::session::shown;

const WEBHOOK: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:webhook";
const PEOPLE: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:people";

fn stack() -> Value {
    let output = |name: &str, value: &str| json!({"OutputKey": name, "OutputValue": value});
    json!({"Stacks": [{
        "StackStatus": "CREATE_COMPLETE",
        "Outputs": [
            output("WebhookSecretArn", WEBHOOK),
            output("GitHubSecretArn", "arn:github"),
            output("SlackSecretArn", "arn:slack"),
            output("PeopleSecretArn", PEOPLE),
        ],
    }]})
}

fn aws() -> Aws {
    Aws::new()
        .says("cloudformation describe-stacks *", stack())
        .says(
            "secretsmanager put-secret-value *",
            json!({"VersionId": "v2"}),
        )
        .says("secretsmanager update-secret-version-stage *", json!(""))
}

/// An account in which the secrets have never been set.
fn unset(aws: Aws) -> Aws {
    aws.says(
        "secretsmanager get-secret-value *",
        version("v1", "unset", "2026-01-01T00:00:00+00:00"),
    )
}

fn version(id: &str, text: &str, made: &str) -> Value {
    json!({"VersionId": id, "SecretString": text, "CreatedDate": made})
}

#[test]
fn a_secret_goes_from_stdin_or_a_file_to_stdin_alone() {
    let aws = unset(aws());
    let session = aws.session();
    session.write("token.txt", "ghp_the-token\n");
    let long = "a secret of tests, long enough for anybody";
    let mut text =
        shown(&session.towline_with(&["secret", "set", "webhook"], &format!("{long}\n")));
    text += &session.play(&[
        &["secret", "set", "github", "--from", "token.txt"],
        &["secret", "set", "github", "--generate"],
        &["secret", "set", "webhook", "--from", "token.txt"],
        &[
            "secret",
            "set",
            "slack",
            "--app-id",
            "12",
            "--from",
            "token.txt",
        ],
    ]);
    expect![[r#"
        ! the webhook secret of towline is set; functions use it within five minutes
        $ towline secret set github --from token.txt
        ! the github secret of towline is set; functions use it within five minutes
        $ towline secret set github --generate
        ! towline: only the webhook secret can be generated; provide a GitHub token, or --app-id with the App's key
        [exit 1]
        $ towline secret set webhook --from token.txt
        ! towline: the secret has 13 bytes and needs at least 32; create one with `openssl rand -hex 32` and set it here and on GitHub
        [exit 1]
        $ towline secret set slack --app-id 12 --from token.txt
        ! towline: --app-id is for the github secret
        [exit 1]
    "#]]
    .assert_eq(&text);
    assert_eq!(aws.given(), format!(r#"{long}{{"token":"ghp_the-token"}}"#));
    assert!(
        !aws.asked().contains(long) && !aws.asked().contains("ghp_"),
        "{}",
        aws.asked()
    );
    expect![[r#"
        secretsmanager put-secret-value --secret-id=arn:aws:secretsmanager:eu-west-1:111122223333:secret:webhook --version-stages=AWSCURRENT --secret-string=file:///dev/stdin --region=eu-west-1 --output=json
        secretsmanager put-secret-value --secret-id=arn:github --version-stages=AWSCURRENT --secret-string=file:///dev/stdin --region=eu-west-1 --output=json
    "#]]
    .assert_eq(&aws.changes());
}

#[test]
fn a_webhook_secret_is_made_up_and_shown_once() {
    let aws = unset(aws());
    let output = aws
        .session()
        .towline(&["secret", "set", "webhook", "--generate"]);
    let secret = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(secret.trim().len(), 64, "{secret}");
    assert_eq!(aws.given(), secret.trim());
    assert!(!aws.asked().contains(secret.trim()), "{}", aws.asked());
}

#[test]
fn the_secret_before_is_dropped_when_somebody_says_so() {
    let versions = json!({"VersionIdsToStages": {"v1": ["AWSPREVIOUS"], "v2": ["AWSCURRENT"]}});
    let aws = aws()
        .says_once("secretsmanager describe-secret *", versions)
        .says(
            "secretsmanager describe-secret *",
            json!({"VersionIdsToStages": {"v2": ["AWSCURRENT"]}}),
        );
    let drop: &[&str] = &["secret", "drop-previous", "webhook"];
    expect![[r#"
        $ towline secret drop-previous webhook
        ! the previous webhook secret is invalid within five minutes
        $ towline secret drop-previous webhook
        ! there is no previous webhook secret
    "#]]
    .assert_eq(&aws.session().play(&[drop, drop]));
    expect![[r#"
        secretsmanager update-secret-version-stage --secret-id=arn:aws:secretsmanager:eu-west-1:111122223333:secret:webhook --version-stage=AWSPREVIOUS --remove-from-version-id=v1 --region=eu-west-1
    "#]]
    .assert_eq(&aws.changes());
}

#[test]
fn what_aws_refuses_is_told_in_its_words() {
    let check = |aws: Aws, expected: expect_test::Expect| {
        let output = aws.session().towline(&["secret", "drop-previous", "slack"]);
        expected.assert_eq(&shown(&output));
    };
    let absent = "Stack with id towline does not exist";
    check(
        Aws::new().refuses("cloudformation *", "ValidationError", absent),
        expect![[r#"
            ! towline: stack towline not found in eu-west-1; deploy it with `towline deploy`, or name another with --stack and --region
            [exit 2]
        "#]],
    );
    check(
        Aws::new().refuses(
            "cloudformation *",
            "ExpiredToken",
            "The security token is expired",
        ),
        expect![[r#"
            ! towline: aws has no valid credentials (ExpiredToken: The security token is expired); run `aws configure` or `aws sso login`, or name a profile with --profile
            [exit 2]
        "#]],
    );
    let nobody = Aws::new();
    let session = nobody.session().set("PATH", "/nowhere");
    expect![[r#"
        ! towline: `aws` is not on the PATH; install the AWS command line with `pip install awscli`, or version 2 as AWS describes
        [exit 2]
    "#]]
    .assert_eq(&shown(&session.towline(&["secret", "drop-previous", "slack"])));
}

#[test]
fn people_of_a_stack_are_let_in_listed_and_shut_out() {
    let known = json!([{"login": "kim", "groups": ["*"], "token_sha256": "00"}]).to_string();
    let aws = aws()
        .says_once("secretsmanager get-secret-value *", version("v1", "[]", ""))
        .says(
            "secretsmanager get-secret-value *",
            version("v2", &known, ""),
        );
    let session = aws.session();
    let arn = "arn:aws:iam::111122223333:role/release";
    let add = [
        "people", "add", "lee", "--group", "release", "--arn", arn, "--stack", "towline", "--token",
    ];
    let output = session.towline(&add);
    let token = String::from_utf8(output.stdout.clone()).unwrap();
    let given: Value = serde_json::from_str(&aws.given()).unwrap();
    assert_eq!(given[0]["login"], "lee");
    assert_eq!(given[0]["arn"], arn);
    assert!(!aws.given().contains(token.trim()), "only its hash is kept");
    assert!(!aws.asked().contains("token"), "{}", aws.asked());
    expect![[r#"
        $ towline people list --stack towline
        LOGIN                 GROUPS                    REPOSITORIES              ALSO KNOWN AS
        kim                   *                         all
        $ towline people add KIM --stack towline
        ! towline: KIM already exists; to create a new token, remove the person first
        [exit 1]
        $ towline people remove kim --stack towline
        ! kim is removed; functions use it within five minutes
        $ towline people remove lee --stack towline
        ! towline: login lee not found
        [exit 1]
    "#]]
    .assert_eq(&session.play(&[
        &["people", "list", "--stack", "towline"],
        &["people", "add", "KIM", "--stack", "towline"],
        &["people", "remove", "kim", "--stack", "towline"],
        &["people", "remove", "lee", "--stack", "towline"],
    ]));
    assert!(aws.given().ends_with("[]"), "{}", aws.given());
}

#[test]
fn a_webhook_secret_that_may_still_be_in_use_is_not_pushed_out_unasked() {
    let check = |made: &str, older: &str, command: &[&str], expected: &expect_test::Expect| {
        let long = |text: &str| format!("{text} of tests, long enough for anybody");
        let aws = aws()
            .says(
                "secretsmanager get-secret-value *AWSCURRENT*",
                version("v2", &long("the current secret"), made),
            )
            .says(
                "secretsmanager get-secret-value *AWSPREVIOUS*",
                version("v1", older, "2026-01-01T00:00:00+00:00"),
            );
        let given = long("the next secret");
        let output = shown(&aws.session().towline_with(command, &given));
        expected.assert_eq(&output);
        let wrote = aws.given() == given;
        assert_eq!(wrote, output.contains("is set;"), "{output}");
    };
    let set: &[&str] = &["secret", "set", "webhook"];
    let older = "an older secret of tests, long enough for anybody";
    let soon = "2999-01-01T00:00:00+00:00";
    let long_ago = "2026-01-01T00:00:00+00:00";
    check(
        soon,
        older,
        set,
        &expect![[r#"
            ! towline: the webhook secret was set less than an hour ago, and the one before it may still be in use. Setting another makes it invalid: its signatures are refused within minutes. Use --yes to do that, or wait until the newer one is in use everywhere
            [exit 1]
        "#]],
    );
    let set_now = expect![[r#"
        ! the webhook secret of towline is set; functions use it within five minutes; signatures by the previous one are accepted for an hour, or until `towline secret drop-previous webhook`
    "#]];
    check(
        soon,
        older,
        &["secret", "set", "webhook", "--yes"],
        &set_now,
    );
    check(soon, "unset", set, &set_now);
    check(long_ago, older, set, &set_now);
}

#[test]
fn two_who_change_the_people_at_once_lose_nobody() {
    let first = json!([{"login": "kim", "groups": ["*"], "token_sha256": "00"}]).to_string();
    let both = json!([
        {"login": "kim", "groups": ["*"], "token_sha256": "00"},
        {"login": "lee", "groups": [], "arn": "arn:aws:iam::111122223333:role/lee"},
    ])
    .to_string();
    let aws = Aws::new()
        .says("cloudformation describe-stacks *", stack())
        .says_once(
            "secretsmanager get-secret-value *",
            version("v1", &first, ""),
        )
        .says(
            "secretsmanager get-secret-value *",
            version("v2", &both, ""),
        )
        .says_once(
            "secretsmanager put-secret-value *",
            json!({"VersionId": "v3"}),
        )
        .says(
            "secretsmanager put-secret-value *",
            json!({"VersionId": "v4"}),
        )
        .refuses_once(
            "secretsmanager update-secret-version-stage *",
            "InvalidParameterException",
            "the label is on another version",
        )
        .says("secretsmanager update-secret-version-stage *", json!(""));
    let arn = "arn:aws:iam::111122223333:role/ci";
    expect![[r#"
        $ towline people add ci --arn arn:aws:iam::111122223333:role/ci --stack towline
        ! ci is added; functions use it within five minutes
    "#]]
    .assert_eq(
        &aws.session()
            .play(&[&["people", "add", "ci", "--arn", arn, "--stack", "towline"]]),
    );
    let given = aws.given();
    let (_, last) = given.rsplit_once("][").unwrap();
    assert!(
        last.contains("kim") && last.contains("lee") && last.contains("ci"),
        "{last}"
    );
    expect![[r#"
        secretsmanager put-secret-value --secret-id=arn:aws:secretsmanager:eu-west-1:111122223333:secret:people --version-stages=towline-change --secret-string=file:///dev/stdin --region=eu-west-1 --output=json
        secretsmanager update-secret-version-stage --secret-id=arn:aws:secretsmanager:eu-west-1:111122223333:secret:people --version-stage=AWSCURRENT --move-to-version-id=v3 --remove-from-version-id=v1 --region=eu-west-1
        secretsmanager put-secret-value --secret-id=arn:aws:secretsmanager:eu-west-1:111122223333:secret:people --version-stages=towline-change --secret-string=file:///dev/stdin --region=eu-west-1 --output=json
        secretsmanager update-secret-version-stage --secret-id=arn:aws:secretsmanager:eu-west-1:111122223333:secret:people --version-stage=AWSCURRENT --move-to-version-id=v4 --remove-from-version-id=v2 --region=eu-west-1
    "#]]
    .assert_eq(&aws.changes());
}
