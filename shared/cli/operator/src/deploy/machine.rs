//! The machine of a component's builds: their image decides, unless a person has chosen.

use std::collections::BTreeMap;

use towline_buildspec::images;
use towline_domain::definition::{Architecture, Build, Component, Preset};

use super::build::Arch;

/// The template's parameter for the environment of builds.
const ENVIRONMENT: &str = "Environment";
/// The template's parameter for the size of their machine.
const COMPUTE: &str = "Compute";
/// Part of the names of CodeBuild's Lambda compute and its sizes.
const LAMBDA: &str = "_LAMBDA_";
const LAMBDA_SIZE: &str = "BUILD_LAMBDA_";
/// The default sizes of builds; on Lambda, enough for commands such as `npm ci`.
const USUAL_SIZE: &str = "BUILD_GENERAL1_SMALL";
const USUAL_LAMBDA_SIZE: &str = "BUILD_LAMBDA_2GB";

/// The image of its builds; the first, if each platform has its own.
pub fn image(build: &Build) -> &str {
    let first = build.platforms.first();
    first.map_or(build.image.as_str(), |platform| build.image_for(platform))
}

/// The parameters of infra/component.yaml for the machine.
pub fn parameters(build: &Build, kept: &BTreeMap<&str, &str>) -> [(&'static str, String); 2] {
    let environment = environment(image(build), kept);
    let on_lambda = environment.contains(LAMBDA);
    // CodeBuild does not accept a size of the other kind.
    let usual = if on_lambda {
        USUAL_LAMBDA_SIZE
    } else {
        USUAL_SIZE
    };
    let chosen = kept.get(COMPUTE).copied();
    let chosen = chosen.filter(|size| size.starts_with(LAMBDA_SIZE) == on_lambda);
    [
        (COMPUTE, chosen.unwrap_or(usual).to_owned()),
        (ENVIRONMENT, environment.to_owned()),
    ]
}

/// The environment of an image: from its name, otherwise the previous value.
fn environment<'a>(image: &str, kept: &BTreeMap<&str, &'a str>) -> &'a str {
    const LINUX: &str = "LINUX_CONTAINER";
    match (images::is_for_arm(image), images::is_for_lambda(image)) {
        (true, true) => "ARM_LAMBDA_CONTAINER",
        (false, true) => "LINUX_LAMBDA_CONTAINER",
        (true, false) => "ARM_CONTAINER",
        (false, false) if images::is_provided(image) => LINUX,
        (false, false) => kept.get(ENVIRONMENT).copied().unwrap_or(LINUX),
    }
}

/// Why no build could run with these parameters.
pub fn wrong(given: &BTreeMap<String, String>, component: &Component) -> Option<String> {
    let (name, build) = (&component.name, &component.build);
    let (environment, size) = (&given[ENVIRONMENT], &given[COMPUTE]);
    let on_lambda = environment.contains(LAMBDA);
    let mut all = build
        .platforms
        .iter()
        .map(|platform| build.image_for(platform));
    if let Some(image) = all.find(|image| images::is_for_lambda(image) != on_lambda) {
        return Some(format!(
            "{name}: {ENVIRONMENT}={environment} does not fit its image {image}: CodeBuild's Lambda compute runs images such as aws/codebuild/amazonlinux-x86_64-lambda-standard:nodejs22, and they run nowhere else"
        ));
    }
    if on_lambda != size.starts_with(LAMBDA_SIZE) {
        return Some(format!(
            "{name}: {COMPUTE}={size} does not fit {ENVIRONMENT}={environment}"
        ));
    }
    (on_lambda && matches!(build.preset, Preset::Docker { .. })).then(|| {
        format!(
            "{name}: on Lambda compute there is no Docker; name another image than {}, or use the preset pack",
            image(build)
        )
    })
}

/// The processors that its builds run on.
pub fn processors(build: &Build, given: &BTreeMap<String, String>) -> Vec<Arch> {
    if let [_] = build.platforms.as_slice() {
        return vec![match given[ENVIRONMENT].starts_with("ARM_") {
            true => Arch::Arm64,
            false => Arch::X86,
        }];
    }
    let of = |platform: &String| match Architecture::of(platform) {
        Architecture::Arm => Arch::Arm64,
        Architecture::X86 => Arch::X86,
    };
    let mut processors: Vec<Arch> = Vec::new();
    for arch in build.platforms.iter().map(of) {
        if !processors.contains(&arch) {
            processors.push(arch);
        }
    }
    processors
}
