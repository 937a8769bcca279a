//! ECR, with pushes in the registry's protocol.

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use towline_domain::names::{Digest, ImageRepository, Tag};
use towline_ports::Images;
use towline_ports::contract::{self, ImagesWorld};
use towline_rehearsal::client;

use crate::Cloud;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A registry with the repositories that the contract pushes to.
struct Pushed {
    cloud: Cloud,
    images: towline_aws::Ecr,
    http: reqwest::Client,
}

impl Pushed {
    async fn open() -> anyhow::Result<Self> {
        let cloud = Cloud::open().await?;
        let target = "AmazonEC2ContainerRegistry_V20150921.CreateRepository";
        let asked = json!({"repositoryName": contract::IMAGE_REPOSITORY});
        cloud.client.call("ecr", target, &asked).await?;
        Ok(Self {
            images: cloud.aws().images(),
            http: client::http()?,
            cloud,
        })
    }

    /// Pushes a blob, and describes it as a manifest does.
    async fn blob(&self, repository: &str, kind: &str, content: &str) -> anyhow::Result<Value> {
        let digest = Digest::of(content.as_bytes());
        let address = self.cloud.address();
        let url = format!("{address}/v2/{repository}/blobs/uploads/?digest={digest}");
        let answer = self.http.post(url).body(content.to_owned()).send().await?;
        ensure!(answer.status().is_success(), "{answer:?}");
        Ok(json!({"mediaType": kind, "digest": digest, "size": content.len()}))
    }

    async fn image(&self, repository: &str, tag: &str, layer: &str) -> anyhow::Result<String> {
        let config = json!({"os": "linux", "architecture": "amd64", "layer": layer});
        let config = self.blob(repository, CONFIG, &config.to_string()).await?;
        let layer = self.blob(repository, LAYER, layer).await?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": [layer],
        });
        let url = format!("{}/v2/{repository}/manifests/{tag}", self.cloud.address());
        let put = self.http.put(url).header(CONTENT_TYPE, MANIFEST);
        let answer = put.body(manifest.to_string()).send().await?;
        ensure!(answer.status().is_success(), "{answer:?}");
        Ok(manifest.to_string())
    }
}

#[async_trait]
impl ImagesWorld for Pushed {
    fn images(&self) -> &dyn Images {
        &self.images
    }

    async fn push(&self, repository: &ImageRepository, tag: &Tag, layer: &str) -> String {
        let pushed = self.image(repository.as_str(), tag.as_str(), layer).await;
        let pushed = pushed.with_context(|| format!("pushing {repository}:{tag}"));
        pushed.expect("the registry takes it")
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs stand-ins for AWS: `.ci/run rehearsal`"]
async fn ecr_keeps_the_contract() -> anyhow::Result<()> {
    let world = Pushed::open().await?;
    contract::images(&world).await;
    world.cloud.check_requests("ecr");
    Ok(())
}
