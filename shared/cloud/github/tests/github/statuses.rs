//! Commit statuses.

use std::sync::Arc;

use expect_test::expect;
use secrecy::SecretString;
use serde_json::json;
use towline_domain::names::RepositoryId;
use towline_github::memory::{APP_KEY, App, Fault, MemoryGitHub, Status, Token};
use towline_github::{Credentials, FromSecret};
use towline_ports::{
    CommitStatus, NotShown, RepositoryRef, StatusError, StatusState, Statuses as _,
};

use crate::{MAIN, World, process, shop, unknown, with_causes, world, world_with};

fn outcome(set: Result<(), StatusError>) -> String {
    match set {
        Ok(()) => "shown".into(),
        Err(StatusError::Refused(why)) => format!("never: {why}"),
        Err(StatusError::Port(error)) => format!("later: {}", with_causes(&error)),
    }
}

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
async fn a_status_wins_over_what_another_process_has_shown_since() {
    let mut shop = shop();
    let head = shop.push(MAIN, "Begin", &[]);
    let World {
        github,
        shop,
        server,
        clock,
    } = world(shop).await;
    let token = Credentials::Token(SecretString::from("ghp_ours"));
    let other = process(&server, Arc::new(token), clock);
    for (process, text) in [(&github, "one"), (&other, "two"), (&github, "one")] {
        let shown = process.set(&shop, &head, &built(text)).await;
        shown.expect("it is shown");
        let memory = server.github();
        let shown = memory.repository(7).status(&head, "towline/build/backend");
        let shown = shown.and_then(|shown| shown.description.as_deref());
        assert_eq!(shown, Some(text));
    }
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
        said.push(outcome(github.set(repository, commit, status).await));
    }
    for change in [
        |memory: &mut MemoryGitHub| {
            let readable = Token {
                permissions: [("contents".into(), "read".into())].into(),
                ..Token::of_everything()
            };
            memory.tokens.insert("ghp_ours".into(), readable);
        },
        |memory: &mut MemoryGitHub| memory.tokens.clear(),
        |memory: &mut MemoryGitHub| memory.faults.push_back(Fault::RetryAfter(99)),
    ] {
        change(&mut server.github());
        said.push(outcome(github.set(&shop, &head, &built("x")).await));
    }
    expect![[r#"
        never: GitHub rejected the status (422 No commit found for SHA: ffffffffffffffffffffffffffffffffffffffff)
        never: GitHub rejected the status (422 Validation Failed; This SHA and context has reached the maximum number of statuses.)
        later: showing "towline/build/backend" at acme/hidden 5d89aa8: cannot see the repository acme/hidden on GitHub (404 Not Found); give the credentials access to it
        later: showing "towline/build/backend" at acme/shop 5d89aa8: acme/shop is now the repository 7, not 9, which was admitted
        later: showing "towline/build/backend" at acme/shop 5d89aa8: GitHub answered 403 Resource not accessible by integration; give the credentials "Commit statuses: write" there
        later: showing "towline/build/backend" at acme/shop 5d89aa8: GitHub refuses the token; store a valid one in the secret (401)
        later: showing "towline/build/backend" at acme/shop 5d89aa8: GitHub's rate limit is used up until 2026-03-01T12:01:39Z"#]].assert_eq(&said.join("\n"));
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
    assert!(matches!(
        refused,
        Err(StatusError::Refused(NotShown::NoCredentials))
    ));
    assert_eq!(server.github().requests, [""; 0]);
}

#[tokio::test]
async fn what_an_app_or_a_secret_lacks_is_said_once_and_for_all() {
    let installed = App::new("Iv23.towline", vec![7]);
    let mut elsewhere = installed.clone();
    elsewhere.installations[0].repositories = vec![8];
    let mut poor = installed.clone();
    poor.installations[0].permissions.remove("statuses");
    let app = json!({"app_id": "Iv23.towline", "private_key": APP_KEY}).to_string();
    let mut said = Vec::new();
    for (secret, known) in [
        (app.as_str(), installed.clone()),
        (&app, elsewhere),
        (&app, poor),
        ("{\"tokne\": \"x\"}", installed),
    ] {
        let mut shop = shop();
        let head = shop.push(MAIN, "Begin", &[]);
        let source = FromSecret(SecretString::from(secret));
        let World { github, shop, .. } = &world_with(Arc::new(source), shop, |memory| {
            memory.apps.push(known);
        })
        .await;
        said.push(outcome(github.set(shop, &head, &built("x")).await));
    }
    expect![[r#"
        shown
        later: asking GitHub for a token for acme/shop: the GitHub App is not installed on acme/shop; install it there
        later: asking GitHub for a token for acme/shop: GitHub answered 422 The permissions requested are not granted to this installation.; the GitHub App needs the permission {"statuses":"write"} for it, accepted by the owner
        later: showing "towline/build/backend" at acme/shop 5d89aa8: GitHub's secret has an unknown key or value; it needs "token", or "app_id" and "private_key", all strings"#]].assert_eq(&said.join("\n"));
}
