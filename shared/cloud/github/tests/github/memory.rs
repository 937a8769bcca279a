//! The GitHub in memory itself, for uses other than our own requests.

use std::path::Path;
use std::process::Command;

use towline_domain::names::GitRef;
use towline_ports::{FileAt, Source as _};

use crate::{World, shop, world};

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([
            ("GIT_AUTHOR_NAME", "Ada"),
            ("GIT_AUTHOR_EMAIL", "Ada@example.com"),
            ("GIT_AUTHOR_DATE", "1970-01-01T00:00:00Z"),
            ("GIT_COMMITTER_NAME", "Ada"),
            ("GIT_COMMITTER_EMAIL", "Ada@example.com"),
            ("GIT_COMMITTER_DATE", "1970-01-01T00:00:00Z"),
        ])
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {arguments:?}");
    String::from_utf8(output.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

#[tokio::test]
async fn commits_have_the_ids_that_git_gives_and_a_real_repository_can_be_taken_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path();
    git(real, &["init", "--quiet", "--initial-branch=main"]);
    std::fs::create_dir_all(real.join("a")).expect("a folder");
    for (path, text) in [("a.txt", "1"), ("a/b", "2"), ("a0", "3")] {
        std::fs::write(real.join(path), text).expect("a file");
    }
    git(real, &["add", "."]);
    git(
        real,
        &[
            "commit",
            "--quiet",
            "--cleanup=verbatim",
            "--message",
            "Begin",
        ],
    );
    git(real, &["tag", "--annotate", "v1", "--message", "One"]);
    let head = git(real, &["rev-parse", "HEAD"]);

    let mut own = shop();
    let made = own.push(
        "refs/heads/main",
        "Begin",
        &[("a.txt", "1"), ("a/b", "2"), ("a0", "3")],
    );
    assert_eq!(made.as_str(), head);

    let mut taken = shop();
    taken.import(real).expect("git can read it");
    let World {
        github,
        shop,
        server: _server,
        ..
    } = world(taken).await;
    for git_ref in [GitRef::Branch("main".into()), GitRef::Tag("v1".into())] {
        let found = github.head(&shop, &git_ref).await.expect("it answers");
        assert_eq!(found.as_ref(), Some(&made));
    }
    let file = github.file(&shop, &made, "a/b", 9).await;
    assert_eq!(file.expect("it answers"), FileAt::Found(b"2".to_vec()));
    assert!(shop_import_fails(real.join("a.txt").as_path()));
}

fn shop_import_fails(folder: &Path) -> bool {
    shop().import(folder).is_err()
}
