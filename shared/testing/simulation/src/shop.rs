//! The shop of all stories: its definition, its people, its first files.

use std::collections::BTreeMap;

use towline_domain::names::{ImageRepository, RepositoryId, RepositoryName};
use towline_domain::person::{Door, Person};

/// Two components, a stage that takes everything and one that needs two approvals.
pub const DEFINITION: &str = r#"
version: 1
pipeline: shop
source: {branches: [main, "release/**"], skip_message: ["[skip ci]"]}
components:
  backend:
    repository: acme/backend
    paths: ["backend/**"]
    watch: ["libs/**"]
    ignore: ["**/*.md"]
    build: {preset: docker, context: backend, tags: ["{sha7}-{build}", "{branch_slug}"]}
  web:
    repository: acme/web
    paths: ["web/**"]
    watch: ["libs/**"]
    build: {preset: pack, root: dist, context: web, tags: ["{sha}-{build_uuid}"]}
stages:
  - {name: staging, from: build}
  - name: prod
    from: staging
    concurrency: queue
    gates: [approval: {groups: [release-managers], min: 2, expires: 24h}]
    deploy: {event: {}}
"#;

/// The same shop, which also builds tags, and keeps layers.
#[must_use]
pub fn definition_with_tags() -> String {
    let source = r#"source: {branches: [main, "release/**"], tags: ["v*"],"#;
    let layers = "build: {preset: docker, layer_cache: registry,";
    DEFINITION
        .replacen(r#"source: {branches: [main, "release/**"],"#, source, 1)
        .replacen("build: {preset: docker,", layers, 1)
}

/// The same shop with a backend for two platforms.
#[must_use]
pub fn definition_in_parts() -> String {
    let platforms = "build: {preset: docker, platforms: [linux/amd64, linux/arm64],";
    DEFINITION.replacen("build: {preset: docker,", platforms, 1)
}

/// The shop's id on GitHub.
pub const REPOSITORY: RepositoryId = RepositoryId(7);

/// Another repository of the same shape, with images of its own.
pub const OTHER: RepositoryId = RepositoryId(70);

/// A repository's name on GitHub.
#[must_use]
pub fn name_of(repository: RepositoryId) -> RepositoryName {
    match repository {
        OTHER => "acme/store".parse().expect("a repository's name"),
        _ => repository_name(),
    }
}

/// The shop's definition for one of the repositories.
pub(crate) fn definition_of(repository: RepositoryId, definition: &str) -> String {
    match repository {
        OTHER => definition.replace("repository: acme/", "repository: store/"),
        _ => definition.to_owned(),
    }
}

/// Where a component's images are.
pub(crate) fn images(repository: RepositoryId, component: &str) -> ImageRepository {
    let owner = match repository {
        OTHER => "store",
        _ => "acme",
    };
    let name = format!("{owner}/{component}");
    name.parse().expect("an image repository")
}

/// The shop's name on GitHub.
#[must_use]
pub fn repository_name() -> RepositoryName {
    "acme/shop".parse().expect("a repository's name")
}

/// A person by login: lee, park, dana and kim manage releases, others do not.
#[must_use]
pub fn person(login: &str) -> Person {
    let manages = ["lee", "park", "dana", "kim"].contains(&login);
    Person {
        login: login.into(),
        emails: vec![format!("{login}@acme.example")],
        groups: if manages {
            vec!["release-managers".into()]
        } else {
            Vec::new()
        },
        door: Some(Door::Api),
        ..Person::default()
    }
}

/// The files of the first commit.
pub(crate) fn first_files(definition: &str) -> BTreeMap<String, Vec<u8>> {
    let file = |path: &str, text: &str| (path.to_owned(), text.as_bytes().to_vec());
    BTreeMap::from([
        file(".towline.yml", definition),
        file("backend/Dockerfile", "FROM scratch\n"),
        file("web/index.html", "<h1>shop</h1>\n"),
        file("README.md", "# shop\n"),
    ])
}
