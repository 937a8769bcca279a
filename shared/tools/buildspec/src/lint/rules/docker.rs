//! E011, E012, E013, E015, W014, W016, W045: calls that fail, or fail on today's images.

use super::moment::Moment;
use super::{Command, Note, Notes, Spec, environment};
use crate::images;
use crate::lint::Code;
use crate::lint::fix::command_edited;
use crate::lint::shell::{Part, Step, Word};
use crate::model::Pairs;

/// Subcommands of Docker that need the daemon.
const WITH_DAEMON: [&str; 16] = [
    "build", "buildx", "image", "images", "push", "pull", "run", "tag", "compose", "exec", "ps",
    "info", "save", "load", "create", "start",
];

pub(super) fn called(moment: &Moment<'_>, notes: &mut Notes) {
    get_login(moment, notes);
    password(moment, notes);
    timeout_t(moment, notes);
    daemon(moment, notes);
    privileged(moment, notes);
}

/// `DOCKER_CONTENT_TRUST=1` in a command.
pub(super) fn assigned(
    spec: &Spec<'_>,
    command: &Command<'_>,
    step: &Step,
    name: &str,
    value: &Word,
    notes: &mut Notes,
) {
    if name == "DOCKER_CONTENT_TRUST" && value.text() == Some("1") {
        notes.add(
            spec.source,
            environment::content_trust(command.alignment.range(&step.range)),
        );
    }
}

fn get_login(moment: &Moment<'_>, notes: &mut Notes) {
    let call = moment.call;
    if !call.is("aws", &["ecr", "get-login"]) {
        return;
    }
    let account = call
        .option(&["--registry-ids"])
        .and_then(|word| source(moment, &word));
    let region = call
        .option(&["--region"])
        .and_then(|word| source(moment, &word));
    let replacement = replacement(account.as_deref(), region.as_deref());
    let text = moment.command.text;
    let around = statement(text, &moment.step.range);
    let edits = around
        .and_then(|range| {
            command_edited(
                moment.spec.source,
                moment.command.node,
                &range,
                &replacement,
            )
        })
        .unwrap_or_default();
    let note = Note::new(
        Code::E011,
        moment.here(),
        "The command fails with `Found invalid choice 'get-login'`: the images have version 2 of the AWS CLI, which has no such command.",
        "Use `aws ecr get-login-password | docker login --username AWS --password-stdin <registry>`.",
    );
    notes.add(moment.spec.source, note.fixed_by(edits));
}

fn replacement(account: Option<&str>, region: Option<&str>) -> String {
    let known = "$(aws sts get-caller-identity --query Account --output text)";
    let account = account.unwrap_or(known);
    let host_region = region.unwrap_or("$AWS_DEFAULT_REGION");
    let option = region.map_or(String::new(), |region| format!(" --region {region}"));
    format!(
        "aws ecr get-login-password{option} | docker login --username AWS --password-stdin \"{account}.dkr.ecr.{host_region}.amazonaws.com\""
    )
}

/// A word as it is in the command, if it is valid between double quotes.
fn source(moment: &Moment<'_>, word: &Word) -> Option<String> {
    let is_plain = word
        .parts
        .iter()
        .all(|part| matches!(part, Part::Text(_) | Part::Variable(_)));
    let text = moment.command.text.get(word.range.clone())?;
    let text = text.trim_matches('"');
    (is_plain && !text.contains(['"', '\'', '\\', ' '])).then(|| text.to_owned())
}

/// The bytes of `$(aws ecr get-login)`, including `eval` if nothing else is before it.
fn statement(text: &str, call: &std::ops::Range<usize>) -> Option<std::ops::Range<usize>> {
    let before = text.get(..call.start)?;
    let behind = text.get(call.end..)?;
    let (open, close) = if before.ends_with("$(") && behind.starts_with(')') {
        (2, 1)
    } else if before.ends_with('`') && behind.starts_with('`') {
        (1, 1)
    } else {
        return None;
    };
    let mut range = call.start - open..call.end + close;
    if text[..range.start].ends_with('"') && text[range.end..].starts_with('"') {
        range = range.start - 1..range.end + 1;
    }
    if let Some(rest) = text[..range.start].strip_suffix("eval ") {
        range.start = rest.len();
    }
    let starts = text[..range.start].trim_end();
    let ends = text[range.end..].trim_start();
    let begins_statement =
        starts.is_empty() || starts.ends_with([';', '&', '\n', '|']) || starts.ends_with("then");
    let ends_statement = ends.is_empty()
        || ends.starts_with([';', '&', '\n'])
        || text[range.end..].starts_with('\n');
    (begins_statement && ends_statement).then_some(range)
}

/// A literal password in `docker login`.
fn password(moment: &Moment<'_>, notes: &mut Notes) {
    if !moment.call.is("docker", &["login"]) {
        return;
    }
    let given = moment.call.option(&["-p", "--password"]);
    let is_written_out = |word: &Word| {
        word.text()
            .is_some_and(|text| !text.is_empty() && !environment::is_placeholder(text))
    };
    if let Some(word) = given.filter(is_written_out) {
        let note = Note::new(
            Code::W045,
            moment.place(&word.range),
            "Anyone who can read the repository, the project or a build log can read this password.",
            "Store it in Secrets Manager, refer to it under `env: secrets-manager:`, and pass it with `--password-stdin`.",
        );
        notes.add(moment.spec.source, note);
    }
}

fn timeout_t(moment: &Moment<'_>, notes: &mut Notes) {
    let words = &moment.call.words;
    let name = |word: &Word| {
        word.text()
            .map(|text| text.rsplit('/').next().unwrap_or(text).to_owned())
    };
    let Some(at) = words
        .iter()
        .position(|word| name(word).as_deref() == Some("timeout"))
    else {
        return;
    };
    if at > moment.call.start {
        return;
    }
    let mut options = words[at + 1..]
        .iter()
        .take_while(|word| word.text().is_some_and(|text| text.starts_with('-')));
    let Some(option) = options.find(|word| word.text() == Some("-t")) else {
        return;
    };
    let behind = &moment.command.text[option.range.end..];
    let spaces = behind.len() - behind.trim_start_matches([' ', '\t']).len();
    let gone = option.range.start..option.range.end + spaces;
    let edits =
        command_edited(moment.spec.source, moment.command.node, &gone, "").unwrap_or_default();
    let shown = words[at].range.start..option.range.end;
    let note = Note::new(
        Code::E012,
        moment.place(&shown),
        "GNU timeout exits with status 125 (`invalid option -- 't'`), so the phase fails.",
        "Remove `-t`; the duration is the first argument.",
    );
    notes.add(moment.spec.source, note.fixed_by(edits));
}

/// Storage drivers that Docker no longer has (Docker release notes: 24.0 and 25.0).
const REMOVED_DRIVERS: [&str; 3] = ["overlay", "aufs", "devicemapper"];

fn daemon(moment: &Moment<'_>, notes: &mut Notes) {
    let call = moment.call;
    let is_daemon =
        call.name() == "dockerd" || (call.name() == "docker" && call.is("docker", &["daemon"]));
    if !is_daemon {
        return;
    }
    if let Some(driver) = call.option(&["--storage-driver", "-s"])
        && let Some(name) = driver.text()
        && REMOVED_DRIVERS.contains(&name)
    {
        let note = Note::new(
            Code::E013,
            moment.place(&driver.range),
            format!(
                "Docker no longer has the storage driver {name}, so the daemon does not start."
            ),
            "Use `overlay2`, or omit the option.",
        );
        notes.add(moment.spec.source, note);
    }
    let image = moment.spec.context.image.as_deref();
    if image.is_some_and(|image| images::is_provided(image) && !images::is_for_lambda(image)) {
        let note = Note::new(
            Code::W014,
            moment.here(),
            "The image has already started a Docker daemon, so this one exits or replaces it.",
            "Remove it: in privileged mode, CodeBuild's images start Docker themselves.",
        );
        notes.add(moment.spec.source, note);
    }
}

fn privileged(moment: &Moment<'_>, notes: &mut Notes) {
    let context = moment.spec.context;
    let on_lambda = context.image.as_deref().is_some_and(images::is_for_lambda);
    if context.privileged != Some(false) && !on_lambda {
        return;
    }
    let call = moment.call;
    let uses_docker = match call.name() {
        "docker" => call
            .verbs()
            .first()
            .is_some_and(|verb| WITH_DAEMON.contains(verb)),
        "docker-compose" | "dockerd" => true,
        _ => false,
    };
    let is_told = notes
        .findings
        .iter()
        .any(|finding| finding.code == Code::E015);
    if !uses_docker || is_told {
        return;
    }
    let (consequence, advice) = if on_lambda {
        (
            "Lambda compute has no Docker daemon: `Cannot connect to the Docker daemon`.",
            "Build on EC2 compute with privileged mode, or assemble the image without Docker.",
        )
    } else {
        (
            "Without privileged mode no Docker daemon runs: `Cannot connect to the Docker daemon`.",
            "Enable privileged mode in the environment of the CodeBuild project.",
        )
    };
    notes.add(
        moment.spec.source,
        Note::new(Code::E015, moment.here(), consequence, advice),
    );
}

/// Whether a list of variables has this name.
pub(super) fn names(variables: &Pairs, name: &str) -> bool {
    variables.iter().any(|(known, _)| known == name)
}
