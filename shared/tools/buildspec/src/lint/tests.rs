//! The linter's findings for bad and good buildspecs, by code and by the documents' lines.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::needless_pass_by_value,
    reason = "cases read better without references"
)]

mod allowed;
mod around;
mod documents;
mod fixes;
mod good;
mod hostile;
mod keys;
mod output;
mod publishing;
mod tags;

use std::collections::BTreeMap;

use expect_test::{Expect, expect};

use super::*;

/// Files in memory.
#[derive(Default)]
struct Memory(BTreeMap<String, String>);

impl Memory {
    fn new(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Self(files.collect())
    }
}

impl Files for Memory {
    fn read(&self, path: &str) -> Option<String> {
        self.0.get(path).cloned()
    }

    fn list(&self, folder: &str) -> Vec<String> {
        assert_eq!(folder, "", "only the root is listed");
        self.0
            .keys()
            .filter(|name| !name.contains('/'))
            .cloned()
            .collect()
    }
}

/// The findings, one per line: code, place and text.
fn told(text: &str, context: &Context<'_>) -> String {
    let report = lint("buildspec.yml", text, context);
    let lines = report.findings.iter().map(|finding| {
        let file = if finding.file == "buildspec.yml" {
            ""
        } else {
            &finding.file
        };
        let first = finding.text.lines().next().unwrap_or("");
        format!(
            "{} {file}{}{}:{} {first}\n",
            finding.code.as_str(),
            if file.is_empty() { "" } else { ":" },
            finding.start.line,
            finding.start.column,
        )
    });
    lines.collect()
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&told(text, &Context::default()));
}

/// Checks commands of the phase `build`, each on its own line from line 5.
fn check_build(commands: &[&str], expected: Expect) {
    check(&build(commands), expected);
}

fn build(commands: &[&str]) -> String {
    let mut text = String::from("version: 0.2\nphases:\n  build:\n    commands:\n");
    for command in commands {
        text.push_str(&format!("      - {command}\n"));
    }
    text
}

/// Checks commands of `post_build` after a `build` that may fail, each on its own line from line 6.
fn check_post_build(commands: &[&str], expected: Expect) {
    let mut text = String::from(
        "version: 0.2\nphases:\n  build: {commands: [make test]}\n  post_build:\n    commands:\n",
    );
    for command in commands {
        text.push_str(&format!("      - {command}\n"));
    }
    check(&text, expected);
}

#[test]
fn e000_what_codebuild_refuses() {
    check(
        "version: 0.2\nphases: {build: {commands: [make]}\n",
        expect![[r#"
            E000 3:1 
        "#]],
    );
    check(
        "version: 0.3\nenv: {shell: fish}\nphases: {build: {commands: [make], on-failure: STOP}}\n",
        expect![[r#"
            E000 1:10 0.3
            E000 2:14 fish
            E000 3:48 STOP
        "#]],
    );
}

#[test]
fn e001_tabs_and_what_is_behind_them() {
    check(
        "version: 0.2\nphases:\n\tbuild:\n\t\tcommands:\n\t\t\t- timeout -t 5 make\n",
        expect![[r#"
            E001 3:1 	
            E012 5:6 timeout -t
        "#]],
    );
    check(
        "version: 0.2\nphases:\n  build:\n    commands:\n      - |\n        cat <<-E\n        \tindented by a tab\n        E\n",
        expect![[""]],
    );
}

#[test]
fn e002_e005_e006_sections() {
    check(
        "phases: {build: {commands: [make]}}\n",
        expect![[r#"
        E005 1:1 phases: {build: {commands: [make]}}
    "#]],
    );
    check(
        "version: 0.2\n",
        expect![[r#"
        E005 1:1 version: 0.2
    "#]],
    );
    check(
        "version: 0.2\nphases:\n  install: {}\nbuild:\n  commands: [make]\n",
        expect![[r#"
            E002 4:1 build
        "#]],
    );
    check(
        "version: 0.2\nphase: {}\neb_codebuild_settings: {}\nx-common: &a b\nphases: {prebuild: {commands: [a]}, build: {command: [b], commands: [c]}}\n",
        expect![[r#"
            E006 2:1 phase
            E006 5:10 prebuild
            E006 5:45 command
        "#]],
    );
}

#[test]
fn e004_commands_that_are_mappings() {
    check_build(
        &["echo a: b", "make"],
        expect![[r#"
        E004 5:9 echo a: b
    "#]],
    );
}

#[test]
fn e010_runtimes() {
    check(
        "version: 0.2\nphases:\n  install:\n    runtime-versions:\n      docker: 19\n      golang: 1.22\n      java: openjdk11\n      python: $PYTHON\n      nodejs: 20.x\n  build: {commands: [make]}\n",
        expect![[r#"
            E010 5:7 docker: 19
            E010 7:7 java: openjdk11
        "#]],
    );
    let text = "version: 0.2\nphases:\n  install:\n    runtime-versions: {docker: 23}\n  build: {commands: [make]}\n";
    for (image, expected) in [
        (None, ""),
        (Some("aws/codebuild/amazonlinux-aarch64-standard:3.0"), ""),
        (Some("aws/codebuild/standard:7.0"), "E010 4:24 docker: 23\n"),
        (
            Some("111122223333.dkr.ecr.eu-west-1.amazonaws.com/builder"),
            "",
        ),
    ] {
        let context = Context {
            image: image.map(str::to_owned),
            ..Context::default()
        };
        assert_eq!(told(text, &context), expected, "{image:?}");
    }
}

#[test]
fn e011_e012_e013_calls_that_fail() {
    check_build(
        &[
            "$(aws ecr get-login --no-include-email --region eu-west-1)",
            "eval $(aws ecr get-login --no-include-email)",
            "aws ecr get-login-password | docker login --username AWS --password-stdin x",
            "timeout -t 15 sh -c \"until docker info; do echo .; sleep 1; done\"",
            "timeout 15 tail -t",
            "nohup dockerd --storage-driver=overlay &",
            "dockerd --storage-driver overlay2 &",
            "'echo aws ecr get-login # timeout -t 15'",
        ],
        expect![[r#"
            E011 5:11 aws ecr get-login --no-include-email --region eu-west-1
            E011 6:16 aws ecr get-login --no-include-email
            E012 8:9 timeout -t
            E013 10:23 --storage-driver=overlay
        "#]],
    );
}

#[test]
fn e015_w014_by_what_is_known_of_the_project() {
    let text = build(&[
        "docker login -u a registry.example.com",
        "docker build .",
        "docker push a/b:1",
        "dockerd &",
    ]);
    let context = |image: &str, privileged| Context {
        image: Some(image.to_owned()),
        privileged,
        ..Context::default()
    };
    let standard = "aws/codebuild/standard:7.0";
    assert_eq!(
        told(&text, &context(standard, Some(true))),
        "W014 8:9 dockerd\n"
    );
    assert_eq!(told(&text, &context("own/image", Some(true))), "");
    assert_eq!(
        told(&text, &context("own/image", Some(false))),
        "E015 6:9 docker build .\n"
    );
    let lambda = "aws/codebuild/amazonlinux-x86_64-lambda-standard:go1.24";
    assert_eq!(
        told(&text, &context(lambda, None)),
        "E015 6:9 docker build .\n"
    );
}

#[test]
fn w016_w018_w043_w045_in_the_environment() {
    check(
        "version: 0.1
environment_variables:
  plaintext:
    DOCKER_CONTENT_TRUST: 1
    DB_PASSWORD: hunter2
    SMTP_PASSWORD: none
    DB_TOKEN: short
    TOKEN_URL: https://example.com/token
    SECRET_NAME: prod/shop/database
    API_TOKEN: ${FROM_ELSEWHERE}
    PASSWORD: changeme
    KEY: AKIAABCDEFGHIJKLMNOP
phases:
  install:
    runtime-versions:
      golang: 1.20
      python: '3.10'
      dotnet: 8.0
      nodejs: 18
  build:
    commands:
      - export DOCKER_CONTENT_TRUST=1 && make
",
        expect![[r#"
            W018 1:10 0.1
            W016 4:27 1
            W045 5:18 hunter2
            W045 12:10 AKIAABCDEFGHIJKLMNOP
            W043 16:15 1.20
            W016 22:16 DOCKER_CONTENT_TRUST=1
        "#]],
    );
    check_build(
        &[
            "docker login -u me -p secret",
            "docker login --username me --password=secret x.example",
            "docker login -u me -p \"$SECRET\" && docker login -p $(cat p) && docker login -p ''",
            "echo docker login -p secret",
        ],
        expect![[r#"
            W045 5:31 secret
            W045 6:36 --password=secret
        "#]],
    );
}

#[test]
fn w046_names_that_codebuild_or_the_aws_cli_read() {
    check(
        "version: 0.2
env:
  variables:
    AWS_REGION_NAME: ap-northeast-2
    AWS_DEFAULT_REGION: ap-northeast-2
    CODEBUILD_BUILD_ID: mine
    CODEBUILDER: fine
phases:
  build: {commands: [make]}
",
        expect![[r#"
            W046 5:5 AWS_DEFAULT_REGION
            W046 6:5 CODEBUILD_BUILD_ID
        "#]],
    );
}

#[test]
fn w020_regions_beside_a_variable_or_against_it() {
    check(
        "version: 0.2
env: {variables: {AWS_REGION_NAME: ap-northeast-2}}
phases:
  build:
    commands:
      - aws ecr --region ap-northeast-2 get-login-password | docker login -u AWS --password-stdin x
      - URI=111122223333.dkr.ecr.us-east-1.amazonaws.com/shop
      - aws s3 cp --region us-east-1 a s3://b
      - aws ecr get-login-password --region $AWS_REGION_NAME
",
        expect![[r#"
            W020 6:26 ap-northeast-2
            W020 7:13 111122223333.dkr.ecr.us-east-1
        "#]],
    );
    let text = build(&["aws ecr get-login-password --region us-east-1"]);
    assert_eq!(told(&text, &Context::default()), "");
    let context = Context {
        region: Some("eu-west-1".to_owned()),
        ..Context::default()
    };
    assert_eq!(told(&text, &context), "W020 5:45 us-east-1\n");
}

#[test]
fn w030_git_where_there_is_none() {
    let text = build(&[
        "git rev-parse HEAD",
        "git --version",
        "git config user.name x",
        "'echo $(git describe --tags)'",
    ]);
    assert_eq!(told(&text, &Context::default()), "");
    let context = Context {
        git_metadata: Some(false),
        ..Context::default()
    };
    expect![[r#"
        W030 5:9 git rev-parse HEAD
        W030 8:17 git describe --tags
    "#]]
    .assert_eq(&told(&text, &context));
    let clones = build(&[
        "git clone https://example.com/x",
        "cd x && git rev-parse HEAD",
    ]);
    assert_eq!(told(&clones, &context), "");
}
