//! What a role is allowed to do.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use towline_client::aws_cli::{AwsCli, AwsError};

use crate::policy::Policy;

/// The last part of a role's ARN.
pub fn name_of(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

/// Reads all policies of a role, its own and those attached to it, as one document.
pub fn policies(aws: &AwsCli, role: &str) -> BoxFuture<'static, Result<Value, AwsError>> {
    let (aws, role) = (aws.clone(), role.to_owned());
    async move {
        let of_role = |operation| aws.call("iam", operation).option("--role-name", &role);
        let (own, attached) = tokio::join!(
            of_role("list-role-policies").json::<Value>(),
            of_role("list-attached-role-policies").json::<Value>(),
        );
        let mut all = Policy::default();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        for name in list(&own?["PolicyNames"]) {
            let name = name.as_str().unwrap_or_default();
            let call = of_role("get-role-policy").option("--policy-name", name);
            all.take(&call.json::<Value>().await?["PolicyDocument"]);
        }
        for policy in list(&attached?["AttachedPolicies"]) {
            let arn = policy["PolicyArn"].as_str().unwrap_or_default();
            let call = |operation| aws.call("iam", operation).option("--policy-arn", arn);
            let described: Value = call("get-policy").json().await?;
            let version = &described["Policy"]["DefaultVersionId"];
            let call =
                call("get-policy-version").option("--version-id", version.as_str().unwrap_or("v1"));
            all.take(&call.json::<Value>().await?["PolicyVersion"]["Document"]);
        }
        Ok(json!({ "Statement": all.statements }))
    }
    .boxed()
}
