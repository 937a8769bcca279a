//! Towline deployed on stand-ins for AWS. The functions, templates and commands are the real ones.
//!
//! ministack stands in for CloudFormation, API Gateway, Lambda, DynamoDB, EventBridge, Secrets Manager and
//! ECR, the local runner for CodeBuild. A proxy between them and the functions records every request and
//! checks it against AWS's model of the service.

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
pub mod registry;
pub mod shop;
pub mod stack;
pub mod surroundings;
pub mod table;

/// The region: one without a special address for queues in the AWS command line, which would override
/// the emulator's.
pub const REGION: &str = "eu-central-2";

pub const ACCOUNT: &str = "000000000000";
