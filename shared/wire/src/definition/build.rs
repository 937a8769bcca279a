//! The `build` of a component: its preset, and what it is given.

use std::time::Duration;

use towline_buildspec::generate::{is_name, provided, reserved};
use towline_domain::definition::{Build, Preset, Scope};
use towline_domain::names::{AttemptId, CommitSha, ComponentName, GitRef};
use towline_domain::tags::{self, TagError, Values};

use super::presets;
use super::reader::{Fields, Place, Report};

/// The CodeBuild image a build runs in when none is named.
const DEFAULT_IMAGE: &str = "aws/codebuild/standard:7.0";

/// The platform an image is for when none is named.
const DEFAULT_PLATFORM: &str = "linux/amd64";

/// The tag of a build that names none.
const DEFAULT_TAG: &str = "{sha}-{build}";

const MINUTE: Duration = Duration::from_secs(60);

/// How long a build may run when nothing is said; CodeBuild's own default.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// Tags a build may push.
const MOST_TAGS: usize = 20;

/// Variables a build may set.
const MOST_VARIABLES: usize = 200;

/// Characters of a variable's value; CodeBuild takes no more.
const LONGEST_VALUE: usize = 4_096;

/// Which preset a build has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Docker,
    Make,
    Pack,
    Buildspec,
    Inline,
}

const KINDS: &[(&str, Kind)] = &[
    ("docker", Kind::Docker),
    ("make", Kind::Make),
    ("pack", Kind::Pack),
    ("buildspec", Kind::Buildspec),
    ("inline", Kind::Inline),
];

/// Keys that every preset takes.
const SHARED_KEYS: &[&str] = &[
    "preset", "image", "env", "tags", "outputs", "timeout", "secrets", "reports", "cache",
];

const GENERATED: &[Kind] = &[Kind::Docker, Kind::Make, Kind::Pack];

/// Keys that only some presets take.
const OWN_KEYS: &[(&str, &[Kind])] = &[
    ("platform", &[Kind::Docker, Kind::Pack]),
    ("platforms", &[Kind::Docker, Kind::Pack]),
    ("context", GENERATED),
    ("runtime", GENERATED),
    ("test", GENERATED),
    ("dockerfile", &[Kind::Docker]),
    ("target", &[Kind::Docker]),
    ("args", &[Kind::Docker]),
    ("make", &[Kind::Make]),
    ("run", &[Kind::Pack]),
    ("root", &[Kind::Pack]),
    ("base", &[Kind::Pack]),
    ("entrypoint", &[Kind::Pack]),
    ("command", &[Kind::Pack]),
    ("user", &[Kind::Pack]),
    ("workdir", &[Kind::Pack]),
    ("expose", &[Kind::Pack]),
    ("buildspec", &[Kind::Buildspec]),
    ("inline", &[Kind::Inline]),
];

/// How a component is built that says nothing about it.
pub(super) fn by_default() -> Build {
    Build {
        preset: Preset::Docker {
            dockerfile: "Dockerfile".into(),
            target: None,
            args: Vec::new(),
        },
        context: ".".into(),
        image: DEFAULT_IMAGE.into(),
        runtime: Vec::new(),
        test: Vec::new(),
        env: Vec::new(),
        tags: vec![DEFAULT_TAG.into()],
        platform: DEFAULT_PLATFORM.into(),
        outputs: Vec::new(),
        timeout: DEFAULT_TIMEOUT,
    }
}

/// Reads a build, and says where its tags stand when they are written.
pub(super) fn read<'a>(
    report: &mut Report,
    component: Option<&ComponentName>,
    place: &Place<'a>,
) -> Option<(Build, Option<Place<'a>>)> {
    let own = OWN_KEYS.iter().map(|(key, _)| *key);
    let known: Vec<&str> = SHARED_KEYS.iter().copied().chain(own).collect();
    let fields = report.fields(place, &known)?;
    let kind = kind(report, &fields)?;
    refuse_keys_of_other_presets(report, &fields, kind);
    let usual = by_default();
    let image = fields
        .get("image")
        .and_then(|place| report.shaped(&place, "the name of a CodeBuild image", is_image));
    let context = fields.get("context").and_then(|place| report.path(&place));
    let timeout = fields.get("timeout").and_then(|place| {
        report.duration_within(&place, 5 * MINUTE..=36 * 60 * MINUTE, "5m to 36h")
    });
    let mut build = Build {
        preset: presets::read(report, &fields, kind)?,
        context: context.unwrap_or(usual.context),
        image: image.unwrap_or(usual.image),
        runtime: runtime(report, &fields),
        test: report.texts_of(&fields, "test"),
        env: environment(report, &fields),
        tags: report.texts_of(&fields, "tags"),
        platform: platform(report, &fields, component).unwrap_or(usual.platform),
        outputs: outputs(report, &fields, component, kind),
        timeout: timeout.unwrap_or(usual.timeout),
    };
    let tags = fields.get("tags");
    if tags.is_none() {
        build.tags = usual.tags;
    }
    not_executed(report, &fields, component);
    check_placeholders(report, &fields, &build);
    Some((build, tags))
}

/// The preset: the one named, or the one whose buildspec is given.
fn kind(report: &mut Report, fields: &Fields<'_>) -> Option<Kind> {
    let Some(place) = fields.get("preset") else {
        return Some(if fields.get("buildspec").is_some() {
            Kind::Buildspec
        } else if fields.get("inline").is_some() {
            Kind::Inline
        } else {
            Kind::Docker
        });
    };
    report.choice(&place, KINDS)
}

fn refuse_keys_of_other_presets(report: &mut Report, fields: &Fields<'_>, kind: Kind) {
    for (key, kinds) in OWN_KEYS {
        let Some(place) = fields.get(key).filter(|_| !kinds.contains(&kind)) else {
            continue;
        };
        let words: Vec<&str> = kinds.iter().map(|kind| word(*kind)).collect();
        let message = format!(
            "this belongs to the preset {}, and this build's is {}; remove it or change `preset`",
            words.join(" or "),
            word(kind)
        );
        report.error_at(place.key, &place.path, message);
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Docker => "docker",
        Kind::Make => "make",
        Kind::Pack => "pack",
        Kind::Buildspec => "buildspec",
        Kind::Inline => "inline",
    }
}

fn runtime(report: &mut Report, fields: &Fields<'_>) -> Vec<(String, String)> {
    let Some(place) = fields.get("runtime") else {
        return Vec::new();
    };
    let mut runtimes = Vec::new();
    for (key, place) in report.entries(&place) {
        if !is_plain_word(key.key_text()) {
            report.error_at(key.span, &place.path, "this is no runtime's name");
        }
        if let Some(version) = report.shaped(&place, "a runtime's version", is_plain_word) {
            runtimes.push((key.key_text().to_owned(), version));
        }
    }
    runtimes
}

fn environment(report: &mut Report, fields: &Fields<'_>) -> Vec<(String, String)> {
    let Some(place) = fields.get("env") else {
        return Vec::new();
    };
    let mut environment = Vec::new();
    let entries = report.entries(&place);
    if entries.len() > MOST_VARIABLES {
        let message = format!(
            "{} variables are more than {MOST_VARIABLES}; read them from a file of the repository",
            entries.len()
        );
        report.error(&place, message);
        return environment;
    }
    for (key, place) in entries {
        let name = key.key_text();
        if let Some(message) = why_not_variable(name) {
            report.error_at(key.span, &place.path, message);
        }
        let value = match place.node.as_str() {
            Some("") => Some(""),
            _ => report.text(&place),
        };
        let Some(value) = value else { continue };
        if value.chars().count() > LONGEST_VALUE {
            report.error(
                &place,
                format!("a value may have {LONGEST_VALUE} characters"),
            );
        }
        environment.push((name.to_owned(), value.to_owned()));
    }
    environment
}

fn why_not_variable(name: &str) -> Option<&'static str> {
    if !is_name(name) {
        Some("a variable's name has letters, digits and `_`, no digit first")
    } else if reserved(name) {
        Some("this variable changes how the build itself runs and cannot be set; use another name")
    } else if provided(name) {
        Some("Towline sets this variable for every build; use another name")
    } else {
        None
    }
}

fn platform(
    report: &mut Report,
    fields: &Fields<'_>,
    component: Option<&ComponentName>,
) -> Option<String> {
    let expected = "a platform such as linux/amd64 or linux/arm64";
    let single = fields.get("platform");
    let Some(several) = fields.get("platforms") else {
        return report.shaped(&single?, expected, is_platform);
    };
    if single.is_some() {
        report.error_at(
            several.key,
            &several.path,
            "write either `platform` or `platforms`",
        );
    }
    let mut platforms: Vec<String> = Vec::new();
    for item in report.items(&several) {
        let Some(platform) = report.shaped(&item, expected, is_platform) else {
            continue;
        };
        if platforms.contains(&platform) {
            report.error(&item, "this platform is named twice");
        }
        platforms.push(platform);
    }
    if platforms.is_empty() && several.node.as_sequence().is_some() {
        report.error(&several, "name at least one platform");
    }
    if platforms.len() > 1 {
        mark(report, component, &several);
    }
    platforms.into_iter().next()
}

fn outputs(
    report: &mut Report,
    fields: &Fields<'_>,
    component: Option<&ComponentName>,
    kind: Kind,
) -> Vec<String> {
    let Some(place) = fields.get("outputs") else {
        return Vec::new();
    };
    if kind != Kind::Make {
        mark(report, component, &place);
    }
    let items = report.one_or_more(&place);
    items.iter().filter_map(|item| report.path(item)).collect()
}

/// What is checked and not executed yet.
fn not_executed(report: &mut Report, fields: &Fields<'_>, component: Option<&ComponentName>) {
    if let Some(place) = fields.get("secrets") {
        for (key, place) in report.entries(&place) {
            if let Some(message) = why_not_variable(key.key_text()) {
                report.error_at(key.span, &place.path, message);
            }
            report.text(&place);
        }
        mark(report, component, &place);
    }
    if let Some(place) = fields.get("reports") {
        for (_, place) in report.entries(&place) {
            if let Some(fields) = report.fields(&place, &["files", "folder", "format"]) {
                report.texts_of(&fields, "files");
                for key in ["folder", "format"] {
                    if let Some(place) = fields.get(key) {
                        report.text(&place);
                    }
                }
            }
        }
        mark(report, component, &place);
    }
    if let Some(place) = fields.get("cache") {
        report.texts_of(fields, "cache");
        mark(report, component, &place);
    }
}

fn mark(report: &mut Report, component: Option<&ComponentName>, place: &Place<'_>) {
    if let Some(component) = component {
        report.not_executed(Scope::Component(component.clone()), place);
    }
}

/// Fills in every placeholder with values as long as they get, so that no build fails over them later.
fn check_placeholders(report: &mut Report, fields: &Fields<'_>, build: &Build) {
    let commit: CommitSha = "a".repeat(40).parse().expect("40 hexadecimal digits");
    let attempt: AttemptId = "00000000-0000-8000-a000-000000000000"
        .parse()
        .expect("an id in UUID form");
    let values = Values {
        commit: &commit,
        git_ref: &GitRef::Tag("x".repeat(200)),
        build_number: 999_999_999,
        attempt: &attempt,
    };
    for (key, place) in fields
        .get("env")
        .map_or_else(Vec::new, |env| report.entries(&env))
    {
        let named = |(name, _): &&(String, String)| name == key.key_text();
        let Some(variable) = build.env.iter().find(named) else {
            continue;
        };
        let alone = Build {
            env: vec![variable.clone()],
            ..by_default()
        };
        if let Err(error) = tags::environment(&alone, values) {
            report.error(&place, error.to_string());
        }
    }
    let Some(place) = fields.get("tags") else {
        return;
    };
    check_tags(report, &place, build, values);
}

fn check_tags(report: &mut Report, place: &Place<'_>, build: &Build, values: Values<'_>) {
    let items = report.one_or_more(place);
    if items.len() > MOST_TAGS {
        report.error(place, format!("a build may push {MOST_TAGS} tags"));
        return;
    }
    let mut broken = false;
    for item in &items {
        let Some(template) = item.node.as_str() else {
            return;
        };
        let alone = Build {
            tags: vec![template.to_owned()],
            env: build.env.clone(),
            ..by_default()
        };
        match tags::of_attempt(&alone, values) {
            Ok(_) | Err(TagError::NothingUnique) => {}
            Err(error) => {
                report.error(item, error.to_string());
                broken = true;
            }
        }
    }
    if !broken && tags::of_attempt(build, values) == Err(TagError::NothingUnique) {
        report.error(place, TagError::NothingUnique.to_string());
    }
}

pub(super) fn is_image(text: &str) -> bool {
    text.len() <= 300
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"./:_@-".contains(&byte))
}

pub(super) fn is_plain_word(text: &str) -> bool {
    text.len() <= 100
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_platform(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let plain = |part: &&str| {
        (1..=20).contains(&part.len())
            && part
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'))
    };
    matches!(parts.len(), 2 | 3) && parts.iter().all(plain)
}
