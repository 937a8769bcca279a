//! What a definition's components need at AWS: image repository, CodeBuild project, its role.

use futures::future::join_all;
use serde_json::{Value, json};
use towline_domain::definition::{Component, Definition, Preset};
use towline_domain::names::RepositoryName;
use towline_ports::StartBuild;

use super::report::Findings;
use crate::deploy::tags::{self, Judged};
use crate::policy::Policy;
use towline_client::aws_cli::{AwsCli, AwsError};

/// The group these findings are in.
const GROUP: &str = "Components";
/// What a push to ECR takes (ECR user guide, "IAM permissions for pushing an image").
const PUSH: [&str; 5] = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:CompleteLayerUpload",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
];
/// What CodeBuild does to pull the image that builds run in.
const PULL: [&str; 2] = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];
/// Who pulls it when the project's own role does not.
const CODEBUILD: &str = "codebuild.amazonaws.com";
/// The label of image repositories that functions may use.
const LABEL: &str = "towline";

/// That there is no definition to go by.
#[must_use]
pub fn not_looked_at() -> Findings {
    let mut findings = Findings::of(GROUP);
    findings.left_out("no .towline.yml here; run this beside one, or name it with --definition");
    findings
}

/// That the definition has been found to be wrong.
#[must_use]
pub fn with_mistakes() -> Findings {
    let mut findings = Findings::of(GROUP);
    findings.wrong(
        "the definition has mistakes",
        "see them with `towline validate`",
    );
    findings
}

/// How to put back what somebody has changed or deleted by hand, as of the stack itself.
#[must_use]
pub fn put_back(options: &str) -> String {
    format!(
        "a component's stack is called after its CodeBuild project; what was changed there by hand this puts back: aws cloudformation create-change-set --stack-name PROJECT {options} --change-set-name put-back --deployment-mode REVERT_DRIFT --use-previous-template --capabilities CAPABILITY_IAM, with ParameterKey=NAME,UsePreviousValue=true for each of its --parameters; then look at it with describe-change-set, and run it with execute-change-set"
    )
}

/// Looks at each of them; `again` is what mends nearly everything here.
pub async fn look(
    aws: &AwsCli,
    repository: &RepositoryName,
    definition: &Definition,
    bucket: Option<&str>,
    again: &str,
) -> Findings {
    let asked = definition.components.iter().map(|component| Looked {
        aws,
        again,
        bucket,
        component,
        definition,
        project: StartBuild::project(repository, &component.name),
        findings: Findings::of(GROUP),
    });
    let mut all = Findings::of(GROUP);
    for findings in join_all(asked.map(Looked::all)).await {
        all.extend(findings);
    }
    all
}

struct Looked<'a> {
    aws: &'a AwsCli,
    again: &'a str,
    bucket: Option<&'a str>,
    component: &'a Component,
    definition: &'a Definition,
    project: String,
    findings: Findings,
}

impl Looked<'_> {
    async fn all(mut self) -> Findings {
        let name = self.component.name.to_string();
        let (images, project) = tokio::join!(self.images(), self.project());
        let images = match images {
            Ok(images) => Some(images),
            Err(error) if error.is_absent() => {
                self.findings.wrong(
                    format!(
                        "{name}: there is no image repository {}",
                        self.component.repository
                    ),
                    self.again,
                );
                None
            }
            Err(error) => {
                self.findings
                    .refused(format!("{name}: its image repository"), &error);
                None
            }
        };
        if let Some(images) = &images {
            self.judge_tags(images);
            self.judge_label(images).await;
        }
        match project {
            Ok(Some(project)) => {
                self.judge_project(&project);
                let arn = images
                    .as_ref()
                    .and_then(|images| images["repositoryArn"].as_str());
                if let Some(arn) = arn {
                    self.judge_role(&project, arn).await;
                }
                self.judge_pull(&project).await;
            }
            Ok(None) => self.findings.wrong(
                format!("{name}: there is no CodeBuild project {}", self.project),
                self.again,
            ),
            Err(error) => self
                .findings
                .refused(format!("{name}: its CodeBuild project"), &error),
        }
        self.findings.good_unless_found(format!(
            "{name}: repository, project and role are as they should be"
        ));
        self.findings
    }

    async fn images(&self) -> Result<Value, AwsError> {
        let call = self.aws.call("ecr", "describe-repositories");
        let call = call.option("--repository-names", &self.component.repository);
        let mut answer: Value = call.json().await?;
        Ok(answer["repositories"][0].take())
    }

    async fn project(&self) -> Result<Option<Value>, AwsError> {
        let call = self.aws.call("codebuild", "batch-get-projects");
        let mut answer: Value = call.option("--names", &self.project).json().await?;
        Ok(Some(answer["projects"][0].take()).filter(|project| !project.is_null()))
    }

    /// Stage tags move, all others never do.
    fn judge_tags(&mut self, images: &Value) {
        let name = &self.component.name;
        let filters = images["imageTagMutabilityExclusionFilters"].as_array();
        let patterns: Vec<&str> = filters
            .into_iter()
            .flatten()
            .filter_map(|it| it["filter"].as_str())
            .collect();
        let judged = tags::judge(self.definition, self.component, &patterns);
        match images["imageTagMutability"].as_str() {
            Some("MUTABLE") => self.findings.wrong(
                format!("{name}: a build's own tags can be moved to another image"),
                self.again,
            ),
            Some("MUTABLE_WITH_EXCLUSION") => self.findings.wrong(
                format!("{name}: tags can be moved but for {}", patterns.join(", ")),
                self.again,
            ),
            _ => self.judge_patterns(&judged),
        }
    }

    /// By its label the roles of functions may read it and put tags on images (infra/template.yaml).
    async fn judge_label(&mut self, images: &Value) {
        let name = &self.component.name;
        let Some(arn) = images["repositoryArn"].as_str() else {
            return;
        };
        let call = self.aws.call("ecr", "list-tags-for-resource");
        match call.option("--resource-arn", arn).json::<Value>().await {
            Ok(answer) => {
                let labels = answer["tags"].as_array().into_iter().flatten();
                if !labels.into_iter().any(|label| label["Key"] == LABEL) {
                    self.findings.wrong(
                        format!(
                            "{name}: its image repository has no label {LABEL}, so functions may not use it"
                        ),
                        self.aws
                            .call("ecr", "tag-resource")
                            .option("--resource-arn", arn)
                            .option("--tags", format!("Key={LABEL},Value={name}"))
                            .shown(),
                    );
                }
            }
            Err(error) => self.findings.refused(
                format!("{name}: the labels of its image repository"),
                &error,
            ),
        }
    }

    fn judge_patterns(&mut self, judged: &Judged) {
        let name = &self.component.name;
        if !judged.stuck.is_empty() {
            self.findings.wrong(
                format!(
                    "{name}: the tags {} cannot be moved",
                    judged.stuck.join(", ")
                ),
                self.again,
            );
        }
        let again = [
            (&judged.of_branch, "every push to a branch"),
            (&judged.of_commit, "a second build of a commit"),
        ];
        for (tags, when) in again {
            if !tags.is_empty() {
                self.findings.wrong(
                    format!(
                        "{name}: the tag {} comes again with {when}, which fails",
                        tags.join(", ")
                    ),
                    tags::advice(tags),
                );
            }
        }
        if !judged.loose.is_empty() {
            self.findings.wrong(
                format!(
                    "{name}: a build's own tags {} can be moved to another image",
                    judged.loose.join(", ")
                ),
                "towline deploy components --parameter 'StageTags=…', with patterns that fit none of them",
            );
        }
    }

    fn judge_project(&mut self, project: &Value) {
        let needs_docker = !matches!(self.component.build.preset, Preset::Pack { .. });
        // Towline asks for Docker with each build; one that could have it for nothing is a risk.
        if project["environment"]["privilegedMode"] == true && !needs_docker {
            self.findings.wrong(
                format!(
                    "{}: its builds are privileged and need not be",
                    self.component.name
                ),
                self.again,
            );
        }
    }

    /// Its role pushes there and nowhere else.
    async fn judge_role(&mut self, project: &Value, images: &str) {
        let name = self.component.name.to_string();
        let arn = project["serviceRole"].as_str().unwrap_or_default();
        let role = arn.rsplit('/').next().unwrap_or_default();
        let policy = match role_policy(self.aws, role).await {
            Ok(policy) => policy,
            Err(error) if error.is_absent() => {
                self.findings
                    .wrong(format!("{name}: its role {role} is gone"), self.again);
                return;
            }
            Err(error) => {
                self.findings
                    .refused(format!("{name}: its role {role}"), &error);
                return;
            }
        };
        let lacks: Vec<&str> = PUSH
            .into_iter()
            .filter(|action| !policy.allows(action, images))
            .collect();
        if !lacks.is_empty() {
            self.findings.wrong(
                format!("{name}: its role lacks {} on {images}", lacks.join(", ")),
                self.again,
            );
        }
        if !policy.allows("ecr:GetAuthorizationToken", "*") {
            self.findings.wrong(
                format!("{name}: its role lacks ecr:GetAuthorizationToken"),
                self.again,
            );
        }
        let wider: Vec<String> = policy
            .resources_of("ecr:PutImage")
            .into_iter()
            .filter(|it| it != images)
            .collect();
        if !wider.is_empty() {
            self.findings.wrong(
                format!("{name}: its role may push to {} too", wider.join(", ")),
                self.again,
            );
        }
        let partition = images.split(':').nth(1).unwrap_or("aws");
        let unread = self.bucket.filter(|bucket| {
            let is_read = |folder: &&str| {
                let object = format!("arn:{partition}:s3:::{bucket}/{folder}/x");
                policy.allows("s3:GetObject", &object)
            };
            !["buildspecs", "tools"].iter().all(is_read)
        });
        if let Some(bucket) = unread {
            self.findings.wrong(
                format!("{name}: its role may not read the stack's bucket {bucket}, so that builds with a long buildspec or the preset pack fail"),
                self.again,
            );
        }
        if lacks.is_empty() {
            self.simulate(arn, images).await;
        }
    }

    /// What policies of the organization or a boundary take away shows in no policy of the role.
    async fn simulate(&mut self, role: &str, images: &str) {
        let call = self.aws.call("iam", "simulate-principal-policy");
        let call = call
            .option("--policy-source-arn", role)
            .option("--resource-arns", images);
        let call = call.list("--action-names", PUSH.map(str::to_owned));
        // Few may simulate; the role's own policies have been read then.
        let Ok(answer) = call.json::<Value>().await else {
            return;
        };
        let results = answer["EvaluationResults"].as_array();
        let denied: Vec<&str> = results
            .into_iter()
            .flatten()
            .filter(|result| result["EvalDecision"] != "allowed")
            .filter_map(|result| result["EvalActionName"].as_str())
            .collect();
        if !denied.is_empty() {
            self.findings.wrong(
                format!(
                    "{}: its role is not allowed {} in the end",
                    self.component.name,
                    denied.join(", ")
                ),
                "have it allowed in the permissions boundary of the role or the policy of the organization that forbids it",
            );
        }
    }

    /// Where builds run in an image of this account's own ECR, whoever pulls it must be let.
    async fn judge_pull(&mut self, project: &Value) {
        let name = self.component.name.to_string();
        let image = &self.component.build.image;
        let Some((host, rest)) = image.split_once('/') else {
            return;
        };
        let Some((account, _)) = host.split_once(".dkr.ecr.") else {
            return;
        };
        let repository = rest.split(['@', ':']).next().unwrap_or_default();
        if project["environment"]["imagePullCredentialsType"] == "SERVICE_ROLE" {
            return;
        }
        let call = |operation| {
            let call = self.aws.call("ecr", operation);
            let call = call.option("--repository-name", repository);
            call.option("--registry-id", account)
        };
        let mut policy = Policy::default();
        let known = call("get-repository-policy").json::<Value>().await;
        let is_new = known.is_err();
        match known {
            Ok(answer) => policy.take(&answer["policyText"]),
            Err(error) if error.is_absent() => {}
            Err(error) => {
                self.findings
                    .refused(format!("{name}: the policy of {repository}"), &error);
                return;
            }
        }
        let lacks: Vec<&str> = PULL
            .into_iter()
            .filter(|action| !policy.lets_service(CODEBUILD, action))
            .collect();
        if !lacks.is_empty() {
            let allowed = json!({
                "Effect": "Allow", "Principal": {"Service": CODEBUILD}, "Action": PULL,
            });
            self.findings.wrong(
                format!("{name}: the policy of {repository} does not let CodeBuild pull the image builds run in ({})", lacks.join(", ")),
                if is_new {
                    let policy = json!({"Version": "2012-10-17", "Statement": [allowed]});
                    call("set-repository-policy")
                        .option("--policy-text", policy)
                        .shown()
                } else {
                    format!(
                        "add {allowed} to the statements that `{}` shows, and set them with set-repository-policy",
                        call("get-repository-policy").shown()
                    )
                },
            );
        }
    }
}

/// Everything a role may do, by its own policies and those attached to it.
pub async fn role_policy(aws: &AwsCli, role: &str) -> Result<Policy, AwsError> {
    let of_role = |operation| aws.call("iam", operation).option("--role-name", role);
    let (inline, attached) = tokio::join!(
        of_role("list-role-policies").json::<Value>(),
        of_role("list-attached-role-policies").json::<Value>(),
    );
    let mut policy = Policy::default();
    let (inline, attached) = (inline?, attached?);
    let inline = inline["PolicyNames"].as_array().into_iter().flatten();
    for name in inline.filter_map(Value::as_str) {
        let call = of_role("get-role-policy").option("--policy-name", name);
        policy.take(&call.json::<Value>().await?["PolicyDocument"]);
    }
    let attached = attached["AttachedPolicies"]
        .as_array()
        .into_iter()
        .flatten();
    for arn in attached.filter_map(|it| it["PolicyArn"].as_str()) {
        let call = aws.call("iam", "get-policy").option("--policy-arn", arn);
        let described: Value = call.json().await?;
        let version = described["Policy"]["DefaultVersionId"]
            .as_str()
            .unwrap_or("v1");
        let call = aws
            .call("iam", "get-policy-version")
            .option("--policy-arn", arn);
        let call = call.option("--version-id", version);
        policy.take(&call.json::<Value>().await?["PolicyVersion"]["Document"]);
    }
    Ok(policy)
}
