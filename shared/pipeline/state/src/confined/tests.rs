//! Each kind of item is seen by people of its repository, and by nobody else who is confined.

use serde_json::{Value, json};
use towline_domain::intent::StageKey;
use towline_domain::ledger::Head;
use towline_domain::names::{ComponentName, GitRef};
use towline_domain::person::Actor;
use towline_domain::run::Attempt;
use towline_ports::memory::{MemoryBus, MemoryClock, MemoryStore};

use super::*;

fn good<T: std::str::FromStr>(text: &str) -> T {
    let parsed = text.parse();
    parsed.unwrap_or_else(|_| panic!("{text:?} is not what it should be"))
}

/// One item of each kind of a repository, with what makes it readable.
fn items(id: u64) -> Vec<(Key, Value)> {
    let repository = RepositoryId(id);
    let (component, images): (ComponentName, ImageRepository) =
        (good(&format!("web{id}")), good(&format!("acme/web{id}")));
    let (commit, run) = (good(&format!("{id:040x}")), good(&format!("{id:016x}")));
    let (digest, tag) = (good(&format!("sha256:{id:064x}")), good("prod"));
    let git_ref = GitRef::Branch("main".into());
    let stage = StageKey {
        repository,
        component: component.clone(),
        stage: good("prod"),
    };
    let row = Head::default().append(Timestamp::UNIX_EPOCH, (Actor::System, None), "row");
    let of =
        json!({"run": run, "component": component, "attempt": Attempt::id(&run, &component, 1)});
    let claim = json!({"repository": id, "component": component, "images": images});
    let of_run = json!({
        "id": run, "key": {"repository": id, "git_ref": git_ref, "commit": commit, "pipeline": "shop"},
        "repository_name": format!("acme/r{id}"), "order": 1, "pusher": "kim", "authors": [],
        "title": "Begin", "at": "2026-03-02T09:00:00Z", "components": {},
    });
    let known = json!({"id": id, "name": format!("acme/r{id}"), "default_branch": "main"});
    let build = good(&format!("towline-web{id}:1"));
    vec![
        (keys::repository(repository), known),
        (keys::run(&run), of_run),
        (keys::claim(&images), claim.clone()),
        (keys::project(&format!("web{id}")), claim),
        (keys::build(&build), of),
        (keys::numbers(repository), json!({})),
        (keys::heads(repository), json!({})),
        (keys::claimed(&images), json!({})),
        (keys::image_tag(&images, &digest, &tag), json!({})),
        (keys::trusted_definition(repository), json!({})),
        (keys::branch(repository, &git_ref), json!({})),
        (keys::base(repository, &component, &git_ref), json!({})),
        (keys::content(repository, "0f"), json!({})),
        (keys::run_by_order(repository, 1, &run), json!({})),
        (keys::commit(&commit, repository), json!({})),
        (keys::numbered("build", 1, repository), json!({})),
        (keys::numbered("promotion", 1, repository), json!({})),
        (keys::expected(&images, &tag), json!({})),
        (keys::component(&component, repository), json!({})),
        (keys::image(&images, &digest), json!({})),
        (keys::image_by_digest(&images, &digest), json!({})),
        (
            keys::image_by_time(
                keys::images(repository, &component, None),
                Timestamp::UNIX_EPOCH,
                &digest,
            ),
            json!({}),
        ),
        (keys::tag(&images, &tag), json!({})),
        (
            keys::tag_move(&images, &tag, Timestamp::UNIX_EPOCH, 1),
            json!({}),
        ),
        (keys::stage(&stage), json!({})),
        (keys::row(keys::ledger(&stage), &row), json!({})),
        (
            keys::row(keys::ledger_of_builds(repository), &row),
            json!({}),
        ),
        (keys::head_of_builds(repository), json!({})),
        (keys::pointer(&stage, Timestamp::UNIX_EPOCH, 1), json!({})),
    ]
}

#[tokio::test]
async fn s22_items_of_other_repositories_are_not_there() {
    let store = MemoryStore::new();
    let rows = [7, 8].into_iter().flat_map(items);
    let rows = rows
        .map(|(key, body)| Row {
            key,
            body: body.into(),
        })
        .collect();
    store.put_rows(rows).await.expect("rows");
    let clock = MemoryClock::new(Timestamp::UNIX_EPOCH, 1);
    let bus = MemoryBus::new();
    let context = Context {
        store: &store,
        bus: &bus,
        clock: &clock,
    };
    let names = [good("ACME/r7"), good("acme/gone")];
    let confined = Confined::to(context, &names).await.expect("the store");
    for (id, is_seen) in [(7, true), (8, false)] {
        for (key, _) in items(id) {
            let found = confined.get(&key).await.expect("the store");
            assert_eq!(found.is_some(), is_seen, "{key:?}");
            let keys = [key.clone()];
            let many = confined.get_many(&keys).await.expect("the store");
            assert_eq!(many[0].is_some(), is_seen, "{key:?}");
            let page = confined.query(&Query::all(&*key.partition)).await;
            let page = page.expect("the store");
            let keys: Vec<&Key> = page.items.iter().map(|item| &item.key).collect();
            assert_eq!(keys.contains(&&key), is_seen, "{key:?}");
        }
    }
}

#[tokio::test]
async fn s22_what_nobody_can_place_is_not_there() {
    let store = MemoryStore::new();
    let key = |partition: &str| Key::new(partition, "7");
    let strange = [
        "INBOX#0",
        "INTENT#0",
        "RUN#nothing",
        "LEDGER#x#web/prod",
        "NEW#7",
    ];
    let rows = strange.map(|partition| Row {
        key: key(partition),
        body: json!({}).into(),
    });
    store.put_rows(rows.to_vec()).await.expect("rows");
    let confined = Confined {
        store: &store,
        seen: [RepositoryId(7)].into(),
    };
    for partition in strange {
        let found = confined.get(&key(partition)).await.expect("the store");
        assert_eq!(found, None, "{partition}");
    }
}

#[tokio::test]
async fn s22_what_is_not_seen_takes_no_place_in_a_page() {
    let store = MemoryStore::new();
    let known = |id: u64| Row {
        key: keys::numbered("build", 1, RepositoryId(id)),
        body: json!({}).into(),
    };
    store
        .put_rows((1..=60).map(known).collect())
        .await
        .expect("rows");
    let confined = Confined {
        store: &store,
        seen: [RepositoryId(30), RepositoryId(59)].into(),
    };
    let query = Query::all(keys::number("build", 1)).limit(1);
    let first = confined.query(&query).await.expect("the store");
    let sorts = |page: &Page| -> Vec<String> {
        let items = page.items.iter();
        items.map(|item| item.key.sort.to_string()).collect()
    };
    assert_eq!(sorts(&first), ["30"]);
    let query = Query {
        after: first.next,
        ..query
    };
    let second = confined.query(&query).await.expect("the store");
    assert_eq!(sorts(&second), ["59"]);
}
