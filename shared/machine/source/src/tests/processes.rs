//! Git as a process: one that does not answer, and one that an earlier process left running.

use towline_ports::FileAt;

use super::*;

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
    // The connection may also break between fetching the refs and the single commit.
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

/// Written by another process: a process that another test forks meanwhile could hold our file open
/// for writing, and then it would not start.
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
async fn only_a_build_waits_until_another_fetch_has_ended() {
    let world = World::new();
    let first = world.commit("Begin");
    let surroundings = Surroundings {
        search_path: env!("PATH").into(),
        home: None,
    };
    let Registered { name, origin } = registered("acme/shop", &world.origin());
    let mirrors = world.dir.path().join("mirrors");
    let mut mirror = mirror::Mirror::new(name, &origin, &mirrors, surroundings).unwrap();
    mirror.patience = std::time::Duration::ZERO;
    let fetch = mirror.fetching.lock().await;
    let refused = mirror.ensure(&first).await.unwrap_err();
    let refused = towline_domain::causes::with_causes(&refused);
    assert_eq!(
        refused,
        "fetching acme/shop: another fetch is still running"
    );
    let mut build = std::pin::pin!(mirror.ensure_for_build(&first));
    tokio::select! {
        biased;
        done = &mut build => panic!("it did not wait: {done:?}"),
        () = std::future::ready(()) => {}
    }
    drop(fetch);
    assert!(build.await.unwrap());
    assert!(mirror.ensure(&first).await.unwrap());
}
