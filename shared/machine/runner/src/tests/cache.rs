//! The caches that builds pass on.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;

/// Each build takes place in a different second, so that keys have an order.
async fn world() -> World {
    let seconds = AtomicI64::new(0);
    World::with(1, |config, _| {
        let start: jiff::Timestamp = NOW.parse().unwrap();
        config.now = Arc::new(move || {
            let passed = seconds.fetch_add(1, Ordering::Relaxed);
            start + jiff::SignedDuration::from_secs(passed)
        });
    })
    .await
}

const MAIN: &str = "refs/heads/main";

/// Runs a build that prints what it finds, and checks its output and the lines about its cache.
async fn check(world: &World, number: u32, cache: &str, command: &str, expected: &str) {
    check_of(world, MAIN, number, cache, command, expected).await;
}

/// The same, of a ref.
async fn check_of(
    world: &World,
    git_ref: &str,
    number: u32,
    cache: &str,
    command: &str,
    expected: &str,
) {
    let spec = format!(
        "version: 0.2
phases: {{build: {{commands: ['{command}']}}}}
cache: {cache}
"
    );
    let log = world.run_of(git_ref, number, &spec).await;
    let shown: Vec<&str> = log
        .lines()
        .filter(|line| {
            line.starts_with("found ") || line.contains("cache") && !line.contains("Running")
        })
        .filter(|line| !line.contains("did not exit") && !line.contains("COMMAND_EXECUTION"))
        .map(|line| match line.split_once("Z ") {
            Some((_, said)) if line.starts_with("[towline]") => said,
            _ => line,
        })
        .collect();
    assert_eq!(shown, expected.lines().collect::<Vec<_>>(), "{log}");
}

const PATHS: &str = "paths: ['vendor/**/*', /root/.m2, ~/.npm/*, /var/lib/other, ../up]";
const LEFT_OUT: &str = "Not cached: /var/lib/other is neither in the source nor in the home (/root)
Not cached: ../up is neither in the source nor in the home (/root)";

#[tokio::test]
async fn files_of_source_and_home_come_back_as_they_were() {
    let world = world().await;
    let fill = "mkdir -p vendor/bin \"$HOME\"/.m2/deep \"$HOME\"/.npm; echo a >vendor/a; ln -s ../a vendor/bin/a; \
                chmod 750 vendor/a; touch -d @1000000000 vendor/a; echo m >\"$HOME\"/.m2/deep/m; echo n >\"$HOME\"/.npm/n";
    let cache = format!("{{{PATHS}}}");
    check(
        &world,
        1,
        &cache,
        fill,
        &format!("No cache yet\n{LEFT_OUT}\nSaved 4 files to the cache"),
    )
    .await;
    let look = "echo found $(stat -c %a:%Y vendor/a) $(cat vendor/bin/a \"$HOME\"/.m2/deep/m \"$HOME\"/.npm/n) $(readlink vendor/bin/a); rm -r vendor";
    let found = format!(
        "Restored 4 files from the cache\nfound 750:1000000000 a m n ../a\n{LEFT_OUT}\nSaved 2 files to the cache"
    );
    check(&world, 2, &cache, look, &found).await;
    check(
        &world,
        3,
        &cache,
        "false",
        "Restored 2 files from the cache\nThe cache was not saved: the build failed",
    )
    .await;
}

#[tokio::test]
async fn a_key_is_the_shells_and_falls_back_to_the_newest_of_a_prefix() {
    let world = world().await;
    let cache = |key: &str, more: &str| {
        format!("{{key: '{key}', fallback-keys: [npm-b, npm-, nothing], paths: [vendor]{more}}}")
    };
    let write = |word: &str| {
        format!("mkdir -p vendor; echo found \"$(cat vendor/word)\"; echo {word} >vendor/word")
    };
    check(
        &world,
        1,
        &cache("npm-$((1 + 1))", ""),
        &write("one"),
        "No cache yet \"npm-2\"\nfound \nSaved 1 files to the cache \"npm-2\"",
    )
    .await;
    check(
        &world,
        2,
        &cache("npm-2", ""),
        &write("two"),
        "Restored 1 files from the cache \"npm-2\"\nfound one\nThe cache \"npm-2\" exists already",
    )
    .await;
    check(
        &world,
        3,
        &cache("npm-b1", ""),
        &write("three"),
        "Restored 1 files from the cache \"npm-2\"\nfound one\nSaved 1 files to the cache \"npm-b1\"",
    )
    .await;
    check(
        &world,
        4,
        &cache("npm-c", ", action: restore"),
        &write("four"),
        "Restored 1 files from the cache \"npm-b1\"\nfound three",
    )
    .await;
    check(
        &world,
        5,
        &cache("npm-d", ", action: save"),
        &write("five"),
        "found \nSaved 1 files to the cache \"npm-d\"",
    )
    .await;
    check(
        &world,
        6,
        &cache("$(true)", ""),
        &write("six"),
        "The cache is not used: its key is empty\nfound ",
    )
    .await;
    let hash = "{key: \"page-$(codebuild-hash-files \\\"**/*.md\\\" hello.txt)\", paths: [vendor]}";
    // The hash of what `sha256sum` prints for docs/deep/page.md and hello.txt.
    check(&world, 7, hash, "echo found $(codebuild-hash-files \"**/*.md\" hello.txt | wc -c)", "No cache yet \"page-35ba3f4c026b4f4629aa5b0e1cba9155235cff6ccf46bab0f90392b9e08e41c3\"\nfound 65\nThe cache was not saved: no file matches its paths").await;
}

#[tokio::test]
async fn few_keys_are_kept_and_those_used_last() {
    let world = world().await;
    let build = async |number: u32, key: &str| {
        let spec = format!(
            "version: 0.2\nphases: {{build: {{commands: [touch word]}}}}\ncache: {{key: {key}, paths: [word]}}\n"
        );
        world.run(number, &spec).await
    };
    for number in 1..=5 {
        build(number, &format!("key-{number}")).await;
    }
    build(6, "key-1").await;
    build(7, "key-6").await;
    let caches = world.path("data/cache/7/towline-acme-shop-web/default");
    let keys = fs::read_dir(caches).unwrap().map(|entry| {
        let key = entry.unwrap().path().join("key");
        fs::read_to_string(key).unwrap()
    });
    let mut keys: Vec<String> = keys.collect();
    keys.sort();
    assert_eq!(keys, ["key-1", "key-3", "key-4", "key-5", "key-6"]);
}

#[tokio::test]
async fn a_cache_writes_through_no_link_and_over_no_file_of_the_checkout() {
    let world = world().await;
    let paths = "{paths: [docs, hello.txt, out]}";
    let fill = "rm -r docs; mkdir docs out; echo stale >docs/new; echo stale >hello.txt; echo evil >out/evil";
    check(
        &world,
        1,
        paths,
        fill,
        "No cache yet\nSaved 3 files to the cache",
    )
    .await;
    // Now the repository has a link where the cache has a folder.
    let target = world.path("target");
    fs::create_dir(&target).unwrap();
    let origin = world.path("origin");
    std::os::unix::fs::symlink(&target, origin.join("out")).unwrap();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(&origin).args([
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=ada@example.com",
        ]);
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "second"]);
    let World { dir, runner, .. } = world;
    let commit = git(&["rev-parse", "HEAD"]).parse().unwrap();
    let world = World {
        dir,
        commit,
        runner,
    };
    let look = "echo found $(cat hello.txt docs/new docs/deep/page.md); false";
    check(
        &world,
        2,
        paths,
        look,
        "Restored 1 files from the cache\nfound hello stale page\nThe cache was not saved: the build failed",
    )
    .await;
    assert_eq!(fs::read_dir(target).unwrap().count(), 0);
}

/// Prints the word that the cache had, and leaves another one.
fn leave(word: &str) -> String {
    format!("mkdir -p dep; echo found \"$(cat dep/lib)\"; echo {word} >dep/lib")
}

#[tokio::test]
async fn s3_a30_what_another_ref_leaves_reaches_no_build_of_the_default_branch() {
    let world = world().await;
    let cache = "{key: lib, fallback-keys: [lib, l], paths: [dep]}";
    let first = "No cache yet \"lib\"\nfound \nSaved 1 files to the cache \"lib\"";
    let others = [
        "refs/heads/evil",
        "refs/tags/main",
        "refs/heads/refs/heads/main",
    ];
    for (number, git_ref) in (1..).zip(others) {
        // None of them finds what another one left.
        check_of(&world, git_ref, number, cache, &leave("poison"), first).await;
    }
    check_of(&world, MAIN, 4, cache, &leave("clean"), first).await;
    let all = "{paths: [dep]}";
    let anew = "No cache yet\nfound \nSaved 1 files to the cache";
    check_of(&world, "refs/heads/evil", 5, all, &leave("poison"), anew).await;
    check_of(&world, MAIN, 6, all, &leave("clean"), anew).await;
}

#[tokio::test]
async fn s3_a30_another_ref_reads_what_the_default_branch_left_and_cannot_change_it() {
    let world = world().await;
    let (side, all) = ("refs/heads/side", "{paths: [dep]}");
    let restored = |word: &str| {
        format!("Restored 1 files from the cache\nfound {word}\nSaved 1 files to the cache")
    };
    let first = "No cache yet\nfound \nSaved 1 files to the cache";
    check_of(&world, MAIN, 1, all, &leave("clean"), first).await;
    check_of(&world, side, 2, all, &leave("mine"), &restored("clean")).await;
    check_of(&world, side, 3, all, &leave("mine"), &restored("mine")).await;
    check_of(
        &world,
        "refs/heads/new",
        4,
        all,
        &leave("new"),
        &restored("clean"),
    )
    .await;
    check_of(&world, MAIN, 5, all, &leave("clean"), &restored("clean")).await;
}

#[tokio::test]
async fn s3_a30_other_refs_decide_neither_which_caches_main_keeps_nor_which_it_takes() {
    let world = world().await;
    let cache = |key: &str| format!("{{key: {key}, fallback-keys: [old-], paths: [dep]}}");
    let save =
        |key: &str| format!("No cache yet \"{key}\"\nfound \nSaved 1 files to the cache \"{key}\"");
    check_of(
        &world,
        MAIN,
        1,
        &cache("old-1"),
        &leave("one"),
        &save("old-1"),
    )
    .await;
    let second = "Restored 1 files from the cache \"old-1\"\nfound one\nSaved 1 files to the cache \"old-2\"";
    check_of(&world, MAIN, 2, &cache("old-2"), &leave("two"), second).await;
    // A branch uses the older one, and then saves more caches than are kept of all branches.
    let same =
        "Restored 1 files from the cache \"old-1\"\nfound one\nThe cache \"old-1\" exists already";
    check_of(
        &world,
        "refs/heads/evil",
        3,
        &cache("old-1"),
        &leave("x"),
        same,
    )
    .await;
    for number in 4..=16 {
        let spec = format!(
            "version: 0.2\nphases: {{build: {{commands: [touch word]}}}}\ncache: {{key: k{number}, paths: [word]}}\n"
        );
        world.run_of("refs/heads/evil", number, &spec).await;
    }
    let kept = |of: &str| {
        let folder = world.path("data/cache/7/towline-acme-shop-web").join(of);
        fs::read_dir(folder).unwrap().count()
    };
    assert_eq!((kept("default"), kept("others")), (2, 10));
    let third = "Restored 1 files from the cache \"old-2\"\nfound two\nSaved 1 files to the cache \"old-3\"";
    check_of(&world, MAIN, 17, &cache("old-3"), &leave("three"), third).await;
}
