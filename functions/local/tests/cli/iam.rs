//! `iam`: the policies that builds need, and which line needs them.

use expect_test::{Expect, expect};
use serde_json::Value;

use crate::session::Session;

const DEFINITION: &str = r#"version: 1
pipeline: shop
source: {github: acme/shop}
components:
  backend:
    repository: sbcntr-backend
    build:
      preset: docker
      image: 111122223333.dkr.ecr.eu-west-1.amazonaws.com/docker-in-aws/codebuild:2024
      tags: ["{sha7}-{build}"]
  old:
    repository: docker-in-aws/todobackend
    build: {buildspec: ci/old.yml, tags: ["{sha7}-{build}"]}
  jobs:
    repository: acme/jobs
    build:
      tags: ["{sha7}-{build}"]
      inline: |
        version: 0.2
        env:
          parameter-store:
            TOKEN: /shop/$STAGE/token
            KEY: key
        phases: {build: {commands: [make]}}
"#;

const OLD: &str = "version: 0.2
env:
  parameter-store: {TOKEN: /shop/token}
  secrets-manager:
    PASSWORD: shop/database:password:AWSCURRENT
    KEY: arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-a1b2c3:json
phases:
  build:
    commands: [make]
reports:
  unit: {files: ['**/*.xml']}
";

fn session() -> Session {
    let session = Session::new();
    session.write(".towline.yml", DEFINITION);
    session.write("ci/old.yml", OLD);
    session
}

fn check(session: &Session, commands: &[&[&str]], expected: &Expect) {
    expected.assert_eq(&session.play(commands));
}

const HERE: [&str; 4] = ["--account", "111122223333", "--region", "eu-west-1"];

#[test]
fn each_line_of_the_definition_says_what_it_needs() {
    check(
        &session(),
        &[&["iam", "--explain"]],
        &expect![[r#"
        $ towline iam --explain
        backend, by the project towline-acme-shop-backend
          GetAuthorizationToken: ecr:GetAuthorizationToken
            on *
            for .towline.yml:6  repository: sbcntr-backend
          ManageRepositoryContents: ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:CompleteLayerUpload, ecr:GetDownloadUrlForLayer, ecr:InitiateLayerUpload, ecr:PutImage, ecr:UploadLayerPart
            on ecr repository/sbcntr-backend
            for .towline.yml:6  repository: sbcntr-backend
          Logs: logs:CreateLogStream, logs:PutLogEvents
            on logs log-group:/aws/codebuild/towline-acme-shop-backend:*
            for .towline.yml:6  backend: every build writes a log

        old, by the project towline-acme-shop-old
          GetAuthorizationToken: ecr:GetAuthorizationToken
            on *
            for .towline.yml:12  repository: docker-in-aws/todobackend
          ManageRepositoryContents: ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:CompleteLayerUpload, ecr:GetDownloadUrlForLayer, ecr:InitiateLayerUpload, ecr:PutImage, ecr:UploadLayerPart
            on ecr repository/docker-in-aws/todobackend
            for .towline.yml:12  repository: docker-in-aws/todobackend
          Logs: logs:CreateLogStream, logs:PutLogEvents
            on logs log-group:/aws/codebuild/towline-acme-shop-old:*
            for .towline.yml:12  old: every build writes a log
          ReadParameters: ssm:GetParameters
            on ssm parameter/shop/token
            for ci/old.yml:3  TOKEN: /shop/token
          ReadSecrets: secretsmanager:GetSecretValue
            on secretsmanager secret:shop/database-??????, arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-a1b2c3
            for ci/old.yml:5  PASSWORD: shop/database:password:AWSCURRENT
            for ci/old.yml:6  KEY: arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-a1b2c3:json
          Reports: codebuild:BatchPutCodeCoverages, codebuild:BatchPutTestCases, codebuild:CreateReport, codebuild:CreateReportGroup, codebuild:UpdateReport
            on codebuild report-group/towline-acme-shop-old-unit
            for ci/old.yml:11  reports: unit

        jobs, by the project towline-acme-shop-jobs
          GetAuthorizationToken: ecr:GetAuthorizationToken
            on *
            for .towline.yml:15  repository: acme/jobs
          ManageRepositoryContents: ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:CompleteLayerUpload, ecr:GetDownloadUrlForLayer, ecr:InitiateLayerUpload, ecr:PutImage, ecr:UploadLayerPart
            on ecr repository/acme/jobs
            for .towline.yml:15  repository: acme/jobs
          Logs: logs:CreateLogStream, logs:PutLogEvents
            on logs log-group:/aws/codebuild/towline-acme-shop-jobs:*
            for .towline.yml:15  jobs: every build writes a log
          ReadParameters: ssm:GetParameters
            on ssm parameter/key
            for .towline.yml:23  KEY: key

        docker-in-aws/codebuild, the repository of a build image in account 111122223333, eu-west-1
          BuildImage: ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:GetDownloadUrlForLayer
            by builds of towline-acme-shop-backend

        ! note: .towline.yml:22: TOKEN: /shop/$STAGE/token contains a variable, so the rights it needs are not known
    "#]],
    );
}

#[test]
fn a_role_may_do_what_its_component_needs_and_nothing_else() {
    let of_old = [&["iam", "old"][..], &HERE].concat();
    check(
        &session(),
        &[&of_old],
        &expect![[r#"
        $ towline iam old --account 111122223333 --region eu-west-1
        {
          "build_images": {},
          "roles": {
            "old": {
              "policy": {
                "Statement": [
                  {
                    "Action": "ecr:GetAuthorizationToken",
                    "Effect": "Allow",
                    "Resource": "*",
                    "Sid": "GetAuthorizationToken"
                  },
                  {
                    "Action": [
                      "ecr:BatchCheckLayerAvailability",
                      "ecr:BatchGetImage",
                      "ecr:CompleteLayerUpload",
                      "ecr:GetDownloadUrlForLayer",
                      "ecr:InitiateLayerUpload",
                      "ecr:PutImage",
                      "ecr:UploadLayerPart"
                    ],
                    "Effect": "Allow",
                    "Resource": "arn:aws:ecr:eu-west-1:111122223333:repository/docker-in-aws/todobackend",
                    "Sid": "ManageRepositoryContents"
                  },
                  {
                    "Action": [
                      "logs:CreateLogStream",
                      "logs:PutLogEvents"
                    ],
                    "Effect": "Allow",
                    "Resource": "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/codebuild/towline-acme-shop-old:*",
                    "Sid": "Logs"
                  },
                  {
                    "Action": "ssm:GetParameters",
                    "Effect": "Allow",
                    "Resource": "arn:aws:ssm:eu-west-1:111122223333:parameter/shop/token",
                    "Sid": "ReadParameters"
                  },
                  {
                    "Action": "secretsmanager:GetSecretValue",
                    "Effect": "Allow",
                    "Resource": [
                      "arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/database-??????",
                      "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-a1b2c3"
                    ],
                    "Sid": "ReadSecrets"
                  },
                  {
                    "Action": [
                      "codebuild:BatchPutCodeCoverages",
                      "codebuild:BatchPutTestCases",
                      "codebuild:CreateReport",
                      "codebuild:CreateReportGroup",
                      "codebuild:UpdateReport"
                    ],
                    "Effect": "Allow",
                    "Resource": "arn:aws:codebuild:eu-west-1:111122223333:report-group/towline-acme-shop-old-unit",
                    "Sid": "Reports"
                  }
                ],
                "Version": "2012-10-17"
              },
              "project": "towline-acme-shop-old",
              "trust": {
                "Statement": [
                  {
                    "Action": "sts:AssumeRole",
                    "Condition": {
                      "ArnLike": {
                        "aws:SourceArn": "arn:aws:codebuild:eu-west-1:111122223333:project/towline-acme-shop-old"
                      },
                      "StringEquals": {
                        "aws:SourceAccount": "111122223333"
                      }
                    },
                    "Effect": "Allow",
                    "Principal": {
                      "Service": "codebuild.amazonaws.com"
                    }
                  }
                ],
                "Version": "2012-10-17"
              }
            }
          }
        }
    "#]],
    );
}

#[test]
fn one_repository_for_each_role_and_every_action_once() {
    let output = session().towline(&[&["iam"][..], &HERE].concat());
    let policies: Value = serde_json::from_slice(&output.stdout).unwrap();
    let roles = policies["roles"].as_object().unwrap();
    assert_eq!(roles.len(), 3);
    for (name, role) in roles {
        let statements = role["policy"]["Statement"].as_array().unwrap();
        let mut actions = Vec::new();
        let mut repositories = Vec::new();
        for statement in statements {
            let action = &statement["Action"];
            match action.as_array() {
                Some(list) => actions.extend(list.clone()),
                None => actions.push(action.clone()),
            }
            if statement["Resource"] == "*" {
                assert_eq!(statement["Action"], "ecr:GetAuthorizationToken");
            }
            let resource = statement["Resource"].as_str().unwrap_or("");
            repositories.extend(resource.strip_prefix("arn:aws:ecr:").map(str::to_owned));
        }
        let count = actions.len();
        actions.sort_by_key(Value::to_string);
        actions.dedup();
        assert_eq!(actions.len(), count, "{name} has an action twice");
        assert_eq!(repositories.len(), 1, "{name} reaches {repositories:?}");
    }
}

#[test]
fn b1_codebuild_may_pull_the_image_it_builds_in() {
    let output = session().towline(&[&["iam", "backend"][..], &HERE].concat());
    let policies: Value = serde_json::from_slice(&output.stdout).unwrap();
    let policy = serde_json::to_string_pretty(&policies["build_images"]).unwrap();
    expect![[r#"
        {
          "docker-in-aws/codebuild": {
            "account": "111122223333",
            "policy": {
              "Statement": [
                {
                  "Action": [
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:BatchGetImage",
                    "ecr:GetDownloadUrlForLayer"
                  ],
                  "Condition": {
                    "ArnLike": {
                      "aws:SourceArn": "arn:aws:codebuild:eu-west-1:111122223333:project/towline-acme-shop-backend"
                    },
                    "StringEquals": {
                      "aws:SourceAccount": "111122223333"
                    }
                  },
                  "Effect": "Allow",
                  "Principal": {
                    "Service": "codebuild.amazonaws.com"
                  },
                  "Sid": "BuildImage"
                }
              ],
              "Version": "2012-10-17"
            },
            "region": "eu-west-1"
          }
        }"#]].assert_eq(&policy);
}

#[test]
fn cloudformation_fills_in_where_it_is() {
    let arguments = [
        "iam",
        "backend",
        "--format",
        "cloudformation",
        "--also",
        "ecr:ListImages",
    ];
    check(
        &session(),
        &[&arguments],
        &expect![[r#"
        $ towline iam backend --format cloudformation --also ecr:ListImages
        {
          "AWSTemplateFormatVersion": "2010-09-09",
          "Description": "Towline: what the builds of components may do, by `towline iam`",
          "Resources": {
            "BackendRole": {
              "Properties": {
                "AssumeRolePolicyDocument": {
                  "Statement": [
                    {
                      "Action": "sts:AssumeRole",
                      "Condition": {
                        "ArnLike": {
                          "aws:SourceArn": {
                            "Fn::Sub": "arn:${AWS::Partition}:codebuild:${AWS::Region}:${AWS::AccountId}:project/towline-acme-shop-backend"
                          }
                        },
                        "StringEquals": {
                          "aws:SourceAccount": {
                            "Ref": "AWS::AccountId"
                          }
                        }
                      },
                      "Effect": "Allow",
                      "Principal": {
                        "Service": "codebuild.amazonaws.com"
                      }
                    }
                  ],
                  "Version": "2012-10-17"
                },
                "Description": "Builds of backend, by the project towline-acme-shop-backend",
                "Policies": [
                  {
                    "PolicyDocument": {
                      "Statement": [
                        {
                          "Action": "ecr:GetAuthorizationToken",
                          "Effect": "Allow",
                          "Resource": "*",
                          "Sid": "GetAuthorizationToken"
                        },
                        {
                          "Action": [
                            "ecr:BatchCheckLayerAvailability",
                            "ecr:BatchGetImage",
                            "ecr:CompleteLayerUpload",
                            "ecr:GetDownloadUrlForLayer",
                            "ecr:InitiateLayerUpload",
                            "ecr:PutImage",
                            "ecr:UploadLayerPart"
                          ],
                          "Effect": "Allow",
                          "Resource": {
                            "Fn::Sub": "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/sbcntr-backend"
                          },
                          "Sid": "ManageRepositoryContents"
                        },
                        {
                          "Action": "ecr:ListImages",
                          "Effect": "Allow",
                          "Resource": {
                            "Fn::Sub": "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/sbcntr-backend"
                          },
                          "Sid": "ListImagesInRepository"
                        },
                        {
                          "Action": [
                            "logs:CreateLogStream",
                            "logs:PutLogEvents"
                          ],
                          "Effect": "Allow",
                          "Resource": {
                            "Fn::Sub": "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:/aws/codebuild/towline-acme-shop-backend:*"
                          },
                          "Sid": "Logs"
                        }
                      ],
                      "Version": "2012-10-17"
                    },
                    "PolicyName": "build"
                  }
                ]
              },
              "Type": "AWS::IAM::Role"
            },
            "DockerInAwsCodebuildRepository": {
              "DeletionPolicy": "Retain",
              "Properties": {
                "RepositoryName": "docker-in-aws/codebuild",
                "RepositoryPolicyText": {
                  "Statement": [
                    {
                      "Action": [
                        "ecr:BatchCheckLayerAvailability",
                        "ecr:BatchGetImage",
                        "ecr:GetDownloadUrlForLayer"
                      ],
                      "Condition": {
                        "ArnLike": {
                          "aws:SourceArn": {
                            "Fn::Sub": "arn:${AWS::Partition}:codebuild:${AWS::Region}:${AWS::AccountId}:project/towline-acme-shop-backend"
                          }
                        },
                        "StringEquals": {
                          "aws:SourceAccount": {
                            "Ref": "AWS::AccountId"
                          }
                        }
                      },
                      "Effect": "Allow",
                      "Principal": {
                        "Service": "codebuild.amazonaws.com"
                      },
                      "Sid": "BuildImage"
                    }
                  ],
                  "Version": "2012-10-17"
                }
              },
              "Type": "AWS::ECR::Repository",
              "UpdateReplacePolicy": "Retain"
            }
          }
        }
    "#]],
    );
}

#[test]
fn what_cannot_be_printed_is_told() {
    let session = session();
    check(
        &session,
        &[
            &["iam"],
            &["iam", "nobody", "--explain"],
            &["iam", "--account", "12"],
            &["iam", "--also", "ecr:PutImage"],
        ],
        &expect![[r#"
            $ towline iam
            ! note: .towline.yml:22: TOKEN: /shop/$STAGE/token contains a variable, so the rights it needs are not known
            ! towline: policies contain the account and the region: set --account and --region, or use --format cloudformation
            [exit 1]
            $ towline iam nobody --explain
            ! towline: .towline.yml has no component nobody
            [exit 1]
            $ towline iam --account 12
            ! error: invalid value '12' for '--account <ID>': an account has twelve digits
            !
            ! For more information, try '--help'.
            [exit 2]
            $ towline iam --also ecr:PutImage
            ! error: invalid value 'ecr:PutImage' for '--also <ACTION>': use one of ecr:ListImages, ecr:DescribeImages, ecr:DescribeRepositories, ecr:GetRepositoryPolicy
            !
            ! For more information, try '--help'.
            [exit 2]
        "#]],
    );
}
