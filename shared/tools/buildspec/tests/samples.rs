//! Reads, lints and fixes every sample buildspec in the folder that `TOWLINE_SAMPLES` named when this
//! test was built.
//!
//! The samples belong to others and are not part of this repository, so these tests are ignored unless
//! asked for.

use std::fs;
use std::path::Path;

use towline_buildspec::Buildspec;

/// The folder of samples; none if it was not set.
const SAMPLES: Option<&str> = option_env!("TOWLINE_SAMPLES");

/// Every sample with its name, in the order of names.
fn samples() -> Vec<(String, String)> {
    let samples = SAMPLES.expect("TOWLINE_SAMPLES was set at build time");
    let entries = fs::read_dir(Path::new(samples).join("buildspec"));
    let entries = entries.expect("the folder of samples can be listed");
    let mut samples: Vec<(String, String)> = entries
        .map(|entry| {
            let path = entry.expect("an entry of the folder can be read").path();
            let text = fs::read_to_string(&path).expect("a sample is text");
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            (name.into_owned(), text)
        })
        .collect();
    samples.sort();
    assert!(!samples.is_empty(), "there is no sample");
    samples
}

#[test]
#[ignore = "needs samples of others: set TOWLINE_SAMPLES when you build"]
fn every_sample_is_read_and_printed_or_refused_with_its_place() {
    let samples = samples();
    let mut read = 0;
    for (name, text) in &samples {
        match Buildspec::read(text) {
            Ok((spec, _)) => {
                read += 1;
                let again = Buildspec::read(&spec.to_yaml()).map(|(spec, _)| spec);
                assert_eq!(again, Ok(spec), "{name} changes when it is printed");
            }
            Err(error) => println!("{name}: refused: {error}"),
        }
    }
    assert!(read * 5 >= samples.len() * 4, "only {read} could be read");
}

/// The linter's findings in the samples: check each line when a rule changes, because all of them
/// except 09 and 31 are meant to be good examples.
#[cfg(feature = "lint")]
#[test]
#[ignore = "needs samples of others: set TOWLINE_SAMPLES when you build"]
fn what_the_linter_says_of_the_samples_is_known() {
    use towline_buildspec::lint::{Context, lint};
    let samples = samples();
    let lines = samples.iter().flat_map(|(name, text)| {
        let findings = lint(name, text, &Context::default()).findings;
        findings.into_iter().map(move |finding| {
            format!(
                "{name}:{}:{} {}\n",
                finding.start.line,
                finding.start.column,
                finding.code.as_str()
            )
        })
    });
    expect_test::expect![[r#"
        docs.batch-build-buildspec.01.yml:1:1 E005
        docs.batch-build-buildspec.02.yml:1:1 E005
        docs.batch-build-buildspec.03.yml:1:1 E005
        docs.build-spec-ref.09.yml:4:1 E002
        docs.sample-docker.18.yml:18:9 E003
        docs.sample-multi-in-out.23.yml:6:7 E010
        docs.sample-runtime-versions.28.yml:6:7 E010
        docs.sample-test-report-cli.31.yml:2:11 E000
        docs.troubleshooting.39.yml:5:1 N001
        docs.troubleshooting.39.yml:7:13 N001
    "#]]
    .assert_eq(&lines.collect::<String>());
}

/// The commands of a buildspec by phase, `finally` after `commands`.
#[cfg(feature = "lint")]
fn commands(spec: &Buildspec) -> Vec<Vec<String>> {
    let phases = towline_buildspec::model::PhaseName::ALL.map(|name| spec.phases.get(name));
    let of_phase = |phase: &towline_buildspec::model::Phase| {
        let all = phase.commands.iter().chain(&phase.finally);
        all.cloned().collect()
    };
    phases.into_iter().map(of_phase).collect()
}

#[cfg(feature = "lint")]
#[test]
#[ignore = "needs samples of others: set TOWLINE_SAMPLES when you build"]
fn a_fixed_sample_has_fewer_findings_and_the_same_commands_otherwise() {
    use towline_buildspec::lint::{Code, Context, fix, lint};
    let mut with_fixes = 0;
    for (name, text) in &samples() {
        let fixed = fix(name, text, &Context::default());
        if fixed.applied.is_empty() {
            assert_eq!(fixed.text, *text, "{name}");
            continue;
        }
        with_fixes += 1;
        let findings = |text: &str| lint(name, text, &Context::default()).findings.len();
        assert!(findings(&fixed.text) < findings(text), "{name}");
        let after = Buildspec::read_all(&fixed.text)
            .expect("what is fixed reads")
            .spec;
        let Ok(before) = Buildspec::read_all(text).map(|reading| reading.spec) else {
            continue;
        };
        if fixed.applied.contains(&Code::E002) {
            continue;
        }
        let (before, after) = (commands(&before), commands(&after));
        let lengths = |phases: &[Vec<String>]| phases.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(&before), lengths(&after), "{name}");
        let changed = before.iter().flatten().zip(after.iter().flatten());
        let changed = changed.filter(|(one, other)| one != other).count();
        let meant = |code: &&Code| matches!(code, Code::E003 | Code::E011 | Code::E012);
        let meant = fixed.applied.iter().filter(meant).count();
        assert!(changed <= meant, "{name}: {changed} commands changed");
    }
    assert!(with_fixes > 0, "no sample could be fixed");
}
