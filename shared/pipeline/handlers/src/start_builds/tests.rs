//! The variables of builds.

use towline_domain::definition::Build;
use towline_domain::names::{GitRef, RepositoryId};

use towline_ports::{RepositoryRef, Trust};

use super::environment::{BuildOf, EnvironmentError};
use super::*;

fn good<T: std::str::FromStr>(text: &str) -> T {
    let parsed = text.parse();
    parsed.unwrap_or_else(|_| panic!("{text:?} is not what it should be"))
}

fn build() -> Build {
    Build {
        platforms: vec!["linux/arm64".into()],
        ..Build::default()
    }
}

/// The variables of a build of this ref, or the error.
fn environment(
    build: &Build,
    git_ref: &str,
    trust: Trust,
) -> Result<Vec<(String, String)>, EnvironmentError> {
    let repository = RepositoryRef {
        id: RepositoryId(1),
        name: good("acme/shop"),
    };
    let attempt = good("00000000-0000-8000-a000-000000000000");
    BuildOf {
        registry: "111122223333.dkr.ecr.eu-west-1.amazonaws.com",
        repository: &repository,
        commit: &good(&"3f".repeat(20)),
        git_ref: &good::<GitRef>(git_ref),
        at: Timestamp::UNIX_EPOCH,
        run: None,
        stages: &[],
        component: &good("web"),
        image_repository: &good("acme/web"),
        build: Some(build),
        platform: &build.platforms[0],
        attempt: &attempt,
        whole: &attempt,
        whole_tag: &good("142"),
        build_number: 142,
        tags: &[good("142"), good("latest")],
        trust,
    }
    .environment()
}

fn value(environment: &[(String, String)], wanted: &str) -> Option<String> {
    let mut named = environment.iter().filter(|(name, _)| name == wanted);
    let value = named.next().map(|(_, value)| value.clone());
    assert_eq!(named.next(), None, "{wanted} is there twice");
    value
}

#[test]
fn a30_layers_of_the_trusted_branch_are_kept_where_no_other_build_writes() {
    let cached = Build {
        layer_cache: true,
        ..build()
    };
    let caches = |build: &Build, git_ref: &str, trust| {
        let environment = environment(build, git_ref, trust).expect("variables");
        ["CACHE_TO", "CACHE_FROM"].map(|name| value(&environment, name).unwrap_or_default())
    };
    let trusted = "towline-cache/trusted/acme/web:linux-arm64";
    let branch = "towline-cache/branches/acme/web:feature-a--";
    assert_eq!(
        caches(&cached, "refs/heads/main", Trust::DefaultBranch),
        [trusted, trusted]
    );
    let [to, from] = caches(&cached, "refs/heads/feature/a", Trust::Other);
    assert!(
        to.starts_with(branch) && to.ends_with("--linux-arm64"),
        "{to}"
    );
    assert_eq!(from, format!("{to} {trusted}"));
    let [other, _] = caches(&cached, "refs/heads/feature-a", Trust::Other);
    assert_ne!(other, to, "two branches share their layers");
    assert_eq!(
        caches(&build(), "refs/heads/main", Trust::DefaultBranch),
        ["", ""]
    );
}

#[test]
fn what_startbuild_would_refuse_is_told_before_it_is_asked() {
    let with = |value: &str| Build {
        env: vec![("NOTE".into(), value.to_owned())],
        ..build()
    };
    let fits = "x".repeat(4_096 - 40) + "{sha}";
    let environment_of = |build| environment(&build, "refs/heads/main", Trust::Other);
    let environment = environment_of(with(&fits)).expect("4,096 characters are taken");
    assert_eq!(
        value(&environment, "NOTE").map(|note| note.len()),
        Some(4_096)
    );
    let refused = environment_of(with(&(fits + "x")))
        .expect_err("one more is too many")
        .to_string();
    assert!(refused.contains("`NOTE` has 4097 characters"), "{refused}");
}

#[test]
fn a_build_is_told_its_outputs_platform_and_tags() {
    let with_outputs = Build {
        outputs: vec!["out/version.json".into(), "note.txt".into()],
        env: vec![("IMAGE_TAG".into(), "mine".into())],
        ..build()
    };
    let environment = environment(&with_outputs, "refs/tags/v1", Trust::Other).expect("variables");
    for (name, expected) in [
        ("TOWLINE_OUTPUTS", "version note"),
        ("IMAGE_PLATFORM", "linux/arm64"),
        ("IMAGE_WHOLE_TAG", "142"),
        ("IMAGE_TAG", "142"),
        ("IMAGE_TAGS", "142 latest"),
        ("AWS_ACCOUNT_ID", "111122223333"),
        ("GIT_REF", "refs/tags/v1"),
        ("GIT_BRANCH", "v1"),
    ] {
        assert_eq!(
            value(&environment, name).as_deref(),
            Some(expected),
            "{name}"
        );
    }
}
