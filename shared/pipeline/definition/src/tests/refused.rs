//! Definitions that are refused, each mistake with its sentence.

use expect_test::{Expect, expect};

use crate::limits::FILE_BYTES;
use crate::read;

/// A definition with one component whose build says this.
pub(super) fn with_build(build: &str) -> String {
    format!("version: 1\npipeline: p\ncomponents:\n  a:\n    repository: r/a\n    build: {build}\n")
}

/// A definition with these stages.
pub(super) fn with_stages(stages: &str) -> String {
    format!("version: 1\npipeline: p\ncomponents: {{a: {{repository: r/a}}}}\nstages:\n{stages}\n")
}

pub(super) fn check(text: &str, expected: &Expect) {
    match read(text.as_bytes()) {
        Ok(definition) => panic!("{definition:?} should be refused"),
        Err(errors) => expected.assert_eq(&errors.to_string()),
    }
}

#[test]
fn every_mistake_of_a_file_is_told_at_once_with_its_place() {
    check(
        "version: 2
pipelin: shop
source: {github: acme, branches: [\"a[\"], tag: x}
components:
  Back_end: {}
  web:
    repositry: acme/web
    paths: {a: b}
    build: {preset: dokcer}
stages:
  - {from: build}
  - {name: build, from: build, promote: perhaps, gates: {soak: 1h}}
notify: [slack]
",
        &expect![[r#"
            line 1, column 1: `pipeline` is missing: name it, as in `pipeline: shop`
            line 1, column 10: version: version "2" is unknown; write `version: 1`
            line 2, column 1: unknown key "pipelin"; did you mean `pipeline`? (the keys are version, pipeline, source, components, stages, rights, notify)
            line 3, column 18: source.github: "acme" is not a repository name such as acme/shop
            line 3, column 35: source.branches[0]: "a[" is not a pattern: unclosed character class; missing ']'
            line 3, column 42: source: unknown key "tag"; did you mean `tags`? (the keys are github, branches, tags, skip_message)
            line 5, column 3: components: "Back_end" is not a component name: 1 to 63 of a-z, 0-9 and '-', starting with a letter or digit
            line 5, column 13: components.Back_end: `repository` is missing: name the ECR repository its image goes to
            line 7, column 5: components.web: unknown key "repositry"; did you mean `repository`? (the keys are repository, paths, watch, ignore, build)
            line 7, column 5: components.web: `repository` is missing: name the ECR repository its image goes to
            line 8, column 12: components.web.paths: expected a list, found a mapping
            line 9, column 21: components.web.build.preset: unknown word "dokcer"; did you mean `docker`? (the words are docker, make, pack, buildspec, inline)
            line 11, column 5: stages[0]: `name` is missing: name it, as in `name: staging`
            line 12, column 12: stages[1].name: "build" is not a stage name: 1 to 63 of a-z, 0-9 and '-', starting with a letter or digit, not 'build'
            line 12, column 41: stages[1].promote: unknown word "perhaps"; the words are auto, manual
            line 12, column 57: stages[1].gates: expected a list, found a mapping
            line 13, column 9: notify: expected a mapping of slack, github, found a list"#]],
    );
}

#[test]
fn builds_that_cannot_be_are_refused() {
    for (build, expected) in [
        (
            "{preset: make}",
            expect![[
                "line 6, column 12: components.a.build: `make` is missing: name the targets, as in `make: {build: [test, publish]}`"
            ]],
        ),
        (
            "{preset: make, make: {build: []}}",
            expect!["line 6, column 41: components.a.build.make.build: list at least one target"],
        ),
        (
            "{preset: make, make: {build: [-f, a b], login: maybe}}",
            expect![[r#"
                line 6, column 42: components.a.build.make.build[0]: "-f" is not a Makefile's target: letters, digits and `_ . / -`, not starting with `-` or `.`
                line 6, column 46: components.a.build.make.build[1]: "a b" is not a Makefile's target: letters, digits and `_ . / -`, not starting with `-` or `.`
                line 6, column 59: components.a.build.make.login: unknown word "maybe"; the words are builtin, make"#]],
        ),
        (
            "{preset: buildspec}",
            expect![[
                "line 6, column 12: components.a.build: `buildspec` is missing: name the file, as in `buildspec: buildspec.yml`"
            ]],
        ),
        (
            "{buildspec: a.yml, inline: x}",
            expect![[
                "line 6, column 31: components.a.build.inline: only preset inline takes this key, and the preset of this build is buildspec; remove the key or change `preset`"
            ]],
        ),
        (
            "{buildspec: ../a.yml, test: [x], context: a}",
            expect![[r#"
                line 6, column 24: components.a.build.buildspec: "../a.yml" is not a path inside the repository; write a relative path without `..` that does not start with `-` or `~`
                line 6, column 34: components.a.build.test: only preset docker or make or pack takes this key, and the preset of this build is buildspec; remove the key or change `preset`
                line 6, column 45: components.a.build.context: only preset docker or make or pack takes this key, and the preset of this build is buildspec; remove the key or change `preset`"#]],
        ),
        (
            "{inline: \"version: 0.2\"}",
            expect![[
                "line 6, column 21: components.a.build.inline: CodeBuild does not accept this buildspec: line 1, column 1: `phases` is missing: commands belong under `phases:`, for example in `build:`"
            ]],
        ),
        (
            "{context: /etc}",
            expect![[
                r#"line 6, column 22: components.a.build.context: "/etc" is not a path inside the repository; write a relative path without `..` that does not start with `-` or `~`"#
            ]],
        ),
        (
            "{dockerfile: -f}",
            expect![[
                r#"line 6, column 25: components.a.build.dockerfile: "-f" is not a path inside the repository; write a relative path without `..` that does not start with `-` or `~`"#
            ]],
        ),
        (
            "{args: {A B: 1, C: }}",
            expect![[r#"
                line 6, column 20: components.a.build.args."A B": a build argument's name has letters, digits and `_`, not starting with a digit
                line 6, column 29: components.a.build.args.C: expected text, found nothing"#]],
        ),
        (
            "{timeout: 1m}",
            expect![[
                "line 6, column 22: components.a.build.timeout: 1m is out of range; write 5m to 36h"
            ]],
        ),
        (
            "{timeout: 37h}",
            expect![[
                "line 6, column 22: components.a.build.timeout: 37h is out of range; write 5m to 36h"
            ]],
        ),
        (
            "{timeout: soon}",
            expect![[
                r#"line 6, column 22: components.a.build.timeout: "soon" is not a duration; write a number and a unit, such as 90s, 20m, 1h or 7d"#
            ]],
        ),
        (
            "{platform: amd64}",
            expect![[
                r#"line 6, column 23: components.a.build.platform: "amd64" is not a platform: linux/ and amd64, arm64, arm/v7, arm/v6, 386, ppc64le, s390x, riscv64, mips64le or loong64"#
            ]],
        ),
        (
            "{platform: linux/amd64, platforms: []}",
            expect![[r#"
                line 6, column 36: components.a.build.platforms: write either `platform` or `platforms`
                line 6, column 47: components.a.build.platforms: list at least one platform"#]],
        ),
        (
            "{platforms: [linux/arm64, linux/arm64]}",
            expect![[
                "line 6, column 38: components.a.build.platforms[1]: this platform is listed twice"
            ]],
        ),
        (
            "{image: \"a b\", runtime: {go lang: \"1\"}}",
            expect![[r#"
                line 6, column 20: components.a.build.image: "a b" is not the name of a CodeBuild image
                line 6, column 37: components.a.build.runtime."go lang": this is not the name of a runtime"#]],
        ),
        (
            "{preset: pack, base: alpine, user: -x, workdir: a, expose: [0, 80/sctp]}",
            expect![[r#"
                line 6, column 33: components.a.build.base: "alpine" is not an image with its digest, `name@sha256:…`
                line 6, column 47: components.a.build.user: "-x" is not a user such as `app` or `1000:1000`
                line 6, column 60: components.a.build.workdir: "a" is not an absolute path in the image
                line 6, column 72: components.a.build.expose[0]: "0" is not a port such as 8080 or 53/udp
                line 6, column 75: components.a.build.expose[1]: "80/sctp" is not a port such as 8080 or 53/udp"#]],
        ),
        (
            "{test: [{echo a: b}], tags: [{sha}]}",
            expect![[r#"
                line 6, column 20: components.a.build.test[0]: expected text, found a mapping; quote it if it starts with `{` or contains a colon and a space
                line 6, column 41: components.a.build.tags[0]: expected text, found a mapping; quote it if it starts with `{` or contains a colon and a space"#]],
        ),
        (
            "",
            expect!["line 6, column 10: components.a.build: expected a mapping, found nothing"],
        ),
        (
            "[]",
            expect!["line 6, column 12: components.a.build: expected a mapping, found a list"],
        ),
    ] {
        check(&with_build(build), &expected);
    }
}

#[test]
fn a13_variables_that_steer_the_build_are_refused() {
    for (build, expected) in [
        (
            "{env: {PATH: x, BASH_ENV: x, LD_PRELOAD: x, CODEBUILD_SRC_DIR: x, AWS_REGION: x, TOWLINE_RUN: x}}",
            expect![[r#"
                line 6, column 19: components.a.build.env.PATH: this variable changes how the build itself runs and cannot be set; use another name
                line 6, column 28: components.a.build.env.BASH_ENV: this variable changes how the build itself runs and cannot be set; use another name
                line 6, column 41: components.a.build.env.LD_PRELOAD: this variable changes how the build itself runs and cannot be set; use another name
                line 6, column 56: components.a.build.env.CODEBUILD_SRC_DIR: this variable changes how the build itself runs and cannot be set; use another name
                line 6, column 78: components.a.build.env.AWS_REGION: this variable changes how the build itself runs and cannot be set; use another name
                line 6, column 93: components.a.build.env.TOWLINE_RUN: this variable changes how the build itself runs and cannot be set; use another name"#]],
        ),
        (
            "{env: {IMAGE_TAG: x, 1A: x, a-b: x}}",
            expect![[r#"
                line 6, column 19: components.a.build.env.IMAGE_TAG: Towline sets this variable for every build; use another name
                line 6, column 33: components.a.build.env.1A: a variable's name has letters, digits and `_`, not starting with a digit
                line 6, column 40: components.a.build.env.a-b: a variable's name has letters, digits and `_`, not starting with a digit"#]],
        ),
        (
            "{env: {A: \"{nonsense}\", B: \"{\", C: [x]}}",
            expect![[r#"
                line 6, column 22: components.a.build.env.A: "{nonsense}" has {nonsense}, which is not a placeholder; there are {sha}, {sha7}, {build}, {build_uuid}, {branch_slug} and, in tags and parameters, {env.NAME}
                line 6, column 39: components.a.build.env.B: "{" has a brace that does not close
                line 6, column 47: components.a.build.env.C: expected text, found a list"#]],
        ),
    ] {
        check(&with_build(build), &expected);
    }
    let long = with_build(&format!("{{env: {{A: {}}}}}", "x".repeat(4_097)));
    check(
        &long,
        &expect![
            "line 6, column 22: components.a.build.env.A: the variable `A` has 4097 characters; CodeBuild accepts at most 4096: shorten it, or keep it in a file of the repository"
        ],
    );
}

#[test]
fn tags_that_cannot_be_are_refused() {
    for (tags, expected) in [
        (
            "[]",
            expect![[
                r#"line 6, column 19: components.a.build.tags: no tag differs from build to build; add {build} or {build_uuid} to one, as in "{sha}-{build}""#
            ]],
        ),
        (
            "[latest]",
            expect![[
                r#"line 6, column 19: components.a.build.tags: no tag differs from build to build; add {build} or {build_uuid} to one, as in "{sha}-{build}""#
            ]],
        ),
        (
            "[\"{sha}\"]",
            expect![[
                r#"line 6, column 19: components.a.build.tags: no tag differs from build to build; add {build} or {build_uuid} to one, as in "{sha}-{build}""#
            ]],
        ),
        (
            "[\"{build\"]",
            expect![[
                r#"line 6, column 20: components.a.build.tags[0]: "{build" has a brace that does not close"#
            ]],
        ),
        (
            "[\"{nonsense}-{build}\", \"a b{build}\"]",
            expect![[r#"
                line 6, column 20: components.a.build.tags[0]: "{nonsense}-{build}" has {nonsense}, which is not a placeholder; there are {sha}, {sha7}, {build}, {build_uuid}, {branch_slug} and, in tags and parameters, {env.NAME}
                line 6, column 42: components.a.build.tags[1]: "a b{build}" gives "a b999999999", which is not an image tag: 1 to 128 of A-Z, a-z, 0-9, '_', '.' and '-', not starting with '.' or '-'"#]],
        ),
        (
            "[\"{env.MISSING}-{build}\"]",
            expect![[
                r#"line 6, column 20: components.a.build.tags[0]: "{env.MISSING}-{build}" has {env.MISSING}, which is not a placeholder; there are {sha}, {sha7}, {build}, {build_uuid}, {branch_slug} and, in tags and parameters, {env.NAME}"#
            ]],
        ),
        (
            "[\"{sha}{sha}{sha}{sha}-{build}\"]",
            expect![[
                r#"line 6, column 20: components.a.build.tags[0]: "{sha}{sha}{sha}{sha}-{build}" gives "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-999999999", which is not an image tag: 1 to 128 of A-Z, a-z, 0-9, '_', '.' and '-', not starting with '.' or '-'"#
            ]],
        ),
    ] {
        check(&with_build(&format!("{{tags: {tags}}}")), &expected);
    }
}

#[test]
fn stages_that_cannot_be_are_refused() {
    for (stages, expected) in [
        (
            "  - {name: a, from: b}\n  - {name: b, from: c}\n  - {name: c, from: a}",
            expect![[r#"
                line 5, column 21: stages.a.from: this leads into a cycle and never to a build; start one stage with `from: build`
                line 6, column 21: stages.b.from: this leads into a cycle and never to a build; start one stage with `from: build`
                line 7, column 21: stages.c.from: this leads into a cycle and never to a build; start one stage with `from: build`"#]],
        ),
        (
            "  - {name: a, from: a}",
            expect![[
                "line 5, column 21: stages.a.from: this leads into a cycle and never to a build; start one stage with `from: build`"
            ]],
        ),
        (
            "  - {name: staging, from: build}\n  - {name: prod, from: stagin}",
            expect![[
                r#"line 6, column 24: stages.prod.from: unknown stage "stagin"; did you mean `staging`? (the stages are build, staging, prod)"#
            ]],
        ),
        (
            "  - {name: a, from: build}\n  - {name: a, from: build, tag: b}",
            expect!["line 6, column 12: stages.a.name: stage a is defined twice"],
        ),
        (
            "  - {name: a, from: build, tag: [x]}\n  - {name: b, from: a, tag: [b, x]}",
            expect!["line 6, column 33: stages.b.tag[1]: tag x already belongs to stage a"],
        ),
        (
            "  - {name: a, from: build, tag: []}",
            expect!["line 5, column 33: stages.a.tag: list at least one tag, or remove `tag`"],
        ),
        (
            "  - {name: a, from: build, tag: \"a b\"}",
            expect![[
                r#"line 5, column 33: stages.a.tag: "a b" is not an image tag: 1 to 128 of A-Z, a-z, 0-9, '_', '.' and '-', not starting with '.' or '-'"#
            ]],
        ),
        (
            "  - {name: a, from: build, gates: [{soak: 1h, scan: {}}, {aproval: {}}]}",
            expect![[r#"
                line 5, column 36: stages.a.gates[0]: write one gate per item, as in `- soak: 1h`
                line 5, column 59: stages.a.gates[1]: unknown key "aproval"; did you mean `approval`? (the keys are scan, soak, window, approval)"#]],
        ),
        (
            "  - {name: a, from: build, gates: [approval: {min: 0, self: maybe, expires: never, supersede: \"true\"}]}",
            expect![[r#"
                line 5, column 52: stages.a.gates[0].approval.min: "0" is not a whole number from 1 to 20
                line 5, column 61: stages.a.gates[0].approval.self: unknown word "maybe"; the words are deny, allow
                line 5, column 77: stages.a.gates[0].approval.expires: "never" is not a duration; write a number and a unit, such as 90s, 20m, 1h or 7d
                line 5, column 95: stages.a.gates[0].approval.supersede: write `true` or `false`, without quotes"#]],
        ),
        (
            "  - {name: a, from: build, gates: [approval: {}, approval: {}]}",
            expect![[
                "line 5, column 50: stages.a.gates[1].approval: the stage already has an approval gate; keep one"
            ]],
        ),
        (
            "  - {name: a, from: build, gates: [scan: {critical: -1, hihg: 2, wait: 1}]}",
            expect![[r#"
                line 5, column 53: stages.a.gates[0].scan.critical: "-1" is not a whole number from 0 to 100000
                line 5, column 57: stages.a.gates[0].scan: unknown key "hihg"; did you mean `high`? (the keys are critical, high, medium, low, allow, wait)
                line 5, column 72: stages.a.gates[0].scan.wait: "1" is not a duration; write a number and a unit, such as 90s, 20m, 1h or 7d"#]],
        ),
        (
            "  - {name: a, from: build, deploy: {ecs: {clutser: a}}, rollback: {on: [panic], hold: maybe}, unit: all}",
            expect![[r#"
                line 5, column 43: stages.a.deploy.ecs: unknown key "clutser"; did you mean `cluster`? (the keys are cluster, service, container)
                line 5, column 73: stages.a.rollback.on[0]: "panic" is not `deploy`, `verify` or `alarm:` and an alarm's name
                line 5, column 87: stages.a.rollback.hold: write `true` or `false`, without quotes
                line 5, column 101: stages.a.unit: unknown word "all"; the words are component, pipeline"#]],
        ),
        (
            "  - {name: a, from: build, deploy: {event: {bus: x}}}",
            expect![[
                r#"line 5, column 45: stages.a.deploy.event: unknown key "bus"; the only key is parameters"#
            ]],
        ),
        (
            "  - {name: a, from: build, before: {run: x}, verify: [x], copy_to: {}}",
            expect![[r#"
                line 5, column 37: stages.a.before: unknown key "run"; the only key is ecs_task
                line 5, column 54: stages.a.verify: expected a mapping of run, timeout, found a list
                line 5, column 68: stages.a.copy_to: expected text, found a mapping; quote it if it starts with `{` or contains a colon and a space"#]],
        ),
    ] {
        check(&with_stages(stages), &expected);
    }
}

#[test]
fn two_components_share_no_repository_and_builds_push_no_tag_of_a_stage() {
    check(
        "version: 1
pipeline: p
components:
  a: {repository: r/a, build: {env: {A: prod}, tags: [\"{build}\", prod, \"{env.A}\"]}}
  b: {repository: r/a}
stages:
  - {name: prod, from: build}
",
        &expect![[r#"
            line 4, column 66: components.a.build.tags[1]: tag prod belongs to stage prod; only a promotion may move it
            line 4, column 72: components.a.build.tags[2]: tag prod belongs to stage prod; only a promotion may move it
            line 5, column 19: components.b.repository: repository r/a already belongs to component a; each component needs its own"#]],
    );
}

#[test]
fn a30_no_component_pushes_to_where_layers_are_kept() {
    check(
        "version: 1
pipeline: p
components:
  a: {repository: towline-cache/trusted/r/b}
  b: {repository: towline-cached/r/b}
",
        &expect![[
            r#"line 4, column 19: components.a.repository: repository towline-cache/trusted/r/b is reserved for image layers; choose a name that does not start with towline-cache/"#
        ]],
    );
}

#[test]
fn a33_what_is_too_much_is_refused_at_once() {
    let many = |entry: &str| -> String {
        (0..65)
            .map(|number| entry.replace('N', &number.to_string()))
            .collect()
    };
    let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
    for (text, expected) in [
        (
            with_stages(&many("  - {name: sN, from: build}\n")),
            expect!["line 5, column 3: stages: 65 stages exceed the limit of 64"],
        ),
        (
            format!(
                "version: 1\npipeline: p\ncomponents:\n{}",
                many("  cN: {repository: r/N}\n")
            ),
            expect![[
                "line 4, column 3: components: 65 components exceed the limit of 40; split the pipeline"
            ]],
        ),
        (
            "#".repeat(FILE_BYTES + 1),
            expect![[r#"line 1, column 1: the text is 65537 bytes long, at most 65536 are read"#]],
        ),
        (
            "- ".repeat(10_000),
            expect![[r#"line 1, column 129: lists and mappings nest deeper than 64 levels"#]],
        ),
        (
            "[".repeat(10_000),
            expect![[r#"line 1, column 256: not YAML: recursion limit exceeded"#]],
        ),
        (
            bomb.to_owned(),
            expect![[
                "line 1, column 4: anchors (`&name`) are not read here: write the value out, or quote the text"
            ]],
        ),
        (
            "a: 1\na: 2\n".to_owned(),
            expect![["line 2, column 1: the key `a` is already on line 1: keep one of them"]],
        ),
        (
            "version: 1\n---\nversion: 1\n".to_owned(),
            expect![[
                "line 2, column 1: a second document starts here (`---`): keep one document per file"
            ]],
        ),
        (
            "version: 1\n\tpipeline: p\n".to_owned(),
            expect![[
                "line 2, column 1: YAML allows only spaces for indentation: replace the tab with spaces"
            ]],
        ),
        (
            String::new(),
            expect![
                "line 1, column 1: expected a mapping of version, pipeline, source, components, stages, rights, notify, found nothing"
            ],
        ),
        (
            "null".to_owned(),
            expect![
                "line 1, column 1: expected a mapping of version, pipeline, source, components, stages, rights, notify, found nothing"
            ],
        ),
        (
            "just text".to_owned(),
            expect![
                "line 1, column 1: expected a mapping of version, pipeline, source, components, stages, rights, notify, found text"
            ],
        ),
    ] {
        check(&text, &expected);
    }
    let binary = read(b"version: 1\npipeline: \xff\n").unwrap_err();
    expect![[r#"line 2, column 1: this line is not UTF-8"#]].assert_eq(&binary.to_string());
}

#[test]
fn a33_what_takes_time_is_limited() {
    let list = |number: usize| vec!["x*"; number].join(", ");
    let globs = |number: usize| {
        format!(
            "version: 1\npipeline: p\ncomponents: {{a: {{repository: r/a, paths: [{}]}}}}\n",
            list(number)
        )
    };
    assert!(read(globs(500).as_bytes()).is_ok());
    check(
        &globs(15_000),
        &expect![[
            "line 3, column 2043: components.a.paths[500]: a definition has at most 500 patterns"
        ]],
    );
    let variables: Vec<String> = (0..201).map(|number| format!("A{number}: x")).collect();
    let build = format!("{{env: {{{}}}}}", variables.join(", "));
    check(
        &with_build(&build),
        &expect![[
            "line 6, column 18: components.a.build.env: 201 variables exceed the limit of 200; read them from a file of the repository"
        ]],
    );
    check(
        &with_build(&format!("{{tags: [{}]}}", list(21))),
        &expect!["line 6, column 19: components.a.build.tags: a build pushes at most 20 tags"],
    );
}

#[test]
fn a33_a_thousand_mistakes_are_counted_and_a_hundred_told() {
    let keys: String = (0..1_000).map(|number| format!("k{number}: x\n")).collect();
    let errors = read(keys.as_bytes()).unwrap_err();
    assert_eq!(errors.errors().len(), 100);
    assert!(errors.to_string().ends_with("and 903 more"), "{errors}");
}
