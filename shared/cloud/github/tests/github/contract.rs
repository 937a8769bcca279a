//! GitHub keeps the contracts of the ports that it is behind.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use towline_domain::names::CommitSha;
use towline_github::memory::{Commit, File};
use towline_ports::contract::{self, StatusesWorld};
use towline_ports::{CommitStatus, RepositoryRef, StatusState, Statuses};

use crate::{MAIN, World, shop, world};

#[tokio::test]
async fn it_keeps_the_contract_of_a_source() {
    let mut shop = shop();
    let mut commits: Vec<CommitSha> = Vec::new();
    for known in contract::HISTORY {
        let files = known.files.iter();
        let commit = shop.commit(&Commit {
            parents: known.parent.iter().map(|at| commits[*at].clone()).collect(),
            files: files
                .map(|(path, text)| ((*path).to_owned(), File::from(*text)))
                .collect::<BTreeMap<_, _>>(),
            author: "Ada".into(),
            message: "Fix the cart".into(),
            at: Timestamp::UNIX_EPOCH,
        });
        if let Some(branch) = known.branch {
            let git_ref = format!("refs/heads/{branch}");
            shop.refs.insert(git_ref, commit.to_string());
        }
        commits.push(commit);
    }
    let World {
        github,
        shop,
        server: _server,
        ..
    } = world(shop).await;
    let commits = commits.try_into().expect("three commits");
    contract::source(&github, &shop, &commits).await;
}

/// A GitHub with one commit.
struct Shown {
    world: World,
    commit: CommitSha,
}

#[async_trait]
impl StatusesWorld for Shown {
    fn statuses(&self) -> &dyn Statuses {
        &self.world.github
    }

    fn commit(&self) -> (RepositoryRef, CommitSha) {
        (self.world.shop.clone(), self.commit.clone())
    }

    async fn shown(&self, context: &str) -> Option<CommitStatus> {
        let memory = self.world.server.github();
        let status = memory.repository(7).status(&self.commit, context)?;
        Some(CommitStatus {
            context: status.context.clone(),
            state: match status.state.as_str() {
                "pending" => StatusState::Pending,
                "success" => StatusState::Success,
                "failure" => StatusState::Failure,
                "error" => StatusState::Error,
                other => panic!("GitHub has no state {other}"),
            },
            description: status.description.clone().unwrap_or_default(),
            target_url: status.target_url.clone(),
        })
    }
}

#[tokio::test]
async fn it_keeps_the_contract_of_statuses() {
    let mut shop = shop();
    let commit = shop.push(MAIN, "Begin", &[]);
    let world = world(shop).await;
    contract::statuses(&Shown { world, commit }).await;
}
