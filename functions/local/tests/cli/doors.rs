//! A real `towline serve` whose clients hang up, or whose disk is full.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use serde_json::Value;
use towline_wire::signature::{Secret, sign};

use crate::session::{Session, shown};
use crate::slack::Server;

const SECRET: &str = "a secret of tests, long enough for anybody";

const DEFINITION: &str = "\
version: 1
pipeline: shop
components:
  web:
    repository: acme/shop-web
    build: {preset: pack, run: [mkdir -p dist, cp index.html dist/], root: dist}
stages:
  - {name: staging, from: build}
";

fn session() -> Session {
    let session = Session::new()
        .set("TOWLINE_LOG", "off")
        .set("TOWLINE_GITHUB_WEBHOOK_SECRET", SECRET);
    session.git(&["init", "--quiet", "--initial-branch=main"]);
    session.write(".towline.yml", DEFINITION);
    session.write("index.html", "hello\n");
    session.git(&["add", ".towline.yml", "index.html"]);
    session.git(&["commit", "--quiet", "-m", "Begin"]);
    session
}

/// The status and the reason of the answer to a request whose client hangs up.
fn hang_up(server: &Server, request: &str) -> (String, String) {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    connection.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    (
        status,
        body["reason"].as_str().unwrap_or_default().to_owned(),
    )
}

#[test]
fn s20_a_body_that_is_cut_off_is_incomplete_and_not_too_large() {
    let session = session();
    let server = Server::start(&session);
    let token = fs::read_to_string(session.path("data/owner.token")).unwrap();
    let signature = sign(&Secret::new(SECRET).unwrap(), b"{\"ref\":");
    let webhook = format!(
        "POST /webhooks/github HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n\
         X-GitHub-Event: push\r\nX-GitHub-Delivery: 1\r\nX-Hub-Signature-256: {signature}\r\n"
    );
    let command = format!(
        "POST /v1/hold HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {}\r\n",
        token.trim()
    );
    for head in [webhook, command] {
        for rest in [
            "Content-Length: 100\r\n\r\n{\"ref\":",
            "Transfer-Encoding: chunked\r\n\r\n64\r\n{\"ref\":",
        ] {
            let (status, reason) = hang_up(&server, &format!("{head}{rest}"));
            assert_eq!(status, "400", "{head}{rest}");
            assert!(reason.contains("incomplete"), "{reason}");
        }
    }
}

/// A server whose data is on a disk of 64 MB, which is full once there is a file `fill`.
fn on_a_small_disk(session: &Session) -> Server {
    const MOUNT: &str = "mount -t tmpfs -o size=64m none disk";
    fs::create_dir(session.path("disk")).unwrap();
    // Nobody outside sees the disk, so its token is copied, and files outside say what to do.
    let script = format!(
        "{MOUNT} || exit 1
         soon() {{ for try in $(seq 1200); do \"$@\" && return; sleep 0.1; done; exit 1; }}
         {{
             soon cp disk/data/owner.token copy && mv copy token
             soon test -e fill
             cat /dev/zero > disk/filled
             touch full
         }} > /dev/null 2>&1 &
         exec $0 serve --listen 127.0.0.1:0 --data disk/data --repo ."
    );
    let mut command = session.command("unshare");
    command.args(["-rm", "sh", "-c", &script, env!("CARGO_BIN_EXE_towline")]);
    Server::of(command)
}

/// Asks until it is so; each question gives the server time.
fn until(session: &Session, question: &[&str], is_so: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    for _ in 0..6_000 {
        text = shown(&session.towline(question));
        if is_so(&text) {
            return text;
        }
    }
    panic!("{question:?} still says {text}");
}

#[test]
#[ignore = "needs a small disk in a namespace of its own: `.ci/run disk`"]
fn s20_on_a_full_disk_an_answer_says_where_space_is_missing() {
    let session = session();
    let server = on_a_small_disk(&session);
    let session = session
        .set("TOWLINE_URL", &server.url)
        .set("TOWLINE_TOKEN_FILE", "token");
    let exists = |name: &str| session.path(name).exists();
    until(&session, &["--version"], |_| exists("token"));
    let send: &[&str] = &["send", "push", "--repo", "."];
    let sent = shown(&session.towline(send));
    assert!(sent.starts_with("accepted: "), "{sent}");
    until(&session, &["now"], |text| text.contains("sha256:"));
    session.write("fill", "");
    until(&session, &["--version"], |_| exists("full"));

    // What the server removed itself may leave some room for the first writes.
    let mut said = String::new();
    for command in [
        &["hold", "web", "staging", "a reason"][..],
        &["resume", "web", "staging"],
    ]
    .iter()
    .cycle()
    .take(500)
    {
        said = shown(&session.towline(command));
        if said.contains("503") {
            break;
        }
    }
    let folder = session.path("disk/data/store").canonicalize();
    let folder = folder.unwrap_or_else(|_| session.path("disk/data/store"));
    let missing = format!("no space left in {}", folder.display());
    assert!(
        said.contains(&format!("{missing}; free some space, and try again")),
        "{said}"
    );

    session.git(&["commit", "--quiet", "--allow-empty", "-m", "Go on"]);
    let sent = shown(&session.towline(send));
    let refused = format!("the push could not be stored: {missing}; redeliver it");
    assert!(sent.contains(&refused), "{sent}");
}
