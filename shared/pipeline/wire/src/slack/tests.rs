//! Signed requests are accepted, escaped text is read, and strangers' text mentions nobody.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

/// The example of Slack's "Verifying requests from Slack".
const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const AT: &str = "1531420618";
const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
const CODE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
const OTHER: &str = "another-secret-of-thirty-two-characters";

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

fn check(
    headers: &[(&str, &str)],
    body: &str,
    seconds_later: i64,
    expected: Result<(), SlackError>,
) {
    let secrets = Secrets::new(secret(OTHER), Some(secret(SECRET)));
    let now = Timestamp::from_second(AT.parse::<i64>().unwrap() + seconds_later).unwrap();
    let headers: Headers = headers.iter().copied().collect();
    let verified = verify(&headers, body.into(), &secrets, now);
    assert_eq!(verified.map(|_| ()), expected, "{headers:?}");
}

#[test]
fn a_request_of_slack_is_taken_for_five_minutes() {
    let good = [
        ("X-Slack-Signature", CODE),
        ("X-Slack-Request-Timestamp", AT),
    ];
    check(&good, BODY, 0, Ok(()));
    check(&good, BODY, 300, Ok(()));
    check(&good, BODY, 301, Err(SlackError::Old));
    check(&good, BODY, -60, Ok(()));
    check(&good, BODY, -61, Err(SlackError::Future));
    check(&good, &format!("{BODY}&"), 0, Err(SlackError::Wrong));
    let by_current = sign(&secret(OTHER), AT, BODY.as_bytes());
    check(
        &[(SIGNATURE, &by_current), (TIMESTAMP, AT)],
        BODY,
        0,
        Ok(()),
    );
    assert_eq!(sign(&secret(SECRET), AT, BODY.as_bytes()), CODE);
}

#[test]
fn a1_what_is_not_exactly_one_signature_is_refused() {
    let header = |name: &'static str| Err(SlackError::Header(name));
    check(&[], BODY, 0, header(SIGNATURE));
    check(&[(SIGNATURE, CODE)], BODY, 0, header(TIMESTAMP));
    check(
        &[(SIGNATURE, CODE), (SIGNATURE, CODE), (TIMESTAMP, AT)],
        BODY,
        0,
        header(SIGNATURE),
    );
    check(
        &[(SIGNATURE, &CODE.to_uppercase()), (TIMESTAMP, AT)],
        BODY,
        0,
        header(SIGNATURE),
    );
    check(
        &[(SIGNATURE, &CODE[..20]), (TIMESTAMP, AT)],
        BODY,
        0,
        header(SIGNATURE),
    );
    for wrong in [
        "",
        "-1",
        "1531420618.5",
        " 1531420618",
        "99999999999999999999",
    ] {
        check(
            &[(SIGNATURE, CODE), (TIMESTAMP, wrong)],
            BODY,
            0,
            header(TIMESTAMP),
        );
    }
    // The time is signed as it was sent.
    check(
        &[(SIGNATURE, CODE), (TIMESTAMP, "01531420618")],
        BODY,
        0,
        Err(SlackError::Wrong),
    );
    let unset = sign(
        &secret("0123456789abcdef0123456789abcdef"),
        AT,
        BODY.as_bytes(),
    );
    check(
        &[(SIGNATURE, &unset), (TIMESTAMP, AT)],
        BODY,
        0,
        Err(SlackError::Wrong),
    );
}

#[test]
fn only_a_probe_is_answered_unsigned() {
    assert!(is_probe(b"ssl_check=1&token=x"));
    assert!(!is_probe(b"ssl_check=0"));
    assert!(!is_probe(b"text=ssl_check%3D1"));
}

#[test]
fn a_command_is_read_as_it_was_typed() {
    let check = |encoded: &str, expected: &str| {
        let body = format!("user_id=U1&command=%2Ftowline&text={encoded}&team_id=T1&channel_id=C1");
        let read = command(&VerifiedForm(body.into_bytes()));
        assert_eq!(
            (read.user.as_str(), read.command.as_str()),
            ("U1", "/towline")
        );
        assert_eq!(read.text, expected);
    };
    check("", "");
    check("tags+backend+--limit+10", "tags backend --limit 10");
    check("tags%20backend", "tags backend");
    check("where+%3C%40U012%7Ckim%3E", "where @kim");
    check("where+%3C%40U012%3E", "where @U012");
    check("where+%3C%23C012%7Cgeneral%3E", "where #general");
    check(
        "where+%3Chttp%3A%2F%2Fa.example%7Ca.example%3E+x",
        "where a.example x",
    );
    check("a+%26lt%3Bb%26gt%3B+%26amp%3Bamp%3B", "a <b> &amp;");
    check(
        "reject+58+%E2%80%9Cnot+today%E2%80%9D",
        "reject 58 \"not today\"",
    );
    check("%3Cnever+closed", "<never closed");
}

#[test]
fn a10_strangers_words_call_nobody_and_format_nothing() {
    let evil = "<!channel> <@U1> @here `code` *x* & ```";
    let shown = words(evil)["text"].to_string();
    for never in ["<", ">", "`", "@here"] {
        assert!(!shown.contains(never), "{never} in {shown}");
    }
    assert!(
        shown.contains("&lt;!channel&gt;") && shown.contains("&amp;"),
        "{shown}"
    );
    let block = lines(&[evil.into()], "towline runs");
    let text = block["blocks"][0]["text"]["text"].as_str().unwrap();
    assert_eq!(text.matches("```").count(), 2, "{text}");
    assert_eq!(block["response_type"], "ephemeral");
}

#[test]
fn what_is_too_long_is_cut_and_says_how_to_see_all() {
    let check = |many: usize, line: &str, cut: bool| {
        let all = vec![line.to_owned(); many];
        let body = lines(&all, "towline tags backend --limit 500");
        let text = body["text"].as_str().unwrap();
        assert!(
            text.chars().count() <= MOST_SECTION,
            "{}",
            text.chars().count()
        );
        assert_eq!(
            text.contains("all of them: towline tags"),
            cut,
            "{many} {line}"
        );
        assert_eq!(text.matches("```").count(), 2);
        let entity = text.rmatch_indices('&').next();
        assert!(entity.is_none_or(|(at, _)| text[at..].contains(';')));
    };
    check(1, "short", false);
    check(29, &"x".repeat(100), false);
    check(30, &"x".repeat(100), true);
    check(500, "<<<<<<<<", true);
    check(1, &"&".repeat(5_000), true);
    check(2, &"ü".repeat(2_000), true);
    let all = vec!["x".repeat(100); 60];
    let asked = format!("towline tags {}", "&`<".repeat(2_000));
    let body = lines(&all, &asked);
    let text = body["text"].as_str().unwrap();
    assert!(text.chars().count() <= MOST_SECTION && text.starts_with("```\nxxx"));
    assert!(text.ends_with('…'), "{text}");
    assert!(
        words(&"<".repeat(5_000))["text"]
            .as_str()
            .unwrap()
            .chars()
            .count()
            <= MOST_SECTION
    );
}
