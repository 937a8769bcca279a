//! What a failure in each phase leads to, for each `on-failure`.

use super::*;

/// Runs four phases that print their names, each with an addition; returns what ran, in one line.
/// A phase's letter is that of its commands, its small letter that of its `finally`.
async fn check(world: &World, number: u32, added: &[(&str, &str)], expected: &str) {
    let mut spec = "version: 0.2\nphases:\n".to_owned();
    for (phase, letter) in [
        ("install", 'I'),
        ("pre_build", 'P'),
        ("build", 'B'),
        ("post_build", 'A'),
    ] {
        let of_phase = added.iter().filter(|(name, _)| *name == phase);
        let keys: String = of_phase.map(|(_, key)| format!("    {key}\n")).collect();
        let small = letter.to_ascii_lowercase();
        let commands = match keys.contains("commands:") {
            true => String::new(),
            false => "    commands: [':']\n".to_owned(),
        };
        let commands = format!("{keys}{commands}").replace(
            "commands: [",
            &format!("commands: [printf {letter}$CODEBUILD_BUILD_SUCCEEDING >>\"$OUT\", "),
        );
        spec += &format!("  {phase}:\n{commands}");
        if !keys.contains("finally:") {
            spec += &format!("    finally: [printf {small} >>\"$OUT\"]\n");
        }
    }
    let out = world.path(&format!("ran-{number}"));
    let mut request = world.request(number, &spec);
    request.environment = vec![("OUT".into(), out.display().to_string())];
    let build = world.runner.start(request).await.unwrap();
    let report = world.end(&build).await;
    let ran = fs::read_to_string(out).unwrap_or_default();
    let status = report.status.word();
    assert_eq!(format!("{ran} {status}"), expected, "{added:?}\n{spec}");
}

const FAILS: &str = "commands: ['false', never]";

#[tokio::test]
async fn what_runs_after_each_phase_fails() {
    let world = World::new(1).await;
    let mut number = 0;
    let mut check = async |added: &[(&str, &str)], expected: &str| {
        number += 1;
        check(&world, number, added, expected).await;
    };
    check(&[], "I1iP1pB1bA1a SUCCEEDED").await;
    check(&[("install", FAILS)], "I1i FAILED").await;
    check(&[("pre_build", FAILS)], "I1iP1p FAILED").await;
    check(&[("build", FAILS)], "I1iP1pB1bA0a FAILED").await;
    check(&[("post_build", FAILS)], "I1iP1pB1bA1a FAILED").await;
    for phase in ["install", "pre_build", "build", "post_build"] {
        let (abort, go_on) = match phase {
            "install" => ("I1i FAILED", "I1iP0pB0bA0a FAILED"),
            "pre_build" => ("I1iP1p FAILED", "I1iP1pB0bA0a FAILED"),
            "build" => ("I1iP1pB1b FAILED", "I1iP1pB1bA0a FAILED"),
            _ => ("I1iP1pB1bA1a FAILED", "I1iP1pB1bA1a FAILED"),
        };
        check(&[(phase, FAILS), (phase, "on-failure: ABORT")], abort).await;
        check(&[(phase, FAILS), (phase, "on-failure: CONTINUE")], go_on).await;
    }
    let finally = "finally: ['printf x >>\"$OUT\"', 'false', never]";
    check(&[("install", finally)], "I1x FAILED").await;
    check(&[("build", finally)], "I1iP1pB1xA0a FAILED").await;
    let both = [("build", finally), ("build", "on-failure: CONTINUE")];
    check(&both, "I1iP1pB1xA0a FAILED").await;
}

#[tokio::test]
async fn every_form_of_retry_tries_as_often_as_it_says() {
    let world = World::new(1).await;
    let mut number = 0;
    let mut check = async |on_failure: &str, command: &str, expected: &str| {
        number += 1;
        let keys = [
            format!("on-failure: '{on_failure}'"),
            format!("commands: ['{command}']"),
        ];
        let added = [("pre_build", &*keys[0]), ("pre_build", &*keys[1])];
        check(&world, number, &added, expected).await;
    };
    let refused = "echo connection refused; false";
    check("RETRY", refused, "I1iP1pP1pP1pP1p FAILED").await;
    check("RETRY-0", refused, "I1iP1p FAILED").await;
    check("RETRY-2", refused, "I1iP1pP1pP1p FAILED").await;
    check("RETRY-ref.sed", refused, "I1iP1pP1pP1pP1p FAILED").await;
    check("RETRY-timed.out", refused, "I1iP1p FAILED").await;
    check("RETRY-1-ref.sed", refused, "I1iP1pP1p FAILED").await;
    check("RETRY-1-timed.out", refused, "I1iP1p FAILED").await;
    check("RETRY-1-exit status 4", "(exit 4)", "I1iP1pP1p FAILED").await;
    let third = "echo >>tries; [ $(wc -l <tries) = 3 ]";
    check("RETRY", third, "I1iP1pP1pP1pB1bA1a SUCCEEDED").await;
}
