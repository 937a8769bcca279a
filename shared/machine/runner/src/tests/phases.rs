//! Which phases and commands run, and what is reported about them.

use expect_test::{Expect, expect};

use super::*;

/// Runs a buildspec; status, reason, phases between checkout and artifacts, and the log of those.
async fn check(buildspec: &str, expected: Expect) {
    let world = World::new(1).await;
    let build = world.start(1, buildspec).await;
    let report = world.end(&build).await;
    let phases = world.phases(&build).await;
    let phases = phases
        .trim_start_matches("SUBMITTED QUEUED PROVISIONING DOWNLOAD_SOURCE")
        .trim_end_matches("UPLOAD_ARTIFACTS FINALIZING COMPLETED")
        .trim();
    let log = world.log(&build).await;
    let source = world
        .path("data/builds")
        .canonicalize()
        .unwrap()
        .join(attempt(1).as_str())
        .join("src");
    let log = log
        .replace(&format!("[towline] {NOW} "), "> ")
        .replace(&source.display().to_string(), "SRC");
    let log: String = log
        .lines()
        .skip_while(|line| !line.contains("Entering phase DOWNLOAD_SOURCE"))
        .skip(1)
        .filter(|line| !line.contains("DOWNLOAD_SOURCE State: SUCCEEDED"))
        .take_while(|line| !line.contains("Entering phase UPLOAD_ARTIFACTS"))
        .map(|line| format!("{line}\n"))
        .collect();
    let reason = report.reason.unwrap_or_else(|| "no reason".into());
    let word = report.status.word();
    expected.assert_eq(&format!("{word}: {reason}\n{phases}\n{log}"));
}

#[tokio::test]
async fn every_phase_runs_in_one_shell() {
    check(
        "version: 0.2
env: {variables: {GREETING: hello}}
phases:
  install: {commands: ['export ONE=1; two=2', cd docs, 'greet() { echo \"$GREETING $1\"; }']}
  pre_build: {commands: ['pwd', 'greet \"$ONE$two\"']}
  build:
    commands:
      - |
        if [ \"$CODEBUILD_BUILD_SUCCEEDING\" = 1 ]; then
          echo \"a multi-line
        text\"
        fi
        cat && echo no input
      - echo out; echo err >&2; echo out again
  post_build: {commands: ['true'], finally: [echo done]}
",
        expect![[r#"
            SUCCEEDED: no reason
            INSTALL PRE_BUILD BUILD POST_BUILD
            > Entering phase INSTALL
            > Running command export ONE=1; two=2
            > Running command cd docs
            > Running command greet() { echo "$GREETING $1"; }
            > Phase complete: INSTALL State: SUCCEEDED
            > Entering phase PRE_BUILD
            > Running command pwd
            SRC/docs
            > Running command greet "$ONE$two"
            hello 12
            > Phase complete: PRE_BUILD State: SUCCEEDED
            > Entering phase BUILD
            > Running command if [ "$CODEBUILD_BUILD_SUCCEEDING" = 1 ]; then
              echo "a multi-line
            text"
            fi
            cat && echo no input

            a multi-line
            text
            no input
            > Running command echo out; echo err >&2; echo out again
            out
            err
            out again
            > Phase complete: BUILD State: SUCCEEDED
            > Entering phase POST_BUILD
            > Running command true
            > Running command echo done
            done
            > Phase complete: POST_BUILD State: SUCCEEDED
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_failed_command_ends_its_list_and_finally_still_runs() {
    check(
        "version: 0.2
phases:
  build:
    commands: [echo one, '(exit 7)', echo never]
    finally: [echo finally, 'false', echo never]
",
        expect![[r#"
            FAILED: BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: (exit 7). Reason: exit status 7
            INSTALL PRE_BUILD BUILD=FAILED POST_BUILD
            > Entering phase INSTALL
            > Phase complete: INSTALL State: SUCCEEDED
            > Entering phase PRE_BUILD
            > Phase complete: PRE_BUILD State: SUCCEEDED
            > Entering phase BUILD
            > Running command echo one
            one
            > Running command (exit 7)
            > Command did not exit successfully (exit 7) exit status 7
            > Running command echo finally
            finally
            > Running command false
            > Command did not exit successfully false exit status 1
            > Phase complete: BUILD State: FAILED
            > COMMAND_EXECUTION_ERROR: Error while executing command: (exit 7). Reason: exit status 7
            > Entering phase POST_BUILD
            > Phase complete: POST_BUILD State: SUCCEEDED
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_failed_install_skips_everything_else() {
    check(
        "version: 0.2
phases:
  install: {commands: ['false']}
  pre_build: {commands: [echo never]}
  build: {commands: [echo never]}
  post_build: {commands: [echo never]}
",
        expect![[r#"
            FAILED: INSTALL: COMMAND_EXECUTION_ERROR: Error while executing command: false. Reason: exit status 1
            INSTALL=FAILED
            > Entering phase INSTALL
            > Running command false
            > Command did not exit successfully false exit status 1
            > Phase complete: INSTALL State: FAILED
            > COMMAND_EXECUTION_ERROR: Error while executing command: false. Reason: exit status 1
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_failed_pre_build_skips_build_and_post_build() {
    check(
        "version: 0.2
phases:
  pre_build: {commands: ['false']}
  build: {commands: [echo never]}
  post_build: {commands: [echo never]}
",
        expect![[r#"
            FAILED: PRE_BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: false. Reason: exit status 1
            INSTALL PRE_BUILD=FAILED
            > Entering phase INSTALL
            > Phase complete: INSTALL State: SUCCEEDED
            > Entering phase PRE_BUILD
            > Running command false
            > Command did not exit successfully false exit status 1
            > Phase complete: PRE_BUILD State: FAILED
            > COMMAND_EXECUTION_ERROR: Error while executing command: false. Reason: exit status 1
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_failed_build_is_followed_by_post_build_which_knows() {
    check(
        "version: 0.2
phases:
  build: {commands: ['echo $CODEBUILD_BUILD_SUCCEEDING', 'false']}
  post_build: {commands: ['echo $CODEBUILD_BUILD_SUCCEEDING']}
",
        expect![[r#"
            FAILED: BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: false. Reason: exit status 1
            INSTALL PRE_BUILD BUILD=FAILED POST_BUILD
            > Entering phase INSTALL
            > Phase complete: INSTALL State: SUCCEEDED
            > Entering phase PRE_BUILD
            > Phase complete: PRE_BUILD State: SUCCEEDED
            > Entering phase BUILD
            > Running command echo $CODEBUILD_BUILD_SUCCEEDING
            1
            > Running command false
            > Command did not exit successfully false exit status 1
            > Phase complete: BUILD State: FAILED
            > COMMAND_EXECUTION_ERROR: Error while executing command: false. Reason: exit status 1
            > Entering phase POST_BUILD
            > Running command echo $CODEBUILD_BUILD_SUCCEEDING
            0
            > Phase complete: POST_BUILD State: SUCCEEDED
        "#]],
    )
    .await;
}

#[tokio::test]
async fn on_failure_says_otherwise() {
    check(
        "version: 0.2
phases:
  install: {on-failure: CONTINUE, commands: ['false']}
  build: {on-failure: ABORT, commands: ['false']}
  post_build: {commands: [echo never]}
",
        expect![[r#"
            FAILED: INSTALL: COMMAND_EXECUTION_ERROR: Error while executing command: false. Reason: exit status 1
            INSTALL=FAILED PRE_BUILD BUILD=FAILED
            > Entering phase INSTALL
            > Running command false
            > Command did not exit successfully false exit status 1
            > Phase complete: INSTALL State: FAILED
            > COMMAND_EXECUTION_ERROR: Error while executing command: false. Reason: exit status 1
            > Entering phase PRE_BUILD
            > Phase complete: PRE_BUILD State: SUCCEEDED
            > Entering phase BUILD
            > Running command false
            > Command did not exit successfully false exit status 1
            > Phase complete: BUILD State: FAILED
            > COMMAND_EXECUTION_ERROR: Error while executing command: false. Reason: exit status 1
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_retried_phase_begins_again_as_long_as_its_pattern_fits() {
    check(
        "version: 0.2
phases:
  install:
    on-failure: RETRY-5-timed.?out
    commands:
      - \"echo x >> tries; [ $(wc -l < tries) = 3 ] || { printf 'timed %s\\\\n' out; false; }\"
  build:
    on-failure: RETRY-5-timed.?out
    commands: [echo refused; false]
",
        expect![[r#"
            FAILED: BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: echo refused; false. Reason: exit status 1
            INSTALL PRE_BUILD BUILD=FAILED POST_BUILD
            > Entering phase INSTALL
            > Running command echo x >> tries; [ $(wc -l < tries) = 3 ] || { printf 'timed %s\n' out; false; }
            timed out
            > Command did not exit successfully echo x >> tries; [ $(wc -l < tries) = 3 ] || { printf 'timed %s\n' out; false; } exit status 1
            > COMMAND_EXECUTION_ERROR: Error while executing command: echo x >> tries; [ $(wc -l < tries) = 3 ] || { printf 'timed %s\n' out; false; }. Reason: exit status 1
            > Retrying the phase; 5 retries left
            > Running command echo x >> tries; [ $(wc -l < tries) = 3 ] || { printf 'timed %s\n' out; false; }
            timed out
            > Command did not exit successfully echo x >> tries; [ $(wc -l < tries) = 3 ] || { printf 'timed %s\n' out; false; } exit status 1
            > COMMAND_EXECUTION_ERROR: Error while executing command: echo x >> tries; [ $(wc -l < tries) = 3 ] || { printf 'timed %s\n' out; false; }. Reason: exit status 1
            > Retrying the phase; 4 retries left
            > Running command echo x >> tries; [ $(wc -l < tries) = 3 ] || { printf 'timed %s\n' out; false; }
            > Phase complete: INSTALL State: SUCCEEDED
            > Entering phase PRE_BUILD
            > Phase complete: PRE_BUILD State: SUCCEEDED
            > Entering phase BUILD
            > Running command echo refused; false
            refused
            > Command did not exit successfully echo refused; false exit status 1
            > Phase complete: BUILD State: FAILED
            > COMMAND_EXECUTION_ERROR: Error while executing command: echo refused; false. Reason: exit status 1
            > Entering phase POST_BUILD
            > Phase complete: POST_BUILD State: SUCCEEDED
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_command_that_ends_the_shell_fails_and_what_was_exported_lasts() {
    check(
        "version: 0.2
env: {shell: bash}
phases:
  install: {commands: ['export KEPT=\"it''s $HOME\" && KEPT=kept', cd docs]}
  build: {commands: [exit 3, echo never], finally: ['echo $KEPT; basename \"$PWD\"', 'kill -9 $$']}
  post_build: {commands: ['echo $KEPT $CODEBUILD_BUILD_SUCCEEDING', set -e, 'false', echo never]}
",
        expect![[r#"
            FAILED: BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: exit 3. Reason: exit status 3
            INSTALL PRE_BUILD BUILD=FAILED POST_BUILD=FAILED
            > Entering phase INSTALL
            > Running command export KEPT="it's $HOME" && KEPT=kept
            > Running command cd docs
            > Phase complete: INSTALL State: SUCCEEDED
            > Entering phase PRE_BUILD
            > Phase complete: PRE_BUILD State: SUCCEEDED
            > Entering phase BUILD
            > Running command exit 3
            > Command did not exit successfully exit 3 exit status 3
            > Running command echo $KEPT; basename "$PWD"
            kept
            docs
            > Running command kill -9 $$
            > Command did not exit successfully kill -9 $$ exit status 137
            > Phase complete: BUILD State: FAILED
            > COMMAND_EXECUTION_ERROR: Error while executing command: exit 3. Reason: exit status 3
            > Entering phase POST_BUILD
            > Running command echo $KEPT $CODEBUILD_BUILD_SUCCEEDING
            kept 0
            > Running command set -e
            > Running command false
            > Command did not exit successfully false exit status 1
            > Phase complete: POST_BUILD State: FAILED
            > COMMAND_EXECUTION_ERROR: Error while executing command: false. Reason: exit status 1
        "#]],
    )
    .await;
}

#[tokio::test]
async fn an_exit_with_success_succeeds() {
    check(
        "version: 0.2
phases: {build: {commands: [exit 0, 'exec true', 'return 0', echo last]}}
",
        expect![[r#"
            SUCCEEDED: no reason
            INSTALL PRE_BUILD BUILD POST_BUILD
            > Entering phase INSTALL
            > Phase complete: INSTALL State: SUCCEEDED
            > Entering phase PRE_BUILD
            > Phase complete: PRE_BUILD State: SUCCEEDED
            > Entering phase BUILD
            > Running command exit 0
            > Running command exec true
            > Running command return 0
            > Running command echo last
            last
            > Phase complete: BUILD State: SUCCEEDED
            > Entering phase POST_BUILD
            > Phase complete: POST_BUILD State: SUCCEEDED
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_command_that_is_not_shell_fails() {
    let world = World::new(1).await;
    for (number, shell) in [(1, "bash"), (2, "/bin/sh")] {
        let spec = format!(
            "version: 0.2
env: {{shell: {shell}}}
phases:
  build: {{commands: ['if', echo never]}}
  post_build: {{commands: ['echo and \"on\"']}}
"
        );
        let (status, log) = world.run(number, &spec).await;
        assert_eq!(status, BuildStatus::Failed, "{log}");
        assert!(log.contains("\nand on\n"), "{log}");
        assert!(!log.contains("\nnever\n"), "{log}");
    }
}

#[tokio::test]
async fn version_0_1_has_a_shell_per_command() {
    check(
        "version: 0.1
phases: {build: {commands: [export ONE=1; cd docs, 'echo \"one=$ONE\"; basename \"$PWD\"']}}
",
        expect![[r#"
            SUCCEEDED: no reason
            INSTALL PRE_BUILD BUILD POST_BUILD
            > Entering phase INSTALL
            > Phase complete: INSTALL State: SUCCEEDED
            > Entering phase PRE_BUILD
            > Phase complete: PRE_BUILD State: SUCCEEDED
            > Entering phase BUILD
            > Running command export ONE=1; cd docs
            > Running command echo "one=$ONE"; basename "$PWD"
            one=
            src
            > Phase complete: BUILD State: SUCCEEDED
            > Entering phase POST_BUILD
            > Phase complete: POST_BUILD State: SUCCEEDED
        "#]],
    )
    .await;
}

#[tokio::test]
async fn what_one_machine_does_not_do_is_said() {
    check(
        "version: 0.2
env: {git-credential-helper: yes}
proxy: {logs: yes, upload-artifacts: no}
batch: {build-list: [{identifier: one}]}
phases: {build: {commands: ['true']}}
artifacts: {secondary-artifacts: {one: {s3-prefix: builds}}}
cache: {key: unused}
",
        expect![[r#"
            SUCCEEDED: no reason
            INSTALL PRE_BUILD BUILD POST_BUILD
            > Not applied on one machine: batch (this build runs the phases, like StartBuild)
            > Not applied on one machine: git-credential-helper (git has no CodeBuild credentials here)
            > Not applied on one machine: proxy (nothing is uploaded)
            > Not applied on one machine: artifacts s3-prefix (artifacts are kept in a folder)
            > Not applied on one machine: cache (it has no paths)
            > Entering phase INSTALL
            > Phase complete: INSTALL State: SUCCEEDED
            > Entering phase PRE_BUILD
            > Phase complete: PRE_BUILD State: SUCCEEDED
            > Entering phase BUILD
            > Running command true
            > Phase complete: BUILD State: SUCCEEDED
            > Entering phase POST_BUILD
            > Phase complete: POST_BUILD State: SUCCEEDED
        "#]],
    )
    .await;
}

/// A machine that has just these programs.
async fn machine_with(programs: &[(&str, &str)]) -> World {
    World::with(1, |config, dir| {
        let bin = dir.join("machine");
        fs::create_dir(&bin).unwrap();
        for (name, says) in programs {
            let path = bin.join(name);
            fs::write(&path, format!("#!/bin/sh\n{says}\n")).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&path, mode).unwrap();
        }
        config.machine.search_path = format!("{}:{}", bin.display(), env!("PATH")).into();
    })
    .await
}

#[tokio::test]
async fn a_runtime_that_the_machine_has_otherwise_is_said_and_fails_nothing() {
    let world = machine_with(&[
        ("go", "echo go version go1.22.3 linux/amd64"),
        ("java", "echo 'openjdk version \"17.0.9\" 2023-10-17' >&2"),
        ("node", "echo v20.11.1"),
        ("ruby", "echo no version at all"),
        ("php", "echo PHP 8.3.1; exit 1"),
    ])
    .await;
    let (status, log) = world
        .run(
            1,
            "version: 0.2
env: {variables: {JAVA: corretto17}}
phases:
  install:
    runtime-versions: {golang: 1.20, java: $JAVA, nodejs: 20.x, ruby: 3.2, php: '8.1', cobol: 85}
    commands: [node]
",
        )
        .await;
    assert_eq!(status, BuildStatus::Succeeded, "{log}");
    let said: Vec<&str> = log
        .lines()
        .filter_map(|line| Some(line.split_once("runtime-versions: ")?.1))
        .collect();
    assert_eq!(
        said,
        [
            "golang 1.20 requested; this machine uses 1.22.3",
            "ruby 3.2 requested; this machine has no ruby that prints its version",
            "php 8.1 requested; this machine uses 8.3.1",
            "cobol 85 requested; cannot check for it on this machine",
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_run_fails_before_any_command() {
    for (buildspec, expected) in [
        (
            "version: 0.2\nphases: {build: {commands: [\n",
            "DOWNLOAD_SOURCE: YAML_FILE_ERROR: line ",
        ),
        (
            "version: 0.2\nphases: {build: {steps: [{run: make}]}}\n",
            "DOWNLOAD_SOURCE: CLIENT_ERROR: phases.build.steps are GitHub Actions steps, which only CodeBuild \
             supports",
        ),
        (
            "version: 0.2\nbatch: {build-list: [{identifier: one}]}\n",
            "DOWNLOAD_SOURCE: CLIENT_ERROR: the buildspec has a batch and no commands: batches are not supported on \
             one machine",
        ),
        (
            "version: 0.2\nphases: {install: {on-failure: 'RETRY-2-[', commands: [x]}}\n",
            "DOWNLOAD_SOURCE: CLIENT_ERROR: phases.install.on-failure has an invalid pattern: ",
        ),
        (
            "version: 0.2\nenv: {shell: powershell.exe}\nphases: {}\n",
            "DOWNLOAD_SOURCE: CLIENT_ERROR: env.shell is powershell.exe, but only bash and /bin/sh are supported here",
        ),
    ] {
        let world = World::new(1).await;
        let build = world.start(1, buildspec).await;
        let report = world.end(&build).await;
        let reason = report.reason.unwrap();
        assert_eq!(report.status, BuildStatus::Failed, "{reason}");
        assert!(reason.starts_with(expected), "{reason}");
        assert_eq!(
            world.phases(&build).await,
            "SUBMITTED QUEUED PROVISIONING DOWNLOAD_SOURCE=FAILED FINALIZING COMPLETED"
        );
    }
}

#[tokio::test]
async fn a_commit_that_is_not_there_fails_the_download() {
    let world = World::new(1).await;
    for (commit, expected) in [
        ("f", "the repository acme/shop does not have the commit fff"),
        (
            "e",
            "checking out the commit: git failed with exit status: 128",
        ),
    ] {
        let mut request = world.request(1, "version: 0.2\nphases: {}\n");
        request.attempt = format!("{}-0000", &commit.repeat(31)).parse().unwrap();
        request.commit = commit.repeat(40).parse().unwrap();
        let build = world.runner.start(request).await.unwrap();
        let report = world.end(&build).await;
        let reason = report.reason.unwrap();
        assert!(reason.contains(expected), "{reason}");
    }
}
