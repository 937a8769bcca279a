//! Printing loses nothing: a printed buildspec reads back as the same buildspec.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::yaml::{Node, Value};

/// Texts that YAML parsers are known to misread, and random ones.
fn any_text() -> BoxedStrategy<String> {
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
    .boxed()
}

fn any_texts() -> BoxedStrategy<Vec<String>> {
    vec(any_text(), 0..4).boxed()
}

fn any_pairs() -> BoxedStrategy<Pairs> {
    btree_map(any_text(), any_text(), 0..4)
        .prop_map(|pairs| pairs.into_iter().collect())
        .boxed()
}

fn any_raw() -> BoxedStrategy<Raw> {
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
    .boxed()
}

fn any_others() -> BoxedStrategy<Others> {
    btree_map("x-[ -~]{0,8}", any_raw(), 0..2)
        .prop_map(|entries| entries.into_iter().collect())
        .boxed()
}

fn any_on_failure() -> BoxedStrategy<OnFailure> {
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
    .boxed()
}

fn any_phase() -> BoxedStrategy<Phase> {
    (
        option::of(any_text()),
        option::of(any_on_failure()),
        any_pairs(),
        any_texts(),
        any_texts(),
        vec(any_step(), 0..2),
        any_others(),
    )
        .prop_map(
            |(run_as, on_failure, runtime_versions, commands, finally, steps, other)| Phase {
                run_as,
                on_failure,
                runtime_versions,
                commands,
                finally,
                steps,
                other,
            },
        )
        .boxed()
}

fn any_step() -> BoxedStrategy<Step> {
    (
        (option::of(any_text()), option::of(any_text())),
        option::of(any_text()),
        any_pairs(),
        any_pairs(),
        option::of(any_text()),
        any_others(),
    )
        .prop_map(|((name, id), uses, with, env, run, other)| Step {
            name,
            id,
            uses,
            with,
            env,
            run,
            other,
        })
        .boxed()
}

fn any_switch() -> BoxedStrategy<Option<bool>> {
    option::of(any::<bool>()).boxed()
}

fn any_batch_env() -> BoxedStrategy<BatchEnv> {
    (
        option::of(any_text()),
        option::of(any_text()),
        option::of(any_text()),
        any_switch(),
        option::of(any_text()),
        any_pairs(),
        any_others(),
    )
        .prop_map(
            |(compute_type, fleet, image, privileged_mode, kind, variables, other)| BatchEnv {
                compute_type,
                fleet,
                image,
                privileged_mode,
                kind,
                variables,
                other,
            },
        )
        .boxed()
}

fn any_batch_build() -> BoxedStrategy<BatchBuild> {
    (
        any_text(),
        option::of(any_text()),
        any_switch(),
        any_texts(),
        option::of(any_batch_env()),
        any_switch(),
        any_others(),
    )
        .prop_map(
            |(identifier, buildspec, debug_session, depend_on, env, ignore_failure, other)| {
                BatchBuild {
                    identifier,
                    buildspec,
                    debug_session,
                    depend_on,
                    env,
                    ignore_failure,
                    other,
                }
            },
        )
        .boxed()
}

fn any_matrix() -> BoxedStrategy<Matrix> {
    let fixed = (any_switch(), option::of(any_batch_env()), any_others()).prop_map(
        |(ignore_failure, env, other)| Static {
            ignore_failure,
            env,
            other,
        },
    );
    let dynamic = (
        any_texts(),
        any_texts(),
        any_texts(),
        btree_map(any_text(), any_texts(), 0..2),
        any_others(),
        any_others(),
    )
        .prop_map(
            |(buildspec, compute_type, image, variables, other_env, other)| Dynamic {
                buildspec,
                compute_type,
                image,
                variables: variables.into_iter().collect(),
                other_env,
                other,
            },
        );
    (option::of(fixed), option::of(dynamic), any_others())
        .prop_map(|(fixed, dynamic, other)| Matrix {
            fixed,
            dynamic,
            other,
        })
        .boxed()
}

fn any_batch() -> BoxedStrategy<Batch> {
    let fanout = (option::of(any_text()), any_switch(), any_others()).prop_map(
        |(parallelism, ignore_failure, other)| Fanout {
            parallelism,
            ignore_failure,
            other,
        },
    );
    let form = prop_oneof![
        vec(any_batch_build(), 0..3).prop_map(BatchForm::List),
        vec(any_batch_build(), 0..3).prop_map(BatchForm::Graph),
        any_matrix().prop_map(|matrix| BatchForm::Matrix(Box::new(matrix))),
        fanout.prop_map(BatchForm::Fanout),
    ];
    (any_switch(), option::of(form), any_others())
        .prop_map(|(fast_fail, form, other)| Batch {
            fast_fail,
            forms: form.into_iter().collect(),
            other,
        })
        .boxed()
}

fn any_proxy() -> BoxedStrategy<Proxy> {
    (any_switch(), any_switch(), any_others())
        .prop_map(|(upload_artifacts, logs, other)| Proxy {
            upload_artifacts,
            logs,
            other,
        })
        .boxed()
}

fn any_phases() -> BoxedStrategy<Phases> {
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
        .boxed()
}

fn any_env() -> BoxedStrategy<Env> {
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
        .boxed()
}

fn any_artifacts() -> BoxedStrategy<Artifacts> {
    let flat = (
        any_texts(),
        option::of(any_text()),
        option::of(any_text()),
        option::of(any::<bool>()),
        any_texts(),
        (any_switch(), option::of(any_text())),
        any_others(),
    )
        .prop_map(
            |(files, name, base_directory, discard_paths, exclude_paths, s3, other)| Artifacts {
                files,
                name,
                base_directory,
                discard_paths,
                exclude_paths,
                enable_symlinks: s3.0,
                s3_prefix: s3.1,
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
    .boxed()
}

fn any_reports() -> BoxedStrategy<Vec<(String, Report)>> {
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
    btree_map(any_text(), report, 0..2)
        .prop_map(|reports| reports.into_iter().collect())
        .boxed()
}

fn any_cache() -> BoxedStrategy<Cache> {
    let action = prop::sample::select(vec![CacheAction::Restore, CacheAction::Save]);
    (
        any_texts(),
        option::of(any_text()),
        any_texts(),
        option::of(action),
        any_others(),
    )
        .prop_map(|(paths, key, fallback_keys, action, other)| Cache {
            paths,
            key,
            fallback_keys,
            action,
            other,
        })
        .boxed()
}

fn any_buildspec() -> BoxedStrategy<Buildspec> {
    let version = prop::sample::select(vec![Version::V0_1, Version::V0_2]);
    (
        (version, option::of(any_text())),
        any_env(),
        option::of(any_proxy()),
        option::of(any_batch()),
        any_phases(),
        any_reports(),
        option::of(any_artifacts()),
        option::of(any_cache()),
        any_others(),
    )
        .prop_map(
            |((version, run_as), env, proxy, batch, phases, reports, artifacts, cache, other)| {
                Buildspec {
                    version,
                    run_as,
                    env,
                    proxy,
                    batch,
                    phases,
                    reports,
                    artifacts,
                    cache,
                    other,
                }
            },
        )
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn reading_the_print_gives_the_same_buildspec(spec in any_buildspec()) {
        let printed = spec.to_yaml();
        let reading = Buildspec::read_all(&printed).unwrap();
        let phases = reading.root.get("phases").and_then(Node::as_mapping).unwrap_or_default();
        let lists = phases.iter().flat_map(|(_, phase)| [phase.get("commands"), phase.get("finally")]);
        for command in lists.flatten().filter_map(Node::as_sequence).flatten() {
            // Only a quoted scalar is a string in both YAML 1.1 and 1.2.
            let is_quoted = matches!(&command.value, Value::Scalar { quoted: true, .. });
            prop_assert!(is_quoted, "{:?} in {}", command, printed);
        }
        let read = Buildspec::read(&printed).map(|(read, _)| read);
        prop_assert_eq!(read, Ok(spec), "{}", printed);
    }

    #[test]
    fn any_text_is_read_and_printed_or_refused_with_its_place(
        text in prop_oneof![
            "[a-z_:\\-\\[\\]{} \n\"'|]{0,120}",
            "phases:\n  (build|install|pre_build): ?\\{(commands|finally): \\[[a-z\"', ]{0,40}\\]\\}\n",
        ],
    ) {
        let text = format!("version: 0.2\n{text}");
        match Buildspec::read(&text) {
            Ok((spec, _)) => {
                let again = Buildspec::read(&spec.to_yaml()).map(|(again, _)| again);
                prop_assert_eq!(again, Ok(spec));
            }
            Err(error) => {
                let last = text.lines().count() + 1;
                prop_assert!((1..=last).contains(&error.line), "{error:?} in {text:?}");
                prop_assert!(error.column >= 1 && !error.message.is_empty(), "{error:?}");
            }
        }
    }
}
