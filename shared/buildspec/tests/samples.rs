//! Reads every sample buildspec under the folder that `TOWLINE_SAMPLES` named when this test was built.
//!
//! The samples belong to others and are not part of this repository; without the variable there is nothing to do.

use std::fs;
use std::path::Path;

use towline_buildspec::Buildspec;

#[test]
fn every_sample_is_read_and_printed_or_refused_with_its_place() {
    let Some(samples) = option_env!("TOWLINE_SAMPLES") else {
        println!("TOWLINE_SAMPLES is not set: no samples to read");
        return;
    };
    let mut read = 0;
    for entry in fs::read_dir(Path::new(samples).join("buildspec"))
        .expect("the folder of samples can be listed")
    {
        let path = entry.expect("an entry of the folder can be read").path();
        let text = fs::read_to_string(&path).expect("a sample is text");
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match Buildspec::read(&text) {
            Ok((spec, warnings)) => {
                read += 1;
                warnings
                    .iter()
                    .for_each(|warning| println!("{name}: {warning}"));
                let again = Buildspec::read(&spec.to_yaml()).map(|(spec, _)| spec);
                assert_eq!(again, Ok(spec), "{name} changes when it is printed");
            }
            Err(error) => println!("{name}: refused: {error}"),
        }
    }
    assert!(read > 0, "not one sample in {samples} could be read");
}

/// What the linter says of every sample; look at each line when a rule changes. Counts are kept only for our own.
#[cfg(feature = "lint")]
#[test]
fn every_sample_is_linted_and_fixed() {
    use towline_buildspec::lint::{Code, Context, fix, lint, to_text};
    let Some(samples) = option_env!("TOWLINE_SAMPLES") else {
        println!("TOWLINE_SAMPLES is not set: no samples to lint");
        return;
    };
    let mut count = 0;
    for entry in fs::read_dir(Path::new(samples).join("buildspec"))
        .expect("the folder of samples can be listed")
    {
        let path = entry.expect("an entry of the folder can be read").path();
        let text = fs::read_to_string(&path).expect("a sample is text");
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let report = lint(&name, &text, &Context::default());
        let visible: Vec<_> = report
            .findings
            .iter()
            .filter(|finding| finding.code != Code::N001)
            .collect();
        count += visible.len();
        println!("{}", to_text(&report, &|_| Some(text.clone()), false));
        let fixed = fix(&name, &text, &Context::default());
        let after = lint(&name, &fixed.text, &Context::default());
        if let (Ok((before, _)), Ok((spec, _))) =
            (Buildspec::read(&text), Buildspec::read(&fixed.text))
        {
            let kept = spec
                .phases
                .build
                .commands
                .iter()
                .zip(&before.phases.build.commands);
            assert!(
                kept.into_iter().all(|(one, other)| one == other),
                "{name} changes its build"
            );
            let count = |spec: &Buildspec| spec.phases.post_build.commands.len();
            assert_eq!(count(&spec), count(&before), "{name} loses a command");
        }
        let is_less = after.findings.len() < report.findings.len() || fixed.applied.is_empty();
        assert!(
            is_less,
            "{name}: fixed {:?} and has as many findings",
            fixed.applied
        );
        if !fixed.applied.is_empty() {
            println!("--- {name} fixed: {:?}\n{}", fixed.applied, fixed.text);
        }
    }
    println!("{count} findings");
}
