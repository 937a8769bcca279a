//! The limits of a definition, for the reader and the JSON Schema.

use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

pub const FILE_BYTES: usize = 64 * 1024;

/// Mistakes that are listed; further ones are only counted.
pub const MISTAKES: usize = 100;

/// Components; also the builds one push may start.
pub const COMPONENTS: usize = towline_domain::definition::MOST_COMPONENTS;

/// Stages: more than a person can follow.
pub const STAGES: usize = 64;

/// Stages that take images from the same origin. Their offers are stored in one item, of at most 300 KiB.
pub const TAKERS: usize = 16;

/// Tags of one stage. They are set one after the other, all within the stage's lease of a minute.
pub const STAGE_TAGS: usize = 10;

/// Approvals a stage may require.
pub const APPROVALS: u32 = 20;

/// Findings of a scan that may be allowed.
pub const FINDINGS: u32 = 100_000;

/// Parameters of a deployment event; each may be as long as an output of a build.
pub const PARAMETERS: usize = 20;

/// Tags one build pushes.
pub const BUILD_TAGS: usize = 20;

/// Environment variables one build sets.
pub const VARIABLES: usize = 200;

/// Platforms of an image. Each is a build of its own.
pub const PLATFORMS: usize = 8;

/// Outputs of one build. Each is a variable of it.
pub const OUTPUTS: usize = 10;

/// Outputs of all builds of a run, counted once for each platform: they are kept with the run.
pub const OUTPUTS_OF_A_RUN: usize = 40;

/// Patterns in the whole file. Preparing one takes time.
pub const PATTERNS: usize = 500;

/// Bytes of one pattern.
pub const PATTERN_BYTES: usize = 512;

/// Bytes of a path, as on Linux.
pub const PATH_BYTES: usize = 4_096;

/// Characters of a word such as a runtime or a build stage.
pub const WORD: usize = 100;

/// Characters of a CodeBuild image's name.
pub const IMAGE_NAME: usize = 300;

/// Characters of a Makefile target.
pub const TARGET: usize = 200;

/// Characters of a reference to a secret: the maximum of an ARN (Secrets Manager API, `GetSecretValue`).
pub const SECRET_REFERENCE: usize = 2_048;

/// Characters of a parameter's name.
pub const PARAMETER_NAME: usize = 255;

/// The shortest timeout of a build (CodeBuild API, `timeoutInMinutes`).
pub const SHORTEST_BUILD: Duration = MINUTE.saturating_mul(5);

/// The longest timeout of a build (CodeBuild API, `timeoutInMinutes`).
pub const LONGEST_BUILD: Duration = MINUTE.saturating_mul(36 * 60);

/// The longest duration in a definition.
pub const LONGEST: Duration = DAY.saturating_mul(366);
