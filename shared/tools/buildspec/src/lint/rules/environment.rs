//! E010, W016, W043, W045, W046: runtimes and variables.

use super::{Note, Notes, Spec, phase_node, place};
use crate::images::{self, Image};
use crate::lint::fix::entry_removed;
use crate::lint::{Code, Edit};
use crate::model::{Pairs, PhaseName};
use crate::yaml::{Node, Value};

pub(super) fn apply(spec: &Spec<'_>, notes: &mut Notes) {
    let root = &spec.reading.root;
    let install = phase_node(spec.reading, PhaseName::Install);
    let runtimes = install.and_then(|install| install.get("runtime-versions"));
    for (name, version) in runtimes.and_then(Node::as_mapping).unwrap_or_default() {
        runtime(spec, name, version, notes);
    }
    let places = [("env", "variables"), ("environment_variables", "plaintext")];
    for (section, key) in places {
        let variables = root.get(section).and_then(|section| section.get(key));
        for (name, value) in variables.and_then(Node::as_mapping).unwrap_or_default() {
            secret(spec, name, value, notes);
            shadowed(spec, name, notes);
            if name.key_text() == "DOCKER_CONTENT_TRUST" && value.key_text() == "1" {
                notes.add(spec.source, content_trust(place(value, spec.source)));
            }
        }
    }
}

pub(super) fn content_trust(range: std::ops::Range<usize>) -> Note {
    Note::new(
        Code::W016,
        range,
        "Docker is retiring content trust: pulls of official images with DOCKER_CONTENT_TRUST=1 fail.",
        "Remove the variable, and pin base images by digest instead.",
    )
}

fn runtime(spec: &Spec<'_>, name: &Node, version: &Node, notes: &mut Notes) {
    let (Some(runtime), Some(wanted)) = (name.as_str(), version.as_str()) else {
        return;
    };
    float(spec, runtime, version, notes);
    if wanted.contains('$') {
        return;
    }
    let range = name.range.start..place(version, spec.source).end;
    let images: Vec<&Image> = match &spec.context.image {
        Some(image) => match images::find(image) {
            Some(image) => vec![image],
            // A custom image, or one that is not in the table: nothing is known about it.
            None => return,
        },
        None => images::all()
            .iter()
            .filter(|image| image.maintained)
            .collect(),
    };
    if images.iter().any(|image| image.takes(runtime, wanted)) {
        return;
    }
    let known: Vec<String> = images
        .iter()
        .filter_map(|image| image.runtime(runtime))
        .flat_map(|runtime| runtime.versions.iter().map(ToString::to_string))
        .collect();
    let known = sorted(known);
    let whose = match &spec.context.image {
        Some(image) => format!("the image {image}"),
        None => "any image that AWS maintains".to_owned(),
    };
    let consequence = format!(
        "The build fails with `YAML_FILE_ERROR: Unknown runtime version named '{wanted}' of {runtime}`, because it is not in {whose}."
    );
    let advice = if runtime == "docker" {
        "Remove it: Docker is part of the images, and its version cannot be chosen here.".to_owned()
    } else if known.is_empty() {
        format!("Remove `{runtime}`, or use a build image of your own that has it.")
    } else {
        format!("Use one of {}.", known.join(", "))
    };
    let note = Note::new(Code::E010, range, consequence, advice);
    let edits = if runtime == "docker" {
        entry_removed(
            spec.source,
            &spec.reading.root,
            &["phases", "install", "runtime-versions", "docker"],
        )
    } else {
        Vec::new()
    };
    notes.add(spec.source, note.fixed_by(edits));
}

fn sorted(mut versions: Vec<String>) -> Vec<String> {
    let key = |version: &String| {
        let parts: Vec<u32> = version
            .split(|letter: char| !letter.is_ascii_digit())
            .filter_map(|part| part.parse().ok())
            .collect();
        (parts, version.clone())
    };
    versions.sort_by_key(key);
    versions.dedup();
    versions
}

/// `1.20` is the number 1.2 for a YAML parser that knows numbers.
fn float(spec: &Spec<'_>, runtime: &str, version: &Node, notes: &mut Notes) {
    let Value::Scalar {
        text,
        quoted: false,
    } = &version.value
    else {
        return;
    };
    let Some((whole, decimals)) = text.split_once('.') else {
        return;
    };
    let is_number = [whole, decimals]
        .iter()
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    if !is_number || decimals.len() < 2 || !decimals.ends_with('0') {
        return;
    }
    let short = format!("{whole}.{}", decimals.trim_end_matches('0'));
    let range = place(version, spec.source);
    let consequence = format!(
        "Without quotes, {text} is a number, so a YAML parser may read it as {runtime} {short}."
    );
    let edits = vec![Edit {
        range: range.clone(),
        text: format!("'{text}'"),
    }];
    let note = Note::new(
        Code::W043,
        range,
        consequence,
        format!("Write '{text}' in quotes."),
    );
    notes.add(spec.source, note.fixed_by(edits));
}

/// Names that secrets have, in upper case and without `_`.
const SECRET_NAMES: [&str; 9] = [
    "PASSWORD",
    "PASSWD",
    "SECRET",
    "TOKEN",
    "APIKEY",
    "PRIVATEKEY",
    "ACCESSKEY",
    "CREDENTIAL",
    "PASSPHRASE",
];
/// Words after the name of a secret that mean a reference to it.
const POINTERS: [&str; 12] = [
    "NAME",
    "ID",
    "ARN",
    "PATH",
    "FILE",
    "URL",
    "URI",
    "KEYID",
    "PREFIX",
    "PARAMETER",
    "STORE",
    "TTL",
];
/// The prefixes of well-known secrets, with their minimum length.
const SECRET_STARTS: [(&str, usize); 9] = [
    ("AKIA", 20),
    ("ASIA", 20),
    ("ghp_", 30),
    ("ghs_", 30),
    ("github_pat_", 30),
    ("glpat-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("-----BEGIN ", 20),
];

/// Variables that CodeBuild sets for every build, or that control the AWS CLI and the SDKs
/// ("Environment variables in build environments", CodeBuild; "Environment variables", AWS CLI).
/// Other names with `AWS_` are allowed.
const READ_BY_AWS: [&str; 14] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

fn shadowed(spec: &Spec<'_>, name: &Node, notes: &mut Notes) {
    let variable = name.key_text();
    let consequence = if variable.starts_with("CODEBUILD_") {
        format!(
            "CodeBuild reserves names that begin with CODEBUILD_; commands may read its own {variable} or this one."
        )
    } else if READ_BY_AWS.contains(&variable) {
        format!(
            "The AWS CLI and every SDK in this build use this {variable} instead of CodeBuild's."
        )
    } else {
        return;
    };
    let advice = "Use another name, and pass it to the one command that needs it.";
    notes.add(
        spec.source,
        Note::new(Code::W046, place(name, spec.source), consequence, advice),
    );
}

fn secret(spec: &Spec<'_>, name: &Node, value: &Node, notes: &mut Notes) {
    let text = value.key_text();
    let name = name.key_text();
    if !looks_secret(name, text) {
        return;
    }
    let note = Note::new(
        Code::W045,
        place(value, spec.source),
        format!("Anyone who can read the repository, the project or a build log can read {name}."),
        format!(
            "Store it in Secrets Manager or Parameter Store, and refer to it under `env: secrets-manager: {name}:`."
        ),
    );
    notes.add(spec.source, note);
}

fn looks_secret(name: &str, value: &str) -> bool {
    if SECRET_STARTS
        .iter()
        .any(|(start, length)| value.starts_with(start) && value.len() >= *length)
    {
        return true;
    }
    let name = name.to_ascii_uppercase().replace(['_', '-'], "");
    let is_named = SECRET_NAMES.iter().any(|secret| name.contains(secret));
    let points = POINTERS.iter().any(|pointer| name.ends_with(pointer));
    // A password may be short; a token's or a secret's name is often followed by a word that means
    // something else.
    let least = if name.contains("PASS") { 4 } else { 6 };
    is_named && !points && value.len() >= least && !is_placeholder(value)
}

/// Whether a value refers to a secret elsewhere, or is a placeholder.
pub(super) fn is_placeholder(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let is_elsewhere = value.starts_with(['$', '/', '<', '{', '[', '!', '*'])
        || value.starts_with("arn:")
        || value.contains("://")
        || value.contains("${")
        || value.contains(' ')
        || ["example", "changeme", "placeholder", "your", "dummy"]
            .iter()
            .any(|word| lower.contains(word));
    let is_word = matches!(
        lower.as_str(),
        "none" | "null" | "empty" | "unset" | "default" | "enabled" | "disabled" | "optional"
    );
    let is_flag = crate::yaml::bool11(value).is_some() || value.parse::<f64>().is_ok();
    is_elsewhere || is_word || is_flag
}

/// The names of variables that contain a region, with the region.
pub(super) fn regions(variables: &Pairs) -> impl Iterator<Item = (&str, &str)> {
    variables
        .iter()
        .filter(|(name, value)| {
            name.to_ascii_uppercase().contains("REGION") && crate::lint::value::is_region(value)
        })
        .map(|(name, value)| (name.as_str(), value.as_str()))
}
