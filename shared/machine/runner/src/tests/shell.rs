//! What a build can see of the machine, and what it cannot.

use super::*;

#[tokio::test]
async fn a_build_sees_what_codebuild_sets_and_nothing_of_ours() {
    let world = World::new(1).await;
    let mut request = world.request(
        1,
        "version: 0.2
env: {variables: {FROM: spec, BOTH: spec, CODEBUILD_BUILD_ID: spec, PATH: /spec/bin}}
phases: {build: {commands: ['/usr/bin/env > \"$OUT\"']}}
",
    );
    let out = world.path("out");
    request.environment = vec![
        ("BOTH".into(), "start".into()),
        ("OUT".into(), out.display().to_string()),
    ];
    let build = world.runner.start(request).await.unwrap();
    assert_eq!(world.end(&build).await.status, BuildStatus::Succeeded);
    let data = world.path("data").canonicalize().unwrap();
    let folder = data.join("builds").join(attempt(1).as_str());
    let seen = fs::read_to_string(out).unwrap();
    let seen = seen
        .replace(&folder.display().to_string(), "BUILD")
        .replace(world.commit.as_str(), "COMMIT")
        .replace(&world.dir.path().display().to_string(), "DIR");
    let of_the_shell = ["_=", "SHLVL=", "PWD=", "OLDPWD="];
    let mut seen: Vec<&str> = seen
        .lines()
        .filter(|line| !of_the_shell.iter().any(|name| line.starts_with(name)))
        .collect();
    seen.sort_unstable();
    let seen = seen.join("\n");
    expect_test::expect![[r#"
        AWS_DEFAULT_REGION=eu-central-1
        AWS_REGION=eu-central-1
        BOTH=start
        CODEBUILD_BUILD_ARN=arn:aws:codebuild:eu-central-1:000000000000:build/towline-acme-shop-web:00000000-0000-0000-0000-000000000001
        CODEBUILD_BUILD_ID=towline-acme-shop-web:00000000-0000-0000-0000-000000000001
        CODEBUILD_BUILD_IMAGE=aws/codebuild/standard:7.0
        CODEBUILD_BUILD_NUMBER=1
        CODEBUILD_BUILD_SUCCEEDING=1
        CODEBUILD_INITIATOR=towline
        CODEBUILD_KMS_KEY_ID=arn:aws:kms:eu-central-1:000000000000:alias/aws/s3
        CODEBUILD_LOG_PATH=00000000-0000-0000-0000-000000000001
        CODEBUILD_RESOLVED_SOURCE_VERSION=COMMIT
        CODEBUILD_SOURCE_REPO_URL=https://github.com/acme/shop.git
        CODEBUILD_SOURCE_VERSION=COMMIT
        CODEBUILD_SRC_DIR=BUILD/src
        CODEBUILD_START_TIME=1767323045000
        FROM=spec
        HOME=BUILD/home
        LANG=C.UTF-8
        OUT=DIR/out
        PATH=BUILD/bin:/spec/bin"#]].assert_eq(&seen);
}

#[tokio::test]
async fn a31_the_registry_password_is_for_the_build_and_never_in_its_log() {
    let world = World::new(1).await;
    let (status, log) = world
        .run(
            1,
            "version: 0.2
phases:
  build:
    commands:
      - p=$(aws ecr get-login-password --region eu-central-1) && [ ${#p} = 15 ]
      - p=$(aws ecr get-login-password) && [ ${#p} = 15 ]
      - p=$(aws ecr --region eu-central-1 get-login-password) && [ ${#p} = 15 ]
      - p=$(aws --region=eu-central-1 ecr get-login-password) && [ ${#p} = 15 ]
      - echo \"it is $p\"; aws ecr get-login-password; printf 'AWS:%s' \"$p\" | base64
      - env | grep -c hunter2 || true
      - PATH=${PATH%%:*} aws s3 ls || echo \"status $?\"
      - mkdir tools; printf '#!/bin/sh\\necho \"the real one $*\"\\n' > tools/aws; chmod +x tools/aws
      - PATH=${PATH%%:*}:$PWD/tools aws ecr get-login-password --profile other
      - PATH=${PATH%%:*}:$PWD/tools aws s3 ls 'a b'
      - towline && echo towline is there
",
        )
        .await;
    assert_eq!(status, BuildStatus::Succeeded, "{log}");
    assert!(!log.contains(PASSWORD), "{log}");
    assert!(log.contains("it is ***\n***\n***\n"), "{log}");
    let sentence = "aws: the AWS command line is not installed; towline replaces only";
    assert!(log.contains(sentence), "{log}");
    assert!(log.contains("status 127\n"), "{log}");
    let real = "the real one ecr get-login-password --profile other\n";
    assert!(log.contains(real), "{log}");
    assert!(log.contains("\nthe real one s3 ls a b\n"), "{log}");
    assert!(log.contains("\ntowline is there\n"), "{log}");
}

#[tokio::test]
async fn the_source_is_one_commit_without_a_remote() {
    let world = World::new(1).await;
    let (status, log) = world
        .run(
            1,
            "version: 0.2
phases:
  build:
    commands:
      - cat hello.txt
      - '[ \"$(git rev-parse HEAD)\" = \"$CODEBUILD_RESOLVED_SOURCE_VERSION\" ]'
      - '[ -z \"$(git remote)\" ] && [ \"$(git rev-list --all --count HEAD)\" = 1 ]'
      - '[ -z \"$(ls .git/hooks 2>/dev/null)\" ] && [ -z \"$(git status --porcelain)\" ]'
",
        )
        .await;
    assert_eq!(status, BuildStatus::Succeeded, "{log}");
    assert!(log.contains("\nhello\n"), "{log}");
    let left = fs::read_dir(world.path("data/builds")).unwrap().count();
    assert_eq!(left, 0, "folders of builds are removed");
}
