//! The table on two stand-ins for DynamoDB, each at the address that its variable holds.

use std::sync::atomic::{AtomicU64, Ordering};

use towline_aws::{Aws, Table, table::schema};
use towline_ports::contract;
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

async fn keeps_the_contract(variable: &str) {
    let tables = Tables::at(variable);
    contract::store(async || tables.make().await).await;
    for seed in 0..SEQUENCES {
        let mut dice = SplitMix64::new(seed);
        let choices: Vec<u64> = (0..OPERATIONS).map(|_| dice.draw()).collect();
        println!("sequence {seed}");
        contract::model(&tables.make().await, &choices).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a stand-in for DynamoDB: `.ci/run rehearsal`"]
async fn it_keeps_the_contract_on_ministack() {
    keeps_the_contract("TOWLINE_MINISTACK").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a stand-in for DynamoDB: `.ci/run rehearsal`"]
async fn it_keeps_the_contract_on_dynamodb_local() {
    keeps_the_contract("TOWLINE_DYNAMODB_LOCAL").await;
}
