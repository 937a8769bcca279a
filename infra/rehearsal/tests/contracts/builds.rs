//! CodeBuild, played by the build service of the rehearsal: builds that really run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::mpsc;
use towline_domain::names::{BuildId, CommitSha, ComponentName, RepositoryId};
use towline_domain::run::{BuildReport, BuildStatus};
use towline_ports::contract::{self, BuildsWorld};
use towline_ports::{Builds, RepositoryRef, StartBuild, Trust};
use towline_rehearsal::build_service::{BuildService, Settings};
use towline_rehearsal::client::until;
use towline_rehearsal::shop::Shop;
use towline_wire::codebuild::ATTEMPT_VARIABLE;

use crate::Cloud;

const IMAGE: &str = "aws/codebuild/standard:7.0";

/// How long a stopped build may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A project of one repository, and a commit to build.
struct Built {
    cloud: Cloud,
    builds: towline_aws::CodeBuild,
    service: Arc<BuildService>,
    shop: Shop,
    component: ComponentName,
    commit: CommitSha,
}

impl Built {
    async fn open() -> anyhow::Result<Self> {
        let cloud = Cloud::open().await?;
        let shop = Shop::create(cloud.folder.path(), "acme/shop").await?;
        let commit = shop.commit("Open the shop").await?;
        // Nobody waits for the events of builds here, but the service may send them.
        let (events, mut unread) = mpsc::unbounded_channel();
        tokio::spawn(async move { while unread.recv().await.is_some() {} });
        let settings = Settings {
            folder: cloud.folder.path().join("builds"),
            towline: cloud.around.binaries.join("towline"),
            registry: cloud.proxy.address().to_string(),
            search_path: cloud.around.search_path.clone(),
            clones: HashMap::from([(shop.name().to_string(), shop.path().to_owned())]),
        };
        let service = BuildService::open(settings, cloud.client.clone(), events).await?;
        cloud.proxy.build_with(Arc::clone(&service));
        let component = "web".parse()?;
        let project = StartBuild::project(shop.name(), &component);
        let group = json!({"logGroupName": format!("/aws/codebuild/{project}")});
        let client = &cloud.client;
        client
            .call("logs", "Logs_20140328.CreateLogGroup", &group)
            .await?;
        let asked = json!({
            "name": project,
            "source": {
                "type": "GITHUB",
                "location": format!("https://github.com/{}.git", shop.name()),
            },
            "artifacts": {"type": "NO_ARTIFACTS"},
            "environment": {
                "type": "LINUX_CONTAINER",
                "image": IMAGE,
                "computeType": "BUILD_GENERAL1_SMALL",
            },
        });
        client
            .call("codebuild", "CodeBuild_20161006.CreateProject", &asked)
            .await?;
        Ok(Self {
            builds: cloud.aws().builds(),
            cloud,
            service,
            shop,
            component,
            commit,
        })
    }
}

#[async_trait]
impl BuildsWorld for Built {
    fn builds(&self) -> &dyn Builds {
        &self.builds
    }

    fn long_build(&self, number: u8) -> StartBuild {
        let attempt = format!("00000000-0000-4000-8000-0000000000{number:02x}");
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        StartBuild {
            attempt: attempt.parse().expect("an attempt"),
            component: self.component.clone(),
            repository: RepositoryRef {
                id: RepositoryId(7),
                name: self.shop.name().clone(),
            },
            commit: self.commit.clone(),
            git_ref: "refs/heads/main".parse().expect("a ref"),
            trust: Trust::DefaultBranch,
            image_repository: "acme/shop-web".parse().expect("an image repository"),
            image: IMAGE.to_owned(),
            architecture: None,
            privileged: false,
            buildspec: "version: 0.2\nphases: {build: {commands: [sleep 600]}}\n".to_owned(),
            environment: vec![
                variable(ATTEMPT_VARIABLE, &attempt),
                variable("TOWLINE_COMPONENT", self.component.as_str()),
                variable("GIT_REF", "refs/heads/main"),
                variable("IMAGE_REPO", "acme/shop-web"),
            ],
            timeout: Duration::from_secs(600),
        }
    }

    async fn ended(&self, build: &BuildId) -> BuildReport {
        let ended = until("the end of a build", PATIENCE, async || {
            let report = self.builds.get(build).await?;
            Ok(report.filter(|report| report.status != BuildStatus::InProgress))
        });
        ended.await.expect("it ends")
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs stand-ins for AWS: `.ci/run rehearsal`"]
async fn codebuild_keeps_the_contract() -> anyhow::Result<()> {
    let world = Built::open().await?;
    contract::builds(&world).await;
    world.cloud.check_requests("codebuild");
    world.service.close().await;
    Ok(())
}
