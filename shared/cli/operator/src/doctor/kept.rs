//! The data of a stack: its table, its bucket, its dead letters and its secrets.

use futures::FutureExt as _;
use serde_json::Value;
use towline_client::aws_cli::Call;
use towline_wire::people::People;
use towline_wire::signature::Secret;

use super::check::{Check, grouped};
use super::functions::EVENTS;
use super::place::Place;
use super::report::{Findings, Wrong};
use crate::policy::Policy;
use crate::secret::{Kept, Name, github};
use crate::templates::BUCKET;

const TABLE: &str = "Table";

pub async fn table(place: &Place<'_>) -> Vec<Findings> {
    let table = match place.output(TABLE, "TableName") {
        Ok(table) => table,
        Err(findings) => return vec![findings],
    };
    let checks = vec![
        is_there(place, table),
        recovers(place, table),
        expires(place, table),
    ];
    let good = "active, with point-in-time recovery, time to live, index and deletion protection";
    grouped(checks, &[(TABLE, good.into())]).await
}

fn of_table(place: &Place<'_>, operation: &str, table: &str) -> Call {
    let call = place.call("dynamodb", operation);
    call.option("--table-name", table)
}

fn is_there<'a>(place: &'a Place<'_>, table: &str) -> Check<'a> {
    // Deleting a table with point-in-time recovery leaves a backup (DynamoDB developer guide,
    // "Point-in-time backups").
    let backups = of_table(place, "list-backups", table).option("--backup-type", "SYSTEM");
    let restore = place.call("dynamodb", "restore-table-from-backup");
    let restore = restore.option("--target-table-name", table);
    Check::read(TABLE, table, of_table(place, "describe-table", table))
        .needed(
            format!("{table} is missing"),
            format!(
                "AWS keeps its last state for 35 days: take the ARN from `{}`, then run `{} --backup-arn=ARN`",
                backups.shown(),
                restore.shown()
            ),
        )
        .must(
            "/Table/TableStatus",
            |status| status == "ACTIVE",
            format!("{table} is {{}}"),
            "wait until it is ACTIVE",
        )
        .judge(|answer| index(place, answer))
        .must(
            "/Table/DeletionProtectionEnabled",
            |is_on| is_on != false,
            "deletion protection is off",
            of_table(place, "update-table", table)
                .word("--deletion-protection-enabled")
                .shown(),
        )
}

/// What is wrong with the index that the sweep needs to find lost work.
fn index(place: &Place<'_>, answer: &Value) -> Option<Wrong> {
    let indexes = answer["Table"]["GlobalSecondaryIndexes"].as_array();
    let mut indexes = indexes.into_iter().flatten();
    let Some(index) = indexes.find(|index| index["IndexName"] == "due") else {
        return Some(Wrong::new(
            "its index `due` is missing, so lost work is not found again",
            &place.put_back,
        ));
    };
    match index["IndexStatus"].as_str() {
        None | Some("ACTIVE") => None,
        Some(status) => Some(Wrong::new(
            format!("its index `due` is {status}"),
            "wait until it is ACTIVE",
        )),
    }
}

fn recovers<'a>(place: &Place<'_>, table: &str) -> Check<'a> {
    let asked = of_table(place, "describe-continuous-backups", table);
    Check::read(TABLE, "point-in-time recovery", asked)
        .silent_if_absent()
        .must(
            "/ContinuousBackupsDescription/PointInTimeRecoveryDescription/PointInTimeRecoveryStatus",
            |status| status == "ENABLED",
            "point-in-time recovery is off",
            of_table(place, "update-continuous-backups", table)
                .option(
                    "--point-in-time-recovery-specification",
                    "PointInTimeRecoveryEnabled=true",
                )
                .shown(),
        )
}

fn expires<'a>(place: &Place<'_>, table: &str) -> Check<'a> {
    let asked = of_table(place, "describe-time-to-live", table);
    Check::read(TABLE, "time to live", asked)
        .silent_if_absent()
        .must(
            "/TimeToLiveDescription",
            |it| {
                let status = it["TimeToLiveStatus"].as_str();
                matches!(status, Some("ENABLED" | "ENABLING")) && it["AttributeName"] == "expires"
            },
            "time to live is off, so expired rows stay",
            of_table(place, "update-time-to-live", table)
                .option(
                    "--time-to-live-specification",
                    "Enabled=true,AttributeName=expires",
                )
                .shown(),
        )
}

/// Without the bucket, or if another account owns it, builds with a long buildspec fail.
pub async fn bucket(place: &Place<'_>) -> Vec<Findings> {
    const GROUP: &str = "Bucket";
    let bucket = match place.output(GROUP, BUCKET) {
        Ok(bucket) => bucket,
        Err(findings) => return vec![findings],
    };
    let is_open = || format!("public access to {bucket} is not blocked");
    let read = place.call("s3api", "get-public-access-block");
    let read = read.option("--bucket", bucket).json::<Value>();
    let read = async {
        match read.await {
            Err(error) if error.code() == "NoSuchPublicAccessBlockConfiguration" => Ok(Value::Null),
            answer => answer,
        }
    };
    let check = Check::of(GROUP, bucket, read.boxed())
        .needed(format!("{bucket} is missing"), &place.put_back)
        .must(
            "",
            |answer| {
                let doors = [
                    "BlockPublicAcls",
                    "IgnorePublicAcls",
                    "BlockPublicPolicy",
                    "RestrictPublicBuckets",
                ];
                let closed = &answer["PublicAccessBlockConfiguration"];
                doors.iter().all(|door| closed[door] == true)
            },
            is_open(),
            &place.put_back,
        );
    let good = format!("{bucket} exists and is private");
    grouped(vec![check], &[(GROUP, good)]).await
}

pub async fn dead_letters(place: &Place<'_>) -> Vec<Findings> {
    const GROUP: &str = "Dead letters";
    let queue = match place.output(GROUP, "DeadLettersUrl") {
        Ok(queue) => queue,
        Err(findings) => return vec![findings],
    };
    let call = |operation| place.call("sqs", operation).address("--queue-url", queue);
    let attributes = ["ApproximateNumberOfMessages", "Policy"].map(str::to_owned);
    let read = call("receive-message")
        .option("--attribute-names", "All")
        .option("--message-attribute-names", "All");
    let asked = call("get-queue-attributes").list("--attribute-names", attributes);
    let check = Check::read(GROUP, "the queue", asked)
        .needed("the queue is missing", &place.put_back)
        .must(
            "/Attributes/Policy",
            |policy| Policy::read(policy).lets_service(EVENTS, "sqs:SendMessage"),
            format!("{EVENTS} is not allowed to send messages to the queue"),
            &place.put_back,
        )
        .must(
            "/Attributes/ApproximateNumberOfMessages",
            |count| count == "0",
            "messages in the queue: {}",
            format!(
                "read them with `{}`, fix their cause, then empty the queue with `{}`; the sweep finds unfinished work again",
                read.shown(),
                call("purge-queue").shown()
            ),
        );
    grouped(vec![check], &[(GROUP, "none".into())]).await
}

pub async fn secrets(place: &Place<'_>) -> Vec<Findings> {
    const GROUP: &str = "Secrets";
    let mut all = Findings::of(GROUP);
    let names = [Name::Webhook, Name::Github, Name::Slack, Name::People];
    let asked = names.map(|name| async move {
        match place.output(GROUP, name.output()) {
            Err(findings) => findings,
            Ok(arn) => secret(place, name, arn).await,
        }
    });
    for findings in futures::future::join_all(asked).await {
        all.extend(findings);
    }
    vec![all]
}

async fn secret(place: &Place<'_>, name: Name, arn: &str) -> Findings {
    let mut findings = Findings::of("Secrets");
    let at = &place.at;
    let word = name.word();
    let set = match name {
        Name::Webhook => {
            format!("towline secret set webhook --generate {at}, then paste the secret into GitHub")
        }
        Name::Github => format!(
            "towline secret set github {at}, with a token on standard input, or --app-id ID --from KEY.pem"
        ),
        Name::Slack => format!(
            "towline secret set slack {at}, with the app's signing secret on standard input"
        ),
        Name::People => format!("towline people add YOU --group '*' {at}"),
    };
    let text = match Kept::at(place.aws, arn).current().await {
        Ok(version) => version.text,
        Err(error) if error.is_absent() => {
            let restore = place.call("secretsmanager", "restore-secret");
            let restore = restore.option("--secret-id", arn).shown();
            findings.wrong(
                format!("{word} is deleted"),
                format!("{restore}, within the days AWS keeps it"),
            );
            return findings;
        }
        Err(error) => {
            findings.refused(word, &error);
            return findings;
        }
    };
    let Some(text) = text else {
        match name {
            Name::Slack => findings.skipped("slack is not set; nobody can ask from Slack"),
            Name::People => findings.wrong("people: the list is empty", set),
            Name::Webhook | Name::Github => findings.wrong(format!("{word} is not set"), set),
        }
        return findings;
    };
    let judged = match name {
        Name::Slack => Ok(()),
        Name::Webhook => Secret::new(&text)
            .map(drop)
            .map_err(|error| format!("webhook: {error}")),
        Name::Github => github(&text).map_err(|wrong| format!("github {wrong}")),
        Name::People => match People::decode(text.as_bytes()) {
            Ok(people) => {
                findings.good(format!("people: {} known", people.0.len()));
                return findings;
            }
            Err(error) => Err(error.to_string()),
        },
    };
    match judged {
        Ok(()) => findings.good(format!("{word} is set")),
        Err(wrong) => findings.wrong(wrong, set),
    }
    findings
}
