//! What the client sends to a server, and how it shows the answers.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::session::{Session, shown};

/// A server that gives these answers in order, repeats the last one, and records the requests.
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
    runtime: tokio::runtime::Runtime,
}

#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<Vec<(u16, String)>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn saying(answers: &[(u16, Value)]) -> Self {
        Self::replying(
            answers
                .iter()
                .map(|(status, body)| (*status, body.to_string()))
                .collect(),
        )
    }

    pub(crate) fn replying(mut answers: Vec<(u16, String)>) -> Self {
        answers.reverse();
        let script = Script {
            answers: Arc::new(Mutex::new(answers)),
            asked: Arc::default(),
        };
        let asked = Arc::clone(&script.asked);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(script);
        runtime.spawn(async { axum::serve(listener, app).await });
        Self {
            url,
            asked,
            runtime,
        }
    }

    /// A server that always gives the same answer at a path.
    pub(crate) fn by_path(answers: &[(&'static str, Value)]) -> Self {
        let mut server = Self::saying(&[(404, Value::Null)]);
        let listener = server
            .runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.unwrap();
        server.url = format!("http://{}", listener.local_addr().unwrap());
        let mut app = Router::new();
        for (path, body) in answers {
            let body = body.to_string();
            app = app.route(path, axum::routing::get(|| async { body }));
        }
        server
            .runtime
            .spawn(async { axum::serve(listener, app).await });
        server
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(
    State(script): State<Script>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let mut asked = format!("{method} {uri}");
    for name in ["authorization", "x-github-event", "x-hub-signature-256"] {
        if let Some(value) = headers.get(name) {
            asked += &format!(" {name}={}", value.to_str().unwrap());
        }
    }
    if !body.is_empty() {
        asked += &format!(" {}", String::from_utf8_lossy(&body));
    }
    script.asked.lock().unwrap().push(asked);
    let mut answers = script.answers.lock().unwrap();
    let (status, body) = if answers.len() > 1 {
        answers.pop().unwrap()
    } else {
        answers[0].clone()
    };
    (StatusCode::from_u16(status).unwrap(), body)
}

/// The output for these answers, followed by the requests.
fn check(answers: &[(u16, Value)], commands: &[&[&str]], expected: &Expect) {
    let server = Server::saying(answers);
    let session = Session::new()
        .set("TOWLINE_URL", &server.url)
        .set("TOWLINE_TOKEN", "kims-token");
    let mut text = session.play(commands).replace(&server.url, "[server]");
    for asked in server.asked() {
        assert!(
            asked.contains(" authorization=Bearer kims-token"),
            "{asked}"
        );
        text += &format!(
            "> {}\n",
            asked.replace(" authorization=Bearer kims-token", "")
        );
    }
    expected.assert_eq(&text);
}

fn done(message: &str, promotion: Option<u64>) -> (u16, Value) {
    (
        200,
        json!({"answer": "done", "message": message, "promotion": promotion, "build": null}),
    )
}

#[test]
fn every_reader_asks_for_what_was_typed() {
    check(
        &[(200, json!({"answer": "runs", "runs": []}))],
        &[
            &[
                "tags",
                "backend",
                "--branch",
                "a&b",
                "--limit",
                "5",
                "--repository",
                "acme/shop",
            ],
            &["commit", "1234567"],
            &["image", ":prod", "--component", "backend"],
            &["image", "sha256:858e0a1b…"],
            &["history", "backend", "prod"],
            &["now"],
            &[
                "now",
                "prod",
                "--component",
                "backend",
                "--at",
                "2026-02-27T12:00",
            ],
            &["where", "build#142"],
            &["why", "3f9c2ab", "todo"],
            &["runs", "--repository", "acme/shop"],
            &["runs", "--json"],
        ],
        &expect![[r#"
            $ towline tags backend --branch a&b --limit 5 --repository acme/shop
            no push has been accepted yet; send one with: towline send push --repo FOLDER
            $ towline commit 1234567
            no push has been accepted yet; send one with: towline send push --repo FOLDER
            $ towline image :prod --component backend
            no push has been accepted yet; send one with: towline send push --repo FOLDER
            $ towline image sha256:858e0a1b…
            no push has been accepted yet; send one with: towline send push --repo FOLDER
            $ towline history backend prod
            no push has been accepted yet; send one with: towline send push --repo FOLDER
            $ towline now
            no push has been accepted yet; send one with: towline send push --repo FOLDER
            $ towline now prod --component backend --at 2026-02-27T12:00
            no push has been accepted yet; send one with: towline send push --repo FOLDER
            $ towline where build#142
            no push has been accepted yet; send one with: towline send push --repo FOLDER
            $ towline why 3f9c2ab todo
            no push has been accepted yet; send one with: towline send push --repo FOLDER
            $ towline runs --repository acme/shop
            no push has been accepted yet; send one with: towline send push --repo FOLDER
            $ towline runs --json
            {
              "answer": "runs",
              "runs": []
            }
            > GET /v1/tags?branch=a%26b&component=backend&limit=5&repository=acme%2Fshop
            > GET /v1/commit?commit=1234567
            > GET /v1/image?component=backend&image=%3Aprod
            > GET /v1/image?image=sha256%3A858e0a1b
            > GET /v1/history?component=backend&stage=prod
            > GET /v1/now
            > GET /v1/now?at=2026-02-27T12%3A00%3A00Z&component=backend&stage=prod
            > GET /v1/where?reference=build%23142
            > GET /v1/why?component=todo&reference=3f9c2ab
            > GET /v1/runs?repository=acme%2Fshop
            > GET /v1/runs
        "#]],
    );
}

#[test]
fn every_writer_tells_what_was_typed() {
    check(
        &[done("done", None)],
        &[
            &[
                "promote",
                "backend",
                "3f9c2ab",
                "prod",
                "--reason",
                "release 12",
            ],
            &["approve", "#58", "looks good"],
            &["reject", "58", "breaks it", "--repository", "acme/shop"],
            &["rollback", "backend", "prod", "--to", "9f8e7d6", "--yes"],
            &["hold", "backend", "prod", "incident 4711"],
            &["resume", "backend", "prod"],
            &["cancel", "build#142"],
            &["retry", "142", "--json"],
        ],
        &expect![[r#"
            $ towline promote backend 3f9c2ab prod --reason release 12
            done
            $ towline approve #58 looks good
            done
            $ towline reject 58 breaks it --repository acme/shop
            done
            $ towline rollback backend prod --to 9f8e7d6 --yes
            done
            $ towline hold backend prod incident 4711
            done
            $ towline resume backend prod
            done
            $ towline cancel build#142
            done
            $ towline retry 142 --json
            {
              "answer": "done",
              "message": "done",
              "promotion": null,
              "build": null
            }
            > POST /v1/promote {"component":"backend","image":"3f9c2ab","reason":"release 12","stage":"prod"}
            > POST /v1/approve {"comment":"looks good","promotion":58}
            > POST /v1/reject {"promotion":58,"reason":"breaks it","repository":"acme/shop"}
            > POST /v1/rollback {"component":"backend","stage":"prod","to":"9f8e7d6"}
            > POST /v1/hold {"component":"backend","reason":"incident 4711","stage":"prod"}
            > POST /v1/resume {"component":"backend","stage":"prod"}
            > POST /v1/cancel {"build":142}
            > POST /v1/retry {"build":142}
        "#]],
    );
}

#[test]
fn a_rollback_nobody_can_be_asked_about_is_not_begun() {
    check(
        &[done("done", None)],
        &[
            &["rollback", "backend", "prod"],
            &["rollback", "backend", "prod", "--json"],
        ],
        &expect![[r#"
        $ towline rollback backend prod
        ! towline: a rollback asks for confirmation, and there is no terminal to ask on; use --yes
        [exit 1]
        $ towline rollback backend prod --json
        {
          "error": "a rollback asks for confirmation, and there is no terminal to ask on; use --yes"
        }
        [exit 1]
    "#]],
    );
}

#[test]
fn a_no_ends_with_1_and_what_cannot_be_with_2() {
    let error = |status: u16, reason: &str| (status, json!({"error": reason}));
    check(
        &[
            error(409, "there is no stage prd; there are: staging, prod"),
            error(400, "missing field `stage`"),
            error(404, "there is no /v1/runs"),
            error(403, "only release-managers may"),
            error(401, "who is asking?"),
            error(503, "a service behind it did not answer; try again"),
            (200, json!({"answer": "later"})),
            (302, json!(null)),
            (500, json!({"message": "Internal Server Error"})),
            error(409, "as JSON"),
        ],
        &[
            &["runs"],
            &["runs"],
            &["runs"],
            &["runs"],
            &["runs"],
            &["runs"],
            &["runs"],
            &["runs"],
            &["runs"],
            &["runs", "--json"],
        ],
        &expect![[r#"
            $ towline runs
            ! towline: there is no stage prd; there are: staging, prod
            [exit 1]
            $ towline runs
            ! towline: missing field `stage`
            [exit 1]
            $ towline runs
            ! towline: there is no /v1/runs
            [exit 1]
            $ towline runs
            ! towline: only release-managers may
            [exit 1]
            $ towline runs
            ! towline: [server] does not know your token; set another in TOWLINE_TOKEN, or in the file that TOWLINE_TOKEN_FILE names
            [exit 1]
            $ towline runs
            ! towline: [server] answered 503 Service Unavailable: a service behind it did not answer; try again
            [exit 2]
            $ towline runs
            ! towline: reading the answer of [server]; is it the same version as this towline?: unknown variant `later`, expected one of `tags`, `commit`, `image`, `history`, `now`, `where`, `why`, `runs`, `queue`, `claims`, `log`, `audit`, `verify`, `done` at line 1 column 17
            [exit 2]
            $ towline runs
            ! towline: [server] answered 302 Found, which is not an answer of Towline; check --url (or TOWLINE_URL)
            [exit 2]
            $ towline runs
            ! towline: [server] answered 500 Internal Server Error; the log says why, on AWS: aws logs tail /aws/lambda/towline-answer-chat
            [exit 2]
            $ towline runs --json
            {
              "error": "as JSON"
            }
            [exit 1]
            > GET /v1/runs
            > GET /v1/runs
            > GET /v1/runs
            > GET /v1/runs
            > GET /v1/runs
            > GET /v1/runs
            > GET /v1/runs
            > GET /v1/runs
            > GET /v1/runs
            > GET /v1/runs
        "#]],
    );
}

#[test]
fn nobody_listening_is_told_with_what_to_do() {
    // Port 1 is never chosen as a free port.
    let session = Session::new().set("TOWLINE_URL", "http://127.0.0.1:1");
    let text = session.play(&[&["runs"], &["runs", "--json"], &["approve"]]);
    expect![[r#"
        $ towline runs
        ! towline: nothing answers at http://127.0.0.1:1 (Connection refused (os error 111)); start it with `towline serve --repo FOLDER`, or name another with --url or TOWLINE_URL
        [exit 2]
        $ towline runs --json
        {
          "error": "nothing answers at http://127.0.0.1:1 (Connection refused (os error 111)); start it with `towline serve --repo FOLDER`, or name another with --url or TOWLINE_URL"
        }
        [exit 2]
        $ towline approve
        ! error: the following required arguments were not provided:
        !   <N>
        !
        ! Usage: towline approve [OPTIONS] <N> [COMMENT]
        !
        ! For more information, try '--help'.
        [exit 2]
    "#]].assert_eq(&text);
}

#[test]
fn the_token_comes_from_the_environment_a_file_or_the_folder_of_serve() {
    let runs = (200, json!({"answer": "runs", "runs": []}));
    let check = |prepare: &dyn Fn(Session) -> Session, expected: &str| {
        let server = Server::saying(std::slice::from_ref(&runs));
        let session = prepare(Session::new().set("TOWLINE_URL", &server.url));
        let output = session.towline(&["runs"]);
        let asked = server.asked().join("\n");
        let token = asked
            .split_once("Bearer ")
            .map_or("none", |(_, token)| token);
        assert_eq!(token, expected, "{output:?}");
    };
    check(&|session| session, "none");
    check(
        &|session| session.set("TOWLINE_TOKEN", "from-environment"),
        "from-environment",
    );
    check(
        &|session| {
            session.write("token", "from-file\n");
            session.set("TOWLINE_TOKEN_FILE", "token")
        },
        "from-file",
    );
    check(
        &|session| {
            session.write(".towline-data/owner.token", "from-serve\n");
            session
        },
        "from-serve",
    );
    let session = Session::new().set("TOWLINE_TOKEN_FILE", "gone");
    expect![[r#"
        $ towline runs
        ! towline: TOWLINE_TOKEN_FILE names gone: reading gone: No such file or directory (os error 2)
        [exit 2]
    "#]].assert_eq(&session.play(&[&["runs"]]));
}

#[test]
fn s24_an_empty_secret_is_refused_by_name_and_does_not_count_as_unset() {
    const SECRET: &str = "a secret of tests, long enough for anybody";
    let session = |variables: &[(&str, &str)]| {
        let session = Session::new();
        session.git(&["init", "--quiet"]);
        session.write("blank", " \n");
        variables
            .iter()
            .fold(session, |session, (name, value)| session.set(name, value))
    };
    let serve = &["serve", "--listen", "127.0.0.1:0", "--repo", "."][..];
    let mut text = String::new();
    for (arguments, variables) in [
        (serve, &[("TOWLINE_GITHUB_WEBHOOK_SECRET", "")][..]),
        (serve, &[("TOWLINE_GITHUB_WEBHOOK_SECRET", " ")]),
        (serve, &[("TOWLINE_GITHUB_WEBHOOK_SECRET_FILE", "")]),
        (serve, &[("TOWLINE_GITHUB_WEBHOOK_SECRET_FILE", "blank")]),
        (
            serve,
            &[
                ("TOWLINE_GITHUB_WEBHOOK_SECRET", SECRET),
                ("TOWLINE_GITHUB_WEBHOOK_SECRET_PREVIOUS", ""),
            ],
        ),
        (
            serve,
            &[
                ("TOWLINE_GITHUB_WEBHOOK_SECRET", SECRET),
                ("TOWLINE_SLACK_SIGNING_SECRET", ""),
            ],
        ),
        (
            serve,
            &[
                ("TOWLINE_GITHUB_WEBHOOK_SECRET", SECRET),
                ("TOWLINE_SLACK_SIGNING_SECRET_FILE", "blank"),
            ],
        ),
        (&["runs"], &[("TOWLINE_TOKEN", "")]),
        (&["runs"], &[("TOWLINE_TOKEN_FILE", "blank")]),
        (&["send", "push"], &[("TOWLINE_GITHUB_WEBHOOK_SECRET", "")]),
    ] {
        let session = session(variables);
        text += &shown(&session.towline(arguments));
        let made = session.path(".towline-data/webhook.secret");
        assert!(!made.exists(), "a secret was made in place of an empty one");
    }
    let left = session(&[]);
    left.write(".towline-data/owner.token", "\n");
    text += &shown(&left.towline(&["runs"]));
    expect![[r#"
        ! towline: TOWLINE_GITHUB_WEBHOOK_SECRET is set but empty; give it a value, or unset it
        [exit 2]
        ! towline: TOWLINE_GITHUB_WEBHOOK_SECRET is set but empty; give it a value, or unset it
        [exit 2]
        ! towline: TOWLINE_GITHUB_WEBHOOK_SECRET_FILE is set but empty; name the file with the secret, or unset it
        [exit 2]
        ! towline: TOWLINE_GITHUB_WEBHOOK_SECRET_FILE names blank, which is empty; write the secret to that file, or unset TOWLINE_GITHUB_WEBHOOK_SECRET_FILE
        [exit 2]
        ! towline: TOWLINE_GITHUB_WEBHOOK_SECRET_PREVIOUS is set but empty; give it a value, or unset it
        [exit 2]
        ! towline: TOWLINE_SLACK_SIGNING_SECRET is set but empty; give it a value, or unset it
        [exit 2]
        ! towline: TOWLINE_SLACK_SIGNING_SECRET_FILE names blank, which is empty; write the secret to that file, or unset TOWLINE_SLACK_SIGNING_SECRET_FILE
        [exit 2]
        ! towline: TOWLINE_TOKEN is set but empty; give it a value, or unset it
        [exit 2]
        ! towline: TOWLINE_TOKEN_FILE names blank, which is empty; write the secret to that file, or unset TOWLINE_TOKEN_FILE
        [exit 2]
        ! towline: TOWLINE_GITHUB_WEBHOOK_SECRET is set but empty; give it a value, or unset it
        [exit 2]
        ! towline: .towline-data/owner.token is empty; delete it, and restart `towline serve`, which makes a new one
        [exit 2]
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_log_is_followed_until_the_build_has_ended() {
    let log = |text: &str, next: usize, ended: bool| {
        (
            200,
            json!({"answer": "log", "build": 142, "text": text, "next": next, "ended": ended}),
        )
    };
    let parts = [
        log("", 0, false),
        log("one\n\u{1b}[2Jt", 10, false),
        log("", 10, false),
        log("wo\n", 13, true),
        log("", 13, true),
    ];
    check(
        &parts,
        &[&["logs", "142", "--follow"]],
        &expect![[r#"
        $ towline logs 142 --follow
        one
        two
        > GET /v1/log?build=142&from=0
        > GET /v1/log?build=142&from=0
        > GET /v1/log?build=142&from=10
        > GET /v1/log?build=142&from=10
        > GET /v1/log?build=142&from=13
    "#]],
    );
    check(
        &parts,
        &[&["logs", "142"]],
        &expect![[r#"
            $ towline logs 142
            build#142 has no log yet; follow it with: towline logs 142 --follow
            > GET /v1/log?build=142&from=0
        "#]],
    );
    check(
        &parts[1..],
        &[&["logs", "142", "--follow", "--json"]],
        &expect![[r#"
        $ towline logs 142 --follow --json
        {"answer":"log","build":142,"text":"one\n\u001b[2Jt","next":10,"ended":false}
        {"answer":"log","build":142,"text":"wo\n","next":13,"ended":true}
        > GET /v1/log?build=142&from=0
        > GET /v1/log?build=142&from=10
        > GET /v1/log?build=142&from=10
        > GET /v1/log?build=142&from=13
    "#]],
    );
}

#[test]
fn s25_a_long_name_is_cut_in_a_table_and_whole_in_json() {
    let long = format!("feature/{}", "x".repeat(200));
    let run = |git_ref: &str| {
        json!({
            "run": "0011223344556677", "repository": "acme/shop",
            "git_ref": format!("refs/heads/{git_ref}"), "commit": "3f9c2ab".repeat(6)[..40],
            "title": "fix cart", "pusher": "kim", "at": "2026-03-02T10:14:09Z", "status": "building",
            "refused": null, "builds": [], "skipped": [], "notes": [],
        })
    };
    let runs = [run("main"), run(&long), run(&"표현".repeat(50))];
    let server = Server::saying(&[(200, json!({"answer": "runs", "runs": runs}))]);
    let session = Session::new().set("TOWLINE_URL", &server.url);
    expect![[r#"
        $ towline runs
        PUSHED (UTC)      COMMIT   REF                                                               BY    STATUS    BUILDS  TITLE
        2026-03-02 10:14  3f9c2ab  main                                                              @kim  building  -       fix cart
        2026-03-02 10:14  3f9c2ab  feature/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…  @kim  building  -       fix cart
        2026-03-02 10:14  3f9c2ab  표현표현표현표현표현표현표현표현표현표현표현표현표현표현표현표…   @kim  building  -       fix cart
    "#]]
    .assert_eq(&session.play(&[&["runs"]]));
    let whole = session.play(&[&["runs", "--json"]]);
    assert!(whole.contains(&format!("\"refs/heads/{long}\"")), "{whole}");
}

#[test]
fn s16_a_log_hides_turns_and_overwrites_nothing() {
    let part = |text: &str, next: usize| {
        let answer =
            json!({"answer": "log", "build": 142, "text": text, "next": next, "ended": true});
        (200, answer)
    };
    let parts = [
        part("tests failed\r", 1),
        part("tests passed\r\n\u{1b}[1;8mcurl evil.example\u{1b}[0m\n", 2),
        part("a\u{202e}b\u{200b}c\u{feff}\n", 3),
        part("", 3),
    ];
    let played = |arguments: &[&str]| {
        let server = Server::saying(&parts);
        let session = Session::new().set("TOWLINE_URL", &server.url);
        let output = session.towline(arguments);
        String::from_utf8(output.stdout).unwrap()
    };
    expect![[r#"
        "tests failed\ntests passed\r\n\u{1b}[1mcurl evil.example\u{1b}[0m\na\\u{202e}b\\u{200b}c\\u{feff}\n""#]]
    .assert_eq(&format!("{:?}", played(&["logs", "142", "--color", "always"])));
    let lines = played(&["logs", "142", "--follow", "--json"]);
    assert!(lines.contains(r"a\u202eb\u200bc\ufeff\n"), "{lines:?}");
    for line in lines.lines() {
        let answer: Value = serde_json::from_str(line).unwrap();
        assert_eq!(answer["build"], 142);
    }
}

#[test]
fn waiting_ends_when_the_promotion_does() {
    let digest = format!("sha256:{}", "8".repeat(64));
    let (commit, other) = (
        "3f9c2ab".repeat(6)[..40].to_owned(),
        "9f8e7d6".repeat(6)[..40].to_owned(),
    );
    let now = |why: Option<&str>| {
        let waiting: Vec<Value> = why
            .iter()
            .map(|why| json!({"promotion": 58, "commit": commit, "digest": digest, "why": why}))
            .collect();
        (
            200,
            json!({"answer": "now", "at": null, "live": [
                {"repository": "acme/shop", "component": "backend", "stage": "prod", "image": null, "hold": null, "waiting": waiting},
            ]}),
        )
    };
    let history = |moved: bool| {
        let step = json!({"at": "2026-03-02T10:20:00Z", "tag": "prod", "from": other, "to": commit, "digest": digest,
                          "by": "towline", "why": "approval #58", "promotion": 58, "rollback": false});
        let moves: Vec<Value> = moved.then_some(step).into_iter().collect();
        (
            200,
            json!({"answer": "history", "component": "backend", "stage": "prod", "moves": moves, "hold": null}),
        )
    };
    let opened = done("promotion #58 of 3f9c2ab to prod is open", Some(58));
    let waits = "promotion #58 waits for approval 0/1";
    check(
        &[
            opened.clone(),
            now(Some(waits)),
            history(false),
            now(None),
            history(true),
        ],
        &[&["promote", "backend", "3f9c2ab", "prod", "--wait"]],
        &expect![[r#"
            $ towline promote backend 3f9c2ab prod --wait
            promotion #58 of 3f9c2ab to prod is open
            prod of backend: 3f9c2ab is live, by towline (approval #58)
            !   promotion #58 waits for approval 0/1
            > POST /v1/promote {"component":"backend","image":"3f9c2ab","stage":"prod"}
            > GET /v1/now?component=backend&stage=prod
            > GET /v1/history?component=backend&limit=20&stage=prod
            > GET /v1/now?component=backend&stage=prod
            > GET /v1/history?component=backend&limit=20&stage=prod
        "#]],
    );
    let audit = |reason: Option<&str>| {
        let row = |reason: &&str| {
            json!({"at": "2026-03-02T10:20:00Z", "actor": "towline", "action": "promote",
            "result": "refused", "door": null, "reason": reason, "repository": "acme/shop", "component": "backend",
            "stage": "prod", "promotion": 58, "build": null, "commit": null, "digest": null, "sequence": 9,
            "hash": "8".repeat(64)})
        };
        let rows: Vec<Value> = reason.iter().map(row).collect();
        (
            200,
            json!({"answer": "audit", "rows": rows, "breaks": [], "next": null}),
        )
    };
    for (audited, said) in [
        (
            audit(None),
            "promotion #58 ended without changing prod of backend; see: towline now prod",
        ),
        (
            audit(Some(
                "promotion #58 was refused: 3f9c2ab is no longer on main",
            )),
            "promotion #58 was refused: 3f9c2ab is no longer on main",
        ),
    ] {
        let answers = [
            opened.clone(),
            now(Some(waits)),
            history(false),
            now(None),
            history(false),
            audited,
        ];
        let server = Server::saying(&answers);
        let session = Session::new().set("TOWLINE_URL", &server.url);
        let output = session.towline(&["promote", "backend", "3f9c2ab", "prod", "--wait"]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(error, format!("  {waits}\ntowline: {said}\n"));
        assert_eq!(output.status.code(), Some(1));
    }
    check(
        &[
            now(Some(waits)),
            done("promotion #58 is approved", Some(58)),
            now(None),
            history(true),
        ],
        &[&["approve", "58", "--wait"]],
        &expect![[r#"
            $ towline approve 58 --wait
            promotion #58 is approved
            prod of backend: 3f9c2ab is live, by towline (approval #58)
            > GET /v1/now
            > POST /v1/approve {"promotion":58}
            > GET /v1/now?component=backend&stage=prod
            > GET /v1/history?component=backend&limit=20&repository=acme%2Fshop&stage=prod
        "#]],
    );
}
