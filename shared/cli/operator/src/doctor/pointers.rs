//! Whether each stage's tag in the registry is on the image that the ledger says is live.

use towline_answers::{Answer, Query, query};
use towline_client::aws_cli::AwsCli;
use towline_client::client::{Client, address_of};
use towline_client::credentials;
use towline_client::stack::Place;
use towline_console::outcome::{Failure, Outcome};
use towline_domain::names::{Digest, ImageRepository, Tag};
use towline_domain::person::Actor;

use super::report::Findings;

pub const GROUP: &str = "Live images";

/// A tag, and the image that it must be on.
pub struct Pointer {
    /// Where the image is live, in words.
    pub place: String,
    /// The command that puts the tag back, if Towline has seen that it was moved.
    pub resume: Option<String>,
    pub repository: ImageRepository,
    pub tag: Tag,
    pub digest: Digest,
    pub media_type: String,
}

/// The ledger's live images. A stage that Towline holds for safety is a finding.
pub async fn expected(
    findings: &mut Findings,
    ask: impl AsyncFn(Query) -> Outcome<Answer>,
) -> Outcome<Vec<Pointer>> {
    let now = Query::Now(query::Now {
        stage: None,
        component: None,
        at: None,
        repository: None,
    });
    let Answer::Now { live, .. } = ask(now).await? else {
        return Ok(Vec::new());
    };
    let mut pointers = Vec::new();
    for line in live {
        let Some(image) = line.image else {
            continue;
        };
        let place = format!(
            "{} of {} in {}",
            line.stage, line.component, line.repository
        );
        let by_towline = line.hold.as_ref().filter(|hold| hold.by == Actor::System);
        let resume = format!("towline resume {} {}", line.component, line.stage);
        if let Some(hold) = by_towline {
            findings.wrong(
                format!("{place} is held by Towline: {}", hold.reason),
                format!("find out why, then `{resume}`"),
            );
        }
        let resume = by_towline.map(|_| resume);
        let moves = Query::History(query::History {
            component: line.component.clone(),
            stage: line.stage.clone(),
            limit: Some(1),
            repository: Some(line.repository.clone()),
        });
        let about = Query::Image(query::Image {
            image: image.digest.to_string(),
            component: Some(line.component.clone()),
            repository: Some(line.repository.clone()),
        });
        let (Answer::History { moves, .. }, Answer::Image { images }) =
            (ask(moves).await?, ask(about).await?)
        else {
            continue;
        };
        if let (Some(newest), Some(known)) = (moves.into_iter().next(), images.into_iter().next()) {
            pointers.push(Pointer {
                place,
                resume,
                repository: known.repository,
                tag: newest.tag,
                digest: image.digest,
                media_type: known.media_type,
            });
        }
    }
    Ok(pointers)
}

/// Reports a tag on another image; `unseen` is the advice if Towline has not noticed it.
pub fn judge(findings: &mut Findings, pointer: &Pointer, found: Option<&str>, unseen: &str) {
    let Pointer {
        place,
        resume,
        repository,
        tag,
        digest,
        ..
    } = pointer;
    if found == Some(digest.as_str()) {
        return;
    }
    let instead = found.map_or("no image".to_owned(), |found| {
        found.chars().take(19).collect()
    });
    let right: String = digest.as_str().chars().take(19).collect();
    findings.wrong(
        format!("{place}: {repository}:{tag} is {instead}, not {right}"),
        match resume {
            Some(resume) => format!("`{resume}` puts the tag back"),
            None => unseen.to_owned(),
        },
    );
}

/// The good line for this many tags, unless there are findings.
pub fn total(findings: &mut Findings, tags: usize) {
    match tags {
        0 => findings.good("nothing is live yet"),
        1 => findings.good_unless_found("1 stage tag is on the image that the ledger names"),
        _ => findings.good_unless_found(format!(
            "{tags} stage tags are on the images that the ledger names"
        )),
    }
}

/// Compares a stack with ECR.
pub async fn of_stack(aws: &AwsCli, url: &str, sigv4: bool, place: &Place) -> Findings {
    let mut findings = Findings::of(GROUP);
    let compared = compare(&mut findings, aws, url, sigv4, place).await;
    match compared {
        Ok(Some(count)) => total(&mut findings, count),
        Ok(None) => {
            findings.skipped("set TOWLINE_TOKEN, or use --sigv4, to compare them with ECR");
        }
        Err(failure) => findings.unknown("what is live", failure.sentence().unwrap_or_default()),
    }
    findings
}

async fn compare(
    findings: &mut Findings,
    aws: &AwsCli,
    url: &str,
    sigv4: bool,
    place: &Place,
) -> Outcome<Option<usize>> {
    let auth = credentials::auth(sigv4)?;
    let address = address_of(url)?;
    if auth == credentials::Auth::Token && credentials::token(&address)?.is_none() {
        return Ok(None);
    }
    let client = Client::open(url, auth, place).await?;
    let pointers = expected(findings, async |query| client.ask(&query).await).await?;
    for pointer in &pointers {
        let call = aws.call("ecr", "describe-images");
        let call = call.option("--repository-name", &pointer.repository);
        let call = call.list("--image-ids", [format!("imageTag={}", pointer.tag)]);
        let answer = match call.json::<serde_json::Value>().await {
            Ok(answer) => answer,
            Err(error) if error.is_absent() => serde_json::Value::Null,
            Err(error) => return Err(Failure::from(error)),
        };
        let found = answer["imageDetails"][0]["imageDigest"].as_str();
        judge(findings, pointer, found, &put_back(aws, pointer));
    }
    Ok(Some(pointers.len()))
}

/// The command that puts the tag back in ECR; the digest keeps it from tagging anything else.
fn put_back(aws: &AwsCli, pointer: &Pointer) -> String {
    let call = |operation| {
        let call = aws.call("ecr", operation);
        call.option("--repository-name", &pointer.repository)
    };
    let read = call("batch-get-image")
        .option("--image-ids", format!("imageDigest={}", pointer.digest))
        .option("--accepted-media-types", &pointer.media_type)
        .option("--query", "images[0].imageManifest")
        .option("--output", "text");
    let write = call("put-image")
        .option("--image-tag", &pointer.tag)
        .option("--image-digest", &pointer.digest);
    format!("{} --image-manifest \"$({})\"", write.shown(), read.shown())
}
