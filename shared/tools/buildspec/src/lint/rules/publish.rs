//! E003, W040: publishing after a failed build, and deploying a tag that moves.

use super::make::{Line, Makefile};
use super::moment::Moment;
use super::{Note, Notes};
use crate::lint::Code;
use crate::lint::fix::guarded;
use crate::lint::shell::{Act, Call, Guard, Reader};
use crate::lint::value::Atom;
use crate::model::{OnFailure, PhaseName};

/// Programs with the subcommands that publish or deploy.
const PUBLISHING: [(&str, &[&str]); 32] = [
    ("docker", &["push"]),
    ("docker", &["image", "push"]),
    ("docker", &["manifest", "push"]),
    ("docker", &["compose", "push"]),
    ("docker-compose", &["push"]),
    ("podman", &["push"]),
    ("buildah", &["push"]),
    ("crane", &["push"]),
    ("crane", &["copy"]),
    ("skopeo", &["copy"]),
    ("aws", &["cloudformation", "deploy"]),
    ("aws", &["cloudformation", "update-stack"]),
    ("aws", &["cloudformation", "execute-change-set"]),
    ("aws", &["ecs", "update-service"]),
    ("aws", &["ecs", "deploy"]),
    ("aws", &["ecr", "put-image"]),
    ("aws", &["lambda", "update-function-code"]),
    ("aws", &["lambda", "publish-version"]),
    ("aws", &["deploy", "create-deployment"]),
    ("aws", &["elasticbeanstalk", "update-environment"]),
    ("kubectl", &["apply"]),
    ("kubectl", &["set", "image"]),
    ("helm", &["upgrade"]),
    ("helm", &["install"]),
    ("cdk", &["deploy"]),
    ("sam", &["deploy"]),
    ("terraform", &["apply"]),
    ("serverless", &["deploy"]),
    ("npm", &["publish"]),
    ("twine", &["upload"]),
    ("cargo", &["publish"]),
    ("gem", &["push"]),
];

pub(super) fn called(moment: &Moment<'_>, notes: &mut Notes) {
    moving_tag(moment, notes);
    if moment.phase != PhaseName::PostBuild || moment.guard == Guard::Succeeding {
        return;
    }
    let spec = moment.spec;
    let build = &spec.reading.spec.phases.build;
    let in_build = |phase: PhaseName| phase == PhaseName::Build;
    let can_fail =
        !build.steps.is_empty() || spec.commands.iter().any(|command| in_build(command.phase));
    if !can_fail || build.on_failure == Some(OnFailure::Abort) {
        return;
    }
    if !publishes(moment) {
        return;
    }
    let note = Note::new(
        Code::E003,
        moment.here(),
        "`post_build` also runs after `build` has failed, so a broken or stale result gets published.",
        "Make it the last command of `build`, or run it only if `[ \"$CODEBUILD_BUILD_SUCCEEDING\" = 1 ]`.",
    );
    let edits = if moment.command.phase == PhaseName::PostBuild {
        guarded(moment.spec.source, moment.command.node)
    } else {
        Vec::new()
    };
    notes.add(moment.spec.source, note.fixed_by(edits));
}

fn publishes(moment: &Moment<'_>) -> bool {
    let call = moment.call;
    if is_publishing(call) {
        return !call.has(&["--dry-run", "--help", "--no-execute-changeset"]);
    }
    call.name() == "make" && make_publishes(moment)
}

fn is_publishing(call: &Call) -> bool {
    let name = match call.name() {
        "npx" | "yarn" | "pnpm" => call.verbs().first().copied().unwrap_or(""),
        name => name,
    };
    let known = PUBLISHING.iter().any(|(program, verbs)| {
        if *program != name {
            return false;
        }
        let mine = call.verbs();
        match *program {
            // The subcommand comes first; later words may be any name.
            "docker" | "docker-compose" if verbs.len() == 1 => mine.first() == Some(&verbs[0]),
            "docker" => mine.get(..2) == Some(*verbs),
            _ => call.words.len() > verbs.len() && contains(&mine, verbs),
        }
    });
    let is_build =
        matches!(call.name(), "docker" | "podman" | "buildah") && call.verbs().contains(&"build");
    known || (is_build && call.has(&["--push"]))
}

fn contains(words: &[&str], wanted: &[&str]) -> bool {
    words.windows(wanted.len()).any(|window| window == wanted)
}

/// Whether a target of the Makefile publishes; without a Makefile, its name decides.
fn make_publishes(moment: &Moment<'_>) -> bool {
    let verbs = moment.call.verbs();
    let targets: Vec<&str> = verbs
        .into_iter()
        .filter(|verb| !verb.contains('='))
        .collect();
    let is_elsewhere = moment.call.has(&["-C", "-f", "--directory", "--file"]);
    match moment
        .spec
        .file(&["Makefile", "makefile", "GNUmakefile"])
        .filter(|_| !is_elsewhere)
    {
        Some(source) => {
            let makefile = Makefile::read(&source);
            let mut reader = Reader::new();
            let mut publishes = |line: &Line| {
                let steps = reader.steps(&line.text);
                let mut acts = steps.iter().map(|step| &step.act);
                acts.any(|act| matches!(act, Act::Call(call) if is_publishing(call)))
            };
            let mut lines = targets.iter().flat_map(|target| makefile.recipe(target));
            lines.any(&mut publishes)
        }
        None => targets
            .iter()
            .any(|target| matches!(*target, "publish" | "push" | "deploy" | "release")),
    }
}

/// `latest` as the parameter of a deployment: CloudFormation and ECS see no change when it moves.
fn moving_tag(moment: &Moment<'_>, notes: &mut Notes) {
    let call = moment.call;
    let writes_definitions = call
        .output
        .as_ref()
        .and_then(|word| word.text())
        .is_some_and(|path| {
            path.ends_with("imagedefinitions.json") || path.ends_with("imageDetail.json")
        });
    let deploys = call.is("aws", &["cloudformation", "deploy"])
        || call.is("aws", &["cloudformation", "update-stack"])
        || call.is("kubectl", &["set", "image"])
        || call.is("helm", &["upgrade"]);
    if !deploys && !writes_definitions {
        return;
    }
    for word in call.arguments() {
        let atoms = moment.variables.resolve(word, &|range| moment.place(range));
        let Some(Atom::Text(last)) = atoms.last() else {
            continue;
        };
        let is_parameter = ["=latest", ":latest"].iter().any(|end| last.ends_with(end));
        let is_definition = writes_definitions && last.contains(":latest\"");
        if (is_parameter && names_image(&atoms)) || is_definition {
            let note = Note::new(
                Code::W040,
                moment.place(&word.range),
                "The tag is the same for every build, so the deployment sees no change, or nobody can tell which image runs.",
                "Pass a tag that is unique to the build, or the digest.",
            );
            notes.add(moment.spec.source, note);
        }
    }
}

fn names_image(atoms: &[Atom]) -> bool {
    let Some(Atom::Text(first)) = atoms.first() else {
        return true;
    };
    let name = first.split('=').next().unwrap_or("").to_ascii_lowercase();
    name.contains("tag")
        || name.contains("image")
        || name.contains("version")
        || first.contains(":latest")
}
