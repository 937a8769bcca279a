//! What the linter says about publishing after a failed build.

use super::*;

#[test]
fn e003_publishing_in_post_build() {
    check_post_build(
        &[
            "docker push a/b:1",
            "docker image push a/b:1",
            "docker buildx build --push -t a/b:1 .",
            "sudo docker-compose push app",
            "aws ecs update-service --cluster c --service s --force-new-deployment",
            "'echo ready && aws cloudformation deploy --template-file t.yml --stack-name s'",
            "sh -c 'kubectl apply -f k8s'",
            "make publish",
            "if [ -f x ]; then docker push a/b:2; fi",
            "if [ $CODEBUILD_BUILD_SUCCEEDING = 0 ]; then docker push a/b:3; fi",
            "if [ $CODEBUILD_BUILD_SUCCEEDING = 1 ]; then echo; else docker push a/b:4; fi",
        ],
        expect![[r#"
            E003 6:9 docker push a/b:1
            E003 7:9 docker image push a/b:1
            E003 8:9 docker buildx build --push -t a/b:1 .
            E003 9:9 sudo docker-compose push app
            E003 10:9 aws ecs update-service --cluster c --service s --force-new-deployment
            E003 11:24 aws cloudformation deploy --template-file t.yml --stack-name s
            E003 12:16 kubectl apply -f k8s
            E003 13:9 make publish
            E003 14:27 docker push a/b:2
            E003 15:54 docker push a/b:3
            E003 16:65 docker push a/b:4
        "#]],
    );
}

#[test]
fn e003_is_silent_where_nothing_broken_can_be_published() {
    check_post_build(
        &[
            "'# docker push a/b'",
            "echo \"docker push a/b\"",
            "'echo docker push a/b'",
            "\"cat > push.sh <<'E'\\ndocker push a/b\\nE\"",
            "'publish() { docker push a/b; }'",
            "docker logout",
            "docker compose down",
            "'if [ \"$CODEBUILD_BUILD_SUCCEEDING\" = 1 ]; then docker push a/b; fi'",
            "'if [ \"$CODEBUILD_BUILD_SUCCEEDING\" == \"1\" ] && [ -f x ]; then docker push a/b; fi'",
            "'[ \"$CODEBUILD_BUILD_SUCCEEDING\" = 1 ] && docker push a/b'",
            "'[[ $CODEBUILD_BUILD_SUCCEEDING -eq 0 ]] || docker push a/b'",
            "'test ${CODEBUILD_BUILD_SUCCEEDING} -eq 1 && docker push a/b'",
            "'if [ ${CODEBUILD_BUILD_SUCCEEDING:-0} != 1 ]; then echo bad; else docker push a/b; fi'",
            "'case $CODEBUILD_BUILD_SUCCEEDING in 1) docker push a/b;; esac'",
            "'bash -c \"if [ \\\"$CODEBUILD_BUILD_SUCCEEDING\\\" = 1 ]; then docker push a/b; fi\"'",
            "make clean",
            "kubectl apply --dry-run -f k8s",
            "'if [ \"$CODEBUILD_BUILD_SUCCEEDING\" = 0 ]; then exit 1; fi'",
            "docker push a/b",
        ],
        expect![""],
    );
    check_post_build(
        &[
            "'[ $CODEBUILD_BUILD_SUCCEEDING = 1 ] || exit 1'",
            "docker push a/b",
        ],
        expect![[""]],
    );
    for guard in [
        "test \"$CODEBUILD_BUILD_SUCCEEDING\" = 1",
        "'[ $CODEBUILD_BUILD_SUCCEEDING -eq 1 ]'",
        "bash -c \"if [ /\"$CODEBUILD_BUILD_SUCCEEDING/\" == /\"0/\" ]; then exit 1; fi\"",
        "'bash -c \"if [ \\\"$CODEBUILD_BUILD_SUCCEEDING\\\" = \\\"0\\\" ]; then exit 1; fi\"'",
        "'if [[ \"$CODEBUILD_BUILD_SUCCEEDING\" == \"0\" ]]; then echo failed; exit 1; fi'",
        "'if [ \"$CODEBUILD_BUILD_SUCCEEDING\" != \"1\" ]; then exit 1; fi'",
        "'if [ 0 -eq ${CODEBUILD_BUILD_SUCCEEDING} ]; then exit 1; fi'",
        "'[ \"$CODEBUILD_BUILD_SUCCEEDING\" = 0 ] && exit 1 || true'",
    ] {
        check_post_build(&[guard, "docker push a/b"], expect![[""]]);
    }
    check_post_build(
        &["'[ $CODEBUILD_BUILD_SUCCEEDING = 0 ]'", "docker push a/b"],
        expect![[r#"
            E003 7:9 docker push a/b
        "#]],
    );
    check(
        "version: 0.2\nphases:\n  post_build: {commands: [docker push a/b]}\n",
        expect![[""]],
    );
    check(
        "version: 0.2\nphases:\n  build: {on-failure: ABORT, commands: [make]}\n  post_build: {commands: [docker push a/b]}\n",
        expect![[""]],
    );
    check_build(&["docker push a/b:1"], expect![[""]]);
}

#[test]
fn e003_follows_functions_to_where_they_are_called() {
    check(
        "version: 0.2
phases:
  install:
    commands:
      - 'publish() { docker push a/b:1; }'
  build:
    commands: [make]
  post_build:
    commands:
      - publish
",
        expect![[r#"
            E003 5:22 docker push a/b:1
        "#]],
    );
}
