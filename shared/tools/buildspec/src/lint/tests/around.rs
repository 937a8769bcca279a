//! Findings in the files around a buildspec.

use super::*;

fn check_with(
    files: &[(&str, &str)],
    commands: &[&str],
    change: &dyn Fn(&mut Context<'_>),
    expected: Expect,
) {
    let files = Memory::new(files);
    let mut context = Context {
        files: &files,
        ..Context::default()
    };
    change(&mut context);
    expected.assert_eq(&told(&build(commands), &context));
}

#[test]
fn w021_a_compose_file_of_another_account() {
    let compose = "services:\n  app:\n    image: 385605022855.dkr.ecr.us-east-1.amazonaws.com/shop:latest\n  # 999999999999.dkr.ecr.eu-west-1.amazonaws.com\n";
    let own = |context: &mut Context<'_>| {
        context.account = Some("111122223333".to_owned());
        context.region = Some("us-east-1".to_owned());
    };
    check_with(
        &[("docker-compose.yml", compose)],
        &["docker compose build"],
        &own,
        expect![[r#"
            W021 docker-compose.yml:3:12 385605022855.dkr.ecr.us-east-1
        "#]],
    );
    check_with(
        &[("docker-compose.yml", compose)],
        &["docker compose build"],
        &|_| {},
        expect![[""]],
    );
}

#[test]
fn w040_a_file_of_parameters_with_latest() {
    let makefile = "deploy/%:\n\taws cloudformation deploy --stack-name s --parameter-overrides $$(jq -r . $*.json)\n";
    let files = [
        ("Makefile", makefile),
        ("dev.json", "{\"ApplicationImageTag\": \"5fdbe62\"}"),
        ("prod.json", "{\n  \"ApplicationImageTag\": \"latest\"\n}"),
        (
            "package.json",
            "{\"name\": \"x\", \"dependencies\": {\"a\": \"latest\"}}",
        ),
    ];
    check_with(
        &files,
        &["make deploy/prod"],
        &|_| {},
        expect![[r#"
        W040 prod.json:2:3 "ApplicationImageTag": "latest"
    "#]],
    );
    check_with(&files[1..], &["make"], &|_| {}, expect![[""]]);
}

#[test]
fn w041_ports_that_differ() {
    let appspec = "version: 1\nResources:\n  - TargetService:\n      Type: AWS::ECS::Service\n      Properties:\n        TaskDefinition: <TASK_DEFINITION>\n        LoadBalancerInfo:\n          ContainerName: app\n          ContainerPort: 8080\n";
    let task =
        r#"{"containerDefinitions": [{"name": "app", "portMappings": [{"containerPort": 80}]}]}"#;
    let both = [
        ("appspec.yaml", appspec),
        ("taskdef.json", task),
        ("Dockerfile", "FROM scratch\nEXPOSE 80\n"),
    ];
    check_with(
        &both,
        &["make"],
        &|_| {},
        expect![[r#"
        W041 appspec.yaml:9:26 8080
    "#]],
    );
    let only_docker = [
        ("appspec.yaml", appspec),
        ("Dockerfile", "FROM scratch\nEXPOSE 80/tcp 443\n"),
    ];
    check_with(
        &only_docker,
        &["make"],
        &|_| {},
        expect![[r#"
        W041 appspec.yaml:9:26 8080
    "#]],
    );
    let same = [
        ("appspec.yaml", appspec),
        ("Dockerfile", "FROM scratch\nEXPOSE 8080\n"),
    ];
    check_with(&same, &["make"], &|_| {}, expect![[""]]);
}

#[test]
fn w042_a_pinned_architecture() {
    let dockerfile = "FROM public.ecr.aws/docker/library/golang:1.22\n# GOARCH=amd64\nRUN GOARCH=amd64 go build .\n";
    let arm = |context: &mut Context<'_>| context.platforms = vec!["linux/arm64".to_owned()];
    check_with(
        &[("Dockerfile", dockerfile)],
        &["docker build ."],
        &arm,
        expect![[r#"
            W042 Dockerfile:3:5 GOARCH=amd64
        "#]],
    );
    check_with(
        &[("Dockerfile", dockerfile)],
        &["docker build ."],
        &|_| {},
        expect![[""]],
    );
    check_with(
        &[("Dockerfile", dockerfile)],
        &["docker buildx build --platform linux/amd64,linux/arm64 ."],
        &|_| {},
        expect![[r#"
            W042 Dockerfile:3:5 GOARCH=amd64
        "#]],
    );
    let makefile = "build:\n\tGOOS=linux GOARCH=amd64 go build .\n";
    check_with(
        &[("Makefile", makefile)],
        &["make build"],
        &arm,
        expect![[r#"
            W042 Makefile:2:13 GOARCH=amd64
        "#]],
    );
}

#[test]
fn w044_base_images_of_docker_hub() {
    let dockerfile = "FROM golang:1.22 AS build\nFROM docker.io/library/alpine\nFROM public.ecr.aws/x/y\nFROM --platform=linux/arm64 nginx\nFROM build\nFROM scratch\nFROM $BASE\nFROM ghcr.io/a/b\n";
    let files = [("Dockerfile", dockerfile)];
    check_with(
        &files,
        &["docker build ."],
        &|_| {},
        expect![[r#"
        W044 Dockerfile:1:6 golang:1.22
        W044 Dockerfile:2:6 docker.io/library/alpine
        W044 Dockerfile:4:29 nginx
    "#]],
    );
    let ecr = "aws ecr get-login-password | docker login --username AWS --password-stdin 111122223333.dkr.ecr.eu-west-1.amazonaws.com";
    check_with(
        &files,
        &[ecr, "docker build ."],
        &|_| {},
        expect![[r#"
        W044 Dockerfile:1:6 golang:1.22
        W044 Dockerfile:2:6 docker.io/library/alpine
        W044 Dockerfile:4:29 nginx
    "#]],
    );
    check_with(
        &files,
        &[
            "echo $PASSWORD | docker login -u $USER --password-stdin",
            "docker build .",
        ],
        &|_| {},
        expect![""],
    );
    check_with(&files, &["go build"], &|_| {}, expect![[""]]);
}

#[test]
fn findings_in_other_files_are_allowed_there() {
    let makefile = "# towline: allow E011 because the image has version 1 of the CLI\n\nlogin:\n\t$$(aws ecr get-login)\n";
    check_with(
        &[("Makefile", makefile)],
        &["make login"],
        &|_| {},
        expect![[""]],
    );
}

#[test]
fn e011_the_old_login_in_a_variable_of_a_makefile() {
    let check = |before: &str, recipe: &str, expected: &[usize]| {
        let login = "aws ecr get-login --no-include-email";
        let before = before.replace("LOGIN", login);
        let makefile = format!("# Makefile\n{before}\n\nlogin:\n\t@ {recipe}\n");
        let files = Memory::new(&[("Makefile", &makefile)]);
        let context = Context {
            files: &files,
            ..Context::default()
        };
        let report = lint("buildspec.yml", &build(&["make login"]), &context);
        let found = report.findings.iter().map(|found| {
            assert_eq!((found.code, found.file.as_str()), (Code::E011, "Makefile"));
            found.start.line
        });
        assert_eq!(found.collect::<Vec<_>>(), expected, "{before}");
    };
    for sign in ["?=", "=", ":=", "::=", "+="] {
        check(&format!("export A {sign} eval $$(LOGIN)"), "$(A)", &[2]);
    }
    check("A = $(shell LOGIN)\nB = $(A)", "${B}", &[2]);
    check(
        "define A\n\tLOGIN \\\n  --region x\nendef",
        "$(call A,x)",
        &[3],
    );
    check("login: A = LOGIN", "$(A)", &[2]);
    check("export A = LOGIN", "eval $$A", &[2]);
    // Unused parts, and parts that are only mentioned.
    check("A = LOGIN", "$(AS)", &[]);
    check("A = not LOGIN", "echo $(A)", &[]);
}
