//! The part of AWS that this function uses: a table with conditions, a bus, and one secret.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::serve::ListenerExt as _;
use serde_json::{Value, json};

/// AWS on loopback; ends with the test process.
pub struct Aws {
    address: String,
    world: Arc<Mutex<World>>,
    connections: Arc<AtomicUsize>,
}

#[derive(Default)]
struct World {
    secret: String,
    /// How the next reads of the secret are refused: status and code.
    refusals: VecDeque<(u16, &'static str)>,
    /// Items by partition and sort key.
    items: BTreeMap<(String, String), Value>,
    /// What was announced: `detail-type`s.
    announced: Vec<String>,
}

impl Aws {
    /// With this secret, which the first reads are refused.
    pub fn start(secret: &str, refusals: &[(u16, &'static str)]) -> Self {
        let world = Arc::new(Mutex::new(World {
            secret: secret.to_owned(),
            refusals: refusals.iter().copied().collect(),
            ..World::default()
        }));
        let connections = Arc::new(AtomicUsize::new(0));
        let router = Router::new()
            .fallback(answer)
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&world));
        let counted = Arc::clone(&connections);
        let (sender, address) = channel();
        thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                let listener = listener.tap_io(move |_| {
                    counted.fetch_add(1, Ordering::Relaxed);
                });
                axum::serve(listener, router).await.unwrap();
            });
        });
        Self {
            address: format!("http://{}", address.recv().unwrap()),
            world,
            connections,
        }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// The kinds of all events on the bus.
    pub fn announced(&self) -> Vec<String> {
        lock(&self.world).announced.clone()
    }

    /// How many items the table holds.
    pub fn items(&self) -> usize {
        lock(&self.world).items.len()
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(
    State(world): State<Arc<Mutex<World>>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let target = headers["x-amz-target"].to_str().unwrap();
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let (status, answer) = lock(&world).answer(target.rsplit('.').next().unwrap(), &asked);
    (StatusCode::from_u16(status).unwrap(), answer.to_string())
}

impl World {
    fn answer(&mut self, operation: &str, asked: &Value) -> (u16, Value) {
        let answer = match operation {
            "GetSecretValue" if !self.refusals.is_empty() => {
                let (status, code) = self.refusals.pop_front().unwrap();
                return (status, json!({"__type": code}));
            }
            "GetSecretValue" if asked["VersionStage"] == "AWSCURRENT" => {
                json!({"ARN": "arn", "Name": "webhook", "SecretString": self.secret})
            }
            "GetSecretValue" => return (400, json!({"__type": "ResourceNotFoundException"})),
            "Query" => {
                let partition = &asked["ExpressionAttributeValues"][":p"]["S"];
                let items = self.items.iter();
                let items = items.filter(|((known, _), _)| partition == known);
                let items: Vec<_> = items.map(|(_, item)| item).collect();
                json!({"Count": items.len(), "ScannedCount": items.len(), "Items": items})
            }
            "BatchGetItem" => {
                let tables = asked["RequestItems"].as_object().unwrap();
                let (table, keys) = tables.iter().next().unwrap();
                let keys = keys["Keys"].as_array().unwrap().iter();
                let found: Vec<_> = keys.filter_map(|key| self.items.get(&id(key))).collect();
                json!({"Responses": {table: found}, "UnprocessedKeys": {}})
            }
            "TransactWriteItems" => {
                let parts = asked["TransactItems"].as_array().unwrap();
                let held: Vec<_> = parts.iter().map(|part| self.allows(part)).collect();
                if held.contains(&false) {
                    let code = |held| {
                        if held {
                            "None"
                        } else {
                            "ConditionalCheckFailed"
                        }
                    };
                    let reasons = held.into_iter().map(|held| json!({"Code": code(held)}));
                    let reasons: Vec<_> = reasons.collect();
                    let refused = "TransactionCanceledException";
                    return (
                        400,
                        json!({"__type": refused, "CancellationReasons": reasons}),
                    );
                }
                for part in parts {
                    let item = written(part);
                    self.items.insert(id(&item), item);
                }
                json!({})
            }
            "PutItem" => {
                let put = json!({"Put": asked});
                if !self.allows(&put) {
                    return (400, json!({"__type": "ConditionalCheckFailedException"}));
                }
                let item = asked["Item"].clone();
                self.items.insert(id(&item), item);
                json!({})
            }
            "PutEvents" => {
                let entries = asked["Entries"].as_array().unwrap();
                let kinds = entries.iter().map(|entry| entry["DetailType"].as_str());
                self.announced
                    .extend(kinds.map(|kind| kind.unwrap().to_owned()));
                let ids: Vec<_> = entries.iter().map(|_| json!({"EventId": "e"})).collect();
                json!({"FailedEntryCount": 0, "Entries": ids})
            }
            other => panic!("{other} is not what this function asks"),
        };
        (200, answer)
    }

    /// Whether the condition of one part of a transaction holds.
    fn allows(&self, part: &Value) -> bool {
        let Some(put) = part.get("Put") else {
            return true;
        };
        let known = self.items.get(&id(&put["Item"]));
        if put.get("ConditionExpression").is_none() {
            return true;
        }
        match put["ExpressionAttributeValues"].get(":read") {
            None => known.is_none(),
            Some(version) => known.is_some_and(|item| item["version"] == *version),
        }
    }
}

/// The item after one part of a transaction; this function writes whole items, and bodies without a
/// condition.
fn written(part: &Value) -> Value {
    if let Some(put) = part.get("Put") {
        return put["Item"].clone();
    }
    let update = &part["Update"];
    let mut item = update["Key"].clone();
    item["version"] = json!({"N": "1"});
    item["body"] = update["ExpressionAttributeValues"][":body"].clone();
    item
}

fn id(item: &Value) -> (String, String) {
    let part = |name: &str| item[name]["S"].as_str().unwrap().to_owned();
    (part("partition"), part("sort"))
}
