//! The table on two stand-ins for DynamoDB, each at the address that its variable holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use towline_aws::{Aws, Table, TableRepositories, table::schema};
use towline_ports::Repositories;
use towline_ports::contract::{self, RepositoriesWorld};
use towline_ports::memory::SplitMix64;

use crate::aws;

/// Sequences of operations that are compared with the model, and operations in each.
const SEQUENCES: u64 = 24;
const OPERATIONS: usize = 60;

/// Creates empty tables with unique names.
struct Tables {
    aws: Aws,
    made: AtomicU64,
}

impl Tables {
    fn at(variable: &str) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test learns from its environment where the stand-in is"
        )]
        let endpoint = std::env::var(variable);
        let endpoint = endpoint.unwrap_or_else(|error| panic!("{variable}: {error}"));
        let aws = aws(endpoint);
        Self {
            aws,
            made: AtomicU64::new(0),
        }
    }

    async fn make(&self) -> Table {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let name = format!("towline-{}-{number}", std::process::id());
        let table = self.aws.table(&name);
        schema::create(table.client(), &name)
            .await
            .expect("the stand-in makes a table");
        table
    }
}

/// The repositories that may push, in a table.
struct Kept(Table);

#[async_trait]
impl RepositoriesWorld for Kept {
    async fn open(&self) -> Arc<dyn Repositories> {
        let names = contract::REGISTERED.map(|(_, name)| name).join(",");
        let repositories = TableRepositories::new(self.0.clone(), &names);
        Arc::new(repositories.expect("names"))
    }
}

async fn keeps_the_contracts(variable: &str) {
    let tables = Tables::at(variable);
    contract::store(async || tables.make().await).await;
    contract::repositories(&Kept(tables.make().await)).await;
    for seed in 0..SEQUENCES {
        let mut dice = SplitMix64::new(seed);
        let choices: Vec<u64> = (0..OPERATIONS).map(|_| dice.draw()).collect();
        println!("sequence {seed}");
        contract::model(&tables.make().await, &choices).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a stand-in for DynamoDB: `.ci/run rehearsal`"]
async fn it_keeps_the_contracts_on_ministack() {
    keeps_the_contracts("TOWLINE_MINISTACK").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a stand-in for DynamoDB: `.ci/run rehearsal`"]
async fn it_keeps_the_contracts_on_dynamodb_local() {
    keeps_the_contracts("TOWLINE_DYNAMODB_LOCAL").await;
}
