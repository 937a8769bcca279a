//! The builds of a batch, started together from one buildspec.
//!
//! The format is that of the CodeBuild user guide, "Batch build buildspec reference".

use super::{Others, Pairs};

/// The builds of StartBuildBatch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Whether one failed build stops the others; no if absent.
    pub fast_fail: Option<bool>,
    /// The builds; CodeBuild accepts one form.
    pub forms: Vec<BatchForm>,
    pub other: Others,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchForm {
    /// `build-list`: builds that run at the same time.
    List(Vec<BatchBuild>),
    /// `build-graph`: builds that wait for each other.
    Graph(Vec<BatchBuild>),
    /// `build-matrix`: one build for each combination of values.
    Matrix(Box<Matrix>),
    /// `build-fanout`: the same build several times, each with a part of the tests.
    Fanout(Fanout),
}

/// One build of a list or graph.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BatchBuild {
    /// Its name within the batch: letters, digits and `_`, at most 128.
    pub identifier: String,
    /// The file of its buildspec; this one if absent.
    pub buildspec: Option<String>,
    /// Whether a session can be opened in it.
    pub debug_session: Option<bool>,
    /// The builds it waits for; only in a graph.
    pub depend_on: Vec<String>,
    /// The differences of its environment.
    pub env: Option<BatchEnv>,
    /// Whether the batch may succeed without it.
    pub ignore_failure: Option<bool>,
    pub other: Others,
}

/// The differences of a build's environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BatchEnv {
    /// The size of the machine; not together with a fleet.
    pub compute_type: Option<String>,
    /// The reserved machines it runs on.
    pub fleet: Option<String>,
    /// The image of the build container.
    pub image: Option<String>,
    /// Whether it may run a Docker daemon.
    pub privileged_mode: Option<bool>,
    /// The kind of machine, such as `ARM_CONTAINER`.
    pub kind: Option<String>,
    /// Further variables.
    pub variables: Pairs,
    pub other: Others,
}

/// One build for each combination of values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matrix {
    /// The settings that all builds share.
    pub fixed: Option<Static>,
    /// The settings that differ.
    pub dynamic: Option<Dynamic>,
    pub other: Others,
}

/// The settings that all builds of a matrix share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Static {
    /// Whether the batch may succeed without one of them.
    pub ignore_failure: Option<bool>,
    /// The environment they share.
    pub env: Option<BatchEnv>,
    pub other: Others,
}

/// The settings that differ between the builds of a matrix; each list is one axis.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dynamic {
    /// Files of buildspecs.
    pub buildspec: Vec<String>,
    /// Sizes of machines.
    pub compute_type: Vec<String>,
    /// Images of the build container.
    pub image: Vec<String>,
    /// Variables with their values.
    pub variables: Vec<(String, Vec<String>)>,
    /// Other keys of `env`.
    pub other_env: Others,
    pub other: Others,
}

/// The same build several times, each with a part of the tests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fanout {
    /// The number of builds, as written.
    pub parallelism: Option<String>,
    /// Whether the batch may succeed without one of them.
    pub ignore_failure: Option<bool>,
    pub other: Others,
}

impl BatchForm {
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::List(_) => "build-list",
            Self::Graph(_) => "build-graph",
            Self::Matrix(_) => "build-matrix",
            Self::Fanout(_) => "build-fanout",
        }
    }
}
