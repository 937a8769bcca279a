//! Every answer as it is shown.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use expect_test::{Expect, expect};
use serde_json::{Value, json};
use towline_domain::Timestamp;

use super::super::Answer;
use super::{Span, Style, lines};

const NOW: &str = "2026-03-02T13:22:30Z";

fn check(answer: Value, expected: &Expect) {
    let answer: Answer = serde_json::from_value(answer).unwrap();
    let now: Timestamp = NOW.parse().unwrap();
    let lines = lines(&answer, now);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    for line in text.lines() {
        assert_eq!(line, line.trim_end(), "no line ends in blanks");
    }
    expected.assert_eq(&text);
}

fn sha(first: &str) -> String {
    format!("{first:0<40}")
}

fn digest(first: &str) -> String {
    format!("sha256:{first:0<64}")
}

fn build(component: &str, number: u64, state: &str) -> Value {
    json!({
        "component": component, "build": number, "attempt": 1, "state": state,
        "why": format!("build#{number} {state} in BUILD"), "because": "files below backend changed", "seconds": 371,
        "digest": if state == "succeeded" { json!(digest("858e0a1b")) } else { Value::Null },
        "tags": [format!("3f9c2ab-{number}")], "stages": if state == "succeeded" { json!(["staging"]) } else { json!([]) },
    })
}

fn run(status: &str, builds: &[Value]) -> Value {
    json!({
        "run": "0011223344556677", "repository": "acme/shop", "git_ref": "refs/heads/main",
        "commit": sha("3f9c2ab"), "title": "fix cart rounding", "pusher": "kim",
        "at": "2026-03-02T10:14:09Z", "status": status, "refused": null, "builds": builds,
        "skipped": [], "notes": [],
    })
}

#[test]
fn tags_are_listed_with_where_they_are_live() {
    check(
        json!({"answer": "tags", "component": "backend", "images": [
            {"tags": ["3f9c2ab-142", "v1.2"], "digest": digest("858e0a1b"), "commit": sha("3f9c2ab"),
             "git_ref": "refs/heads/feature/표현", "build": 142, "at": "2026-03-02T10:14:09Z", "stages": ["staging", "prod"]},
            {"tags": ["a1b2c3d-141"], "digest": digest("77aa"), "commit": sha("a1b2c3d"),
             "git_ref": "refs/heads/main", "build": 141, "at": "2026-03-01T18:40:00Z", "stages": []},
            {"tags": [], "digest": digest("1234"), "commit": null, "git_ref": null, "build": null,
             "at": "2026-03-01T08:00:00Z", "stages": []},
        ]}),
        &expect![[r#"
            TAG          DIGEST            COMMIT   BRANCH        BUILT (UTC)       STAGES
            3f9c2ab-142  sha256:858e0a1b…  3f9c2ab  feature/표현  2026-03-02 10:14  staging ✔, prod ✔
            v1.2
            a1b2c3d-141  sha256:77aa0000…  a1b2c3d  main          2026-03-01 18:40  -
            -            sha256:12340000…  foreign  -             2026-03-01 08:00  -
        "#]],
    );
    check(
        json!({"answer": "tags", "component": "backend", "images": []}),
        &expect![[r#"
            no image of backend yet; push a commit that changes it, or see all pushes with: towline runs
        "#]],
    );
}

#[test]
fn a_commit_shows_its_runs_and_what_became_of_each_component() {
    let mut failed = run(
        "failed",
        &[
            build("backend", 142, "succeeded"),
            build("worker", 143, "failed"),
        ],
    );
    failed["builds"][0]["outputs"] = json!({
        "notes": "x".repeat(101), "version": r#"{"Version":"1.2"}"#,
    });
    failed["skipped"] =
        json!([{"component": "todo", "reason": "no file under todo/** (12 files, base a1b2c3d)"}]);
    failed["notes"] = json!(["everything is built: the push was forced"]);
    let mut refused = run("refused", &[]);
    refused["refused"] = json!(".towline.yml: line 3, column 1: unknown key");
    check(
        json!({"answer": "commit", "commit": sha("3f9c2ab"), "runs": [failed, refused]}),
        &expect![[r#"
            3f9c2ab "fix cart rounding"  @kim  main  acme/shop
              failed, pushed 2026-03-02 10:14 (UTC)
              COMPONENT  BUILD      STATE      TOOK    DIGEST            TAGS         STAGES
              backend    build#142  succeeded  6m 11s  sha256:858e0a1b…  3f9c2ab-142  staging ✔
              worker     build#143  failed     6m 11s  -                 3f9c2ab-143  -
              worker: build#143 failed in BUILD; for the log, run: towline logs 143
              backend: output notes: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
              backend: output version: {"Version":"1.2"}
              todo: not built — no file under todo/** (12 files, base a1b2c3d)
              note: everything is built: the push was forced

            3f9c2ab "fix cart rounding"  @kim  main  acme/shop
              refused, pushed 2026-03-02 10:14 (UTC)
              .towline.yml: line 3, column 1: unknown key
        "#]],
    );
    check(
        json!({"answer": "commit", "commit": sha("3f9c2ab"), "runs": []}),
        &expect![[r#"
            no push of 3f9c2ab was accepted; see all pushes with: towline runs
        "#]],
    );
}

fn live(stage: &str) -> Value {
    json!({
        "repository": "acme/shop", "component": "backend", "stage": stage, "hold": null, "waiting": [],
        "image": {"digest": digest("858e0a1b"), "commit": sha("3f9c2ab"), "build": 142,
                  "since": "2026-03-02T10:20:00Z", "by": "towline", "why": "promotion #57"},
    })
}

#[test]
fn an_image_shows_where_it_came_from_and_where_it_went() {
    check(
        json!({"answer": "image", "images": [
            {"repository": "shop/backend", "digest": digest("858e0a1b"), "media_type": "application/vnd.oci.image.manifest.v1+json",
             "size": 12_900_000, "platforms": ["linux/amd64"], "at": "2026-03-02T10:14:09Z",
             "built": {"source": 7, "component": "backend", "commit": sha("3f9c2ab"), "git_ref": "refs/heads/main", "run": "0011223344556677", "build_number": 142},
             "tags": [
                {"tag": "3f9c2ab-142", "current": true, "moved": {"sequence": 1, "at": "2026-03-02T10:14:09Z", "from": null, "to": digest("858e0a1b"), "by": {"kind": "build", "run": "0011223344556677", "number": 142}}},
                {"tag": "staging", "current": true, "moved": {"sequence": 9, "at": "2026-03-02T10:20:00Z", "from": null, "to": digest("858e0a1b"), "by": {"kind": "promotion", "number": 57, "by": {"person": "lee"}}}},
                {"tag": "edge", "current": false, "moved": null},
             ],
             "live": [live("staging")]},
            {"repository": "shop/backend", "digest": digest("1234"), "media_type": "application/vnd.oci.image.index.v1+json",
             "size": null, "platforms": [], "at": "2026-03-02T10:14:09Z", "built": null, "tags": [], "live": []},
        ]}),
        &expect![[r#"
            sha256:858e0a1b00000000000000000000000000000000000000000000000000000000
              repository  shop/backend
              built as    backend, build#142
              commit      3f9c2ab000000000000000000000000000000000  main
              platforms   linux/amd64
              size        12.3 MiB
              type        application/vnd.oci.image.manifest.v1+json
              first seen  2026-03-02 10:14 (UTC)
              tags        3f9c2ab-142  moved by build#142 at 2026-03-02 10:14 (UTC)
                          staging      moved by promotion #57 of @lee at 2026-03-02 10:20 (UTC)
                          edge         (points to another image now)
              live in     staging ✔ since 2026-03-02 10:20 (UTC), 3h 2m, by towline: promotion #57

            sha256:1234000000000000000000000000000000000000000000000000000000000000
              repository  shop/backend
              built as    unknown: Towline did not build it and never promotes it
              type        application/vnd.oci.image.index.v1+json
              first seen  2026-03-02 10:14 (UTC)
              live in     no stage
        "#]],
    );
    check(
        json!({"answer": "image", "images": []}),
        &expect![[r#"
            image not found; name a commit, a tag, a digest (sha256:…) or a build (build#142)
        "#]],
    );
}

#[test]
fn a_history_shows_every_move_with_who_and_why() {
    let hold = json!({"by": {"person": "lee"}, "reason": "incident 4711", "since": "2026-03-02T11:00:00Z"});
    let step = |from: Value, to: &str, by: &str, why: &str, rollback: bool| {
        json!({"at": "2026-03-01T19:02:00Z", "tag": "prod", "from": from, "to": sha(to), "digest": digest(to),
               "by": by, "why": why, "promotion": 57, "rollback": rollback})
    };
    check(
        json!({"answer": "history", "component": "backend", "stage": "prod", "hold": hold, "moves": [
            step(json!(sha("9f8e7d6")), "a1b2c3d", "@lee", "promotion #57", false),
            step(json!(sha("a0b1c2d")), "9f8e7d6", "towline", "rollback #56: too slow", true),
            step(Value::Null, "a0b1c2d", "@park", "first one", false),
        ]}),
        &expect![[r#"
            WHEN (UTC)        TAG   FROM      TO       BY       WHY
            2026-03-01 19:02  prod  9f8e7d6 → a1b2c3d  @lee     promotion #57
            2026-03-01 19:02  prod  a0b1c2d → 9f8e7d6  towline  rollback #56: too slow
            2026-03-01 19:02  prod  -       → a0b1c2d  @park    first one
            held by @lee since 2026-03-02 11:00 (UTC): incident 4711
        "#]],
    );
    check(
        json!({"answer": "history", "component": "backend", "stage": "prod", "hold": hold, "moves": []}),
        &expect![[r#"
            no image has been live in prod of backend yet; promote one with: towline promote backend COMMIT prod
            held by @lee since 2026-03-02 11:00 (UTC): incident 4711
        "#]],
    );
}

#[test]
fn what_is_live_now_shows_holds_and_what_waits() {
    let mut prod = live("prod");
    prod["image"] = Value::Null;
    prod["hold"] = json!({"by": {"person": "lee"}, "reason": "incident 4711", "since": "2026-03-02T11:00:00Z"});
    prod["waiting"] = json!([{"promotion": 58, "commit": sha("3f9c2ab"), "digest": digest("858e0a1b"), "why": "promotion #58 waits for approval 1/2, expires in 3h"}]);
    let mut other = live("staging");
    other["repository"] = json!("acme/billing");
    check(
        json!({"answer": "now", "at": null, "live": [live("staging"), prod]}),
        &expect![[r#"
            COMPONENT  STAGE    COMMIT   DIGEST            SINCE (UTC)       AGE    BY       WHY
            backend    staging  3f9c2ab  sha256:858e0a1b…  2026-03-02 10:20  3h 2m  towline  promotion #57
            backend    prod     nothing yet
              held by @lee since 2026-03-02 11:00 (UTC): incident 4711
              promotion #58 of 3f9c2ab promotion #58 waits for approval 1/2, expires in 3h
        "#]],
    );
    check(
        json!({"answer": "now", "at": "2026-03-02T11:20:00Z", "live": [live("staging"), other]}),
        &expect![[r#"
            as of 2026-03-02 11:20 (UTC)
            REPOSITORY    COMPONENT  STAGE    COMMIT   DIGEST            SINCE (UTC)       AGE  BY       WHY
            acme/shop     backend    staging  3f9c2ab  sha256:858e0a1b…  2026-03-02 10:20  1h   towline  promotion #57
            acme/billing  backend    staging  3f9c2ab  sha256:858e0a1b…  2026-03-02 10:20  1h   towline  promotion #57
        "#]],
    );
    check(
        json!({"answer": "now", "at": null, "live": []}),
        &expect![[r#"
            no stages yet; push a valid .towline.yml with stages to the default branch
        "#]],
    );
}

#[test]
fn where_shows_each_stage_and_what_keeps_the_image_out() {
    check(
        json!({"answer": "where", "commit": sha("3f9c2ab"), "places": [
            {"component": "backend", "build": 142, "digest": digest("858e0a1b"), "building": "build#142 succeeded", "stages": [
                {"stage": "staging", "state": "live", "since": "2026-03-02T10:20:00Z", "why": null},
                {"stage": "prod", "state": "waiting", "since": null, "why": "promotion #58 waits for approval 1/2"},
                {"stage": "demo", "state": "outside", "since": null, "why": "promoted by hand only: towline promote"},
            ]},
            {"component": "todo", "build": 143, "digest": null, "building": "build#143 is running", "stages": []},
        ]}),
        &expect![[r#"
            3f9c2ab
            backend  build#142 succeeded  sha256:858e0a1b…
              staging  ✔ live since 2026-03-02 10:20 (UTC), 3h 2m
              prod     promotion #58 waits for approval 1/2
              demo     not there: promoted by hand only: towline promote
            todo  build#143 is running
        "#]],
    );
    check(
        json!({"answer": "where", "commit": sha("3f9c2ab"), "places": []}),
        &expect![[r#"
            nothing of 3f9c2ab was built; to see why, run: towline why 3f9c2ab
        "#]],
    );
}

#[test]
fn why_gives_every_decision() {
    let reason = |component: Value, built: bool, why: &str| json!({"run": "0011223344556677", "component": component, "built": built, "why": why});
    check(
        json!({"answer": "why", "commit": sha("3f9c2ab"), "reasons": [
            reason(json!("backend"), true, "backend/main.go changed; build#142 succeeded"),
            reason(json!("todo"), false, "no file under todo/** (12 files, base a1b2c3d)"),
            reason(Value::Null, true, "the list of files was cut short"),
            reason(Value::Null, false, "there is no .towline.yml at 3f9c2ab"),
            json!({"run": "0011223344556677", "component": null, "built": false, "skipped": true, "why": "tag x1 matches no pattern in source.tags"}),
        ]}),
        &expect![[r#"
            3f9c2ab
              backend: built — backend/main.go changed; build#142 succeeded
              todo: not built — no file under todo/** (12 files, base a1b2c3d)
              note: the list of files was cut short
              the push: refused — there is no .towline.yml at 3f9c2ab
              the push: skipped — tag x1 matches no pattern in source.tags
        "#]],
    );
    let again = |run: &str, pushed: &str, why: &str| json!({"run": run, "git_ref": "refs/heads/main", "pushed_at": pushed, "component": "backend", "built": true, "why": why});
    check(
        json!({"answer": "why", "commit": sha("3f9c2ab"), "reasons": [
            again("8899aabbccddeeff", "2026-03-02T10:14:00Z", "pushed again"),
            again("0011223344556677", "2026-03-02T09:00:00Z", "never built"),
        ]}),
        &expect![[r#"
            3f9c2ab
             run 8899aabbccddeeff of main, pushed 2026-03-02 10:14 (UTC)
              backend: built — pushed again
             run 0011223344556677 of main, pushed 2026-03-02 09:00 (UTC)
              backend: built — never built
        "#]],
    );
    check(
        json!({"answer": "why", "commit": sha("3f9c2ab"), "reasons": []}),
        &expect![[r#"
            3f9c2ab does not concern that component; leave it out to see all components
        "#]],
    );
}

#[test]
fn runs_are_listed_newest_first() {
    let mut refused = run("refused", &[]);
    refused["refused"] = json!("there is no .towline.yml at 3f9c2ab");
    refused["pusher"] = json!("Kim Lee");
    check(
        json!({"answer": "runs", "runs": [
            run("building", &[build("backend", 142, "succeeded"), build("todo", 143, "building")]),
            refused,
        ]}),
        &expect![[r#"
            PUSHED (UTC)      COMMIT   REF   BY       STATUS    BUILDS                                                TITLE
            2026-03-02 10:14  3f9c2ab  main  @kim     building  backend build#142 succeeded, todo build#143 building  fix cart rounding
            2026-03-02 10:14  3f9c2ab  main  Kim Lee  refused   -                                                     fix cart rounding
              there is no .towline.yml at 3f9c2ab
        "#]],
    );
    check(
        json!({"answer": "runs", "runs": []}),
        &expect![[r#"
        no push has been accepted yet; send one with: towline send push --repo FOLDER
    "#]],
    );
}

#[test]
fn a_log_and_a_deed_are_said_as_they_are() {
    let log = |text: &str, ended: bool| json!({"answer": "log", "build": 142, "text": text, "next": text.len(), "ended": ended});
    check(
        log("one\ntwo\n", false),
        &expect![[r#"
        one
        two
    "#]],
    );
    check(
        log("", false),
        &expect![[r#"
            build#142 has no log yet; follow it with: towline logs 142 --follow
        "#]],
    );
    check(
        log("", true),
        &expect![[r#"
            build#142 has finished; its log is empty
        "#]],
    );
    check(
        json!({"answer": "done", "message": "build#142 is cancelled", "promotion": null, "build": 142}),
        &expect![[r#"
            build#142 is cancelled
        "#]],
    );
}

#[test]
fn a10_no_span_can_move_a_cursor_or_turn_the_text() {
    let span = Span::new(Style::Plain, "a\u{1b}[2Jb\u{202e}c\u{9b}31m\rd\n");
    assert_eq!(
        span.text,
        "a\u{fffd}[2Jb\u{fffd}c\u{fffd}31m\u{fffd}d\u{fffd}"
    );
}

#[test]
fn a_queue_shows_what_runs_and_what_waits_for_what() {
    let line = |build: u64, repository: &str, before: Value, why: &str| {
        json!({
            "repository": repository, "git_ref": "refs/heads/main", "commit": sha("3f9c2ab"),
            "component": "web", "build": build, "pusher": "kim", "since": "2026-03-02T13:20:00Z",
            "before": before, "why": why,
        })
    };
    let mut arm = line(144, "acme/tools", json!(null), "its start");
    arm["platform"] = json!("linux/arm64");
    check(
        json!({
            "answer": "queue",
            "running": [line(142, "acme/shop", json!(null), "nothing; it runs")],
            "waiting": [line(143, "acme/shop", json!(0), "a free slot; it is next"), arm],
            "complete": false,
        }),
        &expect![[r#"
            BUILD                      REPOSITORY  COMPONENT  COMMIT   REF   BY    FOR     WAITS FOR
            build#142                  acme/shop   web        3f9c2ab  main  @kim  2m 30s  nothing; it runs
            build#143                  acme/shop   web        3f9c2ab  main  @kim  2m 30s  a free slot; it is next
            build#144 for linux/arm64  acme/tools  web        3f9c2ab  main  @kim  2m 30s  its start
            there may be more: too much is in progress to show all
        "#]],
    );
    check(
        json!({"answer": "queue", "running": [], "waiting": [], "complete": true}),
        &expect![[r#"
            no build is running or waiting; to see finished builds, run: towline runs
        "#]],
    );
}
