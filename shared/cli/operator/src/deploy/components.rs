//! Makes what the components of a definition need at AWS: one stack each, from infra/component.yaml.

use std::collections::BTreeMap;

use serde_json::json;
use towline_console::style::{Style, paint};
use towline_domain::definition::{Component, Definition, Preset};
use towline_domain::names::{ComponentName, RepositoryName};
use towline_ports::StartBuild;

use super::build::Arch;
use super::control::{self, Caller, overriding};
use super::follow::{self, Follow};
use super::machine;
use super::plan::{Consent, Plan, Wanted};
use super::tags::{self, Judged};
use super::tool;
use crate::defined::Defined;
use crate::iam::{Around, Asked};
use crate::templates;
use towline_client::aws_cli::{AwsCli, Call};
use towline_client::stack::{self, Place, STACK, Stack};
use towline_console::outcome::{Outcome, refused};
use towline_console::output::Output;

/// The template's parameter for the stack's bucket.
const BUCKET: &str = "Bucket";
/// The template's parameter for tags that may move.
const STAGE_TAGS: &str = "StageTags";
/// Patterns of tags that ECR excludes from immutability at most (ECR API,
/// `ImageTagMutabilityExclusionFilters`).
const MOST_STAGE_TAGS: usize = 5;

/// Settings of `deploy components`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  towline deploy components --dry-run
  towline deploy components --component api --connection arn:aws:codeconnections:…")]
pub struct Components {
    #[command(flatten)]
    defined: Defined,
    /// Only this component; can be given several times
    #[arg(long = "component", value_name = "NAME")]
    components: Vec<ComponentName>,
    /// The AWS connection that CodeBuild clones a private repository by
    #[arg(long, value_name = "ARN", value_parser = arn)]
    connection: Option<String>,
    /// The Towline they belong to
    #[arg(long, value_name = "NAME", default_value = STACK, value_parser = stack::stack_name)]
    stack: String,
    /// A further parameter of infra/component.yaml; can be given several times
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = control::parameter)]
    parameters: Vec<(String, String)>,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    place: Place,
}

/// One component's stack.
struct Target {
    stack: String,
    before: Option<Stack>,
    given: BTreeMap<String, String>,
    judged: Judged,
    asked: Asked,
}

/// Deploys the stacks, one after the other.
///
/// # Errors
/// Refused when a person or AWS says no; impossible when something it needs is missing.
pub async fn run(args: Components, output: Output) -> Outcome {
    let (repository, definition) = args.defined.read(output)?;
    for name in &args.components {
        if definition.component(name).is_none() {
            let known: Vec<&str> = definition
                .components
                .iter()
                .map(|it| it.name.as_str())
                .collect();
            return refused(format!(
                "there is no component {name}; there is {}",
                known.join(", ")
            ));
        }
    }
    let wanted_ones = |component: &&Component| {
        args.components.is_empty() || args.components.contains(&component.name)
    };
    let components: Vec<&Component> = definition.components.iter().filter(wanted_ones).collect();
    let named = args.parameters.iter().map(|(name, _)| name);
    if let Some(reason) = templates::unknown_parameter(templates::COMPONENT, named) {
        return refused(reason);
    }
    let (aws, region) = args.place.located().await?;
    let caller = Caller::find(&aws).await?;
    let control = Stack::find(&aws, &args.stack).await?;
    let bucket = control
        .as_ref()
        .and_then(|stack| stack.output(tool::BUCKET));
    let around = Around::of(&args.defined)?;
    let mut targets = Vec::new();
    for component in &components {
        let stack = stack_of(&repository, component);
        let before = Stack::find(&aws, &stack).await?;
        let status = before.as_ref().map(|stack| stack.status.as_str());
        if let Some(advice) = status.and_then(|status| follow::advice(&aws, &stack, status)) {
            return refused(advice);
        }
        let kept = before.as_ref().map(Stack::parameters).unwrap_or_default();
        let project = StartBuild::project(&repository, &component.name);
        let asked = around.asked(component, &project, &caller.account, &region);
        let mut given = parameters(&repository, &definition, component, &asked, &kept);
        given.extend(bucket.map(|name| (BUCKET.to_owned(), name.to_owned())));
        given.extend(
            args.connection
                .iter()
                .map(|arn| ("Connection".to_owned(), arn.clone())),
        );
        given.extend(args.parameters.iter().cloned());
        if let Some(wrong) = machine::wrong(&given, component) {
            return refused(wrong);
        }
        let patterns: Vec<&str> = given[STAGE_TAGS].split(',').collect();
        let judged = tags::judge(&definition, component, &patterns);
        if let Some(wrong) = wrong(&judged, component) {
            return refused(wrong);
        }
        if patterns.len() > MOST_STAGE_TAGS {
            return refused(format!(
                "the stages and builds have the tags {}, and ECR lets only {MOST_STAGE_TAGS} patterns of tags move; cover them with patterns, such as --parameter 'StageTags=prod*,staging*'",
                given[STAGE_TAGS]
            ));
        }
        targets.push(Target {
            stack,
            before,
            given,
            judged,
            asked,
        });
    }
    let mut plan = Plan::default();
    plan.fact("account", format!("{} as {}", caller.account, caller.arn));
    plan.fact("region", &region);
    plan.fact("repository", repository.to_string());
    for target in &targets {
        let what = if target.before.is_some() {
            "update"
        } else {
            "new"
        };
        plan.fact("stacks", format!("{} ({what})", target.stack));
        plan.command(deploy(&aws, target, "infra/component.yaml").shown());
    }
    for warning in warnings(&components, &targets, &args.stack, control.as_ref()) {
        plan.warn(warning);
    }
    if !plan.agree(Wanted::from(args.consent), output)? {
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(anyhow::Error::from)?;
    let template = folder.path().join("component.yaml");
    std::fs::write(&template, templates::COMPONENT).map_err(anyhow::Error::from)?;
    let template = template.display().to_string();
    let mut done = Vec::new();
    for target in &targets {
        output.progress(&format!("Deploying {}.", target.stack));
        let follow = Follow {
            aws: &aws,
            stack: &target.stack,
            output,
        };
        let changed = follow.through(deploy(&aws, target, &template)).await?;
        done.push((target, changed));
    }
    finish(&done, output)
}

fn finish(done: &[(&Target, bool)], output: Output) -> Outcome {
    if output.is_json() {
        let stacks = done
            .iter()
            .map(|(target, changed)| json!({ "stack": target.stack, "changed": changed }));
        return output.value(&json!({ "stacks": stacks.collect::<Vec<_>>() }));
    }
    let mut text = String::new();
    for (target, changed) in done {
        let what = match (changed, &target.before) {
            (false, _) => "as it should be",
            (true, None) => "made",
            (true, Some(_)) => "changed",
        };
        text += &format!("{} {what}\n", paint(Style::Good, &target.stack));
    }
    text += "\nNext: push a commit, and see what comes of it with: towline runs\n";
    output.text(&text)
}

/// A component's stack is called as its CodeBuild project, as far as a stack's name may be long.
fn stack_of(repository: &RepositoryName, component: &Component) -> String {
    let project = StartBuild::project(repository, &component.name);
    project.chars().take(128).collect()
}

/// What infra/component.yaml is told.
fn parameters(
    repository: &RepositoryName,
    definition: &Definition,
    component: &Component,
    asked: &Asked,
    kept: &BTreeMap<&str, &str>,
) -> BTreeMap<String, String> {
    // Patterns that somebody has chosen stay as long as they are enough.
    let is_enough = |patterns: &&str| {
        let patterns: Vec<&str> = patterns.split(',').collect();
        tags::judge(definition, component, &patterns)
            .stuck
            .is_empty()
    };
    let chosen = kept.get(STAGE_TAGS).copied().filter(is_enough);
    let stage_tags = match chosen {
        Some(patterns) => patterns.to_owned(),
        None => tags::moving(definition, component).join(","),
    };
    // As `start_builds` asks for it: only `pack` does without a Docker daemon.
    let needs_docker = !matches!(component.build.preset, Preset::Pack { .. });
    let build = &component.build;
    let given = [
        ("Repository", repository.to_string()),
        ("Component", component.name.to_string()),
        ("ImageRepository", component.repository.to_string()),
        (STAGE_TAGS, stage_tags),
        ("Privileged", needs_docker.to_string()),
        ("BuildImage", machine::image(build).to_owned()),
        ("Secrets", asked.secrets.join(",")),
        ("Parameters", asked.parameters.join(",")),
        ("Reports", (!asked.reports.is_empty()).to_string()),
        ("LayerCache", build.layer_cache.to_string()),
        ("Cache", (!build.cache.is_empty()).to_string()),
    ];
    given
        .into_iter()
        .chain(machine::parameters(build, kept))
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Why builds or promotions could not push their tags.
fn wrong(judged: &Judged, component: &Component) -> Option<String> {
    let name = &component.name;
    if !judged.of_branch.is_empty() {
        return Some(format!(
            "{name}: the tag {} comes again with every push to a branch, and the second push would fail, for tags of builds cannot be moved; {}",
            judged.of_branch.join(", "),
            tags::advice(&judged.of_branch)
        ));
    }
    (!judged.stuck.is_empty()).then(|| {
        format!(
            "{name}: StageTags lets {} not move; name them too",
            judged.stuck.join(", ")
        )
    })
}

fn warnings(
    components: &[&Component],
    targets: &[Target],
    control: &str,
    stack: Option<&Stack>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let without = "no buildspec of theirs may have more than 25,600 characters";
    match stack {
        None => warnings.push(format!(
            "there is no stack {control} here; name the Towline they belong to with --stack, or {without}"
        )),
        Some(stack) if stack.output(tool::BUCKET).is_none() => warnings.push(format!(
            "the stack {control} has no bucket yet; `towline deploy` makes it, then deploy them again, or {without}"
        )),
        Some(_) => {}
    }
    let tools = stack.map(Stack::parameters).unwrap_or_default();
    for (component, target) in components.iter().zip(targets) {
        let (name, judged) = (&component.name, &target.judged);
        let lacks: Vec<&str> = machine::processors(&component.build, &target.given)
            .into_iter()
            .filter(|arch| {
                tools
                    .get(tool::parameter(*arch))
                    .is_none_or(|it| it.is_empty())
            })
            .map(Arch::name)
            .collect();
        if matches!(component.build.preset, Preset::Pack { .. }) && !lacks.is_empty() {
            warnings.push(format!(
                "{name}: the preset pack needs the program towline, and the stack {control} has none for its builds; `towline deploy --tool {}` brings it there, unless their image has it on its PATH",
                lacks.join(" --tool ")
            ));
        }
        for unknown in &target.asked.unknown {
            warnings.push(format!("{name}: {unknown}; give it with --parameter"));
        }
        if !judged.of_commit.is_empty() {
            warnings.push(format!(
                "{name}: the tag {} comes again when a commit is built twice, as by `towline retry`, and that build fails; {}",
                judged.of_commit.join(", "),
                tags::advice(&judged.of_commit)
            ));
        }
        if !judged.loose.is_empty() {
            warnings.push(format!(
                "{name}: StageTags lets {} move too, by which an image is known to come from its build; name fewer",
                judged.loose.join(", ")
            ));
        }
    }
    if targets
        .iter()
        .any(|target| target.before.is_none() && !target.given.contains_key("Connection"))
    {
        warnings.push("without --connection CodeBuild clones public repositories only".into());
    }
    warnings
}

fn deploy(aws: &AwsCli, target: &Target, template: &str) -> Call {
    let call = aws
        .call("cloudformation", "deploy")
        .option("--template-file", template)
        .option("--stack-name", &target.stack)
        .list("--capabilities", ["CAPABILITY_IAM".into()])
        .word("--no-fail-on-empty-changeset");
    overriding(call, &target.given)
}

fn arn(text: &str) -> Result<String, String> {
    if text.starts_with("arn:") && !text.contains(char::is_whitespace) {
        Ok(text.to_owned())
    } else {
        Err("an ARN begins with arn:".into())
    }
}
