//! The runner keeps the contract of a build service.

use towline_ports::contract::{self, BuildsWorld};

use super::*;

#[async_trait]
impl BuildsWorld for World {
    fn builds(&self) -> &dyn Builds {
        &self.runner
    }

    fn long_build(&self, number: u8) -> StartBuild {
        let buildspec = "version: 0.2\nphases: {build: {commands: [sleep 600]}}\n";
        let mut build = self.request(number.into(), buildspec);
        build.timeout = Duration::from_secs(600);
        build
    }

    async fn ended(&self, build: &BuildId) -> BuildReport {
        self.end(build).await
    }
}

#[tokio::test]
async fn it_keeps_the_contract() {
    contract::builds(&World::new(2).await).await;
}
