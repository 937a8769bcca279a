//! The artifacts of a build, and the result if there are none.

use expect_test::{Expect, expect};

use super::*;

/// Runs a build that makes `out/a` and a symbolic link; how it ended, its later phases, and what
/// was logged and kept of its artifacts.
async fn check(commands: &str, artifacts: &str, expected: Expect) {
    let world = World::new(1).await;
    let spec = format!(
        "version: 0.2
phases: {{build: {{commands: ['ln -s /etc/passwd link; mkdir out; echo a > out/a; chmod 500 out', {commands}]}}}}
artifacts: {artifacts}
"
    );
    let build = world.start(1, &spec).await;
    let report = world.end(&build).await;
    let status = report.status.word();
    let reason = report.reason.unwrap_or_else(|| "no reason".into());
    let phases = world.phases(&build).await;
    let (_, phases) = phases.split_once("PRE_BUILD ").unwrap();
    let log = world.log(&build).await;
    let all = world.path("data/artifacts").canonicalize().unwrap();
    let log: String = log
        .lines()
        .skip_while(|line| !line.contains("Entering phase UPLOAD_ARTIFACTS"))
        .skip(1)
        .take_while(|line| !line.contains("Phase complete"))
        .map(|line| line.replace(&format!("[towline] {NOW} "), "> ") + "\n")
        .collect();
    let log = log.replace(&all.join(attempt(1).as_str()).display().to_string(), "KEPT");
    let kept = match world.runner.artifacts(&build).await.unwrap() {
        Some(folder) => files(&folder, ""),
        None => String::new(),
    };
    expected.assert_eq(&format!("{status}: {reason}\n{phases}\n{log}{kept}"));
}

/// The files below a folder with their content.
fn files(folder: &Path, name: &str) -> String {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    let describe = |entry: &fs::DirEntry| {
        let name = format!("{name}/{}", entry.file_name().display());
        match entry.path() {
            path if path.is_dir() => files(&path, &name),
            path => format!("{name}: {}", fs::read_to_string(path).unwrap()),
        }
    };
    entries.iter().map(describe).collect()
}

#[tokio::test]
async fn artifacts_are_kept_and_a_pattern_that_nothing_fits_is_said() {
    check(
        "'true'",
        "{files: ['**/*.md', ./out/a, link, 'absent/*'], secondary-artifacts: {flat: {files: ['docs/**/*'], discard-paths: yes}}}",
        expect![[r#"
            SUCCEEDED: no reason
            BUILD POST_BUILD UPLOAD_ARTIFACTS FINALIZING COMPLETED
            > No file matches the artifact pattern link
            > No file matches the artifact pattern absent/*
            > Kept 2 files as artifacts in KEPT/main
            > Kept 1 files as artifacts in KEPT/secondary/flat
            /main/docs/deep/page.md: page
            /main/out/a: a
            /secondary/flat/page.md: page
        "#]],
    )
    .await;
}

#[tokio::test]
async fn artifacts_that_nothing_fits_fail_the_build() {
    check("'true'", "{files: ['absent/*', link]}", expect![[r#"
        FAILED: UPLOAD_ARTIFACTS: CLIENT_ERROR: no matching artifact paths found for the artifacts: no file matches absent/*, link
        BUILD POST_BUILD UPLOAD_ARTIFACTS=FAILED FINALIZING COMPLETED
        > no matching artifact paths found for the artifacts: no file matches absent/*, link
    "#]]).await;
}

#[tokio::test]
async fn a_secondary_artifact_that_nothing_fits_fails_the_build_and_the_others_are_kept() {
    check(
        "'true'",
        "{secondary-artifacts: {one: {files: ['*.jar']}, two: {files: [hello.txt]}, ../three: {files: [hello.txt]}}}",
        expect![[r#"
            FAILED: UPLOAD_ARTIFACTS: CLIENT_ERROR: no matching artifact paths found for the secondary artifact "one": no file matches *.jar
            BUILD POST_BUILD UPLOAD_ARTIFACTS=FAILED FINALIZING COMPLETED
            > no matching artifact paths found for the secondary artifact "one": no file matches *.jar
            > Kept 1 files as artifacts in KEPT/secondary/two
            > keeping the secondary artifact "../three": the name cannot be used for a folder
            /secondary/two/hello.txt: hello
        "#]],
    )
    .await;
}

#[tokio::test]
async fn artifacts_that_cannot_be_copied_fail_the_build() {
    for (base, expected) in [
        (
            "../..",
            expect![[r#"
                FAILED: UPLOAD_ARTIFACTS: CLIENT_ERROR: keeping the artifacts: the base directory "../.." is outside the source
                BUILD POST_BUILD UPLOAD_ARTIFACTS=FAILED FINALIZING COMPLETED
                > keeping the artifacts: the base directory "../.." is outside the source
            "#]],
        ),
        (
            "absent",
            expect![[r#"
                FAILED: UPLOAD_ARTIFACTS: CLIENT_ERROR: keeping the artifacts: the base directory "absent": No such file or directory (os error 2)
                BUILD POST_BUILD UPLOAD_ARTIFACTS=FAILED FINALIZING COMPLETED
                > keeping the artifacts: the base directory "absent": No such file or directory (os error 2)
            "#]],
        ),
    ] {
        check(
            "'true'",
            &format!("{{files: ['*'], base-directory: {base}}}"),
            expected,
        )
        .await;
    }
}

#[tokio::test]
async fn a_failed_build_fails_for_its_own_reason_whatever_becomes_of_its_artifacts() {
    check("'false'", "{files: ['absent/*']}", expect![[r#"
        FAILED: BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: false. Reason: exit status 1
        BUILD=FAILED POST_BUILD UPLOAD_ARTIFACTS=FAILED FINALIZING COMPLETED
        > no matching artifact paths found for the artifacts: no file matches absent/*
    "#]]).await;
}
