//! The registry keeps the contract that every registry keeps.

use async_trait::async_trait;
use towline_oci::{ImageRepository, Tag};
use towline_ports::Images;
use towline_ports::contract::{self, ImagesWorld};

use crate::support::{Served, serve};

#[async_trait]
impl ImagesWorld for Served {
    fn images(&self) -> &dyn Images {
        &self.registry
    }

    async fn push(&self, repository: &ImageRepository, tag: &Tag, layer: &str) -> String {
        let pushed = self.push_image(repository.as_str(), tag.as_str(), layer);
        String::from_utf8(pushed.await).unwrap()
    }
}

#[tokio::test]
async fn it_keeps_the_contract() {
    contract::images(&serve().await).await;
}
