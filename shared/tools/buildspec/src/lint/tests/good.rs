//! Buildspecs in which nothing is wrong: a finding here is a defect of the linter.

use super::*;

const GOOD: [&str; 4] = [
    "version: 0.2
env:
  shell: bash
  variables:
    DOCKER_BUILDKIT: 1
    TAG_PREFIX: v
  secrets-manager:
    NPM_TOKEN: build/npm:token
  exported-variables: [IMAGE_DIGEST]
phases:
  install:
    runtime-versions:
      golang: 1.22
      nodejs: 20
    on-failure: ABORT
    commands:
      - npm ci
  pre_build:
    commands:
      - |
        set -euo pipefail
        REGISTRY=\"$(aws sts get-caller-identity --query Account --output text).dkr.ecr.$AWS_REGION.amazonaws.com\"
        aws ecr get-login-password | docker login --username AWS --password-stdin \"$REGISTRY\"
  build:
    commands:
      - go vet ./... && go test ./...
      - docker buildx build --platform linux/arm64 --provenance=false -t \"$REGISTRY/shop:$CODEBUILD_RESOLVED_SOURCE_VERSION\" --metadata-file meta.json --push .
      - export IMAGE_DIGEST=$(jq -r '.\"containerimage.digest\"' meta.json)
    finally:
      - docker logout \"$REGISTRY\" || true
  post_build:
    commands:
      - echo done
reports:
  unit:
    files: ['**/*.xml']
    file-format: junitxml
cache:
  key: npm-$(codebuild-hash-files package-lock.json)
  fallback-keys: [npm-]
  paths: [node_modules/**/*]
",
    "version: 0.2
batch:
  fast-fail: true
  build-graph:
    - identifier: test
    - identifier: release
      depend-on: [test]
      env: {type: ARM_CONTAINER, privileged-mode: true}
phases:
  build:
    commands:
      - if [ \"$CODEBUILD_BATCH_BUILD_IDENTIFIER\" = release ]; then ./release.sh; else ./test.sh; fi
",
    "version: 0.2
env:
  shell: powershell.exe
phases:
  build:
    commands:
      - dotnet publish -c Release
  post_build:
    commands:
      - docker push a/b
",
    "version: 0.2
phases:
  build:
    commands:
      - &test make test
      - case \"$MODE\" in fast) make fast ;; *) make all ;; esac
      - for image in a b; do docker build -t \"$REPO/$image:$IMAGE_TAG\" \"$image\"; done
      - \"docker images --format '{{.Repository}}:{{.Tag}}' | grep -v none > images.txt\"
      - aws s3 cp out \"s3://$BUCKET/$CODEBUILD_BUILD_ID/\" --recursive
      - test -z \"$(git status --porcelain)\"
  post_build:
    commands:
      - *test
      - aws s3 sync reports s3://reports
      - |
        if [ \"${CODEBUILD_BUILD_SUCCEEDING}\" -eq 1 ]; then
          # only what is good
          for image in a b; do
            docker push \"$REPO/$image:$IMAGE_TAG\"
          done
        fi
artifacts:
  files: ['**/*']
",
];

#[test]
fn good_buildspecs_have_no_findings() {
    for text in GOOD {
        assert_eq!(told(text, &Context::default()), "", "{text}");
        let fixed = fix("b.yml", text, &Context::default());
        assert_eq!(fixed.text, text);
    }
}

#[test]
fn what_we_generate_has_no_findings() {
    use crate::generate::{Common, Docker, Make, MakeLogin, Pack, Preset, generate};
    let make = Make {
        build: vec!["test".to_owned(), "publish".to_owned()],
        always: vec!["clean".to_owned(), "logout".to_owned()],
        login: MakeLogin::Builtin,
    };
    let common = Common {
        runtime_versions: vec![("golang".to_owned(), "1.22".to_owned())],
        test: vec!["go test ./...".to_owned()],
        ..Common::default()
    };
    let context = Context {
        image: Some("aws/codebuild/standard:7.0".to_owned()),
        privileged: Some(true),
        git_metadata: Some(false),
        immutable_tags: Some(true),
        region: Some("eu-west-1".to_owned()),
        account: Some("111122223333".to_owned()),
        ..Context::default()
    };
    for preset in [
        Preset::Docker(Docker::default()),
        Preset::Make(make),
        Preset::Pack(Pack::default()),
    ] {
        let spec = generate(&common, &preset).unwrap();
        assert_eq!(told(&spec, &context), "", "{spec}");
    }
}
