//! Failed deliveries of webhooks: found in every list that we may read, and asked for again.

use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;
use towline_domain::redelivery::Attempt;
use towline_github::Credentials;
use towline_github::memory::{APP_KEY, App, Delivery, Hook};
use towline_ports::{Clock as _, Deliveries as _};

use crate::{World, shop, with_causes, world, world_with};

const OURS: &str = "https://towline.example/webhooks/github";

fn at(hour: u32) -> Timestamp {
    format!("2026-03-01T{hour:02}:00:00Z")
        .parse()
        .expect("a time")
}

fn delivery(id: u64, hour: u32, status_code: u16) -> Delivery {
    Delivery {
        id,
        guid: format!("guid-{id}"),
        at: at(hour),
        event: "push".into(),
        action: None,
        status_code,
        status: if status_code == 202 {
            "OK"
        } else {
            "timed out"
        }
        .into(),
        redelivery: false,
    }
}

fn hook(id: u64, url: &str, deliveries: Vec<Delivery>) -> Hook {
    Hook {
        id,
        url: url.into(),
        content_type: "json".into(),
        events: vec!["push".into()],
        active: true,
        deliveries,
    }
}

/// The attempts in words, and what they say once those that failed are repeated.
async fn check(world: &World, expected: &[&str]) {
    let webhooks = world.github.webhooks(OURS.into());
    let repositories = [world.shop.clone()];
    let attempts = webhooks.attempts(&repositories, at(2)).await;
    let attempts = attempts.expect("it answers");
    let said = |attempt: &Attempt| {
        let how = if attempt.succeeded {
            "arrived"
        } else {
            "failed"
        };
        format!("{} {how}", attempt.guid)
    };
    let mut shown: Vec<String> = attempts.iter().map(said).collect();
    shown.sort();
    assert_eq!(shown, expected);
    for attempt in attempts.iter().filter(|attempt| !attempt.succeeded) {
        webhooks
            .repeat(&attempt.guid)
            .await
            .expect("it is asked for");
    }
    let again = webhooks.attempts(&repositories, world.clock.now()).await;
    let again = again.expect("it answers");
    let failed = attempts.iter().filter(|attempt| !attempt.succeeded);
    assert_eq!(again.len(), failed.count(), "{again:?}");
    assert!(again.iter().all(|attempt| attempt.succeeded), "{again:?}");
}

#[tokio::test]
async fn f8_failed_deliveries_of_repositories_and_organizations_are_repeated() {
    let mut shop = shop();
    let mut ping = delivery(14, 9, 500);
    ping.event = "ping".into();
    shop.hooks = vec![
        hook(1, "https://elsewhere.example/", vec![delivery(10, 9, 500)]),
        hook(
            2,
            OURS,
            vec![
                ping,
                delivery(13, 9, 0),
                delivery(12, 8, 202),
                delivery(11, 1, 503),
            ],
        ),
    ];
    let world = world(shop).await;
    let many = (0..250).map(|id| delivery(500 - id, 9, 202));
    let deliveries = many.chain([delivery(21, 3, 502)]).collect();
    let hooks = vec![hook(3, OURS, deliveries)];
    let organizations = [("acme".to_owned(), hooks)];
    world.server.github().organizations = organizations.into();
    let mut expected: Vec<String> = (251..=500).map(|id| format!("guid-{id} arrived")).collect();
    expected.extend([
        "guid-12 arrived".into(),
        "guid-13 failed".into(),
        "guid-21 failed".into(),
    ]);
    expected.sort();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check(&world, &expected).await;
}

#[tokio::test]
async fn f8_failed_deliveries_of_an_app_are_repeated() {
    let app = Credentials::App {
        id: "Iv1.ours".into(),
        private_key: SecretString::from(APP_KEY),
    };
    let world = world_with(Arc::new(app), shop(), |memory| {
        let mut app = App::new("Iv1.ours", vec![7]);
        let deliveries = vec![delivery(2, 9, 500), delivery(1, 8, 202)];
        app.hook = Some(hook(0, OURS, deliveries));
        memory.apps.push(app);
    })
    .await;
    // It may not read the repository's webhooks, which is no error.
    check(&world, &["guid-1 arrived", "guid-2 failed"]).await;
}

#[tokio::test]
async fn f8_credentials_that_may_read_no_webhooks_find_none() {
    let mut shop = shop();
    shop.hooks = vec![hook(2, OURS, vec![delivery(11, 9, 503)])];
    let world = world(shop).await;
    for token in world.server.github().tokens.values_mut() {
        token.permissions.remove("repository_hooks");
        token.permissions.remove("organization_hooks");
    }
    check(&world, &[]).await;
    let webhooks = world.github.webhooks(OURS.into());
    let error = webhooks.repeat("guid-11").await.expect_err("it is unknown");
    assert!(with_causes(&error).contains("not listed"));
}
