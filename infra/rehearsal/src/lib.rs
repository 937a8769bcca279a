//! The deployed whole, on stand-ins for AWS: what is built, deployed and driven here is the real thing.
//!
//! ministack plays CloudFormation, API Gateway, Lambda, DynamoDB, EventBridge, Secrets Manager and
//! ECR; the embedded runner plays CodeBuild; a proxy between the functions and all of them writes
//! down what they ask for and checks it against AWS's own description of each service.

pub mod build_service;
pub mod carrier;
pub mod client;
pub mod clock;
pub mod emulator;
pub mod model;
pub mod package;
pub mod processes;
pub mod proxy;
pub mod recording;
pub mod shop;
pub mod stack;

/// The region that everything seems to be in: one for whose queues the AWS command line keeps no
/// address of its own, which it would prefer to the emulator's.
pub const REGION: &str = "eu-central-2";

/// The account that everything seems to belong to.
pub const ACCOUNT: &str = "000000000000";
