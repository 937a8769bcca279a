//! Files, refs and commits.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use jiff::Timestamp;
use towline_domain::filter::ChangedFiles;
use towline_domain::names::{CommitSha, GitRef};
use towline_github::memory::{Commit, Fault, File, Repository};
use towline_ports::{FileAt, Relation, RepositoryRef, Source as _, Statuses as _};

use crate::{MAIN, World, shop, unknown, with_causes, world};

fn commit(parents: &[&CommitSha], files: Vec<(String, File)>) -> Commit {
    Commit {
        parents: parents.iter().copied().cloned().collect(),
        files: files.into_iter().collect(),
        author: "Ada".into(),
        message: "Fix the cart\n\nIt was empty.".into(),
        at: Timestamp::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn a_file_is_what_the_commit_holds_at_the_path() {
    let mut shop = shop();
    let plain = |text: &str| File::from(text);
    let files = vec![
        ("towline.yaml".into(), plain("first")),
        ("deep/er/file".into(), plain("deep")),
        ("run".into(), File::Program(b"#!".to_vec())),
        ("link".into(), File::Link("towline.yaml".into())),
        ("folder-link".into(), File::Link("deep".into())),
        ("vendored".into(), File::Submodule(unknown())),
        ("a#b?c d/ü😀%2e".into(), plain("odd")),
        ("empty".into(), plain("")),
        ("binary".into(), File::Plain(vec![0, 255, 13, 10])),
    ];
    let first = shop.commit(&commit(&[], files));
    let second = shop.commit(&commit(
        &[&first],
        vec![("towline.yaml".into(), plain("second"))],
    ));
    let nothing = shop.commit(&commit(&[&second], Vec::new()));
    shop.refs.insert(MAIN.into(), nothing.to_string());
    let World {
        github,
        shop,
        server: _server,
        ..
    } = world(shop).await;
    let found = |text: &[u8]| FileAt::Found(text.to_vec());
    for (at, path, most, expected) in [
        (&first, "towline.yaml", 5, found(b"first")),
        (&second, "towline.yaml", 6, found(b"second")),
        (&first, "towline.yaml", 4, FileAt::TooLarge { bytes: 5 }),
        (&first, "deep/er/file", 99, found(b"deep")),
        (&first, "run", 99, found(b"#!")),
        (&first, "a#b?c d/ü😀%2e", 99, found(b"odd")),
        (&first, "empty", 0, found(b"")),
        (&first, "binary", 99, found(&[0, 255, 13, 10])),
        (&first, "link", 99, FileAt::Missing),
        (&first, "folder-link/er/file", 99, FileAt::Missing),
        (&first, "vendored", 99, FileAt::Missing),
        (&first, "deep", 99, FileAt::Missing),
        (&first, "deep/er/file/", 99, FileAt::Missing),
        (&first, "towline.yaml/x", 99, FileAt::Missing),
        (&first, "/towline.yaml", 99, FileAt::Missing),
        (&first, "deep/../towline.yaml", 99, FileAt::Missing),
        (&first, "./towline.yaml", 99, FileAt::Missing),
        (&first, "TOWLINE.yaml", 99, FileAt::Missing),
        (&first, "", 99, FileAt::Missing),
        (&nothing, "towline.yaml", 99, FileAt::Missing),
        (&unknown(), "towline.yaml", 99, FileAt::NoCommit),
    ] {
        let answer = github.file(&shop, at, path, most).await;
        assert_eq!(answer.expect("it answers"), expected, "{path:?} of {most}");
    }
}

#[tokio::test]
async fn a24_a_ref_is_requested_by_exactly_its_name() {
    let names = [
        "main",
        "feature/cart",
        "a#b",
        "a&b=c",
        "a%2fb",
        "100%",
        "$(id)",
        "ü/😀",
        "main@{1}",
        "a+b",
        "a;b",
        "a\"b'c",
        "-rf",
        "@",
        "refs/heads/main",
        "HEAD",
    ];
    let mut shop = shop();
    let mut heads = BTreeMap::new();
    for (number, name) in names.iter().enumerate() {
        let files = [("number", &*number.to_string())];
        heads.insert(
            name,
            shop.push(&format!("refs/heads/{name}"), "Begin", &files),
        );
    }
    let World {
        github,
        shop,
        server,
        ..
    } = world(shop).await;
    for (name, commit) in heads {
        let head = github.head(&shop, &GitRef::Branch((*name).into())).await;
        assert_eq!(head.expect("it answers").as_ref(), Some(&commit), "{name}");
        let tag = github.head(&shop, &GitRef::Tag((*name).into())).await;
        assert_eq!(tag.expect("it answers"), None, "no tag {name}");
    }
    for name in [
        "..",
        "../tags/x",
        "main/../x",
        "mai",
        "main/",
        "",
        "/main",
        "a?b",
        "a\\b",
    ] {
        let head = github.head(&shop, &GitRef::Branch(name.into())).await;
        assert_eq!(head.expect("it answers"), None, "{name}");
    }
    for request in &server.github().requests {
        assert!(request.starts_with("GET /repos/acme/shop"), "{request}");
        assert!(!request.contains("/../"), "{request}");
    }
}

#[tokio::test]
async fn an_annotated_tag_stands_at_its_commit() {
    let mut shop = shop();
    let first = shop.push(MAIN, "Begin", &[]);
    let inner = shop.annotate("v1", first.as_str());
    shop.annotate("latest", &inner);
    shop.refs
        .insert("refs/tags/plain".into(), first.to_string());
    let mut end = inner;
    for depth in 0..9 {
        end = shop.annotate(&format!("deep{depth}"), &end);
    }
    let World {
        github,
        shop,
        server: _server,
        ..
    } = world(shop).await;
    for (tag, expected) in [
        ("v1", Some(&first)),
        ("latest", Some(&first)),
        ("plain", Some(&first)),
        ("deep8", None),
        ("main", None),
    ] {
        let head = github.head(&shop, &GitRef::Tag(tag.into())).await;
        assert_eq!(head.expect("it answers").as_ref(), expected, "{tag}");
    }
}

#[tokio::test]
async fn an_empty_repository_has_nothing_and_that_is_no_error() {
    let World {
        github,
        shop,
        server: _server,
        ..
    } = world(shop()).await;
    let main = GitRef::Branch("main".into());
    assert_eq!(github.head(&shop, &main).await.expect("it answers"), None);
    let file = github.file(&shop, &unknown(), "a", 9).await;
    assert_eq!(file.expect("it answers"), FileAt::NoCommit);
    let commit = github.commit(&shop, &unknown()).await;
    assert_eq!(commit.expect("it answers"), None);
}

/// Many files, one per number.
fn many(count: usize, text: &str) -> Vec<(String, File)> {
    let numbers = 0..count;
    numbers
        .map(|number| (format!("many/{number:04}"), text.into()))
        .collect()
}

#[tokio::test]
async fn changed_files_are_all_of_them_or_not_to_be_had() {
    let mut shop = shop();
    let file = |path: &str, text: &str| (path.to_owned(), File::from(text));
    let base = shop.commit(&commit(
        &[],
        vec![file("a", "1"), file("old", "same"), file("gone", "x")],
    ));
    let next = vec![file("a", "2"), file("dir/new", "same"), file("added", "y")];
    let ahead = shop.commit(&commit(&[&base], next));
    let beside = shop.commit(&commit(
        &[&base],
        vec![file("a", "1"), file("old", "same"), file("b", "2")],
    ));
    let run = vec![
        file("old", "same"),
        file("gone", "x"),
        ("a".into(), File::Program(b"1".to_vec())),
    ];
    let mode = shop.commit(&commit(&[&base], run));
    let alone = shop.commit(&commit(&[], vec![file("a", "1")]));
    let more = shop.commit(&commit(&[&base], many(299, "x")));
    let most = shop.commit(&commit(&[&more], many(600, "x")));
    let World {
        github,
        shop,
        server,
        ..
    } = world(shop).await;
    let check = async |base: &CommitSha, head: &CommitSha, expected: Expect| {
        let changed = github.changed_files(&shop, base, head).await;
        expected.assert_eq(&match changed.expect("it answers") {
            ChangedFiles::Known(files) if files.len() > 9 => format!("{} files", files.len()),
            ChangedFiles::Known(files) => files.join(" "),
            ChangedFiles::Unknown(why) => why.to_string(),
        });
    };
    check(&base, &base, expect![""]).await;
    check(&base, &ahead, expect!["a added dir/new gone old"]).await;
    // Moved back, and forced to another line: GitHub's comparison would use the common ancestor.
    check(&ahead, &base, expect!["a added dir/new gone old"]).await;
    check(&beside, &ahead, expect!["a added b dir/new old"]).await;
    check(&base, &mode, expect!["a"]).await;
    check(&base, &alone, expect!["gone old"]).await;
    // More than a comparison contains.
    check(&base, &more, expect!["302 files"]).await;
    check(&more, &most, expect!["301 files"]).await;
    check(
        &base,
        &unknown(),
        expect!["the repository does not have the commit fffffff"],
    )
    .await;
    check(
        &unknown(),
        &base,
        expect!["the repository does not have the commit fffffff"],
    )
    .await;

    // More than the trees contain.
    server.github().most_entries = 100;
    check(
        &base,
        &most,
        expect!["ad30a3d has more files than GitHub lists"],
    )
    .await;
    check(&base, &ahead, expect!["a added dir/new gone old"]).await;
    // Too much for one answer.
    server.github().faults.extend([Fault::Large(9 << 20)]);
    check(&base, &ahead, expect!["a added dir/new gone old"]).await;
    server
        .github()
        .faults
        .extend([Fault::Large(9 << 20), Fault::Large(9 << 20)]);
    check(
        &base,
        &ahead,
        expect!["b3faa66 has more files than GitHub lists"],
    )
    .await;
    // GitHub cannot compare them in time.
    server.github().faults.extend(vec![Fault::ServerError; 7]);
    check(&base, &ahead, expect!["a added dir/new gone old"]).await;
}

#[tokio::test]
async fn commits_stand_to_each_other_as_their_history_says() {
    let mut shop = shop();
    let first = shop.push(MAIN, "Begin", &[("a", "1")]);
    let second = shop.push(MAIN, "Go on", &[("a", "2")]);
    let third = shop.push(MAIN, "Go on", &[("a", "3")]);
    let side = shop.commit(&commit(&[&first], Vec::new()));
    let merge = shop.commit(&commit(&[&third, &side], Vec::new()));
    let alone = shop.commit(&commit(&[], Vec::new()));
    let World {
        github,
        shop,
        server: _server,
        ..
    } = world(shop).await;
    for (one, other, expected) in [
        (&first, &first, Relation::Same),
        (&first, &third, Relation::Behind),
        (&third, &second, Relation::Ahead),
        (&side, &third, Relation::Diverged),
        (&side, &merge, Relation::Behind),
        (&first, &alone, Relation::Diverged),
        (&first, &unknown(), Relation::Diverged),
        (&unknown(), &unknown(), Relation::Diverged),
    ] {
        let relation = github.relation(&shop, one, other).await;
        assert_eq!(relation.expect("it answers"), expected, "{one} to {other}");
    }
}

#[tokio::test]
async fn a_commit_says_its_first_line_author_and_time() {
    let mut shop = shop();
    let mut wanted = commit(&[], Vec::new());
    wanted.author = "Ada 😀 Lovelace".into();
    wanted.at = "2026-02-03T04:05:06Z".parse().expect("a time");
    let id = shop.commit(&wanted);
    let World {
        github,
        shop,
        server: _server,
        ..
    } = world(shop).await;
    let info = github.commit(&shop, &id).await.expect("it answers");
    let info = info.expect("it is there");
    assert_eq!(info.title.display(), "Fix the cart");
    assert_eq!(info.author.display(), "Ada 😀 Lovelace");
    assert_eq!(info.at.to_string(), "2026-02-03T04:05:06Z");
    assert_eq!(
        github.commit(&shop, &unknown()).await.expect("it answers"),
        None
    );
}

/// For any question about a repository, the answer is this error.
async fn check_unreachable(world: &World, repository: &RepositoryRef, expected: Expect) {
    let World { github, .. } = world;
    let (one, other) = (&unknown(), &"e".repeat(40).parse().expect("a commit id"));
    let main = GitRef::Branch("main".into());
    let errors = [
        github.file(repository, one, "a", 9).await.err(),
        github.changed_files(repository, one, other).await.err(),
        github.head(repository, &main).await.err(),
        github.relation(repository, one, other).await.err(),
        github.commit(repository, one).await.err(),
    ];
    let errors = errors.map(|error| with_causes(&error.expect("it is an error")));
    expected.assert_eq(&errors.join("\n"));
}

#[tokio::test]
async fn a_repository_that_is_not_shown_is_an_error_and_never_an_absent_commit() {
    let world = world(shop()).await;
    let name = "acme/hidden".parse().expect("a name");
    let hidden = RepositoryRef {
        name,
        ..world.shop.clone()
    };
    check_unreachable(&world, &hidden, expect![[r#"
        reading a file of acme/hidden at fffffff: cannot see the repository acme/hidden on GitHub (404 Not Found); give the credentials access to it
        comparing commits of acme/hidden: cannot see the repository acme/hidden on GitHub (404 Not Found); give the credentials access to it
        reading a ref of acme/hidden: cannot see the repository acme/hidden on GitHub (404 Not Found); give the credentials access to it
        relating commits of acme/hidden: cannot see the repository acme/hidden on GitHub (404 Not Found); give the credentials access to it
        reading the commit fffffff of acme/hidden: cannot see the repository acme/hidden on GitHub (404 Not Found); give the credentials access to it"#]]).await;
}

#[tokio::test]
async fn a8_another_repository_of_the_same_name_is_not_asked() {
    let mut other = shop();
    other.id = 8;
    other.push(MAIN, "Take over", &[("a", "evil")]);
    let world = world(other).await;
    let ours = RepositoryRef {
        id: towline_domain::names::RepositoryId(7),
        ..world.shop.clone()
    };
    check_unreachable(&world, &ours, expect![[r#"
        reading a file of acme/shop at fffffff: acme/shop is now the repository 8, not 7, which was admitted
        comparing commits of acme/shop: acme/shop is now the repository 8, not 7, which was admitted
        reading a ref of acme/shop: acme/shop is now the repository 8, not 7, which was admitted
        relating commits of acme/shop: acme/shop is now the repository 8, not 7, which was admitted
        reading the commit fffffff of acme/shop: acme/shop is now the repository 8, not 7, which was admitted"#]]).await;
}

#[tokio::test]
async fn a8_a_renamed_repository_is_found_by_its_old_name() {
    let mut renamed: Repository = shop();
    let first = renamed.push(MAIN, "Begin", &[("a", "1")]);
    let second = renamed.push(MAIN, "Go on", &[("a", "2")]);
    renamed.former_names = vec!["acme/old".parse().expect("a name")];
    let world = world(renamed).await;
    let name = "acme/old".parse().expect("a name");
    let old = RepositoryRef {
        name,
        ..world.shop.clone()
    };
    let World { github, .. } = &world;
    let file = github.file(&old, &first, "a", 9).await.expect("it answers");
    assert_eq!(file, FileAt::Found(b"1".to_vec()));
    let main = GitRef::Branch("main".into());
    assert_eq!(
        github.head(&old, &main).await.expect("it answers"),
        Some(second.clone())
    );
    let changed = github.changed_files(&old, &first, &second).await;
    assert_eq!(
        changed.expect("it answers"),
        ChangedFiles::Known(vec!["a".into()])
    );
    // Changes are redirected as well.
    let status = towline_ports::CommitStatus {
        context: "towline/build/backend".into(),
        state: towline_ports::StatusState::Pending,
        description: "building".into(),
        target_url: None,
    };
    github
        .set(&old, &second, &status)
        .await
        .expect("it is shown");
    assert_eq!(world.server.github().repository(7).statuses.len(), 1);
    // The name belongs to another repository now: GitHub's target is not the admitted one.
    world.server.github().repository_mut(7).id = 9;
    check_unreachable(&world, &old, expect![[r#"
        reading a file of acme/old at fffffff: GitHub redirects to another repository, which is not followed
        comparing commits of acme/old: GitHub redirects to another repository, which is not followed
        reading a ref of acme/old: GitHub redirects to another repository, which is not followed
        relating commits of acme/old: GitHub redirects to another repository, which is not followed
        reading the commit fffffff of acme/old: GitHub redirects to another repository, which is not followed"#]]).await;
}

#[tokio::test]
async fn a24_no_redirect_leads_to_another_place() {
    let world = world(shop()).await;
    let here = world.server.url();
    for location in [
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://evil.example/repositories/7/git/ref/heads/main".into(),
        format!("{here}.evil.example/repositories/7"),
        format!("{here}@evil.example/repositories/7"),
        format!("{here}/repositories/8/git/ref/heads/main"),
        format!("{here}/repositories/7/../8"),
        format!("{here}/repositories/70"),
        format!("{here}/repos/acme/other"),
        format!("{here}/app"),
        "//evil.example/repositories/7".into(),
        "/repositories/7".into(),
        String::new(),
    ] {
        world.server.github().requests.clear();
        let fault = Fault::Redirect(301, location.clone());
        world.server.github().faults.push_back(fault);
        let main = GitRef::Branch("main".into());
        let head = world.github.head(&world.shop, &main).await;
        let error = with_causes(&head.expect_err("it is not followed"));
        assert!(
            error.ends_with(", which is not followed"),
            "{location}: {error}"
        );
        assert_eq!(world.server.github().requests.len(), 1, "{location}");
    }
    // Nor in circles.
    let circle = Fault::Redirect(301, format!("{here}/repositories/7"));
    world.server.github().faults.extend(vec![circle; 9]);
    let main = GitRef::Branch("main".into());
    world
        .github
        .head(&world.shop, &main)
        .await
        .expect_err("it ends");
    world.server.github().faults.clear();
}
