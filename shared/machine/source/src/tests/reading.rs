//! Files, refs and commits of real repositories, evil refs included.

use towline_domain::filter::ChangedFiles;
use towline_domain::reason::NotCompared;
use towline_ports::{FileAt, Refs, Relation, contract};

use super::*;

/// Refs that Git allows and shells would misread, one per line.
const EVIL: &str = include_str!("../../../../tools/buildspec/tests/refs/evil.txt");

#[tokio::test]
async fn it_keeps_the_contract() {
    let world = World::new();
    let mut commits: Vec<CommitSha> = Vec::new();
    for known in contract::HISTORY {
        world.git(&["read-tree", "--empty"]);
        for (path, text) in known.files {
            world.write(path, text);
            world.git(&["add", path]);
        }
        let tree = world.git(&["write-tree"]);
        let mut arguments = vec!["commit-tree", "-m", "a commit", tree.as_str()];
        let parent = known.parent.map(|at| commits[at].to_string());
        if let Some(parent) = &parent {
            arguments.extend(["-p", parent]);
        }
        let commit = world.git(&arguments);
        if let Some(branch) = known.branch {
            world.git(&["update-ref", &format!("refs/heads/{branch}"), &commit]);
        }
        commits.push(commit.parse().unwrap());
    }
    let commits = commits.try_into().unwrap();
    contract::source(&world.source(), &world.repository(), &commits).await;
}

#[tokio::test]
async fn files_are_read_at_the_commit_and_nothing_else_is() {
    let world = World::new();
    world.write(".towline.yml", "one");
    world.write("sub/file", "in a folder");
    world.write("*", "a star");
    let first = world.commit("first");
    world.write(".towline.yml", "two");
    std::os::unix::fs::symlink("/etc/passwd", world.origin().join("link")).unwrap();
    std::os::unix::fs::symlink("sub", world.origin().join("linked")).unwrap();
    let second = world.commit("second");
    let (source, repository) = (world.source(), world.repository());
    let read = async |commit: &CommitSha, path: &str| match source
        .file(&repository, commit, path, 100)
        .await
        .unwrap()
    {
        FileAt::Found(bytes) => Some(String::from_utf8(bytes).unwrap()),
        FileAt::Missing => None,
        other @ (FileAt::TooLarge { .. } | FileAt::NoCommit) => panic!("{path:?}: {other:?}"),
    };
    for (commit, path, expected) in [
        (&first, ".towline.yml", Some("one")),
        (&second, ".towline.yml", Some("two")),
        (&second, "sub/file", Some("in a folder")),
        (&second, "*", Some("a star")),
        (&second, "link", None),
        (&second, "linked/file", None),
        (&second, "sub", None),
        (&second, "sub/", None),
        (&second, "absent", None),
        (&second, "../origin/.towline.yml", None),
        (&second, "/etc/passwd", None),
        (&second, "--help", None),
        (&second, ":(top)sub/file", None),
        (&second, "", None),
    ] {
        assert_eq!(read(commit, path).await.as_deref(), expected, "{path:?}");
    }
    let unknown: CommitSha = "f".repeat(40).parse().unwrap();
    for (commit, path, most, expected) in [
        (&second, "sub/file", 5, FileAt::TooLarge { bytes: 11 }),
        (&unknown, ".towline.yml", 100, FileAt::NoCommit),
        (&unknown, "../x", 100, FileAt::NoCommit),
    ] {
        let found = source.file(&repository, commit, path, most).await.unwrap();
        assert_eq!(found, expected, "{path:?}");
    }
}

#[tokio::test]
async fn a9_heads_of_evil_refs_are_their_own() {
    let world = World::new();
    let tree = {
        world.commit("first");
        world.git(&["rev-parse", "HEAD^{tree}"])
    };
    let mut expected = Vec::new();
    for branch in EVIL.lines() {
        let commit = world.git(&["commit-tree", "-m", branch, &tree]);
        world.git(&["update-ref", &format!("refs/heads/{branch}"), &commit]);
        expected.push((branch, commit));
    }
    let (source, repository) = (world.source(), world.repository());
    for (branch, commit) in expected {
        let git_ref = GitRef::Branch(branch.into());
        let head = source.head(&repository, &git_ref).await.unwrap();
        assert_eq!(
            head.map(|head| head.to_string()),
            Some(commit),
            "{branch:?}"
        );
    }
}

#[tokio::test]
async fn a12_a_ref_is_itself_and_never_an_expression() {
    let world = World::new();
    let first = world.commit("first");
    world.git(&["tag", "-a", "-m", "release", "v1"]);
    world.git(&["tag", "main"]);
    let second = world.commit("second");
    world.git(&["branch", "topic/one", "refs/heads/main"]);
    let blob = world.git(&["hash-object", "-w", "/dev/null"]);
    world.git(&["update-ref", "refs/tags/blob", &blob]);
    let (source, repository) = (world.source(), world.repository());
    for (git_ref, expected) in [
        ("refs/heads/main", Some(&second)),
        ("refs/tags/main", Some(&first)),
        ("refs/tags/v1", Some(&first)),
        ("refs/tags/blob", None),
        ("refs/heads/v1", None),
        ("refs/heads/topic", None),
        ("refs/heads/main~1", None),
        ("refs/heads/main^{tree}", None),
        ("refs/heads/*", None),
        ("refs/heads/main:sub", None),
    ] {
        let git_ref: GitRef = git_ref.parse().unwrap();
        let head = source.head(&repository, &git_ref).await.unwrap();
        assert_eq!(head.as_ref(), expected, "{git_ref}");
    }
    world.git(&["checkout", "-q", "--detach", "refs/heads/main"]);
    world.git(&["branch", "-q", "-D", "topic/one"]);
    world.git(&["branch", "-q", "topic", "refs/heads/main"]);
    let topic = GitRef::Branch("topic".into());
    assert_eq!(
        source.head(&repository, &topic).await.unwrap(),
        Some(second)
    );
}

#[tokio::test]
async fn commits_relate_and_differ_even_after_a_forced_push() {
    let world = World::new();
    world.write("a", "1");
    let first = world.commit("first");
    world.write("b\n\u{e9}", "1");
    world.git(&["mv", "a", "c"]);
    let second = world.commit("second");
    world.git(&["reset", "-q", "--hard", first.as_str()]);
    let other = world.commit("other");
    let (source, repository) = (world.source(), world.repository());
    let unknown: CommitSha = "f".repeat(40).parse().unwrap();
    for (one, two, expected) in [
        (&first, &first, Relation::Same),
        (&first, &second, Relation::Behind),
        (&second, &first, Relation::Ahead),
        (&second, &other, Relation::Diverged),
        (&second, &unknown, Relation::Diverged),
    ] {
        let relation = source.relation(&repository, one, two).await.unwrap();
        assert_eq!(relation, expected, "{one} {two}");
    }
    let changed = async |base| source.changed_files(&repository, base, &second).await;
    assert_eq!(
        changed(&first).await.unwrap(),
        ChangedFiles::Known(vec!["a".into(), "b\n\u{e9}".into(), "c".into()])
    );
    assert!(matches!(
        changed(&unknown).await.unwrap(),
        ChangedFiles::Unknown(_)
    ));
}

#[tokio::test]
async fn too_many_changed_files_are_unknown() {
    let world = World::new();
    let first = world.commit("first");
    for number in 0..=10_000 {
        fs::write(world.origin().join(format!("f{number}")), "").unwrap();
    }
    let second = world.commit("many");
    let (source, repository) = (world.source(), world.repository());
    let changed = source.changed_files(&repository, &first, &second).await;
    assert_eq!(
        changed.unwrap(),
        ChangedFiles::Unknown(NotCompared::TooManyChanged(10_000))
    );
}

#[tokio::test]
async fn a10_a_commit_tells_its_title_author_and_time() {
    let world = World::new();
    let message = format!(
        "fix $(id) cart\u{1b}[31m\n\ncommands:\n{}",
        "x".repeat(100_000)
    );
    let commit = world.commit(&message);
    let info = world
        .source()
        .commit(&world.repository(), &commit)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(info.title.display(), "fix $(id) cart\u{fffd}[31m");
    assert_eq!(info.author.display(), "Ada L");
    assert_eq!(info.at.to_string(), "2026-01-02T03:04:05Z");
}

#[tokio::test]
async fn a_new_commit_is_fetched_once_it_is_asked_for() {
    let world = World::new();
    world.commit("first");
    let (source, repository) = (world.source(), world.repository());
    let main = GitRef::Branch("main".into());
    source.head(&repository, &main).await.unwrap();
    world.write("late", "yes");
    let late = world.commit("late");
    let asked: Vec<_> = (0..4)
        .map(|_| source.file(&repository, &late, "late", 10))
        .collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap(), FileAt::Found(b"yes".into()));
    }
    let mirror = source.mirror_path(repository.id).unwrap();
    let found = source.mirror_with(&repository, &late).await.unwrap();
    assert_eq!(found, Some(mirror.clone()));
    // The lock of a killed command does not outlive its process.
    fs::write(mirror.join("packed-refs.lock"), "").unwrap();
    drop(source);
    let source = world.source();
    let later = world.commit("later");
    let found = source.file(&repository, &later, "late", 10).await.unwrap();
    assert_eq!(found, FileAt::Found(b"yes".into()));
    world.git(&["branch", "-q", "-m", "main", "trunk"]);
    assert_eq!(source.head(&repository, &main).await.unwrap(), None);
}

#[tokio::test]
async fn a23_a_move_names_everyone_in_its_commits() {
    let world = World::new();
    let first = world.commit("first");
    world.commit("second\n\nCo-authored-by: Eve <eve@example.com>");
    let author = "--author=Bob <bob@example.com>";
    world.git(&[
        "commit",
        "-q",
        "--allow-empty",
        author,
        "-m",
        "third\n\nwith a body",
    ]);
    let last = world.git(&["rev-parse", "HEAD"]).parse().unwrap();
    let (source, repository) = (world.source(), world.repository());
    let moved = source.brought(&repository, Some(&first), &last).await;
    let brought = moved.unwrap().unwrap();
    assert_eq!(brought.message, "third\n\nwith a body");
    assert_eq!((brought.author.as_str(), brought.forced), ("Bob", false));
    for person in ["Bob", "bob@example.com", "Ada L", "Eve", "eve@example.com"] {
        let person = person.to_owned();
        assert!(brought.people.contains(&person), "{person}: {brought:?}");
    }
    // A new branch brings its commit; what a push forced away brings nothing else.
    let new = source.brought(&repository, None, &last).await;
    assert!(!new.unwrap().unwrap().people.contains(&"Eve".to_owned()));
    let back = source.brought(&repository, Some(&last), &first).await;
    assert!(back.unwrap().unwrap().forced);
}

#[tokio::test]
async fn f8_refs_are_those_of_the_origin_and_not_of_the_mirror() {
    let world = World::new();
    let first = world.commit("first");
    let (source, repository) = (world.source(), world.repository());
    let main = GitRef::Branch("main".into());
    assert!(source.head(&repository, &main).await.unwrap().is_some());
    world.git(&["tag", "-a", "-m", "release", "v1"]);
    let tag: CommitSha = world.git(&["rev-parse", "refs/tags/v1"]).parse().unwrap();
    world.git(&["branch", "-q", "a$(id)"]);
    world.git(&["update-ref", "refs/pull/1/head", first.as_str()]);
    let Refs::Now { refs, .. } = source.refs(&repository, None).await.unwrap() else {
        panic!("there was no answer before");
    };
    let expected = [
        (main, first.clone()),
        (GitRef::Branch("a$(id)".into()), first),
        (GitRef::Tag("v1".into()), tag),
    ];
    assert_eq!(refs, expected.into());
}
