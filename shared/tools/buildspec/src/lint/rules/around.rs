//! Rules about the files around a buildspec: W021, W030, W040, W041, W042, W044, and E011 in a Makefile.

mod ports;

use super::make::Makefile;
use super::run::Run;
use super::{Note, Notes, docker, region};
use crate::lint::Code;
use crate::lint::shell::{self, Act, Call};
use crate::lint::source::Source;
use crate::lint::value::registries;
use crate::model::BatchForm;

const MAKEFILES: [&str; 3] = ["Makefile", "makefile", "GNUmakefile"];
const COMPOSE: [&str; 4] = [
    "docker-compose.yml",
    "docker-compose.yaml",
    "compose.yaml",
    "compose.yml",
];

pub(super) fn apply(run: &Run<'_>, notes: &mut Notes) {
    git(run, notes);
    if let Some(source) = run.spec.file(&MAKEFILES)
        && run.calls().any(|(_, _, call)| call.name() == "make")
    {
        makefile(run, &source, notes);
    }
    if let Some(source) = run.spec.file(&COMPOSE) {
        hosts(run, &source, notes);
    }
    let dockerfile = run.spec.file(&["Dockerfile"]);
    if let Some(source) = dockerfile.as_ref().filter(|_| builds_here(run)) {
        bases(run, source, notes);
        pinned(run, source, notes);
    }
    policies(run, notes);
    parameters(run, notes);
    ports::apply(run, dockerfile.as_ref(), notes);
}

/// Subcommands of Git that need the folder `.git`.
const NEEDS_METADATA: [&str; 10] = [
    "rev-parse",
    "describe",
    "log",
    "tag",
    "show",
    "rev-list",
    "diff",
    "branch",
    "status",
    "name-rev",
];

fn needs_metadata(call: &Call) -> bool {
    call.name() == "git"
        && call
            .verbs()
            .first()
            .is_some_and(|verb| NEEDS_METADATA.contains(verb))
}

/// Whether the source has no Git metadata, as far as that is known.
fn is_without_git(run: &Run<'_>) -> bool {
    if let Some(has_git) = run.spec.context.git_metadata {
        return !has_git;
    }
    // These files are for CodePipeline's deploy actions, and its source is a ZIP without `.git`.
    let artifacts = run.spec.reading.spec.artifacts.as_ref();
    artifacts.is_some_and(|artifacts| {
        let is_of_pipeline = |file: &String| {
            file.ends_with("imagedefinitions.json") || file.ends_with("imageDetail.json")
        };
        artifacts.files.iter().any(is_of_pipeline)
    })
}

fn git_note(range: std::ops::Range<usize>) -> Note {
    Note::new(
        Code::W030,
        range,
        "CodePipeline delivers the source without `.git`, so Git fails with `fatal: not a git repository`.",
        "Use $CODEBUILD_RESOLVED_SOURCE_VERSION for the commit, or configure the pipeline to do a full clone.",
    )
}

fn git(run: &Run<'_>, notes: &mut Notes) {
    let makes_its_own = run
        .calls()
        .any(|(_, _, call)| call.is("git", &["clone"]) || call.is("git", &["init"]));
    if !is_without_git(run) || makes_its_own {
        return;
    }
    for (command, step, call) in run.calls() {
        if needs_metadata(call) {
            notes.add(
                run.spec.source,
                git_note(command.alignment.range(&step.range)),
            );
        }
    }
}

/// Whether a command sets a variable or the buildspec has it.
fn sets(run: &Run<'_>, name: &str) -> bool {
    let assigned =
        run.steps.iter().flatten().any(
            |step| matches!(&step.act, Act::Assign { name: assigned, .. } if assigned == name),
        );
    let env = &run.spec.reading.spec.env;
    assigned
        || [&env.variables, &env.parameter_store, &env.secrets_manager]
            .iter()
            .any(|pairs| docker::names(pairs, name))
}

fn makefile(run: &Run<'_>, source: &Source, notes: &mut Notes) {
    let makefile = Makefile::read(source);
    let used = makefile.used();
    let mut reader = shell::Reader::new();
    for line in &makefile.lines {
        let text = match &line.variable {
            Some((name, value)) => used.contains(name.as_str()).then_some(value),
            None => line.is_recipe.then_some(&line.text),
        };
        // The content of `$(shell ...)` runs in a shell.
        let text = text.map(|text| text.replace("$(shell ", "$("));
        let steps = text.map_or_else(Vec::new, |text| reader.steps(&text));
        let calls = steps.iter().filter_map(|step| match &step.act {
            Act::Call(call) => Some(call),
            Act::Assign { .. } | Act::StopUnlessSucceeding => None,
        });
        for call in calls {
            if call.is("aws", &["ecr", "get-login"]) {
                let note = Note::new(
                    Code::E011,
                    line.range.clone(),
                    "The target fails: CodeBuild's images have version 2 of the AWS CLI, which has no `get-login`.",
                    "Use `aws ecr get-login-password | docker login --username AWS --password-stdin <registry>`.",
                );
                notes.add_elsewhere(source, note);
            }
            if line.is_recipe && needs_metadata(call) && is_without_git(run) {
                notes.add_elsewhere(source, git_note(line.range.clone()));
            }
        }
        if !line.is_recipe && is_without_git(run) && calls_git(&line.text) {
            // `NAME ?= $(shell git ...)` is not evaluated if the environment has NAME.
            let name = line
                .text
                .trim()
                .trim_start_matches("export ")
                .split("?=")
                .next();
            let is_given =
                line.text.contains("?=") && name.is_some_and(|name| sets(run, name.trim()));
            if !is_given {
                notes.add_elsewhere(source, git_note(line.range.clone()));
            }
        }
    }
    pinned(run, source, notes);
    hosts(run, source, notes);
}

fn calls_git(line: &str) -> bool {
    line.match_indices("$(shell ").any(|(at, mark)| {
        let mut words = line[at + mark.len()..].split_whitespace();
        words.next() == Some("git")
            && words
                .next()
                .is_some_and(|verb| NEEDS_METADATA.contains(&verb.trim_end_matches(')')))
    })
}

/// The registry that the build logs in to, as far as account and region are written.
struct OwnRegistry {
    account: Option<String>,
    region: Option<String>,
}

impl OwnRegistry {
    fn of(run: &Run<'_>) -> Self {
        let spec = run.spec;
        let context = spec.context;
        let account = || region::account(spec).map(str::to_owned);
        let region = || {
            let mut regions = super::environment::regions(&spec.reading.spec.env.variables);
            regions.next().map(|(_, region)| region.to_owned())
        };
        let mut own = Self {
            account: context.account.clone().or_else(account),
            region: context.region.clone().or_else(region),
        };
        let commands = spec.commands.iter();
        let mut found = commands.flat_map(|command| registries(command.text));
        if let Some((_, first)) = found.next()
            && found.all(|(_, other)| other == first)
        {
            own.account = own.account.or(first.account);
            own.region.get_or_insert(first.region);
        }
        own
    }

    /// Reports how another registry, named in a file around the buildspec, differs.
    fn compare(
        &self,
        source: &Source,
        range: &std::ops::Range<usize>,
        account: Option<&str>,
        region: Option<&str>,
        notes: &mut Notes,
    ) {
        let pairs = [
            ("account", account, &self.account),
            ("region", region, &self.region),
        ];
        for (what, there, own) in pairs {
            if let (Some(there), Some(own)) = (there, own)
                && there != own
            {
                let note = region::mismatch(range.clone(), what, there, own);
                notes.add_elsewhere(source, note);
            }
        }
    }
}

/// Registries of another account or region than the build's.
fn hosts(run: &Run<'_>, source: &Source, notes: &mut Notes) {
    let own = OwnRegistry::of(run);
    for line in 1..=source.text.lines().count() {
        let bytes = source.line(line);
        let text = &source.text[bytes.clone()];
        if text.trim_start().starts_with('#') {
            continue;
        }
        for (place, found) in registries(text) {
            let range = bytes.start + place.start..bytes.start + place.end;
            let account = found.account.as_deref();
            own.compare(source, &range, account, Some(&found.region), notes);
        }
    }
}

/// Policies that allow another registry than the one the build pushes to.
fn policies(run: &Run<'_>, notes: &mut Notes) {
    let own = OwnRegistry::of(run);
    for source in json_files(run) {
        for (at, mark) in source.text.match_indices("arn:aws:ecr:") {
            let rest = &source.text[at + mark.len()..];
            let arn = rest.split(['"', ' ', '\n']).next().unwrap_or("");
            let literal = |text: &&str| !text.is_empty() && !text.contains(['*', '$', '<', '{']);
            let mut parts = arn.split(':').map(|part| Some(part).filter(literal));
            let (region, account) = (parts.next().flatten(), parts.next().flatten());
            let range = at..at + mark.len() + arn.len();
            own.compare(&source, &range, account, region, notes);
        }
    }
}

/// The JSON files beside the buildspec that are read.
fn json_files(run: &Run<'_>) -> impl Iterator<Item = Source> {
    let names = run.spec.context.files.list("").into_iter();
    let names = names.filter(|name| name.ends_with(".json")).take(50);
    names.filter_map(|name| run.spec.file(&[&name]))
}

/// Files of CloudFormation parameters that pass a moving tag.
fn parameters(run: &Run<'_>, notes: &mut Notes) {
    let deploys = |call: &Call| call.is("aws", &["cloudformation", "deploy"]);
    let in_makefile = run.spec.file(&MAKEFILES).is_some_and(|source| {
        source.text.contains("cloudformation deploy")
            && source.text.contains("--parameter-overrides")
    });
    if !in_makefile && !run.calls().any(|(_, _, call)| deploys(call)) {
        return;
    }
    for source in json_files(run) {
        let Ok(serde_json::Value::Object(entries)) = serde_json::from_str(&source.text) else {
            continue;
        };
        if !entries
            .values()
            .all(|value| value.is_string() || value.is_number() || value.is_boolean())
        {
            continue;
        }
        for (key, value) in &entries {
            let is_image = key.ends_with("Tag") || key.contains("Image");
            let moves = value
                .as_str()
                .is_some_and(|value| value == "latest" || value.ends_with(":latest"));
            let at = source
                .text
                .find(&format!("\"{key}\""))
                .filter(|_| is_image && moves);
            if let Some(at) = at {
                let line = source.line(source.span(at).line);
                let note = Note::new(
                    Code::W040,
                    at..line.end,
                    "The parameter is the same for every build, so CloudFormation sees no change and deploys nothing.",
                    "Pass a tag that is unique to the build, or the digest.",
                );
                notes.add_elsewhere(&source, note);
            }
        }
    }
}

/// Whether the image is built from the Dockerfile at the root.
fn builds_here(run: &Run<'_>) -> bool {
    run.calls().any(|(_, _, call)| {
        let is_compose = call.name() == "docker-compose" || call.is("docker", &["compose"]);
        let is_build = call.is("docker", &["build"]) && !call.has(&["-f", "--file"]);
        let is_make = call.name() == "make";
        is_build || is_compose || is_make
    })
}

/// Whether `docker login` names no registry, or that of Docker Hub.
fn is_hub_login(call: &Call) -> bool {
    let mut words = call.arguments().iter();
    let mut registry = None;
    while let Some(word) = words.next() {
        match word.text() {
            Some("-u" | "--username" | "-p" | "--password") => {
                words.next();
            }
            Some("login") => {}
            Some(text) if text.starts_with('-') => {}
            Some(_) | None => registry = Some(word),
        }
    }
    registry.is_none_or(|word| word.text().is_some_and(|text| text.contains("docker.io")))
}

/// Base images of Docker Hub that are pulled without a login.
fn bases(run: &Run<'_>, source: &Source, notes: &mut Notes) {
    let logs_in = run
        .calls()
        .any(|(_, _, call)| call.is("docker", &["login"]) && is_hub_login(call));
    let in_make = run.calls().any(|(_, _, call)| call.name() == "make");
    if logs_in || in_make {
        return;
    }
    let mut stages: Vec<String> = Vec::new();
    for line in 1..=source.text.lines().count() {
        let bytes = source.line(line);
        let text = &source.text[bytes.clone()];
        let words: Vec<&str> = text
            .split_whitespace()
            .filter(|word| !word.starts_with("--"))
            .collect();
        let [from, image, rest @ ..] = &words[..] else {
            continue;
        };
        if !from.eq_ignore_ascii_case("from") {
            continue;
        }
        let host = image
            .split('/')
            .next()
            .filter(|_| image.contains('/'))
            .unwrap_or("");
        let is_hub = !host.contains(['.', ':']) && host != "localhost" || host == "docker.io";
        let is_stage = stages.iter().any(|stage| stage.eq_ignore_ascii_case(image));
        if is_hub && !is_stage && *image != "scratch" && !image.contains('$') {
            let at = bytes.start + text.find(image).unwrap_or(0);
            let note = Note::new(
                Code::W044,
                at..at + image.len(),
                "Docker Hub limits anonymous pulls per IP address, and CodeBuild shares its addresses: `toomanyrequests`.",
                "Log in to Docker Hub first, or pull the image from public.ecr.aws or a pull-through cache.",
            );
            notes.add_elsewhere(source, note);
        }
        if let [word, stage, ..] = rest
            && word.eq_ignore_ascii_case("as")
        {
            stages.push((*stage).to_owned());
        }
    }
}

/// `GOARCH=amd64` although images for arm64 are built.
fn pinned(run: &Run<'_>, source: &Source, notes: &mut Notes) {
    if !builds_arm(run) || source.text.contains("GOARCH=arm64") {
        return;
    }
    for (at, pin) in source.text.match_indices("GOARCH=amd64") {
        let line = source.line(source.span(at).line);
        let is_comment = source.text[line].trim_start().starts_with('#');
        if !is_comment {
            let note = Note::new(
                Code::W042,
                at..at + pin.len(),
                "The arm64 image contains an amd64 program, which fails with `exec format error`.",
                "Take the architecture from the build, as `GOARCH=$TARGETARCH` does in a Dockerfile.",
            );
            notes.add_elsewhere(source, note);
        }
    }
}

fn builds_arm(run: &Run<'_>) -> bool {
    let context = run.spec.context;
    let by_project = context
        .platforms
        .iter()
        .any(|platform| platform.contains("arm64"))
        || context
            .image
            .as_deref()
            .is_some_and(|image| image.contains("aarch64"));
    let by_call = run.calls().any(|(_, _, call)| {
        let platforms = call.options(&["--platform"]);
        platforms
            .iter()
            .any(|word| word.text().is_some_and(|text| text.contains("arm64")))
    });
    let batch = run.spec.reading.spec.batch.as_ref();
    let by_batch = batch
        .into_iter()
        .flat_map(|batch| &batch.forms)
        .any(|form| match form {
            BatchForm::List(builds) | BatchForm::Graph(builds) => builds.iter().any(|build| {
                let kind = build.env.as_ref().and_then(|env| env.kind.as_deref());
                kind.is_some_and(|kind| kind.starts_with("ARM_"))
            }),
            BatchForm::Matrix(_) | BatchForm::Fanout(_) => false,
        });
    by_project || by_call || by_batch
}
