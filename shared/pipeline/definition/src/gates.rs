//! Reads gates, deployments and checks; most of them are not supported yet.

use towline_domain::definition::{ApprovalRule, Deploy, Scope};
use towline_domain::names::StageName;

use super::keys;
use super::limits::{APPROVALS, FINDINGS, PARAMETER_NAME, PARAMETERS};
use super::reader::{Fields, Place, Report};
use super::words;

/// A parameter of a deployment, and the place of its value.
pub(super) type Parameter<'a> = ((String, String), Place<'a>);

/// Reads the gates of a stage; only approval is supported yet.
pub(super) fn read(
    report: &mut Report,
    stage: Option<&StageName>,
    place: &Place<'_>,
) -> Option<ApprovalRule> {
    let mut approval = None;
    for item in report.items(place) {
        let Some(fields) = report.fields(&item, keys::Gate::KEYS) else {
            continue;
        };
        if fields.place.node.as_mapping().map(<[_]>::len) != Some(1) {
            report.error(&item, "write one gate per item, as in `- soak: 1h`");
            continue;
        }
        if let Some(place) = fields.get("scan") {
            scan(report, &place);
            mark(report, stage, &place);
        }
        if let Some(place) = fields.get("soak") {
            report.duration(&place);
            mark(report, stage, &place);
        }
        if let Some(place) = fields.get("window") {
            window(report, &place);
            mark(report, stage, &place);
        }
        if let Some(place) = fields.get("approval") {
            if approval.is_some() {
                report.error_at(
                    place.key,
                    &place.path,
                    "the stage already has an approval gate; keep one",
                );
            }
            approval = approval.or(approval_rule(report, &place));
        }
    }
    approval
}

fn approval_rule(report: &mut Report, place: &Place<'_>) -> Option<ApprovalRule> {
    let fields = report.fields(place, keys::Approval::KEYS)?;
    let groups = report.texts_of(&fields, "groups");
    let min = fields
        .get("min")
        .and_then(|place| report.number(&place, 1..=APPROVALS));
    let allow_self = fields
        .get("self")
        .and_then(|place| report.choice(&place, words::SELF));
    let expires = fields
        .get("expires")
        .and_then(|place| report.duration(&place));
    let supersede = fields
        .get("supersede")
        .and_then(|place| report.flag(&place));
    Some(ApprovalRule {
        groups,
        min: min.unwrap_or(1),
        allow_self: allow_self.unwrap_or(false),
        expires,
        supersede: supersede.unwrap_or(true),
    })
}

fn scan(report: &mut Report, place: &Place<'_>) {
    let severities = ["critical", "high", "medium", "low"];
    let Some(fields) = report.fields(place, keys::Scan::KEYS) else {
        return;
    };
    for severity in severities {
        if let Some(place) = fields.get(severity) {
            report.number(&place, 0..=FINDINGS);
        }
    }
    report.texts_of(&fields, "allow");
    if let Some(place) = fields.get("wait") {
        report.duration(&place);
    }
}

fn window(report: &mut Report, place: &Place<'_>) {
    let Some(fields) = report.fields(place, keys::Window::KEYS) else {
        return;
    };
    report.texts_of(&fields, "allow");
    report.texts_of(&fields, "deny");
    text(report, &fields, "tz");
}

/// Reads the steps around a promotion. Only the deployment by an event is supported yet.
pub(super) fn surroundings<'a>(
    report: &mut Report,
    stage: Option<&StageName>,
    fields: &Fields<'a>,
) -> (Option<Deploy>, Vec<Parameter<'a>>) {
    if let Some(place) = fields.get("before") {
        if let Some(fields) = report.fields(&place, keys::Before::KEYS) {
            texts_in(report, &fields, "ecs_task", keys::EcsTask::KEYS);
        }
        mark(report, stage, &place);
    }
    if let Some(place) = fields.get("copy_to") {
        report.text(&place);
        mark(report, stage, &place);
    }
    let deploy = fields
        .get("deploy")
        .and_then(|place| deploy(report, stage, &place));
    let (deploy, parameters) = deploy.unwrap_or_default();
    if let Some(place) = fields.get("verify") {
        if let Some(fields) = report.fields(&place, keys::Verify::KEYS) {
            report.texts_of(&fields, "run");
            if let Some(place) = fields.get("timeout") {
                report.duration(&place);
            }
        }
        mark(report, stage, &place);
    }
    if let Some(place) = fields.get("unit") {
        let pipeline = report.choice(&place, words::UNIT);
        if pipeline == Some(true) {
            mark(report, stage, &place);
        }
    }
    (deploy, parameters)
}

fn deploy<'a>(
    report: &mut Report,
    stage: Option<&StageName>,
    place: &Place<'a>,
) -> Option<(Option<Deploy>, Vec<Parameter<'a>>)> {
    let ways: [(&str, &[&str]); 3] = [
        ("ecs", keys::Ecs::KEYS),
        ("cloudformation", keys::CloudFormation::KEYS),
        ("lambda", keys::Lambda::KEYS),
    ];
    let fields = report.fields(place, keys::Deploy::KEYS)?;
    for (way, known) in ways {
        texts_in(report, &fields, way, known);
        if let Some(place) = fields.get(way) {
            mark(report, stage, &place);
        }
    }
    let Some(place) = fields.get("event") else {
        return Some((None, Vec::new()));
    };
    let fields = report.fields(&place, keys::Event::KEYS)?;
    let parameters = fields.get("parameters");
    let parameters = parameters.map(|place| parameters_of(report, &place));
    Some((Some(Deploy::Event), parameters.unwrap_or_default()))
}

fn parameters_of<'a>(report: &mut Report, place: &Place<'a>) -> Vec<Parameter<'a>> {
    let entries = report.entries(place);
    if entries.len() > PARAMETERS {
        report.error(
            place,
            format!("an event has at most {PARAMETERS} parameters"),
        );
        return Vec::new();
    }
    let mut parameters = Vec::new();
    for (key, place) in entries {
        let name = key.key_text();
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
        if name.is_empty() || name.len() > PARAMETER_NAME || !name.chars().all(plain) {
            let message = "a parameter's name has letters, digits, `_` and `-`";
            report.error_at(key.span, &place.path, message);
        }
        if let Some(value) = report.text(&place) {
            parameters.push(((name.to_owned(), value.to_owned()), place));
        }
    }
    parameters
}

/// Reads whether a rollback holds the stage, which is the default.
pub(super) fn rollback(report: &mut Report, stage: Option<&StageName>, place: &Place<'_>) -> bool {
    let Some(fields) = report.fields(place, keys::Rollback::KEYS) else {
        return true;
    };
    if let Some(place) = fields.get("on") {
        for item in report.one_or_more(&place) {
            let expected = "`deploy`, `verify` or `alarm:` and an alarm's name";
            report.shaped(&item, expected, |text| {
                let alarm = text.strip_prefix("alarm:");
                matches!(text, "deploy" | "verify") || alarm.is_some_and(|name| !name.is_empty())
            });
        }
        mark(report, stage, &place);
    }
    let hold = fields.get("hold").and_then(|place| report.flag(&place));
    hold.unwrap_or(true)
}

fn texts_in(report: &mut Report, fields: &Fields<'_>, key: &str, known: &[&str]) {
    let Some(place) = fields.get(key) else { return };
    let Some(fields) = report.fields(&place, known) else {
        return;
    };
    for key in known {
        text(report, &fields, key);
    }
}

fn text(report: &mut Report, fields: &Fields<'_>, key: &str) {
    if let Some(place) = fields.get(key) {
        report.text(&place);
    }
}

fn mark(report: &mut Report, stage: Option<&StageName>, place: &Place<'_>) {
    if let Some(stage) = stage {
        report.not_executed(Scope::Stage(stage.clone()), place);
    }
}
