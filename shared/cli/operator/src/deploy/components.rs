//! Creates what the components of a definition need on AWS: one stack each, from
//! infra/component.yaml.

use std::collections::BTreeMap;

use serde_json::json;
use towline_console::style::{Style, paint};
use towline_domain::definition::{Component, Definition, Preset};
use towline_domain::names::{ComponentName, RepositoryName};
use towline_ports::StartBuild;

use super::build::Arch;
use super::call::{self, Caller};
use super::follow::{self, Follow};
use super::machine;
use super::plan::{Consent, Plan, Wanted};
use super::tool;
use crate::defined::Defined;
use crate::iam::{Around, Asked};
use crate::tags::{self, Judged};
use crate::templates;
use towline_client::aws_cli::{AwsCli, Call};
use towline_client::stack::{self, Place, STACK, Stack};
use towline_client::words::{WordError, word};
use towline_console::outcome::{Outcome, refused};
use towline_console::output::Output;

/// The template's parameter for the stack's bucket.
const BUCKET: &str = "Bucket";
/// The template's parameter for tags that may move.
const STAGE_TAGS: &str = "StageTags";
/// The template's parameter for the connection to GitHub.
const CONNECTION: &str = "Connection";
/// How many patterns of tags ECR excludes from immutability at most (ECR API,
/// `ImageTagMutabilityExclusionFilters`).
const MOST_STAGE_TAGS: usize = 5;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  towline deploy components --dry-run
  towline deploy components --component api --connection arn:aws:codeconnections:…")]
pub struct Components {
    #[command(flatten)]
    defined: Defined,
    /// Only this component; may be repeated
    #[arg(long = "component", value_name = "NAME")]
    components: Vec<ComponentName>,
    /// AWS connection that CodeBuild clones a private repository with
    #[arg(long, value_name = "ARN", value_parser = arn)]
    connection: Option<String>,
    /// Name of Towline's own stack
    #[arg(long, value_name = "NAME", default_value = STACK, value_parser = stack::stack_name)]
    stack: String,
    /// Another parameter of infra/component.yaml; may be repeated
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = call::parameter)]
    parameters: Vec<(String, String)>,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    place: Place,
}

/// One component's stack.
struct Target<'a> {
    component: &'a Component,
    stack: String,
    before: Option<Stack>,
    given: BTreeMap<String, String>,
    judged: Judged,
    asked: Asked,
}

/// Facts that are the same for all components.
struct Known {
    aws: AwsCli,
    region: String,
    caller: Caller,
    repository: RepositoryName,
    definition: Definition,
    around: Around,
    /// The stack of Towline itself, if there is one.
    control: Option<Stack>,
}

/// Deploys the stacks one by one.
///
/// # Errors
/// Refused when a person or AWS says no; an error when something it needs is missing.
pub async fn run(args: Components, output: Output) -> Outcome {
    let (repository, definition) = args.defined.read(output)?;
    let named = args.parameters.iter().map(|(name, _)| name);
    if let Some(reason) = templates::unknown_parameter(templates::COMPONENT, named) {
        return refused(reason);
    }
    let (aws, region) = args.place.located().await?;
    let known = Known {
        caller: Caller::find(&aws).await?,
        control: Stack::find(&aws, &args.stack).await?,
        around: Around::of(&args.defined)?,
        aws,
        region,
        repository,
        definition,
    };
    let mut targets = Vec::new();
    for component in chosen(&known.definition, &args.components)? {
        targets.push(known.target(component, &args).await?);
    }
    let mut plan = known.plan(&targets);
    for warning in known.warnings(&targets, &args.stack) {
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
            aws: &known.aws,
            stack: &target.stack,
            output,
        };
        let changed = follow.through(known.deploy(target, &template)).await?;
        done.push((target, changed));
    }
    finish(&done, output)
}

/// The components of these names, or all.
fn chosen<'a>(definition: &'a Definition, names: &[ComponentName]) -> Outcome<Vec<&'a Component>> {
    if let Some(unknown) = names.iter().find(|it| definition.component(it).is_none()) {
        let known = definition.components.iter().map(|it| it.name.as_str());
        return refused(format!(
            "unknown component {unknown}; the definition has {}",
            known.collect::<Vec<_>>().join(", ")
        ));
    }
    let all = definition.components.iter();
    Ok(all
        .filter(|it| names.is_empty() || names.contains(&it.name))
        .collect())
}

impl Known {
    async fn target<'a>(&self, component: &'a Component, args: &Components) -> Outcome<Target<'a>> {
        let project = StartBuild::project(&self.repository, &component.name);
        // The name of the project, shortened to the limit for a stack's name.
        let stack: String = project.chars().take(128).collect();
        let before = Stack::find(&self.aws, &stack).await?;
        follow::must_be_free(&self.aws, &stack, before.as_ref())?;
        let kept = before.as_ref().map(Stack::parameters).unwrap_or_default();
        let asked = self
            .around
            .asked(component, &project, &self.caller.account, &self.region);
        let mut given = self.parameters(component, &asked, &kept);
        let bucket = self
            .control
            .as_ref()
            .and_then(|it| it.output(templates::BUCKET));
        let options = [
            (BUCKET, bucket.map(str::to_owned)),
            (CONNECTION, args.connection.clone()),
        ];
        for (name, value) in options {
            given.extend(value.map(|value| (name.to_owned(), value)));
        }
        given.extend(args.parameters.iter().cloned());
        if let Some(wrong) = machine::wrong(&given, component) {
            return refused(wrong);
        }
        let patterns: Vec<&str> = given[STAGE_TAGS].split(',').collect();
        let judged = tags::judge(&self.definition, component, &patterns);
        if let Some(wrong) = wrong(&judged, component) {
            return refused(wrong);
        }
        if patterns.len() > MOST_STAGE_TAGS {
            return refused(format!(
                "the stages and builds have the tags {}, but ECR takes at most {MOST_STAGE_TAGS} patterns of movable tags; cover them with patterns, such as --parameter 'StageTags=prod*,staging*'",
                given[STAGE_TAGS]
            ));
        }
        Ok(Target {
            component,
            stack,
            before,
            given,
            judged,
            asked,
        })
    }

    fn plan(&self, targets: &[Target<'_>]) -> Plan {
        let mut plan = Plan::default();
        let Caller { account, arn } = &self.caller;
        plan.fact("account", format!("{account} as {arn}"));
        plan.fact("region", &self.region);
        plan.fact("repository", self.repository.to_string());
        for target in targets {
            let what = match target.before {
                Some(_) => "update",
                None => "new",
            };
            plan.fact("stacks", format!("{} ({what})", target.stack));
            plan.command(self.deploy(target, "infra/component.yaml").shown());
        }
        plan
    }

    fn deploy(&self, target: &Target<'_>, template: &str) -> Call {
        let (stack, given) = (&target.stack, &target.given);
        call::deploy(&self.aws, template, stack, None, &["CAPABILITY_IAM"], given)
    }

    /// The parameters of infra/component.yaml.
    fn parameters(
        &self,
        component: &Component,
        asked: &Asked,
        kept: &BTreeMap<&str, &str>,
    ) -> BTreeMap<String, String> {
        // Patterns that a person has chosen stay as long as they match all tags.
        let is_enough = |patterns: &&str| {
            let patterns: Vec<&str> = patterns.split(',').collect();
            let judged = tags::judge(&self.definition, component, &patterns);
            judged.stuck.is_empty()
        };
        let chosen = kept.get(STAGE_TAGS).copied().filter(is_enough);
        let stage_tags = match chosen {
            Some(patterns) => patterns.to_owned(),
            None => tags::moving(&self.definition, component).join(","),
        };
        let build = &component.build;
        let given = [
            ("Repository", self.repository.to_string()),
            ("Component", component.name.to_string()),
            ("ImageRepository", component.repository.to_string()),
            (STAGE_TAGS, stage_tags),
            ("Privileged", build.preset.needs_docker().to_string()),
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

    fn warnings(&self, targets: &[Target<'_>], control: &str) -> Vec<String> {
        let mut warnings = Vec::new();
        let without = "buildspecs of more than 25,600 characters fail";
        match &self.control {
            None => warnings.push(format!(
                "stack {control} not found here; name Towline's stack with --stack, otherwise {without}"
            )),
            Some(stack) if stack.output(templates::BUCKET).is_none() => warnings.push(format!(
                "the stack {control} has no bucket yet; run `towline deploy`, then deploy the components again, otherwise {without}"
            )),
            Some(_) => {}
        }
        let tools = self.control.as_ref().map(Stack::parameters);
        let tools = tools.unwrap_or_default();
        for target in targets {
            warnings.extend(target.warnings(&tools, control));
        }
        if targets
            .iter()
            .any(|target| target.before.is_none() && !target.given.contains_key(CONNECTION))
        {
            warnings.push("without --connection CodeBuild clones public repositories only".into());
        }
        warnings
    }
}

impl Target<'_> {
    /// `tools` are the parameters of Towline's stack.
    fn warnings(&self, tools: &BTreeMap<&str, &str>, control: &str) -> Vec<String> {
        let (name, judged) = (&self.component.name, &self.judged);
        let build = &self.component.build;
        let has = |arch: &Arch| {
            tools
                .get(tool::parameter(*arch))
                .is_some_and(|it| !it.is_empty())
        };
        let lacks: Vec<&str> = machine::processors(build, &self.given)
            .into_iter()
            .filter(|arch| !has(arch))
            .map(Arch::name)
            .collect();
        let mut warnings = Vec::new();
        if matches!(build.preset, Preset::Pack { .. }) && !lacks.is_empty() {
            warnings.push(format!(
                "{name}: the preset pack needs the program towline, which the stack {control} does not have; run `towline deploy --tool {}`, unless the build image has it on its PATH",
                lacks.join(" --tool ")
            ));
        }
        for unknown in &self.asked.unknown {
            warnings.push(format!("{name}: {unknown}; set it with --parameter"));
        }
        if !judged.of_commit.is_empty() {
            warnings.push(format!(
                "{name}: a second build of a commit, as by `towline retry`, fails: its tag {} exists already; {}",
                judged.of_commit.join(", "),
                tags::advice(&judged.of_commit)
            ));
        }
        if !judged.loose.is_empty() {
            warnings.push(format!(
                "{name}: StageTags also lets {} move, which must stay on the image of its build; name fewer patterns",
                judged.loose.join(", ")
            ));
        }
        warnings
    }
}

fn finish(done: &[(&Target<'_>, bool)], output: Output) -> Outcome {
    if output.is_json() {
        let stacks = done
            .iter()
            .map(|(target, changed)| json!({ "stack": target.stack, "changed": changed }));
        return output.value(&json!({ "stacks": stacks.collect::<Vec<_>>() }));
    }
    let mut text = String::new();
    for (target, changed) in done {
        let what = match (changed, &target.before) {
            (false, _) => "is up to date",
            (true, None) => "created",
            (true, Some(_)) => "updated",
        };
        text += &format!("{} {what}\n", paint(Style::Good, &target.stack));
    }
    text += "\nNext: push a commit, then see its run with: towline runs\n";
    output.text(&text)
}

/// Why builds or promotions would fail to push their tags.
fn wrong(judged: &Judged, component: &Component) -> Option<String> {
    let name = &component.name;
    if !judged.of_branch.is_empty() {
        return Some(format!(
            "{name}: the second push to a branch fails: its tag {} exists already and cannot be moved; {}",
            judged.of_branch.join(", "),
            tags::advice(&judged.of_branch)
        ));
    }
    (!judged.stuck.is_empty()).then(|| {
        format!(
            "{name}: StageTags does not let {} move; add them",
            judged.stuck.join(", ")
        )
    })
}

fn arn(text: &str) -> Result<String, WordError> {
    let is_one = text.starts_with("arn:") && !text.contains(char::is_whitespace);
    word(text, is_one, "an ARN begins with arn:")
}
