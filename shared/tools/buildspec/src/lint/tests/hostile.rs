//! Hostile texts.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

#[test]
fn hostile_texts_are_refused_fast() {
    let bomb: String = std::iter::once("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned())
        .chain((1..40).map(|level| {
            format!(
                "a{level}: &a{level} [{}]\n",
                vec![format!("*a{}", level - 1); 9].join(", ")
            )
        }))
        .collect();
    let cases = [
        ("ten megabytes", "a".repeat(10 << 20)),
        ("ten megabytes of tabs", "\ta: b\n".repeat(10 << 17)),
        ("depth 10,000", "[".repeat(10_000)),
        ("depth of blocks", "- ".repeat(10_000)),
        ("alias bomb", bomb),
        (
            "a million keys",
            (0..1_000_000)
                .map(|number| format!("k{number}:\n"))
                .collect(),
        ),
        ("a tab on every line", "\ta: b\n".repeat(9_000)),
    ];
    for (name, text) in cases {
        let began = Instant::now();
        let report = lint("b.yml", &text, &Context::default());
        let took = began.elapsed();
        assert!(report.worst() == Some(Level::Error), "{name}");
        assert!(took < Duration::from_secs(2), "{name} took {took:?}");
    }
}

#[test]
fn hostile_commands_are_left_alone() {
    let cases = [
        "(".repeat(15_000),
        "$(".repeat(7_000),
        "\"$(".repeat(5_000),
        "if case [[ <<X { ((".repeat(800),
        "a() { a; a; }; ".repeat(200) + "a",
        "sh -c 'sh -c \"".repeat(1_000),
        "${A:-".repeat(3_000),
        "cat <<E\n".repeat(2_000),
        "a | ".repeat(3_500),
        "a | ".repeat(290),
        "f() ".repeat(4_000),
        "a=(".repeat(5_000),
        "[[ a =~ (".repeat(1_500),
        "{".repeat(50) + &"} {".repeat(5_000),
        "a=\"$b".repeat(3_000),
    ];
    for command in cases {
        let text = format!(
            "version: 0.2\nphases:\n  build:\n    commands:\n      - {}\n",
            crate::print::scalar::scalar(&command, 4)
        );
        let began = Instant::now();
        let _ = lint("b.yml", &text, &Context::default());
        let took = began.elapsed();
        let start: String = command.chars().take(20).collect();
        assert!(took < Duration::from_secs(3), "{start} took {took:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_linting_or_fixing_panic(
        text in "[a-z_:\\-\\[\\]{} \n\t\"'|>#é$(`;&]{0,160}",
        command in "(docker push|timeout -t 5|\\$\\(aws ecr get-login\\)|if|then|fi|\\[ \\$CODEBUILD_BUILD_SUCCEEDING = 1 \\]|&&|\\|\\||;|'|\"|é|\\\\|#| |\n|\\$\\{A:0:7\\}|<<E|a\\(\\)|\\{|\\}){0,20}",
    ) {
        for text in [
            text.clone(),
            format!("version: 0.2\nphases:\n  build:\n    commands:\n      - {text}\n"),
            format!("version: 0.2\nphases:\n  build: {{commands: [a]}}\n  post_build:\n    commands:\n      - {}\n", crate::print::scalar::scalar(&command, 4)),
        ] {
            let report = lint("b.yml", &text, &Context::default());
            let _ = to_text(&report, &|_| Some(text.clone()), false);
            let fixed = fix("b.yml", &text, &Context::default());
            if !fixed.applied.is_empty() {
                prop_assert!(crate::Buildspec::read_all(&fixed.text).is_ok(), "{}", fixed.text);
                prop_assert!(fix("b.yml", &fixed.text, &Context::default()).applied.is_empty(), "{}", fixed.text);
            }
        }
    }
}
