//! Whom a real `towline serve` answers, and about what.

use serde_json::Value;

use crate::session::{Session, shown};
use crate::slack::Server;

const SECRET: &str = "a secret of tests, long enough for anybody";

fn definition(component: &str) -> String {
    format!(
        "\
version: 1
pipeline: {component}
components:
  {component}:
    repository: acme/{component}
    build: {{preset: pack, run: [mkdir -p dist, cp index.html dist/], root: dist}}
stages:
  - {{name: staging, from: build}}
  - {{name: prod, from: staging, gates: [approval: {{min: 1}}]}}
"
    )
}

/// Two repositories, `shop` with `web` and `other` with `api`.
fn session() -> Session {
    let session = Session::new()
        .set("TOWLINE_LOG", "off")
        .set("TOWLINE_GITHUB_WEBHOOK_SECRET", SECRET);
    for (folder, component) in [(".", "web"), ("other", "api")] {
        session.write(&format!("{folder}/.towline.yml"), &definition(component));
        session.write(&format!("{folder}/index.html"), component);
        session.git(&["-C", folder, "init", "--quiet", "--initial-branch=main"]);
        session.git(&["-C", folder, "add", ".towline.yml", "index.html"]);
        session.git(&[
            "-C",
            folder,
            "commit",
            "--quiet",
            "-m",
            &format!("Begin {component}"),
        ]);
    }
    session
}

fn serve(session: &Session) -> Server {
    let mut command = session.command(env!("CARGO_BIN_EXE_towline"));
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data", "data"])
        .args(["--repo", ".", "--repo", "other"]);
    Server::of(command)
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

#[test]
fn s22_who_is_confined_to_a_repository_finds_nothing_of_another() {
    let session = session();
    let server = serve(&session);
    let session = session
        .set("TOWLINE_URL", &server.url)
        .set("TOWLINE_TOKEN_FILE", "data/owner.token");
    let added = session.towline(&[
        "people",
        "add",
        "pat",
        "--only",
        "local/other",
        "--data",
        "data",
        "--json",
    ]);
    let pat: Value = serde_json::from_slice(&added.stdout).unwrap();
    for folder in [".", "other"] {
        let sent = shown(&session.towline(&["send", "push", "--repo", folder]));
        assert!(sent.starts_with("accepted: "), "{sent}");
    }
    until(&session, &["now"], |text| {
        text.matches("waits for approval").count() == 2
    });
    let shop = session.git(&["rev-parse", "HEAD"]);

    let as_pat = |arguments: &[&str]| {
        let mut command = session.command(env!("CARGO_BIN_EXE_towline"));
        command.env_remove("TOWLINE_TOKEN_FILE");
        command.env("TOWLINE_TOKEN", pat["token"].as_str().unwrap());
        shown(&command.args(arguments).output().unwrap())
    };
    let image = shown(&session.towline(&["image", &shop, "--json"]));
    let image: Value = serde_json::from_str(&image).unwrap();
    let digest = image["images"][0]["digest"].as_str().unwrap();
    for question in [
        &["now"][..],
        &["runs"],
        &["where", &shop],
        &["why", &shop],
        &["commit", &shop],
        &["image", &shop],
        &["image", digest],
        &["image", ":staging"],
        &["image", "build#1"],
        &["tags", "web"],
        &["history", "web", "staging"],
        &["logs", "1", "--repository", "local/shop"],
        &["runs", "--repository", "local/shop"],
        &["audit"],
        &["audit", "verify"],
        &["audit", "--repository", "local/shop"],
        &["promote", "web", &shop, "prod"],
        &["hold", "web", "prod", "mine"],
        &["rollback", "web", "prod", "--yes"],
        &["approve", "2", "--repository", "local/shop"],
        &["cancel", "1", "--repository", "local/shop"],
    ] {
        let said = as_pat(question);
        // What was asked for may be repeated.
        let said = question
            .iter()
            .fold(said.clone(), |said, word| said.replace(word, ""));
        for secret in ["shop", "web", &shop[..7], &digest[7..15]] {
            assert!(!said.contains(secret), "{question:?}: {said}");
        }
    }
    expect_test::expect![[r#"
        ! towline: component web not found; components: api
        [exit 1]
    "#]]
    .assert_eq(&as_pat(&["hold", "web", "prod", "mine"]));
    let own = as_pat(&["approve", "2"]);
    assert!(own.starts_with("promotion #2 to prod: approved"), "{own}");
    until(&session, &["now"], |text| {
        text.matches("waits for approval").count() == 1
    });

    let changed = session.towline(&["people", "change", "pat", "--everywhere", "--data", "data"]);
    assert!(changed.status.success(), "{}", shown(&changed));
    let seen = as_pat(&["now"]);
    assert!(seen.contains("web") && seen.contains("api"), "{seen}");
}

#[test]
fn the_last_one_who_administers_stays() {
    let session = Session::new();
    session.write(
        ".towline-data/.gitignore",
        "# Created by towline. Everything in this folder belongs to it, including secrets.\n*\n",
    );
    expect_test::expect![[r#"
        $ towline people remove owner
        ! towline: owner is the only person in every group; first add another with: towline people add LOGIN --group '*'
        [exit 1]
        $ towline people change owner --group managers
        ! towline: owner is the only person in every group; first add another with: towline people add LOGIN --group '*'
        [exit 1]
        $ towline people change owner --only acme/shop
        ! towline: owner is the only person in every group; first add another with: towline people add LOGIN --group '*'
        [exit 1]
        $ towline people list
        LOGIN                 GROUPS                    REPOSITORIES              ALSO KNOWN AS
        owner                 *                         all
    "#]].assert_eq(&session.play(&[
        &["people", "remove", "owner"],
        &["people", "change", "owner", "--group", "managers"],
        &["people", "change", "owner", "--only", "acme/shop"],
        &["people", "list"],
    ]));
}
