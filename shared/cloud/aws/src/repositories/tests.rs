//! Which repositories are admitted under which registration, and what is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use towline_domain::names::RepositoryId;
use towline_ports::contract::{self, RepositoriesWorld};
use towline_ports::memory::MemoryStore;
use towline_ports::{
    Admission, Due, Item, Key, Page, PortError, Query, Repositories, RepositoryRef, Row, Store,
    TransactError, Write, admission,
};

use super::TableRepositories;

/// A store that counts requests.
#[derive(Clone, Default)]
struct Counted {
    store: Arc<MemoryStore>,
    requests: Arc<AtomicUsize>,
}

impl Counted {
    fn count(&self) -> usize {
        self.requests.swap(0, Ordering::Relaxed)
    }
}

#[async_trait]
impl Store for Counted {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.store.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, PortError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.store.get_many(keys).await
    }

    async fn query(&self, query: &Query) -> Result<Page, PortError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        // DynamoDB may end a page anywhere.
        self.store.query(&query.clone().limit(2)).await
    }

    async fn due(&self, until: Timestamp, limit: usize) -> Result<Due, PortError> {
        self.store.due(until, limit).await
    }

    async fn put_rows(&self, rows: Vec<Row>) -> Result<(), PortError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.store.put_rows(rows).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TransactError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.store.transact(writes).await
    }
}

fn repository(id: u64, name: &str) -> RepositoryRef {
    RepositoryRef {
        id: RepositoryId(id),
        name: name.parse().expect("a name"),
    }
}

/// What is said about a claim, in a few words.
async fn admit(of: &TableRepositories<Counted>, id: u64, name: &str) -> String {
    let answer = of.admit(&repository(id, name)).await;
    match answer.expect("the store answers") {
        Admission::Admitted(known) => format!("{} {}", known.id, known.name),
        Admission::Unknown => "unknown".to_owned(),
        Admission::Impostor { known, remedy } => {
            let remedy = remedy.to_string();
            assert!(remedy.starts_with("delete the item \"name#"), "{remedy}");
            format!("impostor of {known}")
        }
    }
}

fn open(store: &Counted, names: &str) -> TableRepositories<Counted> {
    TableRepositories::new(store.clone(), names).expect("names")
}

#[async_trait]
impl RepositoriesWorld for Counted {
    async fn open(&self) -> Arc<dyn Repositories> {
        let names = contract::REGISTERED.map(|(_, name)| name);
        Arc::new(open(self, &names.join(",")))
    }
}

#[tokio::test]
async fn a7_a8_it_keeps_the_contract_of_repositories() {
    contract::repositories(&Counted::default()).await;
}

#[test]
fn a_setting_is_names_and_owners_and_nothing_wider() {
    for (names, good) in [
        ("acme/shop", true),
        (" acme/shop , acme/*,,", true),
        ("", true),
        ("*", false),
        ("*/*", false),
        ("acme", false),
        ("acme/", false),
        ("acme/sh*", false),
        ("acme/shop;b/c", false),
    ] {
        let read = TableRepositories::new(MemoryStore::new(), names);
        assert_eq!(read.is_ok(), good, "{names:?}");
    }
}

#[tokio::test]
async fn a7_a8_a_name_is_bound_permanently_to_the_id_of_its_first_push() {
    let (local, other) = (admission::local(1).0, admission::local(2).0);
    let cloned = format!("{local} acme/cloned");
    let store = Counted::default();
    // One after the other, each with an empty and with a warm process.
    let settled = open(&store, "acme/shop, acme/Cloned, acme/cloned2, corp/*");
    for (id, name, expected) in [
        (9, "attacker/repo", "unknown"),
        (7, "acme/shop", "7 acme/shop"),
        (7, "ACME/shop", "7 acme/shop"),
        (8, "acme/shop", "impostor of 7"),
        (other, "acme/shop", "7 acme/shop"),
        // Renamed, even to an unregistered name.
        (7, "elsewhere/shop", "7 acme/shop"),
        // All repositories of an owner, regardless of case.
        (20, "corp/one", "20 corp/one"),
        (21, "Corp/two", "21 Corp/two"),
        (22, "corp/ONE", "impostor of 20"),
        (23, "corporation/one", "unknown"),
        // A clone, then GitHub's webhook, then another repository of that name.
        (local, "acme/cloned", &cloned.replace("cloned", "Cloned")),
        (8, "acme/cloned", &cloned.replace("cloned", "Cloned")),
        (9, "acme/cloned", "impostor of 8"),
        (other, "acme/cloned", &cloned.replace("cloned", "Cloned")),
    ] {
        assert_eq!(admit(&settled, id, name).await, expected, "{id} {name}");
        let fresh = open(&store, "acme/shop, acme/Cloned, acme/cloned2, corp/*");
        assert_eq!(
            admit(&fresh, id, name).await,
            expected,
            "{id} {name}, fresh"
        );
    }
}

#[tokio::test]
async fn a_known_repository_costs_no_request() {
    let store = Counted::default();
    let first = open(&store, "acme/*");
    for number in 1..6 {
        admit(&first, number, &format!("acme/{number}")).await;
    }
    let second = open(&store, "acme/*");
    store.count();
    assert_eq!(admit(&second, 1, "acme/1").await, "1 acme/1");
    assert_eq!(store.count(), 5, "ten items, two a page");
    for _ in 0..3 {
        assert_eq!(admit(&second, 5, "acme/5").await, "5 acme/5");
    }
    assert_eq!(store.count(), 0);
}

#[tokio::test]
async fn a_name_that_is_not_registered_any_more_is_unknown_unless_it_was_renamed() {
    let store = Counted::default();
    admit(&open(&store, "acme/old"), 7, "acme/old").await;
    let moved = open(&store, "acme/new");
    assert_eq!(admit(&moved, 8, "acme/old").await, "unknown");
    assert_eq!(admit(&moved, 7, "acme/old").await, "unknown");
    assert_eq!(admit(&moved, 7, "acme/new").await, "7 acme/new");
    assert_eq!(admit(&moved, 7, "acme/old").await, "7 acme/new");
    assert_eq!(admit(&moved, 8, "acme/new").await, "impostor of 7");
    // If registered again, the old name is free for another repository.
    let both = open(&store, "acme/new, acme/old");
    assert_eq!(admit(&both, 8, "acme/old").await, "8 acme/old");
}

#[tokio::test]
async fn of_two_first_pushes_at_once_one_binds() {
    for round in 0..20 {
        let store = Counted::default();
        let names = "acme/shop, acme/other";
        let (one, two) = (open(&store, names), open(&store, names));
        let (one, two) = tokio::join!(admit(&one, 7, "acme/shop"), admit(&two, 8, "acme/shop"));
        let admitted = [&one, &two]
            .into_iter()
            .filter(|said| !said.starts_with("impostor"));
        assert_eq!(admitted.count(), 1, "round {round}: {one}, {two}");
        // And so for one id under two names.
        let (one, two) = (open(&store, names), open(&store, names));
        let (one, two) = tokio::join!(admit(&one, 9, "acme/other"), admit(&two, 9, "acme/other"));
        assert_eq!(
            (one.as_str(), two.as_str()),
            ("9 acme/other", "9 acme/other")
        );
    }
}
