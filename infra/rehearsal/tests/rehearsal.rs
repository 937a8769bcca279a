//! Towline deployed on stand-ins for AWS, driven from outside, and inspected afterwards.
//!
//! Ignored unless asked for: `.ci/run rehearsal` installs and starts what it needs.

#[path = "rehearsal/costs.rs"]
mod costs;
#[path = "rehearsal/driver.rs"]
mod driver;
#[path = "rehearsal/invariants.rs"]
mod invariants;
#[path = "rehearsal/patterns.rs"]
mod patterns;
#[path = "rehearsal/policies.rs"]
mod policies;
#[path = "rehearsal/stories.rs"]
mod stories;

use std::time::Instant;

use towline_rehearsal::stack::Stack;
use towline_rehearsal::surroundings::Surroundings;

use driver::Driver;

/// The result of each story, by name.
#[derive(Default)]
struct Outcomes(Vec<(&'static str, anyhow::Result<()>)>);

impl Outcomes {
    /// Waits for a story and records its result.
    async fn add(&mut self, name: &'static str, story: impl Future<Output = anyhow::Result<()>>) {
        let outcome = told(name, story).await;
        self.0.push((name, outcome));
    }

    fn failures(&self) -> Vec<String> {
        let failed = self.0.iter().filter_map(|(name, outcome)| {
            let error = outcome.as_ref().err()?;
            Some(format!("{name}: {error:#}"))
        });
        failed.collect()
    }
}

/// Prints the result of a story when it ends.
async fn told(name: &str, story: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let began = Instant::now();
    let outcome = story.await;
    let word = if outcome.is_ok() { "ok" } else { "FAILED" };
    println!("{name} ... {word} ({:.1} s)", began.elapsed().as_secs_f64());
    outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs stand-ins for AWS: `.ci/run rehearsal`"]
async fn what_is_deployed_does_the_whole_job() -> anyhow::Result<()> {
    let began = Instant::now();
    let around = Surroundings::from_environment()?;
    let stack = Stack::deploy(around, driver::REPOSITORIES, driver::github()).await?;
    println!("deployed in {:.1} s", began.elapsed().as_secs_f64());
    let driver = Driver::new(&stack).await?;
    let mut outcomes = Outcomes::default();
    stories::all(&driver, &mut outcomes).await;
    let mut failures = outcomes.failures();
    if !failures.is_empty() {
        driver.show_logs().await;
    }
    failures.extend(stack.proxy.recording().violations());
    println!("{} requests", stack.proxy.recording().mark());
    drop(driver);
    stack.close().await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}
