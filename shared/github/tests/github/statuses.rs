//! Commit statuses.

use std::sync::Arc;
use std::time::Duration;

use expect_test::expect;
use towline_domain::names::RepositoryId;
use towline_github::Credentials;
use towline_github::memory::{Fault, Status, Token};
use towline_ports::{CommitStatus, RepositoryRef, StatusError, StatusState, Statuses as _};

use crate::{MAIN, World, shop, unknown, words, world, world_with};

fn built(description: &str) -> CommitStatus {
    CommitStatus {
        context: "towline/build/backend".into(),
        state: StatusState::Success,
        description: description.into(),
        target_url: Some("https://towline.example/runs/1".into()),
    }
}

#[tokio::test]
async fn a_status_is_shown_beside_its_commit_as_github_takes_it() {
    let mut shop = shop();
    let head = shop.push(MAIN, "Begin", &[]);
    let World {
        github,
        shop,
        server,
        ..
    } = world(shop).await;
    for (state, word) in [
        (StatusState::Pending, "pending"),
        (StatusState::Success, "success"),
        (StatusState::Failure, "failure"),
        (StatusState::Error, "error"),
    ] {
        let long = CommitStatus {
            state,
            ..built(&"😀".repeat(200))
        };
        github.set(&shop, &head, &long).await.expect("it is shown");
        let memory = server.github();
        let expected = Status {
            commit: head.to_string(),
            context: "towline/build/backend".into(),
            state: word.into(),
            description: Some("😀".repeat(139) + "…"),
            target_url: Some("https://towline.example/runs/1".into()),
        };
        let shown = memory.repository(7).status(&head, "Towline/Build/Backend");
        assert_eq!(shown, Some(&expected));
    }
    let bare = CommitStatus {
        target_url: None,
        ..built("built")
    };
    github.set(&shop, &head, &bare).await.expect("it is shown");
    let memory = server.github();
    let shown = memory.repository(7).status(&head, "towline/build/backend");
    assert_eq!(shown.and_then(|shown| shown.target_url.clone()), None);
}

#[tokio::test]
async fn what_is_shown_already_is_not_shown_again() {
    let mut shop = shop();
    let head = shop.push(MAIN, "Begin", &[]);
    let other = shop.push(MAIN, "Go on", &[]);
    let World {
        github,
        shop,
        server,
        clock,
    } = world(shop).await;
    let count = || server.github().repository(7).statuses.len();
    let mut expected = 0;
    for (commit, status, is_new, what) in [
        (&head, built("one"), true, "first"),
        (&head, built("one"), false, "again"),
        (&other, built("one"), true, "beside another commit"),
        (&head, built("two"), true, "another sentence"),
        (&head, built("one"), true, "the first one again"),
        (&head, built("one"), false, "again"),
    ] {
        github
            .set(&shop, commit, &status)
            .await
            .expect("it is shown");
        expected += usize::from(is_new);
        assert_eq!(count(), expected, "{what}");
    }
    // Another process may have shown something since.
    clock.advance(Duration::from_secs(61));
    github
        .set(&shop, &head, &built("one"))
        .await
        .expect("it is shown");
    assert_eq!(count(), expected + 1);
    // What GitHub did not take is not remembered.
    server.github().faults.extend([Fault::RetryAfter(99)]);
    github
        .set(&shop, &head, &built("three"))
        .await
        .expect_err("later");
    clock.advance(Duration::from_secs(99));
    github
        .set(&shop, &head, &built("three"))
        .await
        .expect("it is shown");
    assert_eq!(count(), expected + 2);
}

#[tokio::test]
async fn what_never_will_be_shown_is_refused_and_the_rest_may_be_tried_again() {
    let mut shop = shop();
    let head = shop.push(MAIN, "Begin", &[]);
    let full = Status {
        commit: head.to_string(),
        context: "full".into(),
        state: "success".into(),
        description: None,
        target_url: None,
    };
    shop.statuses = vec![full; 1000];
    let World {
        github,
        shop,
        server,
        ..
    } = world(shop).await;
    let hidden = RepositoryRef {
        name: "acme/hidden".parse().expect("a name"),
        ..shop.clone()
    };
    let replaced = RepositoryRef {
        id: RepositoryId(9),
        ..shop.clone()
    };
    let full = CommitStatus {
        context: "Full".into(),
        ..built("no more")
    };
    let mut said = Vec::new();
    for (repository, commit, status) in [
        (&shop, &unknown(), &built("x")),
        (&shop, &head, &full),
        (&hidden, &head, &built("x")),
        (&replaced, &head, &built("x")),
    ] {
        let error = github.set(repository, commit, status).await;
        said.push(match error.expect_err("not shown") {
            StatusError::Refused(why) => format!("never: {why}"),
            StatusError::Port(error) => format!("later: {}", words(&error)),
        });
    }
    let readable = Token {
        permissions: [("contents".into(), "read".into())].into(),
        ..Token::of_everything()
    };
    server.github().tokens.insert("ghp_ours".into(), readable);
    let error = github
        .set(&shop, &head, &built("x"))
        .await
        .expect_err("not shown");
    said.push(error.to_string());
    expect![[r#"
        never: GitHub refuses the status (422 No commit found for SHA: ffffffffffffffffffffffffffffffffffffffff)
        never: GitHub refuses the status (422 Validation Failed; This SHA and context has reached the maximum number of statuses.)
        later: showing "towline/build/backend" at acme/hidden 5d89aa8: GitHub shows us no repository acme/hidden (404 Not Found); give our credentials access to it
        later: showing "towline/build/backend" at acme/shop 5d89aa8: acme/shop is the repository 7 now, and not 9, which was let in
        showing "towline/build/backend" at acme/shop 5d89aa8: GitHub answered 403 Resource not accessible by integration; give our credentials "Commit statuses: write" there"#]].assert_eq(&said.join("\n"));
}

#[tokio::test]
async fn without_credentials_nothing_is_shown_and_nobody_is_asked() {
    let mut shop = shop();
    let head = shop.push(MAIN, "Begin", &[]);
    let none = Arc::new(Credentials::None);
    let World {
        github,
        shop,
        server,
        ..
    } = world_with(none, shop, |_| ()).await;
    let refused = github.set(&shop, &head, &built("x")).await;
    assert!(matches!(refused, Err(StatusError::Refused(_))));
    assert_eq!(server.github().requests, [""; 0]);
}
