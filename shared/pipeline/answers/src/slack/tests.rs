//! Slash commands as Slack sends them, and the answers in the channel.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what is expected stands where it is expected"
)]

use std::time::Duration;

use expect_test::{Expect, expect};
use towline_domain::Timestamp;
use towline_ports::Clock as _;
use towline_wire::signature::Secret;

use super::*;
use crate::tests::{SLACK, World, now, request};

/// A request with this form, signed at a moment.
fn signed(body: &str, by: &str, at: Timestamp) -> Request {
    let at = at.as_second().to_string();
    let key = Secret::new(by).expect("a secret");
    let code = slack::sign(&key, &at, body.as_bytes());
    let headers = [(slack::SIGNATURE, code.as_str()), (slack::TIMESTAMP, &at)];
    Request {
        body: body.into(),
        ..request("POST", "/slack/commands", &headers)
    }
}

fn form(text: &str) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("token", "gIkuvaNzQIHg97ATvDxqgjtO")
        .append_pair("team_id", "T0001")
        .append_pair("channel_id", "C2147483705")
        .append_pair("user_id", "U2147483697")
        .append_pair("command", "/towline")
        .append_pair("text", text)
        .append_pair("response_url", "https://hooks.slack.com.evil.example/1");
    form.finish()
}

/// Sends it in a channel; returns who sees what.
fn say(world: &World, text: &str) -> String {
    let request = signed(&form(text), SLACK[0], world.clock.now());
    let response = now(world.door().answer(request));
    assert_eq!(response.status, 200);
    assert_eq!(
        response.headers.only("content-type"),
        Some("application/json")
    );
    shown(&response)
}

/// An answer as Slack shows it, if Slack accepts it.
fn shown(response: &Response) -> String {
    let body: Value = serde_json::from_slice(&response.body).expect("JSON");
    let fields: Vec<&String> = body.as_object().expect("an object").keys().collect();
    assert_eq!(fields, ["blocks", "response_type", "text"]);
    let blocks = body["blocks"].as_array().expect("blocks");
    assert_eq!(blocks.len(), 1);
    assert_eq!(blocks[0]["type"], "section");
    assert_eq!(blocks[0]["text"]["type"], "mrkdwn");
    assert_eq!(blocks[0]["text"]["verbatim"], true);
    assert_eq!(blocks[0]["text"]["text"], body["text"]);
    let text = body["text"].as_str().expect("a text");
    let length = text.chars().count();
    assert!((1..=slack::MOST_SECTION).contains(&length), "{length}");
    let audience = body["response_type"].as_str().expect("an audience");
    format!("{audience}: {text}")
}

fn check(world: &World, text: &str, expect: Expect) {
    expect.assert_eq(&say(world, text));
}

#[test]
fn a_channel_is_told_where_images_are() {
    let world = World::with_a_push("Fix the cart");
    check(
        &world,
        "tags web",
        expect![[r#"
            ephemeral: ```
            TAG        DIGEST            COMMIT   BRANCH  BUILT (UTC)       STAGES
            f3b710c-1  sha256:44136fa3…  f3b710c  main    2026-03-02 09:03  staging ✔
            ```"#]],
    );
    check(
        &world,
        "commit f3b7",
        expect![[r#"
        ephemeral: ```
        f3b710c "Fix the cart"  @dana  main  acme/shop
          succeeded, pushed 2026-03-02 09:00 (UTC)
          COMPONENT  BUILD    STATE      TOOK  DIGEST            TAGS       STAGES
          web        build#1  succeeded  0s    sha256:44136fa3…  f3b710c-1  staging ✔
        ```"#]],
    );
    check(
        &world,
        "image :staging",
        expect![[r#"
            ephemeral: ```
            sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a
              repository  acme/web
              built as    web, build#1
              commit      f3b710cc752324724652eb56115dc78cbd6be4fd  main
              platforms   linux/amd64
              size        2 bytes
              type        application/vnd.oci.image.manifest.v1+json
              first seen  2026-03-02 09:03 (UTC)
              tags        f3b710c-1  moved by build#1 at 2026-03-02 09:03 (UTC)
                          staging    moved by promotion #1 of towline at 2026-03-02 09:03 (UTC)
              live in     staging ✔ since 2026-03-02 09:03 (UTC), 4m 30s, by towline: promotion #1
            ```"#]],
    );
    check(
        &world,
        "image build#1",
        expect![[r#"
            ephemeral: ```
            sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a
              repository  acme/web
              built as    web, build#1
              commit      f3b710cc752324724652eb56115dc78cbd6be4fd  main
              platforms   linux/amd64
              size        2 bytes
              type        application/vnd.oci.image.manifest.v1+json
              first seen  2026-03-02 09:03 (UTC)
              tags        f3b710c-1  moved by build#1 at 2026-03-02 09:03 (UTC)
                          staging    moved by promotion #1 of towline at 2026-03-02 09:03 (UTC)
              live in     staging ✔ since 2026-03-02 09:03 (UTC), 4m 30s, by towline: promotion #1
            ```"#]],
    );
    check(
        &world,
        "history web staging",
        expect![[r#"
            ephemeral: ```
            WHEN (UTC)        TAG      FROM      TO       BY       WHY
            2026-03-02 09:03  staging  -       → f3b710c  towline  promotion #1
            ```"#]],
    );
    check(
        &world,
        "history web prod",
        expect![[r#"
            ephemeral: ```
            no image has been live in prod of web yet; promote one with: towline promote web COMMIT prod
            ```"#]],
    );
    check(
        &world,
        "now",
        expect![[r#"
            ephemeral: ```
            COMPONENT  STAGE    COMMIT   DIGEST            SINCE (UTC)       AGE     BY       WHY
            web        staging  f3b710c  sha256:44136fa3…  2026-03-02 09:03  4m 30s  towline  promotion #1
            web        prod     nothing yet
              promotion #2 of f3b710c waits for approval 0/2; to approve it, run: towline approve 2
            ```"#]],
    );
    check(
        &world,
        "now staging @ 1d ago",
        expect![[r#"
        ephemeral: ```
        as of 2026-03-01 09:07 (UTC)
        COMPONENT  STAGE    COMMIT  DIGEST  SINCE (UTC)  AGE  BY  WHY
        web        staging  nothing yet
        ```"#]],
    );
    check(
        &world,
        "where build#1",
        expect![[r#"
            ephemeral: ```
            f3b710c
            web  build#1 succeeded  sha256:44136fa3…
              staging  ✔ live since 2026-03-02 09:03 (UTC), 4m 30s
              prod     promotion #2 waits for approval 0/2
            ```"#]],
    );
    check(
        &world,
        "why build#1",
        expect![[r#"
        ephemeral: ```
        f3b710c
          web: built — no successful build on this ref yet; build#1 succeeded
        ```"#]],
    );
    check(
        &world,
        "runs",
        expect![[r#"
        ephemeral: ```
        PUSHED (UTC)      COMMIT   REF   BY     STATUS     BUILDS       TITLE
        2026-03-02 09:00  f3b710c  main  @dana  succeeded  web build#1  Fix the cart
        ```"#]],
    );
}

#[test]
fn who_asks_alone_is_told_why_there_is_no_answer() {
    let world = World::with_a_push("Fix the cart");
    check(
        &world,
        "help now",
        expect![[r#"
        ephemeral: Show what is live, now or at an earlier time, by component and stage

        Usage: /towline now [OPTIONS] [STAGE]

        Arguments:
          [STAGE]  Only this stage

        Options:
              --component &lt;COMPONENT&gt;    Only this component
              --at &lt;TIME&gt;                Show what was live then: 2026-02-27T12:00 (UTC unless an offset follows) or '2h ago'
              --repository &lt;OWNER/NAME&gt;  Only this repository
          -h, --help                     Print help

        Examples:
          /towline now
          /towline now prod
          /towline now prod --at 2026-02-27T12:00
          /towline now --component backend --at '2h ago'"#]],
    );
    check(
        &world,
        "tags web --limit x",
        expect![[r#"
            ephemeral: invalid value 'x' for '--limit &lt;N&gt;': invalid digit found in string

            For all commands: /towline help"#]],
    );
    check(
        &world,
        "tags shop",
        expect!["ephemeral: component shop not found; components: web"],
    );
    check(
        &world,
        "history web qa",
        expect!["ephemeral: stage qa not found; stages: staging, prod"],
    );
    check(
        &world,
        "commit 0000000",
        expect!["ephemeral: no accepted push has a commit that begins with 0000000"],
    );
    check(
        &world,
        "where <@U012AB3CD|lee>",
        expect![[r#"ephemeral: "@lee" is not a commit, tag, digest or build"#]],
    );
    check(
        &world,
        "approve 2 “fine”",
        expect![
            "ephemeral: approve is not available in chat yet; run it on the command line: towline approve 2 fine"
        ],
    );
    check(
        &world,
        "nwo",
        expect![[r#"
            ephemeral: unknown command "nwo"

            For all commands: /towline help"#]],
    );
    let help = say(&world, "");
    assert!(
        help.starts_with("ephemeral: ") && help.contains("tags"),
        "{help}"
    );
    let empty = say(&World::new(), "now");
    assert!(empty.contains(".towline.yml"), "{empty}");
}

#[test]
fn a10_strangers_words_call_nobody_and_format_nothing() {
    let evil = "<!channel> <@U1> @here ``` </code> &amp; \u{202e}x <https://evil.example|shop>";
    let world = World::with_a_push(evil);
    for text in [
        "runs",
        "where build#1",
        "commit 0000",
        evil,
        "tags \"<!channel>\"",
    ] {
        let shown = say(&world, text);
        for never in ["<", ">", "@here", "\u{202e}"] {
            assert!(!shown.contains(never), "{never} in {shown}");
        }
        assert!([0, 2].contains(&shown.matches("```").count()), "{shown}");
    }
    // A word joiner keeps the name from being one.
    let shown = say(&world, "runs").replace('\u{2060}', "[joiner]");
    expect![[r#"
        ephemeral: ```
        PUSHED (UTC)      COMMIT   REF   BY     STATUS     BUILDS       TITLE
        2026-03-02 09:00  cacf86f  main  @dana  succeeded  web build#1  &lt;!channel&gt; &lt;@U1&gt; @[joiner]here ˋˋˋ &lt;/code&gt; &amp;amp; �x &lt;https://evil.example|shop&gt;
        ```"#]].assert_eq(&shown);
}

#[test]
fn what_is_too_long_is_cut_and_says_how_to_see_all() {
    let world = World::new();
    for number in 0..6 {
        world.push(&format!("{number}{}", "&".repeat(199)));
        world.settle();
    }
    let text = say(&world, "runs");
    assert!(
        text.ends_with("\n… 4 more lines; all of them: towline runs"),
        "{text}"
    );
    // Typed text never makes it longer than Slack accepts.
    let text = say(&world, &format!("runs --limit {}10", "0".repeat(4_000)));
    assert!(
        text.contains("all of them: towline runs --limit 000"),
        "{text}"
    );
    let text = say(&world, &"x".repeat(10_000));
    assert!(text.starts_with("ephemeral: unknown command"), "{text}");
}

#[test]
fn a20_only_what_slack_signed_within_five_minutes_is_answered() {
    let world = World::new();
    let at = |seconds: i64| {
        let now = world.clock.now().as_second();
        Timestamp::from_second(now + seconds).expect("a moment")
    };
    let check = |request: Request, status: u16| {
        let label = format!("{request:?}");
        let response = now(world.door().answer(request));
        assert_eq!(response.status, status, "{label}");
    };
    for (by, seconds, status) in [
        (SLACK[0], 0, 200),
        (SLACK[0], -300, 200),
        (SLACK[0], -301, 401),
        (SLACK[0], 60, 200),
        (SLACK[0], 61, 401),
        (SLACK[1], 0, 200),
        ("a secret that nobody has ever set here", 0, 401),
    ] {
        check(signed(&form("help"), by, at(seconds)), status);
    }
    let unsigned = Request {
        body: form("help").into(),
        ..request("POST", "/slack/commands", &[])
    };
    check(unsigned, 401);
    let changed = Request {
        body: form("runs").into(),
        ..signed(&form("help"), SLACK[0], at(0))
    };
    check(changed, 401);
    check(signed(&"x".repeat(MOST_BYTES + 1), SLACK[0], at(0)), 413);
    check(request("GET", "/slack/commands", &[]), 405);
}

#[test]
fn slacks_probe_is_answered_unsigned_with_nothing() {
    let world = World::new();
    let probe = Request {
        body: "ssl_check=1&token=gIkuvaNzQIHg97ATvDxqgjtO".into(),
        ..request("POST", "/slack/commands", &[])
    };
    let response = now(world.door().answer(probe.clone()));
    assert_eq!((response.status, response.body.as_slice()), (200, &b""[..]));
    // A moment later, the same command does not mention a ledger either.
    world.clock.advance(Duration::from_secs(3_600));
    assert!(now(world.door().answer(probe)).body.is_empty());
}

#[test]
fn without_an_app_nobody_is_answered() {
    let world = World::new().without_slack();
    let request = signed(&form("help"), SLACK[0], world.clock.now());
    assert_eq!(now(world.door().answer(request)).status, 503);
}
