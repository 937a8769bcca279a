//! What ECR refuses and the emulator does not: an index of images that do not exist, and a tag on the image
//! that has it already.

use serde_json::{Value, json};
use towline_domain::names::Digest;

use crate::client::Client;

/// The code and message of ECR's error, if it refuses this `PutImage` for one of these reasons (ECR API,
/// `PutImage`).
pub async fn refusal(emulator: &Client, asked: &Value) -> Option<(&'static str, String)> {
    let manifest = asked["imageManifest"].as_str().unwrap_or_default();
    let document: Value = serde_json::from_str(manifest).unwrap_or_default();
    let referenced: Vec<Value> = document["manifests"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|image| json!({"imageDigest": image["digest"]}))
        .collect();
    if !referenced.is_empty() {
        let answer = images(emulator, asked, referenced).await?;
        if answer["failures"] != json!([]) {
            let missing = &answer["failures"][0]["imageId"]["imageDigest"];
            let text = format!("The manifest list references {missing}, which does not exist");
            return Some(("ReferencedImagesNotFoundException", text));
        }
    }
    let tag = json!({"imageTag": asked["imageTag"]});
    let answer = images(emulator, asked, vec![tag]).await?;
    let digest = Digest::of(manifest.as_bytes());
    (answer["images"][0]["imageId"]["imageDigest"] == digest.as_str()).then(|| {
        let text = format!("Image {digest} already has the tag {}", asked["imageTag"]);
        ("ImageAlreadyExistsException", text)
    })
}

/// The images with these ids; none if the emulator refuses the question, because then it says itself what is
/// wrong with the request.
async fn images(emulator: &Client, asked: &Value, ids: Vec<Value>) -> Option<Value> {
    let target = "AmazonEC2ContainerRegistry_V20150921.BatchGetImage";
    let question = json!({"repositoryName": asked["repositoryName"], "imageIds": ids});
    emulator.call("ecr", target, &question).await.ok()
}
