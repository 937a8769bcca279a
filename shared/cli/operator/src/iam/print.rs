//! Prints the output of `iam`: policies, a template, or the line that needs each permission.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use towline_console::style::{Style, paint};
use towline_domain::definition::Component;

use super::needs::{self, EcrRepository, Needs};
use super::policy::{self, Place};

/// A component with its project and the needs of its build.
pub struct Built<'a> {
    pub component: &'a Component,
    pub project: String,
    pub needs: Needs,
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

pub fn policies(built: &[Built<'_>], place: &Place) -> Value {
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

pub fn template(built: &[Built<'_>], place: &Place) -> Value {
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

/// A name as CloudFormation accepts it: `docker-in-aws/codebuild` is `DockerInAwsCodebuild`.
fn id(name: &str) -> String {
    name.split(|character: char| !character.is_ascii_alphanumeric())
        .map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters).collect::<String>()
        })
        .collect()
}

pub fn explained(built: &[Built<'_>]) -> String {
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

pub fn explained_as_json(built: &[Built<'_>]) -> Value {
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
    use super::id;

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
