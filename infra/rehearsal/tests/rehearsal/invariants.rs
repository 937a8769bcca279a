//! Checks the invariants I1 to I9 against the table, the registry and the recorded requests.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use towline_domain::ledger::{Head, Row, What};
use towline_domain::names::Digest;
use towline_domain::run::{Attempt, AttemptState, Run};
use towline_domain::stage::Stage;
use towline_rehearsal::client::until;
use towline_rehearsal::recording::Request;
use towline_rehearsal::table::{self, content};

use super::driver::{Driver, SOON};

#[derive(Default)]
struct Broken(Vec<String>);

impl Broken {
    fn must(&mut self, good: bool, rule: impl FnOnce() -> String) {
        if !good {
            self.0.push(rule());
        }
    }
}

/// The table in our types.
struct Table {
    items: Vec<Value>,
}

impl Table {
    async fn read(driver: &Driver<'_>) -> anyhow::Result<Self> {
        let items = driver.stack.table().await?;
        Ok(Self { items })
    }

    /// Items whose partition has this prefix, decoded.
    fn all<T: DeserializeOwned>(
        &self,
        partition: &str,
        sort: &str,
    ) -> anyhow::Result<Vec<(String, T)>> {
        let fitting = self.items.iter().filter(|item| {
            let begins = |name: &str, with: &str| text(item, name).starts_with(with);
            begins("partition", partition) && begins("sort", sort)
        });
        let mut read = fitting
            .map(|item| {
                let body = serde_json::from_str(&content(item));
                let key = format!("{} {}", text(item, "partition"), text(item, "sort"));
                Ok((key.clone(), body.with_context(|| format!("reading {key}"))?))
            })
            .collect::<anyhow::Result<Vec<(String, T)>>>()?;
        read.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(read)
    }

    /// What is still owed, except what only waits for its time.
    fn owed(&self) -> Vec<String> {
        let bodies = self.items.iter().flat_map(table::owed);
        bodies.filter(|body| !body.contains("watch_")).collect()
    }
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name]["S"].as_str().unwrap_or_default()
}

pub async fn hold(driver: &Driver<'_>) -> anyhow::Result<()> {
    until("an end of everything that is owed", SOON, || async {
        Ok(Table::read(driver).await?.owed().is_empty().then_some(()))
    })
    .await
    .with_context(|| "I4: something is owed forever")?;
    let table = Table::read(driver).await?;
    let runs = table.all::<Run>("RUN#", "run")?;
    let stages = table.all::<Stage>("STAGES#", "")?;
    let requests = driver.stack.proxy.recording().since(0);
    let mut broken = Broken::default();
    ensure!(
        runs.len() >= 6 && stages.len() >= 10,
        "the table is all but empty"
    );
    unique_runs(&runs, &mut broken);
    one_build(&table, &runs, &mut broken)?;
    evidence(driver, &runs, &mut broken).await?;
    for (_, stage) in &stages {
        ledger(&table, stage, &mut broken)?;
        pointer(driver, &runs, &stages, stage, &mut broken).await?;
    }
    histories(&requests, &mut broken);
    causes(&requests, &mut broken);
    println!(
        "{} items, {} runs, {} stages",
        table.items.len(),
        runs.len(),
        stages.len()
    );
    ensure!(broken.0.is_empty(), "{}", broken.0.join("\n"));
    Ok(())
}

/// I1: each run is that of its key, and each key has one.
fn unique_runs(runs: &[(String, Run)], broken: &mut Broken) {
    let mut keys = BTreeSet::new();
    for (_, run) in runs {
        broken.must(run.key.id() == run.id, || {
            format!("I1: {} is not of its key", run.id)
        });
        broken.must(keys.insert(&run.key), || {
            format!("I1: {:?} has two runs", run.key)
        });
    }
}

/// I5: a build belongs to one attempt, and an attempt has one build.
fn one_build(table: &Table, runs: &[(String, Run)], broken: &mut Broken) -> anyhow::Result<()> {
    let bound: Vec<(String, Value)> = table.all("BUILD#", "")?;
    let mut seen = BTreeSet::new();
    for attempt in attempts(runs) {
        let Some(build) = &attempt.build else {
            continue;
        };
        broken.must(seen.insert(build.clone()), || {
            format!("I5: {build} is bound twice")
        });
        let key = format!("BUILD#{build} build");
        let known = bound.iter().find(|(known, _)| *known == key);
        let says_so = known.is_some_and(|(_, of)| of.to_string().contains(attempt.id.as_str()));
        broken.must(says_so, || {
            format!("I5: {build} does not lead to {}", attempt.id)
        });
    }
    Ok(())
}

fn attempts(runs: &[(String, Run)]) -> impl Iterator<Item = &Attempt> {
    let components = runs.iter().flat_map(|(_, run)| run.components.values());
    components.flat_map(|component| &component.attempts)
}

/// I6: a successful attempt has a build that succeeded according to CodeBuild, and the registry has its
/// digest under its tag.
async fn evidence(
    driver: &Driver<'_>,
    runs: &[(String, Run)],
    broken: &mut Broken,
) -> anyhow::Result<()> {
    let components = runs.iter().flat_map(|(_, run)| run.components.values());
    let tried = components.flat_map(|component| {
        let repository = component.repository.to_string();
        component
            .attempts
            .iter()
            .map(move |attempt| (repository.clone(), attempt))
    });
    for (repository, attempt) in tried {
        broken.must(attempt.state.is_terminal(), || {
            format!("I14: {attempt:?} is not at its end")
        });
        if attempt.state != AttemptState::Succeeded {
            continue;
        }
        let build = attempt
            .build
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let asked = json!({"ids": [build]});
        let (_, answer) = driver.stack.builds.answer("BatchGetBuilds", &asked).await;
        let status = &answer["builds"][0]["buildStatus"];
        broken.must(status == "SUCCEEDED", || format!("I6: {build} is {status}"));
        let held = digest_of(driver, &repository, attempt.unique_tag.as_str()).await?;
        let same = attempt.image.as_ref().map(Digest::as_str) == held.as_deref();
        broken.must(same && attempt.build_succeeded, || {
            format!(
                "I6: {} has {held:?} in the registry, not {:?}",
                attempt.id, attempt.image
            )
        });
    }
    Ok(())
}

/// The digest of a tag, from the registry.
async fn digest_of(
    driver: &Driver<'_>,
    repository: &str,
    tag: &str,
) -> anyhow::Result<Option<String>> {
    let asked = json!({"repositoryName": repository, "imageIds": [{"imageTag": tag}]});
    let target = "AmazonEC2ContainerRegistry_V20150921.DescribeImages";
    let answer = driver.stack.client.call("ecr", target, &asked).await?;
    let digest = answer["imageDetails"][0]["imageDigest"].as_str();
    Ok(digest.map(str::to_owned))
}

/// I3: the rows of a stage form a chain, each with the hash of the previous one, up to the stage's
/// ledger head.
fn ledger(table: &Table, stage: &Stage, broken: &mut Broken) -> anyhow::Result<()> {
    let key = &stage.key;
    let name = format!("{}#{}/{}", key.repository, key.component, key.stage);
    let all: Vec<(String, Row)> = table.all(&format!("LEDGER#{name}"), "")?;
    // A row of a decision that was not committed stays, and is not part of the chain.
    let mut expected = stage.ledger.hash.clone();
    let mut rows = all;
    rows.reverse();
    rows.retain(|(_, row)| {
        let named = row.hash() == expected;
        if named {
            expected.clone_from(&row.previous);
        }
        named
    });
    rows.reverse();
    let mut head = Head::default();
    let mut version = 0;
    for (_, row) in &rows {
        let follows = row.sequence == head.sequence + 1 && row.previous == head.hash;
        broken.must(follows, || {
            format!("I3: row {} of {name} does not follow", row.sequence)
        });
        head = Head {
            sequence: row.sequence,
            hash: row.hash(),
        };
        if let What::Moved { version: moved, .. } = &row.what {
            broken.must(*moved == version + 1, || {
                format!("I8: {name} went from version {version} to {moved}")
            });
            version = *moved;
        }
    }
    broken.must(head == stage.ledger, || {
        format!("I3: {name} ends at {head:?}")
    });
    let pointer = stage.pointer.as_ref().map_or(0, |pointer| pointer.version);
    broken.must(pointer == version, || {
        format!("I8: {name} is at {pointer}, not {version}")
    });
    Ok(())
}

/// I7, I9: a live image was built with evidence, was live in the previous stage, was approved, and has
/// the stage's tag in the registry.
async fn pointer(
    driver: &Driver<'_>,
    runs: &[(String, Run)],
    stages: &[(String, Stage)],
    stage: &Stage,
    broken: &mut Broken,
) -> anyhow::Result<()> {
    let Some(pointer) = &stage.pointer else {
        return Ok(());
    };
    let candidate = &pointer.candidate;
    let name = &stage.key;
    let proven = attempts(runs).any(|attempt| {
        attempt.state == AttemptState::Succeeded
            && attempt.image.as_ref() == Some(&candidate.digest)
    });
    broken.must(proven, || {
        format!("I7: no attempt gave what is live in {name:?}")
    });
    let held = digest_of(driver, candidate.repository.as_str(), name.stage.as_str()).await?;
    let same = held.as_deref() == Some(candidate.digest.as_str());
    broken.must(same, || format!("I9: the tag of {name:?} is on {held:?}"));
    if name.stage.as_str() == "prod" {
        let before = stages.iter().map(|(_, other)| other).find(|other| {
            other.key.repository == name.repository && other.key.stage.as_str() == "staging"
        });
        let there = before.and_then(|before| before.pointer.as_ref());
        let same = there.is_some_and(|there| there.candidate.digest == candidate.digest);
        broken.must(same, || format!("I7: {name:?} has what staging never had"));
        let rows = driver.stack.table().await?;
        let table = Table { items: rows };
        let of = format!(
            "LEDGER#{}#{}/{}",
            name.repository, name.component, name.stage
        );
        let approved = table.all::<Row>(&of, "")?.into_iter().any(|(_, row)| {
            matches!(&row.what, What::Approved { digest, commit, .. }
                if *digest == candidate.digest && *commit == candidate.commit)
        });
        broken.must(approved, || {
            format!("I7: nobody approved what is live in {name:?}")
        });
    }
    Ok(())
}

/// I2, I3: every item's versions are consecutive, and what has ended does not change.
fn histories(requests: &[Request], broken: &mut Broken) {
    let mut runs: BTreeMap<String, BTreeMap<u64, Run>> = BTreeMap::new();
    for request in requests.iter().filter(|request| request.status == 200) {
        for item in written(request) {
            let (partition, sort) = (text(item, "partition"), text(item, "sort"));
            if !partition.starts_with("RUN#") || sort != "run" {
                continue;
            }
            let version = item["version"]["N"]
                .as_str()
                .and_then(|text| text.parse().ok());
            let run = serde_json::from_str(&content(item));
            if let (Some(version), Ok(run)) = (version, run) {
                runs.entry(partition.to_owned())
                    .or_default()
                    .insert(version, run);
            }
        }
    }
    for (name, versions) in &runs {
        let numbers: Vec<u64> = versions.keys().copied().collect();
        let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
        broken.must(numbers == expected, || {
            format!("I3: {name} has versions {numbers:?}")
        });
        let states: Vec<&Run> = versions.values().collect();
        for pair in states.windows(2) {
            step(pair[0], pair[1], broken);
        }
    }
}

/// I2, I5: the allowed changes to the attempts of a run.
fn step(before: &Run, after: &Run, broken: &mut Broken) {
    let all = |run: &Run| -> Vec<Attempt> {
        let components = run.components.values();
        components
            .flat_map(|component| component.attempts.clone())
            .collect()
    };
    let later = all(after);
    for attempt in all(before) {
        let Some(now) = later.iter().find(|later| later.id == attempt.id) else {
            broken.must(false, || format!("I2: attempt {} is gone", attempt.id));
            continue;
        };
        let ended = attempt.state.is_terminal();
        let same = (&attempt.state, &attempt.build, &attempt.image)
            == (&now.state, &now.build, &now.image);
        broken.must(!ended || same, || format!("I2: {attempt:?} became {now:?}"));
        let bound = attempt.build.is_none() || attempt.build == now.build;
        broken.must(bound, || format!("I5: {} changed its build", attempt.id));
    }
}

/// The items that a request wrote completely.
fn written(request: &Request) -> Vec<&Value> {
    match request.operation.as_str() {
        "PutItem" => vec![&request.body["Item"]],
        "TransactWriteItems" => {
            let parts = request.body["TransactItems"]
                .as_array()
                .into_iter()
                .flatten();
            parts
                .map(|part| &part["Put"]["Item"])
                .filter(|item| !item.is_null())
                .collect()
        }
        _ => Vec::new(),
    }
}

/// I4: before a build starts or a tag moves, an intent for it was committed.
fn causes(requests: &[Request], broken: &mut Broken) {
    let mut intents = Vec::new();
    for request in requests {
        if request.status == 200 {
            intents.extend(owed_by(request));
        }
        let cause = match request.operation.as_str() {
            "StartBuild" => {
                let variables = request.body["environmentVariablesOverride"].as_array();
                let mut variables = variables.into_iter().flatten();
                variables
                    .find(|variable| variable["name"] == "TOWLINE_ATTEMPT")
                    .and_then(|variable| variable["value"].as_str())
            }
            "PutImage" => request.body["imageTag"].as_str(),
            _ => continue,
        };
        let known = cause.is_some_and(|cause| intents.iter().any(|intent| intent.contains(cause)));
        broken.must(known, || {
            let (function, operation) = (&request.function, &request.operation);
            format!("I4: {operation} of {cause:?} by {function} has no intent")
        });
    }
}

/// The intents that a request committed, as new or replaced items.
fn owed_by(request: &Request) -> Vec<String> {
    let parts = request.body["TransactItems"].as_array();
    let alone = std::slice::from_ref(&request.body);
    let parts = parts.map_or(alone, Vec::as_slice);
    let bodies = parts.iter().flat_map(|part| {
        let (put, update) = (&part["Put"]["Item"], &part["Update"]);
        [
            (put, &put["body"]),
            (&part["Item"], &part["Item"]["body"]),
            (
                &update["Key"],
                &update["ExpressionAttributeValues"][":body"],
            ),
            (&part["Key"], &part["ExpressionAttributeValues"][":body"]),
        ]
    });
    let items = bodies.map(|(key, body)| json!({ "partition": key["partition"], "body": body }));
    items.flat_map(|item| table::owed(&item)).collect()
}
