//! Reports and the finer points of artifacts.

use super::*;

/// The log of the phase UPLOAD_ARTIFACTS, and the kept files.
async fn check(commands: &str, more: &str, expected: &str) {
    let world = World::new(1).await;
    let spec = format!("version: 0.2\nphases: {{build: {{commands: [{commands}]}}}}\n{more}\n");
    let build = world.start(1, &spec).await;
    world.end(&build).await;
    let log = world.log(&build).await;
    let mut said: Vec<String> = log
        .lines()
        .skip_while(|line| !line.contains("Entering phase UPLOAD_ARTIFACTS"))
        .skip(1)
        .take_while(|line| !line.contains("Phase complete"))
        .map(|line| line.replace(&format!("[towline] {NOW} "), ""))
        .filter(|line| !line.starts_with("Kept "))
        .collect();
    if let Some(folder) = world.runner.artifacts(&build).await.unwrap() {
        let kept = Command::new("find")
            .args([".", "!", "-type", "d", "-printf", "%P %l\n"])
            .current_dir(folder)
            .output()
            .unwrap();
        let kept = String::from_utf8(kept.stdout).unwrap();
        let mut kept: Vec<String> = kept.lines().map(|line| line.trim().to_owned()).collect();
        kept.sort();
        said.extend(kept);
    }
    assert_eq!(said, expected.lines().collect::<Vec<_>>(), "{log}");
}

#[tokio::test]
async fn links_are_kept_only_where_asked_for_and_only_inside() {
    let make = "'mkdir -p out/sub; echo a >out/a; ln -s a out/near; ln -s ../a out/sub/up; ln -s /etc/passwd out/far; \
                 ln -s ../../hello.txt out/sub/beyond; ln -s sub/../../hello.txt out/winding'";
    let artifacts = "artifacts: {base-directory: out, files: ['**/*']";
    check(make, &format!("{artifacts}}}"), "main/a").await;
    check(
        make,
        &format!("{artifacts}, enable-symlinks: yes}}"),
        "main/a\nmain/near a\nmain/sub/up ../a",
    )
    .await;
}

#[tokio::test]
async fn a_base_directory_may_be_a_pattern_and_a_name_is_said() {
    check(
        "'mkdir -p target-a target-b/deep other; echo a >target-a/a; echo b >target-b/deep/b; echo o >other/o; export WORD=web'",
        "artifacts: {base-directory: 'target-*', files: ['**/*'], name: '$WORD-$(echo \"two  words\")', s3-prefix: x}",
        "On CodeBuild, a project with overrideArtifactName would name the artifacts \"web-two  words\"
main/a
main/deep/b",
    )
    .await;
    check(
        "'true'",
        "artifacts: {base-directory: 'target-*', files: ['**/*']}",
        "keeping the artifacts: the base directory \"target-*\": no folder matches",
    )
    .await;
}

#[tokio::test]
async fn a_pattern_that_leads_out_of_the_source_is_refused() {
    for pattern in ["../secret", "/etc/passwd", "docs/../../x"] {
        check(
            "'true'",
            &format!(
                "artifacts: {{files: ['{pattern}']}}\nreports: {{unit: {{files: ['{pattern}']}}}}"
            ),
            &format!(
                "Report unit: the pattern {pattern:?} leads outside the source
keeping the artifacts: the pattern {pattern:?} leads outside the source"
            ),
        )
        .await;
    }
}

#[tokio::test]
async fn reports_are_summarized_of_failed_builds_too() {
    check(
        "'mkdir -p out/deep; echo \"<testsuite><testcase classname=\\\"shop.Cart\\\" name=\\\"adds\\\"/><testcase name=\\\"loses\\\"><failure/></testcase></testsuite>\" >out/deep/a.xml', \
         'echo \"<testsuite><testcase name=\\\"b\\\"><skipped/></testcase></testsuite>\" >out/b.xml; echo \"<testsuite>\" >out/c.xml; ln -s /etc/passwd out/d.xml; false'",
        "reports:
  unit: {base-directory: out, files: ['**/*.xml']}
  cucumber: {files: ['*.json'], file-format: CucumberJson}
  none: {files: ['absent/*.xml'], file-format: JunitXml}
  gone: {base-directory: absent, files: ['*.xml']}",
        "Not read: c.xml: the file is incomplete
Report unit: 3 tests in 2 files: 1 passed, 1 failed, 1 skipped
  failed: loses
Report cucumber: CucumberJson is not supported on one machine, only JUNITXML
Report none: no file matches absent/*.xml
Report gone: the base directory \"absent\": No such file or directory (os error 2)",
    )
    .await;
}
