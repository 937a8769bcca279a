//! What the linter says about the tags of images.

use super::*;

#[test]
fn e016_e017_tags_that_cannot_be() {
    check_build(
        &[
            "docker build -t shop:$CODEBUILD_BUILD_ID .",
            "docker tag shop shop:$CODEBUILD_WEBHOOK_HEAD_REF",
            "docker build -t registry:5000/shop:v1+2 .",
            "docker push shop:-x",
            "docker build -t shop:$LATER .",
            "LATER=1",
            "docker build -t shop:$LATER -t shop:$FROM_PROJECT -t \"$REGISTRY/shop:$CODEBUILD_RESOLVED_SOURCE_VERSION.${CODEBUILD_BUILD_ID##*:}\" .",
        ],
        expect![[r#"
            E016 5:25 shop:$CODEBUILD_BUILD_ID
            E016 6:25 shop:$CODEBUILD_WEBHOOK_HEAD_REF
            E016 7:25 registry:5000/shop:v1+2
            E016 8:21 shop:-x
            E017 9:25 shop:$LATER
        "#]],
    );
    check(
        "version: 0.1\nphases:\n  build:\n    commands:\n      - TAG=$(date +%s)\n      - docker build -t shop:$TAG .\n      - TAG=1 && docker push shop:$TAG\n",
        expect![[r#"
            W018 1:10 0.1
            E017 6:25 shop:$TAG
        "#]],
    );
    check(
        "version: 0.2\nenv: {variables: {TAG: ''}}\nphases:\n  build:\n    commands:\n      - docker build -t shop:$TAG .\n      - docker build -t shop:${TAG:-dev} .\n      - docker build -t shop@sha256:0 .\n",
        expect![[r#"
            E017 6:25 shop:$TAG
        "#]],
    );
    check_build(
        &[
            "source ./tags.sh",
            "docker build -t shop:$LATER .",
            "LATER=1",
        ],
        expect![[""]],
    );
    let long = format!(
        "docker build -t shop:{}$CODEBUILD_RESOLVED_SOURCE_VERSION .",
        "a".repeat(90)
    );
    check_build(
        &[&long],
        expect![[r#"
        E016 5:25 shop:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa$CODEBUILD_RESOLVED_SOURCE_VERSION
    "#]],
    );
}

#[test]
fn w031_the_short_commit_as_the_only_tag() {
    check_build(
        &[
            "TAG=$(echo $CODEBUILD_RESOLVED_SOURCE_VERSION | cut -c 1-7)",
            "docker build -t shop:$TAG .",
            "docker push shop:$TAG",
        ],
        expect![[r#"
            W031 5:13 $(echo $CODEBUILD_RESOLVED_SOURCE_VERSION | cut -c 1-7)
        "#]],
    );
    check_build(
        &["docker build -t shop:${CODEBUILD_RESOLVED_SOURCE_VERSION:0:8} ."],
        expect![[r#"
            W031 5:30 ${CODEBUILD_RESOLVED_SOURCE_VERSION:0:8}
        "#]],
    );
    check_build(
        &[
            "TAG=$(git rev-parse --short HEAD)",
            "docker build -t shop:${TAG:-latest} .",
        ],
        expect![[r#"
            W031 5:13 $(git rev-parse --short HEAD)
        "#]],
    );
    check_build(
        &[
            "TAG=$(echo $CODEBUILD_RESOLVED_SOURCE_VERSION | head -c 7)-$CODEBUILD_BUILD_NUMBER",
            "docker build -t shop:$TAG .",
            "docker build -t app:${CODEBUILD_RESOLVED_SOURCE_VERSION:0:7} -t app:$CODEBUILD_RESOLVED_SOURCE_VERSION .",
            "echo ${CODEBUILD_RESOLVED_SOURCE_VERSION:0:7}",
        ],
        expect![[""]],
    );
}

#[test]
fn w032_latest_where_tags_cannot_move() {
    let text = build(&[
        "docker push shop",
        "docker push shop:latest",
        "docker push shop:1",
    ]);
    for (immutable_tags, expected) in [
        (None, ""),
        (Some(false), ""),
        (Some(true), "W032 5:21 shop\nW032 6:21 shop:latest\n"),
    ] {
        let context = Context {
            immutable_tags,
            ..Context::default()
        };
        assert_eq!(told(&text, &context), expected);
    }
}

#[test]
fn w040_a_moving_tag_deployed() {
    check_build(
        &[
            "aws cloudformation deploy --stack-name s --parameter-overrides ImageTag=latest Mode=latest",
            "printf '[{\"name\":\"app\",\"imageUri\":\"%s\"}]' $REPO:latest > imagedefinitions.json",
            "printf '[{\"name\":\"app\",\"imageUri\":\"%s\"}]' $REPO:$TAG > imagedefinitions.json",
            "kubectl set image deployment/app app=shop:latest",
            "docker tag app:1 app:latest",
        ],
        expect![[r#"
            W040 5:72 ImageTag=latest
            W040 6:51 $REPO:latest
            W040 8:42 app=shop:latest
        "#]],
    );
}
