//! Every sample event against every rule: who gets what, in one snapshot.

use std::fs;
use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};
use serde_json::Value;
use towline_bus::Router;

/// A folder of the repository's `events`.
fn events(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../events")
        .join(folder)
}

/// Files below a folder, by path.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> = entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect();
    found.sort();
    found
}

fn router() -> Router {
    let rules = files(&events("rules")).into_iter().map(|path| {
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        (name, fs::read_to_string(&path).expect("a rule"))
    });
    let rules: Vec<(String, String)> = rules.collect();
    Router::new(
        rules
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str())),
    )
    .expect("good rules")
}

/// One line a sample: its path, and the functions that get it.
fn routed() -> String {
    let router = router();
    let samples = events("samples");
    let lines = files(&samples)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| {
            let event: Value =
                serde_json::from_slice(&fs::read(&path).expect("a sample")).expect("JSON");
            let name = path
                .strip_prefix(&samples)
                .expect("below")
                .display()
                .to_string();
            let functions = router.functions(&event);
            let functions = if functions.is_empty() {
                "nobody".into()
            } else {
                functions.join(", ")
            };
            format!("{name} -> {functions}\n")
        });
    lines.collect()
}

fn check(actual: &str, expected: &Expect) {
    expected.assert_eq(actual);
}

#[test]
fn every_sample_goes_where_the_rules_say() {
    check(
        &routed(),
        &expect![[r#"
            apigateway/push.base64.json -> nobody
            apigateway/push.form.json -> nobody
            apigateway/push.json -> nobody
            codebuild/failed.json -> advance-stages
            codebuild/fault.json -> advance-stages
            codebuild/in_progress.json -> advance-stages
            codebuild/stopped.json -> advance-stages
            codebuild/succeeded.json -> advance-stages
            codebuild/timed_out.json -> advance-stages
            ecr/delete.json -> nobody
            ecr/push.tagged.json -> record-images
            ecr/push.untagged-empty.json -> nobody
            ecr/push.untagged.json -> nobody
            ecr/push.without-digest.json -> record-images
            ecr/storage-class.json -> nobody
            github/ping.json -> nobody
            github/push.annotated-tag.json -> nobody
            github/push.branch.json -> nobody
            github/push.deleted.json -> nobody
            github/push.forced.json -> nobody
            github/push.new-branch.json -> nobody
            github/push.tag.json -> nobody
            own/build-due.json -> start-builds
            own/build-retry-due.json -> advance-stages
            own/build-status-due.json -> report-status
            own/build-stop-due.json -> start-builds
            own/build-superseded.json -> advance-stages
            own/build-watch-due.json -> nobody
            own/deploy-due.json -> deploy-images
            own/image-due.json -> record-images
            own/image-promoted.json -> nobody
            own/image-ready.json -> advance-stages
            own/image-recorded.json -> advance-stages
            own/index-due.json -> promote-images
            own/promotion-due.json -> promote-images
            own/promotion-watch-due.json -> nobody
            own/push-accepted.json -> plan-runs
            own/stage-status-due.json -> report-status
            own/stage-tags-due.json -> record-images
            own/statuses-due.json -> report-status
        "#]],
    );
}
