//! `lint --sarif` for programs, and `explain` for people: the meaning of codes.

use expect_test::expect;
use serde_json::Value;

use super::{DEFINITION, SPEC, check};
use crate::session::Session;

#[test]
fn sarif_names_files_rules_and_places() {
    let session = Session::new();
    session.write(
        ".towline.yml",
        &DEFINITION.replace("make\n", "make\nstagse: []\n"),
    );
    session.write("ci/buildspec.yml", SPEC);
    let output = session.towline(&["lint", "--sarif"]);
    assert_eq!(output.status.code(), Some(1));
    let log: Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let lines: Vec<String> = run["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            let place = &result["locations"][0]["physicalLocation"];
            format!(
                "{} {}:{}",
                result["ruleId"].as_str().unwrap(),
                place["artifactLocation"]["uri"].as_str().unwrap(),
                place["region"]["startLine"]
            )
        })
        .collect();
    expect![[r#"
        [
            "E001 ci/buildspec.yml:3",
            "E010 ci/buildspec.yml:5",
            "E002 ci/buildspec.yml:6",
            "E011 ci/buildspec.yml:8",
            "E002 ci/buildspec.yml:9",
            "E002 ci/buildspec.yml:12",
            "E003 ci/buildspec.yml:14",
            "definition .towline.yml:18",
        ]
    "#]]
    .assert_debug_eq(&lines);
}

#[test]
fn a_code_is_explained_by_an_example() {
    let session = Session::new();
    check(
        &session,
        &[
            &["explain", "E003"],
            &["explain", "docker-without-privileged"],
            &["explain", "w043", "--json"],
            &["explain", "bad-allow"],
            &["explain", "E999"],
        ],
        &expect![[r#"
            $ towline explain E003
            E003 publish-in-post-build: `post_build` publishes or deploys even after `build` has failed.

            After `build` has failed, CodeBuild still runs `post_build`, so that you can clean up there. A push
            or a deployment in `post_build` publishes what the failed build left behind.

            For example

            error[E003 publish-in-post-build]: `post_build` also runs after `build` has failed, so a broken or stale result gets published.
             --> buildspec.yml:9:9
              |
            9 |       - docker push "$IMAGE"
              |         ^^^^^^^^^^^^^^^^^^^^
              |
            help: Make it the last command of `build`, or run it only if `[ "$CODEBUILD_BUILD_SUCCEEDING" = 1 ]`.
              |
              = note: `--fix` does this

            Instead, buildspec.yml

                version: 0.2
                phases:
                  build:
                    commands:
                      - make test
                      - docker build -t "$IMAGE" .
                      - docker push "$IMAGE"
                  post_build:
                    commands:
                      - docker logout

            To allow it, add above the line

                # towline: allow E003 because …

            https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details-phases.html
            $ towline explain docker-without-privileged
            E015 docker-without-privileged: Docker is used where no Docker daemon can run.

            The Docker client needs a daemon, and a daemon runs in the build container only in privileged mode.
            That is a setting of the project, not of the buildspec.

            For example, where privileged mode is off

            error[E015 docker-without-privileged]: Without privileged mode no Docker daemon runs: `Cannot connect to the Docker daemon`.
             --> buildspec.yml:5:9
              |
            5 |       - docker build -t shop .
              |         ^^^^^^^^^^^^^^^^^^^^^^
              |
            help: Enable privileged mode in the environment of the CodeBuild project.

            To allow it, add above the line

                # towline: allow E015 because …

            https://docs.aws.amazon.com/codebuild/latest/userguide/sample-docker.html
            $ towline explain w043 --json
            {
              "about": "An unquoted version can lose its last zero, because YAML reads it as a number.",
              "code": "W043",
              "example": [
                {
                  "advice": "Write '1.20' in quotes.",
                  "code": "W043",
                  "consequence": "Without quotes, 1.20 is a number, so a YAML parser may read it as golang 1.2.",
                  "end": {
                    "column": 19,
                    "line": 5
                  },
                  "file": "buildspec.yml",
                  "fixable": true,
                  "help": "https://docs.aws.amazon.com/codebuild/latest/userguide/available-runtimes.html",
                  "level": "warning",
                  "name": "float-version",
                  "start": {
                    "column": 15,
                    "line": 5
                  },
                  "text": "1.20"
                }
              ],
              "help": "https://docs.aws.amazon.com/codebuild/latest/userguide/available-runtimes.html",
              "instead": {
                "buildspec.yml": "version: 0.2\nphases:\n  install:\n    runtime-versions:\n      golang: \"1.20\"\n  build:\n    commands:\n      - go build ./...\n"
              },
              "level": "warning",
              "name": "float-version",
              "why": "Without quotes, `1.20` is the number 1.2 for a YAML parser, such as a formatter or a template engine."
            }
            $ towline explain bad-allow
            W002 bad-allow: A comment that should allow a finding is not valid.

            To allow a finding, name its code or name and give a reason. A comment with an unknown code or
            without a reason could hide something by accident, so it has no effect.

            For example

            warning[W002 bad-allow]: This comment allows nothing, because it names an unknown code.
             --> buildspec.yml:5:7
              |
            5 |       # towline: allow E999 because the image is Alpine
              |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              |
            help: Write `# towline: allow <code or name> because <reason>`.

            Instead, buildspec.yml

                version: 0.2
                phases:
                  build:
                    commands:
                      # towline: allow E012 because the image is Alpine
                      - timeout -t 5 make

            https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html
            $ towline explain E999
            ! towline: unknown code "E999"; `towline explain` lists all
            [exit 1]
        "#]],
    );
    let output = session.towline(&["explain"]);
    let list = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        list.lines().count(),
        towline_buildspec::lint::Code::ALL.len()
    );
    assert!(list.lines().all(|line| line.ends_with('.')), "{list}");
}
