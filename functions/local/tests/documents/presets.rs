//! Whole repositories, each from a signed push to prod through the real binary: one per preset.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Repository, Server, client, deliver};
use crate::harness::{Need, Test, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!(async files_become_an_image_without_docker),
        test!(async two_platforms_become_one_image_with_an_index),
        test!(async a_buildspec_of_the_repository_runs_unchanged),
        test!(async a_makefile_does_the_work_without_docker_too).needs(Need::Make),
        test!(async a_dockerfile_goes_from_push_to_prod).needs(Need::Docker),
        test!(async a_makefile_that_uses_docker_goes_from_push_to_prod).needs(Need::Docker),
    ]
}

const PATIENCE: Duration = Duration::from_secs(120);

/// Stages of every repository here: staging automatically, prod after an approval.
const STAGES: &str = "\
stages:
  - {name: staging, from: build}
  - {name: prod, from: staging, gates: [approval: {}]}
";

/// The media types that a client accepts when it pulls an image.
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// Pushes a repository with this `build:` and these files, and follows its image to prod.
async fn check(build: &str, files: &[(&str, &str)]) {
    let nothing = |_: &str| {};
    check_as(build, files, IMAGE, |_| {}, nothing).await;
}

/// Like [`check`], for an image with manifests of this kind; also checks these and the log.
async fn check_as(
    build: &str,
    files: &[(&str, &str)],
    accept: &str,
    look: impl Fn(&Value),
    look_at_log: impl Fn(&str),
) {
    let scratch = tempfile::tempdir().expect("a folder");
    let repository = Repository::create(scratch.path().join("shop"));
    let definition = format!(
        "version: 1\npipeline: shop\ncomponents:\n  web:\n    repository: acme/shop-web\n    build:\n{build}\n{STAGES}"
    );
    repository.write(".towline.yml", &definition);
    for (name, text) in files {
        repository.write(name, text);
    }
    let commit = repository.commit("Open the shop");
    let server = Server::start(&scratch.path().join("data"), &repository.path);
    let client = client();
    let body = repository.push(&"0".repeat(40), &commit);
    assert_eq!(deliver(&client, &server.url, body, None).await, Ok(202));

    let (digest, tags) = server
        .until(&client, &format!("commit?commit={commit}"), PATIENCE, built)
        .await
        .unwrap_or_else(|why| panic!("{why}"));
    let live = |stage: &str| {
        let (path, digest) = (format!("now?stage={stage}"), digest.clone());
        (path, move |answer: &Value| {
            (answer["live"][0]["image"]["digest"] == digest.as_str()).then_some(())
        })
    };
    let (path, found) = live("staging");
    server.until(&client, &path, PATIENCE, found).await;
    let waiting = |answer: &Value| answer["live"][0]["waiting"][0]["promotion"].as_u64();
    let promotion = server
        .until(&client, "now?stage=prod", PATIENCE, waiting)
        .await;
    server
        .tell(&client, "approve", json!({ "promotion": promotion }))
        .await
        .expect("taken");
    let (path, found) = live("prod");
    server.until(&client, &path, PATIENCE, found).await;
    // Platform by platform, where there are several.
    let (mut log, mut from) = (String::new(), json!(0));
    loop {
        let path = format!("log?build=1&from={from}");
        let part = server.ask(&client, &path).await.expect("a log");
        log += part["text"].as_str().expect("a text");
        if part["ended"] == true && part["text"] == "" {
            break;
        }
        from = part["next"].clone();
    }
    look_at_log(&log);

    // The registry has what the ledger says: the same digest under every tag.
    for tag in tags.iter().map(String::as_str).chain(["staging", "prod"]) {
        let request = client.get(format!("{}/v2/acme/shop-web/manifests/{tag}", server.url));
        let answer = request
            .basic_auth("AWS", Some(&server.token))
            .header("accept", accept)
            .send()
            .await
            .expect("an answer");
        let held = answer
            .headers()
            .get("docker-content-digest")
            .map(|value| value.to_str().expect("a digest").to_owned());
        assert_eq!(held.as_deref(), Some(digest.as_str()), "tag {tag}");
        let text = answer.text().await.expect("a manifest");
        look(&serde_json::from_str(&text).expect("JSON"));
    }
}

/// The digest and tags of the one build, once it has ended, or why it failed.
fn built(answer: &Value) -> Option<Result<(String, Vec<String>), String>> {
    let build = answer["runs"].get(0)?.clone();
    if let Some(reason) = build["refused"].as_str() {
        return Some(Err(reason.to_owned()));
    }
    let build = build["builds"].get(0)?.clone();
    match build["state"].as_str()? {
        "due" | "building" => None,
        "succeeded" => {
            let tags = build["tags"]
                .as_array()?
                .iter()
                .filter_map(|tag| tag.as_str().map(str::to_owned))
                .collect();
            Some(Ok((build["digest"].as_str()?.to_owned(), tags)))
        }
        _ => Some(Err(build["why"].to_string())),
    }
}

async fn files_become_an_image_without_docker() {
    let build = "      {preset: pack, run: [mkdir -p dist, cp index.html dist/], test: [grep -q Shop index.html], root: dist, tags: [\"{sha7}-{build}\", \"{branch_slug}\"]}";
    check(build, &[("index.html", "Shop")]).await;
}

async fn two_platforms_become_one_image_with_an_index() {
    let build = "      {preset: pack, platforms: [linux/amd64, linux/arm64], run: [mkdir -p dist, echo \"for $IMAGE_PLATFORM\" > dist/platform], root: dist, tags: [\"{sha7}-{build}\", \"{branch_slug}\"]}";
    let look = |index: &Value| {
        let manifests = index["manifests"].as_array().expect("an index");
        let platforms: Vec<_> = manifests
            .iter()
            .map(|child| child["platform"].clone())
            .collect();
        let platform = |architecture| json!({ "os": "linux", "architecture": architecture });
        assert_eq!(platforms, [platform("amd64"), platform("arm64")]);
        assert_ne!(manifests[0]["digest"], manifests[1]["digest"]);
    };
    let index = "application/vnd.oci.image.index.v1+json";
    let both = |log: &str| {
        let amd64 = log.find("[linux/amd64]\n").expect("its log");
        assert!(log.find("[linux/arm64]\n").expect("its log") > amd64);
    };
    check_as(build, &[("index.html", "Shop")], index, look, both).await;
}

async fn a_buildspec_of_the_repository_runs_unchanged() {
    let buildspec = "\
version: 0.2
phases:
  build:
    commands:
      - mkdir -p out && cp index.html out/
      - aws ecr get-login-password | towline pack --password-stdin --output-file=digest.txt --repository=\"$ECR_REGISTRY/$IMAGE_REPO\" --tag=\"$IMAGE_TAG\" --root=out --platform=linux/amd64
";
    check(
        "      {buildspec: ci/buildspec.yml}",
        &[("index.html", "Shop"), ("ci/buildspec.yml", buildspec)],
    )
    .await;
}

async fn a_makefile_does_the_work_without_docker_too() {
    let makefile = "\
test:
\tgrep -q Shop index.html
publish:
\tmkdir -p out && cp index.html out/
\taws ecr get-login-password | towline pack --password-stdin --output-file=digest.txt --repository=\"$$ECR_REGISTRY/$$IMAGE_REPO\" --tag=\"$$APP_VERSION\" --root=out --platform=linux/amd64
clean:
\trm -rf out
";
    let build = "      {preset: make, make: {build: [test, publish], always: [clean]}, env: {APP_VERSION: \"{sha}.{build_uuid}\"}, tags: [\"{env.APP_VERSION}\"]}";
    check(build, &[("index.html", "Shop"), ("Makefile", makefile)]).await;
}

async fn a_dockerfile_goes_from_push_to_prod() {
    let dockerfile = "FROM scratch\nARG GREETING\nLABEL greeting=$GREETING\nCOPY index.html /\n";
    let build = "      {preset: docker, args: {GREETING: \"hello $(id)\"}, test: [grep -q Shop index.html], tags: [\"{sha}-{build}\", \"{sha}\"]}";
    check(build, &[("index.html", "Shop"), ("Dockerfile", dockerfile)]).await;
}

async fn a_makefile_that_uses_docker_goes_from_push_to_prod() {
    let makefile = "\
export APP_VERSION ?= $(shell git rev-parse --short HEAD)
image = $(ECR_REGISTRY)/$(IMAGE_REPO)
test:
\tgrep -q Shop index.html
release:
\tdocker build -t $(image):$(APP_VERSION) .
publish:
\tdocker push $(image):$(APP_VERSION)
version:
\t@echo '{\"Version\": \"$(APP_VERSION)\"}'
clean:
\tdocker image rm $(image):$(APP_VERSION)
";
    let build = "      {preset: make, make: {build: [test, release, publish], always: [clean]}, outputs: [version.json], env: {APP_VERSION: \"{sha}.{build_uuid}\"}, tags: [\"{env.APP_VERSION}\"]}";
    check(
        build,
        &[
            ("index.html", "Shop"),
            ("Dockerfile", "FROM scratch\nCOPY index.html /\n"),
            ("Makefile", makefile),
        ],
    )
    .await;
}
