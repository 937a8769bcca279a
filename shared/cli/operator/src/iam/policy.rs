//! IAM policies as values, written with an account's names or with CloudFormation's placeholders.

use serde_json::{Value, json};

/// Where the resources of a policy are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this account and region.
    Of {
        /// The account's twelve digits.
        account: String,
        /// The region's name.
        region: String,
    },
    /// Wherever the template is deployed.
    Template,
}

impl Place {
    pub fn account(&self) -> Value {
        match self {
            Self::Of { account, .. } => json!(account),
            Self::Template => json!({ "Ref": "AWS::AccountId" }),
        }
    }

    fn arn(&self, service: &str, rest: &str) -> Value {
        match self {
            Self::Of { account, region } => {
                json!(format!(
                    "arn:{}:{service}:{region}:{account}:{rest}",
                    partition(region)
                ))
            }
            Self::Template => json!({
                "Fn::Sub": format!("arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{rest}")
            }),
        }
    }
}

fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

/// The resource of a statement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// Everything, if IAM has nothing narrower.
    All,
    /// In the account itself: the service, and the part of the ARN after the account.
    Own(&'static str, String),
    /// Objects in a bucket of the account: the bucket and their keys.
    Bucket(String),
    /// An ARN as it was written.
    Arn(String),
}

impl Resource {
    /// Its text in a policy.
    pub fn value(&self, place: &Place) -> Value {
        match self {
            Self::All => json!("*"),
            Self::Own(service, rest) => place.arn(service, rest),
            Self::Bucket(objects) => match place {
                Place::Of { region, .. } => {
                    json!(format!("arn:{}:s3:::{objects}", partition(region)))
                }
                Place::Template => {
                    json!({ "Fn::Sub": format!("arn:${{AWS::Partition}}:s3:::{objects}") })
                }
            },
            Self::Arn(arn) => json!(arn),
        }
    }

    /// Its text for people.
    pub fn short(&self) -> String {
        match self {
            Self::All => "*".to_owned(),
            Self::Own(service, rest) => format!("{service} {rest}"),
            Self::Bucket(objects) => format!("s3 {objects}"),
            Self::Arn(arn) => arn.clone(),
        }
    }
}

/// Why a statement is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The file with the line, or the option of the command line.
    pub place: String,
    /// The text of that line.
    pub what: String,
}

/// Actions that are allowed on resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its name in the policy.
    pub sid: &'static str,
    /// The actions, sorted.
    pub actions: Vec<&'static str>,
    /// The resources, sorted.
    pub resources: Vec<Resource>,
    /// Why, in the order of the definition.
    pub because: Vec<Reason>,
}

impl Statement {
    fn value(&self, place: &Place) -> Value {
        let resources: Vec<Value> = self
            .resources
            .iter()
            .map(|resource| resource.value(place))
            .collect();
        let mut statement = json!({
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": one_or_all(self.actions.iter().map(|action| json!(action)).collect()),
            "Resource": one_or_all(resources),
        });
        let is_bucket = |resource: &Resource| matches!(resource, Resource::Bucket(_));
        if self.resources.iter().any(is_bucket) {
            // The bucket may be deleted, and another account could take its name.
            statement["Condition"] =
                json!({ "StringEquals": { "aws:ResourceAccount": place.account() } });
        }
        statement
    }
}

fn one_or_all(mut values: Vec<Value>) -> Value {
    if values.len() == 1 {
        values.remove(0)
    } else {
        Value::Array(values)
    }
}

fn document(statements: Vec<Value>) -> Value {
    json!({ "Version": "2012-10-17", "Statement": Value::Array(statements) })
}

/// The policy of a role.
pub fn policy(statements: &[Statement], place: &Place) -> Value {
    document(statements.iter().map(|it| it.value(place)).collect())
}

/// Only these projects of CodeBuild (IAM user guide, "The confused deputy problem").
fn only(projects: &[String], place: &Place) -> Value {
    let projects = projects
        .iter()
        .map(|project| place.arn("codebuild", &format!("project/{project}")));
    json!({
        "StringEquals": { "aws:SourceAccount": place.account() },
        "ArnLike": { "aws:SourceArn": one_or_all(projects.collect()) },
    })
}

/// The trust policy of a role: builds of this project may assume it.
pub fn trust(project: &str, place: &Place) -> Value {
    document(vec![json!({
        "Effect": "Allow",
        "Principal": { "Service": "codebuild.amazonaws.com" },
        "Action": "sts:AssumeRole",
        "Condition": only(&[project.to_owned()], place),
    })])
}

/// The rights that CodeBuild needs to run builds in an image of a repository (CodeBuild user guide,
/// "Amazon ECR sample").
pub const PULL: [&str; 3] = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
];

/// The policy of the repository of a build image.
pub fn pull_policy(projects: &[String], place: &Place) -> Value {
    document(vec![json!({
        "Sid": "BuildImage",
        "Effect": "Allow",
        "Principal": { "Service": "codebuild.amazonaws.com" },
        "Action": PULL,
        "Condition": only(projects, place),
    })])
}
