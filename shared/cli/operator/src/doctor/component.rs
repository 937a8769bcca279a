//! The AWS resources of a definition's components: image repository, CodeBuild project, its role.

use futures::future::join_all;
use serde_json::{Value, json};
use towline_domain::definition::{Component, Definition};
use towline_domain::names::RepositoryName;
use towline_ports::StartBuild;

use super::check::{Check, grouped};
use super::place::Place;
use super::report::{Findings, Wrong};
use super::role;
use crate::policy::Policy;
use crate::tags;
use crate::templates::BUCKET;

pub const GROUP: &str = "Components";
/// The rights that a push to ECR needs (ECR user guide, "IAM permissions for pushing an image").
const PUSH: [&str; 5] = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:CompleteLayerUpload",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
];
/// The rights that CodeBuild needs to pull the image that builds run in.
const PULL: [&str; 2] = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];
/// The service that pulls it if the project's own role does not.
const CODEBUILD: &str = "codebuild.amazonaws.com";
/// The AWS tag of image repositories that functions may use.
const LABEL: &str = "towline";

/// Checks every component.
pub async fn look(
    place: &Place<'_>,
    repository: &RepositoryName,
    definition: &Definition,
) -> Vec<Findings> {
    let asked = definition.components.iter().map(|component| async move {
        let looked = Looked {
            place,
            component,
            definition,
            name: component.name.as_str(),
        };
        let project = StartBuild::project(repository, &component.name);
        let checks = vec![looked.images(), looked.project(&project)];
        let good = format!(
            "{}: repository, project and role are as they should be",
            looked.name
        );
        grouped(checks, &[(GROUP, good)]).await
    });
    let mut all = Findings::of(GROUP);
    for findings in join_all(asked).await.into_iter().flatten() {
        all.extend(findings);
    }
    vec![all]
}

#[derive(Clone, Copy)]
struct Looked<'a> {
    place: &'a Place<'a>,
    component: &'a Component,
    definition: &'a Definition,
    name: &'a str,
}

/// A finding about these, if there are any.
fn any(list: &[String], what: impl Fn(&str) -> String, help: impl Into<String>) -> Option<Wrong> {
    (!list.is_empty()).then(|| Wrong::new(what(&list.join(", ")), help))
}

impl<'a> Looked<'a> {
    /// The image repository: stage tags can move, all others cannot, and functions may use it.
    fn images(self) -> Check<'a> {
        let Self { place, name, .. } = self;
        let repository = self.component.repository.as_str();
        let call = place.call("ecr", "describe-repositories");
        let call = call.option("--repository-names", repository);
        let help = &place.components_back;
        let judged = move |answer: &Value| {
            let filters =
                answer["repositories"][0]["imageTagMutabilityExclusionFilters"].as_array();
            let filters = filters.into_iter().flatten();
            let patterns: Vec<&str> = filters.filter_map(|it| it["filter"].as_str()).collect();
            tags::judge(self.definition, self.component, &patterns)
        };
        let is_mutable = |answer: &Value| {
            let kind = answer["repositories"][0]["imageTagMutability"].as_str();
            kind.is_some_and(|kind| kind.starts_with("MUTABLE"))
        };
        Check::read(GROUP, format!("{name}: its image repository"), call)
            .needed(
                format!("{name}: the image repository {repository} is missing"),
                help,
            )
            .judge(move |answer| {
                let what = format!("{name}: the tags of builds can be moved to other images");
                is_mutable(answer).then(|| Wrong::new(what, help))
            })
            .judge(move |answer| {
                let stuck = |tags: &str| format!("{name}: the tags {tags} cannot be moved");
                any(&judged(answer).stuck, stuck, help).filter(|_| !is_mutable(answer))
            })
            .judge(move |answer| {
                let of_branch = judged(answer).of_branch;
                let what = |tags: &str| {
                    format!("{name}: the second push to a branch fails: its tag {tags} exists already")
                };
                any(&of_branch, what, tags::advice(&of_branch)).filter(|_| !is_mutable(answer))
            })
            .judge(move |answer| {
                let of_commit = judged(answer).of_commit;
                let what = |tags: &str| {
                    format!("{name}: the second build of a commit fails: its tag {tags} exists already")
                };
                any(&of_commit, what, tags::advice(&of_commit)).filter(|_| !is_mutable(answer))
            })
            .judge(move |answer| {
                let what = |tags: &str| {
                    format!("{name}: the tags {tags} of builds can be moved to other images")
                };
                let help = "run towline deploy components --parameter 'StageTags=…' with patterns that match none of them";
                any(&judged(answer).loose, what, help).filter(|_| !is_mutable(answer))
            })
            .then(move |answer| {
                let arn = answer["repositories"][0]["repositoryArn"].as_str();
                arn.into_iter().map(|arn| self.label(arn)).collect()
            })
    }

    /// The roles of functions may use repositories with this AWS tag (infra/template.yaml).
    fn label(self, arn: &str) -> Check<'a> {
        let Self { place, name, .. } = self;
        let call = |operation| place.call("ecr", operation).option("--resource-arn", arn);
        let help = call("tag-resource").option("--tags", format!("Key={LABEL},Value={name}"));
        let list = call("list-tags-for-resource");
        Check::read(
            GROUP,
            format!("{name}: the AWS tags of its image repository"),
            list,
        )
        .must(
            "/tags",
            |tags| {
                let mut tags = tags.as_array().into_iter().flatten();
                tags.any(|tag| tag["Key"] == LABEL)
            },
            format!(
                "{name}: its image repository has no AWS tag {LABEL}, so functions may not use it"
            ),
            help.shown(),
        )
    }

    fn project(self, project: &str) -> Check<'a> {
        let Self { place, name, .. } = self;
        let call = place.call("codebuild", "batch-get-projects");
        let call = call.option("--names", project);
        let needs_docker = self.component.build.preset.needs_docker();
        let help = &place.components_back;
        Check::read(GROUP, format!("{name}: its CodeBuild project"), call)
            .must(
                "/projects/0",
                |project| !project.is_null(),
                format!("{name}: the CodeBuild project {project} is missing"),
                help,
            )
            // Towline requests Docker for each build that needs it.
            .must(
                "/projects/0/environment/privilegedMode",
                move |is_privileged| needs_docker || is_privileged != true,
                format!("{name}: its builds are privileged, which they do not need"),
                help,
            )
            .then(move |answer| {
                let project = &answer["projects"][0];
                let role = project["serviceRole"].as_str().map(|arn| self.role(arn));
                role.into_iter().chain(self.pull(project)).collect()
            })
    }

    /// The ARN of the image repository, in the account of a role.
    fn images_arn(self, role: &str) -> String {
        let mut parts = role.split(':').skip(1);
        let partition = parts.next().unwrap_or("aws");
        let account = parts.nth(2).unwrap_or_default();
        let region = self.place.aws.region().unwrap_or_default();
        let repository = &self.component.repository;
        format!("arn:{partition}:ecr:{region}:{account}:repository/{repository}")
    }

    /// The role of builds: it may push to the image repository and to no other.
    fn role(self, arn: &str) -> Check<'a> {
        let Self { place, name, .. } = self;
        let role = role::name_of(arn).to_owned();
        let images = self.images_arn(arn);
        let partition = arn.split(':').nth(1).unwrap_or("aws").to_owned();
        let help = &place.components_back;
        let lacks = {
            let images = images.clone();
            move |document: &Value| {
                let policy = Policy::read(document);
                let lacks = PUSH.into_iter().filter(|it| !policy.allows(it, &images));
                lacks.map(str::to_owned).collect::<Vec<_>>()
            }
        };
        let read = role::policies(place.aws, &role);
        let check = Check::of(GROUP, format!("{name}: its role {role}"), read)
            .needed(format!("{name}: its role {role} is missing"), help);
        let (own, owned, again) = (images.clone(), lacks.clone(), arn.to_owned());
        check
            .judge({
                let images = images.clone();
                move |document| {
                    let what =
                        |rights: &str| format!("{name}: its role is not allowed {rights} on {images}");
                    any(&lacks(document), what, help)
                }
            })
            .judge(move |document| {
                let may = Policy::read(document).allows("ecr:GetAuthorizationToken", "*");
                let what = format!("{name}: its role is not allowed ecr:GetAuthorizationToken");
                (!may).then(|| Wrong::new(what, help))
            })
            .judge(move |document| {
                let mut wider = Policy::read(document).resources_of("ecr:PutImage");
                wider.retain(|it| *it != own);
                let what = |resources: &str| format!("{name}: its role may also push to {resources}");
                any(&wider, what, help)
            })
            .judge(move |document| {
                let policy = Policy::read(document);
                let bucket = place.stack.output(BUCKET)?;
                let may = |folder: &&str| {
                    let object = format!("arn:{partition}:s3:::{bucket}/{folder}/x");
                    policy.allows("s3:GetObject", &object)
                };
                let what = format!(
                    "{name}: its role may not read the stack's bucket {bucket}, so builds with a long buildspec or the preset pack fail"
                );
                (!["buildspecs", "tools"].iter().all(may)).then(|| Wrong::new(what, help))
            })
            .then(move |document| match owned(document).as_slice() {
                [] => vec![self.simulated(&again, &images)],
                _ => Vec::new(),
            })
    }

    /// Rights that a policy of the organization or a permissions boundary denies. Few people may
    /// simulate policies.
    fn simulated(self, role: &str, images: &str) -> Check<'a> {
        let name = self.name;
        let call = self.place.call("iam", "simulate-principal-policy");
        let call = call
            .option("--policy-source-arn", role)
            .option("--resource-arns", images)
            .list("--action-names", PUSH.map(str::to_owned));
        Check::read(GROUP, name, call).optional().judge(move |answer| {
            let results = answer["EvaluationResults"].as_array().into_iter().flatten();
            let denied: Vec<String> = results
                .filter(|result| result["EvalDecision"] != "allowed")
                .filter_map(|result| result["EvalActionName"].as_str().map(str::to_owned))
                .collect();
            let what = |rights: &str| {
                format!("{name}: its role has the rights {rights}, but another policy takes them away")
            };
            let help = "allow them in the permissions boundary of the role, or in the policy of the organization that denies them";
            any(&denied, what, help)
        })
    }

    /// If builds run in an image of this account's own ECR, CodeBuild must be allowed to pull it.
    fn pull(self, project: &Value) -> Option<Check<'a>> {
        let Self { place, name, .. } = self;
        let (host, rest) = self.component.build.image.split_once('/')?;
        let (account, _) = host.split_once(".dkr.ecr.")?;
        if project["environment"]["imagePullCredentialsType"] == "SERVICE_ROLE" {
            return None;
        }
        let repository = rest.split(['@', ':']).next().unwrap_or_default();
        let call = move |operation| {
            let call = place.call("ecr", operation);
            let call = call.option("--repository-name", repository);
            call.option("--registry-id", account)
        };
        let what = format!("{name}: the policy of {repository}");
        let check = Check::read(GROUP, what, call("get-repository-policy")).or_empty();
        Some(check.judge(move |answer| {
            let policy = Policy::read(&answer["policyText"]);
            let lacks = PULL.into_iter().filter(|it| !policy.lets_service(CODEBUILD, it));
            let lacks: Vec<String> = lacks.map(str::to_owned).collect();
            let allowed = json!({
                "Effect": "Allow", "Principal": {"Service": CODEBUILD}, "Action": PULL,
            });
            let help = if answer.is_null() {
                let policy = json!({"Version": "2012-10-17", "Statement": [allowed]});
                call("set-repository-policy").option("--policy-text", policy).shown()
            } else {
                format!(
                    "add {allowed} to the statements that `{}` prints, and set them with set-repository-policy",
                    call("get-repository-policy").shown()
                )
            };
            let what = |rights: &str| {
                format!("{name}: the policy of {repository} does not let CodeBuild pull the image that builds run in ({rights})")
            };
            any(&lacks, what, help)
        }))
    }
}
