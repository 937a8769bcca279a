//! Our identity on GitHub: tokens and Apps, and secrets that change while we run.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use expect_test::expect;
use secrecy::SecretString;
use towline_domain::names::GitRef;
use towline_github::memory::{APP_KEY, App, Fault};
use towline_github::{Credentials, CredentialsSource};
use towline_ports::{
    CommitStatus, PortError, RepositoryRef, Source as _, StatusState, Statuses as _,
};

use crate::{MAIN, World, shop, with_causes, world_with};

const PKCS1: &str = include_str!("app-key.pkcs1.pem");

fn app(key: &str) -> Credentials {
    Credentials::App {
        id: "Iv23.towline".into(),
        private_key: SecretString::from(key),
    }
}

fn main_branch() -> GitRef {
    GitRef::Branch("main".into())
}

fn pending() -> CommitStatus {
    CommitStatus {
        context: "towline/build/backend".into(),
        state: StatusState::Pending,
        description: "building".into(),
        target_url: None,
    }
}

/// How often a token was created.
fn minted(world: &World) -> usize {
    let memory = world.server.github();
    let requests = memory.requests.iter();
    requests
        .filter(|request| request.ends_with("/access_tokens"))
        .count()
}

#[tokio::test]
async fn an_app_proves_itself_with_either_form_of_its_key() {
    for key in [APP_KEY, PKCS1, &PKCS1.replace('\n', "\\n")] {
        let mut shop = shop();
        let head = shop.push(MAIN, "Begin", &[]);
        let world = world_with(Arc::new(app(key)), shop, |memory| {
            memory.apps.push(App::new("Iv23.towline", vec![7]));
        })
        .await;
        let World { github, shop, .. } = &world;
        let found = github.head(shop, &main_branch()).await;
        assert_eq!(found.expect("it answers"), Some(head.clone()));
        github
            .set(shop, &head, &pending())
            .await
            .expect("it is shown");
        let memory = world.server.github();
        assert_eq!(memory.repository(7).statuses.len(), 1);
        let mut opened: Vec<String> = memory
            .tokens
            .iter()
            .filter(|(text, _)| text.starts_with("ghs_"))
            .map(|(_, token)| format!("{:?} {:?}", token.repositories, token.permissions))
            .collect();
        opened.sort();
        expect![[r#"
            Some([7]) {"contents": "read"}
            Some([7]) {"statuses": "write"}"#]]
        .assert_eq(&opened.join("\n"));
    }
}

#[tokio::test]
async fn the_token_of_an_installation_is_kept_until_five_minutes_before_its_end() {
    let mut shop = shop();
    shop.push(MAIN, "Begin", &[]);
    let world = world_with(Arc::new(app(APP_KEY)), shop, |memory| {
        memory.apps.push(App::new("Iv23.towline", vec![7]));
    })
    .await;
    for (minutes, expected) in [(0, 1), (30, 1), (24, 1), (2, 2), (54, 2), (10, 3), (90, 4)] {
        world.clock.advance(Duration::from_secs(60 * minutes));
        let head = world.github.head(&world.shop, &main_branch()).await;
        assert!(head.expect("it answers").is_some());
        assert_eq!(minted(&world), expected, "after {minutes} minutes");
    }
}

/// A changed secret, and a cache with the old one.
struct Rotated {
    cached: Mutex<Credentials>,
    now: Credentials,
}

#[async_trait]
impl CredentialsSource for Rotated {
    async fn read(&self) -> Result<Credentials, PortError> {
        Ok(self.cached.lock().expect("no panic").clone())
    }

    async fn reread(&self) -> Result<Credentials, PortError> {
        *self.cached.lock().expect("no panic") = self.now.clone();
        self.read().await
    }
}

#[tokio::test]
async fn credentials_that_github_refuses_are_read_again_once() {
    let token = |text: &str| Credentials::Token(SecretString::from(text));
    let stranger = Credentials::App {
        id: "Iv23.removed".into(),
        private_key: SecretString::from(APP_KEY),
    };
    let mut said = Vec::new();
    for (cached, now) in [
        (token("ghp_gone"), token("ghp_ours")),
        (token("ghp_gone"), app(APP_KEY)),
        (stranger.clone(), app(APP_KEY)),
        (app(APP_KEY), token("ghp_ours")),
        (token("ghp_gone"), token("ghp_gone")),
        (token("ghp_gone"), stranger),
    ] {
        let mut shop = shop();
        shop.push(MAIN, "Begin", &[]);
        let cached = Mutex::new(cached);
        let world = world_with(Arc::new(Rotated { cached, now }), shop, |memory| {
            memory.apps.push(App::new("Iv23.towline", vec![7]));
        })
        .await;
        let head = world.github.head(&world.shop, &main_branch()).await;
        let requests = world.server.github().requests.len();
        said.push(match head {
            Ok(head) => format!("{} after {requests} requests", head.is_some()),
            Err(error) => format!("{} after {requests} requests", with_causes(&error)),
        });
    }
    expect![[r#"
        true after 3 requests
        true after 5 requests
        true after 5 requests
        true after 4 requests
        reading a ref of acme/shop: GitHub refuses the token; store a valid one in the secret (401) after 2 requests
        reading a ref of acme/shop: GitHub refuses the GitHub App; store its id and a private key in the secret (401) after 2 requests"#]].assert_eq(&said.join("\n"));
}

#[tokio::test]
async fn a8_an_app_finds_a_renamed_repository_by_its_old_name() {
    let mut renamed = shop();
    let head = renamed.push(MAIN, "Begin", &[]);
    renamed.former_names = vec!["acme/old".parse().expect("a name")];
    let world = world_with(Arc::new(app(APP_KEY)), renamed, |memory| {
        memory.apps.push(App::new("Iv23.towline", vec![7]));
    })
    .await;
    let name = "acme/old".parse().expect("a name");
    let old = RepositoryRef {
        name,
        ..world.shop.clone()
    };
    let found = world.github.head(&old, &main_branch()).await;
    assert_eq!(found.expect("it answers"), Some(head));
}

#[tokio::test]
async fn a_revoked_token_is_requested_again() {
    let mut shop = shop();
    shop.push(MAIN, "Begin", &[]);
    let world = world_with(Arc::new(app(APP_KEY)), shop, |memory| {
        memory.apps.push(App::new("Iv23.towline", vec![7]));
    })
    .await;
    for expected in [1, 2] {
        let head = world.github.head(&world.shop, &main_branch()).await;
        assert!(head.expect("it answers").is_some());
        assert_eq!(minted(&world), expected);
        world.server.github().tokens.clear();
    }
    // Once, and not forever.
    world.server.github().faults.extend([
        Fault::Unauthorized,
        Fault::Pass,
        Fault::Pass,
        Fault::Unauthorized,
    ]);
    let head = world.github.head(&world.shop, &main_branch()).await;
    head.expect_err("it was refused twice");
}

#[tokio::test]
async fn what_an_app_lacks_is_said() {
    let mut said = Vec::new();
    let installed = App::new("Iv23.towline", vec![7]);
    let mut elsewhere = installed.clone();
    elsewhere.installations[0].repositories = vec![8];
    let mut poor = installed.clone();
    poor.installations[0].permissions.remove("contents");
    let mut other_key = installed.clone();
    other_key.public_key[20] ^= 1;
    for known in [elsewhere, poor, other_key] {
        let world = world_with(Arc::new(app(APP_KEY)), shop(), |memory| {
            memory.apps.push(known);
        })
        .await;
        let head = world.github.head(&world.shop, &main_branch()).await;
        said.push(with_causes(&head.expect_err("it lacks something")));
    }
    expect![[r#"
        asking GitHub for a token for acme/shop: the GitHub App is not installed on acme/shop; install it there
        asking GitHub for a token for acme/shop: GitHub answered 422 The permissions requested are not granted to this installation.; the GitHub App needs the permission {"contents":"read"} for it, accepted by the owner
        reading a ref of acme/shop: GitHub refuses the GitHub App; store its id and a private key in the secret (401)"#]].assert_eq(&said.join("\n"));
}
