//! What a checkout of before has left in the store is read on.

use std::future::Future;
use std::pin::pin;
use std::task::{self, Poll, Waker};

use expect_test::expect;
use serde_json::Value;
use towline_handlers::Context;
use towline_handlers::answer_chat::{Query, ask};
use towline_ports::{Key, Store as _, Write};
use towline_simulation::World;

/// A run just planned and what it follows, in rows as they were on 2026-11-21.
const ROWS: &str = include_str!("before.json");

fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future
            .as_mut()
            .poll(&mut task::Context::from_waker(Waker::noop()))
        {
            return value;
        }
    }
}

/// The answer to a question, as the API gives it.
fn answer(world: &World, query: Query) -> Value {
    let context = Context {
        store: &world.ports.store,
        bus: &world.ports.bus,
        clock: world.ports.clock.as_ref(),
    };
    let answer = now(ask(context, &world.ports.builds, query)).expect("it is answered");
    serde_json::to_value(answer).expect("JSON")
}

#[test]
fn rows_of_before_are_built_promoted_and_found() {
    let mut world = World::quiet();
    let first = world.commit("main", "first", &[]);
    let rows: Vec<Value> = serde_json::from_str(ROWS).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let write = |row: &Value| Write::Create {
        key: Key::new(text(&row["partition"]), text(&row["sort"])),
        body: row["body"].clone(),
        due: row["due"].as_str().map(|due| due.parse().expect("a time")),
    };
    now(world.ports.store.transact(rows.iter().map(write).collect())).expect("free keys");

    let commit = Query::Commit {
        commit: first.short().into(),
    };
    let found = answer(&world, commit);
    assert_eq!(found["runs"].as_array().map(Vec::len), Some(1), "{found}");
    let image = Query::Image {
        image: format!("sha256:{}", "a".repeat(64)),
        component: None,
        repository: None,
    };
    let found = answer(&world, image).to_string();
    assert!(found.contains(r#""current":true"#), "{found}");

    world.settle();
    world.push("main", "second", &["backend/main.rs"]);
    world.settle();
    expect![[r#"
        main first: backend succeeded; web succeeded
        main second: backend succeeded
        backend/prod: nothing; second has 0 of 2 yes
        backend/staging: second
        web/prod: nothing; first has 0 of 2 yes
        web/staging: first
    "#]]
    .assert_eq(&world.view());
    assert_eq!(world.faults_at_rest(), Vec::<String>::new());
}
