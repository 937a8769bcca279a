//! What fixing changes, and that it changes nothing else.

use super::*;
use crate::Buildspec;
use crate::model::PhaseName;

fn check_fix(text: &str, expected: Expect) {
    let before = lint("buildspec.yml", text, &Context::default());
    let fixed = fix("buildspec.yml", text, &Context::default());
    let after = lint("buildspec.yml", &fixed.text, &Context::default());
    if fixed.applied.is_empty() {
        assert_eq!(fixed.text, text);
    } else {
        assert!(after.findings.len() < before.findings.len());
    }
    assert!(Buildspec::read_all(&fixed.text).is_ok());
    expected.assert_eq(&format!("{:?}\n{}", fixed.applied, fixed.text));
}

#[test]
fn e002_phases_are_moved_wherever_they_stand() {
    check_fix(
        "version: 0.2\n# first\nphases:\n    install:\n        commands: [a]\n# second\nartifacts:\n    files: [x]\nbuild:\n    # kept\n    commands:\n        - |\n          two\n          lines\npost_build:\n    commands: [b]",
        expect![[r#"
            [E002]
            version: 0.2
            # first
            phases:
                install:
                    commands: [a]
                build:
                    # kept
                    commands:
                        - |
                          two
                          lines
            # second
            artifacts:
                files: [x]
            post_build:
                commands: [b]"#]],
    );
    check_fix(
        "version: 0.2\nbuild:\n  commands:\n    - make\n",
        expect![[r#"
            [E002]
            version: 0.2
            phases:
              build:
                commands:
                  - make
        "#]],
    );
    check_fix(
        "version: 0.2\nphases: {build: {commands: [a]}}\nbuild: {commands: [b]}\n",
        expect![[r#"
            []
            version: 0.2
            phases: {build: {commands: [a]}}
            build: {commands: [b]}
        "#]],
    );
    check_fix(
        "version: 0.2\nphases: {install: {}}\nbuild: {commands: [b]}\n",
        expect![[r#"
            []
            version: 0.2
            phases: {install: {}}
            build: {commands: [b]}
        "#]],
    );
}

#[test]
fn e003_publishing_is_guarded_in_every_kind_of_scalar() {
    check_fix(
        "version: 0.2
phases:
  build:
    commands:
      - make
  post_build:
    commands:
      - docker push a/b:1
      - 'docker push \"a/b:2\"'
      - |
        # both
        docker push a/b:3
        docker push a/b:4
      - >-
        docker push
        a/b:5
      - docker logout
",
        expect![[r#"
            [E003, E003, E003, E003]
            version: 0.2
            phases:
              build:
                commands:
                  - make
              post_build:
                commands:
                  - 'if [ "$CODEBUILD_BUILD_SUCCEEDING" = 1 ]; then docker push a/b:1; fi'
                  - 'if [ "$CODEBUILD_BUILD_SUCCEEDING" = 1 ]; then docker push "a/b:2"; fi'
                  - |
                    if [ "$CODEBUILD_BUILD_SUCCEEDING" = 1 ]; then
                    # both
                    docker push a/b:3
                    docker push a/b:4
                    fi
                  - 'if [ "$CODEBUILD_BUILD_SUCCEEDING" = 1 ]; then docker push a/b:5; fi'
                  - docker logout
        "#]],
    );
}

#[test]
fn e010_the_docker_runtime_is_dropped_with_what_held_it() {
    check_fix(
        "version: 0.2\nphases:\n  install:\n    runtime-versions:\n      docker: 19\n      golang: 1.22\n    commands: [a]\n",
        expect![[r#"
            [E010]
            version: 0.2
            phases:
              install:
                runtime-versions:
                  golang: 1.22
                commands: [a]
        "#]],
    );
    check_fix(
        "version: 0.2\nphases:\n  install:\n    runtime-versions:\n      docker: 19\n  build:\n    commands: [a]\n",
        expect![[r#"
            [E010]
            version: 0.2
            phases:
              build:
                commands: [a]
        "#]],
    );
    check_fix(
        "version: 0.2\nphases:\n  install:\n    runtime-versions: {docker: 19}\n    commands: [a]\n",
        expect![[r#"
            [E010]
            version: 0.2
            phases:
              install:
                commands: [a]
        "#]],
    );
    check_fix(
        "version: 0.2\nphases:\n  install:\n    runtime-versions: {docker: 19, golang: 1.22}\n    commands: [a]\n",
        expect![[r#"
            []
            version: 0.2
            phases:
              install:
                runtime-versions: {docker: 19, golang: 1.22}
                commands: [a]
        "#]],
    );
}

#[test]
fn e011_the_login_is_written_for_version_2() {
    check_fix(
        &build(&[
            "$(aws ecr get-login --no-include-email --region eu-west-1)",
            "\"eval $(aws ecr get-login --no-include-email --region $AWS_DEFAULT_REGION --registry-ids 111122223333)\"",
            "eval \"$(aws ecr get-login)\" && make",
            "'$(aws ecr get-login) && make'",
            "'LOGIN=$(aws ecr get-login)'",
        ]),
        expect![[r#"
            [E011, E011, E011, E011]
            version: 0.2
            phases:
              build:
                commands:
                  - aws ecr get-login-password --region eu-west-1 | docker login --username AWS --password-stdin "$(aws sts get-caller-identity --query Account --output text).dkr.ecr.eu-west-1.amazonaws.com"
                  - 'aws ecr get-login-password --region $AWS_DEFAULT_REGION | docker login --username AWS --password-stdin "111122223333.dkr.ecr.$AWS_DEFAULT_REGION.amazonaws.com"'
                  - aws ecr get-login-password | docker login --username AWS --password-stdin "$(aws sts get-caller-identity --query Account --output text).dkr.ecr.$AWS_DEFAULT_REGION.amazonaws.com" && make
                  - 'aws ecr get-login-password | docker login --username AWS --password-stdin "$(aws sts get-caller-identity --query Account --output text).dkr.ecr.$AWS_DEFAULT_REGION.amazonaws.com" && make'
                  - 'LOGIN=$(aws ecr get-login)'
        "#]],
    );
}

#[test]
fn e012_w043_small_things() {
    check_fix(
        "version: 0.2\nphases:\n  install:\n    runtime-versions:\n      golang: 1.20 # pinned\n  build:\n    commands:\n      - sudo timeout -t 5 a && timeout -k 1 -t  7 b\n",
        expect![[r#"
            [W043, E012]
            version: 0.2
            phases:
              install:
                runtime-versions:
                  golang: '1.20' # pinned
              build:
                commands:
                  - sudo timeout 5 a && timeout -k 1 -t  7 b
        "#]],
    );
}

#[test]
fn fixing_twice_changes_nothing_more() {
    for text in [documents::A, documents::B] {
        let once = fix("b.yml", text, &Context::default());
        let twice = fix("b.yml", &once.text, &Context::default());
        assert_eq!(twice.applied, Vec::new());
        assert_eq!(twice.text, once.text);
    }
}

#[test]
fn fixing_keeps_all_other_commands() {
    let fixed = fix("b.yml", documents::A, &Context::default());
    let spec = Buildspec::read_all(&fixed.text).unwrap().spec;
    let commands: Vec<&String> = PhaseName::ALL
        .iter()
        .flat_map(|name| &spec.phases.get(*name).commands)
        .collect();
    let kept = documents::A
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "))
        .filter(|command| commands.iter().any(|known| known == command))
        .count();
    assert_eq!((kept, commands.len()), (5, 6));
}
