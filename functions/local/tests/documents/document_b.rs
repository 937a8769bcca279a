//! Document B line by line: the chapter of a book about building `todobackend` with CodeBuild.

use std::fs;

use serde_json::json;

use crate::common::{client, deliver, deliver_as};
use crate::harness::{Need, Test, test};
use crate::shop::{Shop, images, phases};
use crate::todobackend::{IMAGES, MAKE, OWN, corrected, given};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!(async b2_a_repository_with_a_slash_is_found_everywhere),
        test!(b4_the_login_of_version_1_is_found_and_fails_loudly),
        test!(b4_the_login_that_lint_advises_works).needs(Need::Make),
        test!(async b5_the_digest_is_the_identity),
        test!(b6_a_buildspec_is_a_file_of_the_source_the_projects_or_given_on_demand),
        test!(b8_a_version_and_phases_have_to_be_there),
        test!(b9_a_generated_buildspec_logs_in_works_and_cleans_up),
        test!(b10_every_finding_names_the_page_that_says_so),
        test!(b11_the_daemon_started_by_hand_is_found_and_fails),
        test!(b11_the_fixed_buildspec_finds_the_daemon_that_runs).needs(Need::Make),
        test!(b12_a_tag_has_no_colon_and_what_is_made_of_a_branch_is_one),
        test!(async b13_the_ledger_knows_commit_and_build_of_a_version).needs(Need::Make),
        test!(b14_git_in_the_makefile_is_found_unless_the_version_is_given),
        test!(b14_a_build_without_git_takes_the_version_it_is_given).needs(Need::Make),
        test!(async b15_a_build_runs_at_the_commit_of_its_webhook_wherever_the_branch_goes),
        test!(b16_login_is_the_makefiles_when_asked_for),
        test!(b16_a_login_that_fails_stops_the_build).needs(Need::Make),
        test!(b19_a_publish_after_the_build_is_found),
        test!(b19_artifacts_of_a_failed_build_are_kept).needs(Need::Make),
        test!(b20_each_phase_is_shown_with_how_it_ended_and_how_long_it_took).needs(Need::Make),
        test!(async b20_the_phases_of_a_push_are_in_its_log_and_the_failed_one_is_named),
        test!(async b21_a_default_branch_may_be_called_master),
        test!(async b22_branches_are_built_and_tested_when_they_are_named),
        test!(async b22_a_pull_request_starts_no_run),
        test!(async b23_a_signed_push_starts_a_run_and_nothing_else_does),
        test!(async b24_the_build_runs_the_workflow_of_the_pushed_commit),
        test!(b25_a_definition_to_begin_with_is_guessed_from_what_a_folder_holds),
        test!(async b25_a_guessed_definition_goes_to_prod_unedited),
        test!(async b25_the_guess_for_a_makefile_hands_over_its_version).needs(Need::Make),
    ]
}

/// The smallest component: an image from files, without Docker.
const PACK: &str = r#"{preset: pack, root: src, tags: ["{sha7}-{build}", latest]}"#;

fn pack() -> Shop {
    Shop::of("todobackend", "docker-in-aws/todobackend", PACK)
}

/// A buildspec of these commands, built instead of the component's own; the failure and the log.
fn fails(commands: &[&str]) -> (String, String) {
    let shop = pack();
    let spec = json!({"version": 0.2, "phases": {"pre_build": {"commands": commands}}});
    shop.write("other.yml", &spec.to_string());
    shop.fails_locally(&["--spec", "other.yml"])
}

async fn b2_a_repository_with_a_slash_is_found_everywhere() {
    let pushed = pack().pushed().await;
    assert_eq!(pushed.state, "succeeded", "{}\n{}", pushed.why, pushed.log);
    let digest = pushed.digest.clone().unwrap();
    assert_eq!(pushed.held("latest").await.as_ref(), Some(&digest));
    for path in [
        "image?image=:latest".to_owned(),
        format!("image?image={digest}"),
    ] {
        let image = pushed.ask(&path).await;
        let found = image["images"][0]["repository"].as_str();
        assert_eq!(found, Some("docker-in-aws/todobackend"), "{path}: {image}");
    }
    pushed.promoted().await;
}

fn b4_the_login_of_version_1_is_found_and_fails_loudly() {
    let shop = given(OWN);
    assert!(shop.findings(&[]).contains("E011 Makefile:9\n"));
    let commands = ["eval $(aws ecr get-login --no-include-email)"];
    shop.write(
        "buildspec.yml",
        &json!({"version": 0.2, "phases": {"build": {"commands": commands}}}).to_string(),
    );
    assert_eq!(shop.findings(&["buildspec.yml"]), "E011 buildspec.yml:1\n");
    let (failed, log) = fails(&["$(aws ecr get-login --no-include-email)", "docker info"]);
    assert_eq!(failed, "PRE_BUILD exit status 252", "{log}");
    assert!(log.contains("Found invalid choice 'get-login'"), "{log}");
}

fn b4_the_login_that_lint_advises_works() {
    let (built, log) = corrected(OWN).built_locally(&[]);
    assert!(
        log.contains("Login Succeeded") && built["status"] == "SUCCEEDED",
        "{log}"
    );
}

/// `latest` moves; the ledger keeps the digest.
async fn b5_the_digest_is_the_identity() {
    let first = pack().pushed().await;
    let before = first.digest.clone().unwrap();
    assert_eq!(first.held("latest").await.as_ref(), Some(&before));
    let second = first.again("src/more.txt", "more\n").await;
    let after = second.digest.clone().unwrap();
    assert_ne!(before, after);
    assert_eq!(second.held("latest").await.as_ref(), Some(&after));
    let tags = second.ask("tags?component=app").await;
    let digests: Vec<&str> = tags["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["digest"].as_str().unwrap())
        .collect();
    assert_eq!(digests, [after.as_str(), before.as_str()], "{tags}");
}

fn b6_a_buildspec_is_a_file_of_the_source_the_projects_or_given_on_demand() {
    let shop = pack();
    let spec = |word: &str| {
        format!("version: 0.2\nphases: {{build: {{commands: [echo it is {word}]}}}}\n")
    };
    shop.write("ci/deep/build.yml", &spec("the file"));
    shop.write("given.yml", &spec("on demand"));
    let project =
        "{inline: \"version: 0.2\\nphases: {build: {commands: [echo it is of the project]}}\\n\"}";
    for (build, further, said) in [
        ("{buildspec: ci/deep/build.yml}", &[][..], "it is the file"),
        (project, &[], "it is of the project"),
        (
            "{buildspec: ci/deep/build.yml}",
            &["--spec", "given.yml"],
            "it is on demand",
        ),
        (project, &["--spec", "given.yml"], "it is on demand"),
    ] {
        shop.write(".towline.yml", &format!("version: 1\npipeline: shop\ncomponents: {{app: {{repository: acme/app, build: {build}}}}}\n"));
        let (_, log) = shop.built_locally(further);
        let lines: Vec<&str> = log
            .lines()
            .filter(|line| line.starts_with("it is "))
            .collect();
        assert_eq!(lines, [said], "{build} {further:?}: {log}");
        // The text that a run uses without `--spec` can be seen before.
        let (_, shown) = shop.towline(&["generate", "buildspec", "app"]);
        let own = further.is_empty().then_some(said);
        assert!(
            own.is_none_or(|said| shown.contains(said)),
            "{build}: {shown}"
        );
        assert!(!shown.contains("on demand"), "{build}: {shown}");
    }
}

fn b8_a_version_and_phases_have_to_be_there() {
    let shop = pack().built_by("{buildspec: other.yml}");
    for (text, told) in [
        (
            "phases: {build: {commands: ['true']}}\n",
            "E005 other.yml:1\n",
        ),
        ("version: 0.2\n", "E005 other.yml:1\n"),
    ] {
        shop.write("other.yml", text);
        assert_eq!(shop.findings(&["other.yml"]), told, "{text}");
        let (status, refused) = shop.towline(&["generate", "buildspec", "app"]);
        assert_eq!(status, 1, "{text}: {refused}");
    }
}

fn b9_a_generated_buildspec_logs_in_works_and_cleans_up() {
    let shop = given(r#"{preset: docker, dockerfile: Dockerfile, tags: ["{sha7}-{build}"]}"#);
    shop.write("Dockerfile", "FROM scratch\nCOPY src /src\n");
    let (built, log) = shop.built_locally(&[]);
    assert_eq!(built["status"], "SUCCEEDED", "{log}");
    // Everything happens in its phase, in this order.
    let order = [
        "Entering phase PRE_BUILD\n",
        "\nLogin Succeeded\n",
        "Entering phase BUILD\n",
        "\nwriting image sha256:",
        ": digest: sha256:",
        "Entering phase POST_BUILD\n",
        "\nRemoving login credentials for ",
    ];
    let mut rest = log.as_str();
    for said in order {
        let (_, after) = rest
            .split_once(said)
            .unwrap_or_else(|| panic!("{said:?} is not in its place: {log}"));
        rest = after;
    }
    assert!(!rest.contains(": digest: sha256:"), "{log}");
    let (_, text) = given(MAKE).towline(&["generate", "buildspec", "app"]);
    let (_, after) = text.split_once("  post_build:\n").unwrap();
    assert!(
        after.contains("make logout") && !after.contains("make publish"),
        "{text}"
    );
}

fn b10_every_finding_names_the_page_that_says_so() {
    let (_, report) = given(OWN).json(&["lint"]);
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.len() > 3, "{report}");
    for finding in findings {
        let page = finding["help"].as_str().unwrap();
        assert!(
            page.starts_with("https://docs.aws.amazon.com/"),
            "{finding}"
        );
    }
}

fn b11_the_daemon_started_by_hand_is_found_and_fails() {
    let shop = given(OWN);
    assert_eq!(
        shop.findings(&[]),
        "W014 buildspec.yml:6\nE013 buildspec.yml:6\nE012 buildspec.yml:7\nE011 Makefile:9\n"
    );
    for (privileged, told) in [("no", 1), ("yes", 0)] {
        let findings = shop.findings(&["--privileged", privileged]);
        assert_eq!(
            findings.matches("E015 buildspec.yml").count(),
            told,
            "{findings}"
        );
    }
    let (failed, log) = shop.fails_locally(&[]);
    assert_eq!(
        failed.lines().next(),
        Some("PRE_BUILD exit status 125"),
        "{log}"
    );
    assert!(log.contains("invalid option -- 't'"), "{log}");
}

/// The old driver fails in the background, and the daemon is there already.
fn b11_the_fixed_buildspec_finds_the_daemon_that_runs() {
    let (built, log) = corrected(OWN).built_locally(&[]);
    assert_eq!(built["status"], "SUCCEEDED", "{log}");
    assert!(
        log.contains("the overlay storage-driver has been removed"),
        "{log}"
    );
}

fn b12_a_tag_has_no_colon_and_what_is_made_of_a_branch_is_one() {
    let shop = pack();
    let command = "docker image build -t shop:$CODEBUILD_BUILD_ID .";
    shop.write(
        "other.yml",
        &json!({"version": 0.2, "phases": {"build": {"commands": [command]}}}).to_string(),
    );
    assert_eq!(shop.findings(&["other.yml"]), "E016 other.yml:1\n");
    let (failed, log) = fails(&[command]);
    assert_eq!(failed, "PRE_BUILD exit status 1");
    assert!(
        log.contains("invalid reference format: shop:towline-local-shop-app:"),
        "{log}"
    );
    let shop =
        pack().built_by(r#"{preset: pack, root: src, tags: ["{branch_slug}-{build_uuid}"]}"#);
    shop.commit();
    shop.git(&["checkout", "--quiet", "-b", "feature/a+b#1"]);
    let (built, log) = shop.built_locally(&[]);
    let names = images(&built);
    let tag = names[0]
        .rsplit_once(':')
        .map(|(_, tag)| tag)
        .unwrap_or_else(|| panic!("{log}"));
    assert!(
        tag.starts_with("feature-a-b-1--") && tag.len() <= 128,
        "{tag}"
    );
}

async fn b13_the_ledger_knows_commit_and_build_of_a_version() {
    let pushed = corrected(MAKE).pushed().await;
    assert_eq!(pushed.state, "succeeded", "{}\n{}", pushed.why, pushed.log);
    let tags = pushed.ask("tags?component=app").await;
    let tags = tags["images"][0]["tags"].as_array().unwrap().iter();
    let version = tags
        .map(|tag| tag.as_str().unwrap())
        .find(|tag| tag.len() == 77)
        .unwrap();
    let image = pushed.ask(&format!("image?image=:{version}")).await;
    let found = &image["images"][0]["built"];
    assert_eq!(
        (&found["commit"], &found["build_number"]),
        (&json!(pushed.commit), &json!(1)),
        "{image}"
    );
}

fn b14_git_in_the_makefile_is_found_unless_the_version_is_given() {
    let asks = "export APP_VERSION=$CODEBUILD_RESOLVED_SOURCE_VERSION.$BUILD_ID";
    let shop = given(OWN).with("buildspec.yml", asks, "true");
    let told = shop.findings(&["--codepipeline"]);
    assert!(told.contains("W030 Makefile:3\n"), "{told}");
    for build in [OWN, MAKE] {
        let told = given(build).findings(&["--codepipeline"]);
        assert!(!told.contains("W030"), "{build}: {told}");
    }
}

/// Through CodePipeline there is no `.git`: the Makefile's own version is empty then, and ours is the
/// build's.
fn b14_a_build_without_git_takes_the_version_it_is_given() {
    // As in a source without Git's files: they are removed by the first target, and Git looks nowhere else.
    let without_git = |build: &str| {
        let gone = "test:\n\trm -rf .git\n";
        corrected(build).with("Makefile", "test:\n", gone)
    };
    let given = MAKE.replace("env: {", "env: {GIT_DIR: .git, ");
    let (built, log) = without_git(&given).built_locally(&[]);
    assert_eq!(built["status"], "SUCCEEDED", "{log}");
    assert!(!log.contains("not a git repository"), "{log}");
    let commit = built["commit"].as_str().unwrap();
    let versions = images(&built);
    assert!(
        versions
            .iter()
            .any(|name| name.contains(&format!(":{commit}."))),
        "{versions:?}"
    );
    // On its own, the Makefile finds no version, and nothing is published.
    let asks = "export APP_VERSION=$CODEBUILD_RESOLVED_SOURCE_VERSION.$BUILD_ID";
    let shop = without_git(OWN).with("buildspec.yml", asks, "export GIT_DIR=.git");
    let (failed, log) = shop.fails_locally(&[]);
    assert!(failed.starts_with("BUILD exit status 2"), "{failed}: {log}");
    assert!(log.contains("not a git repository"), "{log}");
    assert!(!log.contains(": digest: sha256:"), "{log}");
}

/// A force-push while a build runs does not move it: it builds the commit of its webhook, says so in
/// every variable, and its image is that commit's. A build of another commit is held, which the tests of
/// `run` in the domain check.
async fn b15_a_build_runs_at_the_commit_of_its_webhook_wherever_the_branch_goes() {
    let shop = pack();
    let run = [
        format!("touch {}", shop.mark("runs")),
        format!("until [ -e {} ]; do sleep 0.05; done", shop.mark("go")),
        r#"echo "at $CODEBUILD_RESOLVED_SOURCE_VERSION $CODEBUILD_SOURCE_VERSION $(git rev-parse HEAD) $GIT_SHA""#
            .to_owned(),
    ];
    let build = json!({"preset": "pack", "run": run, "root": "src", "tags": ["{sha7}-{build}"]});
    let shop = shop.built_by(&build.to_string());
    let force = |shop: &Shop| {
        let pushed = shop.git(&["rev-parse", "HEAD"]);
        shop.git(&["commit", "--quiet", "--amend", "-m", "Something else"]);
        assert_ne!(shop.git(&["rev-parse", "main"]), pushed);
    };
    let pushed = shop.pushed_and_meanwhile(force).await;
    assert_eq!(pushed.state, "succeeded", "{}\n{}", pushed.why, pushed.log);
    let commit = &pushed.commit;
    let line = format!("\nat {commit} {commit} {commit} {commit}\n");
    assert!(pushed.log.contains(&line), "{}", pushed.log);
    let tags = pushed.ask("tags?component=app").await;
    assert_eq!(tags["images"][0]["commit"], commit.as_str(), "{tags}");
    let tag = format!("{}-1", &commit[..7]);
    assert_eq!(pushed.held(&tag).await, pushed.digest);
}

fn b16_login_is_the_makefiles_when_asked_for() {
    let shop = given(MAKE);
    let (_, text) = shop.towline(&["generate", "buildspec", "app"]);
    assert!(
        text.contains("make login") && !text.contains("docker login"),
        "{text}"
    );
    let logging_in = MAKE.replace(", login: make", "");
    let (_, text) = given(&logging_in).towline(&["generate", "buildspec", "app"]);
    assert!(
        !text.contains("make login") && text.contains("docker login"),
        "{text}"
    );
}

fn b16_a_login_that_fails_stops_the_build() {
    let (failed, log) = given(MAKE).fails_locally(&[]);
    assert_eq!(
        failed.lines().next(),
        Some("PRE_BUILD exit status 2"),
        "{log}"
    );
    assert!(!log.contains("make test"), "{log}");
}

fn b19_a_publish_after_the_build_is_found() {
    let shop = given(OWN).with("buildspec.yml", "- make logout", "- make publish");
    assert!(
        shop.findings(&[]).contains("E003 buildspec.yml:20\n"),
        "{}",
        shop.findings(&[])
    );
}

/// An artifact is worthless without the build's status.
fn b19_artifacts_of_a_failed_build_are_kept() {
    let shop = corrected(OWN).with(
        "buildspec.yml",
        "      - make publish\n      - make version > version.json\n",
        "      - make version > version.json\n      - false\n",
    );
    let (built, log) = shop.built_locally(&[]);
    assert_eq!(built["status"], "FAILED", "{log}");
    let folder = built["artifacts"].as_str().unwrap();
    assert!(
        std::path::Path::new(folder)
            .join("main/version.json")
            .exists(),
        "{log}"
    );
}

fn b20_each_phase_is_shown_with_how_it_ended_and_how_long_it_took() {
    let (built, log) = corrected(OWN).built_locally(&[]);
    let all = built["phases"].as_array().unwrap().iter();
    let names: Vec<&str> = all
        .clone()
        .map(|phase| phase["phase"].as_str().unwrap())
        .collect();
    assert_eq!(
        names.join(" "),
        "SUBMITTED QUEUED PROVISIONING DOWNLOAD_SOURCE INSTALL PRE_BUILD BUILD POST_BUILD UPLOAD_ARTIFACTS FINALIZING"
    );
    let seconds: f64 = all.map(|phase| phase["seconds"].as_f64().unwrap()).sum();
    assert!(seconds <= built["seconds"].as_f64().unwrap(), "{built}");
    let ended = phases(&log);
    assert_eq!(
        ended[2..5],
        [
            "INSTALL SUCCEEDED",
            "PRE_BUILD SUCCEEDED",
            "BUILD SUCCEEDED"
        ]
    );
}

/// A pushed build shows its phases in its log, and `commit` names the one that failed.
async fn b20_the_phases_of_a_push_are_in_its_log_and_the_failed_one_is_named() {
    let pushed = pack().pushed().await;
    let order = [
        "SUBMITTED",
        "QUEUED",
        "PROVISIONING",
        "DOWNLOAD_SOURCE",
        "INSTALL",
        "PRE_BUILD",
        "BUILD",
        "POST_BUILD",
        "UPLOAD_ARTIFACTS",
        "FINALIZING",
    ];
    let ended = phases(&pushed.log);
    let shown: Vec<String> = order
        .iter()
        .map(|phase| format!("{phase} SUCCEEDED"))
        .filter(|phase| ended.contains(phase))
        .collect();
    assert_eq!(ended, shown, "{}", pushed.log);
    for phase in &order[3..9] {
        assert!(ended.contains(&format!("{phase} SUCCEEDED")), "{ended:?}");
    }
    let build = r#"{preset: pack, run: ["exit 7"], root: src, tags: ["{sha7}-{build}"]}"#;
    let failed = pack().built_by(build).pushed().await;
    let said = "build#1 ended FAILED: BUILD: COMMAND_EXECUTION_ERROR";
    assert!(failed.why.starts_with(said), "{}", failed.why);
    assert!(
        phases(&failed.log).contains(&"BUILD FAILED".to_owned()),
        "{}",
        failed.log
    );
    let told = failed.told(&["commit", &failed.commit]);
    assert!(told.to_string().contains(said), "{told}");
}

async fn b21_a_default_branch_may_be_called_master() {
    let pushed = pack().pushed_as("master").await;
    assert_eq!(pushed.state, "succeeded", "{}\n{}", pushed.why, pushed.log);
    pushed.promoted().await;
}

/// The definition decides whether a branch is built; `now` and `why` show the result.
async fn b22_branches_are_built_and_tested_when_they_are_named() {
    let pushed = pack().pushed_beside("feature/cart").await;
    let why = "feature/cart is not the default branch, and source.branches is not set";
    assert_eq!(
        (pushed.state.as_str(), pushed.why.as_str()),
        ("not built", why)
    );
    let source = "pipeline: shop\nsource: {branches: [main, \"feature/**\"]}\n";
    let tested = PACK.replace("root: src", "root: src, test: [sh test.sh]");
    for (test, state) in [("exit 0\n", "succeeded"), ("exit 1\n", "failed")] {
        let shop = pack()
            .built_by(&tested)
            .with(".towline.yml", "pipeline: shop\n", source);
        shop.write("test.sh", test);
        let pushed = shop.pushed_beside("feature/cart").await;
        assert_eq!(pushed.state, state, "{}\n{}", pushed.why, pushed.log);
    }
}

/// Pull requests are not built yet: their event is recognized, and starts nothing.
async fn b22_a_pull_request_starts_no_run() {
    let pushed = pack().pushed().await;
    let body = json!({
        "action": "opened", "number": 1,
        "pull_request": {"number": 1, "head": {"ref": "feature/cart", "sha": pushed.commit}},
        "repository": {"id": 1, "name": "shop", "full_name": "local/shop"},
        "sender": {"login": "kim", "id": 1},
    });
    let taken = deliver_as(
        &client(),
        pushed.url(),
        "pull_request",
        body.to_string(),
        None,
    )
    .await;
    assert_eq!(taken, Ok(200));
    let runs = pushed.ask("runs").await;
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(1), "{runs}");
}

async fn b23_a_signed_push_starts_a_run_and_nothing_else_does() {
    let pushed = pack().pushed().await;
    let (url, body) = (pushed.url(), pushed.body());
    let client = client();
    let forged = format!("sha256={}", "0".repeat(64));
    assert_eq!(
        deliver(&client, url, body.clone(), Some(forged)).await,
        Ok(401)
    );
    // The same push again is no second run.
    assert_eq!(deliver(&client, url, body, None).await, Ok(200));
    let runs = pushed.ask("runs").await;
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(1), "{runs}");
}

/// The workflow does not depend on AWS: the text that the builds port receives is what runs here, and
/// CodeBuild receives the same by `StartBuild`, as the adapter's own tests check.
async fn b24_the_build_runs_the_workflow_of_the_pushed_commit() {
    let shop = pack().built_by(r#"{buildspec: ci.yml, tags: ["{sha7}-{build}"]}"#);
    shop.write(
        "ci.yml",
        "version: 0.2
phases:
  pre_build: {commands: [echo one]}
  build: {commands: [echo two, exit 3]}
  post_build: {commands: [echo three]}
",
    );
    let pushed = shop.pushed().await;
    assert_eq!(pushed.state, "failed", "{}", pushed.log);
    let ran = pushed
        .log
        .lines()
        .filter_map(|line| line.split_once("Running command "));
    let ran: Vec<&str> = ran.map(|(_, command)| command).collect();
    assert_eq!(ran, ["echo one", "echo two", "exit 3", "echo three"]);
}

/// The console asks questions; here a folder is read. Its content decides the preset, and every
/// guess is valid. Nobody is asked for a repository or a branch, and no GitHub App is created: that
/// does not exist yet.
fn b25_a_definition_to_begin_with_is_guessed_from_what_a_folder_holds() {
    let shop = corrected(MAKE);
    for (gone, expected) in [
        (None, "buildspec: buildspec.yml"),
        (
            Some("buildspec.yml"),
            "make: {build: [test, release, publish], always: [clean, logout], login: make}",
        ),
        (Some("Makefile"), "preset: docker"),
        (Some("Dockerfile"), "preset: pack"),
    ] {
        if let Some(file) = gone {
            fs::remove_file(shop.folder().join(file)).unwrap();
        }
        let (status, text) = shop.towline(&["generate", "definition"]);
        assert_eq!(status, 0, "{text}");
        assert!(text.contains(expected), "{expected} in {text}");
        shop.write(".towline.yml", &text);
        let (status, said) = shop.towline(&["validate"]);
        assert_eq!(status, 0, "{expected}: {said}");
    }
}

async fn b25_a_guessed_definition_goes_to_prod_unedited() {
    let shop = Shop::of("document-a", "local/shop", "{}");
    fs::remove_file(shop.folder().join("buildspec.yml")).unwrap();
    let (status, text) = shop.towline(&["generate", "definition"]);
    assert_eq!(status, 0, "{text}");
    shop.write(".towline.yml", &text);
    let pushed = shop.pushed().await;
    assert_eq!(pushed.state, "succeeded", "{}\n{}", pushed.why, pushed.log);
    pushed.promoted().await;
}

/// Only the image repository and `latest` are this test's: the Makefile pushes to its own.
async fn b25_the_guess_for_a_makefile_hands_over_its_version() {
    let shop = corrected(MAKE);
    fs::remove_file(shop.folder().join("buildspec.yml")).unwrap();
    let (_, text) = shop.towline(&["generate", "definition"]);
    for part in [
        r#"env: {APP_VERSION: "{sha}.{build_uuid}"}"#,
        "outputs: [version.json]",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let text = text.replace("local/shop", IMAGES);
    let text = text.replace(r#""{env.APP_VERSION}"]"#, r#""{env.APP_VERSION}", latest]"#);
    shop.write(".towline.yml", &text);
    let pushed = shop.pushed().await;
    assert_eq!(pushed.state, "succeeded", "{}\n{}", pushed.why, pushed.log);
    pushed.promoted().await;
}
