//! `towline iam`: the least-privilege policies for builds, and which line needs each permission.

mod around;
mod needs;
mod policy;
mod print;

use clap::{Args, ValueEnum};
use towline_console::style::{Style, paint};
use towline_domain::definition::Component;
use towline_domain::names::ComponentName;
use towline_ports::StartBuild;

pub use self::around::{Around, Asked};
use self::needs::Given;
use self::policy::Place;
use self::print::{Built, explained, explained_as_json, policies, template};
use crate::defined::Defined;
use towline_client::context::Context;
use towline_client::words::{WordError, word};
use towline_console::outcome::{Outcome, refused};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline iam --account 111122223333 --region eu-west-1
  towline iam backend --format cloudformation > roles.json
  towline iam --explain

Prints a role for each component, and the policy that the repository of a build image needs.
`towline deploy components` creates these, with everything else a component needs.")]
pub struct Iam {
    /// Only these components
    #[arg(value_name = "COMPONENT")]
    components: Vec<ComponentName>,
    #[command(flatten)]
    defined: Defined,
    /// AWS account, twelve digits
    #[arg(long, value_name = "ID", value_parser = account)]
    account: Option<String>,
    /// AWS region
    #[arg(long, value_name = "REGION", value_parser = region)]
    region: Option<String>,
    /// json, or cloudformation, which needs no account and region
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "json",
        hide_possible_values = true
    )]
    format: Format,
    /// Print which line needs each permission, instead of the policies
    #[arg(long)]
    explain: bool,
    /// AWS connection that CodeBuild clones a private repository with
    #[arg(long, value_name = "ARN")]
    connection: Option<String>,
    /// Bucket of the stack (its output BucketName), for long buildspecs and the preset pack
    #[arg(long, value_name = "NAME", value_parser = towline_client::stack::label)]
    bucket: Option<String>,
    /// Also allow this action: ecr:ListImages, ecr:DescribeImages, ecr:DescribeRepositories or
    /// ecr:GetRepositoryPolicy
    #[arg(long, value_name = "ACTION", value_parser = also)]
    also: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Cloudformation,
}

fn account(text: &str) -> Result<String, WordError> {
    let is_one = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    word(text, is_one, "an account has twelve digits")
}

fn region(text: &str) -> Result<String, WordError> {
    let is_one = text.contains('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    word(text, is_one, "a region looks like eu-west-1")
}

fn also(text: &str) -> Result<&'static str, WordError> {
    let known = needs::ALSO.iter().find(|(action, _)| *action == text);
    known.map(|(action, _)| *action).ok_or_else(|| {
        let known = needs::ALSO.map(|(action, _)| action);
        WordError::new(format!("use one of {}", known.join(", ")))
    })
}

/// Prints the policies, or which line needs each permission.
///
/// # Errors
/// When the definition has mistakes or no such component, or account and region are missing.
pub fn run(context: &Context, args: &Iam) -> Outcome {
    let (repository, definition) = args.defined.read(context.output)?;
    let around = Around::of(&args.defined)?;
    let given = Given {
        definition: &around.text,
        files: &around.files,
        connection: args.connection.as_deref(),
        bucket: args.bucket.as_deref(),
        also: &args.also,
    };
    for name in &args.components {
        if definition.component(name).is_none() {
            return refused(format!("{} has no component {name}", around.file.display()));
        }
    }
    let is_wanted = |component: &&Component| {
        args.components.is_empty() || args.components.contains(&component.name)
    };
    let built: Vec<Built<'_>> = definition
        .components
        .iter()
        .filter(is_wanted)
        .map(|component| {
            let project = StartBuild::project(&repository, &component.name);
            Built {
                component,
                needs: needs::of(component, &project, &given),
                project,
            }
        })
        .collect();
    for sentence in built.iter().flat_map(|built| &built.needs.unknown) {
        context
            .output
            .progress(&format!("{} {sentence}", paint(Style::Waiting, "note:")));
    }
    if args.explain {
        return if context.output.is_json() {
            context.output.value(&explained_as_json(&built))
        } else {
            context.output.text(&explained(&built))
        };
    }
    let place = match (&args.account, &args.region, args.format) {
        (_, _, Format::Cloudformation) => Place::Template,
        (Some(account), Some(region), Format::Json) => Place::Of {
            account: account.clone(),
            region: region.clone(),
        },
        (None, _, Format::Json) | (_, None, Format::Json) => {
            return refused(
                "policies contain the account and the region: set --account and --region, or use --format cloudformation",
            );
        }
    };
    context.output.value(&match args.format {
        Format::Json => policies(&built, &place),
        Format::Cloudformation => template(&built, &place),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use towline_buildspec::lint::NoFiles;
    use towline_definition as definition;

    use super::*;
    use crate::templates;

    /// The actions that `infra/component.yaml` has under a Sid.
    fn deployed(sid: &str) -> BTreeSet<&'static str> {
        let mut lines = templates::COMPONENT.lines();
        let mark = format!("Sid: {sid}");
        lines
            .by_ref()
            .find(|line| line.trim().trim_start_matches("- ") == mark)
            .unwrap_or_else(|| panic!("infra/component.yaml has no {sid}"));
        lines
            .take_while(|line| !line.trim().starts_with("- Sid:"))
            .take_while(|line| {
                !line.trim().starts_with("Resource:") && !line.trim().starts_with("Condition:")
            })
            .filter_map(|line| {
                let line = line.trim();
                let action = line.strip_prefix("Action: ").or(line.strip_prefix("- "))?;
                action.contains(':').then_some(action)
            })
            .collect()
    }

    #[test]
    fn what_is_printed_is_what_is_deployed() {
        let text = "version: 1\npipeline: shop\ncomponents:\n  web:\n    repository: acme/web\n    build: {preset: docker, tags: [\"{sha7}-{build}\"], layer_cache: registry, secrets: {TOKEN: web/npm}, reports: {unit: {files: [a.xml]}}}\n";
        let definition = definition::read(text.as_bytes()).expect("a definition");
        let given = Given {
            definition: text,
            files: &NoFiles,
            connection: Some("arn:aws:codeconnections:eu-west-1:111122223333:connection/c"),
            bucket: Some("stack-bucket"),
            also: &[],
        };
        let needs = needs::of(&definition.components[0], "towline-acme-shop-web", &given);
        let printed: Vec<(&str, BTreeSet<&str>)> = needs
            .statements
            .iter()
            .map(|statement| (statement.sid, statement.actions.iter().copied().collect()))
            .collect();
        let expected = [
            ("GetAuthorizationToken", deployed("Login")),
            ("ManageRepositoryContents", deployed("Push")),
            ("Logs", deployed("Logs")),
            ("Layers", deployed("Layers")),
            ("Bucket", deployed("Bucket")),
            ("ReadSecrets", deployed("ReadSecrets")),
            ("Reports", deployed("Reports")),
            ("Source", deployed("Source")),
        ];
        assert_eq!(printed, expected);
        assert_eq!(BTreeSet::from(policy::PULL), deployed("BuildImage"));
        let on_everything: Vec<&str> = needs
            .statements
            .iter()
            .filter(|statement| statement.resources.contains(&policy::Resource::All))
            .flat_map(|statement| statement.actions.iter().copied())
            .collect();
        assert_eq!(on_everything, ["ecr:GetAuthorizationToken"]);
    }
}
