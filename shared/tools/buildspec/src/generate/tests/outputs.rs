//! Outputs of builds, and layer caches.

use super::oracle::Machine;
use super::*;

fn extras(outputs: Vec<Output>) -> Extras {
    Extras {
        outputs,
        ..Extras::default()
    }
}

/// What builds with these outputs export, or why they fail.
fn exported((common, preset): (Common, Preset), outputs: Vec<Output>, machine: &Machine) -> String {
    let text = generate_with(&common, &preset, &extras(outputs)).unwrap();
    let output = machine.run(&text);
    let (_, end) = output.split_once("digest ").unwrap();
    let said = output
        .lines()
        .filter(|line| line.contains(" output ") || line.ends_with(" failed"));
    let exported = end.lines().skip(1);
    said.chain(exported)
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn outputs_come_back_as_variables_without_line_breaks() {
    let make = |path| Output::of_make(path, "app");
    let machine = Machine::new();
    machine.write("todo/report.d/all.txt", "12 passed\r\n");
    let outputs = vec![make("version.json"), make("report.d/all.txt")];
    expect![[r#"
        TOWLINE_OUTPUT_0={"Version": "1.2"}
        TOWLINE_OUTPUT_1=12 passed
    "#]]
    .assert_eq(&exported(todo(), outputs, &machine));
}

#[test]
fn b_what_deployments_of_codepipeline_read_names_what_was_pushed() {
    let files = |container| {
        ["imagedefinitions.json", "imageDetail.json"].map(|path| Output::of(path, container))
    };
    let expected = expect![[r#"
        TOWLINE_OUTPUT_0=[{"name":"app","imageUri":"<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1"}]
        TOWLINE_OUTPUT_1={"ImageURI":"<ECR_REGISTRY>/<IMAGE_REPO>@sha256:1111111111111111111111111111111111111111111111111111111111111111"}
    "#]];
    expected.assert_eq(&exported(backend(), files("app").to_vec(), &Machine::new()));
    // Without a digest, by the tag that only this build can push.
    let machine = Machine::new().with("DIGEST", "none");
    expect![[r#"
        TOWLINE_OUTPUT_0=[{"name":"app","imageUri":"<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1"}]
        TOWLINE_OUTPUT_1={"ImageURI":"<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1"}
    "#]]
    .assert_eq(&exported(backend(), files("app").to_vec(), &machine));
    // One platform of several is only a part of what is deployed.
    let machine = Machine::new().with("IMAGE_WHOLE_TAG", "3f9c2ab");
    expect![[r#"
        TOWLINE_OUTPUT_0=[{"name":"app","imageUri":"<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab"}]
        TOWLINE_OUTPUT_1={"ImageURI":"<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab"}
    "#]]
    .assert_eq(&exported(backend(), files("app").to_vec(), &machine));
    // After a failed push there is neither file nor variable.
    let image = "<ECR_REGISTRY>/<IMAGE_REPO>:v1.2";
    let machine = Machine::new().with("FAILING_PUSH", image);
    expect![[r#"
        build failed
    "#]]
    .assert_eq(&exported(backend(), files("app").to_vec(), &machine));
}

#[test]
fn an_output_that_is_missing_or_too_long_fails_the_build() {
    for (length, expected) in [
        (0, "there is no output dist.txt\npost_build failed\n"),
        (4_096, "TOWLINE_OUTPUT_0="),
        (
            4_097,
            "the output dist.txt is longer than 4096 bytes\npost_build failed\n",
        ),
    ] {
        let machine = Machine::new().with("CODEBUILD_BUILD_SUCCEEDING", "1");
        if length > 0 {
            machine.write("dist.txt", &format!("{}\n", "x".repeat(length)));
        }
        let common = Common::default();
        let preset = Preset::Given("version: 0.2\nphases: {build: {commands: [cd dist]}}\n".into());
        let said = exported((common, preset), vec![Output::given("dist.txt")], &machine);
        assert!(said.starts_with(expected), "{length}: {said}");
    }
}

#[test]
fn a10_an_output_of_any_path_is_read_and_nothing_of_its_name_runs() {
    for path in [
        "it's $(touch canary).txt",
        "-n; touch canary;.txt",
        "`touch canary`/\"a\" b.txt",
    ] {
        let machine = Machine::new().with("CODEBUILD_BUILD_SUCCEEDING", "1");
        machine.write(path, "left\n");
        let given = Preset::Given("version: 0.2\nphases: {build: {commands: ['true']}}\n".into());
        let said = exported(
            (Common::default(), given),
            vec![Output::given(path)],
            &machine,
        );
        assert_eq!(said, "TOWLINE_OUTPUT_0=left\n", "{path}");
        assert_eq!(
            machine
                .files()
                .iter()
                .filter(|file| *file == "canary")
                .count(),
            0
        );
        let written = Output {
            path: path.to_owned(),
            from: OutputFrom::Definitions(path.to_owned()),
        };
        let machine = Machine::new();
        machine.write(&format!("backend/{path}"), "");
        let said = exported(backend(), vec![written], &machine);
        assert!(
            said.contains(r#"[{"name":""#) && said.contains("touch canary"),
            "{said}"
        );
        assert_eq!(
            machine
                .files()
                .iter()
                .filter(|file| *file == "canary")
                .count(),
            0
        );
    }
}

#[test]
fn a_given_buildspec_keeps_its_folder_and_its_own_exports() {
    let given = "version: 0.2
env: {exported-variables: [MINE]}
phases:
  build: {commands: [cd dist]}
  post_build: {commands: [rm -f here]}
";
    // A file that is written at the very end is found; after a failed build, none is looked for.
    let late = "version: 0.2\nphases: {build: {commands: ['true']}, post_build: {commands: ['echo 1 > late.txt']}}\n";
    for (succeeding, expected) in [("1", "TOWLINE_OUTPUT_0=1\n"), ("0", "")] {
        let machine = Machine::new().with("CODEBUILD_BUILD_SUCCEEDING", succeeding);
        let component = (Common::default(), Preset::Given(late.to_owned()));
        assert_eq!(
            exported(component, vec![Output::given("late.txt")], &machine),
            expected
        );
    }
    let preset = Preset::Given(given.to_owned());
    let outputs = extras(vec![Output::given("version.json")]);
    let text = generate_with(&Common::default(), &preset, &outputs).unwrap();
    let (spec, _) = Buildspec::read(&text).unwrap();
    assert_eq!(spec.env.exported_variables, ["MINE", "TOWLINE_OUTPUT_0"]);
    expect![[r#"
        [
            "cd dist",
            "rm -f here",
            "[ \"$CODEBUILD_BUILD_SUCCEEDING\" != 1 ] || { if ! TOWLINE_OUTPUT_0=\"$(cd -- \"$CODEBUILD_SRC_DIR\" && tr -d '\\r\\n' < ./version.json)\"; then echo 'there is no output version.json'; false; elif test \"$(printf %s \"$TOWLINE_OUTPUT_0\" | wc -c)\" -gt 4096; then echo 'the output version.json is longer than 4096 bytes'; false; else export TOWLINE_OUTPUT_0; fi; }",
        ]
    "#]]
    .assert_debug_eq(&[spec.phases.build.commands, spec.phases.post_build.commands].concat());
    for given in [
        "version: 0.1\nphases: {build: {commands: [make]}}\n",
        "version: 0.2\nphases: {post_build: {steps: [{run: make}]}}\n",
    ] {
        let preset = Preset::Given(given.to_owned());
        assert_eq!(
            generate_with(&Common::default(), &preset, &outputs),
            Err(GenerateError::NoOutputs)
        );
    }
}

/// A docker build that keeps layers, for the platform in its environment.
fn cached() -> String {
    let docker = Docker {
        platform: Platform::Provided,
        layer_cache: true,
        ..Docker::default()
    };
    let common = Common {
        login: Login::Open,
        ..Common::default()
    };
    generate(&common, &Preset::Docker(docker)).unwrap()
}

fn with_caches() -> Machine {
    let machine = Machine::new()
        .with("IMAGE_PLATFORM", "linux/arm64")
        .with("CACHE_TO", "cache/branches/shop:b")
        .with(
            "CACHE_FROM",
            "cache/branches/shop:b cache/trusted/shop:main",
        );
    machine.with("TOWLINE_ATTEMPT", "7")
}

#[test]
fn a30_layers_are_taken_from_both_places_and_kept_in_one() {
    let calls = with_caches().run(&cached());
    let builds: Vec<&str> = calls
        .lines()
        .filter(|line| line.contains("[buildx]"))
        .collect();
    expect![[r#"
        docker [buildx] [version]
        docker [buildx] [version]
        docker [buildx] [create] [--name=towline-7] [--driver=docker-container] [--bootstrap]
        docker [buildx] [build] [--load] [--provenance=false] [--sbom=false] [--builder=towline-7] [--cache-to=type=registry,ref=<ECR_REGISTRY>/cache/branches/shop:b,mode=max,image-manifest=true,oci-mediatypes=true,ignore-error=true] [--cache-from=type=registry,ref=<ECR_REGISTRY>/cache/branches/shop:b] [--cache-from=type=registry,ref=<ECR_REGISTRY>/cache/trusted/shop:main] [--file=Dockerfile] [--platform=linux/arm64] [--label=org.opencontainers.image.revision=<GIT_SHA>] [--label=org.opencontainers.image.source=<SOURCE_URL>] [--label=org.opencontainers.image.created=<CREATED_AT>] [--tag=<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1] [.]
        docker [buildx] [rm] [towline-7]"#]]
    .assert_eq(&builds.join("\n"));
}

#[test]
fn without_a_builder_for_it_no_layers_are_kept_and_the_build_goes_on() {
    for missing in ["NO_BUILDER", "NO_BUILDX"] {
        let output = with_caches().with(missing, "1").run(&cached());
        assert!(output.contains("no layers are kept: "), "{output}");
        assert!(!output.contains("--cache-to"), "{output}");
        assert!(output.contains("docker [push]"), "{output}");
        assert!(!output.contains("failed"), "{output}");
    }
}
