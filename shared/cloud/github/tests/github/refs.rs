//! Lists of refs that cost nothing while nothing changes, and what their moves brought.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use towline_domain::names::{CommitSha, GitRef};
use towline_github::Credentials;
use towline_github::memory::Fault::{Exhausted, RetryAfter};
use towline_github::memory::{Commit, File};
use towline_ports::{Refs, Source as _};

use crate::{MAIN, World, process, shop, unknown, with_causes, world};

const LISTING: &str = "GET /repos/acme/shop/git/matching-refs/";

#[tokio::test]
async fn f8_a_round_is_one_conditional_request() {
    let mut shop = shop();
    let first = shop.push(MAIN, "Begin", &[]);
    let tag = shop.annotate("v1", first.as_str());
    shop.refs
        .insert("refs/pull/7/head".into(), first.to_string());
    let World {
        github,
        shop,
        server,
        ..
    } = world(shop).await;
    let answer = github.refs(&shop, None).await.expect("it answers");
    let Refs::Now { mark, refs } = answer else {
        panic!("nothing is known yet");
    };
    // The object of an annotated tag is its own.
    let tag: CommitSha = tag.parse().expect("an object");
    let expected = BTreeMap::from([
        (GitRef::Branch("main".into()), first),
        (GitRef::Tag("v1".into()), tag),
    ]);
    assert_eq!(refs, expected);
    let mark = mark.expect("GitHub gives one");
    server.github().requests.clear();
    for _ in 0..3 {
        let answer = github.refs(&shop, Some(&mark)).await;
        assert_eq!(answer.expect("it answers"), Refs::Unchanged);
    }
    assert_eq!(server.github().requests, [LISTING; 3]);
    server.github().repository_mut(7).push(MAIN, "Go on", &[]);
    let answer = github.refs(&shop, Some(&mark)).await.expect("it answers");
    assert!(matches!(answer, Refs::Now { mark: Some(new), .. } if new != mark));
    assert_eq!(server.github().requests.len(), 4);
}

#[tokio::test]
async fn f8_a_round_is_left_out_while_a_limit_asks_for_it() {
    let mut shop = shop();
    shop.push(MAIN, "Begin", &[]);
    let World {
        github,
        shop,
        server,
        clock,
    } = world(shop).await;
    let reset: Timestamp = "2026-03-01T12:30:00Z".parse().expect("a time");
    for fault in [Exhausted(reset), RetryAfter(300)] {
        server.github().requests.clear();
        server.github().faults.push_back(fault.clone());
        for _ in 0..3 {
            let error = github.refs(&shop, None).await.expect_err("a pause");
            assert!(
                with_causes(&error).contains("rate limit"),
                "{}",
                with_causes(&error)
            );
        }
        assert_eq!(server.github().requests, [LISTING], "{fault:?}");
        clock.advance(Duration::from_secs(3600));
        assert!(github.refs(&shop, None).await.is_ok());
    }
}

#[tokio::test]
async fn f8_the_last_requests_are_kept_for_what_cannot_wait() {
    let mut shop = shop();
    let head = shop.push(MAIN, "Begin", &[]);
    let World {
        github,
        shop,
        server,
        clock,
    } = world(shop).await;
    server.github().left = Some((499, "2026-03-01T12:30:00Z".parse().expect("a time")));
    assert!(github.commit(&shop, &head).await.is_ok());
    let error = github.refs(&shop, None).await.expect_err("few are left");
    let said = "listing the refs of acme/shop: GitHub's rate limit is nearly used up until 2026-03-01T12:30:00Z";
    assert_eq!(with_causes(&error), said);
    assert!(github.commit(&shop, &head).await.is_ok());
    clock.advance(Duration::from_secs(1800));
    server.github().left = None;
    assert!(github.refs(&shop, None).await.is_ok());
}

#[tokio::test]
async fn f8_nothing_is_asked_without_credentials() {
    let mut shop = shop();
    shop.push(MAIN, "Begin", &[]);
    let World {
        shop,
        server,
        clock,
        ..
    } = world(shop).await;
    let nobody = process(&server, Arc::new(Credentials::None), clock);
    let error = nobody.refs(&shop, None).await.expect_err("it costs");
    assert!(with_causes(&error).contains("it needs credentials"));
    assert!(server.github().requests.is_empty());
}

#[tokio::test]
async fn a23_a_move_names_everyone_in_its_commits() {
    let mut shop = shop();
    let begin = shop.push(MAIN, "Begin", &[]);
    let mut last = begin.clone();
    for (author, message) in [
        ("Ada", "One\n\nCo-authored-by: Eve <eve@example.com>"),
        ("Bob", "Two"),
        ("Ada", "Three\n\nwith a body"),
    ] {
        last = shop.commit(&Commit {
            parents: vec![last.clone()],
            files: BTreeMap::from([("file".to_owned(), File::from(message))]),
            author: author.into(),
            message: message.into(),
            at: Timestamp::UNIX_EPOCH,
        });
    }
    shop.refs.insert(MAIN.into(), last.to_string());
    let World {
        github,
        shop,
        server: _server,
        ..
    } = world(shop).await;
    let brought = github.brought(&shop, Some(&begin), &last).await;
    let brought = brought.expect("it answers").expect("it is there");
    assert_eq!(brought.message, "Three\n\nwith a body");
    assert_eq!(brought.author, "Ada");
    assert!(!brought.forced);
    for person in ["Ada", "Bob", "Eve", "eve@example.com"] {
        assert!(
            brought.people.contains(&person.to_owned()),
            "{person}: {brought:?}"
        );
    }
    let back = github.brought(&shop, Some(&last), &begin).await;
    assert!(back.expect("it answers").expect("it is there").forced);
    let gone = github.brought(&shop, None, &unknown()).await;
    assert_eq!(gone.expect("it answers"), None);
}
