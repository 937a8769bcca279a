//! A store's folder: opened again, opened twice, damaged, or unusable.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde_json::json;
use towline_domain::causes::with_causes as said;
use towline_ports::{Key, Query, Store, Write};
use towline_store::{OpenError, SqliteStore};

fn refused(dir: &Path) -> OpenError {
    match SqliteStore::open(dir) {
        Err(error) => error,
        Ok(store) => panic!("{} should not open", store.dir().display()),
    }
}

async fn fill(store: &SqliteStore, items: u64) {
    for number in 0..items {
        let write = Write::Create {
            key: Key::new("p", format!("{number:04}")),
            body: json!({ "text": "x".repeat(2_000) }).into(),
            due: Some(Timestamp::UNIX_EPOCH),
        };
        store.transact(vec![write]).await.expect("it is free");
    }
}

#[tokio::test]
async fn what_was_written_is_there_when_it_is_opened_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path().join("a/new/one");
    let store = SqliteStore::open(&dir).expect("a new store");
    fill(&store, 50).await;
    let before = store.query(&Query::all("p")).await.expect("it answers");
    drop(store);
    let names: Vec<_> = fs::read_dir(&dir).expect("it is there").flatten().collect();
    assert_eq!(
        names.len(),
        2,
        "nothing but the database and the lock: {names:?}"
    );

    let store = SqliteStore::open(&dir).expect("the same store");
    let after = store.query(&Query::all("p")).await.expect("it answers");
    assert_eq!(after, before);
    assert_eq!(after.items.len(), 50);
}

#[test]
fn the_same_folder_is_not_opened_twice_until_it_is_dropped() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(dir.path()).expect("a new store");
    let error = refused(dir.path());
    let own = std::process::id();
    assert!(matches!(&error, OpenError::InUse { pid: Some(pid), .. } if *pid == own));
    let expected = format!(
        "{} is in use by another towline (pid {own}); stop it or use another folder",
        dir.path().display()
    );
    assert_eq!(error.to_string(), expected);
    drop(store);
    SqliteStore::open(dir.path()).expect("it is free again");
}

#[test]
fn a_newer_layout_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    drop(SqliteStore::open(dir.path()).expect("a new store"));
    let path = dir.path().join("store.sqlite");
    let connection = rusqlite::Connection::open(&path).expect("the database");
    connection
        .pragma_update(None, "user_version", 99)
        .expect("it takes any number");
    drop(connection);
    let before = fs::read(&path).expect("it is there");
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::Newer { found: 99, .. }));
    assert!(
        error.to_string().contains("written by a newer towline"),
        "{error}"
    );
    assert_eq!(fs::read(&path).expect("it is there"), before);
}

#[test]
fn a_folder_that_cannot_be_used_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("a file");
    let taken = dir.path().join("taken");
    fs::create_dir_all(taken.join("store.sqlite")).expect("a folder");
    let locked = dir.path().join("locked");
    fs::create_dir_all(locked.join("lock")).expect("a folder");
    for (dir, says) in [
        (&file, "cannot be created or written to; check the path"),
        (
            &file.join("below"),
            "cannot be created or written to; check the path",
        ),
        (&locked, "cannot be created or written to; check the path"),
        (&taken, "cannot be written to; check who owns it"),
    ] {
        let error = refused(dir);
        let said = said(&error);
        assert!(said.contains(says), "{said}");
        assert!(said.contains(dir.to_str().expect("it is text")), "{said}");
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store.sqlite");
    let text = "not a database at all, ".repeat(1_000);
    fs::write(&path, &text).expect("a file");
    let error = refused(dir.path());
    let said = said(&error);
    assert!(
        said.contains("is damaged or not a store of Towline"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&path).expect("it is there"), text);
}

#[tokio::test]
async fn f37_a_damaged_file_gives_errors_and_never_other_items() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(dir.path()).expect("a new store");
    fill(&store, 100).await;
    let before = store
        .query(&Query::all("p"))
        .await
        .expect("it answers")
        .items;
    drop(store);
    let path = dir.path().join("store.sqlite");
    let whole = fs::read(&path).expect("it is there");
    let mut errors = 0;
    for page in 1..whole.len() / 4_096 {
        let mut damaged = whole.clone();
        damaged[page * 4_096..(page + 1) * 4_096].fill(0xff);
        fs::write(&path, &damaged).expect("it can be written to");
        let Ok(store) = SqliteStore::open(dir.path()) else {
            errors += 1;
            continue;
        };
        match store.query(&Query::all("p")).await {
            // The page belonged to an index.
            Ok(found) => assert_eq!(found.items, before, "page {page}"),
            Err(error) => {
                assert!(
                    said(&error).contains("store.sqlite is damaged"),
                    "{}",
                    said(&error)
                );
                errors += 1;
            }
        }
    }
    assert!(errors > 50, "most pages hold items");
}
