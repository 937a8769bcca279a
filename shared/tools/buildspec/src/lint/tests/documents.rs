//! The two documents this project starts from, line by line.

use super::*;

/// Document A as it is printed: indented with tabs, three phases outside `phases`.
pub(super) const A: &str = "version: 0.2

env:
\tvariables:
\t\tAWS_REGION_NAME: ap-northeast-2
\t\tECR_REPOSITORY_NAME: sbcntr-backend
\t\tDOCKER_BUILDKIT: \"1\"

phases:
\tinstall:
\t\truntime-versions:
\t\t\tdocker: 19

pre_build:
\tcommands:
\t\t- AWS_ACCOUNT_ID=$(aws sts get-caller-identity --query 'Account' --output text)
\t\t- aws ecr --region ap-northeast-2 get-login-password | docker login --username AWS --password-stdin https://${AWS_ACCOUNT_ID}.dkr.ecr.ap-northeast-2.amazonaws.com/sbcntr-backend
\t\t- REPOSITORY_URI=${AWS_ACCOUNT_ID}.dkr.ecr.${AWS_REGION_NAME}.amazonaws.com/${ECR_REPOSITORY_NAME}
\t\t# the tag of the image is the hash of the Git commit
\t\t- IMAGE_TAG=$(echo ${CODEBUILD_RESOLVED_SOURCE_VERSION} | cut -c 1-7)
build:
\tcommands:
\t\t- docker image build -t ${REPOSITORY_URI}:${IMAGE_TAG} .
post_build:
\tcommands:
\t\t- docker image push ${REPOSITORY_URI}:${IMAGE_TAG}
";

/// Document B's custom image and its buildspec with the daemon started by hand.
pub(super) const B: &str = "version: 0.2

phases:
  pre_build:
    commands:
      - nohup /usr/local/bin/dockerd --host=unix:///var/run/docker.sock --storage-driver=overlay&
      - timeout -t 15 sh -c \"until docker info; do echo .; sleep 1; done\"
      - export BUILD_ID=$(echo $CODEBUILD_BUILD_ID | sed 's/^[^:]*://g')
      - export APP_VERSION=$CODEBUILD_RESOLVED_SOURCE_VERSION.$BUILD_ID
      - make login
  build:
    commands:
      - make test
      - make release
      - make publish
      - make version > version.json
  post_build:
    commands:
      - make clean
      - make logout
artifacts:
  files:
    - version.json
";

const B_MAKEFILE: &str = "export APP_VERSION ?= $(shell git rev-parse --short HEAD)

version:
\t@ echo '{\"Version\": \"$(APP_VERSION)\"}'

login:
\t$$(aws ecr get-login --no-include-email)

test:
\tdocker-compose build --pull release
\tdocker-compose run test

release:
\tdocker-compose up --abort-on-container-exit migrate

publish:
\tdocker-compose push release app

clean:
\tdocker-compose down -v

logout:
\tdocker logout https://385605022855.dkr.ecr.us-east-1.amazonaws.com
";

#[test]
fn a2_a6_a12_document_a_is_refused_with_exact_findings() {
    check(
        A,
        expect![[r#"
            E001 4:1 	
            E010 12:4 docker: 19
            E002 14:1 pre_build
            W020 17:22 ap-northeast-2
            W020 17:129 dkr.ecr.ap-northeast-2
            W031 20:15 $(echo ${CODEBUILD_RESOLVED_SOURCE_VERSION} | cut -c 1-7)
            E002 21:1 build
            E002 24:1 post_build
            E003 26:5 docker image push ${REPOSITORY_URI}:${IMAGE_TAG}
        "#]],
    );
}

#[test]
fn a2_tabs_are_replaced() {
    let fixed = fix("buildspec.yml", A, &Context::default());
    assert!(!fixed.text.contains('\t'));
    assert_eq!(fixed.applied[0], Code::E001);
}

#[test]
fn a3_version_0_1_is_warned_about() {
    check(
        "version: 0.1\nphases: {build: {commands: [make]}}\n",
        expect![[r#"
            W018 1:10 0.1
        "#]],
    );
}

#[test]
fn a5_docker_19_is_in_no_maintained_image() {
    let with = |version: &str| {
        format!(
            "version: 0.2\nphases:\n  install:\n    runtime-versions:\n      docker: {version}\n    commands: [make]\n"
        )
    };
    for (version, image, expected) in [
        ("19", None, true),
        ("20", None, true),
        ("23", None, false),
        (
            "19",
            Some("aws/codebuild/amazonlinux2-aarch64-standard:2.0"),
            false,
        ),
        (
            "20",
            Some("aws/codebuild/amazonlinux2-x86_64-standard:4.0"),
            false,
        ),
        (
            "23",
            Some("aws/codebuild/amazonlinux-aarch64-standard:4.0"),
            false,
        ),
        (
            "23",
            Some("aws/codebuild/amazonlinux-x86_64-standard:6.0"),
            true,
        ),
        ("19", Some("aws/codebuild/standard:8.0"), true),
    ] {
        let context = Context {
            image: image.map(str::to_owned),
            ..Context::default()
        };
        let told = told(&with(version), &context);
        assert_eq!(
            told.starts_with("E010"),
            expected,
            "{version} {image:?} {told}"
        );
    }
}

#[test]
fn a6_a_buildspec_that_builds_nothing_is_fixed() {
    let fixed = fix("buildspec.yml", A, &Context::default());
    let (spec, warnings) = crate::Buildspec::read(&fixed.text).unwrap();
    assert_eq!(warnings, Vec::new());
    assert_eq!(spec.phases.pre_build.commands.len(), 4);
    assert_eq!(
        spec.phases.build.commands,
        ["docker image build -t ${REPOSITORY_URI}:${IMAGE_TAG} ."]
    );
    expect![[r#"
        version: 0.2

        env:
          variables:
            AWS_REGION_NAME: ap-northeast-2
            ECR_REPOSITORY_NAME: sbcntr-backend
            DOCKER_BUILDKIT: "1"

        phases:

          pre_build:
            commands:
              - AWS_ACCOUNT_ID=$(aws sts get-caller-identity --query 'Account' --output text)
              - aws ecr --region ap-northeast-2 get-login-password | docker login --username AWS --password-stdin https://${AWS_ACCOUNT_ID}.dkr.ecr.ap-northeast-2.amazonaws.com/sbcntr-backend
              - REPOSITORY_URI=${AWS_ACCOUNT_ID}.dkr.ecr.${AWS_REGION_NAME}.amazonaws.com/${ECR_REPOSITORY_NAME}
              # the tag of the image is the hash of the Git commit
              - IMAGE_TAG=$(echo ${CODEBUILD_RESOLVED_SOURCE_VERSION} | cut -c 1-7)
          build:
            commands:
              - docker image build -t ${REPOSITORY_URI}:${IMAGE_TAG} .
          post_build:
            commands:
              - 'if [ "$CODEBUILD_BUILD_SUCCEEDING" = 1 ]; then docker image push ${REPOSITORY_URI}:${IMAGE_TAG}; fi'
    "#]].assert_eq(&fixed.text);
    expect![[r#"
        W020 14:26 ap-northeast-2
        W020 14:133 dkr.ecr.ap-northeast-2
        W031 17:19 $(echo ${CODEBUILD_RESOLVED_SOURCE_VERSION} | cut -c 1-7)
    "#]]
    .assert_eq(&told(&fixed.text, &Context::default()));
}

#[test]
fn a7_an_assignment_without_export_is_fine() {
    check_build(
        &[
            "AWS_ACCOUNT_ID=$(aws sts get-caller-identity --query Account --output text)",
            "docker build -t shop:$AWS_ACCOUNT_ID .",
        ],
        expect![[""]],
    );
}

#[test]
fn policies_of_another_account_are_found() {
    let policy = r#"{"Statement": [
        {"Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        {"Action": "ecr:PutImage", "Resource": ["arn:aws:ecr:ap-northeast-2:975141803454:repository/sbcntr-backend"]}
    ]}"#;
    let files = Memory::new(&[("policy.json", policy)]);
    let context = Context {
        files: &files,
        account: Some("111122223333".to_owned()),
        region: Some("ap-northeast-2".to_owned()),
        ..Context::default()
    };
    expect![[r#"
        W021 policy.json:3:50 arn:aws:ecr:ap-northeast-2:975141803454:repository/sbcntr-backend
    "#]]
    .assert_eq(&told(&build(&["make"]), &context));
}

#[test]
fn b4_b11_b14_document_b_with_its_makefile() {
    let files = Memory::new(&[("Makefile", B_MAKEFILE)]);
    let context = Context {
        files: &files,
        image: Some("aws/codebuild/standard:7.0".to_owned()),
        privileged: Some(true),
        git_metadata: Some(false),
        account: Some("385605022855".to_owned()),
        region: Some("us-east-1".to_owned()),
        ..Context::default()
    };
    expect![[r#"
        W014 6:9 nohup /usr/local/bin/dockerd --host=unix:///var/run/docker.sock --storage-driver=overlay
        E013 6:73 --storage-driver=overlay
        E012 7:9 timeout -t
        E011 Makefile:7:1 	$$(aws ecr get-login --no-include-email)
    "#]].assert_eq(&told(B, &context));
}

#[test]
fn b11_timeout_is_fixed_and_nothing_else_changes() {
    let fixed = fix("buildspec.yml", B, &Context::default());
    assert_eq!(fixed.applied, [Code::E012]);
    assert_eq!(fixed.text, B.replace("timeout -t 15", "timeout 15"));
}

#[test]
fn b12_b13_a_build_id_cannot_be_a_tag_until_its_colon_is_gone() {
    check_build(
        &["docker build -t shop:$CODEBUILD_BUILD_ID ."],
        expect![[r#"
            E016 5:25 shop:$CODEBUILD_BUILD_ID
        "#]],
    );
    check_build(
        &[
            "BUILD_ID=$(echo $CODEBUILD_BUILD_ID | sed 's/^[^:]*://g')",
            "docker build -t shop:$CODEBUILD_RESOLVED_SOURCE_VERSION.$BUILD_ID .",
        ],
        expect![[""]],
    );
}

#[test]
fn b14_git_in_the_makefile_is_told_unless_the_variable_is_given() {
    let files = Memory::new(&[("Makefile", B_MAKEFILE)]);
    let context = Context {
        files: &files,
        git_metadata: Some(false),
        ..Context::default()
    };
    expect![[r#"
        W030 Makefile:1:1 export APP_VERSION ?= $(shell git rev-parse --short HEAD)
        E011 Makefile:7:1 	$$(aws ecr get-login --no-include-email)
    "#]]
    .assert_eq(&told(&build(&["make test"]), &context));
}

#[test]
fn b18_b19_cleaning_up_in_post_build_is_no_finding_and_publishing_is() {
    let files = Memory::new(&[("Makefile", B_MAKEFILE)]);
    let context = Context {
        files: &files,
        ..Context::default()
    };
    let text = "version: 0.2\nphases:\n  build: {commands: [make test]}\n  post_build: {commands: [make clean, make logout, make publish, make release]}\n";
    let told = told(text, &context);
    let of_spec: Vec<&str> = told
        .lines()
        .filter(|line| !line.contains("Makefile"))
        .collect();
    assert_eq!(of_spec, ["E003 4:52 make publish"]);
}

/// The shape of the repository behind document A: content trust, a short tag, the push in `post_build`.
#[test]
fn a10_a12_the_shape_of_sbcntr_backend() {
    check(
        "version: 0.2
phases:
  install:
    runtime-versions:
      golang: 1.22
  pre_build:
    commands:
      - export DOCKER_CONTENT_TRUST=1
      - export HOST=${AWS_ACCOUNT_ID}.dkr.ecr.${AWS_REGION}.amazonaws.com
      - export IMAGE_TAG=$(echo $CODEBUILD_RESOLVED_SOURCE_VERSION | cut -c 1-7)
  build:
    commands:
      - docker build -t ${APP_NAME}:latest .
      - docker tag ${APP_NAME}:latest ${HOST}/${APP_NAME}:${IMAGE_TAG}
      - export DOCKER_CONTENT_TRUST=0
  post_build:
    commands:
      - aws ecr get-login-password | docker login --username AWS --password-stdin \"https://${HOST}\"
      - docker push ${HOST}/${APP_NAME}:${IMAGE_TAG}
      - printf '[{\"name\":\"app\",\"imageUri\":\"%s\"}]' $HOST/$APP_NAME:$IMAGE_TAG > imagedefinitions.json
artifacts:
  files: [imagedefinitions.json]
",
        expect![[r#"
            W016 8:16 DOCKER_CONTENT_TRUST=1
            W031 10:26 $(echo $CODEBUILD_RESOLVED_SOURCE_VERSION | cut -c 1-7)
            E003 19:9 docker push ${HOST}/${APP_NAME}:${IMAGE_TAG}
        "#]],
    );
}

#[test]
fn b14_b17_the_compose_file_of_todobackend_names_its_account() {
    let compose = "services:
  release:
    image: 385605022855.dkr.ecr.us-east-1.amazonaws.com/docker-in-aws/todobackend:latest
  app:
    image: 385605022855.dkr.ecr.us-east-1.amazonaws.com/docker-in-aws/todobackend:${APP_VERSION}
";
    let files = Memory::new(&[("docker-compose.yml", compose)]);
    let context = Context {
        files: &files,
        account: Some("111122223333".to_owned()),
        region: Some("eu-west-1".to_owned()),
        ..Context::default()
    };
    expect![[r#"
        E013 6:73 --storage-driver=overlay
        E012 7:9 timeout -t
        W021 docker-compose.yml:3:12 385605022855.dkr.ecr.us-east-1
        W021 docker-compose.yml:5:12 385605022855.dkr.ecr.us-east-1
    "#]]
    .assert_eq(&told(B, &context));
}
