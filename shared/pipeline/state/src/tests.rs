//! What a commit writes where, and what becomes of what is owed.

use std::time::Duration;

use serde_json::json;
use towline_domain::Timestamp;
use towline_domain::intent::{Intent, StageKey};
use towline_domain::names::RepositoryId;
use towline_domain::obstacle::{Obstacle, Service};
use towline_ports::memory::{MemoryBus, MemoryClock, MemoryStore};
use towline_ports::{Item, Key, Query, Row, Store as _};

use crate::numbers::draw_promotion;
use crate::outbox::place;
use crate::{Change, Context, Outbox, Owed, Reads, Rounds, keys};

const REPOSITORY: RepositoryId = RepositoryId(7);

struct World {
    store: MemoryStore,
    bus: MemoryBus,
    clock: MemoryClock,
}

impl World {
    fn new() -> Self {
        Self {
            store: MemoryStore::new(),
            bus: MemoryBus::new(),
            clock: MemoryClock::new(Timestamp::UNIX_EPOCH, 1),
        }
    }

    fn context(&self) -> Context<'_> {
        Context {
            store: &self.store,
            bus: &self.bus,
            clock: &self.clock,
        }
    }

    async fn commit(&self, change: Change) {
        let committed = self.context().commit(change, &mut Rounds::default()).await;
        assert!(committed.expect("the store answers"), "nobody else writes");
    }

    async fn item(&self, key: &Key) -> Item {
        let item = self.store.get(key).await.expect("the store answers");
        item.expect("it was written")
    }

    /// Writes the stage, or writes it again, with what it owes besides.
    async fn stage(&self, change: impl FnOnce(&mut Change)) -> Vec<Owed> {
        let key = keys::stage(&stage());
        let mut all = Change::default();
        let read = self.context().read::<serde_json::Value>(&key).await;
        all.save(key.clone(), read.expect("readable").as_ref(), &json!({}));
        change(&mut all);
        self.commit(all).await;
        self.owed(&key).await
    }

    async fn owed(&self, key: &Key) -> Vec<Owed> {
        let outbox = Outbox::of(&self.item(key).await).expect("readable");
        outbox.owed().to_vec()
    }

    /// Keys of items whose partition begins so.
    fn keys(&self, prefix: &str) -> Vec<Key> {
        let mut keys: Vec<Key> = self.store.dump().into_iter().map(|item| item.key).collect();
        keys.retain(|key| key.partition.starts_with(prefix));
        keys
    }
}

fn stage() -> StageKey {
    StageKey {
        repository: REPOSITORY,
        component: "backend".parse().expect("a component"),
        stage: "prod".parse().expect("a stage"),
    }
}

fn due(promotion: u64) -> Intent {
    let stage = stage();
    Intent::PromotionDue { stage, promotion }
}

fn watch(promotion: u64, at: Timestamp) -> Intent {
    let stage = stage();
    Intent::PromotionWatchDue {
        stage,
        promotion,
        at,
    }
}

/// What is owed where nothing else is written.
async fn alone(world: &World, intent: Intent) -> Owed {
    let intent_of = intent.clone();
    let mut change = Change::default();
    change.owe(intent);
    world.commit(change).await;
    let key = keys::intent(&crate::intent_id(&intent_of));
    world.owed(&key).await.remove(0)
}

#[tokio::test]
async fn an_item_keeps_what_it_owes_and_is_due_when_the_first_of_it_is() {
    let world = World::new();
    let late = Timestamp::UNIX_EPOCH + Duration::from_secs(86_400);
    let owed = world.stage(|change| change.owe(watch(1, late))).await;
    assert_eq!(world.item(&place(&owed[0].id)).await.due, Some(late));
    assert!(
        world.bus.take().is_empty(),
        "a watch is announced to nobody"
    );
    let owed = world.stage(|change| change.owe(due(1))).await;
    assert_eq!(owed.len(), 2);
    assert_eq!(world.bus.take().len(), 1);
    let item = world.item(&place(&owed[0].id)).await;
    assert_eq!(item.due, Some(owed[1].due), "the sooner of both");
    let before = item.due;
    // Done: the moment stays indexed, because to move it would cost two writes.
    let owed = world.stage(|change| change.done(&owed[1].id)).await;
    let item = world.item(&place(&owed[0].id)).await;
    assert_eq!((owed.len(), item.due), (1, before));
    world.clock.set(late);
    assert_eq!(
        world.stage(|change| change.forget(&watch(1, late))).await,
        []
    );
    assert_eq!(world.item(&keys::stage(&stage())).await.due, None);
}

#[tokio::test]
async fn what_is_owed_twice_is_owed_once() {
    let world = World::new();
    world.stage(|change| change.owe(due(1))).await;
    let owed = world.stage(|change| change.owe(due(1))).await;
    assert_eq!(owed.len(), 1);
}

/// An item that owes too much would grow past what a store takes, and then nothing could change it.
#[tokio::test]
async fn what_an_item_has_no_room_for_lies_elsewhere_and_ends_like_the_rest() {
    let world = World::new();
    for first in [0, 50, 100] {
        let owed = |change: &mut Change| (first..first + 50).for_each(|n| change.owe(due(n)));
        world.stage(owed).await;
    }
    assert_eq!(world.owed(&keys::stage(&stage())).await.len(), 128);
    let others = world.keys("INTENT#");
    assert_eq!(others.len(), 150 - 128);
    assert_eq!(world.bus.take().len(), 150);
    // An intent that is already in the item stays there.
    world.stage(|change| change.owe(due(0))).await;
    assert_eq!(world.keys("INTENT#"), others);
    let other = world.owed(&others[0]).await.remove(0);
    assert!(world.item(&others[0]).await.due.is_some());
    world.stage(|change| change.done(&other.id)).await;
    assert_eq!(world.keys("INTENT#"), others[1..]);
}

#[tokio::test]
async fn what_is_owed_again_while_it_is_being_ended_stays() {
    let world = World::new();
    let owed = alone(&world, due(1)).await;
    let read = world.item(&place(&owed.id)).await;
    world.clock.advance(Duration::from_secs(1));
    let again = alone(&world, due(1)).await;
    let nothing = Outbox::default();
    let ended = world.context().keep(read, &nothing).await;
    assert!(
        !ended.expect("the store answers"),
        "it was owed again since"
    );
    assert_eq!(
        world.owed(&place(&again.id)).await,
        std::slice::from_ref(&again)
    );
    let mut reads = Reads::from(world.context());
    for finished in [world.context().finish(&owed).await, {
        reads.load(vec![place(&owed.id)]).await.expect("an answer");
        reads.finish(&owed).await
    }] {
        finished.expect("the store answers");
        assert_eq!(
            world.owed(&place(&again.id)).await,
            std::slice::from_ref(&again)
        );
    }
    // Also in one commit: an intent that is owed again is not deleted.
    let mut change = Change::default();
    change.done(&again.id);
    change.owe(due(1));
    world.commit(change).await;
    assert_eq!(world.keys("INTENT#").len(), 1);
    world
        .context()
        .finish(&again)
        .await
        .expect("the store answers");
    assert_eq!(world.keys("INTENT#"), []);
}

#[tokio::test]
async fn postponed_is_not_failed() {
    let world = World::new();
    let owed = world.stage(|change| change.owe(due(1))).await.remove(0);
    let mut item = world.item(&place(&owed.id)).await;
    for _ in 0..9 {
        let mut outbox = Outbox::of(&item).expect("readable");
        let again = outbox.owed()[0].again(world.context().now());
        outbox.put(again);
        assert!(
            world
                .context()
                .keep(item, &outbox)
                .await
                .expect("an answer")
        );
        item = world.item(&place(&owed.id)).await;
    }
    let tried = world.owed(&item.key).await.remove(0);
    assert_eq!(tried.tries, 9);
    let longest = Duration::from_secs(600);
    assert_eq!(tried.due, world.context().now() + longest);
    world.context().postpone(&tried).await.expect("an answer");
    assert_eq!(world.owed(&item.key).await[0].tries, 0);
}

#[tokio::test]
async fn a_number_of_a_round_that_came_to_nothing_is_drawn_again_unless_others_have_higher_ones() {
    let world = World::new();
    let mut reads = Reads::from(world.context());
    let draw = async |reads: &mut Reads<'_>| {
        let drawn = draw_promotion(reads, REPOSITORY).await;
        drawn.expect("the store answers")
    };
    assert_eq!(draw(&mut reads).await, 1);
    reads.again().await.expect("the store answers");
    assert_eq!(draw(&mut reads).await, 1);
    assert_eq!(draw(&mut reads).await, 2);
    let mut others = Reads::from(world.context());
    assert_eq!(draw(&mut others).await, 3);
    reads.again().await.expect("the store answers");
    assert_eq!(draw(&mut reads).await, 4, "1 and 2 would come before 3");
    let (mut change, mut rounds) = (Change::default(), Rounds::default());
    change.create(Key::new("X", "x"), &json!({}));
    let committed = reads.commit(change, &mut rounds).await;
    assert!(committed.expect("the store answers"));
    reads.again().await.expect("the store answers");
    assert_eq!(draw(&mut reads).await, 5, "4 may have been used");
}

/// A list continues where a page of the store ends: DynamoDB ends one at 1 MB, and each store at 1,000.
#[tokio::test]
async fn a_list_is_read_to_its_end() {
    let world = World::new();
    let rows = (0..1_001).map(|number| Row {
        key: Key::new("P", format!("{number:04}")),
        body: json!({ "number": number }).into(),
    });
    let rows: Vec<Row> = rows.collect();
    for rows in rows.chunks(1_000) {
        world
            .store
            .put_rows(rows.to_vec())
            .await
            .expect("it takes them");
    }
    let context = world.context();
    let whole: Vec<serde_json::Value> = context.whole("P").await.expect("readable");
    assert_eq!(whole.len(), 1_001);
    assert_eq!(whole[1_000], json!({ "number": 1_000 }));
    let listed: Vec<serde_json::Value> = context.list(&Query::all("P")).await.expect("readable");
    assert_eq!(listed.len(), 1_000);
}

/// What waits for a service is announced once that allows something again; what waits for another is not.
#[tokio::test]
async fn what_was_denied_is_announced_when_the_service_allows_it_again() {
    let world = World::new();
    let context = world.context();
    for (promotion, by) in [(1, Some(Service::Aws)), (2, Some(Service::Git)), (3, None)] {
        let owed = alone(&world, due(promotion)).await;
        let obstacle = by.map(|by| Obstacle {
            by,
            said: "denied".into(),
        });
        let obstructed = context.obstruct(&owed, obstacle.as_ref()).await;
        obstructed.expect("the store answers");
    }
    let announced = async || {
        context.release_passed().await.expect("the store answers");
        let taken = world.bus.take();
        let taken = taken
            .iter()
            .map(|it| it.detail["intent"]["promotion"].clone());
        taken.collect::<Vec<_>>()
    };
    drop(world.bus.take());
    assert_eq!(announced().await, [json!(null); 0]);
    context
        .passed(Service::Aws)
        .await
        .expect("the store answers");
    context
        .passed(Service::Secrets)
        .await
        .expect("the store answers");
    assert_eq!(announced().await, [json!(1)]);
    assert_eq!(announced().await, [json!(null); 0], "once");
}

/// The time between two tries doubles, to an hour if a person must act and to ten minutes otherwise.
#[tokio::test]
async fn what_waits_for_a_person_is_tried_ever_more_rarely() {
    let world = World::new();
    let mut owed = alone(&world, due(1)).await;
    for (obstacle, most) in [(None, 600), (Some(Service::Aws), 3_600)] {
        owed.tries = 0;
        owed.obstacle = obstacle.map(|by| Obstacle {
            by,
            said: "denied".into(),
        });
        let mut waits = Vec::new();
        for _ in 0..9 {
            owed = owed.again(owed.due);
            let waited = owed.again(owed.due).due.duration_since(owed.due);
            waits.push(waited.as_secs());
        }
        assert!(waits.is_sorted() && waits[0] <= 120, "{waits:?}");
        assert_eq!(waits.last(), Some(&most), "{waits:?}");
    }
}
