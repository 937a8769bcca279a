//! Whether the registry has under each stage's tag what the ledger says is live there.

use towline_domain::names::{Digest, ImageRepository, Tag};
use towline_domain::person::Actor;
use towline_handlers::answer_chat::{Answer, Query};

use super::report::Findings;
use towline_client::aws_cli::AwsCli;
use towline_client::client::Client;
use towline_client::credentials;
use towline_client::stack::Place;
use towline_console::outcome::{Failure, Outcome};

/// The group these findings are in.
pub const GROUP: &str = "Live images";

/// What should be under a tag.
#[derive(Debug)]
pub struct Pointer {
    /// Where it is live, for people.
    pub place: String,
    /// The command that puts it back, where Towline has seen that the tag has moved.
    pub resume: Option<String>,
    /// The image repository.
    pub repository: ImageRepository,
    /// The stage's tag.
    pub tag: Tag,
    /// The image.
    pub digest: Digest,
    /// Its manifest's media type.
    pub media_type: String,
}

/// What the ledger says is live, asked question by question; stages held for safety are findings.
///
/// # Errors
/// When a question is not answered.
pub async fn expected(
    findings: &mut Findings,
    ask: impl AsyncFn(Query) -> Outcome<Answer>,
) -> Outcome<Vec<Pointer>> {
    let now = Query::Now {
        stage: None,
        component: None,
        at: None,
    };
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
        let by_itself = line.hold.as_ref().filter(|hold| hold.by == Actor::System);
        let resume = format!("towline resume {} {}", line.component, line.stage);
        if let Some(hold) = by_itself {
            findings.wrong(
                format!("{place} is held by Towline itself: {}", hold.reason),
                format!("find out why, then `{resume}`"),
            );
        }
        let resume = by_itself.map(|_| resume);
        let moves = Query::History {
            component: line.component.clone(),
            stage: line.stage.clone(),
            limit: Some(1),
            repository: Some(line.repository.clone()),
        };
        let about = Query::Image {
            image: image.digest.to_string(),
            component: Some(line.component.clone()),
            repository: Some(line.repository.clone()),
        };
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

/// Says what the registry has instead, if it does; `unseen` mends that where Towline does not know.
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

/// Compares a deployed Towline with ECR.
pub async fn of_stack(aws: &AwsCli, url: &str, sigv4: bool, place: &Place) -> Findings {
    let mut findings = Findings::of(GROUP);
    let compared = compare(&mut findings, aws, url, sigv4, place).await;
    match compared {
        Ok(Some(0)) => findings.good("nothing is live yet"),
        Ok(Some(count)) => findings.good_unless_found(format!(
            "{count} stage tags are on the images the ledger says"
        )),
        Ok(None) => {
            findings.left_out("set TOWLINE_TOKEN, or use --sigv4, to have them compared with ECR");
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
    let address = towline_client::client::address_of(url)?;
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

/// What puts the tag back in ECR; the digest makes sure that nothing else is tagged.
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
