//! How good, suspicious and wrong buildspecs are read, and that printing loses nothing.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::needless_pass_by_value,
    reason = "cases read better without references"
)]

mod round_trip;

use expect_test::{Expect, expect};

use super::*;

/// The result as printed, with its warnings, or the error.
fn outcome(text: &str) -> String {
    match Buildspec::read(text) {
        Ok((spec, warnings)) => {
            let warnings: String = warnings
                .iter()
                .map(|warning| format!("warning: {warning}\n"))
                .collect();
            format!("{}{warnings}", spec.to_yaml())
        }
        Err(error) => error.to_string(),
    }
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&outcome(text));
}

/// Only a plain `<<` merges (YAML merge key type).
#[test]
fn a_quoted_merge_key_is_a_name_like_any_other() {
    let text = "version: 0.1\nenvironment_variables: {plaintext: {'<<': here}}\nphases: {}\n";
    let (spec, _) = Buildspec::read(text).expect("a buildspec");
    let variables = [("<<".to_owned(), "here".to_owned())];
    assert_eq!(spec.env.variables, variables);
}

#[test]
fn a_full_buildspec_is_read_and_printed() {
    check(
        "version: 0.2
run-as: builder
env:
  shell: /bin/bash
  variables: {GO: 1.20, ON: yes, EMPTY: , N: 007}
  parameter-store: {TOKEN: /shop/token}
  secrets-manager: {KEY: 'shop:key:AWSCURRENT'}
  exported-variables: IMAGE_DIGEST
  git-credential-helper: yes
proxy: {upload-artifacts: yes}
batch: {fast-fail: true, build-list: [{identifier: one, env: {compute-type: BUILD_GENERAL1_SMALL}}, {identifier: two}]}
phases:
  install:
    runtime-versions: {golang: 1.20, nodejs: 20.x}
  pre_build:
    run-as: root
    on-failure: RETRY-2-timed out
    commands: make login
  build:
    on-failure: ABORT
    commands:
      - echo \"it's\" `date`
      - |
        if true; then
          echo yes
        fi
      - 42
    finally: ['true']
  post_build:
    commands:
reports:
  unit: {files: '**/*.xml', file-format: JUNITXML, base-directory: out, discard-paths: no}
artifacts:
  files: '**/*'
  name: shop-$(date +%F)
  enable-symlinks: yes
  secondary-artifacts: {docs: {files: [a, b], base-directory: docs}}
cache: {paths: [/root/.m2/**/*], key: k, fallback-keys: [a]}
",
        expect![[r#"
            version: 0.2
            run-as: 'builder'

            env:
              shell: 'bash'
              variables:
                GO: '1.20'
                'ON': 'yes'
                EMPTY: ''
                'N': '007'
              parameter-store:
                TOKEN: '/shop/token'
              secrets-manager:
                KEY: 'shop:key:AWSCURRENT'
              exported-variables:
                - 'IMAGE_DIGEST'
              git-credential-helper: yes

            proxy:
              upload-artifacts: yes

            batch:
              fast-fail: yes
              build-list:
                -
                  identifier: 'one'
                  env:
                    compute-type: 'BUILD_GENERAL1_SMALL'
                -
                  identifier: 'two'

            phases:
              install:
                runtime-versions:
                  golang: '1.20'
                  nodejs: '20.x'
              pre_build:
                run-as: 'root'
                on-failure: 'RETRY-2-timed out'
                commands:
                  - 'make login'
              build:
                on-failure: 'ABORT'
                commands:
                  - 'echo "it''s" `date`'
                  - "if true; then\n\
                    \  echo yes\n\
                    fi\n"
                  - '42'
                finally:
                  - 'true'

            reports:
              unit:
                files:
                  - '**/*.xml'
                base-directory: 'out'
                discard-paths: no
                file-format: 'JUNITXML'

            artifacts:
              files:
                - '**/*'
              name: 'shop-$(date +%F)'
              enable-symlinks: yes
              secondary-artifacts:
                docs:
                  files:
                    - 'a'
                    - 'b'
                  base-directory: 'docs'

            cache:
              paths:
                - '/root/.m2/**/*'
              key: 'k'
              fallback-keys:
                - 'a'
        "#]],
    );
}

#[test]
fn version_0_1_keeps_its_own_place_for_variables() {
    check(
        "version: 0.1\nenvironment_variables: {plaintext: {A: 1}}\nphases: {build: {commands: [make]}}\n",
        expect![[r#"
            version: 0.1

            environment_variables:
              plaintext:
                A: '1'

            phases:
              build:
                commands:
                  - 'make'
        "#]],
    );
}

#[test]
fn batch_only_files_need_no_phases() {
    check(
        "version: 0.2\nbatch: {fast-fail: false}\n",
        expect![[r#"
            version: 0.2

            batch:
              fast-fail: no

            phases: {}
        "#]],
    );
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    check(
        "version: 0.2\nenvs: {}\nphases: {prebuild: {commands: [a]}, build: {command: [b], commands: [c, ~]}}\n",
        expect![[r#"
        version: 0.2

        phases:
          build:
            commands:
              - 'c'
            command:
              - b
          prebuild:
            commands:
              - a

        envs: {}
        warning: line 2, column 1: the buildspec has no key `envs`, did you mean `env`?
        warning: line 3, column 10: `phases` has no key `prebuild`, did you mean `pre_build`?
        warning: line 3, column 45: `build` has no key `command`, did you mean `commands`?
        warning: line 3, column 73: an empty command is left out
    "#]],
    );
    check(
        "version: 0.2\nphases:\n  build:\n    commands:\n",
        expect![[r#"
        version: 0.2

        phases: {}
        warning: line 2, column 1: no phase has a command: this buildspec builds nothing
    "#]],
    );
    check(
        "version: 0.2\neb_codebuild_settings: {CodeBuildServiceRole: r}\nphases: {build: {runtime-versions: {go: 1}, steps: [{run: x}]}}\n",
        expect![[r#"
            version: 0.2

            phases:
              build:
                runtime-versions:
                  go: '1'
                steps:
                  -
                    run: 'x'

            eb_codebuild_settings:
              CodeBuildServiceRole: r
            warning: line 2, column 1: the buildspec has no key `eb_codebuild_settings`
            warning: line 3, column 18: `runtime-versions` is read only in `install`, not in `build`
            warning: line 3, column 45: `steps` are GitHub Actions steps, which only CodeBuild itself runs
        "#]],
    );
}

#[test]
fn what_codebuild_would_refuse_or_run_as_nothing_is_refused() {
    check(
        "version: 0.2\nphases: {install: {}}\nbuild:\n  commands: [make]\n",
        expect![
            "line 3, column 1: `build` is outside `phases` and would never run: move it under `phases:`"
        ],
    );
    check(
        "version: 0.2\nphases:\n  build:\n    commands:\n      - make\n      - echo a: b\n",
        expect![
            "line 6, column 9: a command is not a string but a mapping: quote it, most often because of a `: ` in it"
        ],
    );
    check(
        "version: 0.2\nphases: {build: {commands: [[a]]}}\n",
        expect![
            "line 2, column 29: a command is not a string but a list: quote it, most often because of a `: ` in it"
        ],
    );
    check(
        "version: 0.2\nphases: {build: {commands: {run: x}}}\n",
        expect![
            "line 2, column 28: a command is not a string but a mapping: quote it, most often because of a `: ` in it"
        ],
    );
    check(
        "phases: {build: {commands: [make]}}\n",
        expect!["line 1, column 1: `version` is missing: start the buildspec with `version: 0.2`"],
    );
    check(
        "version: 0.3\nphases: {}\n",
        expect!["line 1, column 10: the version of a buildspec is `0.2` (or the older `0.1`)"],
    );
    check(
        "version: 0.2\n",
        expect![
            "line 1, column 1: `phases` is missing: commands belong under `phases:`, for example in `build:`"
        ],
    );
    check(
        "",
        expect![
            "line 1, column 1: a buildspec is a mapping with `version` and `phases`, this is nothing"
        ],
    );
    check(
        "- a\n",
        expect![
            "line 1, column 1: a buildspec is a mapping with `version` and `phases`, this is a list"
        ],
    );
    check(
        "version: 0.2\nphases: [build]\n",
        expect!["line 2, column 9: `phases` is a mapping of keys and values, this is a list"],
    );
    check(
        "version: 0.2\nenv: {variables: {A: [1]}}\nphases: {}\n",
        expect!["line 2, column 22: `A` takes text, this is a list"],
    );
    check(
        "version: 0.2\nenv: {shell: fish}\nphases: {}\n",
        expect![
            "line 2, column 14: `fish` is not a shell that CodeBuild supports: use `bash`, `/bin/sh`, `powershell.exe` or `cmd.exe`"
        ],
    );
    check(
        "version: 0.2\nphases: {build: {on-failure: RETRY-200}}\n",
        expect![
            "line 2, column 30: `on-failure` is ABORT, CONTINUE, RETRY, RETRY-<0 to 100>, RETRY-<regex> or RETRY-<0 to 100>-<regex>"
        ],
    );
    check(
        "version: 0.2\nphases: {build: {on-failure: STOP}}\n",
        expect![
            "line 2, column 30: `on-failure` is ABORT, CONTINUE, RETRY, RETRY-<0 to 100>, RETRY-<regex> or RETRY-<0 to 100>-<regex>"
        ],
    );
    check(
        "version: 0.2\nphases: {build: {<<: {commands: [a]}}}\n",
        expect![
            "line 2, column 18: merge keys (`<<`) are not supported, and what they add would be lost: write the keys out"
        ],
    );
    check(
        "version: 0.2\nartifacts: {files: a, discard-paths: maybe}\nphases: {}\n",
        expect!["line 2, column 38: `discard-paths` is `yes` or `no`, not `maybe`"],
    );
    check(
        "version: 0.2\nphases:\n\tbuild:\n\t\tcommands: [make]\n",
        expect![
            "line 3, column 1: YAML allows only spaces for indentation: replace the tab with spaces"
        ],
    );
}

#[test]
fn on_failure_is_read_in_every_form() {
    for (written, printed) in [
        ("ABORT", "ABORT"),
        ("CONTINUE", "CONTINUE"),
        ("RETRY", "RETRY-3"),
        ("RETRY-0", "RETRY-0"),
        ("RETRY-100-a-b", "RETRY-100-a-b"),
        ("RETRY-.*throttl.*", "RETRY-3-.*throttl.*"),
        ("RETRY-5x", "RETRY-3-5x"),
    ] {
        let text = format!("version: 0.2\nphases: {{build: {{on-failure: '{written}'}}}}\n");
        let (spec, _) = Buildspec::read(&text).unwrap();
        assert_eq!(spec.phases.build.on_failure.unwrap().to_string(), printed);
    }
}

#[test]
fn all_four_batch_forms_are_read_and_printed() {
    for (written, form) in [
        (
            "build-list: [{identifier: a, env: {variables: {N: 1}, type: ARM_CONTAINER}, ignore-failure: yes}]",
            "build-list",
        ),
        (
            "build-graph: [{identifier: a}, {identifier: b, depend-on: [a], debug-session: true, buildspec: b.yml}]",
            "build-graph",
        ),
        (
            "build-matrix: {static: {ignore-failure: no, env: {privileged-mode: true}}, dynamic: {buildspec: [a.yml], env: {image: [x], compute-type: [y], variables: {V: [1, 2]}}}}",
            "build-matrix",
        ),
        (
            "build-fanout: {parallelism: 5, ignore-failure: false}",
            "build-fanout",
        ),
    ] {
        let text = format!("version: 0.2\nbatch: {{fast-fail: true, {written}}}\n");
        let reading = Buildspec::read_all(&text).unwrap();
        assert_eq!(reading.problems, Vec::new(), "{written}");
        let batch = reading.spec.batch.as_ref().unwrap();
        assert_eq!(batch.fast_fail, Some(true));
        assert_eq!(batch.forms[0].key(), form);
        assert_eq!(batch.other, Vec::new());
        let again = Buildspec::read_all(&reading.spec.to_yaml()).unwrap();
        assert_eq!(again.spec, reading.spec, "{written}");
    }
}

#[test]
fn everything_off_is_told_at_once_with_its_place() {
    let text = "phases:
  install: {runtime-versions: {golang: [1]}, commands: make}
  build:
    commands: [a: b, make]
    finally: [[x]]
post_build: {}
artifacts: {files: out, discard-paths: perhaps}
cache: {fallback-keys: [a], action: keep}
batch: {build-list: [{identifier: a-b}], build-fanout: {}}
reports: {unit: {files: [a], file-format: junit}}
";
    let reading = Buildspec::read_all(text).unwrap();
    let told: Vec<String> = reading
        .problems
        .iter()
        .map(|problem| {
            let place = text[problem.range.clone()]
                .lines()
                .next()
                .unwrap_or_default();
            format!(
                "{:?} {}:{} `{place}`",
                problem.kind, problem.span.line, problem.span.column
            )
        })
        .collect();
    expect![[r#"
        Wrong 2:40 `[1]`
        Lenient 2:56 `make`
        CommandNotText 4:16 `a: b`
        CommandNotText 5:15 `[x]`
        PhaseOutside 6:1 `post_build`
        Lenient 7:20 `out`
        Wrong 7:40 `perhaps`
        Wrong 8:37 `keep`
        Suspicious 8:8 `{fallback-keys: [a], action: keep}`
        Suspicious 9:22 `{identifier: a-b}`
        Suspicious 9:8 `{build-list: [{identifier: a-b}], build-fanout: {}}`
        Suspicious 10:43 `junit`
        NoVersion 1:1 `phases:`"#]]
    .assert_eq(&told.join("\n"));
    assert_eq!(reading.spec.phases.build.commands, ["make"]);
    assert_eq!(reading.spec.artifacts.unwrap().files, ["out"]);
}
