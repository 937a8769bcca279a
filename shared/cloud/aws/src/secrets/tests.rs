//! How often a secret is read, how rotation works, and what is never shown.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::json;
use towline_ports::memory::MemoryClock;
use towline_ports::{Clock as _, KeptSecret as _};

use super::CachedSecret;
use crate::testing::{Answer, Service, ok, refused, said};

fn holds(text: &str) -> Answer {
    ok(json!({ "ARN": "arn", "Name": "webhook", "SecretString": text, "CreatedDate": 0 }))
}

/// Secrets Manager's answer if no version has the stage.
fn none() -> Answer {
    refused("ResourceNotFoundException")
}

struct Story {
    service: Service,
    secret: CachedSecret,
    clock: Arc<MemoryClock>,
}

impl Story {
    async fn begin(answers: impl IntoIterator<Item = Answer>) -> Self {
        let (service, aws) = Service::start(answers).await;
        let clock = Arc::new(MemoryClock::new(jiff::Timestamp::UNIX_EPOCH, 1));
        let secret = aws.secrets().signing("webhook", clock.clone());
        Self {
            service,
            secret,
            clock,
        }
    }

    async fn pass(&self, seconds: u64) {
        self.clock.sleep(Duration::from_secs(seconds)).await;
    }

    /// The stages that were read since the last time.
    fn stages(&self) -> Vec<String> {
        let asked = self.service.asked().into_iter();
        asked
            .map(|(_, asked)| {
                asked["VersionStage"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect()
    }
}

#[tokio::test]
async fn a_secret_is_read_once_in_five_minutes() {
    let story = Story::begin([holds("one"), holds("two")]).await;
    for _ in 0..3 {
        let read = story.secret.read().await.expect("it answers");
        assert_eq!(read.texts(), (Some("one"), None));
        story.pass(99).await;
    }
    assert_eq!(story.stages(), ["AWSCURRENT"]);
    story.pass(4).await;
    let read = story.secret.read().await.expect("it answers");
    assert_eq!(read.texts(), (Some("two"), None));
    assert_eq!(story.stages(), ["AWSCURRENT"]);
}

#[tokio::test]
async fn a4_while_a_secret_is_rotated_both_versions_count() {
    let story = Story::begin([holds("old")]).await;
    story.secret.read().await.expect("it answers");
    // GitHub signs with the new secret, or with the old one in a new process.
    story.service.then([holds("new"), holds("old")]);
    let read = story
        .secret
        .reread()
        .await
        .expect("it answers")
        .expect("it is read");
    assert_eq!(read.texts(), (Some("new"), Some("old")));
    assert_eq!(story.stages(), ["AWSCURRENT", "AWSCURRENT", "AWSPREVIOUS"]);
    // From now on both are refreshed, until there is no previous one.
    story.pass(301).await;
    story.service.then([holds("new"), none()]);
    let read = story.secret.read().await.expect("it answers");
    assert_eq!(read.texts(), (Some("new"), None));
    assert_eq!(story.stages(), ["AWSCURRENT", "AWSPREVIOUS"]);
}

#[tokio::test]
async fn a4_a_version_counts_for_an_hour_after_another_took_its_place() {
    let story = Story::begin([holds("new"), holds("old")]).await;
    story.pass(3_500).await;
    let read = story.secret.reread().await.expect("it answers");
    assert_eq!(
        read.expect("it is read").texts(),
        (Some("new"), Some("old"))
    );
    story.pass(99).await;
    let read = story.secret.read().await.expect("the known one");
    assert_eq!(read.texts(), (Some("new"), Some("old")));
    // To the second, although nothing is read again earlier.
    story.pass(1).await;
    let read = story.secret.read().await.expect("the known one");
    assert_eq!(read.texts(), (Some("new"), None));
    assert_eq!(story.stages(), ["AWSCURRENT", "AWSPREVIOUS"]);
    // After that it is not read, even if signatures fail.
    story.service.then([holds("new")]);
    let read = story.secret.reread().await.expect("it answers");
    assert_eq!(read.expect("it is read").texts(), (Some("new"), None));
    assert_eq!(story.stages(), ["AWSCURRENT"]);
}

#[tokio::test]
async fn a_previous_version_that_cannot_be_read_leaves_the_current_one() {
    let bytes = ok(json!({ "SecretBinary": "/w==" }));
    for previous in [refused("DecryptionFailure"), bytes] {
        let story = Story::begin([holds("new"), previous]).await;
        let read = story.secret.reread().await.expect("it answers");
        assert_eq!(read.expect("it is read").texts(), (Some("new"), None));
        assert_eq!(story.stages(), ["AWSCURRENT", "AWSPREVIOUS"]);
    }
}

#[tokio::test]
async fn a_secret_that_signs_nothing_is_read_alone() {
    let (service, aws) = Service::start([holds("one"), holds("two")]).await;
    let clock = Arc::new(MemoryClock::new(jiff::Timestamp::UNIX_EPOCH, 1));
    let secret = aws.secrets().cached("github", clock);
    let mut found = Vec::new();
    for refused in [false, false, true, true] {
        let text = secret.text(refused).await.expect("it answers");
        found.push(text.expect("it is set").expose_secret().to_owned());
    }
    assert_eq!(found, ["one", "one", "two", "two"]);
    assert_eq!(service.operations(), ["GetSecretValue"; 2]);
}

#[tokio::test]
async fn a_flood_of_bad_signatures_costs_one_read_in_ten_seconds() {
    let story = Story::begin([holds("one"), holds("one"), none()]).await;
    story.secret.read().await.expect("it answers");
    let mut read = 0;
    for _ in 0..1_000 {
        let reread = story.secret.reread().await.expect("it answers");
        read += usize::from(reread.is_some());
    }
    assert_eq!((read, story.stages().len()), (1, 3));
    story.service.then([holds("one"), none()]);
    story.pass(10).await;
    let reread = story.secret.reread().await.expect("it answers");
    assert!(reread.is_some());
}

#[tokio::test]
async fn a_failed_read_is_forgotten_at_once() {
    let story = Story::begin([refused("AccessDeniedException"), holds("one")]).await;
    let error = story.secret.read().await.expect_err("it may not be read");
    let expected = "reading the secret webhook (AWSCURRENT): AccessDeniedException: because of AccessDeniedException";
    assert_eq!(said(&error), expected);
    let read = story.secret.read().await.expect("it may now");
    assert_eq!(read.texts(), (Some("one"), None));
}

#[tokio::test]
async fn what_is_known_serves_for_an_hour_when_it_cannot_be_read_again() {
    let story = Story::begin([holds("one"), none()]).await;
    story.secret.read().await.expect("it answers");
    story.pass(301).await;
    for _ in 0..2 {
        let read = story.secret.read().await.expect("the known one");
        assert_eq!(read.texts(), (Some("one"), None));
    }
    assert_eq!(story.stages().len(), 2, "not tried again at once");
    story.service.then([none(), none()]);
    story.pass(10).await;
    assert!(story.secret.read().await.is_ok());
    story.pass(3_600).await;
    assert!(story.secret.read().await.is_err());
    assert_eq!(story.stages().len(), 2);
}

#[tokio::test]
async fn a_secret_that_nobody_has_set_is_none() {
    for text in ["unset", "unset\n", "", " "] {
        let story = Story::begin([holds(text), holds("real"), holds(text)]).await;
        let read = story.secret.read().await.expect("it answers");
        assert_eq!(read.texts(), (None, None), "{text:?}");
        // The first real secret makes the placeholder the previous version.
        let read = story
            .secret
            .reread()
            .await
            .expect("it answers")
            .expect("read");
        assert_eq!(read.texts(), (Some("real"), None), "{text:?}");
    }
}

#[tokio::test]
async fn a_secret_that_was_just_set_counts_within_ten_seconds() {
    let story = Story::begin([holds("unset"), holds("real")]).await;
    for (passed, expected, reads) in [(0, None, 1), (9, None, 0), (1, Some("real"), 1)] {
        story.pass(passed).await;
        let read = story.secret.read().await.expect("it answers");
        assert_eq!(read.texts(), (expected, None), "after {passed} s");
        assert_eq!(story.stages().len(), reads);
    }
}

#[tokio::test]
async fn a_secret_may_be_bytes_that_are_text() {
    let bytes = |text: &str| ok(json!({ "SecretBinary": text }));
    let story = Story::begin([bytes("/w=="), bytes("b25l")]).await;
    let error = story.secret.read().await.expect_err("it is no UTF-8");
    assert_eq!(
        said(&error),
        "reading the secret webhook (AWSCURRENT): it is not text"
    );
    let read = story.secret.read().await.expect("it answers");
    assert_eq!(read.texts(), (Some("one"), None));
}

#[tokio::test]
async fn no_secret_shows_where_things_are_printed() {
    let story = Story::begin([
        holds("hush"),
        ok(json!("hush")),
        ok(json!({ "SecretString": 7 })),
    ])
    .await;
    let read = story.secret.read().await.expect("it answers");
    story.pass(4_000).await;
    let error = story.secret.read().await.expect_err("that is no answer");
    let printed = format!("{read:?} {:?} {error:?} {}", story.secret, said(&error));
    assert!(!printed.contains("hush"), "{printed}");
}
