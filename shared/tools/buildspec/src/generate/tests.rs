//! The presets as text, and the text's effects in a real shell with tools that only record their arguments.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::needless_pass_by_value,
    reason = "cases read better without references"
)]

mod extras;
mod oracle;
mod outputs;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::model::PhaseName;

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// The component `backend` of the documented definition, with all settings of a docker build.
fn backend() -> (Common, Preset) {
    let common = Common {
        variables: pairs(&[("CGO_ENABLED", "0"), ("GREETING", "it's \"$HOME\"")]),
        runtime_versions: pairs(&[("golang", "1.22")]),
        context: "backend".to_owned(),
        test: strings(&["go vet ./...", "go test ./..."]),
        login: Login::Ecr,
    };
    let docker = Docker {
        dockerfile: "docker/my app.Dockerfile".to_owned(),
        target: Some("release".to_owned()),
        platform: Platform::Named("linux/arm64".to_owned()),
        layer_cache: false,
        arguments: vec![
            ("VERSION".to_owned(), None),
            ("TITLE".to_owned(), Some("$(id) it's".to_owned())),
        ],
    };
    (common, Preset::Docker(docker))
}

fn todo() -> (Common, Preset) {
    let make = Make {
        build: strings(&["test", "release", "publish"]),
        always: strings(&["clean", "logout"]),
        login: MakeLogin::Builtin,
    };
    (
        Common {
            context: "todo".to_owned(),
            ..Common::default()
        },
        Preset::Make(make),
    )
}

fn packed() -> (Common, Preset) {
    let pack = Pack {
        build: strings(&["sh build.sh"]),
        root: "dist".to_owned(),
        base: Some(format!("debian@sha256:{}", "0a".repeat(32))),
        entrypoint: strings(&["/bin/app", "--name", "it's \"me\""]),
        command: strings(&["serve"]),
        environment: pairs(&[("PORT", "8080"), ("MOTD", "two words")]),
        labels: pairs(&[("team", "shop")]),
        user: Some("1000:1000".to_owned()),
        working_directory: Some("/srv".to_owned()),
        ports: vec![8080, 9090],
        ..Pack::default()
    };
    (
        Common {
            test: strings(&["sh test.sh"]),
            ..Common::default()
        },
        Preset::Pack(pack),
    )
}

fn check((common, preset): (Common, Preset), expected: Expect) {
    expected.assert_eq(&outcome(&common, &preset));
}

fn outcome(common: &Common, preset: &Preset) -> String {
    generate(common, preset).unwrap_or_else(|error| format!("{error}\n"))
}

#[test]
fn docker_builds_once_and_pushes_last() {
    check(
        backend(),
        expect![[r#"
            version: 0.2

            env:
              shell: 'bash'
              variables:
                CGO_ENABLED: '0'
                GREETING: 'it''s "$HOME"'
              exported-variables:
                - 'IMAGE_DIGEST'

            phases:
              install:
                runtime-versions:
                  golang: '1.22'
              pre_build:
                commands:
                  - '(set -o pipefail; aws ecr get-login-password --region "$AWS_DEFAULT_REGION" | docker login --username AWS --password-stdin "$ECR_REGISTRY")'
                  - 'if docker buildx version > /dev/null 2>&1; then export TOWLINE_BUILDER="docker buildx build --load --provenance=false --sbom=false"; else export TOWLINE_BUILDER="docker build"; fi'
              build:
                commands:
                  - 'cd -- "$CODEBUILD_SRC_DIR"/backend'
                  - 'go vet ./...'
                  - 'go test ./...'
                  - 'cd -- "$CODEBUILD_SRC_DIR"/backend'
                  - '$TOWLINE_BUILDER --file=''docker/my app.Dockerfile'' --target=release --platform=linux/arm64 --build-arg=VERSION --build-arg=''TITLE=$(id) it''\''''s'' --label="org.opencontainers.image.revision=$GIT_SHA" --label="org.opencontainers.image.source=$SOURCE_URL" --label="org.opencontainers.image.created=$CREATED_AT" --tag="$ECR_REGISTRY/$IMAGE_REPO:$IMAGE_TAG" .'
                  - '(set -f; for tag in ${IMAGE_TAGS:-$IMAGE_TAG}; do docker tag "$ECR_REGISTRY/$IMAGE_REPO:$IMAGE_TAG" "$ECR_REGISTRY/$IMAGE_REPO:$tag" && docker push "$ECR_REGISTRY/$IMAGE_REPO:$tag" || exit 1; done)'
                  - 'export IMAGE_DIGEST="$(docker inspect --format ''{{range .RepoDigests}}{{println .}}{{end}}'' "$ECR_REGISTRY/$IMAGE_REPO:$IMAGE_TAG" | grep -F -e "$ECR_REGISTRY/$IMAGE_REPO@" | grep -o -E -e ''sha256:[0-9a-f]{64}$'' | head -n 1)"'
              post_build:
                commands:
                  - 'docker logout "$ECR_REGISTRY" || true'
                  - '(set -f; for tag in ${IMAGE_TAGS:-$IMAGE_TAG}; do docker image rm "$ECR_REGISTRY/$IMAGE_REPO:$tag" 2> /dev/null; done) || true'
        "#]],
    );
}

#[test]
fn docker_with_nothing_said_builds_the_dockerfile_at_the_root() {
    check(
        (
            Common {
                login: Login::Open,
                ..Common::default()
            },
            Preset::Docker(Docker::default()),
        ),
        expect![[r#"
            version: 0.2

            env:
              shell: 'bash'
              exported-variables:
                - 'IMAGE_DIGEST'

            phases:
              pre_build:
                commands:
                  - 'if docker buildx version > /dev/null 2>&1; then export TOWLINE_BUILDER="docker buildx build --load --provenance=false --sbom=false"; else export TOWLINE_BUILDER="docker build"; fi'
              build:
                commands:
                  - 'cd -- "$CODEBUILD_SRC_DIR"'
                  - '$TOWLINE_BUILDER --file=Dockerfile --label="org.opencontainers.image.revision=$GIT_SHA" --label="org.opencontainers.image.source=$SOURCE_URL" --label="org.opencontainers.image.created=$CREATED_AT" --tag="$ECR_REGISTRY/$IMAGE_REPO:$IMAGE_TAG" .'
                  - '(set -f; for tag in ${IMAGE_TAGS:-$IMAGE_TAG}; do docker tag "$ECR_REGISTRY/$IMAGE_REPO:$IMAGE_TAG" "$ECR_REGISTRY/$IMAGE_REPO:$tag" && docker push "$ECR_REGISTRY/$IMAGE_REPO:$tag" || exit 1; done)'
                  - 'export IMAGE_DIGEST="$(docker inspect --format ''{{range .RepoDigests}}{{println .}}{{end}}'' "$ECR_REGISTRY/$IMAGE_REPO:$IMAGE_TAG" | grep -F -e "$ECR_REGISTRY/$IMAGE_REPO@" | grep -o -E -e ''sha256:[0-9a-f]{64}$'' | head -n 1)"'
              post_build:
                commands:
                  - '(set -f; for tag in ${IMAGE_TAGS:-$IMAGE_TAG}; do docker image rm "$ECR_REGISTRY/$IMAGE_REPO:$tag" 2> /dev/null; done) || true'
        "#]],
    );
}

#[test]
fn make_runs_each_target_as_a_command_of_its_own() {
    check(
        todo(),
        expect![[r#"
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
                  - 'cd -- "$CODEBUILD_SRC_DIR"/todo'
                  - 'make test'
                  - 'make release'
                  - 'make publish'
                  - 'export IMAGE_DIGEST="$(docker inspect --format ''{{range .RepoDigests}}{{println .}}{{end}}'' "$ECR_REGISTRY/$IMAGE_REPO:$IMAGE_TAG" | grep -F -e "$ECR_REGISTRY/$IMAGE_REPO@" | grep -o -E -e ''sha256:[0-9a-f]{64}$'' | head -n 1)"'
              post_build:
                commands:
                  - 'cd -- "$CODEBUILD_SRC_DIR"/todo || true'
                  - 'make clean || true'
                  - 'make logout || true'
                  - 'docker logout "$ECR_REGISTRY" || true'
        "#]],
    );
}

#[test]
fn make_can_log_in_by_a_target_of_its_own() {
    let (common, Preset::Make(make)) = todo() else {
        unreachable!("todo is a make component")
    };
    let make = Make {
        login: MakeLogin::Target("login".to_owned()),
        ..make
    };
    check(
        (
            Common {
                test: strings(&["./check"]),
                ..common
            },
            Preset::Make(make),
        ),
        expect![[r#"
            version: 0.2

            env:
              shell: 'bash'
              exported-variables:
                - 'IMAGE_DIGEST'

            phases:
              pre_build:
                commands:
                  - 'cd -- "$CODEBUILD_SRC_DIR"/todo'
                  - 'make login'
              build:
                commands:
                  - 'cd -- "$CODEBUILD_SRC_DIR"/todo'
                  - './check'
                  - 'cd -- "$CODEBUILD_SRC_DIR"/todo'
                  - 'make test'
                  - 'make release'
                  - 'make publish'
                  - 'export IMAGE_DIGEST="$(docker inspect --format ''{{range .RepoDigests}}{{println .}}{{end}}'' "$ECR_REGISTRY/$IMAGE_REPO:$IMAGE_TAG" | grep -F -e "$ECR_REGISTRY/$IMAGE_REPO@" | grep -o -E -e ''sha256:[0-9a-f]{64}$'' | head -n 1)"'
              post_build:
                commands:
                  - 'cd -- "$CODEBUILD_SRC_DIR"/todo || true'
                  - 'make clean || true'
                  - 'make logout || true'
        "#]],
    );
}

#[test]
fn pack_needs_no_docker() {
    check(
        packed(),
        expect![[r#"
        version: 0.2

        env:
          shell: 'bash'
          exported-variables:
            - 'IMAGE_DIGEST'

        phases:
          pre_build:
            commands:
              - 'export TOWLINE_DIGEST_FILE="$(mktemp)"'
          build:
            commands:
              - 'cd -- "$CODEBUILD_SRC_DIR"'
              - 'sh build.sh'
              - 'cd -- "$CODEBUILD_SRC_DIR"'
              - 'sh test.sh'
              - 'cd -- "$CODEBUILD_SRC_DIR"'
              - '(set -f -o pipefail; set --; for tag in ${IMAGE_TAGS:-$IMAGE_TAG}; do set -- "$@" --tag="$tag"; done; aws ecr get-login-password --region "$AWS_DEFAULT_REGION" | towline pack --output-file="$TOWLINE_DIGEST_FILE" --repository="$ECR_REGISTRY/$IMAGE_REPO" "$@" --root=dist --platform=linux/amd64 --base=debian@sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a --entrypoint=''["/bin/app","--name","it''\''''s \"me\""]'' --cmd=''["serve"]'' --env=PORT=8080 --env=''MOTD=two words'' --label=team=shop --user=1000:1000 --workdir=/srv --expose=8080 --expose=9090 --label="org.opencontainers.image.revision=$GIT_SHA" --label="org.opencontainers.image.source=$SOURCE_URL" --label="org.opencontainers.image.created=$CREATED_AT" --password-stdin)'
              - 'export IMAGE_DIGEST="$(cat -- "$TOWLINE_DIGEST_FILE")"'
          post_build:
            commands:
              - 'rm -f -- "$TOWLINE_DIGEST_FILE" || true'
    "#]],
    );
}

#[test]
fn pack_for_a_registry_on_this_machine_needs_no_password() {
    check(
        (
            Common {
                login: Login::Open,
                ..Common::default()
            },
            Preset::Pack(Pack::default()),
        ),
        expect![[r#"
            version: 0.2

            env:
              shell: 'bash'
              exported-variables:
                - 'IMAGE_DIGEST'

            phases:
              pre_build:
                commands:
                  - 'export TOWLINE_DIGEST_FILE="$(mktemp)"'
              build:
                commands:
                  - 'cd -- "$CODEBUILD_SRC_DIR"'
                  - '(set -f; set --; for tag in ${IMAGE_TAGS:-$IMAGE_TAG}; do set -- "$@" --tag="$tag"; done; towline pack --output-file="$TOWLINE_DIGEST_FILE" --repository="$ECR_REGISTRY/$IMAGE_REPO" "$@" --root=. --platform=linux/amd64 --label="org.opencontainers.image.revision=$GIT_SHA" --label="org.opencontainers.image.source=$SOURCE_URL" --label="org.opencontainers.image.created=$CREATED_AT")'
                  - 'export IMAGE_DIGEST="$(cat -- "$TOWLINE_DIGEST_FILE")"'
              post_build:
                commands:
                  - 'rm -f -- "$TOWLINE_DIGEST_FILE" || true'
        "#]],
    );
}

const OWN: &str = "# ours\nversion: 0.2\nenv:\n  variables: {A: 1, B: two}\n  parameter-store: {TOKEN: /t}\nphases:\n  build:\n    commands: [make]\n";

#[test]
fn a_buildspec_of_your_own_stays_byte_for_byte_when_nothing_is_added() {
    assert_eq!(
        outcome(&Common::default(), &Preset::Given(OWN.to_owned())),
        OWN
    );
}

#[test]
fn a_buildspec_of_your_own_takes_the_variables_of_the_definition() {
    let common = Common {
        variables: pairs(&[("B", "2"), ("C", "yes")]),
        ..Common::default()
    };
    check(
        (common, Preset::Given(OWN.to_owned())),
        expect![[r#"
        version: 0.2

        env:
          variables:
            A: '1'
            B: '2'
            C: 'yes'
          parameter-store:
            TOKEN: '/t'

        phases:
          build:
            commands:
              - 'make'
    "#]],
    );
}

fn refused(change: impl FnOnce(&mut Common), preset: Preset) -> String {
    let mut common = Common::default();
    change(&mut common);
    let Err(error) = generate(&common, &preset) else {
        panic!("{preset:?} was accepted with {common:?}")
    };
    error.to_string()
}

fn docker() -> Preset {
    Preset::Docker(Docker::default())
}

fn make(build: &[&str]) -> Preset {
    let login = MakeLogin::Builtin;
    Preset::Make(Make {
        build: strings(build),
        always: Vec::new(),
        login,
    })
}

#[test]
fn what_cannot_be_built_safely_is_refused_with_what_to_change() {
    let set =
        |name: &'static str| move |common: &mut Common| common.variables = pairs(&[(name, "x")]);
    let nothing = |_: &mut Common| {};
    let given = || Preset::Given(OWN.to_owned());
    let refusals = [
        refused(set("PATH"), docker()),
        refused(set("IMAGE_TAG"), docker()),
        refused(set("MY-NAME"), docker()),
        refused(set("TOKEN"), given()),
        refused(
            |common| common.variables = pairs(&[("A", "1"), ("A", "2")]),
            docker(),
        ),
        refused(|common| common.variables = pairs(&[("A", "x\0")]), docker()),
        refused(|common| common.test = strings(&["true\0"]), docker()),
        refused(|common| common.context = "../other".to_owned(), docker()),
        refused(|common| common.context = "/etc".to_owned(), make(&["all"])),
        refused(|common| common.context = "a\nb".to_owned(), docker()),
        refused(|common| common.context = "legacy".to_owned(), given()),
        refused(|common| common.test = strings(&["true"]), given()),
        refused(
            |common| common.test = vec!["x".repeat(INLINE_LIMIT)],
            docker(),
        ),
        refused(
            nothing,
            Preset::Given(format!("{OWN}#{}", "x".repeat(INLINE_LIMIT))),
        ),
        refused(
            nothing,
            Preset::Given("version: 0.2\nbuild: {commands: [make]}\n".to_owned()),
        ),
        refused(nothing, make(&[])),
        refused(nothing, make(&["all; id"])),
        refused(nothing, make(&["-f"])),
        refused(
            nothing,
            Preset::Docker(Docker {
                dockerfile: String::new(),
                ..Docker::default()
            }),
        ),
        refused(
            nothing,
            Preset::Docker(Docker {
                arguments: vec![("A=B".to_owned(), None)],
                ..Docker::default()
            }),
        ),
        refused(
            nothing,
            Preset::Pack(Pack {
                base: Some("debian:12".to_owned()),
                ..Pack::default()
            }),
        ),
    ];
    expect![[r#"
        the variable `PATH` is reserved, because it would change how the build itself runs: use another name
        the variable `IMAGE_TAG` is set by Towline for every build: use another name
        `MY-NAME` is not the name of an environment variable: use letters, digits and `_`, no digit first
        the variable `TOKEN` comes from a secret store in the buildspec: do not set it in the definition too
        the variable `A` is set twice: keep one of them
        a command or value of the build contains a NUL character: remove it
        a command or value of the build contains a NUL character: remove it
        `../other` is not a path inside the repository: write it relative, without `..` and line breaks
        `/etc` is not a path inside the repository: write it relative, without `..` and line breaks
        `a
        b` is not a path inside the repository: write it relative, without `..` and line breaks
        your own buildspec decides about `context`: move it from the definition into the buildspec
        your own buildspec decides about `test`: move it from the definition into the buildspec
        the buildspec has 27077 characters; CodeBuild accepts at most 25600: move commands into a script of the repository
        the buildspec has 25723 characters; CodeBuild accepts at most 25600: move commands into a script of the repository
        the buildspec cannot be used
        the preset `make` has no targets to build: name them under `make: {build: [...]}`
        `all; id` is not a Makefile target: use letters, digits and `_ . / -`, no `-` or `.` first
        `-f` is not a Makefile target: use letters, digits and `_ . / -`, no `-` or `.` first
        `` is not a path inside the repository: write it relative, without `..` and line breaks
        `A=B` is not the name of an environment variable: use letters, digits and `_`, no digit first
        the base image `debian:12` has no digest: write it as `name@sha256:<64 hex digits>`"#]].assert_eq(&refusals.join("\n"));
}

#[test]
fn a13_names_that_steer_the_build_are_reserved() {
    for name in [
        "BASH_ENV",
        "ENV",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "PATH",
        "IFS",
        "SHELLOPTS",
        "BASHOPTS",
        "PS4",
        "PROMPT_COMMAND",
        "CODEBUILD_SRC_DIR",
        "AWS_REGION",
        "TOWLINE_RUN",
        "DOCKER_HOST",
        "DOCKER_CONFIG",
        "BASH_FUNC_docker%%",
        "HOME",
    ] {
        assert!(reserved(name), "{name} is free");
        let outcome = outcome(
            &Common {
                variables: pairs(&[(name, "x")]),
                ..Common::default()
            },
            &docker(),
        );
        assert!(outcome.contains("is reserved"), "{name}: {outcome}");
    }
    for name in [
        "APP_VERSION",
        "DOCKER_BUILDKIT",
        "GOFLAGS",
        "PATHS",
        "MY_AWS_REGION",
        "ENVIRONMENT",
    ] {
        assert!(!reserved(name), "{name} is reserved");
    }
}

#[test]
fn the_inline_limit_counts_characters_and_is_inclusive() {
    let text = |length: usize| format!("{OWN}#{}", "é".repeat(length - OWN.len() - 1));
    let generated = |length| generate(&Common::default(), &Preset::Given(text(length)));
    assert_eq!(
        generated(INLINE_LIMIT).unwrap().chars().count(),
        INLINE_LIMIT
    );
    assert!(
        matches!(generated(INLINE_LIMIT + 1), Err(GenerateError::TooLong { characters }) if characters == INLINE_LIMIT + 1)
    );
}

#[test]
fn every_preset_publishes_in_build_and_cleans_up_without_failing() {
    for (common, preset) in [backend(), todo(), packed()] {
        let (spec, warnings) = Buildspec::read(&generate(&common, &preset).unwrap()).unwrap();
        assert_eq!(warnings, []);
        assert_eq!(spec.env.exported_variables, ["IMAGE_DIGEST"]);
        let publishes = |command: &String| {
            ["docker push", "towline pack", "make publish"]
                .iter()
                .any(|word| command.contains(word))
        };
        for name in [
            PhaseName::Install,
            PhaseName::PreBuild,
            PhaseName::PostBuild,
        ] {
            assert!(
                !spec.phases.get(name).commands.iter().any(publishes),
                "{} publishes",
                name.as_str()
            );
        }
        let tests = spec
            .phases
            .build
            .commands
            .iter()
            .rposition(|command| common.test.contains(command));
        let publish = spec
            .phases
            .build
            .commands
            .iter()
            .position(publishes)
            .unwrap();
        assert!(tests < Some(publish), "a test runs after the image is out");
        for command in &spec.phases.post_build.commands {
            assert!(
                command.ends_with("|| true"),
                "{command} can fail a good build"
            );
        }
    }
}

proptest! {
    #[test]
    fn whatever_a_definition_says_the_text_reads_back_as_it_was_meant(
        test in "[^\0]{1,40}", value in "[^\0]{0,40}", argument in "[^\0]{0,40}",
    ) {
        let common = Common { variables: vec![("A".to_owned(), value.clone())], test: vec![test.clone()], ..Common::default() };
        let docker = Docker { arguments: vec![("B".to_owned(), Some(argument))], ..Docker::default() };
        let text = generate(&common, &Preset::Docker(docker)).unwrap();
        let (spec, _) = Buildspec::read(&text).unwrap();
        prop_assert_eq!(&spec.env.variables, &common.variables);
        prop_assert!(spec.phases.build.commands.contains(&test));
    }
}
