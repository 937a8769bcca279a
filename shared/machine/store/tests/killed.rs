//! Processes that share a folder: one after the other when one was killed, never two at once.
//!
//! The other process is this test itself, started again with [`ROLE`] in its environment.

use std::io::{BufRead, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use towline_ports::{Key, Query, Store, Write};
use towline_store::{OpenError, SqliteStore};

/// Holds the folder to open; says that this is the other process.
const ROLE: &str = "TOWLINE_STORE_TEST_FOLDER";
/// The prefix of the other process's lines, unlike those of the test harness.
const SAYS: &str = "other process: ";

/// Starts this test again as the other process.
fn start(test: &str, dir: &Path) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", test, "--nocapture"])
        .env(ROLE, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("it can be started again");
    let output = child.stdout.take().expect("it is piped");
    (child, BufReader::new(output).lines())
}

/// The next line of the other process; none once it has ended.
fn hear(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<String> {
    lines.find_map(|line| {
        let line = line.expect("it is text");
        line.split_once(SAYS).map(|(_, said)| said.to_owned())
    })
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{SAYS}{text}").expect("somebody listens");
    out.flush().expect("somebody listens");
}

/// Eight tasks write two items at a time and report it, until the process is killed.
fn write_for_ever(dir: &str) {
    let store = Arc::new(SqliteStore::open(dir).expect("the store opens after a kill"));
    Runtime::new().expect("a runtime").block_on(async {
        let mut tasks = JoinSet::new();
        for task in 0..8 {
            tasks.spawn(write_as(Arc::clone(&store), task));
        }
        tasks.join_all().await;
    });
}

async fn write_as(store: Arc<SqliteStore>, task: u32) {
    let round = std::process::id();
    for number in 0_u32.. {
        let sort = format!("{round}/{task}/{number}");
        let create = |partition: &str| Write::Create {
            key: Key::new(partition, &sort),
            body: json!({ "text": "x".repeat(500) }).into(),
            due: None,
        };
        let writes = vec![create("one"), create("other")];
        store.transact(writes).await.expect("the keys are free");
        say(&sort);
    }
}

#[test]
fn f37_what_was_acknowledged_survives_kill_9() {
    if let Ok(dir) = std::env::var(ROLE) {
        return write_for_ever(&dir);
    }
    let dir = tempfile::tempdir().expect("a folder");
    let mut acknowledged = Vec::new();
    for first_heard in [1, 2, 3, 5, 8, 13, 40, 77, 150, 300, 600, 1_000] {
        let test = "f37_what_was_acknowledged_survives_kill_9";
        let (mut child, mut lines) = start(test, dir.path());
        for _ in 0..first_heard {
            acknowledged.push(hear(&mut lines).expect("it writes until it is killed"));
        }
        child.kill().expect("it runs");
        child.wait().expect("it was killed");
        while let Some(sort) = hear_whole(&mut lines) {
            acknowledged.push(sort);
        }
    }
    let runtime = Runtime::new().expect("a runtime");
    let store = SqliteStore::open(dir.path()).expect("the store opens after a kill");
    runtime.block_on(async {
        for sort in &acknowledged {
            let item = store.get(&Key::new("one", sort)).await;
            assert!(item.expect("it answers").is_some(), "{sort} is lost");
        }
        let one = all(&store, "one").await;
        assert_eq!(
            one,
            all(&store, "other").await,
            "no transaction is half done"
        );
        assert!(one.len() >= acknowledged.len());
    });
}

/// The rest of the pipe. The kill may have cut off the last line.
fn hear_whole(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<String> {
    hear(lines).filter(|sort| sort.matches('/').count() == 2 && !sort.ends_with('/'))
}

async fn all(store: &SqliteStore, partition: &str) -> Vec<String> {
    let mut sorts = Vec::new();
    let mut query = Query::all(partition);
    loop {
        let page = store.query(&query).await.expect("it answers");
        sorts.extend(page.items.into_iter().map(|item| item.key.sort.to_string()));
        let Some(next) = page.next else {
            return sorts;
        };
        query.after = Some(next);
    }
}

/// Opens the store and holds it until its input is closed.
fn hold(dir: &str) {
    let _store = SqliteStore::open(dir).expect("a new store");
    say("open");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("its input ends");
}

#[test]
fn f37_a_second_process_is_refused_and_told_which_one_to_stop() {
    if let Ok(dir) = std::env::var(ROLE) {
        return hold(&dir);
    }
    let dir = tempfile::tempdir().expect("a folder");
    let test = "f37_a_second_process_is_refused_and_told_which_one_to_stop";
    let (mut child, mut lines) = start(test, dir.path());
    assert_eq!(hear(&mut lines).as_deref(), Some("open"));
    match SqliteStore::open(dir.path()) {
        Err(OpenError::InUse { pid, .. }) => assert_eq!(pid, Some(child.id())),
        other => panic!("the folder is in use, not {other:?}"),
    }
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
    SqliteStore::open(dir.path()).expect("it is free again");
}
