//! Reads the `build` of a component: its preset and settings.

use towline_buildspec::generate::check_environment;
use towline_domain::definition::Build;
use towline_domain::names::{AttemptId, CommitSha, GitRef};
use towline_domain::tags::{self, TagError, Values};

use super::limits::{BUILD_TAGS, LONGEST_BUILD, SHORTEST_BUILD, VARIABLES};
use super::reader::{Fields, Place, Report};
use super::scalars::{is_plain_word, why_not_variable};
use super::words::{self, Kind};
use super::{extras, keys, platforms, presets};

/// Reads a build, and returns the places of its tags if they are written.
pub(super) fn read<'a>(
    report: &mut Report,
    place: &Place<'a>,
) -> Option<(Build, Option<Place<'a>>)> {
    let fields = report.fields(place, keys::Build::KEYS)?;
    let kind = kind(report, &fields)?;
    refuse_keys_of_other_presets(report, &fields, kind);
    let usual = Build::default();
    let platforms = platforms::read(report, &fields).unwrap_or(usual.platforms);
    let (image, images) = platforms::images(report, &fields, &platforms);
    let context = fields.get("context").and_then(|place| report.path(&place));
    let timeout = fields.get("timeout").and_then(|place| {
        report.duration_within(&place, SHORTEST_BUILD..=LONGEST_BUILD, "5m to 36h")
    });
    let mut build = Build {
        preset: presets::read(report, &fields, kind)?,
        context: context.unwrap_or(usual.context),
        image: image.unwrap_or(usual.image),
        images,
        runtime: runtime(report, &fields),
        test: report.texts_of(&fields, "test"),
        env: environment(report, &fields),
        tags: report.texts_of(&fields, "tags"),
        platforms,
        outputs: extras::outputs(report, &fields),
        container: fields
            .get("container")
            .and_then(|place| report.shaped(&place, "the name of a container", is_plain_word)),
        secrets: extras::secrets(report, &fields),
        reports: extras::reports(report, &fields),
        cache: extras::cache(report, &fields),
        layer_cache: fields
            .get("layer_cache")
            .and_then(|place| report.choice(&place, words::LAYER_CACHE))
            .unwrap_or(usual.layer_cache),
        timeout: timeout.unwrap_or(usual.timeout),
    };
    let tags = fields.get("tags");
    if tags.is_none() {
        build.tags = usual.tags;
    }
    extras::check(report, &fields, &build);
    with_longest_values(|values| check_placeholders(report, &fields, &build, values));
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
    report.choice(&place, words::PRESETS)
}

fn refuse_keys_of_other_presets(report: &mut Report, fields: &Fields<'_>, kind: Kind) {
    for (key, kinds) in words::OWN_KEYS {
        let Some(place) = fields.get(key).filter(|_| !kinds.contains(&kind)) else {
            continue;
        };
        let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
        let message = format!(
            "only preset {} takes this key, and the preset of this build is {}; remove the key or change `preset`",
            words.join(" or "),
            kind.word()
        );
        report.error_at(place.key, &place.path, message);
    }
}

fn runtime(report: &mut Report, fields: &Fields<'_>) -> Vec<(String, String)> {
    let Some(place) = fields.get("runtime") else {
        return Vec::new();
    };
    let mut runtimes = Vec::new();
    for (key, place) in report.entries(&place) {
        if !is_plain_word(key.key_text()) {
            report.error_at(key.span, &place.path, "this is not the name of a runtime");
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
    if entries.len() > VARIABLES {
        let message = format!(
            "{} variables exceed the limit of {VARIABLES}; read them from a file of the repository",
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
        environment.push((name.to_owned(), value.to_owned()));
    }
    environment
}

/// Passes the longest possible values for placeholders, so that no build fails because of them later.
pub(super) fn with_longest_values<T>(use_them: impl FnOnce(Values<'_>) -> T) -> T {
    let commit: CommitSha = "a".repeat(40).parse().expect("40 hexadecimal digits");
    let attempt: AttemptId = "00000000-0000-8000-a000-000000000000"
        .parse()
        .expect("an id in UUID form");
    use_them(Values {
        commit: &commit,
        git_ref: &GitRef::Tag("x".repeat(200)),
        build_number: 999_999_999,
        attempt: &attempt,
    })
}

fn check_placeholders(report: &mut Report, fields: &Fields<'_>, build: &Build, values: Values<'_>) {
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
            ..Build::default()
        };
        match tags::environment(&alone, values) {
            Err(error) => report.error(&place, error.to_string()),
            Ok(filled) => {
                if let Err(error) = check_environment(&filled) {
                    report.error(&place, error.to_string());
                }
            }
        }
    }
    let Some(place) = fields.get("tags") else {
        return;
    };
    check_tags(report, &place, build, values);
}

fn check_tags(report: &mut Report, place: &Place<'_>, build: &Build, values: Values<'_>) {
    let items = report.one_or_more(place);
    if items.len() > BUILD_TAGS {
        report.error(place, format!("a build pushes at most {BUILD_TAGS} tags"));
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
            ..Build::default()
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
