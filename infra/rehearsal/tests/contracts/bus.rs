//! EventBridge, with a queue as the receiver.

use anyhow::Context as _;
use async_trait::async_trait;
use serde_json::{Value, json};
use towline_ports::Bus;
use towline_ports::contract::{self, BusWorld};

use crate::Cloud;

const NAME: &str = "towline";

/// A bus with one rule.
struct Queued {
    cloud: Cloud,
    bus: towline_aws::EventBus,
    queue: Value,
}

impl Queued {
    async fn open() -> anyhow::Result<Self> {
        let cloud = Cloud::open().await?;
        let ask = async |service, target, asked: Value| {
            let answer = cloud.client.call(service, target, &asked).await;
            answer.with_context(|| format!("{target} of {asked}"))
        };
        let queue = json!({"QueueName": NAME});
        let queue = ask("sqs", "AmazonSQS.CreateQueue", queue).await?["QueueUrl"].take();
        let arn = json!({"QueueUrl": queue, "AttributeNames": ["QueueArn"]});
        let arn = ask("sqs", "AmazonSQS.GetQueueAttributes", arn).await?;
        let arn = &arn["Attributes"]["QueueArn"];
        ask("events", "AWSEvents.CreateEventBus", json!({"Name": NAME})).await?;
        let pattern = json!({"source": ["towline"], "detail-type": [contract::DETAIL_TYPE]});
        let pattern = pattern.to_string();
        let rule = json!({"Name": NAME, "EventBusName": NAME, "EventPattern": pattern});
        ask("events", "AWSEvents.PutRule", rule).await?;
        let target = json!({"Id": NAME, "Arn": arn});
        let targets = json!({"Rule": NAME, "EventBusName": NAME, "Targets": [target]});
        ask("events", "AWSEvents.PutTargets", targets).await?;
        let bus = cloud.aws().bus(NAME);
        Ok(Self { cloud, bus, queue })
    }

    /// Takes up to ten messages.
    async fn receive(&self) -> anyhow::Result<Vec<Value>> {
        let asked = json!({"QueueUrl": self.queue, "MaxNumberOfMessages": 10});
        let (client, mut details) = (&self.cloud.client, Vec::new());
        let received = client.call("sqs", "AmazonSQS.ReceiveMessage", &asked);
        for message in received.await?["Messages"].as_array().into_iter().flatten() {
            let handle = json!({"QueueUrl": self.queue, "ReceiptHandle": message["ReceiptHandle"]});
            client
                .call("sqs", "AmazonSQS.DeleteMessage", &handle)
                .await?;
            let body = message["Body"].as_str().context("a message has a text")?;
            let mut event: Value = serde_json::from_str(body)?;
            details.push(event["detail"].take());
        }
        Ok(details)
    }
}

#[async_trait]
impl BusWorld for Queued {
    fn bus(&self) -> &dyn Bus {
        &self.bus
    }

    /// The emulator puts an event into the queue before it answers `PutEvents`, so an empty queue has
    /// everything behind it.
    async fn arrived(&self) -> Vec<Value> {
        let mut details = Vec::new();
        loop {
            let received = self.receive().await.expect("the queue answers");
            if received.is_empty() {
                return details;
            }
            details.extend(received);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs stand-ins for AWS: `.ci/run rehearsal`"]
async fn eventbridge_keeps_the_contract() -> anyhow::Result<()> {
    let world = Queued::open().await?;
    contract::bus(&world).await;
    world.cloud.check_requests("events");
    Ok(())
}
