//! Definitions that are read.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod extras;
mod refused;
mod schema;

use std::time::Duration;

use expect_test::expect;
use towline_domain::definition::{Concurrency, Deploy, Drift, Origin, Preset, Promote};

use super::*;

/// Everything a definition can say.
const EVERYTHING: &str = r##"
version: 1
pipeline: market
source:
  github: orchard/market
  branches: [trunk, "hotfix/**"]
  tags: ["v[0-9]*"]
  skip_message: ["[no build]"]
components:
  api:
    repository: orchard/market-api
    paths: ["api/**"]
    watch: ["shared/**"]
    ignore: ["**/*.md"]
    build:
      preset: docker
      context: api
      dockerfile: build/Dockerfile
      target: release
      args: {FLAVOUR: full, DEBUG: no}
      runtime: {golang: 1.20}
      test: [go vet ./..., "go test ./..."]
      platforms: [linux/arm64, linux/amd64]
      env: {VERSION: "{sha}-{build_uuid}", EMPTY: ""}
      tags: ["{env.VERSION}", "{branch_slug}"]
      secrets: {NPM_TOKEN: market/npm}
      reports: {unit: {files: "**/junit.xml", folder: target, format: JUNITXML}}
      cache: [target]
      layer_cache: registry
      image: {linux/arm64: acme/go@arm, linux/amd64: aws/codebuild/standard:7.0}
      outputs: imagedefinitions.json
      container: web
      timeout: 20m
  todo:
    repository: orchard/todo
    build:
      preset: make
      context: todo
      image: aws/codebuild/standard:6.0
      make: {build: [test, release, publish], always: clean, login: make}
      tags: "{sha7}-{build}"
      outputs: version.json
  pages:
    repository: orchard/pages
    build:
      preset: pack
      run: [npm ci, npm run build]
      root: dist
      base: web/server@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
      entrypoint: [/server]
      command: ["--port", "8080"]
      user: "1000:1000"
      workdir: /srv
      expose: [8080, 53/udp]
      platform: linux/amd64
  old: {repository: orchard/old, build: {buildspec: old/buildspec.yml, outputs: [report.txt]}}
  odd:
    repository: orchard/odd
    build:
      inline: |
        version: 0.2
        phases: {build: {commands: [./build]}}
  plain: {repository: orchard/plain}
stages:
  - name: prod
    from: staging
    promote: manual
    concurrency: supersede
    gates:
      - soak: 1h
      - window: {allow: "Mon-Fri 08:00-16:00", tz: Europe/Vienna}
      - approval: {groups: [managers], min: 2, self: allow, expires: 24h, supersede: false}
    before: {ecs_task: {cluster: live, task: "{component}-schema"}}
    tag: [prod, live]
    copy_to: 111122223333.dkr.ecr.eu-west-1.amazonaws.com
    deploy: {cloudformation: {stack: "{component}-prod", parameter: Tag}}
    rollback: {on: [deploy, verify, "alarm:errors"], hold: false}
    unit: pipeline
  - name: staging
    from: build
    gates: [{scan: {critical: 0, high: 5, allow: [CVE-2024-1], wait: 15m}}, approval: {}]
    deploy: {ecs: {cluster: test, service: "{component}", container: app}}
    verify: {run: [make probe], timeout: 10m}
    unit: component
notify: {slack: "#releases", github: [checks, deployments]}
"##;

fn read_text(text: &str) -> Definition {
    read(text.as_bytes()).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn everything_a_definition_can_say_is_read() {
    let definition = read_text(EVERYTHING);
    let names: Vec<&str> = definition
        .components
        .iter()
        .map(|component| component.name.as_str())
        .collect();
    assert_eq!(names, ["api", "todo", "pages", "old", "odd", "plain"]);
    let api = &definition.components[0].build;
    assert_eq!(api.runtime, [("golang".to_owned(), "1.20".to_owned())]);
    assert_eq!(api.platforms, ["linux/arm64", "linux/amd64"]);
    assert_eq!(api.image_for("linux/arm64"), "acme/go@arm");
    assert_eq!(
        api.secrets,
        [("NPM_TOKEN".to_owned(), "market/npm".to_owned())]
    );
    assert_eq!(api.reports[0].folder.as_deref(), Some("target"));
    assert_eq!(api.cache, ["target"]);
    assert!(api.layer_cache);
    assert_eq!(api.outputs, ["imagedefinitions.json"]);
    assert_eq!(api.container.as_deref(), Some("web"));
    assert_eq!(api.timeout, Duration::from_secs(1_200));
    let Preset::Docker { args, .. } = &api.preset else {
        panic!("{:?}", api.preset);
    };
    assert_eq!(args[1], ("DEBUG".to_owned(), "no".to_owned()));
    let Preset::Pack { expose, .. } = &definition.components[2].build.preset else {
        panic!("{:?}", definition.components[2].build.preset);
    };
    assert_eq!(expose, &["8080", "53/udp"]);
}

#[test]
fn each_stage_stands_after_the_one_it_takes_from() {
    let definition = read_text(EVERYTHING);
    let [staging, prod] = &definition.stages[..] else {
        panic!("{:?}", definition.stages);
    };
    assert_eq!(staging.from, Origin::Build);
    assert_eq!(staging.tags[0].as_str(), "staging");
    assert_eq!(staging.promote, Promote::Auto);
    assert_eq!(staging.concurrency, Concurrency::Queue);
    assert!(staging.hold_after_rollback);
    assert_eq!(staging.drift, Drift::Restore);
    let held = EVERYTHING.replace("promote: manual", "promote: manual\n    drift: hold");
    assert_eq!(read_text(&held).stages[1].drift, Drift::Hold);
    let approval = staging.approval.as_ref().unwrap();
    assert_eq!(
        (approval.min, approval.allow_self, approval.supersede),
        (1, false, true)
    );
    assert_eq!(approval.expires, None);
    assert_eq!(prod.promote, Promote::Manual);
    assert_eq!(prod.tags.len(), 2);
    assert!(!prod.hold_after_rollback);
    let approval = prod.approval.as_ref().unwrap();
    assert_eq!(
        (approval.min, approval.allow_self, approval.supersede),
        (2, true, false)
    );
    assert_eq!(approval.expires, Some(Duration::from_secs(86_400)));
}

#[test]
fn what_is_not_executed_yet_is_named_with_its_scope_and_line() {
    let listed: Vec<String> = read_text(EVERYTHING)
        .not_executed
        .iter()
        .map(|feature| format!("{} {} {:?}", feature.line, feature.path, feature.scope))
        .collect();
    expect![[r#"
        70 stages.prod.gates[0].soak Stage("prod")
        71 stages.prod.gates[1].window Stage("prod")
        73 stages.prod.before Stage("prod")
        75 stages.prod.copy_to Stage("prod")
        76 stages.prod.deploy.cloudformation Stage("prod")
        77 stages.prod.rollback.on Stage("prod")
        78 stages.prod.unit Stage("prod")
        81 stages.staging.gates[0].scan Stage("staging")
        82 stages.staging.deploy.ecs Stage("staging")
        83 stages.staging.verify Stage("staging")
        85 notify.slack Pipeline
        85 notify.github Pipeline"#]]
    .assert_eq(&listed.join("\n"));
}

#[test]
fn deployment_by_an_event_is_executed() {
    let read = |deploy: &str| {
        let head = "version: 1\npipeline: p\ncomponents: {a: {repository: r/a}}\nstages:\n";
        let text = format!("{head}  - {{name: a, from: build, deploy: {deploy}}}\n");
        let definition = read_text(&text);
        (definition.stages[0].deploy, definition.not_executed.len())
    };
    assert_eq!(read("{event: {}}"), (Some(Deploy::Event), 0));
    let both = read("{event: {}, ecs: {cluster: a, service: b, container: c}}");
    assert_eq!(both, (Some(Deploy::Event), 1));
    assert_eq!(read("{}"), (None, 0));
}

#[test]
fn rights_are_given_to_groups() {
    let head = "version: 1\npipeline: p\ncomponents: {a: {repository: r/a}}\n";
    let rights = read_text(&format!(
        "{head}rights: {{operate: [release, ops], override: owners}}\n"
    ));
    assert_eq!(rights.rights.operate, ["release", "ops"]);
    assert_eq!(rights.rights.overrule, ["owners"]);
    let unknown = read(format!("{head}rights: {{approve: [release]}}\n").as_bytes());
    let error = unknown.expect_err("there is no such right").to_string();
    assert!(
        error.contains("operate") && error.contains("override"),
        "{error}"
    );
}

#[test]
fn a_component_that_says_nothing_is_built_with_docker() {
    let definition = read_text("version: 1\npipeline: p\ncomponents: {a: {repository: r/a}}\n");
    expect![[r#"
        Definition {
            pipeline: "p",
            source: Source {
                github: None,
                branches: [],
                tags: [],
                skip_message: [],
            },
            components: [
                Component {
                    name: "a",
                    repository: "r/a",
                    paths: [],
                    watch: [],
                    ignore: [],
                    build: Build {
                        preset: Docker {
                            dockerfile: "Dockerfile",
                            target: None,
                            args: [],
                        },
                        context: ".",
                        image: "aws/codebuild/standard:7.0",
                        images: [],
                        runtime: [],
                        test: [],
                        env: [],
                        tags: [
                            "{sha}-{build}",
                        ],
                        platforms: [
                            "linux/amd64",
                        ],
                        outputs: [],
                        container: None,
                        secrets: [],
                        reports: [],
                        cache: [],
                        layer_cache: false,
                        timeout: 3600s,
                    },
                },
            ],
            stages: [],
            rights: Rights {
                operate: [],
                overrule: [],
            },
            not_executed: [],
        }
    "#]]
    .assert_debug_eq(&definition);
}

#[test]
fn a33_a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let windows = format!("\u{feff}{}", EVERYTHING.replace('\n', "\r\n"));
    assert_eq!(read_text(&windows), read_text(EVERYTHING));
}
