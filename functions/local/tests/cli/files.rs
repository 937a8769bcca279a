//! Commands that need no server: `validate`, `generate`, `pack`, and errors in arguments.

use std::process::Stdio;

use expect_test::{Expect, expect};

use crate::session::{Session, shown};

const DEFINITION: &str = r#"version: 1
pipeline: shop
source: {branches: [main, "release/**"], tags: ["v*"]}
components:
  backend:
    repository: acme/backend
    build: {preset: docker, context: backend, tags: ["{sha7}-{build}"]}
  todo:
    repository: acme/todo
    build: {preset: make, make: {build: [test, publish]}, tags: ["{sha}-{build_uuid}"]}
  old:
    repository: acme/old
    build: {buildspec: ci/buildspec.yml, tags: ["{sha7}-{build}"]}
stages:
  - {name: staging, from: build, promote: auto}
  - name: prod
    from: staging
    gates: [{soak: 1h}, {approval: {groups: [release-managers], min: 2}}]
"#;

fn check(session: &Session, commands: &[&[&str]], expected: &Expect) {
    expected.assert_eq(&session.play(commands));
}

#[test]
fn a_good_definition_is_summed_up_with_what_is_not_executed_yet() {
    let session = Session::new();
    session.write(".towline.yml", DEFINITION);
    check(
        &session,
        &[&["validate"], &["validate", "."]],
        &expect![[r#"
        $ towline validate
        good .towline.yml: pipeline shop

        Pushes of branches main, release/** and tags v* start a run.

        Components
          backend (docker, Dockerfile in backend) → acme/backend, tagged {sha7}-{build}
          todo (make test publish) → acme/todo, tagged {sha}-{build_uuid}
          old (buildspec ci/buildspec.yml) → acme/old, tagged {sha7}-{build}

        Stages
          staging from build automatically, tagged staging
          prod from staging automatically, after 2 approvals by release-managers, tagged prod

        Not supported by this version; anything that needs it is refused, never skipped:
          .towline.yml:18: stages.prod.gates[0].soak: promotions to prod are refused
        $ towline validate .
        good ./.towline.yml: pipeline shop

        Pushes of branches main, release/** and tags v* start a run.

        Components
          backend (docker, Dockerfile in backend) → acme/backend, tagged {sha7}-{build}
          todo (make test publish) → acme/todo, tagged {sha}-{build_uuid}
          old (buildspec ci/buildspec.yml) → acme/old, tagged {sha7}-{build}

        Stages
          staging from build automatically, tagged staging
          prod from staging automatically, after 2 approvals by release-managers, tagged prod

        Not supported by this version; anything that needs it is refused, never skipped:
          ./.towline.yml:18: stages.prod.gates[0].soak: promotions to prod are refused
    "#]],
    );
}

#[test]
fn a_definition_of_which_every_run_is_refused_is_not_good() {
    let session = Session::new();
    let asking = "version: 1\npipeline: shop\ncomponents: {web: {repository: acme/web}}\nnotify: {slack: '#shop'}\n";
    session.write(".towline.yml", asking);
    check(
        &session,
        &[&["validate"]],
        &expect![[r#"
            $ towline validate
            every run is refused: .towline.yml: pipeline shop

            Pushes of the default branch start a run.

            Components
              web (docker, Dockerfile) → acme/web, tagged {sha}-{build}

            Not supported by this version; anything that needs it is refused, never skipped:
              .towline.yml:4: notify.slack: every run is refused
            [exit 1]
        "#]],
    );
    let json = session.towline(&["validate", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (&value["valid"], &value["refuses_every_run"]),
        (&true.into(), &true.into())
    );
    assert_eq!(json.status.code(), Some(1));
}

#[test]
fn every_mistake_is_shown_where_it_is() {
    let session = Session::new();
    let broken = DEFINITION
        .replace("promote: auto", "promte: auto")
        .replace("min: 2", "min: 표현");
    session.write("sub/.towline.yml", &broken);
    session.write(
        "long.yml",
        &format!("version: 1\npipeline: {} x: y\n", "표".repeat(150)),
    );
    session.write("tab.yml", "version: 1\n\tpipeline: x\n");
    check(
        &session,
        &[
            &["validate", "sub/.towline.yml"],
            &["validate", "sub", "--json"],
            &["validate", "tab.yml"],
            &["validate", "long.yml"],
            &["validate"],
            &["validate", "--json"],
        ],
        &expect![[r#"
            $ towline validate sub/.towline.yml
            sub/.towline.yml:15:34: stages.staging: unknown key "promte"; did you mean `promote`? (the keys are name, from, promote, concurrency, gates, tag, drift, before, copy_to, deploy, verify, rollback, unit)
              15 |   - {name: staging, from: build, promte: auto}
                 |                                  ^
            sub/.towline.yml:18:70: stages.prod.gates[1].approval.min: "표현" is not a whole number from 1 to 20
              18 |     gates: [{soak: 1h}, {approval: {groups: [release-managers], min: 표현}}]
                 |                                                                      ^
            2 mistakes in sub/.towline.yml
            [exit 1]
            $ towline validate sub --json
            {
              "errors": [
                {
                  "column": 34,
                  "line": 15,
                  "message": "unknown key \"promte\"; did you mean `promote`? (the keys are name, from, promote, concurrency, gates, tag, drift, before, copy_to, deploy, verify, rollback, unit)",
                  "path": "stages.staging"
                },
                {
                  "column": 70,
                  "line": 18,
                  "message": "\"표현\" is not a whole number from 1 to 20",
                  "path": "stages.prod.gates[1].approval.min"
                }
              ],
              "path": "sub/.towline.yml",
              "valid": false
            }
            [exit 1]
            $ towline validate tab.yml
            tab.yml:2:1: YAML allows only spaces for indentation: replace the tab with spaces
              2 |  pipeline: x
                | ^
            1 mistake in tab.yml
            [exit 1]
            $ towline validate long.yml
            long.yml:2:163: not YAML: mapping values are not allowed in this context (quote a text that contains `: `)
              2 | …표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표표 x: y
                |                                                                                                                                                      ^
            1 mistake in long.yml
            [exit 1]
            $ towline validate
            ! towline: cannot read .towline.yml: No such file or directory (os error 2); name another, or write a first one with: towline generate definition
            [exit 2]
            $ towline validate --json
            {
              "error": "cannot read .towline.yml: No such file or directory (os error 2); name another, or write a first one with: towline generate definition"
            }
            [exit 2]
        "#]],
    );
}

#[test]
fn a_buildspec_is_printed_as_a_run_would_use_it() {
    let session = Session::new();
    session.write(".towline.yml", DEFINITION);
    check(
        &session,
        &[
            &["generate", "buildspec", "todo"],
            &["generate", "buildspec", "old"],
            &["generate", "buildspec", "none"],
            &["generate", "buildspec", "No"],
        ],
        &expect![[r#"
            $ towline generate buildspec todo
            version: 0.2

            env:
              shell: 'bash'
              exported-variables:
                - 'IMAGE_DIGEST'

            phases:
              pre_build:
                commands:
                  - '(set -o pipefail; aws ecr get-login-password --region "$AWS_DEFAULT_REGION" | docker login --username AWS --password-stdin "$ECR_REGISTRY")'
              build:
                commands:
                  - 'cd -- "$CODEBUILD_SRC_DIR"'
                  - 'make test'
                  - 'make publish'
                  - 'export IMAGE_DIGEST="$(docker inspect --format ''{{range .RepoDigests}}{{println .}}{{end}}'' "$ECR_REGISTRY/$IMAGE_REPO:$IMAGE_TAG" | grep -F -e "$ECR_REGISTRY/$IMAGE_REPO@" | grep -o -E -e ''sha256:[0-9a-f]{64}$'' | head -n 1)"'
              post_build:
                commands:
                  - 'docker logout "$ECR_REGISTRY" || true'
            $ towline generate buildspec old
            ! towline: reading ci/buildspec.yml, the buildspec of old: No such file or directory (os error 2)
            [exit 2]
            $ towline generate buildspec none
            ! towline: .towline.yml has no component none; it has backend, todo, old
            [exit 1]
            $ towline generate buildspec No
            ! error: invalid value 'No' for '<COMPONENT>': "No" is not a component name: 1 to 63 of a-z, 0-9 and '-', starting with a letter or digit
            !
            ! For more information, try '--help'.
            [exit 2]
        "#]],
    );
    let own = "version: 0.2\nphases:\n  build:\n    commands: [make]\n";
    session.write("ci/buildspec.yml", own);
    check(
        &session,
        &[&["generate", "buildspec", "old", "--output", "out.yml"]],
        &expect![[r#"
        $ towline generate buildspec old --output out.yml
        ! wrote out.yml
    "#]],
    );
    assert_eq!(
        std::fs::read_to_string(session.path("out.yml")).unwrap(),
        own
    );
}

#[test]
fn a_definition_to_begin_with_is_good() {
    let session = Session::new();
    session.write("Dockerfile", "FROM scratch\n");
    let text = session.towline(&["generate", "definition"]);
    session.write(".towline.yml", &String::from_utf8(text.stdout).unwrap());
    check(
        &session,
        &[&["validate"], &["generate", "definition", "gone"]],
        &expect![[r#"
            $ towline validate
            good .towline.yml: pipeline shop

            Pushes of the default branch start a run.

            Components
              shop (docker, Dockerfile) → local/shop, tagged {sha7}-{build}

            Stages
              staging from build automatically, tagged staging
              prod from staging automatically, after 1 approval by anyone, tagged prod
            $ towline generate definition gone
            ! towline: looking at gone: No such file or directory (os error 2)
            [exit 2]
        "#]],
    );
}

#[test]
fn an_image_of_files_has_the_same_digest_every_time() {
    let session = Session::new();
    session.write("dist/hello.txt", "hello\n");
    let layout = |folder: &'static str| {
        [
            "pack",
            "--root=dist",
            "--layout",
            folder,
            "--entrypoint=[\"/hello\"]",
            "--label=a=b",
            "--output-file=digest",
        ]
    };
    check(
        &session,
        &[&layout("one"), &layout("two"), &layout("two")],
        &expect![[r#"
        $ towline pack --root=dist --layout one --entrypoint=["/hello"] --label=a=b --output-file=digest
        sha256:d7d666d37fd5db4078080487ed9e4f6e262554a8ffb548fe08307c026dfe2ec5
        $ towline pack --root=dist --layout two --entrypoint=["/hello"] --label=a=b --output-file=digest
        sha256:d7d666d37fd5db4078080487ed9e4f6e262554a8ffb548fe08307c026dfe2ec5
        $ towline pack --root=dist --layout two --entrypoint=["/hello"] --label=a=b --output-file=digest
        ! towline: two is not empty; name a new folder
        [exit 1]
    "#]],
    );
    let digest = std::fs::read_to_string(session.path("digest")).unwrap();
    assert!(
        digest.starts_with("sha256:") && digest.ends_with('\n'),
        "{digest:?}"
    );
}

#[test]
fn what_cannot_be_packed_is_refused_in_a_sentence() {
    let session = Session::new();
    session.write("dist/hello.txt", "hello\n");
    check(
        &session,
        &[
            &["pack", "--root=dist"],
            &["pack", "--root=dist", "--repository=shop", "--tag=v1"],
            &[
                "pack",
                "--root=dist",
                "--repository=127.0.0.1:9/shop",
                "--tag=v1",
                "--base=127.0.0.1:9/base:1",
            ],
            &["pack", "--root=gone", "--layout=x"],
            &["pack", "--root=dist", "--layout=x", "--entrypoint=[\"a\""],
            &[
                "pack",
                "--root=dist",
                "--repository=127.0.0.1:9/shop",
                "--tag=v1",
                "--password-stdin",
            ],
        ],
        &expect![[r#"
            $ towline pack --root=dist
            ! error: the following required arguments were not provided:
            !   --repository <HOST/REPOSITORY>
            !   --tag <TAG>
            !
            ! Usage: towline pack --root <FOLDER> --repository <HOST/REPOSITORY> --tag <TAG>
            !
            ! For more information, try '--help'.
            [exit 2]
            $ towline pack --root=dist --repository=shop --tag=v1
            ! error: invalid value 'shop' for '--repository <HOST/REPOSITORY>': write it as HOST/REPOSITORY, such as 127.0.0.1:8017/shop/api
            !
            ! For more information, try '--help'.
            [exit 2]
            $ towline pack --root=dist --repository=127.0.0.1:9/shop --tag=v1 --base=127.0.0.1:9/base:1
            ! error: invalid value '127.0.0.1:9/base:1' for '--base <IMAGE>': the base "127.0.0.1:9/base:1" can move: name the base by digest, 127.0.0.1:9/base:1@sha256:…; the tag alone is not enough
            !
            ! For more information, try '--help'.
            [exit 2]
            $ towline pack --root=gone --layout=x
            ! towline: gone does not exist; name the folder to pack
            [exit 1]
            $ towline pack --root=dist --layout=x --entrypoint=["a"
            ! error: invalid value '["a"' for '--entrypoint <JSON>': write one word, or a JSON list of words such as ["/server","--port=80"]
            !
            ! For more information, try '--help'.
            [exit 2]
            $ towline pack --root=dist --repository=127.0.0.1:9/shop --tag=v1 --password-stdin
            ! towline: the password on standard input is empty; did the command that prints it fail?
            [exit 2]
        "#]],
    );
}

#[test]
fn s21_a_root_does_not_follow_a_link_out_of_the_repository() {
    let session = Session::new();
    session.git(&["init", "--quiet"]);
    session.write("../etc/ssh/key", "secret\n");
    session.write("web/real/index.html", "hello\n");
    for (target, link) in [
        ("../../etc/ssh", "web/dist"),
        ("../web", "ci/web"),
        ("dist", "web/second"),
        ("real", "web/inside"),
        ("../etc", "context"),
    ] {
        let link = session.path(link);
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, link).unwrap();
    }
    check(
        &session,
        &[
            &["pack", "--layout=x", "--root=web/dist"],
            &["pack", "--layout=x", "--root=web/dist/."],
            &["pack", "--layout=x", "--root=ci/web/second/"],
            &["pack", "--layout=x", "--root=context/ssh"],
        ],
        &expect![[r#"
            $ towline pack --layout=x --root=web/dist
            ! towline: [folder]/shop/web/dist is a link to [folder]/etc/ssh, outside of the repository [folder]/shop; copy the files to a folder in the repository, and name that
            [exit 1]
            $ towline pack --layout=x --root=web/dist/.
            ! towline: [folder]/shop/web/dist is a link to [folder]/etc/ssh, outside of the repository [folder]/shop; copy the files to a folder in the repository, and name that
            [exit 1]
            $ towline pack --layout=x --root=ci/web/second/
            ! towline: [folder]/shop/ci/web/second is a link to [folder]/etc/ssh, outside of the repository [folder]/shop; copy the files to a folder in the repository, and name that
            [exit 1]
            $ towline pack --layout=x --root=context/ssh
            ! towline: [folder]/shop/context is a link to [folder]/etc, outside of the repository [folder]/shop; copy the files to a folder in the repository, and name that
            [exit 1]
        "#]],
    );
    let inside = session.towline(&["pack", "--layout=x", "--root=ci/web/inside"]);
    assert!(inside.status.success(), "{}", shown(&inside));

    // In a build, `context` is entered before.
    let source = session.path("");
    let in_a_build = |command: &str| {
        let mut shell = session.command("sh");
        shell.args(["-c", command, env!("CARGO_BIN_EXE_towline")]);
        shell.env("CODEBUILD_SRC_DIR", &source).output().unwrap()
    };
    let entered =
        in_a_build("cd -- \"$CODEBUILD_SRC_DIR\"/context && $0 pack --layout=x --root=ssh");
    let text = shown(&entered);
    assert!(text.contains("/shop/context is a link to "), "{text}");
    assert!(text.ends_with("[exit 1]\n"), "{text}");
    let elsewhere =
        in_a_build("cd -- \"$CODEBUILD_SRC_DIR\"/../etc && $0 pack --layout=../x --root=ssh");
    assert!(elsewhere.status.success(), "{}", shown(&elsewhere));
}

#[test]
fn what_was_typed_wrong_is_told_with_what_to_type() {
    let session = Session::new();
    check(
        &session,
        &[
            &["approve", "soon"],
            &["logs", "build"],
            &["now", "--at", "soon"],
            &["now", "--at", "2999-01-01"],
            &["tags", "Back_End"],
            &["tags", "backend", "--limit", "0"],
            &["histori", "backend", "prod"],
            &["runs", "--url", "ftp://x"],
            &["runs", "--url", "http://kim:secret@x"],
        ],
        &expect![[r#"
            $ towline approve soon
            ! error: invalid value 'soon' for '<N>': write the number of a promotion, such as 58
            !
            ! For more information, try '--help'.
            [exit 2]
            $ towline logs build
            ! error: invalid value 'build' for '<BUILD>': write the number of a build, such as 142 or build#142
            !
            ! For more information, try '--help'.
            [exit 2]
            $ towline now --at soon
            ! error: invalid value 'soon' for '--at <TIME>': write a moment as 2026-02-27T12:00 (UTC), 2026-02-27T12:00+09:00 or 2h ago
            !
            ! For more information, try '--help'.
            [exit 2]
            $ towline now --at 2999-01-01
            ! towline: nothing answers at http://127.0.0.1:8017 (Connection refused (os error 111)); start it with `towline serve --repo FOLDER`, or name another with --url or TOWLINE_URL
            [exit 2]
            $ towline tags Back_End
            ! error: invalid value 'Back_End' for '<COMPONENT>': "Back_End" is not a component name: 1 to 63 of a-z, 0-9 and '-', starting with a letter or digit
            !
            ! For more information, try '--help'.
            [exit 2]
            $ towline tags backend --limit 0
            ! error: invalid value '0' for '--limit <N>': 0 is not in 1..=500
            !
            ! For more information, try '--help'.
            [exit 2]
            $ towline histori backend prod
            ! error: unrecognized subcommand 'histori'
            !
            !   tip: a similar subcommand exists: 'history'
            !
            ! Usage: towline [OPTIONS] <COMMAND>
            !
            ! For more information, try '--help'.
            [exit 2]
            $ towline runs --url ftp://x
            ! towline: "ftp://x" is not an address such as http://127.0.0.1:8017 (from --url, --to or TOWLINE_URL)
            [exit 2]
            $ towline runs --url http://kim:secret@x
            ! towline: the address contains a user or password; remove it and set TOWLINE_TOKEN
            [exit 2]
        "#]],
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let session = Session::new();
    session.write("Dockerfile", "FROM scratch\n");
    let mut command = session.command(env!("CARGO_BIN_EXE_towline"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command
        .args(["generate", "definition"])
        .stdout(writer)
        .stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn colors_are_for_those_who_ask_or_sit_at_a_terminal() {
    let session = Session::new();
    session.write(".towline.yml", DEFINITION);
    let colored =
        |session: &Session, arguments: &[&str]| session.towline(arguments).stdout.contains(&0x1b);
    assert!(!colored(&session, &["validate"]));
    assert!(colored(&session, &["validate", "--color", "always"]));
    assert!(!colored(&session, &["validate", "--color", "never"]));
    assert!(!colored(&session.set("NO_COLOR", "1"), &["validate"]));
}
