//! A real `towline serve` whose decisions are listed, exported and checked, also after its disk was changed.

use std::fs;

use serde_json::Value;

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
  - {name: prod, from: staging, gates: [approval: {min: 1, groups: [managers]}]}
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

/// Asks until it is so; each question gives the server time.
fn until(session: &Session, question: &[&str], is_so: impl Fn(&str) -> bool) {
    let mut text = String::new();
    for _ in 0..6_000 {
        text = shown(&session.towline(question));
        if is_so(&text) {
            return;
        }
    }
    panic!("{question:?} still says {text}");
}

/// The decisions in the list of `audit --json`, oldest first.
fn decisions(session: &Session) -> Vec<String> {
    let output = session.towline(&["audit", "--json"]);
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let commit = session.git(&["rev-parse", "--short=7", "HEAD"]);
    let decided = rows.iter().rev().filter(|row| row["door"].is_string());
    let line = |row: &Value| {
        let text = |name: &str| {
            let text = row[name].as_str().unwrap_or("-");
            let text = text.replace(&commit, "COMMIT");
            text.split(" since ").next().unwrap_or_default().to_owned()
        };
        ["actor", "door", "action", "result", "stage", "reason"]
            .map(text)
            .join(" | ")
    };
    decided.map(line).collect()
}

#[test]
fn s23_decisions_are_listed_exported_and_checked() {
    let session = session();
    let server = Server::start(&session);
    let session = session
        .set("TOWLINE_URL", &server.url)
        .set("TOWLINE_TOKEN_FILE", "data/owner.token");
    let eve = session.towline(&["people", "add", "eve", "--data", "data", "--json"]);
    let eve: Value = serde_json::from_slice(&eve.stdout).unwrap();
    let sent = shown(&session.towline(&["send", "push", "--repo", "."]));
    assert!(sent.starts_with("accepted: "), "{sent}");
    until(&session, &["now"], |text| {
        text.contains("waits for approval 0/1")
    });

    let as_eve = |arguments: &[&str]| {
        let mut command = session.command(env!("CARGO_BIN_EXE_towline"));
        command.env_remove("TOWLINE_TOKEN_FILE");
        command.env("TOWLINE_TOKEN", eve["token"].as_str().unwrap());
        shown(&command.args(arguments).output().unwrap())
    };
    let denied = as_eve(&["approve", "2"]);
    assert!(denied.ends_with("[exit 1]\n"), "{denied}");
    for (arguments, done) in [
        (
            &["hold", "web", "staging", "incident 4711, \"=cmd\""][..],
            true,
        ),
        (&["hold", "web", "staging", "again"], false),
        (&["approve", "2", "=looks good"], true),
        (&["cancel", "1"], false),
        (&["retry", "1"], false),
    ] {
        let output = session.towline(arguments);
        let code = output.status.code();
        assert_eq!(code == Some(0), done, "{arguments:?}: {}", shown(&output));
        assert!(done || code == Some(1), "{arguments:?}: {code:?}");
    }
    until(&session, &["now"], |text| !text.contains("waits"));
    expect_test::expect![[r#"
        eve | terminal | approve | denied | prod | @eve does not have the right `approve`; these groups have it: managers
        owner | terminal | hold | done | staging | incident 4711, "=cmd"
        owner | terminal | hold | denied | staging | staging is already held by @owner
        owner | terminal | approve | done | prod | =looks good
        owner | terminal | cancel | denied | - | no build of web is running for COMMIT
        owner | terminal | retry | denied | - | build#1 of web succeeded; retry works on a build that failed or was stopped"#]].assert_eq(&decisions(&session).join("\n"));

    let csv = session.towline(&["audit", "--person", "owner", "--stage", "prod", "--csv"]);
    let csv = String::from_utf8(csv.stdout).unwrap();
    let mut lines = csv.lines();
    assert_eq!(
        lines.next(),
        Some(
            "at,actor,action,result,door,reason,repository,component,stage,promotion,build,commit,digest,sequence,hash"
        )
    );
    let approved = lines.find(|line| line.contains(",approve,done,terminal,"));
    let approved = approved.unwrap_or_else(|| panic!("{csv}"));
    assert!(
        approved.contains(",\"'=looks good\",local/shop,web,prod,2,,"),
        "{approved}"
    );
    let csv = session.towline(&["audit", "--stage", "staging", "--csv"]);
    let csv = String::from_utf8(csv.stdout).unwrap();
    assert!(csv.contains(",\"incident 4711, \"\"=cmd\"\"\","), "{csv}");

    let table = as_eve(&["audit", "--component", "web", "--since", "1h ago"]);
    assert!(table.contains("eve"), "{table}");
    let intact = shown(&session.towline(&["audit", "verify"]));
    assert!(intact.ends_with("all intact\n"), "{intact}");

    // Somebody with access to the disk changes a row.
    server.stop();
    let mut changed = 0;
    for entry in fs::read_dir(session.path("data/store")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let old = b"incident 4711";
        let places: Vec<usize> = (0..bytes.len().saturating_sub(old.len()))
            .filter(|at| bytes[*at..].starts_with(old))
            .collect();
        for at in places {
            bytes[at + old.len() - 1] = b'2';
            changed += 1;
        }
        fs::write(&path, bytes).unwrap();
    }
    assert!(changed > 0);
    let server = Server::start(&session);
    let session = session.set("TOWLINE_URL", &server.url);
    let broken = shown(&session.towline(&["audit", "verify"]));
    assert!(
        broken.contains("local/shop web staging: row 4 is missing or was changed"),
        "{broken}"
    );
    assert!(broken.ends_with("[exit 1]\n"), "{broken}");
    let list = shown(&session.towline(&["audit", "--json"]));
    assert!(
        list.contains("! rows of web staging in local/shop are missing"),
        "{list}"
    );
}
