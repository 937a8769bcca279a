//! The shape of document A's repository: login and push in `post_build`, content trust, a task
//! definition, a fixed architecture.

use serde_json::{Value, json};

use crate::harness::{Need, Test, test};
use crate::shop::{Shop, artifact, failed, images, phases};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!(a12_the_shape_is_told_what_is_wrong_and_corrected),
        test!(a12_a_good_build_publishes_and_says_what_to_deploy).needs(Need::Make),
        test!(a12_a_failed_build_publishes_nothing_whatever_it_writes).needs(Need::Make),
        test!(a12_a_failed_validation_ends_before_anything_is_built).needs(Need::Make),
        test!(async a12_the_shape_goes_from_push_to_prod).needs(Need::Make),
        test!(a12_what_to_deploy_is_written_by_a_good_build_alone).needs(Need::Make),
    ]
}

/// What the project gives the buildspec.
const BUILD: &str = r#"{buildspec: buildspec.yml, env: {APP_NAME: sbcntr-backend}, tags: ["{sha7}-{build}", "{sha7}"]}"#;

const PUSH: &str = "docker image push ${HOST}/${APP_NAME}:${TAG}";
const TAG: &str = "export TAG=$(echo $CODEBUILD_RESOLVED_SOURCE_VERSION | cut -c 1-7)";
const WRITE: &str = r#"printf '[{"name":"app","imageUri":"%s"}]' ${HOST}/${APP_NAME}:${TAG} > imagedefinitions.json"#;

fn given() -> Shop {
    let shop = Shop::of("sbcntr-backend", "sbcntr-backend", BUILD);
    // A component may set no variable whose name begins with AWS_, so this one is in the buildspec.
    let account = "  variables:\n    AWS_ACCOUNT_ID: \"975141803454\"\n";
    shop.with("buildspec.yml", "  variables:\n", account)
}

fn a12_the_shape_is_told_what_is_wrong_and_corrected() {
    let shop = given();
    assert_eq!(
        shop.findings(&["--platform", "linux/arm64"]),
        "W031 buildspec.yml:16\nW016 buildspec.yml:20\nE003 buildspec.yml:26\nW042 Makefile:20\nW041 appspec.yaml:9\n"
    );
    let shop = shop.fixed();
    assert_eq!(
        shop.findings(&[]),
        "W031 buildspec.yml:16\nW016 buildspec.yml:20\nW041 appspec.yaml:9\n"
    );
    // The version was not read as a number anywhere.
    assert!(shop.read("buildspec.yml").contains("golang: 1.22\n"));
}

fn a12_a_good_build_publishes_and_says_what_to_deploy() {
    let shop = given().fixed();
    let (built, log) = shop.built_locally(&[]);
    assert_eq!(built["status"], "SUCCEEDED", "{log}");
    let commit = built["commit"].as_str().unwrap();
    assert_eq!(images(&built), [format!("sbcntr-backend:{}", &commit[..7])]);
    let written: Value =
        serde_json::from_str(&artifact(&built, "imagedefinitions.json").unwrap()).unwrap();
    let uri = format!(
        "975141803454.dkr.ecr.ap-northeast-2.amazonaws.com/sbcntr-backend:{}",
        &commit[..7]
    );
    assert_eq!(written, json!([{"name": "app", "imageUri": uri}]));
}

/// The file is written after a failed build too, and kept: it says nothing without the build's own status.
fn a12_a_failed_build_publishes_nothing_whatever_it_writes() {
    let shop = given()
        .fixed()
        .with("Dockerfile", "make build-linux", "make build-windows");
    let (built, log) = shop.built_locally(&[]);
    assert_eq!(
        (&built["status"], failed(&built).as_str()),
        (&json!("FAILED"), "BUILD exit status 1"),
        "{log}"
    );
    assert_eq!(images(&built), Vec::<String>::new(), "{log}");
    assert!(log.contains("Login Succeeded"), "{log}");
    assert!(artifact(&built, "imagedefinitions.json").is_some(), "{log}");
}

fn a12_a_failed_validation_ends_before_anything_is_built() {
    let shop = given()
        .fixed()
        .with("main.sh", "hello from sbcntr", "hello from nobody");
    let (built, log) = shop.built_locally(&[]);
    assert_eq!(
        failed(&built).lines().next(),
        Some("PRE_BUILD exit status 2"),
        "{log}"
    );
    for unsaid in [
        "writing image",
        "Login Succeeded",
        "Entering phase POST_BUILD",
    ] {
        assert!(!log.contains(unsaid), "{unsaid}: {log}");
    }
}

/// Corrected as the linter says, with the tag that Towline gives, and the file written by a good build only.
async fn a12_the_shape_goes_from_push_to_prod() {
    let guarded =
        |command: &str| format!("if [ \"$CODEBUILD_BUILD_SUCCEEDING\" = 1 ]; then {command}; fi");
    let shop = given()
        .with("buildspec.yml", TAG, "export TAG=$IMAGE_TAG")
        .with("buildspec.yml", PUSH, &format!("'{}'", guarded(PUSH)))
        .with(
            "buildspec.yml",
            &format!("- {WRITE}"),
            &format!("- |\n          {}", guarded(WRITE)),
        );
    assert_eq!(
        shop.findings(&[]),
        "W016 buildspec.yml:20\nW041 appspec.yaml:9\n"
    );
    let shop = shop.built_by(&BUILD.replace(r#", "{sha7}""#, ""));
    let pushed = shop.pushed().await;
    assert_eq!(pushed.state, "succeeded", "{}\n{}", pushed.why, pushed.log);
    assert_eq!(
        pushed.held(&format!("{}-1", &pushed.commit[..7])).await,
        pushed.digest
    );
    assert!(phases(&pushed.log).contains(&"UPLOAD_ARTIFACTS SUCCEEDED".to_owned()));
    pushed.promoted().await;
}

/// What deployments of CodePipeline read, written only by a build that has pushed.
fn a12_what_to_deploy_is_written_by_a_good_build_alone() {
    let shop = given().built_by(
        r#"{preset: docker, test: [make validate], outputs: [imagedefinitions.json, imageDetail.json], container: app, tags: ["{sha7}-{build}"]}"#,
    );
    let (built, log) = shop.built_locally(&[]);
    assert_eq!(built["status"], "SUCCEEDED", "{log}");
    let output = |index: u8| -> Value {
        let text = built["exported"][format!("TOWLINE_OUTPUT_{index}")].as_str();
        serde_json::from_str(text.unwrap()).unwrap()
    };
    let uri = output(0)[0]["imageUri"].as_str().unwrap().to_owned();
    assert_eq!(output(0), json!([{"name": "app", "imageUri": uri}]));
    assert!(uri.ends_with(&images(&built)[0]), "{uri}: {log}");
    let digest = built["images"][0]["digest"].as_str().unwrap();
    let name = uri.rsplit_once(':').unwrap().0;
    assert_eq!(output(1), json!({"ImageURI": format!("{name}@{digest}")}));
    let broken = shop.with("Dockerfile", "make build-linux", "make build-windows");
    let (built, log) = broken.built_locally(&[]);
    assert_eq!(
        (&built["status"], &built["images"]),
        (&json!("FAILED"), &json!([])),
        "{log}"
    );
    assert!(
        !built["exported"].to_string().contains("TOWLINE_OUTPUT_"),
        "{built}"
    );
}
