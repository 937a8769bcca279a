//! Document B line by line: the chapter of a book about building `todobackend` with CodeBuild.

use serde_json::json;

use crate::common::{client, deliver};
use crate::shop::{Shop, has_make, images, phases};
use crate::todobackend::{IMAGES, MAKE, OWN, given, mended};

/// The smallest component: files become an image, without Docker.
const PACK: &str = r#"{preset: pack, root: src, tags: ["{sha7}-{build}", latest]}"#;

fn pack() -> Shop {
    Shop::of("todobackend", "docker-in-aws/todobackend", PACK)
}

/// A buildspec of these commands, built instead of the component's own; what fails, and the log.
fn fails(commands: &[&str]) -> (String, String) {
    let shop = pack();
    let spec = json!({"version": 0.2, "phases": {"pre_build": {"commands": commands}}});
    shop.write("other.yml", &spec.to_string());
    shop.fails_locally(&["--spec", "other.yml"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
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

#[test]
fn b4_the_login_of_version_1_is_told_fails_loudly_and_is_mended() {
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
    if !has_make() {
        return;
    }
    let (built, log) = mended(OWN).built_locally(&[]);
    assert!(
        log.contains("Login Succeeded") && built["status"] == "SUCCEEDED",
        "{log}"
    );
}

/// `latest` moves on; the digest is what the ledger keeps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
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

#[test]
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
    }
}

#[test]
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

#[test]
fn b9_a_generated_buildspec_logs_in_works_and_cleans_up() {
    for build in [MAKE, r#"{preset: docker, tags: ["{sha7}-{build}"]}"#] {
        let (_, text) = given(build).towline(&["generate", "buildspec", "app"]);
        let (before, rest) = text.split_once("  build:\n").unwrap();
        let (work, after) = rest.split_once("  post_build:\n").unwrap();
        let word = if build == MAKE { "make " } else { "docker " };
        for (phase, has, lacks) in [
            (before, "login", "logout"),
            (work, word, "logout"),
            (after, "logout", "login "),
        ] {
            assert!(phase.contains(has) && !phase.contains(lacks), "{text}");
        }
        assert!(
            !after.contains("push") && !after.contains("publish"),
            "{text}"
        );
    }
}

#[test]
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

#[test]
fn b11_the_daemon_started_by_hand_is_told_and_what_can_be_is_mended() {
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
    if !has_make() {
        return;
    }
    // What then runs: the old driver fails in the background, and the daemon is there already.
    let (built, log) = mended(OWN).built_locally(&[]);
    assert_eq!(built["status"], "SUCCEEDED", "{log}");
    assert!(
        log.contains("the overlay storage-driver has been removed"),
        "{log}"
    );
}

#[test]
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
    shop.git(&[
        "checkout",
        "--quiet",
        "-b",
        "feature/a:b#1".replace(':', "+").as_str(),
    ]);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b13_the_ledger_knows_commit_and_build_of_a_version() {
    if !has_make() {
        return;
    }
    let pushed = mended(MAKE).pushed().await;
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

/// Through CodePipeline there is no `.git`; the Makefile takes what it is given instead.
#[test]
fn b14_git_in_the_makefile_is_told_unless_the_version_is_given() {
    let asks = "export APP_VERSION=$CODEBUILD_RESOLVED_SOURCE_VERSION.$BUILD_ID";
    let shop = given(OWN).with("buildspec.yml", asks, "true");
    let told = shop.findings(&["--codepipeline"]);
    assert!(told.contains("W030 Makefile:3\n"), "{told}");
    for build in [OWN, MAKE] {
        let told = given(build).findings(&["--codepipeline"]);
        assert!(!told.contains("W030"), "{build}: {told}");
    }
    if !has_make() {
        return;
    }
    // Without Git's files the Makefile's own way gives nothing, and ours is the build's.
    let shop = mended(MAKE).with("Makefile", "git rev-parse --short HEAD", "echo of-git");
    let (built, log) = shop.built_locally(&[]);
    assert_eq!(built["status"], "SUCCEEDED", "{log}");
    assert!(!log.contains("of-git"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b15_the_build_runs_at_the_commit_of_the_webhook() {
    let commands = r#"["echo \"at $CODEBUILD_RESOLVED_SOURCE_VERSION $CODEBUILD_SOURCE_VERSION $(git rev-parse HEAD) $GIT_SHA\"", exit 1]"#;
    let build = format!(
        "{{inline: 'version: 0.2\n\n      phases: {{build: {{commands: {commands}}}}}', tags: ['{{sha7}}-{{build}}']}}"
    );
    let pushed = pack().built_by(&build).pushed().await;
    let commit = &pushed.commit;
    let line = format!("\nat {commit} {commit} {commit} {commit}\n");
    assert!(pushed.log.contains(&line), "{} {}", pushed.why, pushed.log);
}

#[test]
fn b16_login_is_the_makefiles_when_asked_for_and_stops_the_build_when_it_fails() {
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
    if !has_make() {
        return;
    }
    let (failed, log) = shop.fails_locally(&[]);
    assert_eq!(
        failed.lines().next(),
        Some("PRE_BUILD exit status 2"),
        "{log}"
    );
    assert!(!log.contains("make test"), "{log}");
}

/// Also after a failed build, so an artifact is worth nothing without the build's status.
#[test]
fn b19_artifacts_of_a_failed_build_are_kept_and_count_for_nothing() {
    let shop = given(OWN).with("buildspec.yml", "- make logout", "- make publish");
    assert!(
        shop.findings(&[]).contains("E003 buildspec.yml:20\n"),
        "{}",
        shop.findings(&[])
    );
    if !has_make() {
        return;
    }
    let shop = mended(OWN).with(
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

#[test]
fn b20_each_phase_is_shown_with_how_it_ended_and_how_long_it_took() {
    if !has_make() {
        return;
    }
    let (built, log) = mended(OWN).built_locally(&[]);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b21_a_default_branch_may_be_called_master() {
    let pushed = pack().pushed_as("master").await;
    assert_eq!(pushed.state, "succeeded", "{}\n{}", pushed.why, pushed.log);
    pushed.promoted().await;
}

/// Whether a branch is built is said by the definition; `now` and `why` tell what became of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b22_branches_are_built_and_tested_when_they_are_named() {
    let pushed = pack().pushed_beside("feature/cart").await;
    let why = "not run: not the default branch, and source.branches names no other";
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b23_a_signed_push_starts_a_run_and_nothing_else_does() {
    let pushed = pack().pushed().await;
    let (url, body) = (pushed.url(), pushed.body());
    let client = client();
    let forged = format!("sha256={}", "0".repeat(64));
    assert_eq!(
        deliver(&client, url, body.clone(), Some(forged)).await,
        Ok(401)
    );
    // The same push once more is no second run.
    assert_eq!(deliver(&client, url, body, None).await, Ok(200));
    let runs = pushed.ask("runs").await;
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(1), "{runs}");
}

/// AWS has no part in which workflow it is: the text handed to the builds port is what runs here, and CodeBuild
/// gets the same by `StartBuild`, which the adapter's own tests hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
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

/// The wizard of the console is a file to begin with: guessed from the folder, valid, and built.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b25_a_definition_to_begin_with_is_guessed_and_builds() {
    let shop = mended(MAKE);
    let guessed = || {
        let (status, text) = shop.towline(&["generate", "definition"]);
        assert_eq!(status, 0);
        text
    };
    assert!(guessed().contains("buildspec: buildspec.yml"));
    shop.commit();
    shop.git(&["rm", "-q", "buildspec.yml"]);
    let text = guessed();
    for part in [
        "make: {build: [test, release, publish], always: [clean, logout], login: make}",
        r#"env: {APP_VERSION: "{sha}.{build_uuid}"}"#,
        "outputs: [version.json]",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let text = text.replace("\n  shop:\n", "\n  app:\n");
    let text = text.replace("local/shop", IMAGES);
    shop.write(".towline.yml", &text);
    let (status, said) = shop.towline(&["validate"]);
    assert_eq!(status, 0, "{said}");
    if !has_make() {
        return;
    }
    let pushed = shop.pushed().await;
    assert_eq!(pushed.state, "succeeded", "{}\n{}", pushed.why, pushed.log);
    pushed.promoted().await;
}
