//! Document A line by line: the buildspec of `sbcntr-backend` as a note shows it, and its role.

use expect_test::expect;
use serde_json::{Value, json};

use crate::harness::{Test, test};
use crate::shop::{Shop, images, phases};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!(a1_a_buildspec_is_generated_at_the_root_or_anywhere),
        test!(a2_the_document_as_given_is_refused_with_exact_findings),
        test!(async a2_a_push_of_the_document_as_given_builds_nothing_and_says_why),
        test!(a3_version_0_1_forgets_what_a_command_exported_and_nothing_of_ours_says_it),
        test!(a4_variables_arrive_as_text_and_shadowed_ones_are_found),
        test!(a5_docker_19_is_told_for_every_image_that_does_not_have_it),
        test!(a6_phases_outside_phases_would_build_nothing_and_pass),
        test!(a7_the_fixed_document_publishes_what_it_meant),
        test!(a7_the_account_is_given_where_the_document_asks_for_it),
        test!(a8_a_login_whose_left_side_fails_ends_before_the_build),
        test!(a9_the_address_of_the_image_is_put_together_by_us),
        test!(async a10_the_ledger_keeps_the_whole_commit_under_tags_that_tell_builds_apart),
        test!(a10_a_tag_from_nothing_fails_and_is_told_before),
        test!(async a11_an_image_says_which_commit_it_is_from),
        test!(a12_a_push_in_post_build_waits_for_a_good_build),
        test!(async a12_the_document_corrected_goes_from_push_to_prod),
    ]
}

/// The component that the document describes. Its tags are those that the document pushes, after one that
/// differs for each build.
const BUILD: &str = r#"{buildspec: buildspec.yml, tags: ["{sha7}-{build}", "{sha7}"]}"#;

const DOCKER: &str = r#"{preset: docker, tags: ["{sha}", "{sha7}-{build}"]}"#;

/// The line of the document that pushes, after `--fix`.
const GUARDED: &str = r#"'if [ "$CODEBUILD_BUILD_SUCCEEDING" = 1 ]; then docker push ${REPOSITORY_URI}:${IMAGE_TAG}; fi'"#;

/// What its owner adds for Towline: every tag that the definition promises, including the build's own.
const EACH_TAG: &str = r#"'[ "$CODEBUILD_BUILD_SUCCEEDING" = 0 ] || for tag in $IMAGE_TAGS; do docker image tag ${REPOSITORY_URI}:${IMAGE_TAG} ${REPOSITORY_URI}:$tag && docker image push ${REPOSITORY_URI}:$tag; done'"#;

/// What the generated buildspec logs in with.
const PASSWORD: &str = r#"aws ecr get-login-password --region "$AWS_DEFAULT_REGION""#;

fn shop() -> Shop {
    Shop::of("document-a", "sbcntr-backend", BUILD)
}

/// A buildspec with these commands in its phase `build`.
fn spec(commands: &[&str]) -> String {
    json!({"version": 0.2, "phases": {"build": {"commands": commands}}}).to_string()
}

fn a1_a_buildspec_is_generated_at_the_root_or_anywhere() {
    let shop = shop().built_by(DOCKER);
    let (_, printed) = shop.towline(&["generate", "buildspec", "app"]);
    for file in ["buildspec.yml", "other.yml"] {
        let arguments = ["generate", "buildspec", "app", "--output", file];
        assert_eq!(shop.towline(&arguments).0, 0, "{file}");
        assert_eq!(shop.read(file), printed);
        assert_eq!(shop.findings(&[file]), "");
    }
    let shop = shop.built_by("{buildspec: other.yml}");
    let (built, log) = shop.built_locally(&[]);
    assert_eq!(built["status"], "SUCCEEDED", "{log}");
}

/// The document as given is refused, with all its mistakes; corrected, it is what was meant.
fn a2_the_document_as_given_is_refused_with_exact_findings() {
    let shop = shop();
    expect![[r#"
        E001 buildspec.yml:4
        E010 buildspec.yml:12
        E002 buildspec.yml:14
        W020 buildspec.yml:17
        W020 buildspec.yml:17
        W031 buildspec.yml:20
        E002 buildspec.yml:21
        E002 buildspec.yml:24
        E003 buildspec.yml:26
    "#]]
    .assert_eq(&shop.findings(&[]));
    assert_eq!(shop.towline(&["lint"]).0, 1);
    let shop = shop.fixed();
    assert!(!shop.read("buildspec.yml").contains('\t'));
    expect![[r#"
        W020 buildspec.yml:14
        W020 buildspec.yml:14
        W031 buildspec.yml:17
    "#]]
    .assert_eq(&shop.findings(&[]));
    assert_eq!(shop.towline(&["lint", "--level", "error"]).0, 0);
}

async fn a2_a_push_of_the_document_as_given_builds_nothing_and_says_why() {
    let pushed = shop().pushed().await;
    assert_eq!(
        (pushed.state.as_str(), pushed.why.as_str()),
        (
            "not built",
            "refused: the buildspec cannot be used: line 4, column 1: YAML allows only \
             spaces for indentation: replace the tab with spaces"
        )
    );
    pushed.published_nothing().await;
}

fn a3_version_0_1_forgets_what_a_command_exported_and_nothing_of_ours_says_it() {
    let shop = shop().built_by(DOCKER);
    let (_, generated) = shop.towline(&["generate", "buildspec", "app"]);
    assert!(generated.starts_with("version: 0.2\n"), "{generated}");
    let shop = shop.built_by(BUILD);
    for (version, kept, findings) in [
        ("0.1", "kept: ''", "W018 buildspec.yml:1\n"),
        ("0.2", "kept: 'yes'", ""),
    ] {
        let commands = r#"["export KEPT=yes", "echo \"kept: '$KEPT'\""]"#;
        let text = format!("version: {version}\nphases: {{build: {{commands: {commands}}}}}\n");
        shop.write("buildspec.yml", &text);
        assert_eq!(shop.findings(&[]), findings);
        let (_, log) = shop.built_locally(&[]);
        assert!(log.contains(&format!("\n{kept}\n")), "{version}: {log}");
    }
}

fn a4_variables_arrive_as_text_and_shadowed_ones_are_found() {
    let shop = shop();
    shop.write(
        "buildspec.yml",
        "version: 0.2
env:
  variables:
    AWS_REGION_NAME: ap-northeast-2
    DOCKER_BUILDKIT: \"1\"
    NUMBER: 020
    AWS_DEFAULT_REGION: ap-northeast-2
    CODEBUILD_BUILD_ID: mine
phases:
  build: {commands: ['echo \"it is $AWS_REGION_NAME $DOCKER_BUILDKIT $NUMBER $CODEBUILD_BUILD_ID\"']}
",
    );
    assert_eq!(
        shop.findings(&[]),
        "W046 buildspec.yml:7\nW046 buildspec.yml:8\n"
    );
    let (built, log) = shop.built_locally(&[]);
    assert_eq!(built["status"], "SUCCEEDED", "{log}");
    assert!(
        log.contains("\nit is ap-northeast-2 1 020 towline-local-shop-app:"),
        "{log}"
    );
}

fn a5_docker_19_is_told_for_every_image_that_does_not_have_it() {
    let shop = shop();
    shop.write(
        "buildspec.yml",
        "version: 0.2
phases:
  install: {runtime-versions: {docker: 19}}
  build: {commands: [make]}
",
    );
    for (image, findings) in [
        ("aws/codebuild/standard:5.0", "E010 buildspec.yml:3\n"),
        ("aws/codebuild/standard:7.0", "E010 buildspec.yml:3\n"),
        ("aws/codebuild/standard:8.0", "E010 buildspec.yml:3\n"),
        (
            "aws/codebuild/amazonlinux-x86_64-standard:5.0",
            "E010 buildspec.yml:3\n",
        ),
        (
            "aws/codebuild/amazonlinux2-x86_64-standard:4.0",
            "E010 buildspec.yml:3\n",
        ),
        (
            "aws/codebuild/amazonlinux2-aarch64-standard:3.0",
            "E010 buildspec.yml:3\n",
        ),
        ("aws/codebuild/amazonlinux2-aarch64-standard:2.0", ""),
    ] {
        assert_eq!(shop.findings(&["--image", image]), findings, "{image}");
    }
    let shop = shop.fixed();
    assert!(!shop.read("buildspec.yml").contains("docker: 19"));
}

/// CodeBuild ignores them and the build is green; here nothing runs until they are in the right place.
fn a6_phases_outside_phases_would_build_nothing_and_pass() {
    let shop = shop();
    let spaces = shop.read("buildspec.yml").replace('\t', "  ");
    shop.write("buildspec.yml", &spaces);
    let told = shop.findings(&[]);
    assert_eq!(told.matches("E002").count(), 3, "{told}");
    let why = "line 14, column 1: `pre_build` is outside `phases` and would never run";
    let (status, refused) = shop.towline(&["build", "--local"]);
    assert_eq!((status, refused.contains(why)), (1, true), "{refused}");
    let (failed, log) = shop.fails_locally(&["--spec", "buildspec.yml"]);
    assert!(
        failed.starts_with("DOWNLOAD_SOURCE YAML_FILE_ERROR") && failed.contains(why),
        "{failed}"
    );
    assert!(!log.contains("Running command"), "{log}");
    let (built, log) = shop.fixed().built_locally(&[]);
    assert_eq!(images(&built).len(), 1, "{log}");
}

/// The document asks `sts` for the account. Towline puts the registry's address, which has it, into the
/// environment.
fn a7_the_account_is_given_where_the_document_asks_for_it() {
    let shop = shop().fixed().without_sts();
    let (failed, log) = shop.fails_locally_for_want_of("sts get-caller-identity");
    assert!(failed.starts_with("PRE_BUILD "), "{failed}: {log}");
    let (built, log) = shop.built_by(DOCKER).built_locally(&[]);
    assert_eq!(built["status"], "SUCCEEDED", "{log}");
    assert_eq!(images(&built).len(), 2, "{log}");
}

/// What the document means: an image under the commit's short hash in the component's repository.
fn a7_the_fixed_document_publishes_what_it_meant() {
    let shop = shop().fixed();
    let (built, log) = shop.built_locally(&[]);
    let commit = built["commit"].as_str().unwrap();
    assert_eq!(
        images(&built),
        [format!("sbcntr-backend:{}", &commit[..7])],
        "{log}"
    );
    assert_eq!(built["status"], "SUCCEEDED", "{log}");
}

fn a8_a_login_whose_left_side_fails_ends_before_the_build() {
    let given = shop().fixed();
    let corrected = given.read("buildspec.yml");
    assert_eq!(given.findings(&[]).matches("W020").count(), 2);
    let broken = corrected.replace("get-login-password", "get-login");
    given.write("buildspec.yml", &broken);
    let (failed, log) = given.fails_locally(&[]);
    assert_eq!(failed, "PRE_BUILD exit status 1", "{log}");
    assert!(!log.contains("Entering phase BUILD"), "{log}");
    // The generated one says so even where `docker login` takes an empty password.
    let generated = given.built_by(DOCKER);
    let (_, text) = generated.towline(&["generate", "buildspec", "app"]);
    let careless = text.replace(PASSWORD, "false");
    let careless = careless.replace("docker login", "true docker login");
    assert_eq!(
        careless.matches("false | true docker login").count(),
        1,
        "{text}"
    );
    let generated = generated.built_by("{buildspec: other.yml}");
    generated.write("other.yml", &careless);
    let (failed, log) = generated.fails_locally(&[]);
    assert!(failed.starts_with("PRE_BUILD "), "{failed}: {log}");
}

fn a9_the_address_of_the_image_is_put_together_by_us() {
    let shop = shop().built_by(DOCKER);
    let (_, text) = shop.towline(&["generate", "buildspec", "app"]);
    let composed = r#""$ECR_REGISTRY/$IMAGE_REPO:"#;
    assert!(text.contains(composed), "{text}");
    assert!(!text.contains("dkr.ecr"), "{text}");
    // The document puts this address together by hand.
    let asks = "{inline: 'version: 0.2\n\n      phases: {build: {commands: [\"echo at $ECR_REGISTRY/$IMAGE_REPO\"]}}'}";
    let (built, log) = shop.built_by(asks).built_locally(&[]);
    let address = log
        .lines()
        .find_map(|line| line.strip_prefix("at "))
        .unwrap();
    let (registry, repository) = address.split_once('/').unwrap();
    assert!(registry.starts_with("127.0.0.1:"), "{address}");
    assert_eq!(
        (repository, &built["status"]),
        ("sbcntr-backend", &json!("SUCCEEDED"))
    );
    let (built, log) = self::shop().built_by(DOCKER).built_locally(&[]);
    let commit = built["commit"].as_str().unwrap();
    let expected = [
        format!("sbcntr-backend:{}-0", &commit[..7]),
        format!("sbcntr-backend:{commit}"),
    ];
    assert_eq!(images(&built), expected, "{log}");
}

async fn a10_the_ledger_keeps_the_whole_commit_under_tags_that_tell_builds_apart() {
    let pushed = shop().built_by(DOCKER).pushed().await;
    assert_eq!(pushed.state, "succeeded", "{}\n{}", pushed.why, pushed.log);
    let commit = pushed.commit.clone();
    let tags = pushed.ask("tags?component=app").await;
    let image = &tags["images"][0];
    assert_eq!(image["commit"], commit.as_str(), "{tags}");
    let expected = json!([format!("{}-1", &commit[..7]), commit]);
    assert_eq!(sorted(&image["tags"]), sorted(&expected), "{tags}");
    assert_eq!(pushed.held(&commit).await, pushed.digest);
}

fn sorted(list: &Value) -> Vec<String> {
    let mut list: Vec<String> = serde_json::from_value(list.clone()).unwrap();
    list.sort();
    list
}

fn a10_a_tag_from_nothing_fails_and_is_told_before() {
    let shop = shop();
    let commands = [
        "docker image build -t sbcntr-backend:${LATER} .",
        "export LATER=1",
    ];
    shop.write("buildspec.yml", &spec(&commands));
    assert_eq!(shop.findings(&[]), "E017 buildspec.yml:1\n");
    let (failed, log) = shop.fails_locally(&[]);
    assert_eq!(failed, "BUILD exit status 1");
    assert!(
        log.contains("invalid reference format: sbcntr-backend:\n"),
        "{log}"
    );
}

async fn a11_an_image_says_which_commit_it_is_from() {
    let build = r#"{preset: docker, context: web, target: shop, args: {GREETING: "hello $(id)"}, tags: ["{sha7}-{build}"]}"#;
    let shop = shop().built_by(build);
    shop.write(
        "web/Dockerfile",
        "FROM scratch AS shop\nARG GREETING\nLABEL greeting=\"$GREETING\"\nCOPY page /\nFROM scratch AS other\n",
    );
    shop.write("web/page", "Shop\n");
    let pushed = shop.pushed().await;
    assert_eq!(pushed.state, "succeeded", "{}\n{}", pushed.why, pushed.log);
    let labels = pushed.labels(&format!("{}-1", &pushed.commit[..7])).await;
    let said = |name: &str| labels[format!("org.opencontainers.image.{name}")].clone();
    assert_eq!(said("revision"), pushed.commit.as_str());
    assert_eq!(said("source"), "https://github.com/local/shop");
    assert!(said("created").as_str().is_some_and(|at| at.ends_with('Z')));
    assert_eq!(labels["greeting"], "hello $(id)");
}

fn a12_a_push_in_post_build_waits_for_a_good_build() {
    let shop = shop();
    assert!(shop.findings(&[]).ends_with("E003 buildspec.yml:26\n"));
    let shop = shop.fixed().with("Dockerfile", "index.html", "no.html");
    assert!(shop.read("buildspec.yml").contains(GUARDED));
    let (failed, log) = shop.fails_locally(&[]);
    assert_eq!(failed, "BUILD exit status 1", "{log}");
    assert_eq!(
        phases(&log)[5..7],
        ["POST_BUILD SUCCEEDED", "UPLOAD_ARTIFACTS SUCCEEDED"]
    );
    // Unchanged, the push runs.
    let unguarded = "docker push ${REPOSITORY_URI}:${IMAGE_TAG}";
    let shop = shop.with("buildspec.yml", GUARDED, unguarded);
    let (failed, log) = shop.fails_locally(&[]);
    assert_eq!(failed, "BUILD exit status 1\nPOST_BUILD exit status 1");
    assert!(
        log.contains("No such image: 975141803454.dkr.ecr."),
        "{log}"
    );
}

/// Corrected, and with the tags that the ledger waits for, it goes all the way; both tags are one image.
async fn a12_the_document_corrected_goes_from_push_to_prod() {
    let both = format!("{GUARDED}\n      - {EACH_TAG}");
    let shop = shop().fixed().with("buildspec.yml", GUARDED, &both);
    let pushed = shop.pushed().await;
    assert_eq!(pushed.state, "succeeded", "{}\n{}", pushed.why, pushed.log);
    let short = &pushed.commit[..7];
    let tags = pushed.ask("tags?component=app").await;
    let expected = json!([short, format!("{short}-1")]);
    assert_eq!(
        sorted(&tags["images"][0]["tags"]),
        sorted(&expected),
        "{tags}"
    );
    assert_eq!(tags["images"].as_array().map(Vec::len), Some(1));
    assert_eq!(pushed.held(short).await, pushed.digest);
    pushed.promoted().await;
}
