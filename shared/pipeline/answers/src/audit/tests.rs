//! Each decision is one row with its door, and a ledger that was changed is found.

use serde_json::{Value, json};
use towline_ports::{Query as StoreQuery, Row as StoreRow, Store as _};

use super::row::{AuditRow, LedgerState};
use crate::tests::{ROLE, TOKEN, World, now, request};
use crate::{Answer, Query, query};
use towline_wire::http::{CALLER_ARN, Request};

/// lee, by a token.
const LEE: &[(&str, &str)] = &[("authorization", "Bearer the token of lee")];

/// Sends a command, and returns the status and what was said.
fn tell(world: &World, path: &str, headers: &[(&str, &str)], body: &Value) -> (u16, String) {
    let command = Request {
        body: body.to_string().into_bytes(),
        ..request("POST", path, headers)
    };
    let response = now(world.door().answer(command));
    let body: Value = serde_json::from_slice(&response.body).expect("JSON");
    let said = body["message"].as_str().or(body["error"].as_str());
    (response.status, said.expect("a sentence").to_owned())
}

/// All rows and all breaks, over all pages.
fn audit(world: &World, query: query::Audit) -> (Vec<AuditRow>, Vec<LedgerState>) {
    let (mut all, mut broken, mut query) = (Vec::new(), Vec::new(), query);
    loop {
        match world.answer(Query::Audit(query.clone())) {
            Ok(Answer::Audit { rows, breaks, next }) => {
                all.extend(rows);
                broken.extend(breaks);
                match next {
                    Some(next) => query.after = Some(next),
                    None => return (all, broken),
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

fn verify(world: &World) -> Vec<LedgerState> {
    let (mut all, mut query) = (Vec::new(), query::Verify::default());
    loop {
        match world.answer(Query::Verify(query.clone())) {
            Ok(Answer::Verify { ledgers, next }) => {
                all.extend(ledgers);
                match next {
                    Some(next) => query.after = Some(next),
                    None => return all,
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The decisions of people, in the order in which they were made.
fn decisions(world: &World) -> Vec<String> {
    let (mut rows, _) = audit(world, query::Audit::default());
    rows.retain(|row| row.door.is_some());
    rows.reverse();
    rows.sort_by_key(|row| row.at);
    let line = |row: &AuditRow| {
        let door = row.door.map(towline_domain::person::Door::word);
        let reason = row.reason.as_deref().unwrap_or("-");
        let (action, result) = (row.action.word(), row.result.word());
        let door = door.unwrap_or_default();
        format!("{} {door} {action} {result}: {reason}", row.actor)
    };
    rows.iter().map(line).collect()
}

#[test]
fn s23_each_decision_is_one_row_and_a_denial_is_answered_403() {
    let world = World::with_a_push("Fix the cart");
    let terminal = [LEE[0], ("user-agent", "towline/0.1.0")];
    let kim = [(CALLER_ARN, ROLE)];
    let kim_session = "arn:aws:sts::111122223333:assumed-role/Deployers/kim";
    let kim = [(kim[0].0, kim_session)];
    let stage = |reason: &str| json!({"component": "web", "stage": "staging", "reason": reason});
    let staging = json!({"component": "web", "stage": "staging"});
    let promote = json!({"component": "web", "stage": "prod", "image": "build#1"});
    for (path, who, body, status) in [
        ("/v1/approve", LEE, json!({"promotion": 1}), 403),
        ("/v1/approve", &terminal, json!({"promotion": 2}), 200),
        ("/v1/approve", LEE, json!({"promotion": 2}), 403),
        ("/v1/promote", LEE, promote, 403),
        (
            "/aws/v1/reject",
            &kim,
            json!({"promotion": 2, "reason": "late"}),
            200,
        ),
        ("/aws/v1/approve", &kim, json!({"promotion": 2}), 403),
        (
            "/v1/reject",
            LEE,
            json!({"promotion": 2, "reason": "too"}),
            403,
        ),
        ("/v1/hold", LEE, stage("incident 4711"), 200),
        ("/v1/hold", LEE, stage("again"), 403),
        ("/v1/resume", LEE, staging.clone(), 200),
        ("/v1/resume", LEE, staging.clone(), 403),
        ("/v1/rollback", LEE, staging, 403),
        ("/v1/cancel", LEE, json!({"build": 1}), 403),
        ("/v1/retry", &terminal, json!({"build": 1}), 403),
        // What could not be understood or found is no decision.
        ("/v1/approve", LEE, json!({"promotion": 99}), 409),
        ("/v1/hold", LEE, stage(""), 409),
        ("/v1/cancel", LEE, json!({"build": 99}), 409),
    ] {
        let (answered, said) = tell(&world, path, who, &body);
        assert_eq!(answered, status, "{path}: {said}");
        world.clock.advance(std::time::Duration::from_secs(60));
    }
    expect_test::expect![[r#"
        lee api approve denied: promotion #1 is already closed
        lee terminal approve done: -
        lee api approve denied: @lee has already approved promotion #2
        lee api promote denied: f3b710c is already waiting for prod, as promotion #2
        kim iam reject done: late
        kim iam approve denied: promotion #2 is already closed
        lee api reject denied: promotion #2 is already closed
        lee api hold done: incident 4711
        lee api hold denied: staging is already held by @lee since 2026-03-02 09:14 UTC: incident 4711
        lee api resume done: -
        lee api resume denied: staging is not held
        lee api rollback denied: no image older than f3b710c has been live in staging
        lee api cancel denied: no build of web is running for f3b710c
        lee terminal retry denied: build#1 of web succeeded; retry works on a build that failed or was stopped"#]].assert_eq(&decisions(&world).join("\n"));
    assert!(verify(&world).iter().all(|known| known.breaks_at.is_none()));
}

#[test]
fn s23_a_build_that_is_stopped_and_repeated_leaves_a_row_for_each() {
    let world = World::new();
    world.push("Fix the cart");
    world.act();
    for (path, status) in [
        ("/v1/cancel", 200),
        ("/v1/cancel", 403),
        ("/v1/retry", 200),
        ("/v1/retry", 403),
    ] {
        let (answered, said) = tell(&world, path, LEE, &json!({"build": 1}));
        assert_eq!(answered, status, "{path}: {said}");
        world.clock.advance(std::time::Duration::from_secs(60));
    }
    expect_test::expect![[r#"
        lee api cancel done: -
        lee api cancel denied: no build of web is running for f3b710c
        lee api retry done: repeated as build#2
        lee api retry denied: build#1 was followed by build#2; name that one"#]]
    .assert_eq(&decisions(&world).join("\n"));
}

#[test]
fn s23_pages_have_no_end_but_the_last_row() {
    let world = World::with_a_push("Fix the cart");
    for _ in 0..600 {
        let (status, said) = tell(&world, "/v1/approve", LEE, &json!({"promotion": 1}));
        assert_eq!(status, 403, "{said}");
    }
    let (status, _) = tell(&world, "/v1/cancel", LEE, &json!({"build": 1}));
    assert_eq!(status, 403);
    let (all, breaks) = audit(&world, query::Audit::default());
    assert_eq!(breaks, []);
    let staging = |row: &&AuditRow| {
        row.place
            .stage
            .as_ref()
            .is_some_and(|it| it.as_str() == "staging")
    };
    let sequences: Vec<u64> = all.iter().filter(staging).map(|row| row.sequence).collect();
    let expected: Vec<u64> = (1..=602).rev().collect();
    assert_eq!(sequences, expected);
    assert_eq!(
        verify(&world).iter().map(|known| known.rows).sum::<u64>(),
        all.len() as u64
    );
    let check = |query: query::Audit, expected: usize| {
        let (rows, _) = audit(&world, query.clone());
        assert_eq!(rows.len(), expected, "{query:?}");
    };
    let any = query::Audit::default;
    let name = |text: &str| Some(text.to_owned());
    check(
        query::Audit {
            person: name("@LEE"),
            ..any()
        },
        601,
    );
    check(
        query::Audit {
            person: name("towline"),
            ..any()
        },
        all.len() - 601,
    );
    check(
        query::Audit {
            person: name("kim"),
            ..any()
        },
        0,
    );
    check(
        query::Audit {
            stage: "prod".parse().ok(),
            ..any()
        },
        1,
    );
    check(
        query::Audit {
            stage: "prod".parse().ok(),
            component: "api".parse().ok(),
            ..any()
        },
        0,
    );
    check(
        query::Audit {
            component: "web".parse().ok(),
            ..any()
        },
        all.len(),
    );
    check(
        query::Audit {
            since: "1m ago".parse().ok(),
            ..any()
        },
        601,
    );
    check(
        query::Audit {
            since: "1d ago".parse().ok(),
            ..any()
        },
        all.len(),
    );
    let wrong = query::Audit {
        after: name("7~1~0"),
        ..any()
    };
    let refused = world
        .answer(Query::Audit(wrong))
        .expect_err("it is no place");
    assert!(
        refused
            .to_string()
            .starts_with("\"7~1~0\" is not the `next`"),
        "{refused}"
    );
}

/// Changes or removes a row behind Towline's back.
fn tamper(world: &World, partition: &str, sequence: u64, with: impl Fn(&mut Value)) {
    let rows = StoreQuery::all(partition).prefix(format!("{sequence:012}"));
    let page = now(world.store().query(&rows)).expect("a page");
    let rows = page.items.into_iter().map(|item| {
        let mut body = item.body.into_json();
        with(&mut body);
        StoreRow {
            key: item.key,
            body: body.into(),
        }
    });
    now(world.store().put_rows(rows.collect())).expect("rows");
}

#[test]
fn s23_a_changed_or_missing_row_is_found_and_said() {
    for with in [
        (|row: &mut Value| row["by"] = json!({"person": "kim"})) as fn(&mut Value),
        |row| row["at"] = json!("2026-03-01T00:00:00Z"),
        |row| row["sequence"] = json!(3),
        |row| row["what"]["reason"] = json!({"kind": "asked", "reason": "nothing"}),
        |row| row["previous"] = json!("0".repeat(64)),
        |row| row["door"] = json!("slack"),
        |row| *row = json!({}),
    ] {
        let world = World::with_a_push("Fix the cart");
        for _ in 0..3 {
            let body = json!({"component": "web", "stage": "staging", "reason": "incident"});
            tell(&world, "/v1/hold", LEE, &body);
            tell(
                &world,
                "/v1/resume",
                LEE,
                &json!({"component": "web", "stage": "staging"}),
            );
        }
        let ledger = "LEDGER#7#web/staging";
        assert!(verify(&world).iter().all(|known| known.breaks_at.is_none()));
        tamper(&world, ledger, 5, with);
        let broken = verify(&world);
        let broken: Vec<String> = broken
            .iter()
            .filter_map(|known| {
                Some(format!(
                    "{:?} {}",
                    known.place.stage.as_ref()?,
                    known.breaks_at?
                ))
            })
            .collect();
        assert_eq!(broken, [r#""staging" 5"#]);
        let (rows, breaks) = audit(&world, query::Audit::default());
        assert_eq!(breaks.len(), 1);
        let shown = world.ask(Query::Audit(query::Audit::default()));
        assert!(shown.contains("row 5 is missing or was changed"), "{shown}");
        let oldest = rows
            .iter()
            .filter(|row| {
                row.place
                    .stage
                    .as_ref()
                    .is_some_and(|it| it.as_str() == "staging")
            })
            .map(|row| row.sequence)
            .min();
        assert_eq!(oldest, Some(6));
    }
    assert_eq!(TOKEN, "the token of lee");
}
