//! Faults between GitHub and us, and how long we retry.

use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use jiff::Timestamp;
use secrecy::SecretString;
use towline_domain::names::GitRef;
use towline_github::memory::Fault;
use towline_github::memory::Fault::{
    Exhausted, HangUp, Large, Pass, RetryAfter, ServerError, Slow,
};
use towline_github::{Credentials, GitHub, Settings};
use towline_ports::memory::MemoryClock;
use towline_ports::{Clock as _, RepositoryRef, Source as _};

use crate::{MAIN, World, process, shop, with_causes, world};

/// The result of a question, its duration, and the number of requests.
async fn check(faults: &[Fault], expected: Expect) {
    let mut shop = shop();
    let head = shop.push(MAIN, "Begin", &[]);
    let World {
        github,
        shop,
        server,
        clock,
    } = world(shop).await;
    let start = clock.now();
    server.github().faults.extend(faults.iter().cloned());
    let info = github.commit(&shop, &head).await;
    let what = match info {
        Ok(info) => info.expect("it is there").title.display(),
        Err(error) => with_causes(&error),
    };
    let seconds = clock.now().duration_since(start).as_secs();
    let requests = server.github().requests.len();
    expected.assert_eq(&format!("{what} | {seconds} s | {requests} requests"));
}

#[tokio::test]
async fn a_fault_that_passes_is_not_noticed() {
    check(&[], expect!["Begin | 0 s | 1 requests"]).await;
    check(&[ServerError], expect!["Begin | 0 s | 2 requests"]).await;
    check(
        &[ServerError, HangUp, ServerError],
        expect!["Begin | 1 s | 4 requests"],
    )
    .await;
    check(&[RetryAfter(0)], expect!["Begin | 1 s | 2 requests"]).await;
    check(&[RetryAfter(7)], expect!["Begin | 7 s | 2 requests"]).await;
    check(
        &[RetryAfter(10), ServerError],
        expect!["Begin | 10 s | 3 requests"],
    )
    .await;
    let soon = "2026-03-01T12:00:05Z".parse().expect("a time");
    check(&[Exhausted(soon)], expect!["Begin | 5 s | 2 requests"]).await;
}

#[tokio::test]
async fn a_fault_that_stays_is_an_error_in_time() {
    check(&vec![ServerError; 99], expect!["reading the commit 5d89aa8 of acme/shop: GitHub answered 502 Bad Gateway | 12 s | 7 requests"]).await;
    check(&[RetryAfter(11)], expect!["reading the commit 5d89aa8 of acme/shop: GitHub's rate limit is used up until 2026-03-01T12:00:11Z | 0 s | 1 requests"]).await;
    check(&[RetryAfter(9), RetryAfter(9), RetryAfter(9)], expect!["reading the commit 5d89aa8 of acme/shop: GitHub's rate limit is used up until 2026-03-01T12:00:27Z | 18 s | 3 requests"]).await;
    let later = "2026-03-01T12:40:00Z".parse().expect("a time");
    check(&[Exhausted(later)], expect!["reading the commit 5d89aa8 of acme/shop: GitHub's rate limit is used up until 2026-03-01T12:40:00Z | 0 s | 1 requests"]).await;
    check(&[Large(9 << 20)], expect!["reading the commit 5d89aa8 of acme/shop: GitHub's answer is too large | 0 s | 1 requests"]).await;
    check(&[Large(9)], expect!["reading the commit 5d89aa8 of acme/shop: reading GitHub's answer: EOF while parsing a value at line 1 column 9 | 0 s | 1 requests"]).await;
}

#[tokio::test]
async fn nobody_is_asked_before_github_allows_it() {
    let mut shop = shop();
    shop.push(MAIN, "Begin", &[]);
    let World {
        github,
        shop,
        server,
        clock,
    } = world(shop).await;
    let main = GitRef::Branch("main".into());
    server.github().faults.push_back(RetryAfter(300));
    let other = RepositoryRef {
        name: "acme/other".parse().expect("a name"),
        ..shop.clone()
    };
    for (repository, after) in [(&shop, 0), (&shop, 100), (&other, 100), (&shop, 50)] {
        clock.advance(Duration::from_secs(after));
        let error = github.head(repository, &main).await.expect_err("a pause");
        assert!(with_causes(&error).ends_with("used up until 2026-03-01T12:05:00Z"));
        assert_eq!(server.github().requests.len(), 1);
    }
    // The last ten seconds are waited for.
    clock.advance(Duration::from_secs(41));
    let head = github.head(&shop, &main).await;
    assert!(head.expect("it answers").is_some());
    assert_eq!(clock.now().to_string(), "2026-03-01T12:05:00Z");
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_not_waited_for() {
    let mut shop = shop();
    let commit = shop.push(MAIN, "Begin", &[]);
    let World {
        shop,
        server,
        clock,
        ..
    } = world(shop).await;
    let settings = Settings {
        api: server.url().parse().expect("an address"),
        patience: Duration::from_millis(600),
        ..Settings::default()
    };
    let token = Arc::new(Credentials::Token(SecretString::from("ghp_ours")));
    let github = GitHub::new(settings, token, clock);
    let never = Slow(Duration::from_secs(86_400));
    server.github().faults.extend([never.clone(), Pass]);
    let info = github
        .commit(&shop, &commit)
        .await
        .expect("the second answer");
    assert!(info.is_some());
    server.github().faults.extend(vec![never; 9]);
    let error = github.commit(&shop, &commit).await.expect_err("no answer");
    expect!["reading the commit 5d89aa8 of acme/shop: waiting for GitHub: deadline has elapsed"]
        .assert_eq(&with_causes(&error));
    server.github().faults.clear();
}

#[tokio::test]
async fn a_github_that_is_not_there_is_an_error() {
    let mut shop = shop();
    let commit = shop.push(MAIN, "Begin", &[]);
    let World { shop, server, .. } = world(shop).await;
    let clock = Arc::new(MemoryClock::new(Timestamp::UNIX_EPOCH, 1));
    let github = process(&server, Arc::new(Credentials::None), clock);
    // The port is free again once the server is gone.
    drop(server);
    let error = github
        .commit(&shop, &commit)
        .await
        .expect_err("nobody there");
    let words = with_causes(&error);
    assert!(words.starts_with("reading the commit"), "{words}");
}
