//! `lint` and `explain`: the output for people, and changes to their files.

mod codes;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use expect_test::{Expect, expect};
use serde_json::Value;

use crate::session::Session;

const DEFINITION: &str = r#"version: 1
pipeline: shop
source: {branches: [main]}
components:
  web:
    repository: acme/web
    build: {buildspec: ci/web.yml, image: "aws/codebuild/standard:7.0", tags: ["{sha7}-{build}"]}
  jobs:
    repository: acme/jobs
    build:
      tags: ["{sha7}-{build}"]
      inline: |
        version: 0.2
        phases:
          build:
            commands:
              - timeout -t 5 make
"#;

/// Indented with tabs, phases outside `phases`, a runtime no image has, publishing after a failed build.
const SPEC: &str = "version: 0.2
phases:
\tinstall:
\t\truntime-versions:
\t\t\tdocker: 19
pre_build:
\tcommands:
\t\t- $(aws ecr get-login --no-include-email)
build:
\tcommands:
\t\t- make image
post_build:
\tcommands:
\t\t- docker push \"$IMAGE\"
";

const GOOD: &str = "version: 0.2\nphases:\n  build:\n    commands:\n      - make\n";

fn check(session: &Session, commands: &[&[&str]], expected: &Expect) {
    expected.assert_eq(&session.play(commands));
}

fn read(session: &Session, name: &str) -> String {
    fs::read_to_string(session.path(name)).unwrap()
}

#[test]
fn what_will_go_wrong_is_found_fixed_and_gone() {
    let session = Session::new();
    session.write(".towline.yml", DEFINITION);
    session.write("ci/web.yml", SPEC);
    session.write("Makefile", "image:\n\tdocker build -t \"$(IMAGE)\" .\n");
    check(
        &session,
        &[&["lint", "ci"], &["lint", "--fix"], &["lint"]],
        &expect![[r#"
            $ towline lint ci
            error[E001 tab-indent]: CodeBuild rejects the buildspec with YAML_FILE_ERROR before any command runs.
             --> ci/web.yml:3:1
              |
            3 |     install:
              | ^^^^
              |
            help: Indent 9 lines with spaces instead of tabs.
              |
              = note: `--fix` does this

            error[E010 unknown-runtime]: The build fails with `YAML_FILE_ERROR: Unknown runtime version named '19' of docker`, because it is not in the image aws/codebuild/standard:7.0.
             --> ci/web.yml:5:4
              |
            5 |             docker: 19
              |             ^^^^^^^^^^
              |
            help: Remove it: Docker is part of the images, and its version cannot be chosen here.

            error[E002 phase-outside-phases]: CodeBuild ignores this phase: none of its commands run, and the build still succeeds.
             --> ci/web.yml:6:1
              |
            6 | pre_build:
              | ^^^^^^^^^
              |
            help: `pre_build` is outside `phases` and would never run: move it under `phases:`.

            error[E011 ecr-get-login]: The command fails with `Found invalid choice 'get-login'`: the images have version 2 of the AWS CLI, which has no such command.
             --> ci/web.yml:8:7
              |
            8 |         - $(aws ecr get-login --no-include-email)
              |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              |
            help: Use `aws ecr get-login-password | docker login --username AWS --password-stdin <registry>`.

            error[E002 phase-outside-phases]: CodeBuild ignores this phase: none of its commands run, and the build still succeeds.
             --> ci/web.yml:9:1
              |
            9 | build:
              | ^^^^^
              |
            help: `build` is outside `phases` and would never run: move it under `phases:`.

            error[E002 phase-outside-phases]: CodeBuild ignores this phase: none of its commands run, and the build still succeeds.
              --> ci/web.yml:12:1
               |
            12 | post_build:
               | ^^^^^^^^^^
               |
            help: `post_build` is outside `phases` and would never run: move it under `phases:`.

            error[E003 publish-in-post-build]: `post_build` also runs after `build` has failed, so a broken or stale result gets published.
              --> ci/web.yml:14:5
               |
            14 |         - docker push "$IMAGE"
               |           ^^^^^^^^^^^^^^^^^^^^
               |
            help: Make it the last command of `build`, or run it only if `[ "$CODEBUILD_BUILD_SUCCEEDING" = 1 ]`.

            7 errors in 1 file; `--fix` fixes what it can
            [exit 1]
            $ towline lint --fix
            error[E012 timeout-t]: GNU timeout exits with status 125 (`invalid option -- 't'`), so the phase fails.
              --> .towline.yml:17:17
               |
            17 |               - timeout -t 5 make
               |                 ^^^^^^^^^^
               |
            help: Remove `-t`; the duration is the first argument.

            fixed ci/web.yml: E001 tab-indent, E002 phase-outside-phases (3 times), E003 publish-in-post-build, E010 unknown-runtime, E011 ecr-get-login
            --- ci/web.yml
            +++ ci/web.yml
            @@ -1,14 +1,11 @@
             version: 0.2
             phases:
            -	install:
            -		runtime-versions:
            -			docker: 19
            -pre_build:
            -	commands:
            -		- $(aws ecr get-login --no-include-email)
            -build:
            -	commands:
            -		- make image
            -post_build:
            -	commands:
            -		- docker push "$IMAGE"
            +  pre_build:
            +    commands:
            +      - aws ecr get-login-password | docker login --username AWS --password-stdin "$(aws sts get-caller-identity --query Account --output text).dkr.ecr.$AWS_DEFAULT_REGION.amazonaws.com"
            +  build:
            +    commands:
            +      - make image
            +  post_build:
            +    commands:
            +      - 'if [ "$CODEBUILD_BUILD_SUCCEEDING" = 1 ]; then docker push "$IMAGE"; fi'

            1 error in 2 files
            [exit 1]
            $ towline lint
            error[E012 timeout-t]: GNU timeout exits with status 125 (`invalid option -- 't'`), so the phase fails.
              --> .towline.yml:17:17
               |
            17 |               - timeout -t 5 make
               |                 ^^^^^^^^^^
               |
            help: Remove `-t`; the duration is the first argument.

            1 error in 2 files
            [exit 1]
        "#]],
    );
    check(
        &session,
        &[&["lint", "ci/web.yml"]],
        &expect![[r#"
            $ towline lint ci/web.yml
            good 1 file
        "#]],
    );
}

#[test]
fn a_fixed_file_keeps_its_rights_and_what_must_not_change_does_not() {
    let session = Session::new();
    session.write("buildspec.yml", &GOOD.replace("make", "timeout -t 5 make"));
    let path = session.path("buildspec.yml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("buildspec.yml", session.path("link.yml")).unwrap();
    session.write("broken.yml", "phases: [\n");
    session.write("good.yml", GOOD);
    check(
        &session,
        &[
            &["lint", "--fix", "link.yml"],
            &["lint", "--fix", "broken.yml", "--json"],
            &["lint", "--fix", "good.yml"],
        ],
        &expect![[r#"
            $ towline lint --fix link.yml
            error[E012 timeout-t]: GNU timeout exits with status 125 (`invalid option -- 't'`), so the phase fails.
             --> link.yml:5:9
              |
            5 |       - timeout -t 5 make
              |         ^^^^^^^^^^
              |
            help: Remove `-t`; the duration is the first argument.
              |
              = note: `--fix` does this

            1 error in 1 file
            ! towline: link.yml cannot be fixed: it is a link; name the file it points to
            [exit 2]
            $ towline lint --fix broken.yml --json
            {
              "allowed": [],
              "failed": [],
              "files": 1,
              "findings": [
                {
                  "advice": "Not YAML: while parsing a node, did not find expected node content.",
                  "code": "E000",
                  "consequence": "CodeBuild rejects the buildspec with YAML_FILE_ERROR before any command runs.",
                  "end": {
                    "column": 1,
                    "line": 2
                  },
                  "file": "broken.yml",
                  "fixable": false,
                  "help": "https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html",
                  "level": "error",
                  "name": "unreadable",
                  "start": {
                    "column": 1,
                    "line": 2
                  },
                  "text": ""
                }
              ],
              "fixed": [],
              "mistakes": [],
              "passed_over": []
            }
            [exit 1]
            $ towline lint --fix good.yml
            good 1 file
        "#]],
    );
    assert!(read(&session, "buildspec.yml").contains("timeout -t"));
    assert_eq!(read(&session, "broken.yml"), "phases: [\n");
    assert_eq!(read(&session, "good.yml"), GOOD);
    let output = session.towline(&["lint", "--fix"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        read(&session, "buildspec.yml"),
        GOOD.replace("make", "timeout 5 make")
    );
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let names = fs::read_dir(session.path(".")).unwrap().count();
    assert_eq!(names, 4, "no file of ours is left");
}

#[test]
fn the_level_decides_what_fails_and_comments_what_is_meant() {
    let session = Session::new();
    session.write(
        "warning.yml",
        "version: 0.2\nenv: {variables: {DOCKER_CONTENT_TRUST: \"1\"}}\nphases: {build: {commands: [make]}}\n",
    );
    session.write(
        "allowed.yml",
        "version: 0.2\nphases:\n  build:\n    commands:\n      # towline: allow E012 because the image is Alpine\n      - timeout -t 5 make\n",
    );
    check(
        &session,
        &[
            &["lint", "warning.yml"],
            &["lint", "warning.yml", "--level", "error"],
            &["lint", "allowed.yml", "--level", "note"],
            &["lint", "allowed.yml", "--level", "info"],
        ],
        &expect![[r#"
            $ towline lint warning.yml
            warning[W016 content-trust]: Docker is retiring content trust: pulls of official images with DOCKER_CONTENT_TRUST=1 fail.
             --> warning.yml:2:41
              |
            2 | env: {variables: {DOCKER_CONTENT_TRUST: "1"}}
              |                                         ^^^
              |
            help: Remove the variable, and pin base images by digest instead.

            1 warning in 1 file
            [exit 1]
            $ towline lint warning.yml --level error
            warning[W016 content-trust]: Docker is retiring content trust: pulls of official images with DOCKER_CONTENT_TRUST=1 fail.
             --> warning.yml:2:41
              |
            2 | env: {variables: {DOCKER_CONTENT_TRUST: "1"}}
              |                                         ^^^
              |
            help: Remove the variable, and pin base images by digest instead.

            1 warning in 1 file
            $ towline lint allowed.yml --level note
            good 1 file; 1 allowed by comments
            $ towline lint allowed.yml --level info
            ! error: invalid value 'info' for '--level <LEVEL>': use error, warning or note
            !
            ! For more information, try '--help'.
            [exit 2]
        "#]],
    );
}

#[test]
fn what_is_known_of_the_project_counts() {
    let session = Session::new();
    session.write(
        "buildspec.yml",
        "version: 0.2\nphases:\n  install:\n    runtime-versions:\n      golang: \"1.19\"\n  build:\n    commands:\n      - git log -1\n      - docker build -t a:latest .\n      - docker push a:latest\n",
    );
    let codes = |arguments: &[&str]| {
        let output = session.towline(&[&["lint", "--json"], arguments].concat());
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = json["findings"].as_array().unwrap();
        let codes = findings
            .iter()
            .map(|finding| finding["code"].as_str().unwrap().to_owned());
        codes.collect::<Vec<_>>().join(" ")
    };
    let check = |arguments: &[&str], expected: &[&str]| {
        let plain = codes(&[]);
        let found = codes(arguments);
        let new: Vec<&str> = found
            .split(' ')
            .filter(|code| !plain.contains(code))
            .collect();
        assert_eq!(new, expected, "{arguments:?} beside {plain}");
    };
    check(&["--privileged", "no"], &["E015"]);
    check(&["--privileged", "yes"], &[]);
    check(&["--codepipeline"], &["W030"]);
    check(&["--immutable-tags"], &["W032"]);
    check(
        &[
            "--image",
            "aws/codebuild/amazonlinux-x86_64-lambda-standard:go1.21",
        ],
        &["E015"],
    );
}

#[test]
fn what_cannot_be_read_is_told_beside_what_can() {
    let session = Session::new();
    session.write(
        ".towline.yml",
        &DEFINITION.replace("make\n", "make\nstagse: []\n"),
    );
    session.write("sub/.towline.yml", DEFINITION);
    fs::write(session.path("latin.yml"), b"version: \xe9\n").unwrap();
    fs::create_dir(session.path("empty")).unwrap();
    check(
        &session,
        &[
            &["lint", "absent.yml", "latin.yml", "empty", ".towline.yml"],
            &["lint", "sub", "--json"],
            &["lint", "--json", "--sarif"],
        ],
        &expect![[r#"
            $ towline lint absent.yml latin.yml empty .towline.yml
            .towline.yml:18:1: unknown key "stagse"; did you mean `stages`? (the keys are version, pipeline, source, components, stages, rights, notify)
              18 | stagse: []
                 | ^
            1 mistake in .towline.yml

            1 mistake in 1 file
            ! towline: absent.yml cannot be read: No such file or directory (os error 2)
            ! towline: empty cannot be read: it has no buildspec and no .towline.yml
            ! towline: latin.yml cannot be read: it is not UTF-8
            [exit 2]
            $ towline lint sub --json
            {
              "allowed": [],
              "failed": [
                {
                  "file": "sub/ci/web.yml",
                  "reason": "cannot be read: No such file or directory (os error 2)"
                }
              ],
              "files": 1,
              "findings": [
                {
                  "advice": "Remove `-t`; the duration is the first argument.",
                  "code": "E012",
                  "consequence": "GNU timeout exits with status 125 (`invalid option -- 't'`), so the phase fails.",
                  "end": {
                    "column": 27,
                    "line": 17
                  },
                  "file": "sub/.towline.yml",
                  "fixable": false,
                  "help": "https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html",
                  "level": "error",
                  "name": "timeout-t",
                  "start": {
                    "column": 17,
                    "line": 17
                  },
                  "text": "timeout -t"
                }
              ],
              "fixed": [],
              "mistakes": [],
              "passed_over": []
            }
            [exit 2]
            $ towline lint --json --sarif
            {
              "error": "use only one of --sarif and --json"
            }
            [exit 1]
        "#]],
    );
}

#[test]
fn what_a_preset_builds_with_is_looked_into() {
    let session = Session::new();
    session.write(
        ".towline.yml",
        r#"version: 1
pipeline: shop
source: {branches: [main]}
components:
  web:
    repository: acme/web
    build: {preset: docker, context: web, platform: linux/arm64, tags: ["{sha7}-{build}"]}
  todo:
    repository: acme/todo
    build: {preset: make, make: {build: [test, publish], login: make}, tags: ["{sha7}-{build}"]}
  again:
    repository: acme/again
    build: {preset: make, make: {build: [again], login: make}, tags: ["{sha7}-{build}"]}
"#,
    );
    session.write(
        "web/Dockerfile",
        "FROM golang:1.22\nRUN GOARCH=amd64 go build -o /app .\n",
    );
    session.write("Makefile", "login:\n\t$$(aws ecr get-login)\n");
    check(
        &session,
        &[&["lint", "."]],
        &expect![[r#"
            $ towline lint .
            warning[W044 docker-hub-unauthenticated]: Docker Hub limits anonymous pulls per IP address, and CodeBuild shares its addresses: `toomanyrequests`.
             --> web/Dockerfile:1:6
              |
            1 | FROM golang:1.22
              |      ^^^^^^^^^^^
              |
            help: Log in to Docker Hub first, or pull the image from public.ecr.aws or a pull-through cache.

            warning[W042 pinned-architecture]: The arm64 image contains an amd64 program, which fails with `exec format error`.
             --> web/Dockerfile:2:5
              |
            2 | RUN GOARCH=amd64 go build -o /app .
              |     ^^^^^^^^^^^^
              |
            help: Take the architecture from the build, as `GOARCH=$TARGETARCH` does in a Dockerfile.

            error[E011 ecr-get-login]: The target fails: CodeBuild's images have version 2 of the AWS CLI, which has no `get-login`.
             --> Makefile:2:1
              |
            2 |     $$(aws ecr get-login)
              | ^^^^^^^^^^^^^^^^^^^^^^^^^
              |
            help: Use `aws ecr get-login-password | docker login --username AWS --password-stdin <registry>`.

            1 error, 2 warnings in 3 files
            [exit 1]
        "#]],
    );
}

#[test]
fn what_looks_like_a_buildspec_and_is_passed_over_is_told() {
    let session = Session::new();
    session.write("buildspec.yml", GOOD);
    session.write("ci/parts.yml", "phases:\n  build:\n    commands: [make]\n");
    check(
        &session,
        &[&["lint"]],
        &expect![[r#"
            $ towline lint
            good 1 file
            ! towline: skipped ci/parts.yml: it may be a buildspec, but does not contain `version: 0.2` and `phases:`; name it to check it
        "#]],
    );
}

#[test]
fn s15_names_of_files_and_sections_cannot_command_a_terminal() {
    // It would clear the screen, turn the text, and begin a line of its own in red.
    const FOLDER: &str = "d\u{1b}[2J\u{202e}\n\u{1b}[31mforged";
    const SHOWN: &str = "d\\u{1b}[2J\\u{202e}\\u{a}\\u{1b}[31mforged";
    let session = Session::new();
    let inside = |name: &str| format!("{FOLDER}/{name}");
    session.write(
        &inside("buildspec.yml"),
        "version: 0.2\nphases:\n\tbuild:\n\t\tcommands: [make]\n\"s\\e[2J\\u202E\": {a: b}\n",
    );
    session.write(
        &inside("parts.yml"),
        "phases:\n  build:\n    commands: [make]\n",
    );
    session.write(
        &inside(".towline.yml"),
        "version: 1\n\"k\\e[2J\\u202E\": {}\nz\u{202e}: 1\n",
    );
    session.write(
        "good/.towline.yml",
        r#"{version: 1, pipeline: shop, source: {branches: ["b\e[2J\u202E\n\e[31mforged"]}, components: {web: {
            repository: acme/web, build: {preset: make, make: {build: ["m\e[2J\u202E\n\e[31mforged"]}, tags: ["{sha7}-{build}"]}}}}"#,
    );
    let definition = inside(".towline.yml");
    let (gone, root) = (inside("gone.yml"), inside("gone"));
    for arguments in [
        &["lint"][..],
        &["lint", "--json"],
        &["lint", "--sarif"],
        &["lint", &gone],
        &["validate", &definition],
        &["validate", "good"],
        &["validate", &gone],
        &["generate", "buildspec", "web", "--definition", &gone],
        &["pack", "--layout=x", "--root", &root],
        &["lint", "--fix"],
    ] {
        for color in ["never", "always"] {
            let output = session.towline(&[arguments, &["--color", color]].concat());
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8(text).unwrap();
            let label = format!("{arguments:?} with {color} colors: {text:?}");
            assert!(!text.contains(['\u{202e}', '\r', '\u{7}']), "{label}");
            assert!(!text.contains("\u{1b}[2J"), "{label}");
            assert!(!text.contains("\u{1b}[31mforged"), "{label}");
            assert!(color == "always" || !text.contains('\u{1b}'), "{label}");
            if arguments[0] == "lint" && arguments.len() == 1 {
                assert!(text.contains(&format!("{SHOWN}/buildspec.yml:")), "{label}");
                assert!(text.contains(&format!("{SHOWN}/.towline.yml:")), "{label}");
                assert!(text.contains(&format!("{SHOWN}/parts.yml:")), "{label}");
                assert!(!text.contains("\nforged"), "{label}");
            }
        }
    }
}
