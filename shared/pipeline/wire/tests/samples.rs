//! Every sample event is read: ours in `events/samples`, and others' in the folder
//! `TOWLINE_SAMPLES` if it is set.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod intents;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use towline_definition as definition;
use towline_lambda::http_api;
use towline_wire::eventbridge::Promoted;
use towline_wire::http::Headers;
use towline_wire::signature::{Secret, Secrets, sign, verify};
use towline_wire::{codebuild, ecr, eventbridge, github};

/// The folder of samples; none when it was not named.
const SAMPLES: Option<&str> = option_env!("TOWLINE_SAMPLES");

/// Signs the requests in `events/samples/apigateway`.
const SAMPLE_SECRET: &str = "no secret, only for the samples of towline";

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../events/samples")
}

/// Every file below a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// The folder of a file, which says what kind of sample it is.
fn kind(path: &Path) -> &str {
    name(path.parent().unwrap())
}

fn secrets() -> Secrets {
    Secrets::new(Secret::new(SAMPLE_SECRET).unwrap(), None)
}

/// Reads a webhook's body as the event that its file's name begins with.
fn webhook(path: &Path, body: &[u8]) -> Result<github::Event, String> {
    let event = name(path).split('.').next().unwrap();
    let content_type = if name(path).ends_with(".txt") {
        "application/x-www-form-urlencoded"
    } else {
        "application/json"
    };
    let signature = sign(&Secret::new(SAMPLE_SECRET).unwrap(), body);
    let headers: Headers = [
        ("x-github-event", event),
        ("x-github-delivery", "1"),
        ("content-type", content_type),
        ("x-hub-signature-256", &signature),
    ]
    .into_iter()
    .collect();
    signed(&headers, body)
}

fn signed(headers: &Headers, body: &[u8]) -> Result<github::Event, String> {
    let body = verify(headers, body.to_vec(), &secrets()).map_err(|error| error.to_string())?;
    let delivery = github::delivery(headers).map_err(|error| error.to_string())?;
    github::decode(&delivery, &body).map_err(|error| error.to_string())
}

/// Reads an event of a bus by its source, and says in a word what it is.
fn bus_event(bytes: &[u8]) -> Result<&'static str, String> {
    let envelope = eventbridge::decode(bytes).map_err(|error| error.to_string())?;
    match (envelope.source.as_str(), envelope.detail_type.as_str()) {
        (ecr::SOURCE, ecr::DETAIL_TYPE) => ecr::decode(&envelope).map(|_| "image action"),
        (codebuild::SOURCE, codebuild::DETAIL_TYPE) => {
            codebuild::decode(&envelope).map(|_| "state change")
        }
        (eventbridge::SOURCE, eventbridge::PROMOTED) => {
            return serde_json::from_value::<Promoted>(envelope.detail)
                .map(|_| "announcement")
                .map_err(|error| error.to_string());
        }
        (eventbridge::SOURCE, eventbridge::STAGE_TAGS) => {
            eventbridge::repository_of(&envelope).map(|_| "announcement")
        }
        (eventbridge::SOURCE, _) => eventbridge::intent_id(&envelope).map(|_| "announcement"),
        _ => Ok("another event"),
    }
    .map_err(|error| error.to_string())
}

#[test]
fn every_sample_of_ours_is_read() {
    for path in files(&samples()) {
        let bytes = fs::read(&path).unwrap();
        let read = match kind(&path) {
            "github" => webhook(&path, &bytes).map(|event| match event {
                github::Event::Ping => "ping",
                github::Event::Moved(_) | github::Event::Deleted(_) => "push",
                github::Event::Ignored { .. } => "ignored",
            }),
            "apigateway" => {
                let request = http_api::decode(&bytes).unwrap();
                signed(&request.headers, &request.body).map(|_| "request")
            }
            "ecr" | "codebuild" | "own" => bus_event(&bytes),
            other => panic!("{other} is no kind of sample"),
        };
        let expected = match kind(&path) {
            "github" => name(&path).split('.').next().unwrap(),
            "apigateway" => "request",
            "ecr" => "image action",
            "codebuild" => "state change",
            _ => "announcement",
        };
        assert_eq!(read.as_deref(), Ok(expected), "{}", path.display());
    }
}

#[test]
fn the_samples_of_builds_name_their_attempt_and_why_they_ended() {
    for (file, reason) in [
        ("succeeded", ""),
        ("failed", "BUILD: COMMAND_EXECUTION_ERROR"),
        ("fault", "PROVISIONING: INTERNAL_SERVICE_ERROR"),
        ("stopped", "BUILD: BUILD_STOPPED"),
        ("timed_out", "BUILD: BUILD_TIMED_OUT"),
    ] {
        let bytes = fs::read(samples().join(format!("codebuild/{file}.json"))).unwrap();
        let change = codebuild::decode(&eventbridge::decode(&bytes).unwrap()).unwrap();
        assert_eq!(change.attempt().unwrap().component.as_str(), "backend");
        let report = change.report().unwrap();
        assert_eq!(report.ended_at, Some(change.at), "{file}");
        let said = report.reason.unwrap_or_default();
        assert!(said.starts_with(reason), "{file}: {said}");
        assert_eq!(said.is_empty(), reason.is_empty(), "{file}: {said}");
    }
}

#[test]
fn our_own_events_are_what_the_intents_say() {
    let mut expected: Vec<String> = Vec::new();
    for intent in intents::one_of_each() {
        let file = format!(
            "{}.json",
            intent.detail_type().to_lowercase().replace(' ', "-")
        );
        let path = samples().join("own").join(&file);
        let text = serde_json::to_string_pretty(&intents::announcement(&intent)).unwrap();
        expect_test::expect_file![path].assert_eq(&(text + "\n"));
        expected.push(file);
    }
    let promoted = intents::promoted();
    let path = samples().join("own").join("image-promoted.json");
    let text = serde_json::to_string_pretty(&promoted).unwrap();
    expect_test::expect_file![path].assert_eq(&(text + "\n"));
    expected.push("image-promoted.json".into());
    let path = samples().join("own").join("stage-tags-due.json");
    let text = serde_json::to_string_pretty(&intents::stage_tags()).unwrap();
    expect_test::expect_file![path].assert_eq(&(text + "\n"));
    expected.push("stage-tags-due.json".into());
    expected.sort();
    let found = files(&samples().join("own"));
    let found: Vec<&str> = found.iter().map(|path| name(path)).collect();
    assert_eq!(found, expected);
}

/// The contract for other deployers: the schema has every field of the event, and no other.
#[test]
fn the_schema_of_image_promoted_names_what_the_event_says() {
    let path = samples().join("../schemas/image-promoted.schema.json");
    let schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let event = intents::promoted();
    let keys = |value: &Value| {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    let said = keys(&event["detail"]);
    assert_eq!(keys(&schema["properties"]), said);
    let mut required: Vec<String> = serde_json::from_value(schema["required"].clone()).unwrap();
    required.sort();
    assert_eq!(required, said);
    assert_eq!(
        schema["additionalProperties"],
        json!(true),
        "a later version may say more"
    );
}

/// The samples belong to others and are not part of this repository.
#[test]
#[ignore = "needs samples of others: set TOWLINE_SAMPLES when you build"]
fn every_sample_of_others_is_read_or_refused_with_a_reason() {
    let folder = SAMPLES.expect("TOWLINE_SAMPLES was set at build time");
    let (mut read, mut refused) = (0, 0);
    for path in files(Path::new(folder)) {
        let bytes = fs::read(&path).unwrap();
        for outcome in through_everything(&path, &bytes) {
            match outcome {
                Ok(()) => read += 1,
                Err(reason) => {
                    assert!(!reason.is_empty(), "{}", path.display());
                    refused += 1;
                }
            }
        }
        if kind(&path) == "github" {
            refuse_as_another_event(&path, &bytes);
            let event = webhook(&path, &bytes);
            println!("{}: {}", name(&path), short(&event));
        }
        if kind(&path) == "eventbridge" {
            println!("{}: {:?}", name(&path), bus_event(&bytes));
        }
    }
    println!("{read} readings succeeded, {refused} were refused");
    assert!(read > 0, "not one sample in {folder} could be read");
}

/// A body sent under another event's name never has that event's effect (A6).
fn refuse_as_another_event(path: &Path, body: &[u8]) {
    for event in ["push", "ping"] {
        let is_one = name(path).starts_with(event);
        let read = webhook(Path::new(event), body);
        assert_eq!(read.is_ok(), is_one, "{} as {event}", path.display());
    }
}

/// Each file goes through every reader, regardless of its kind.
fn through_everything(path: &Path, bytes: &[u8]) -> Vec<Result<(), String>> {
    let request = http_api::decode(bytes).map_err(|error| error.to_string());
    let delivered = delivered_body(bytes).map(|body| webhook(path, &body).map(|_| ()));
    let named_push = Path::new("push.json");
    [
        webhook(path, bytes).map(|_| ()),
        webhook(named_push, bytes).map(|_| ()),
        bus_event(bytes).map(|_| ()),
        request.map(|_| ()),
        definition::read(bytes)
            .map(|_| ())
            .map_err(|error| error.to_string()),
    ]
    .into_iter()
    .chain(delivered)
    .collect()
}

/// The body of a delivery that was recorded with its headers.
fn delivered_body(bytes: &[u8]) -> Option<Vec<u8>> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    Some(value.get("body")?.as_str()?.as_bytes().to_vec())
}

fn short(event: &Result<github::Event, String>) -> String {
    match event {
        Ok(github::Event::Moved(push)) => format!("moved {} to {}", push.git_ref, push.commit),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("refused: {error}"),
    }
}
