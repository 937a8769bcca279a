//! `towline iam`: the least that builds have to be allowed, from the definition, and which line needs it.

mod needs;
mod policy;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use towline_console::style::{Style, paint};
use towline_domain::definition::Component;
use towline_domain::names::ComponentName;
use towline_ports::StartBuild;

use self::needs::{EcrRepository, Given, Needs};
use self::policy::Place;
use crate::defined::Defined;
use towline_client::context::Context;
use towline_client::tree::Tree;
use towline_console::outcome::{Outcome, refused};

/// Settings of `iam`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline iam --account 111122223333 --region eu-west-1
  towline iam backend --format cloudformation > roles.json
  towline iam --explain

It prints one role for each component, and the policy that the repository of a build image needs.
`towline deploy components` makes the same, with everything around it.")]
pub struct Iam {
    /// Only these components
    #[arg(value_name = "COMPONENT")]
    components: Vec<ComponentName>,
    #[command(flatten)]
    defined: Defined,
    /// The account's twelve digits
    #[arg(long, value_name = "ID", value_parser = account)]
    account: Option<String>,
    /// The region
    #[arg(long, value_name = "REGION", value_parser = region)]
    region: Option<String>,
    /// json, or cloudformation, which fills in account and region itself
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "json",
        hide_possible_values = true
    )]
    format: Format,
    /// Say which line needs what instead
    #[arg(long)]
    explain: bool,
    /// The AWS connection that CodeBuild clones a private repository by
    #[arg(long, value_name = "ARN")]
    connection: Option<String>,
    /// The stack's bucket, its output BucketName: long buildspecs, and `towline` for the preset pack
    #[arg(long, value_name = "NAME", value_parser = towline_client::stack::label)]
    bucket: Option<String>,
    /// A further action: ecr:ListImages, ecr:DescribeImages, ecr:DescribeRepositories or ecr:GetRepositoryPolicy
    #[arg(long, value_name = "ACTION", value_parser = also)]
    also: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Cloudformation,
}

fn account(text: &str) -> Result<String, String> {
    let is_one = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_one
        .then(|| text.to_owned())
        .ok_or_else(|| "an account has twelve digits".to_owned())
}

fn region(text: &str) -> Result<String, String> {
    let is_one = text.contains('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    is_one
        .then(|| text.to_owned())
        .ok_or_else(|| "a region is written like eu-west-1".to_owned())
}

fn also(text: &str) -> Result<&'static str, String> {
    let known = needs::ALSO.iter().find(|(action, _)| *action == text);
    known.map(|(action, _)| *action).ok_or_else(|| {
        let known = needs::ALSO.map(|(action, _)| action);
        format!("say one of {}", known.join(", "))
    })
}

/// A component with its project and what its build needs.
struct Built<'a> {
    component: &'a Component,
    project: String,
    needs: Needs,
}

/// A definition's text and the files around it.
pub struct Around {
    file: PathBuf,
    text: String,
    files: Tree,
}

impl Around {
    /// Reads them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn of(defined: &Defined) -> Outcome<Self> {
        let path = &defined.definition;
        let file = if path.is_dir() {
            path.join(towline_wire::definition::FILE)
        } else {
            path.clone()
        };
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("reading {} again", file.display()))?;
        let folder = match file.parent() {
            Some(folder) if folder != Path::new("") => folder,
            Some(_) | None => Path::new("."),
        };
        let folder = folder
            .canonicalize()
            .with_context(|| format!("looking into {}", folder.display()))?;
        Ok(Self {
            file,
            text,
            files: Tree::new(folder),
        })
    }

    /// What a build reads and hands in besides its images, in this account and region.
    pub fn asked(
        &self,
        component: &Component,
        project: &str,
        account: &str,
        region: &str,
    ) -> Asked {
        let given = Given {
            definition: &self.text,
            files: &self.files,
            connection: None,
            bucket: None,
            also: &[],
        };
        let needs = needs::of(component, project, &given);
        let place = Place::Of {
            account: account.to_owned(),
            region: region.to_owned(),
        };
        let on = |sid: &str| {
            let found = needs.statements.iter().filter(|it| it.sid == sid);
            found
                .flat_map(|statement| &statement.resources)
                .filter_map(|resource| resource.value(&place).as_str().map(str::to_owned))
                .collect::<Vec<_>>()
        };
        Asked {
            secrets: on("ReadSecrets"),
            parameters: on("ReadParameters"),
            reports: on("Reports"),
            unknown: needs.unknown,
        }
    }
}

/// What a build asks for by its definition, as ARNs.
#[derive(Debug)]
pub struct Asked {
    /// The secrets it reads.
    pub secrets: Vec<String>,
    /// The parameters of Systems Manager it reads.
    pub parameters: Vec<String>,
    /// The groups it hands test reports in to.
    pub reports: Vec<String>,
    /// What cannot be told, in sentences.
    pub unknown: Vec<String>,
}

/// Prints policies, or which line needs them.
///
/// # Errors
/// When the definition has mistakes, names no such component, or nobody says where its account is.
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
                "policies name account and region: say --account and --region, or --format cloudformation",
            );
        }
    };
    context.output.value(&match args.format {
        Format::Json => policies(&built, &place),
        Format::Cloudformation => template(&built, &place),
    })
}

/// The repositories of build images, with the projects that run builds in them.
fn build_images(built: &[Built<'_>]) -> BTreeMap<EcrRepository, Vec<String>> {
    let mut images: BTreeMap<EcrRepository, Vec<String>> = BTreeMap::new();
    for built in built {
        if let Some(repository) = needs::ecr_repository(&built.component.build.image) {
            let projects = images.entry(repository).or_default();
            projects.push(built.project.clone());
        }
    }
    images
}

fn policies(built: &[Built<'_>], place: &Place) -> Value {
    let components = built.iter().map(|built| {
        let value = json!({
            "project": built.project,
            "trust": policy::trust(&built.project, place),
            "policy": policy::policy(&built.needs.statements, place),
        });
        (built.component.name.to_string(), value)
    });
    let images = build_images(built)
        .into_iter()
        .map(|(repository, projects)| {
            let value = json!({
                "account": repository.account,
                "region": repository.region,
                "policy": policy::pull_policy(&projects, place),
            });
            (repository.name, value)
        });
    json!({
        "roles": components.collect::<Map<_, _>>(),
        "build_images": images.collect::<Map<_, _>>(),
    })
}

fn template(built: &[Built<'_>], place: &Place) -> Value {
    let mut resources = Map::new();
    for built in built {
        let role = json!({
            "Type": "AWS::IAM::Role",
            "Properties": {
                "Description": format!("Builds of {}, by the project {}", built.component.name, built.project),
                "AssumeRolePolicyDocument": policy::trust(&built.project, place),
                "Policies": [{
                    "PolicyName": "build",
                    "PolicyDocument": policy::policy(&built.needs.statements, place),
                }],
            },
        });
        resources.insert(format!("{}Role", id(built.component.name.as_str())), role);
    }
    for (repository, projects) in build_images(built) {
        let image = json!({
            "Type": "AWS::ECR::Repository",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {
                "RepositoryName": repository.name,
                "RepositoryPolicyText": policy::pull_policy(&projects, place),
            },
        });
        resources.insert(format!("{}Repository", id(&repository.name)), image);
    }
    json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Towline: what the builds of components may do, by `towline iam`",
        "Resources": resources,
    })
}

/// A name as CloudFormation takes it: `docker-in-aws/codebuild` is `DockerInAwsCodebuild`.
fn id(name: &str) -> String {
    name.split(|character: char| !character.is_ascii_alphanumeric())
        .map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters).collect::<String>()
        })
        .collect()
}

fn explained(built: &[Built<'_>]) -> String {
    let mut text = String::new();
    for built in built {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}, by the project {}",
            paint(Style::Strong, built.component.name.as_str()),
            built.project
        );
        for statement in &built.needs.statements {
            let resources: Vec<String> = statement
                .resources
                .iter()
                .map(policy::Resource::short)
                .collect();
            let _ = writeln!(
                text,
                "  {}: {}\n    on {}",
                statement.sid,
                statement.actions.join(", "),
                resources.join(", ")
            );
            for reason in &statement.because {
                let because = format!("    for {}  {}", reason.place, reason.what);
                let _ = writeln!(text, "{}", paint(Style::Quiet, &because));
            }
        }
        text.push('\n');
    }
    for (repository, projects) in build_images(built) {
        let _ = writeln!(
            text,
            "{}, the repository of a build image in account {}, {}\n  BuildImage: {}\n    by builds of {}\n",
            paint(Style::Strong, &repository.name),
            repository.account,
            repository.region,
            policy::PULL.join(", "),
            projects.join(", ")
        );
    }
    text
}

fn explained_as_json(built: &[Built<'_>]) -> Value {
    let components = built.iter().map(|built| {
        let statements: Vec<Value> = built
            .needs
            .statements
            .iter()
            .map(|statement| {
                let because = statement
                    .because
                    .iter()
                    .map(|reason| json!({ "place": reason.place, "what": reason.what }));
                let resources = statement.resources.iter().map(policy::Resource::short);
                json!({
                    "sid": statement.sid,
                    "actions": statement.actions,
                    "resources": resources.collect::<Vec<_>>(),
                    "because": because.collect::<Vec<_>>(),
                })
            })
            .collect();
        let value = json!({
            "project": built.project,
            "statements": statements,
            "unknown": built.needs.unknown,
        });
        (built.component.name.to_string(), value)
    });
    let images = build_images(built)
        .into_iter()
        .map(|(repository, projects)| {
            json!({
                "repository": repository.name, "account": repository.account,
                "region": repository.region, "projects": projects,
            })
        });
    json!({
        "components": components.collect::<Map<_, _>>(),
        "build_images": images.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use towline_buildspec::lint::NoFiles;
    use towline_wire::definition;

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

    #[test]
    fn names_become_ids_of_cloudformation() {
        for (name, expected) in [
            ("web", "Web"),
            ("docker-in-aws/codebuild", "DockerInAwsCodebuild"),
            ("a_b.c2", "ABC2"),
        ] {
            assert_eq!(id(name), expected);
        }
    }
}
