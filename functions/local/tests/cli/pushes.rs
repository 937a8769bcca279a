//! `send push`: what it reads from a repository, and how it shows the answer.

use expect_test::expect;
use serde_json::{Value, json};
use towline_wire::github::{self, Event, Push};
use towline_wire::http::{Headers, Request};
use towline_wire::signature::{self, Secret, Secrets};

use crate::client::Server;
use crate::session::Session;

const SECRET: &str = "a secret of tests, long enough for anybody";

fn accepted() -> (u16, Value) {
    (202, json!({"status": "accepted", "reason": "4893e898"}))
}

/// A repository with three commits by `Kim Lee`.
fn repository(server: &Server) -> Session {
    let session = Session::new()
        .set("TOWLINE_URL", &server.url)
        .set("TOWLINE_GITHUB_WEBHOOK_SECRET", SECRET);
    session.git(&["init", "-q", "-b", "main"]);
    session.write("a", "1");
    session.write("b b", "1");
    commit(&session, "first");
    session.write("a", "2");
    session.write("sub/쇼핑", "1");
    session.git(&["rm", "-q", "b b"]);
    commit(&session, "second \"one\"\n\nwith a body");
    session
}

fn commit(session: &Session, message: &str) {
    session.git(&["add", "-A"]);
    session.git(&["commit", "-q", "-m", message]);
}

/// The push that a server received, read like the product reads it.
fn received(server: &Server) -> (Box<Push>, Value) {
    let asked = server.asked();
    let (head, body) = asked.last().unwrap().split_once(" {").unwrap();
    let body = format!("{{{body}");
    let signature = head.split_once(" x-hub-signature-256=").unwrap().1;
    let headers: Headers = [
        ("X-GitHub-Event", "push"),
        ("X-GitHub-Delivery", "1"),
        ("Content-Type", "application/json"),
        (signature::HEADER, signature),
    ]
    .into_iter()
    .map(|(name, value)| (name, value.to_owned()))
    .collect();
    let secrets = Secrets::new(Secret::new(SECRET).unwrap(), None);
    let request = Request {
        method: "POST".into(),
        path: "/webhooks/github".into(),
        query: String::new(),
        headers,
        body: body.clone().into_bytes(),
    };
    let verified = signature::verify(&request.headers, request.body, &secrets).unwrap();
    let delivery = github::delivery(&request.headers).unwrap();
    match github::decode(&delivery, &verified).unwrap() {
        Event::Moved(push) => (push, serde_json::from_str(&body).unwrap()),
        other @ (Event::Ping | Event::Deleted(_) | Event::Ignored { .. }) => panic!("{other:?}"),
    }
}

#[test]
fn a_push_tells_what_git_knows() {
    let server = Server::saying(&[accepted()]);
    let session = repository(&server);
    expect![[r#"
        $ towline send push
        accepted: 5bd4a76 "second "one"" on main of local/shop
        see its run with: towline commit 5bd4a76
    "#]]
    .assert_eq(&session.play(&[&["send", "push"]]));
    let (push, body) = received(&server);
    assert_eq!(push.after.as_str(), session.git(&["rev-parse", "HEAD"]));
    assert_eq!(
        push.before.as_ref().map(ToString::to_string),
        Some(session.git(&["rev-parse", "HEAD^"]))
    );
    assert_eq!(push.git_ref.full(), "refs/heads/main");
    assert_eq!(push.repository_name.as_str(), "local/shop");
    assert_eq!(push.default_branch, "main");
    assert_eq!(push.message, "second \"one\"\n\nwith a body");
    let head = &body["head_commit"];
    assert_eq!(
        (&head["added"], &head["modified"], &head["removed"]),
        (&json!(["sub/쇼핑"]), &json!(["a"]), &json!(["b b"]))
    );
    assert_eq!(head["author"]["email"], "kim@acme.example");
    assert_eq!(body["commits"].as_array().map(Vec::len), Some(1));
    session.write("a", "3");
    expect![[r#"
        $ towline send push
        accepted: 5bd4a76 "second "one"" on main of local/shop
        see its run with: towline commit 5bd4a76
        ! note: the folder has uncommitted changes, which are not part of the push
    "#]]
    .assert_eq(&session.play(&[&["send", "push"]]));
}

#[test]
fn a_push_can_be_of_any_commit_ref_and_name() {
    let server = Server::saying(&[accepted()]);
    let session = repository(&server);
    session.git(&["tag", "-a", "v1", "-m", "one", "HEAD^"]);
    session.git(&["checkout", "-q", "-b", "side", "HEAD^"]);
    commit_empty(&session, "third");
    let send = |arguments: &[&str]| {
        let output = session.towline(&[&["send", "push"], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        received(&server)
    };
    let (first, _) = send(&["--ref", "main", "--commit", "main^"]);
    assert_eq!(
        (first.before.is_none(), first.message.as_str()),
        (true, "first")
    );
    let (tag, _) = send(&["--ref", "refs/tags/v1"]);
    assert_eq!(tag.after.as_str(), session.git(&["rev-parse", "v1"]));
    assert_eq!(
        tag.commit.as_str(),
        session.git(&["rev-parse", "v1^{commit}"])
    );
    let (several, body) = send(&["--before", "main^", "--ref", "main"]);
    assert_eq!(
        (several.forced, body["commits"].as_array().map(Vec::len)),
        (false, Some(1))
    );
    let (forced, _) = send(&["--before", "main", "--name", "acme/shop"]);
    assert_eq!(
        (forced.forced, forced.repository_name.as_str()),
        (true, "acme/shop")
    );
    assert_eq!(forced.git_ref.full(), "refs/heads/side");
}

fn commit_empty(session: &Session, message: &str) {
    session.git(&["commit", "-q", "--allow-empty", "-m", message]);
}

#[test]
fn what_is_answered_decides_how_it_ends() {
    let said =
        |status: u16, word: &str, reason: &str| (status, json!({"status": word, "reason": reason}));
    let server = Server::saying(&[
        said(200, "duplicate", "this push was already received"),
        said(200, "ignored", "local/shop (1) is not registered here"),
        said(
            401,
            "refused",
            "the signature does not match the body; check that the secret on GitHub is the one set here",
        ),
        said(503, "refused", "the push could not be stored; redeliver it"),
        (404, json!("nothing")),
    ]);
    let session = repository(&server);
    let send: &[&str] = &["send", "push"];
    expect![[r#"
        $ towline send push
        duplicate: 5bd4a76 "second "one"" on main of local/shop
        this push was already received
        $ towline send push
        ignored: 5bd4a76 "second "one"" on main of local/shop
        local/shop (1) is not registered here
        [exit 1]
        $ towline send push
        ! towline: the push was refused (401): the signature does not match the body; check that the secret on GitHub is the one set here
        [exit 1]
        $ towline send push
        ! towline: the push was not accepted: the push could not be stored; redeliver it
        [exit 2]
        $ towline send push
        ! towline: the answer was 404 Not Found, which is not an answer of Towline; check --to or --url
        [exit 2]
    "#]].assert_eq(&session.play(&[send; 5]));
}

#[test]
fn what_cannot_be_sent_is_told_with_what_to_do() {
    let server = Server::saying(&[accepted()]);
    let session = Session::new().set("TOWLINE_URL", &server.url);
    let outside = session.play(&[&["send", "push"], &["send", "push", "--repo", "gone"]]);
    session.git(&["init", "-q", "-b", "main"]);
    let unsigned = session.play(&[&["send", "push"]]);
    let session = session.set("TOWLINE_GITHUB_WEBHOOK_SECRET", "short");
    let short = session.play(&[&["send", "push"]]);
    let session = session.set("TOWLINE_GITHUB_WEBHOOK_SECRET", SECRET);
    let empty = session.play(&[
        &["send", "push"],
        &["send", "push", "--commit=--output=x"],
        &["send", "push", "--ref", "a b"],
    ]);
    expect![[r#"
        $ towline send push
        ! towline: . is not in a Git repository; `git init` makes it one
        [exit 2]
        $ towline send push --repo gone
        ! towline: there is no folder gone: No such file or directory (os error 2)
        [exit 2]
        $ towline send push
        ! towline: the push must be signed; set TOWLINE_GITHUB_WEBHOOK_SECRET, or TOWLINE_GITHUB_WEBHOOK_SECRET_FILE to the file that holds it (towline serve prints its path)
        [exit 2]
        $ towline send push
        ! towline: the webhook secret cannot be used: the secret has 5 bytes and needs at least 32; create one with `openssl rand -hex 32` and set it here and on GitHub
        [exit 2]
        $ towline send push
        ! towline: refs/heads/main not found in [folder]/shop; commit something, or name another with --ref
        [exit 2]
        $ towline send push --commit=--output=x
        ! towline: commit "--output=x" not found in the repository
        [exit 2]
        $ towline send push --ref a b
        ! towline: "refs/heads/a b" is not a full ref: refs/heads/… or refs/tags/…, at most 512 bytes
        [exit 2]
    "#]].assert_eq(&[outside, unsigned, short, empty].concat());
    assert_eq!(server.asked(), Vec::<String>::new());
}
