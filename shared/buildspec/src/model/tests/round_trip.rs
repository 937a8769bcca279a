//! Printing loses nothing: whatever a buildspec holds, reading its print gives it back.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;

/// Texts that YAML readers are known to trip over, besides whatever chance brings.
fn any_text() -> impl Strategy<Value = String> {
    let traps = [
        "",
        " ",
        "yes",
        "null",
        "~",
        "1.20",
        "0x1f",
        "a: b",
        "- a",
        "# no comment",
        "it's",
        "\"",
        "\\",
        "%x",
        "@",
        "`id`",
        "a\n",
        "\n",
        "a\n\nb",
        " lead\n  inner\n\ttab\ntrail ",
        "\t",
        "\r\n",
        "\u{85}",
        "\u{2028}x",
        "\u{feff}",
        "\0",
        "\u{1b}[31m",
        "\u{202e}",
        "é한🚀",
        "\u{1fffe}",
        "---",
        "...",
        "!!str",
        "*a",
        "&a",
        "{{x}}",
        "'\"'",
        "\\n",
    ];
    prop_oneof![
        prop::sample::select(traps.to_vec()).prop_map(str::to_owned),
        any::<String>(),
        "[ -~\n]{0,60}"
    ]
}

fn any_texts() -> impl Strategy<Value = Vec<String>> {
    vec(any_text(), 0..4)
}

fn any_pairs() -> impl Strategy<Value = Pairs> {
    btree_map(any_text(), any_text(), 0..4).prop_map(|pairs| pairs.into_iter().collect())
}

fn any_raw() -> impl Strategy<Value = Raw> {
    let leaf = prop_oneof![
        "-?[A-Za-z0-9][A-Za-z0-9_./-]{0,8}"
            .prop_filter("null has one spelling", |text| !text
                .eq_ignore_ascii_case("null"))
            .prop_map(Raw::Bare),
        Just(Raw::Bare("null".to_owned())),
        any_text().prop_map(Raw::Text),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Raw::List),
            btree_map(any_text(), inner, 0..3)
                .prop_map(|entries| Raw::Map(entries.into_iter().collect())),
        ]
    })
}

fn any_others() -> impl Strategy<Value = Others> {
    btree_map("x-[ -~]{0,8}", any_raw(), 0..2).prop_map(|entries| entries.into_iter().collect())
}

fn any_on_failure() -> impl Strategy<Value = OnFailure> {
    prop_oneof![
        Just(OnFailure::Abort),
        Just(OnFailure::Continue),
        (
            0..=100_u8,
            option::of(
                any_text().prop_filter("a regex has a character", |regex| !regex.is_empty())
            )
        )
            .prop_map(|(count, regex)| OnFailure::Retry { count, regex }),
    ]
}

fn any_phase() -> impl Strategy<Value = Phase> {
    (
        option::of(any_text()),
        option::of(any_on_failure()),
        any_pairs(),
        any_texts(),
        any_texts(),
        any_others(),
    )
        .prop_map(
            |(run_as, on_failure, runtime_versions, commands, finally, other)| Phase {
                run_as,
                on_failure,
                runtime_versions,
                commands,
                finally,
                other,
            },
        )
}

fn any_phases() -> impl Strategy<Value = Phases> {
    (
        any_phase(),
        any_phase(),
        any_phase(),
        any_phase(),
        any_others(),
    )
        .prop_map(|(install, pre_build, build, post_build, other)| Phases {
            install,
            pre_build,
            build,
            post_build,
            other,
        })
}

fn any_env() -> impl Strategy<Value = Env> {
    let shell = prop::sample::select(vec![Shell::Bash, Shell::Sh, Shell::PowerShell, Shell::Cmd]);
    (
        option::of(shell),
        any_pairs(),
        any_pairs(),
        any_pairs(),
        any_texts(),
        option::of(any::<bool>()),
        any_others(),
    )
        .prop_map(
            |(
                shell,
                variables,
                parameter_store,
                secrets_manager,
                exported_variables,
                git_credential_helper,
                other,
            )| Env {
                shell,
                variables,
                parameter_store,
                secrets_manager,
                exported_variables,
                git_credential_helper,
                other,
            },
        )
}

fn any_artifacts() -> impl Strategy<Value = Artifacts> {
    let flat = (
        any_texts(),
        option::of(any_text()),
        option::of(any_text()),
        option::of(any::<bool>()),
        any_texts(),
        any_others(),
    )
        .prop_map(
            |(files, name, base_directory, discard_paths, exclude_paths, other)| Artifacts {
                files,
                name,
                base_directory,
                discard_paths,
                exclude_paths,
                secondary: Vec::new(),
                other,
            },
        );
    flat.prop_recursive(1, 2, 2, |inner| {
        (inner.clone(), btree_map(any_text(), inner, 1..2)).prop_map(|(artifacts, secondary)| {
            Artifacts {
                secondary: secondary.into_iter().collect(),
                ..artifacts
            }
        })
    })
}

fn any_reports() -> impl Strategy<Value = Vec<(String, Report)>> {
    let report = (
        any_texts(),
        option::of(any_text()),
        option::of(any::<bool>()),
        option::of(any_text()),
        any_others(),
    )
        .prop_map(
            |(files, base_directory, discard_paths, file_format, other)| Report {
                files,
                base_directory,
                discard_paths,
                file_format,
                other,
            },
        );
    btree_map(any_text(), report, 0..2).prop_map(|reports| reports.into_iter().collect())
}

fn any_cache() -> impl Strategy<Value = Cache> {
    (any_texts(), option::of(any_text()), any_others()).prop_map(|(paths, key, other)| Cache {
        paths,
        key,
        other,
    })
}

fn any_buildspec() -> impl Strategy<Value = Buildspec> {
    let version = prop::sample::select(vec![Version::V0_1, Version::V0_2]);
    (
        version,
        option::of(any_text()),
        any_env(),
        any_phases(),
        any_reports(),
        option::of(any_artifacts()),
        option::of(any_cache()),
        any_others(),
    )
        .prop_map(
            |(version, run_as, env, phases, reports, artifacts, cache, other)| Buildspec {
                version,
                run_as,
                env,
                phases,
                reports,
                artifacts,
                cache,
                other,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn reading_the_print_gives_the_same_buildspec(spec in any_buildspec()) {
        let printed = spec.to_yaml();
        let read = Buildspec::read(&printed).map(|(read, _)| read);
        prop_assert_eq!(read, Ok(spec), "{}", printed);
    }

    #[test]
    fn no_text_makes_reading_panic(text in "[a-z_:\\-\\[\\]{} \n\"'|]{0,120}") {
        let _ = Buildspec::read(&format!("version: 0.2\n{text}"));
    }
}
