//! Reads the keys of each preset.

use towline_buildspec::Buildspec;
use towline_buildspec::generate::is_name;
use towline_domain::definition::Preset;
use towline_domain::names::Digest;

use super::keys;
use super::limits::{TARGET, WORD};
use super::reader::{Fields, Report};
use super::scalars::{is_image, is_plain_word};
use super::words::{self, Kind};

pub(super) fn read(report: &mut Report, fields: &Fields<'_>, kind: Kind) -> Option<Preset> {
    match kind {
        Kind::Docker => Some(docker(report, fields)),
        Kind::Make => make(report, fields),
        Kind::Pack => Some(pack(report, fields)),
        Kind::Buildspec => {
            let hint = "name the file, as in `buildspec: buildspec.yml`";
            let place = report.required(fields, "buildspec", hint)?;
            let path = report.path(&place)?;
            Some(Preset::Buildspec { path })
        }
        Kind::Inline => inline(report, fields),
    }
}

fn docker(report: &mut Report, fields: &Fields<'_>) -> Preset {
    let dockerfile = fields
        .get("dockerfile")
        .and_then(|place| report.path(&place));
    let target = fields
        .get("target")
        .and_then(|place| report.shaped(&place, "the name of a build stage", is_plain_word));
    let mut args = Vec::new();
    if let Some(place) = fields.get("args") {
        for (key, place) in report.entries(&place) {
            if !is_name(key.key_text()) {
                report.error_at(
                    key.span,
                    &place.path,
                    "a build argument's name has letters, digits and `_`, not starting with a digit",
                );
            }
            if let Some(value) = report.text(&place) {
                args.push((key.key_text().to_owned(), value.to_owned()));
            }
        }
    }
    Preset::Docker {
        dockerfile: dockerfile.unwrap_or_else(|| "Dockerfile".into()),
        target,
        args,
    }
}

fn make(report: &mut Report, fields: &Fields<'_>) -> Option<Preset> {
    let hint = "name the targets, as in `make: {build: [test, publish]}`";
    let place = report.required(fields, "make", hint)?;
    let fields = report.fields(&place, keys::Make::KEYS)?;
    let written = report.required(
        &fields,
        "build",
        "name the targets, the one that publishes last",
    );
    let build = targets(report, &fields, "build");
    if let Some(place) = written.filter(|place| place.node.as_sequence() == Some(&[])) {
        report.error(&place, "list at least one target");
    }
    let login = fields
        .get("login")
        .and_then(|place| report.choice(&place, words::LOGIN));
    Some(Preset::Make {
        build,
        always: targets(report, &fields, "always"),
        login: login.unwrap_or(false),
    })
}

fn targets(report: &mut Report, fields: &Fields<'_>, key: &str) -> Vec<String> {
    let Some(place) = fields.get(key) else {
        return Vec::new();
    };
    let expected =
        "a Makefile's target: letters, digits and `_ . / -`, not starting with `-` or `.`";
    let items = report.one_or_more(&place);
    let targets = items.iter();
    targets
        .filter_map(|item| report.shaped(item, expected, is_target))
        .collect()
}

fn pack(report: &mut Report, fields: &Fields<'_>) -> Preset {
    let root = fields.get("root").and_then(|place| report.path(&place));
    let base = fields.get("base").and_then(|place| {
        report.shaped(
            &place,
            "an image with its digest, `name@sha256:…`",
            is_pinned,
        )
    });
    let user = fields
        .get("user")
        .and_then(|place| report.shaped(&place, "a user such as `app` or `1000:1000`", is_user));
    let workdir = fields.get("workdir").and_then(|place| {
        report.shaped(&place, "an absolute path in the image", |text| {
            text.starts_with('/') && !text.chars().any(char::is_control)
        })
    });
    let expose = fields.get("expose").map(|place| report.one_or_more(&place));
    let expose = expose.unwrap_or_default();
    let expose = expose
        .iter()
        .filter_map(|item| report.shaped(item, "a port such as 8080 or 53/udp", is_port));
    let expose = expose.collect();
    Preset::Pack {
        run: report.texts_of(fields, "run"),
        root: root.unwrap_or_else(|| ".".into()),
        base,
        entrypoint: report.texts_of(fields, "entrypoint"),
        command: report.texts_of(fields, "command"),
        user,
        workdir,
        expose,
    }
}

fn inline(report: &mut Report, fields: &Fields<'_>) -> Option<Preset> {
    let hint = "write the buildspec as `inline: |`";
    let place = report.required(fields, "inline", hint)?;
    let text = report.text(&place)?;
    if let Err(error) = Buildspec::read(text) {
        report.error(
            &place,
            format!("CodeBuild does not accept this buildspec: {error}"),
        );
    }
    Some(Preset::Inline {
        text: text.to_owned(),
    })
}

fn is_target(text: &str) -> bool {
    text.len() <= TARGET
        && !text.starts_with(['-', '.'])
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_./-".contains(&byte))
}

fn is_pinned(text: &str) -> bool {
    text.split_once('@')
        .is_some_and(|(name, digest)| is_image(name) && digest.parse::<Digest>().is_ok())
}

fn is_user(text: &str) -> bool {
    text.len() <= WORD
        && !text.starts_with(['-', ':'])
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
}

fn is_port(text: &str) -> bool {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    digits && number.parse::<u16>().is_ok_and(|port| port > 0) && matches!(protocol, "tcp" | "udp")
}
