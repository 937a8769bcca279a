//! The ports on GitHub, against a GitHub in memory over HTTP on loopback.

mod app;
mod contract;
mod deliveries;
mod faults;
mod memory;
mod refs;
mod source;
mod statuses;

use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;
use towline_domain::causes::with_causes;
use towline_domain::names::{CommitSha, RepositoryId};
use towline_github::memory::{MemoryGitHub, Repository, Server, Token};
use towline_github::{Credentials, CredentialsSource, GitHub, Settings};
use towline_ports::RepositoryRef;
use towline_ports::memory::MemoryClock;

const MAIN: &str = "refs/heads/main";

struct World {
    server: Server,
    github: GitHub,
    clock: Arc<MemoryClock>,
    shop: RepositoryRef,
}

/// A GitHub with the private repository `acme/shop`, and us with a token for everything.
async fn world(shop: Repository) -> World {
    let token = Credentials::Token(SecretString::from("ghp_ours"));
    world_with(Arc::new(token), shop, |_| ()).await
}

async fn world_with(
    credentials: Arc<dyn CredentialsSource>,
    mut shop: Repository,
    change: impl FnOnce(&mut MemoryGitHub),
) -> World {
    shop.private = true;
    let start: Timestamp = "2026-03-01T12:00:00Z".parse().expect("a time");
    let clock = Arc::new(MemoryClock::new(start, 1));
    let mut memory = MemoryGitHub::new(clock.clone());
    let known = RepositoryRef {
        id: RepositoryId(shop.id),
        name: shop.name.clone(),
    };
    memory.repositories.push(shop);
    memory
        .tokens
        .insert("ghp_ours".into(), Token::of_everything());
    change(&mut memory);
    let server = memory.serve(([127, 0, 0, 1], 0).into()).await;
    let server = server.expect("a free port");
    World {
        github: process(&server, credentials, clock.clone()),
        server,
        clock,
        shop: known,
    }
}

/// A process of ours that asks this GitHub.
fn process(
    server: &Server,
    credentials: Arc<dyn CredentialsSource>,
    clock: Arc<MemoryClock>,
) -> GitHub {
    let settings = Settings {
        api: server.url().parse().expect("an address"),
        ..Settings::default()
    };
    GitHub::new(settings, credentials, clock)
}

fn shop() -> Repository {
    Repository::new(7, "acme/shop".parse().expect("a name"))
}

fn unknown() -> CommitSha {
    "f".repeat(40).parse().expect("a commit id")
}
