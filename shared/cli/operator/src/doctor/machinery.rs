//! A stack's own parts: functions, table, dead letters, secrets.

use futures::future::join_all;
use serde_json::Value;
use towline_wire::people::People;
use towline_wire::signature::Secret;

use super::report::Findings;
use super::rights::{EVENTS, Function};
use crate::deploy::tool::BUCKET;
use crate::policy::Policy;
use crate::secret::{Kept, Name, github};
use crate::templates;
use towline_client::aws_cli::{AwsCli, AwsError};
use towline_client::stack::Stack;

/// The stack that is looked at.
pub struct Place<'a> {
    /// The command line.
    pub aws: &'a AwsCli,
    /// Its name.
    pub name: &'a str,
    /// What CloudFormation says of it.
    pub stack: &'a Stack,
    /// The command that deploys it again.
    pub again: String,
    /// The options that say where it is to any command.
    pub options: &'a str,
    /// The options that name it to other commands of ours.
    pub at: String,
    /// What mends what is not as the template has it.
    pub put_back: String,
}

/// How to put back what somebody has changed or deleted by hand: CloudFormation compares with the
/// last template, not with what is there, unless it is told to (CloudFormation user guide, "Using
/// drift-aware change sets").
#[must_use]
pub fn put_back(name: &str, options: &str, stack: &Stack) -> String {
    let kept: String = stack
        .parameters()
        .keys()
        .map(|key| format!(" ParameterKey={key},UsePreviousValue=true"))
        .collect();
    let parameters = if kept.is_empty() {
        kept
    } else {
        format!(" --parameters{kept}")
    };
    format!(
        "what was changed by hand `towline deploy` does not see; this puts it back: aws cloudformation create-change-set --stack-name {name} {options} --change-set-name put-back --deployment-mode REVERT_DRIFT --use-previous-template --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND{parameters}; then look at it with describe-change-set, and run it with execute-change-set"
    )
}

/// Whether the last deployment came to its end.
pub fn whole(place: &Place<'_>) -> Findings {
    let mut findings = Findings::of("Stack");
    let status = place.stack.status.as_str();
    if status.ends_with("_IN_PROGRESS") {
        findings.unknown(
            format!("it is being worked on ({status})"),
            "look again when that is done",
        );
    } else if status == "CREATE_COMPLETE"
        || status == "UPDATE_COMPLETE"
        || status == "IMPORT_COMPLETE"
    {
        findings.good(format!("deployed ({status})"));
    } else {
        let events = place.aws.call("cloudformation", "describe-stack-events");
        let events = events.option("--stack-name", place.name).shown();
        findings.wrong(
            format!("the last deployment failed ({status})"),
            format!("see why with `{events}`, mend that, then {}", place.again),
        );
    }
    findings
}

/// Whether every function is there and runs; with those that are there.
pub async fn functions(place: &Place<'_>) -> (Findings, Vec<Function>) {
    let mut findings = Findings::of("Functions");
    let mut there = Vec::new();
    let names = templates::names(templates::CONTROL);
    let asked = names.iter().map(|name| {
        let call = place.aws.call("lambda", "get-function-configuration");
        call.option("--function-name", format!("{}-{name}", place.name))
            .json::<Value>()
    });
    for (name, answer) in names.iter().zip(join_all(asked).await) {
        let function = match answer {
            Ok(function) => function,
            Err(error) if error.is_absent() => {
                findings.wrong(format!("{name} is not there"), place.put_back.clone());
                continue;
            }
            Err(error) => {
                findings.refused(*name, &error);
                continue;
            }
        };
        if let Some(arn) = function["FunctionArn"].as_str() {
            there.push(Function {
                name,
                arn: arn.to_owned(),
                role: function["Role"].as_str().unwrap_or_default().to_owned(),
            });
        }
        let state = function["State"].as_str().unwrap_or("Active");
        let update = function["LastUpdateStatus"]
            .as_str()
            .unwrap_or("Successful");
        let reasons = ["StateReason", "LastUpdateStatusReason"];
        let reason = reasons
            .into_iter()
            .find_map(|key| function[key].as_str())
            .unwrap_or("no reason given");
        if !matches!(state, "Active" | "Inactive") {
            findings.wrong(format!("{name} is {state}: {reason}"), place.again.clone());
        } else if update != "Successful" {
            findings.wrong(
                format!("{name} was not updated ({update}): {reason}"),
                place.again.clone(),
            );
        }
    }
    findings.good_unless_found(format!("all {} are there and active", names.len()));
    (findings, there)
}

/// The table, the bucket, dead letters and secrets.
pub async fn kept(place: &Place<'_>) -> Findings {
    let (table, bucket, letters, secrets) = tokio::join!(
        table(place),
        bucket(place),
        dead_letters(place),
        secrets(place)
    );
    let mut findings = table;
    findings.extend(bucket);
    findings.extend(letters);
    findings.extend(secrets);
    findings
}

/// Without it, or with another in its place, builds with a long buildspec cannot be started.
async fn bucket(place: &Place<'_>) -> Findings {
    let mut findings = Findings::of("Bucket");
    let Some(bucket) = place.stack.output(BUCKET) else {
        findings.wrong("the stack does not tell its bucket", place.again.clone());
        return findings;
    };
    let call = place.aws.call("s3api", "get-public-access-block");
    match call.option("--bucket", bucket).json::<Value>().await {
        Ok(answer) => {
            let closed = &answer["PublicAccessBlockConfiguration"];
            let doors = [
                "BlockPublicAcls",
                "IgnorePublicAcls",
                "BlockPublicPolicy",
                "RestrictPublicBuckets",
            ];
            match doors.iter().all(|door| closed[door] == true) {
                true => findings.good(format!("{bucket} is there and private")),
                false => findings.wrong(
                    format!("{bucket} can be made public"),
                    place.put_back.clone(),
                ),
            }
        }
        Err(error) if error.code() == "NoSuchPublicAccessBlockConfiguration" => findings.wrong(
            format!("{bucket} can be made public"),
            place.put_back.clone(),
        ),
        Err(error) if error.is_absent() => {
            findings.wrong(format!("{bucket} is gone"), place.put_back.clone());
        }
        Err(error) => findings.refused(bucket.to_owned(), &error),
    }
    findings
}

async fn table(place: &Place<'_>) -> Findings {
    let mut findings = Findings::of("Table");
    let Some(table) = place.stack.output("TableName") else {
        findings.wrong("the stack does not tell its table", place.again.clone());
        return findings;
    };
    let call = |operation| {
        place
            .aws
            .call("dynamodb", operation)
            .option("--table-name", table)
    };
    let ask = |operation| call(operation).json::<Value>();
    let (described, backups, expiry) = tokio::join!(
        ask("describe-table"),
        ask("describe-continuous-backups"),
        ask("describe-time-to-live"),
    );
    match described {
        Err(error) if error.is_absent() => {
            // DynamoDB developer guide, "Point-in-time backups": deleting such a table leaves one.
            let backups = call("list-backups").option("--backup-type", "SYSTEM");
            let restore = place.aws.call("dynamodb", "restore-table-from-backup");
            let restore = restore.option("--target-table-name", table);
            findings.wrong(
                format!("{table} is gone"),
                format!(
                    "AWS keeps its last state for 35 days: take the ARN from `{}`, then `{} --backup-arn=ARN`",
                    backups.shown(),
                    restore.shown()
                ),
            );
            return findings;
        }
        Err(error) => findings.refused(table, &error),
        Ok(described) => {
            let described = &described["Table"];
            let status = described["TableStatus"].as_str().unwrap_or_default();
            if status != "ACTIVE" {
                findings.wrong(format!("{table} is {status}"), "wait until it is ACTIVE");
            }
            let indexes = described["GlobalSecondaryIndexes"].as_array();
            let due = indexes
                .into_iter()
                .flatten()
                .find(|index| index["IndexName"] == "due");
            match due.map(|index| index["IndexStatus"].as_str()) {
                None => findings.wrong(
                    "its index `due` is not there, so nothing lost is found again",
                    place.put_back.clone(),
                ),
                Some(None | Some("ACTIVE")) => {}
                Some(Some(status)) => {
                    findings.wrong(
                        format!("its index `due` is {status}"),
                        "wait until it is ACTIVE",
                    );
                }
            }
            if described["DeletionProtectionEnabled"] == false {
                let protect = call("update-table").word("--deletion-protection-enabled");
                findings.wrong("it can be deleted by mistake", protect.shown());
            }
        }
    }
    match backups {
        Err(error) => findings.refused("point-in-time recovery", &error),
        Ok(backups) => {
            let recovery =
                &backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"];
            if recovery["PointInTimeRecoveryStatus"] != "ENABLED" {
                let switch = call("update-continuous-backups").option(
                    "--point-in-time-recovery-specification",
                    "PointInTimeRecoveryEnabled=true",
                );
                findings.wrong(
                    "it cannot be brought back to a point in time",
                    switch.shown(),
                );
            }
        }
    }
    match expiry {
        Err(error) => findings.refused("expiry", &error),
        Ok(expiry) => {
            let expiry = &expiry["TimeToLiveDescription"];
            let on = ["ENABLED", "ENABLING"]
                .iter()
                .any(|status| expiry["TimeToLiveStatus"] == *status);
            if !on || expiry["AttributeName"] != "expires" {
                let switch = call("update-time-to-live").option(
                    "--time-to-live-specification",
                    "Enabled=true,AttributeName=expires",
                );
                findings.wrong("what has expired is not deleted from it", switch.shown());
            }
        }
    }
    findings.good_unless_found("active, with recovery, expiry, index and protection");
    findings
}

async fn dead_letters(place: &Place<'_>) -> Findings {
    let mut findings = Findings::of("Dead letters");
    let Some(queue) = place.stack.output("DeadLettersUrl") else {
        findings.wrong("the stack does not tell its queue", place.again.clone());
        return findings;
    };
    let call = |operation| {
        place
            .aws
            .call("sqs", operation)
            .address("--queue-url", queue)
    };
    let asked = call("get-queue-attributes").list(
        "--attribute-names",
        ["ApproximateNumberOfMessages", "Policy"].map(str::to_owned),
    );
    match asked.json::<Value>().await {
        Err(error) if error.is_absent() => {
            findings.wrong("the queue is gone", place.put_back.clone());
        }
        Err(error) => findings.refused("the queue", &error),
        Ok(answer) => {
            let attributes = &answer["Attributes"];
            let mut policy = Policy::default();
            policy.take(&attributes["Policy"]);
            if !policy.lets_service(EVENTS, "sqs:SendMessage") {
                findings.wrong(
                    format!("{EVENTS} may not put into the queue what it could not deliver"),
                    place.put_back.clone(),
                );
            }
            match attributes["ApproximateNumberOfMessages"].as_str() {
                Some("0") => findings.good_unless_found("none"),
                count => {
                    let read = call("receive-message")
                        .option("--attribute-names", "All")
                        .option("--message-attribute-names", "All");
                    findings.wrong(
                        format!("{} wait in the queue", count.unwrap_or("some")),
                        format!(
                            "read why with `{}`, mend that, and empty it with `{}`: what still counts the sweep announces again",
                            read.shown(),
                            call("purge-queue").shown()
                        ),
                    );
                }
            }
        }
    }
    findings
}

async fn secrets(place: &Place<'_>) -> Findings {
    let names = [Name::Webhook, Name::Github, Name::Slack, Name::People];
    let asked = names.map(|name| async move {
        match place.stack.output(name.output()) {
            Some(arn) => {
                let read = Kept::at(place.aws, arn).current().await;
                Some((arn, read.map(|it| it.text)))
            }
            None => None,
        }
    });
    let mut findings = Findings::of("Secrets");
    for (name, answer) in names.into_iter().zip(join_all(asked).await) {
        match answer {
            Some((arn, answer)) => judge(&mut findings, place, name, arn, answer),
            None => findings.wrong(
                format!("the stack does not tell its {} secret", name.word()),
                place.again.clone(),
            ),
        }
    }
    findings
}

fn judge(
    findings: &mut Findings,
    place: &Place<'_>,
    name: Name,
    arn: &str,
    answer: Result<Option<String>, AwsError>,
) {
    let (word, at) = (name.word(), &place.at);
    let set = match name {
        Name::Webhook => {
            format!(
                "towline secret set webhook --generate {at}, and paste what it prints at GitHub"
            )
        }
        Name::Github => format!(
            "towline secret set github {at}, with a token on standard input, or --app-id ID --from KEY.pem"
        ),
        Name::Slack => format!(
            "towline secret set slack {at}, with the app's signing secret on standard input"
        ),
        Name::People => format!("towline people add YOU --group '*' {at}"),
    };
    let text = match answer {
        Ok(Some(text)) => text,
        Ok(None) if name == Name::Slack => {
            return findings.left_out("slack is not set; nobody asks from Slack");
        }
        Ok(None) if name == Name::People => {
            return findings.wrong("people: nobody is known", set);
        }
        Ok(None) => return findings.wrong(format!("{word} is not set"), set),
        Err(error) if error.is_absent() => {
            let restore = place.aws.call("secretsmanager", "restore-secret");
            let restore = restore.option("--secret-id", arn).shown();
            return findings.wrong(
                format!("{word} is gone"),
                format!("{restore}, within the days AWS keeps it"),
            );
        }
        Err(error) => return findings.refused(word, &error),
    };
    match name {
        Name::Webhook => match Secret::new(&text) {
            Ok(_) => findings.good("webhook is set"),
            Err(error) => findings.wrong(format!("webhook: {error}"), set),
        },
        Name::Slack => findings.good("slack is set"),
        Name::Github => match github(&text) {
            Ok(()) => findings.good("github is set"),
            Err(wrong) => findings.wrong(format!("github {wrong}"), set),
        },
        Name::People => match People::decode(text.as_bytes()) {
            Ok(people) => findings.good(format!("people: {} known", people.0.len())),
            Err(error) => findings.wrong(
                error.to_string(),
                format!("mend it with `towline people add` {at}"),
            ),
        },
    }
}
