//! A real `towline serve` with a Slack app: its signed commands are answered.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use towline_wire::signature::Secret;
use towline_wire::slack::{SIGNATURE, TIMESTAMP, sign};

use crate::session::Session;

const CURRENT: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const PREVIOUS: &str = "an older secret of thirty-two characters";

/// A server that stops with its test.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
}

impl Server {
    /// Starts one for the repository in the session's folder.
    pub(crate) fn start(session: &Session) -> Self {
        let mut command = session.command(env!("CARGO_BIN_EXE_towline"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data", "data"])
            .args(["--repo", "."]);
        Self::of(command)
    }

    /// Starts this command, which becomes one.
    pub(crate) fn of(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"));
        let url = address.unwrap_or_else(|| panic!("no address in {line:?}"));
        let url = url.trim_end_matches(',').to_owned();
        // The rest of the output is read, so that the server never blocks on it.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Self { child, url }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(asked.success());
        self.child.wait().unwrap();
    }

    /// The answer to a command that was signed with this secret this many seconds ago.
    async fn say(&self, text: &str, by: &str, seconds_ago: i64) -> (u16, String) {
        let at = (now() - seconds_ago).to_string();
        let text = text.replace(' ', "+").replace('#', "%23");
        let body = format!("team_id=T1&user_id=U1&command=%2Ftowline&text={text}");
        let signature = sign(&Secret::new(by).unwrap(), &at, body.as_bytes());
        self.post(body, &[(SIGNATURE, &signature), (TIMESTAMP, &at)])
            .await
    }

    async fn post(&self, body: String, headers: &[(&str, &str)]) -> (u16, String) {
        towline_pack::install_tls_provider();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client
            .post(format!("{}/slack/commands", self.url))
            .header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.body(body).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let shown = serde_json::from_str::<Value>(&text).ok();
        let shown = shown.map(|body| match (&body["response_type"], &body["text"]) {
            (Value::String(audience), Value::String(text)) => format!("{audience}: {text}"),
            _ => body["error"].as_str().unwrap_or("?").to_owned(),
        });
        (status, shown.unwrap_or(text))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "Slack signs the real time, which the server compares with its own"
)]
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// A folder with a commit that has no definition, so that nothing is built of it.
fn session() -> Session {
    let session = Session::new()
        .set("TOWLINE_LOG", "error")
        .set("TOWLINE_GITHUB_WEBHOOK_SECRET", PREVIOUS);
    session.git(&["init", "--quiet", "--initial-branch=main"]);
    session.git(&[
        "commit",
        "--quiet",
        "--allow-empty",
        "-m",
        "Call <!channel>",
    ]);
    session
}

/// Lets the server know who writes.
fn know(session: &Session) {
    let slack = ["--slack", "T1/U1", "--data", "data"];
    let added = session.towline(&[&["people", "add", "sue"][..], &slack].concat());
    assert!(added.status.success(), "{added:?}");
}

#[tokio::test]
async fn a21_s22_slack_answers_only_people_it_knows() {
    let session = session().set("TOWLINE_SLACK_SIGNING_SECRET", CURRENT);
    let server = Server::start(&session);
    let (status, shown) = server.say("now", CURRENT, 0).await;
    assert_eq!(status, 200);
    expect_test::expect!["ephemeral: Towline does not know you as T1/U1; ask the person who manages Towline to run: towline people change LOGIN --slack T1/U1"].assert_eq(&shown);
    // The same user of another workspace is somebody else.
    let add = |slack: &str, only: &[&str]| {
        let first = [
            "people",
            "add",
            slack.split_at(1).1.split_at(1).0,
            "--slack",
            slack,
        ];
        let words = [&first[..], only, &["--data", "data"]].concat();
        let added = session.towline(&words);
        assert!(added.status.success(), "{added:?}");
    };
    add("T2/U1", &[]);
    let (_, shown) = server.say("now", CURRENT, 0).await;
    assert!(shown.contains("does not know you as T1/U1"), "{shown}");
    add("T1/U1", &["--only", "acme/else"]);
    let (_, shown) = server.say("now", CURRENT, 0).await;
    assert!(
        shown.starts_with("ephemeral: ```\nno stages yet"),
        "{shown}"
    );
}

#[tokio::test]
async fn a20_a_server_with_a_slack_app_answers_what_slack_signed() {
    let session = session()
        .set("TOWLINE_SLACK_SIGNING_SECRET", CURRENT)
        .set("TOWLINE_SLACK_SIGNING_SECRET_PREVIOUS", PREVIOUS);
    let server = Server::start(&session);
    know(&session);
    for (by, seconds_ago, expected) in [
        (CURRENT, 0, 200),
        (PREVIOUS, 0, 200),
        (CURRENT, 290, 200),
        (CURRENT, 301, 401),
        (CURRENT, -90, 401),
        ("a secret that nobody has ever set here", 0, 401),
    ] {
        let (status, shown) = server.say("now", by, seconds_ago).await;
        assert_eq!(status, expected, "{seconds_ago}: {shown}");
        let answers = shown.starts_with("ephemeral: ```\nno stages yet");
        assert_eq!(answers, expected == 200, "{shown}");
    }
    let unsigned = server.post("command=%2Ftowline&text=now".into(), &[]).await;
    assert_eq!(unsigned.0, 401, "{}", unsigned.1);
    let probe = server.post("ssl_check=1".into(), &[]).await;
    assert_eq!(probe, (200, String::new()));
}

#[tokio::test]
async fn a10_a_push_is_shown_in_the_channel_and_calls_nobody() {
    let session = session().set("TOWLINE_SLACK_SIGNING_SECRET", CURRENT);
    let server = Server::start(&session);
    know(&session);
    let session = session.set("TOWLINE_URL", &server.url);
    let sent = session.towline(&["send", "push", "--repo", "."]);
    assert!(
        sent.status.success(),
        "{}",
        String::from_utf8_lossy(&sent.stderr)
    );
    let commit = session.git(&["rev-parse", "--short=7", "HEAD"]);
    let planned = async {
        loop {
            let (status, shown) = server.say("runs", CURRENT, 0).await;
            assert_eq!(status, 200, "{shown}");
            if shown.contains("refused") {
                return shown;
            }
        }
    };
    let shown = tokio::time::timeout(Duration::from_secs(60), planned).await;
    let shown = shown.expect("it is planned within a minute");
    assert!(shown.contains(&commit), "{shown}");
    assert!(shown.contains("Call &lt;!channel&gt;"), "{shown}");
    let (_, shown) = server.say("aprove 58", CURRENT, 0).await;
    assert!(
        shown.starts_with("ephemeral: unknown command \"aprove\""),
        "{shown}"
    );
    assert!(shown.contains("approve?"), "{shown}");
    let (_, shown) = server.say("cancel build#1", CURRENT, 0).await;
    assert!(
        shown.ends_with("on the command line: towline cancel 'build#1'"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_server_without_a_slack_app_says_so() {
    let server = Server::start(&session());
    let (status, shown) = server.say("now", CURRENT, 0).await;
    assert_eq!(status, 503);
    assert_eq!(
        shown,
        "no Slack app is connected: its signing secret is not set"
    );
}
