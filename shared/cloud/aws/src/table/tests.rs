//! The requests to DynamoDB, and the meaning of each refusal.

use serde_json::{Value, json};
use towline_ports::{Content, Key, Query, Row, Store as _, TransactError, Write};

use crate::testing::{Answer, Service, broken, ok, refused, refused_with, said};

fn key(sort: &str) -> Key {
    Key::new("p", sort)
}

fn create(sort: &str) -> Write {
    Write::Create {
        key: key(sort),
        body: json!({}).into(),
        due: None,
    }
}

fn stored(sort: &str) -> Value {
    json!({
        "partition": { "S": "p" }, "sort": { "S": sort },
        "version": { "N": "1" }, "body": { "S": "{}" }, "due": { "N": "5" },
    })
}

fn cancelled(codes: &[&str]) -> Answer {
    let reasons: Vec<Value> = codes.iter().map(|code| json!({ "Code": code })).collect();
    let reasons = json!({ "CancellationReasons": reasons });
    refused_with("TransactionCanceledException", &reasons)
}

/// The result of the writes in a few words, and the operations.
async fn write(writes: Vec<Write>, answers: Vec<Answer>) -> (String, Vec<String>) {
    let (service, aws) = Service::start(answers).await;
    let outcome = match aws.table("t").transact(writes).await {
        Ok(()) => "done".to_owned(),
        Err(TransactError::Conflict(key)) => format!("conflict at {}", key.sort),
        Err(TransactError::Port(error)) => said(&error),
    };
    (outcome, service.operations())
}

#[tokio::test]
async fn one_change_is_no_transaction_and_each_refusal_means_one_thing() {
    let due = Some(jiff::Timestamp::UNIX_EPOCH);
    let body = Content::from(json!({}));
    let put = Write::Put {
        key: key("a"),
        body: body.clone(),
        due,
    };
    let replace = Write::Replace {
        key: key("a"),
        version: 1,
        body,
        due,
    };
    let delete = Write::Delete {
        key: key("a"),
        version: 1,
    };
    let fine = || ok(json!({}));
    let busy = || refused("TransactionConflictException");
    let held = || refused("ConditionalCheckFailedException");
    let denied = "AccessDeniedException";
    let said = r#"writing ("p", "a"): AccessDeniedException: because of AccessDeniedException"#;
    for (write_, answers, outcome, operations) in [
        (create("a"), vec![fine()], "done", vec!["PutItem"]),
        (create("a"), vec![held()], "conflict at a", vec!["PutItem"]),
        (
            create("a"),
            vec![broken(), fine()],
            "done",
            vec!["PutItem"; 2],
        ),
        (
            create("a"),
            vec![busy(), fine()],
            "done",
            vec!["PutItem"; 2],
        ),
        (
            create("a"),
            vec![busy(); 6],
            "conflict at a",
            vec!["PutItem"; 6],
        ),
        (create("a"), vec![refused(denied)], said, vec!["PutItem"]),
        (replace, vec![held()], "conflict at a", vec!["PutItem"]),
        (put.clone(), vec![fine()], "done", vec!["UpdateItem"]),
        (put, vec![busy(), fine()], "done", vec!["UpdateItem"; 2]),
        (delete.clone(), vec![fine()], "done", vec!["DeleteItem"]),
        (
            delete.clone(),
            vec![held()],
            "conflict at a",
            vec!["DeleteItem"],
        ),
        (delete, vec![busy(), fine()], "done", vec!["DeleteItem"; 2]),
    ] {
        let found = write(vec![write_], answers).await;
        assert_eq!(
            (found.0.as_str(), found.1),
            (
                outcome,
                operations.iter().map(ToString::to_string).collect()
            )
        );
    }
}

#[tokio::test]
async fn several_changes_are_one_transaction_and_the_first_condition_that_fails_is_named() {
    let fine = || ok(json!({}));
    let contended = || cancelled(&["TransactionConflict", "None"]);
    let in_progress = || refused("TransactionInProgressException");
    for (answers, outcome, requests) in [
        (vec![fine()], "done", 1),
        (
            vec![cancelled(&["None", "ConditionalCheckFailed"])],
            "conflict at b",
            1,
        ),
        (
            vec![cancelled(&[
                "ConditionalCheckFailed",
                "ConditionalCheckFailed",
            ])],
            "conflict at a",
            1,
        ),
        (
            vec![cancelled(&[
                "TransactionConflict",
                "ConditionalCheckFailed",
            ])],
            "conflict at b",
            1,
        ),
        (vec![contended(), fine()], "done", 2),
        (vec![contended(); 6], "conflict at a", 6),
        (vec![in_progress(), fine()], "done", 2),
        (
            vec![
                cancelled(&["ThrottlingError", "TransactionConflict"]),
                cancelled(&["None", "ProvisionedThroughputExceeded"]),
                cancelled(&["RequestLimitExceeded", "None"]),
                fine(),
            ],
            "done",
            4,
        ),
        (
            vec![cancelled(&["None", "ThrottlingError"]); 6],
            "writing 2 items together (ThrottlingError): TransactionCanceledException: because of TransactionCanceledException",
            6,
        ),
        (
            vec![cancelled(&["None", "ValidationError"])],
            "writing 2 items together (ValidationError): TransactionCanceledException: because of TransactionCanceledException",
            1,
        ),
    ] {
        let found = write(vec![create("a"), create("b")], answers).await;
        assert_eq!(
            found,
            (
                outcome.to_owned(),
                vec!["TransactWriteItems".to_owned(); requests]
            )
        );
    }
}

#[tokio::test]
async fn a_repeated_transaction_has_the_same_token_and_a_new_one_another() {
    let (service, aws) = Service::start([
        broken(),
        refused("TransactionInProgressException"),
        cancelled(&["TransactionConflict", "None"]),
        ok(json!({})),
    ])
    .await;
    // Received facts have an expiry, computed from the time.
    let put = Write::Put {
        key: Key::new("INBOX#1", "s"),
        body: json!({}).into(),
        due: Some(jiff::Timestamp::UNIX_EPOCH),
    };
    let writes = vec![create("a"), put];
    aws.table("t").transact(writes).await.expect("in the end");
    let asked = service.asked();
    assert!(asked[0] == asked[1] && asked[1] == asked[2], "{asked:?}");
    let tokens: Vec<&Value> = asked
        .iter()
        .map(|(_, asked)| &asked["ClientRequestToken"])
        .collect();
    assert!(
        tokens[0] == tokens[1] && tokens[1] == tokens[2] && tokens[2] != tokens[3],
        "{tokens:?}"
    );
    assert!(
        tokens
            .iter()
            .all(|token| token.as_str().is_some_and(|token| token.len() <= 36))
    );
}

/// The answer to the first request is lost, but the item is written.
#[tokio::test]
async fn a_write_knows_its_own_work_when_it_is_repeated() {
    fn held(item: &Value) -> Answer {
        let more = json!({ "Item": item });
        refused_with("ConditionalCheckFailedException", &more)
    }
    let own = Answer::Of(|asked| held(&asked["Item"]));
    let (service, aws) = Service::start([broken(), own]).await;
    let written = aws.table("t").transact(vec![create("a")]).await;
    written.expect("it is written");
    assert_eq!(service.operations(), ["PutItem", "PutItem"]);

    let (_service, aws) = Service::start([held(&stored("a"))]).await;
    let other = aws.table("t").transact(vec![create("a")]).await;
    assert!(matches!(other, Err(TransactError::Conflict(_))));
}

#[tokio::test]
async fn what_came_in_and_owes_nothing_may_be_forgotten_after_a_month_and_nothing_else() {
    let soon = Some(jiff::Timestamp::UNIX_EPOCH);
    for (partition, due, expected) in [
        ("INBOX#1", None, true),
        ("INBOX#1", soon, false),
        ("INTENT#1", None, false),
        ("RUN#INBOX#", None, false),
    ] {
        let (service, aws) = Service::start([ok(json!({})), ok(json!({}))]).await;
        let (key, body) = (Key::new(partition, "s"), Content::from(json!({})));
        let table = aws.table("t");
        let create = Write::Create {
            key: key.clone(),
            body: body.clone(),
            due,
        };
        table.transact(vec![create]).await.expect("it is written");
        let put = Write::Put { key, body, due };
        table.transact(vec![put]).await.expect("it is written");
        let asked = service.asked();
        assert_eq!(
            asked[0].1["Item"].get("expires").is_some(),
            expected,
            "{partition}"
        );
        let values = &asked[1].1["ExpressionAttributeValues"];
        assert_eq!(values.get(":expires").is_some(), expected, "{partition}");
    }
}

#[tokio::test]
async fn rows_are_written_in_batches_and_what_was_left_out_again() {
    let rows = |many: usize| {
        let row = |number: usize| Row {
            key: key(&number.to_string()),
            body: json!({}).into(),
        };
        (0..many).map(row).collect::<Vec<_>>()
    };
    let put = json!({ "PutRequest": { "Item": stored("3") } });
    let left = ok(json!({ "UnprocessedItems": { "t": [put] } }));
    let all = || ok(json!({ "UnprocessedItems": {} }));
    for (many, answers, operations) in [
        (1, vec![ok(json!({}))], vec!["PutItem"]),
        (25, vec![all()], vec!["BatchWriteItem"]),
        (26, vec![all(), all()], vec!["BatchWriteItem"; 2]),
        (4, vec![left, all()], vec!["BatchWriteItem"; 2]),
    ] {
        let (service, aws) = Service::start(answers).await;
        let written = aws.table("t").put_rows(rows(many)).await;
        written.expect("they are written");
        assert_eq!(service.operations(), operations, "{many} rows");
    }
}

#[tokio::test]
async fn a_long_content_is_kept_deflated_and_read_as_it_was() {
    let body = Content::from(json!({ "text": "the same again ".repeat(100) }));
    let (service, aws) = Service::start([ok(json!({}))]).await;
    let write = Write::Create {
        key: key("a"),
        body: body.clone(),
        due: None,
    };
    aws.table("t").transact(vec![write]).await.expect("written");
    let item = service.asked()[0].1["Item"].clone();
    let kept = item["body"]["B"].as_str().expect("bytes");
    assert!(kept.len() < 200, "{} characters", kept.len());
    let (_service, aws) = Service::start([ok(json!({ "Item": item }))]).await;
    let read = aws.table("t").get(&key("a")).await.expect("an answer");
    assert_eq!(read.expect("an item").body, body);
}

#[tokio::test]
async fn a_query_goes_on_over_pages_until_it_has_what_was_asked_for() {
    let page = |sorts: &[&str], last: Option<&str>| {
        let items: Vec<Value> = sorts.iter().map(|sort| stored(sort)).collect();
        let last = last.map(|sort| json!({ "partition": { "S": "p" }, "sort": { "S": sort } }));
        ok(json!({ "Items": items, "LastEvaluatedKey": last }))
    };
    let (service, aws) = Service::start([
        page(&["a"], Some("a")),
        page(&[], Some("b")),
        page(&["c", "d"], Some("d")),
    ])
    .await;
    let table = aws.table("t");
    let found = table
        .query(&Query::all("p").limit(3))
        .await
        .expect("it answers");
    let sorts: Vec<_> = found.items.iter().map(|item| &*item.key.sort).collect();
    assert_eq!(
        (sorts, found.next.as_deref()),
        (vec!["a", "c", "d"], Some("d"))
    );
    let asked = service.asked();
    let limits: Vec<_> = asked
        .iter()
        .map(|(_, asked)| asked["Limit"].clone())
        .collect();
    assert_eq!(limits, [3, 2, 2]);
    assert!(
        asked
            .iter()
            .all(|(_, asked)| asked["ConsistentRead"] == true)
    );
    assert_eq!(asked[2].1["ExclusiveStartKey"]["sort"]["S"], "b");
}

#[tokio::test]
async fn what_is_due_is_read_again_and_what_was_left_out_is_asked_for_again() {
    let index = |sorts: &[&str]| {
        let items: Vec<Value> = sorts.iter().map(|sort| stored(sort)).collect();
        ok(json!({ "Items": items }))
    };
    let left = |sorts: &[&str]| {
        let keys = sorts
            .iter()
            .map(|sort| json!({ "partition": { "S": "p" }, "sort": { "S": sort } }));
        json!({ "t": { "Keys": keys.collect::<Vec<_>>() } })
    };
    let mut later = stored("b");
    later["due"] = json!({ "N": "99" });
    let (service, aws) = Service::start([
        index(&["a", "b"]),
        index(&[]),
        index(&["c", "gone"]),
        index(&[]),
        ok(json!({ "Responses": { "t": [later] }, "UnprocessedKeys": left(&["a", "c"]) })),
        ok(json!({ "Responses": { "t": [] }, "UnprocessedKeys": left(&["a", "c"]) })),
        ok(json!({ "Responses": { "t": [stored("c"), stored("a")] } })),
    ])
    .await;
    let until = jiff::Timestamp::from_nanosecond(9).expect("a time");
    let due = aws.table("t").due(until, 10).await.expect("it answers");
    assert!(due.complete);
    let sorts: Vec<_> = due.items.iter().map(|item| &*item.key.sort).collect();
    assert_eq!(sorts, ["a", "c"]);
    let asked = service.asked();
    let mut parts: Vec<_> = asked[..4]
        .iter()
        .map(|(_, asked)| asked["ExpressionAttributeValues"][":part"]["S"].as_str())
        .collect();
    parts.sort_unstable();
    assert_eq!(parts, [Some("0"), Some("1"), Some("2"), Some("3")]);
    assert!(
        asked[4..]
            .iter()
            .all(|(_, asked)| asked["RequestItems"]["t"]["ConsistentRead"] == true)
    );

    let none = || ok(json!({ "Responses": {}, "UnprocessedKeys": left(&["a"]) }));
    let answers = [index(&["a"]), index(&[]), index(&[]), index(&[])].into_iter();
    let (_service, aws) =
        Service::start(answers.chain([none(), none(), none(), none(), none(), none()])).await;
    let error = aws
        .table("t")
        .due(until, 10)
        .await
        .expect_err("never answered");
    assert_eq!(
        said(&error),
        "reading what is due: DynamoDB left out 1 items 6 times"
    );
}

#[tokio::test]
async fn an_item_of_another_shape_is_an_error_and_no_panic() {
    for (attribute, value) in [
        ("version", json!({ "N": "-1" })),
        ("version", json!({ "BOOL": true })),
        ("body", json!({ "S": "{" })),
        ("due", json!({ "N": "1e300" })),
        (
            "due",
            json!({ "N": "99999999999999999999999999999999999999" }),
        ),
    ] {
        let mut item = stored("a");
        item[attribute] = value;
        let (_service, aws) = Service::start([ok(json!({ "Item": item }))]).await;
        assert!(aws.table("t").get(&key("a")).await.is_err(), "{attribute}");
    }
}
