//! Feeds unlikely input to reading, linting, fixing and generating: none of it may panic or give a
//! wrong result.
//!
//! Each target uses bytes to change one of the files in `tests/corpus`, so that most inputs are
//! almost buildspecs. `BOLERO_RANDOM_ITERATIONS` sets how many; the default is few.

#![cfg(feature = "lint")]

mod made;
mod mutate;
mod shell;
mod strangers;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bolero::check;
use towline_buildspec::Buildspec;
use towline_buildspec::lint::{Code, Context, Files, Finding, fix, lint, sarif, to_json, to_text};
use towline_buildspec::model::PhaseName;

/// The longest input; each few bytes are one change.
const MOST_BYTES: usize = 40;

/// Files around a buildspec, for any request.
struct Around;

impl Files for Around {
    fn read(&self, path: &str) -> Option<String> {
        let text = match path {
            "Makefile" => {
                "push: login\n\tdocker push $(IMAGE):latest\nlogin:\n\t$$(aws ecr get-login)\n"
            }
            "Dockerfile" => "FROM golang:1.22\nEXPOSE 80\nRUN GOARCH=amd64 go build .\n",
            "docker-compose.yml" => {
                "services: {app: {image: 385605022855.dkr.ecr.us-east-1.amazonaws.com/shop}}\n"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }

    fn list(&self, _: &str) -> Vec<String> {
        ["Makefile", "Dockerfile", "docker-compose.yml"]
            .map(str::to_owned)
            .to_vec()
    }
}

fn context() -> Context<'static> {
    Context {
        files: &Around,
        image: Some("aws/codebuild/standard:7.0".to_owned()),
        privileged: Some(false),
        git_metadata: Some(false),
        immutable_tags: Some(true),
        platforms: vec!["linux/arm64".to_owned()],
        region: Some("eu-west-1".to_owned()),
        account: Some("111122223333".to_owned()),
    }
}

#[test]
fn read() {
    check!()
        .with_iterations(1_000)
        .with_max_len(MOST_BYTES)
        .for_each(|bytes| {
            let text = mutate::text(bytes);
            let Ok((spec, _)) = Buildspec::read(&text) else {
                return;
            };
            let printed = spec.to_yaml();
            let again = Buildspec::read(&printed).map(|(spec, _)| spec);
            assert_eq!(again, Ok(spec), "{text}\nis printed as\n{printed}");
        });
}

#[test]
fn lints() {
    let reports = Mutex::new(Vec::new());
    check!()
        .with_iterations(300)
        .with_max_len(MOST_BYTES)
        .for_each(|bytes| {
            let text = mutate::text(bytes);
            let report = lint("buildspec.yml", &text, &context());
            for finding in &report.findings {
                stands_where_it_says(&text, finding);
            }
            to_text(&report, &|_| Some(text.clone()), true);
            assert!(to_json(&report).is_object());
            // Each log contains the whole catalog, so it is for many inputs.
            let mut reports = reports.lock().unwrap_or_else(PoisonError::into_inner);
            reports.push(report);
            if reports.len() == 20 {
                assert!(sarif(&reports).is_object());
                reports.clear();
            }
        });
}

fn stands_where_it_says(text: &str, finding: &Finding) {
    assert!(finding.start.line >= 1 && finding.start.column >= 1);
    assert!(finding.start <= finding.end, "{finding:?}");
    assert!(!finding.consequence.is_empty() && !finding.advice.is_empty());
    if finding.file == "buildspec.yml" {
        let there = text.get(finding.range.clone());
        assert_eq!(there, Some(finding.text.as_str()), "{finding:?} in\n{text}");
    }
}

/// The number of commands in each phase.
fn lengths(spec: &Buildspec) -> Vec<usize> {
    let phases = PhaseName::ALL.map(|name| spec.phases.get(name));
    phases
        .iter()
        .map(|phase| phase.commands.len() + phase.finally.len())
        .collect()
}

#[test]
fn fixes() {
    check!()
        .with_iterations(100)
        .with_max_len(MOST_BYTES)
        .for_each(|bytes| {
            let text = mutate::text(bytes);
            let context = context();
            let fixed = fix("buildspec.yml", &text, &context);
            if fixed.applied.is_empty() {
                assert_eq!(fixed.text, text);
                return;
            }
            let after = Buildspec::read_all(&fixed.text).map(|reading| reading.spec);
            let after = after.unwrap_or_else(|error| panic!("{error} in\n{}", fixed.text));
            if !fixed.applied.contains(&Code::E002)
                && let Ok(before) = Buildspec::read_all(&text)
            {
                assert_eq!(
                    lengths(&before.spec),
                    lengths(&after),
                    "{text}\nbecame\n{}",
                    fixed.text
                );
            }
            let again = fix("buildspec.yml", &fixed.text, &context);
            assert_eq!(again.applied, Vec::new(), "{}", fixed.text);
        });
}

#[test]
fn a10_generated_commands_hand_every_text_over_whole() {
    let batch = Mutex::new(shell::Batch::default());
    let with_files = AtomicUsize::new(0);
    check!()
        .with_iterations(300)
        .with_max_len(8 * MOST_BYTES)
        .for_each(|bytes| {
            let Some(case) = made::case(bytes) else {
                return;
            };
            with_files.fetch_add(usize::from(!case.folders.is_empty()), Ordering::Relaxed);
            // The leftovers of a failed case are the same as before.
            let mut batch = batch.lock().unwrap_or_else(PoisonError::into_inner);
            batch.push(case);
        });
    let batch = batch.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (ran, with_files) = (batch.finish(), with_files.into_inner());
    assert!(with_files > 0, "none of {ran} builds had outputs or tools");
    println!("{ran} builds, {with_files} of them with outputs or tools");
}
