//! Pushes of every kind, and bodies that are not pushes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::{Value, json};
use towline_domain::Timestamp;

use super::compose::{Account, Commit, Sketch, push_payload};
use super::*;
use crate::signature::{Secret, Secrets, sign, verify};

const BEFORE: &str = "4f0c9a7b1d2e3f405162738495a6b7c8d9eafb0c";
const AFTER: &str = "9b1d2e3f405162738495a6b7c8d9eafb0c4f0c9a";
const TAG_OBJECT: &str = "e3f405162738495a6b7c8d9eafb0c4f0c9a9b1d2";
const ZERO: &str = "0000000000000000000000000000000000000000";

fn at() -> Timestamp {
    "2026-11-02T09:14:05Z".parse().unwrap()
}

fn account(login: &str) -> Account {
    Account {
        name: format!("{login} Example"),
        email: format!("{login}@example.com"),
        login: Some(login.into()),
    }
}

fn commit(id: &str, message: &str) -> Commit {
    Commit {
        id: id.parse().unwrap(),
        tree: BEFORE.into(),
        message: message.into(),
        at: at(),
        author: account("mina"),
        committer: account("jonas"),
        added: vec!["backend/cart.go".into()],
        removed: Vec::new(),
        modified: Vec::new(),
    }
}

/// The body of an ordinary push, with some fields set to something else.
fn body(changes: &[(&str, Value)]) -> Value {
    let commits = [commit(AFTER, "Fix the cart\n\nIt lost items.")];
    let mut body = push_payload(&Sketch {
        repository: towline_domain::names::RepositoryId(987_654),
        repository_name: &"acme/shop".parse().unwrap(),
        default_branch: "main",
        git_ref: &"refs/heads/main".parse().unwrap(),
        before: Some(&BEFORE.parse().unwrap()),
        after: Some(&AFTER.parse().unwrap()),
        head: None,
        commits: &commits,
        forced: false,
        pusher: &account("mina"),
        at: at(),
    });
    for (pointer, value) in changes {
        *body.pointer_mut(pointer).unwrap() = value.clone();
    }
    body
}

fn verified(bytes: &[u8]) -> VerifiedBody {
    let secret = Secret::new(&"s".repeat(32)).unwrap();
    let headers = [("x-hub-signature-256", sign(&secret, bytes))];
    let headers = headers.into_iter().collect();
    verify(&headers, bytes.to_vec(), &Secrets::new(secret, None)).unwrap()
}

fn delivery_of(event: &str, content_type: &str) -> Delivery {
    let headers = [
        ("X-GitHub-Event", event),
        ("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ("Content-Type", content_type),
    ];
    delivery(&headers.into_iter().collect()).unwrap()
}

fn decode_json(event: &str, body: &Value) -> Result<Event, GithubError> {
    decode_bytes(event, body.to_string().as_bytes())
}

fn decode_bytes(event: &str, body: &[u8]) -> Result<Event, GithubError> {
    decode(&delivery_of(event, "application/json"), &verified(body))
}

fn moved(body: &Value) -> Push {
    let event = decode_json("push", body).unwrap();
    let Event::Moved(push) = event else {
        panic!("{event:?} is not a push that moved a ref");
    };
    *push
}

#[test]
fn a_push_to_a_branch_says_what_to_build_and_who_wrote_it() {
    let push = moved(&body(&[]));
    assert_eq!(push.repository.0, 987_654);
    assert_eq!(push.git_ref.full(), "refs/heads/main");
    assert_eq!(push.before.as_ref().unwrap().as_str(), BEFORE);
    assert_eq!(push.commit.as_str(), AFTER);
    assert_eq!(push.pusher, "mina");
    assert_eq!(
        push.authors,
        [
            "mina",
            "mina@example.com",
            "mina Example",
            "jonas",
            "jonas@example.com",
            "jonas Example"
        ]
    );
    let accepted = push.accepted(at());
    assert_eq!(accepted.title.display(), "Fix the cart");
    assert_eq!(
        accepted.message.env_value(),
        "Fix the cart\n\nIt lost items."
    );
    assert_eq!(accepted.at, at());
}

#[test]
fn a23_everyone_who_took_part_in_a_push_is_an_author() {
    let listed = |author: &str, committer: &str, message: &str| {
        let person = |name: &str| json!({"name": name, "email": format!("{name}@example.com")});
        json!({"author": person(author), "committer": person(committer), "message": message})
    };
    let trailers = "Pair\n\nCo-authored-by: Pia <7+pia-dev@users.noreply.github.com>\nco-AUTHORED-by: Tom <tom@example.com>";
    let push = moved(&body(&[(
        "/commits",
        json!([listed("ada", "bob", trailers), listed("cyd", "cyd", "Fix")]),
    )]));
    let of = |name: &str| push.authors.iter().any(|known| known == name);
    for name in [
        "ada@example.com",
        "bob@example.com",
        "cyd@example.com",
        "Pia",
        "pia-dev",
        "tom@example.com",
        "mina",
    ] {
        assert!(of(name), "{name} is missing in {:?}", push.authors);
    }
    assert!(!push.authors_cut);
}

#[test]
fn a23_a_push_with_more_authors_than_are_kept_says_so() {
    let many: Vec<Value> = (0..400)
        .map(|number| {
            let email = format!("person-{number}@long-name-of-a-company.example.com");
            json!({"author": {"name": "x", "email": email}, "committer": null, "message": ""})
        })
        .collect();
    let push = moved(&body(&[("/commits", json!(many))]));
    assert!(push.authors_cut);
    assert!(push.accepted(at()).authors_cut);
}

#[test]
fn zeros_mean_created_or_deleted() {
    let created = moved(&body(&[
        ("/before", json!(ZERO)),
        ("/created", json!(true)),
    ]));
    assert_eq!(created.before, None);
    let deleted = body(&[
        ("/after", json!(ZERO)),
        ("/deleted", json!(true)),
        ("/forced", json!(true)),
        ("/head_commit", Value::Null),
        ("/commits", json!([])),
    ]);
    let Event::Deleted(deletion) = decode_json("push", &deleted).unwrap() else {
        panic!("the ref was deleted");
    };
    assert_eq!(deletion.before.as_str(), BEFORE);
    assert_eq!(
        deletion.key(),
        format!("push/987654/{BEFORE}/none/refs/heads/main")
    );
}

#[test]
fn a12_a_tag_is_a_tag_and_an_annotated_one_builds_its_commit() {
    let push = moved(&body(&[
        ("/ref", json!("refs/tags/main")),
        ("/before", json!(ZERO)),
        ("/created", json!(true)),
        ("/after", json!(TAG_OBJECT)),
        ("/commits", json!([])),
    ]));
    assert_eq!(push.git_ref, "refs/tags/main".parse().unwrap());
    assert_eq!(push.after.as_str(), TAG_OBJECT);
    assert_eq!(push.commit.as_str(), AFTER);
    let nested = moved(&body(&[("/ref", json!("refs/heads/refs/heads/main"))]));
    assert_eq!(nested.git_ref.name(), "refs/heads/main");
}

#[test]
fn a_ref_that_is_neither_branch_nor_tag_or_points_to_no_commit_is_ignored() {
    let check = |changes: &[(&str, Value)], why: &str| match decode_json("push", &body(changes)) {
        Ok(Event::Ignored { reason }) => assert!(reason.contains(why), "{reason}"),
        other => panic!("{other:?} should be ignored"),
    };
    check(
        &[("/ref", json!("refs/notes/commits"))],
        "not one that is built",
    );
    check(
        &[("/ref", json!(format!("refs/heads/{}", "x".repeat(600))))],
        "not one that is built",
    );
    check(
        &[
            ("/ref", json!("refs/tags/tree")),
            ("/head_commit", Value::Null),
        ],
        "no commit",
    );
}

#[test]
fn a5_the_same_push_has_the_same_key_and_another_has_another() {
    let key = |changes: &[(&str, Value)]| moved(&body(changes)).key();
    let usual = key(&[]);
    assert_eq!(
        usual,
        format!("push/987654/{BEFORE}/{AFTER}/refs/heads/main")
    );
    assert_eq!(usual, key(&[("/forced", json!(true))]));
    for other in [
        key(&[("/ref", json!("refs/tags/main"))]),
        key(&[("/repository/id", json!(987_655))]),
        key(&[("/before", json!(TAG_OBJECT))]),
        key(&[
            ("/after", json!(TAG_OBJECT)),
            ("/head_commit/id", json!(TAG_OBJECT)),
        ]),
        key(&[("/before", json!(ZERO)), ("/created", json!(true))]),
    ] {
        assert_ne!(usual, other);
    }
}

#[test]
fn old_and_odd_payloads_are_read() {
    let mut old = body(&[("/repository/created_at", json!("2016-06-28T21:58:46Z"))]);
    old["repository"]["owner"] = json!({"name": "acme", "email": null});
    old["repository"]
        .as_object_mut()
        .unwrap()
        .remove("default_branch");
    old["pusher"].as_object_mut().unwrap().remove("email");
    old.as_object_mut().unwrap().remove("sender");
    old["something_new"] = json!({"deep": [1, 2.5, 1e300, null]});
    let push = moved(&old);
    assert_eq!(push.default_branch, "main");
    assert_eq!(push.pusher, "mina");
}

#[test]
fn a_form_is_decoded_after_its_signature_was_checked() {
    let form = |pairs: &[(&str, &str)]| {
        let text = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        let delivery = delivery_of("push", "application/x-www-form-urlencoded; charset=utf-8");
        decode(&delivery, &verified(text.as_bytes()))
    };
    let json = body(&[]).to_string();
    assert_eq!(
        form(&[("payload", &json)]).unwrap(),
        decode_json("push", &body(&[])).unwrap()
    );
    for broken in [
        &[("other", json.as_str())][..],
        &[("payload", "{}"); 2],
        &[],
    ] {
        assert!(matches!(form(broken), Err(GithubError::Form)));
    }
    assert!(matches!(
        form(&[("payload", "{}")]),
        Err(GithubError::Shape { .. })
    ));
}

#[test]
fn a6_a_body_is_only_what_its_event_is_named_when_it_has_that_shape() {
    let ping = json!({"zen": "Keep it.", "hook_id": 1, "hook": {"type": "Repository"}, "repository": {"id": 1}});
    let create = json!({"ref": "main", "ref_type": "branch", "master_branch": "main", "pusher_type": "user", "repository": {"id": 1, "full_name": "a/b"}});
    let synchronize = json!({"action": "synchronize", "number": 1, "before": BEFORE, "after": AFTER, "pull_request": {}, "repository": {"id": 1, "full_name": "a/b"}, "sender": {"login": "mina"}});
    let comment = json!({"action": "created", "issue": {}, "comment": {}, "repository": {"id": 1}});
    for other in [
        &ping,
        &create,
        &synchronize,
        &comment,
        &json!([]),
        &json!({}),
    ] {
        let refused = decode_json("push", other);
        assert!(
            matches!(refused, Err(GithubError::Shape { event: "push", .. })),
            "{refused:?}"
        );
    }
    assert_eq!(decode_json("ping", &ping).unwrap(), Event::Ping);
    assert!(decode_json("ping", &body(&[])).is_err());
    for event in [
        "issue_comment",
        "create",
        "delete",
        "pull_request",
        "unheard_of",
    ] {
        let ignored = decode_json(event, &body(&[])).unwrap();
        assert!(matches!(ignored, Event::Ignored { .. }), "{ignored:?}");
    }
    for field in [
        "ref",
        "before",
        "after",
        "created",
        "deleted",
        "forced",
        "commits",
        "head_commit",
        "repository",
        "pusher",
    ] {
        let mut without = body(&[]);
        without.as_object_mut().unwrap().remove(field);
        let refused = decode_json("push", &without).unwrap_err();
        assert!(matches!(refused, GithubError::Shape { .. }), "{field}");
    }
}

#[test]
fn a_push_that_contradicts_itself_is_refused() {
    for changes in [
        &[("/created", json!(true))][..],
        &[("/deleted", json!(true))],
        &[("/before", json!(ZERO))],
        &[("/after", json!(ZERO))],
        &[("/after", json!(ZERO)), ("/deleted", json!(true))],
        &[
            ("/before", json!(ZERO)),
            ("/created", json!(true)),
            ("/after", json!(ZERO)),
            ("/deleted", json!(true)),
            ("/head_commit", Value::Null),
        ],
        &[("/head_commit/id", json!(BEFORE))],
    ] {
        let refused = decode_json("push", &body(changes)).unwrap_err();
        assert!(
            matches!(refused, GithubError::Contradiction(_)),
            "{refused}"
        );
    }
    for change in [
        ("/ref", json!("main")),
        ("/after", json!("HEAD")),
        ("/before", json!("$(id)")),
        ("/head_commit/id", json!("--upload-pack=touch")),
        ("/repository/full_name", json!("../../etc")),
        ("/repository/default_branch", json!("")),
    ] {
        let refused = decode_json("push", &body(std::slice::from_ref(&change))).unwrap_err();
        assert!(matches!(refused, GithubError::Value { .. }), "{refused}");
    }
}

#[test]
fn a10_a_strangers_text_stays_short_and_on_one_line() {
    let evil = format!("$(id)\ncommands: [rm]\0\"}}]}}{}", "x".repeat(1 << 20));
    let push = moved(&body(&[
        ("/head_commit/message", json!(evil)),
        ("/head_commit/author/name", json!(evil)),
        ("/head_commit/author/email", json!("a\u{202e}b\u{1b}[2J")),
        ("/sender/login", json!(evil)),
    ]));
    assert_eq!(push.pusher, "$(id)");
    assert!(push.authors.contains(&"a\u{fffd}b\u{fffd}[2J".to_owned()));
    assert!(push.authors.iter().all(|author| author.len() <= 600));
    let accepted = push.accepted(at());
    assert_eq!(accepted.title.display(), "$(id)");
    assert_eq!(accepted.message.display().chars().count(), 4_096);
}

#[test]
fn the_most_commits_are_read_and_one_more_is_refused() {
    let commits = |number| json!(vec![json!({"id": AFTER, "added": ["a"]}); number]);
    moved(&body(&[("/commits", commits(2_048))]));
    let refused = decode_json("push", &body(&[("/commits", commits(2_049))])).unwrap_err();
    assert!(refused.to_string().contains("2049"), "{refused}");
}

#[test]
fn a32_hostile_json_is_refused_in_time() {
    let valid = body(&[]).to_string();
    let with = |extra: &str| format!("{},{extra}}}", &valid[..valid.len() - 1]).into_bytes();
    let deep = "[".repeat(100_000);
    for broken in [
        deep.clone().into_bytes(),
        with(&format!("\"x\":{deep}")),
        with("\"ref\":\"refs/heads/evil\""),
        with("\"repository\":{\"id\":1,\"full_name\":\"a/b\"}"),
        with("\"x\":\"\u{1}\""),
        valid.replace("987654", "1e999").into_bytes(),
        valid.replace("987654", "-1").into_bytes(),
        valid.replace("987654", "18446744073709551616").into_bytes(),
        valid.replace("987654", "\"987654\"").into_bytes(),
        Vec::new(),
    ] {
        let refused = decode_bytes("push", &broken).unwrap_err();
        assert!(matches!(refused, GithubError::Shape { .. }), "{refused}");
    }
    for broken in [
        b"\xff\xfe".to_vec(),
        [&with("\"x\":\"")[..], b"\xff\xfe\"}"].concat(),
    ] {
        let refused = decode_bytes("push", &broken).unwrap_err();
        assert!(matches!(refused, GithubError::Encoding(_)), "{refused}");
    }
    let keys: Vec<String> = (0..1 << 16)
        .map(|number| format!("\"k{number}\":0"))
        .collect();
    decode_bytes("push", &with(&keys.join(","))).unwrap();
}

#[test]
fn headers_that_name_no_event_are_refused() {
    let usual = [
        ("X-GitHub-Event", "push"),
        ("X-GitHub-Delivery", "1"),
        ("Content-Type", "application/json"),
    ];
    assert!(delivery(&usual.into_iter().collect()).is_ok());
    for (name, value) in [
        ("X-GitHub-Event", ""),
        ("X-GitHub-Event", "push\npush"),
        ("X-GitHub-Delivery", "../.."),
        ("Content-Type", "text/plain"),
        ("Content-Type", ""),
    ] {
        let headers = usual.into_iter().filter(|(known, _)| *known != name);
        let headers: Headers = headers.chain([(name, value)]).collect();
        assert!(delivery(&headers).is_err(), "{name}: {value:?}");
    }
    let twice: Headers = usual.into_iter().chain([usual[0]]).collect();
    assert!(delivery(&twice).is_err());
}
