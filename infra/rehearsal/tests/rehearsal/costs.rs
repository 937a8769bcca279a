//! The requests of one run to AWS, and their cost.

use std::collections::{BTreeMap, HashMap};

use anyhow::ensure;
use serde_json::Value;
use towline_rehearsal::recording::Request;

use super::driver::Driver;

/// The most requests of one run. Here it makes 71, in the simulation 72; the rest is room for one repeated
/// event. The aim is 45; never raise this value.
const MOST_REQUESTS: usize = 75;

/// The most dollars for 1,000 runs, without the functions' duration, which depends on this machine. The aim
/// is 0.06 including it; never raise this value.
const MOST_DOLLARS: f64 = 0.10;

/// Dollars for a million of each, in us-east-1.
const WRITE_UNITS: f64 = 0.625;
const READ_UNITS: f64 = 0.125;
const EVENTS: f64 = 1.0;
const INVOCATIONS: f64 = 0.20;
const API_REQUESTS: f64 = 1.0;
const SECRET_READS: f64 = 5.0;
/// Dollars for a gigabyte-second on arm64.
const GIGABYTE_SECOND: f64 = 0.000_013_333_4;
/// Dollars for a gigabyte of logs.
const LOG_GIGABYTE: f64 = 0.50;
/// Gigabytes of memory of a function.
const MEMORY: f64 = 0.25;

#[derive(Default)]
struct Bill {
    write_units: f64,
    read_units: f64,
    events: f64,
    secret_reads: f64,
    changes: f64,
}

/// The counters before a run.
pub struct Before {
    mark: usize,
    invocations: Invocations,
}

impl Before {
    pub async fn now(driver: &Driver<'_>) -> anyhow::Result<Self> {
        Ok(Self {
            mark: driver.stack.proxy.recording().mark(),
            invocations: invocations(driver).await?,
        })
    }
}

/// The functions' work, from their logs.
#[derive(Default)]
struct Invocations {
    count: f64,
    webhooks: f64,
    milliseconds: f64,
    logged: f64,
}

/// Counts the requests since then, and compares them with the aims.
pub async fn of_one_run(driver: &Driver<'_>, before: anyhow::Result<Before>) -> anyhow::Result<()> {
    let before = before?;
    let requests = driver.stack.proxy.recording().since(before.mark);
    let own = requests.iter().filter(|request| !is_asking(request));
    let own: Vec<&Request> = own.collect();
    let mut table: BTreeMap<(&str, &str, &str), (usize, usize)> = BTreeMap::new();
    for request in &own {
        let key = (
            request.function.as_str(),
            request.service.as_str(),
            request.operation.as_str(),
        );
        let counted = table.entry(key).or_default();
        *counted = (counted.0 + 1, counted.1 + request.size);
    }
    println!(
        "\n| function | service | operation | requests | bytes sent |\n| --- | --- | --- | ---: | ---: |"
    );
    for ((function, service, operation), (count, bytes)) in &table {
        println!("| {function} | {service} | {operation} | {count} | {bytes} |");
    }
    let bill = bill(&own);
    let (then, now) = (before.invocations, invocations(driver).await?);
    let gigabyte_seconds = (now.milliseconds - then.milliseconds) / 1000.0 * MEMORY;
    // Webhooks and people's changes; questions are not part of a run.
    let api_requests = now.webhooks - then.webhooks + bill.changes;
    let logged = now.logged - then.logged;
    let parts = [
        ("DynamoDB, write units", bill.write_units, WRITE_UNITS / 1e6),
        ("DynamoDB, read units", bill.read_units, READ_UNITS / 1e6),
        ("EventBridge, events", bill.events, EVENTS / 1e6),
        (
            "Lambda, invocations",
            now.count - then.count + bill.changes,
            INVOCATIONS / 1e6,
        ),
        (
            "Lambda, gigabyte-seconds",
            gigabyte_seconds,
            GIGABYTE_SECOND,
        ),
        ("HTTP API, requests", api_requests, API_REQUESTS / 1e6),
        (
            "Secrets Manager, reads",
            bill.secret_reads,
            SECRET_READS / 1e6,
        ),
        ("Logs, megabytes", logged / 1e6, LOG_GIGABYTE / 1e3),
    ];
    println!("\n| part | in one run | $ per 1,000 runs |\n| --- | ---: | ---: |");
    let mut total = 0.0;
    for (name, count, price) in parts {
        let dollars = count * price * 1000.0;
        total += dollars;
        println!("| {name} | {count:.3} | {dollars:.4} |");
    }
    println!("| together | {} requests | {total:.4} |\n", own.len());
    ensure!(
        own.len() <= MOST_REQUESTS,
        "one run takes {} requests, more than {MOST_REQUESTS}",
        own.len()
    );
    let untimed = total - gigabyte_seconds * GIGABYTE_SECOND * 1000.0;
    ensure!(
        untimed <= MOST_DOLLARS,
        "1,000 runs cost ${untimed:.4} without their time, more than ${MOST_DOLLARS}"
    );
    Ok(())
}

/// Whether a request does not belong to the run: the sweep works without runs too, and this test asks
/// for the state all the time.
fn is_asking(request: &Request) -> bool {
    let reads = ["GetItem", "Query", "GetSecretValue", "BatchGetItem"];
    request.function == "sweep"
        || (request.function == "answer-chat" && reads.contains(&request.operation.as_str()))
}

/// What AWS would bill.
fn bill(requests: &[&Request]) -> Bill {
    let mut bill = Bill::default();
    let mut sizes: HashMap<String, (usize, Option<String>)> = HashMap::new();
    for request in requests.iter().filter(|request| request.status == 200) {
        let body = &request.body;
        match request.operation.as_str() {
            "PutItem" => bill.write_units += put(&body["Item"], &mut sizes),
            "BatchWriteItem" => bill.write_units += rows(body, &mut sizes),
            "UpdateItem" => bill.write_units += update(body, &mut sizes),
            "DeleteItem" => bill.write_units += delete(&body["Key"], &mut sizes),
            "TransactWriteItems" => {
                if request.function == "answer-chat" {
                    bill.changes += 1.0;
                }
                for part in body["TransactItems"].as_array().into_iter().flatten() {
                    // A transaction costs twice, but not what it does to the index.
                    let (base, index) = part_units(part, &mut sizes);
                    bill.write_units += 2.0 * base + index;
                }
            }
            "GetItem" => bill.read_units += read(&request.answer["Item"]),
            "BatchGetItem" => bill.read_units += batch(request),
            "Query" => {
                let items = request.answer["Items"].as_array().into_iter().flatten();
                let bytes: usize = items.map(size).sum();
                bill.read_units += quarters(bytes);
            }
            "PutEvents" => bill.events += body["Entries"].as_array().map_or(0, Vec::len) as f64,
            "GetSecretValue" => bill.secret_reads += 1.0,
            _ => {}
        }
    }
    bill
}

type Sizes = HashMap<String, (usize, Option<String>)>;

fn part_units(part: &Value, sizes: &mut Sizes) -> (f64, f64) {
    if !part["Put"].is_null() {
        put_parts(&part["Put"]["Item"], sizes)
    } else if !part["Update"].is_null() {
        update_parts(&part["Update"], sizes)
    } else {
        delete_parts(&part["Delete"]["Key"], sizes)
    }
}

fn put(item: &Value, sizes: &mut Sizes) -> f64 {
    let (base, index) = put_parts(item, sizes);
    base + index
}

/// Each row of a batch costs the same as a single write.
fn rows(body: &Value, sizes: &mut Sizes) -> f64 {
    let tables = body["RequestItems"].as_object().into_iter().flatten();
    let writes = tables.flat_map(|(_, writes)| writes.as_array().into_iter().flatten());
    writes
        .map(|write| put(&write["PutRequest"]["Item"], sizes))
        .sum()
}

fn update(update: &Value, sizes: &mut Sizes) -> f64 {
    let (base, index) = update_parts(update, sizes);
    base + index
}

fn delete(key: &Value, sizes: &mut Sizes) -> f64 {
    let (base, index) = delete_parts(key, sizes);
    base + index
}

/// The larger of the old and the new item counts, and then the index.
fn put_parts(item: &Value, sizes: &mut Sizes) -> (f64, f64) {
    let before = known(item, sizes);
    let due = item["due"]["N"].as_str().map(str::to_owned);
    let bytes = size(item);
    sizes.insert(name(item), (bytes, due.clone()));
    let index = index_units(&before, bytes, due.as_ref());
    (kilobytes(bytes.max(before.0)), index)
}

fn update_parts(update: &Value, sizes: &mut Sizes) -> (f64, f64) {
    let values = &update["ExpressionAttributeValues"];
    let key = &update["Key"];
    let bytes = size(key) + size(values);
    let due = values[":due"]["N"].as_str().map(str::to_owned);
    let before = known(key, sizes);
    sizes.insert(name(key), (bytes, due.clone()));
    let index = index_units(&before, bytes, due.as_ref());
    (kilobytes(bytes.max(before.0)), index)
}

fn delete_parts(key: &Value, sizes: &mut Sizes) -> (f64, f64) {
    let before = known(key, sizes);
    sizes.remove(&name(key));
    let index = index_units(&before, 0, None);
    (kilobytes(before.0), index)
}

/// The index has keys only: it is written when the due time changes, which takes the old entry out
/// and puts the new one in (DynamoDB developer guide, "Write throughput considerations").
fn index_units(before: &(usize, Option<String>), bytes: usize, due: Option<&String>) -> f64 {
    let (old, new) = (before.1.as_ref(), due);
    let removed = old
        .filter(|old| Some(*old) != new)
        .map(|_| kilobytes(before.0));
    let written = new
        .filter(|new| Some(*new) != old)
        .map(|_| kilobytes(bytes));
    removed.unwrap_or_default() + written.unwrap_or_default()
}

fn known(key: &Value, sizes: &Sizes) -> (usize, Option<String>) {
    sizes.get(&name(key)).cloned().unwrap_or_default()
}

fn name(item: &Value) -> String {
    format!("{} {}", item["partition"]["S"], item["sort"]["S"])
}

/// Bytes of an item: names and values.
fn size(item: &Value) -> usize {
    let attributes = item.as_object().into_iter().flatten();
    attributes
        .map(|(name, value)| {
            let text = value["S"].as_str().map(str::len);
            // A number needs one byte per two digits, and one more.
            let number = value["N"].as_str().map(|digits| digits.len() / 2 + 2);
            // Three bytes are four characters here.
            let bytes = value["B"].as_str().map(|text| text.len() / 4 * 3);
            name.len() + text.or(number).or(bytes).unwrap_or(1)
        })
        .sum()
}

/// Write units: one for each started kilobyte.
fn kilobytes(bytes: usize) -> f64 {
    bytes.div_ceil(1024).max(1) as f64
}

/// Read units of a consistent read: one for each four started kilobytes.
fn quarters(bytes: usize) -> f64 {
    bytes.div_ceil(4096).max(1) as f64
}

fn read(item: &Value) -> f64 {
    quarters(size(item))
}

/// Each item separately; a missing item counts as the smallest.
fn batch(request: &Request) -> f64 {
    let tables = |value: &Value| value.as_object().cloned().into_iter().flatten();
    let asked: usize = tables(&request.body["RequestItems"])
        .map(|(_, of)| of["Keys"].as_array().map_or(0, Vec::len))
        .sum();
    let left: usize = tables(&request.answer["UnprocessedKeys"])
        .map(|(_, of)| of["Keys"].as_array().map_or(0, Vec::len))
        .sum();
    let answered: Vec<Value> = tables(&request.answer["Responses"])
        .flat_map(|(_, items)| items.as_array().cloned().unwrap_or_default())
        .collect();
    let missing = (asked - left).saturating_sub(answered.len());
    answered.iter().map(read).sum::<f64>() + missing as f64
}

/// Invocations of the functions so far except those that only answer or sweep, their billed
/// milliseconds, and the bytes they logged.
async fn invocations(driver: &Driver<'_>) -> anyhow::Result<Invocations> {
    let mut all = Invocations::default();
    for function in towline_rehearsal::stack::FUNCTIONS {
        if ["answer-chat", "sweep"].contains(function) {
            continue;
        }
        for line in driver.stack.log(function).await? {
            all.logged += line.len() as f64 + 26.0;
            let Some((_, rest)) = line.split_once("Billed Duration: ") else {
                continue;
            };
            all.count += 1.0;
            if *function == "receive-github" {
                all.webhooks += 1.0;
            }
            let number = rest.split_whitespace().next().unwrap_or_default();
            all.milliseconds += number.parse::<f64>().unwrap_or_default();
        }
    }
    Ok(all)
}
