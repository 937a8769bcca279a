//! The environment variables of a build, without our own.

use std::ffi::OsString;

use secrecy::{ExposeSecret as _, SecretString};
use towline_buildspec::model::Buildspec;

use crate::config::Machine;
use crate::event::{Place, repository_url};
use crate::folder::Folder;
use crate::record::Record;

/// The most characters of a value (CodeBuild, `InvalidInputException: EnvironmentVariable should be
/// at most 4096 characters`).
const LONGEST_VALUE: usize = 4096;

/// Names and values; the last value of a name wins.
pub(crate) type Variables = Vec<(String, OsString)>;

/// Why a variable cannot be set, if it cannot.
pub(crate) fn objection(name: &str, value: &str) -> Option<String> {
    let bad_name = name.is_empty() || name.contains(['=', '\0']);
    if bad_name {
        return Some(format!(
            "{name:?} is not a name for an environment variable"
        ));
    }
    if value.contains('\0') {
        return Some(format!("the environment variable {name} contains a NUL"));
    }
    let length = value.chars().count();
    (length > LONGEST_VALUE).then(|| {
        format!(
            "the environment variable {name} has {length} characters; CodeBuild accepts at most \
             {LONGEST_VALUE}"
        )
    })
}

/// The variables of every process of the build, including `git` for the checkout.
pub(crate) fn base(folder: &Folder, machine: &Machine) -> Variables {
    let mut variables: Variables = vec![
        ("PATH".into(), search_path(folder, &machine.search_path)),
        ("HOME".into(), folder.home().into()),
        // Identifies the build's processes.
        ("CODEBUILD_SRC_DIR".into(), folder.source().into()),
    ];
    let of_machine = [
        ("LANG", &machine.lang),
        ("DOCKER_HOST", &machine.docker_host),
    ];
    for (name, value) in of_machine {
        if let Some(value) = value {
            variables.push((name.into(), value.into()));
        }
    }
    variables
}

/// The shell's variables: those of the request override the buildspec's, and those of CodeBuild
/// override both.
pub(crate) fn all(
    record: &Record,
    spec: &Buildspec,
    secrets: &[(String, SecretString)],
    folder: &Folder,
    machine: &Machine,
    place: &Place,
    succeeding: bool,
) -> Variables {
    let mut variables = base(folder, machine);
    let mut set = |name: &str, value: &str| variables.push((name.into(), value.into()));
    set("AWS_DEFAULT_REGION", &place.region);
    set("AWS_REGION", &place.region);
    let secrets = secrets
        .iter()
        .map(|(name, value)| (name, value.expose_secret()));
    let of_spec = plain(&spec.env.variables).chain(secrets);
    for (name, value) in of_spec.chain(plain(&record.request.environment)) {
        match name.as_str() {
            "PATH" => variables.push((name.clone(), search_path(folder, value.as_ref()))),
            _ => variables.push((name.clone(), value.into())),
        }
    }
    for (name, value) in of_codebuild(record, folder, place, succeeding) {
        variables.push((format!("CODEBUILD_{name}"), value));
    }
    variables
}

fn plain(pairs: &[(String, String)]) -> impl Iterator<Item = (&String, &str)> {
    pairs.iter().map(|(name, value)| (name, value.as_str()))
}

/// The user guide's "Environment variables in build environments", without those that only
/// batch builds, webhooks of CodeBuild's own, or public builds have.
fn of_codebuild(
    record: &Record,
    folder: &Folder,
    place: &Place,
    succeeding: bool,
) -> [(&'static str, OsString); 13] {
    let Place { region, account } = place;
    let request = &record.request;
    let began = record.started_at.unwrap_or(record.submitted_at);
    [
        ("BUILD_ARN", place.arn(record).into()),
        ("BUILD_ID", record.id.as_str().into()),
        ("BUILD_IMAGE", request.image.clone().into()),
        ("BUILD_NUMBER", record.number.to_string().into()),
        ("BUILD_SUCCEEDING", flag(succeeding).into()),
        ("INITIATOR", "towline".into()),
        (
            "KMS_KEY_ID",
            format!("arn:aws:kms:{region}:{account}:alias/aws/s3").into(),
        ),
        ("LOG_PATH", request.attempt.as_str().into()),
        ("RESOLVED_SOURCE_VERSION", request.commit.as_str().into()),
        ("SOURCE_REPO_URL", repository_url(record).into()),
        ("SOURCE_VERSION", request.commit.as_str().into()),
        ("SRC_DIR", folder.source().into()),
        ("START_TIME", began.as_millisecond().to_string().into()),
    ]
}

/// As in `CODEBUILD_BUILD_SUCCEEDING`.
pub(crate) fn flag(succeeding: bool) -> &'static str {
    if succeeding { "1" } else { "0" }
}

fn search_path(folder: &Folder, rest: &std::ffi::OsStr) -> OsString {
    let mut path = OsString::from(folder.bin());
    if !rest.is_empty() {
        path.push(":");
        path.push(rest);
    }
    path
}
