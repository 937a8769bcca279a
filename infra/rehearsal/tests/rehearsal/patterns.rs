//! Every sample event with every deployed rule, compared with the files in `events/rules`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use towline_bus::Router;
use towline_rehearsal::carrier::{Rule, matches, rules};
use towline_rehearsal::stack::STACK;

use super::driver::Driver;

/// EventBridge with the deployed rules routes like the local bus.
pub async fn every_sample_goes_where_it_should(driver: &Driver<'_>) -> anyhow::Result<()> {
    let client = &driver.stack.client;
    let mut deployed = rules(client, "default").await?;
    deployed.extend(rules(client, &driver.stack.outputs["BusName"]).await?);
    let router = router()?;
    let (mut wrong, mut events) = (Vec::new(), 0);
    for (name, event) in samples()? {
        events += 1;
        let expected: BTreeSet<String> = router.functions(&event).into_iter().collect();
        let actual = routed(driver, &deployed, &event).await?;
        if actual != expected {
            wrong.push(format!("{name}: to {actual:?}, not to {expected:?}"));
        }
    }
    println!("{events} events against {} rules", deployed.len());
    ensure!(events > 0, "there are no samples");
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The functions that rules of the event's bus send it to.
async fn routed(
    driver: &Driver<'_>,
    rules: &[Rule],
    event: &Value,
) -> anyhow::Result<BTreeSet<String>> {
    let source = event["source"].as_str().unwrap_or_default();
    let is_of_aws = source.starts_with("aws.");
    let mut functions = BTreeSet::new();
    for rule in rules
        .iter()
        .filter(|rule| (rule.bus == "default") == is_of_aws)
    {
        if matches(&driver.stack.client, rule, event).await? {
            let prefix = format!("{STACK}-");
            let names = rule.functions.iter();
            functions.extend(names.map(|name| name.trim_start_matches(&prefix).to_owned()));
        }
    }
    Ok(functions)
}

fn router() -> anyhow::Result<Router> {
    let folder = events().join("rules");
    let rules: Vec<(String, String)> = files(&folder)?
        .into_iter()
        .map(|path| {
            let name = path.file_stem().context("a name")?.to_string_lossy();
            Ok((name.into_owned(), fs::read_to_string(&path)?))
        })
        .collect::<anyhow::Result<_>>()?;
    let rules = rules
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    Ok(Router::new(rules)?)
}

/// The events among our samples and, if available, those of others.
fn samples() -> anyhow::Result<Vec<(String, Value)>> {
    let others = option_env!("TOWLINE_SAMPLES").map(PathBuf::from);
    let folders = [Some(events().join("samples")), others];
    let mut samples = Vec::new();
    for path in folders.into_iter().flatten().map(|folder| files(&folder)) {
        for path in path? {
            let is_json = path.extension().is_some_and(|ending| ending == "json");
            let Some(Ok(event)) = is_json.then(|| {
                serde_json::from_slice::<Value>(&fs::read(&path)?).map_err(anyhow::Error::from)
            }) else {
                continue;
            };
            if event["detail-type"].is_string() && event["source"].is_string() {
                samples.push((path.display().to_string(), whole(event)));
            }
        }
    }
    Ok(samples)
}

/// Adds the fields of a real event that documented examples omit.
fn whole(mut event: Value) -> Value {
    let usual = [
        ("id", json!("1")),
        ("account", json!("123456789012")),
        ("time", json!("2026-01-01T00:00:00Z")),
        ("region", json!("eu-west-1")),
        ("resources", json!([])),
        ("detail", json!({})),
    ];
    for (name, value) in usual {
        if event[name].is_null() {
            event[name] = value;
        }
    }
    event
}

fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events")
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
