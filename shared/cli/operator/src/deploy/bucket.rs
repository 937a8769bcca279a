//! The bucket for uploads of functions and template: private, encrypted, versioned.

use serde_json::json;

use towline_client::aws_cli::{AwsCli, AwsError, Call};

/// A bucket, and whether Towline creates it and keeps its settings.
#[derive(Debug)]
pub struct Bucket {
    pub name: String,
    account: String,
    region: String,
    is_ours: bool,
}

impl Bucket {
    /// The bucket that a person named, or Towline's own in that account and region.
    pub fn of(named: Option<String>, account: &str, region: &str) -> Self {
        Self {
            is_ours: named.is_none(),
            name: named.unwrap_or_else(|| format!("towline-{account}-{region}")),
            account: account.to_owned(),
            region: region.to_owned(),
        }
    }

    /// The plan's line about it.
    pub fn described(&self, exists: bool) -> String {
        let name = &self.name;
        match (exists, self.is_ours) {
            (false, _) => format!("{name} (new: private, encrypted, versioned)"),
            (true, true) => format!("{name} (exists; kept private, encrypted, versioned)"),
            (true, false) => format!("{name} (yours; not changed)"),
        }
    }

    /// Whether it exists in the account.
    ///
    /// Names can be guessed, so a bucket of that name in another account is an error: nothing is ever
    /// uploaded into it.
    pub async fn exists(&self, aws: &AwsCli) -> Result<bool, AwsError> {
        match self.call(aws, "head-bucket").text().await {
            Ok(_) => Ok(true),
            Err(error) if error.is_absent() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The calls that create it and apply its settings.
    pub fn calls(&self, aws: &AwsCli, exists: bool) -> Vec<Call> {
        let mut calls = Vec::new();
        if !exists {
            let create = aws.call("s3api", "create-bucket");
            let create = create.option("--bucket", &self.name);
            // us-east-1 is the one region that must not be named (S3 API, `CreateBucket`).
            calls.push(if self.region == "us-east-1" {
                create
            } else {
                let place = format!("LocationConstraint={}", self.region);
                create.option("--create-bucket-configuration", place)
            });
        }
        if exists && !self.is_ours {
            return calls;
        }
        let closed = "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true";
        let encrypted = json!({ "Rules": [{ "ApplyServerSideEncryptionByDefault": { "SSEAlgorithm": "AES256" } }] });
        calls.extend([
            self.call(aws, "put-public-access-block")
                .option("--public-access-block-configuration", closed),
            self.call(aws, "put-bucket-encryption")
                .option("--server-side-encryption-configuration", encrypted),
            self.call(aws, "put-bucket-versioning")
                .option("--versioning-configuration", "Status=Enabled"),
        ]);
        calls
    }

    fn call(&self, aws: &AwsCli, operation: &str) -> Call {
        aws.call("s3api", operation)
            .option("--bucket", &self.name)
            .option("--expected-bucket-owner", &self.account)
    }
}
