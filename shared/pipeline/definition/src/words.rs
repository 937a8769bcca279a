//! The words that a definition can choose from, and their meanings.

use towline_domain::definition::{Concurrency, Drift, Promote};

/// The preset of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Docker,
    Make,
    Pack,
    Buildspec,
    Inline,
}

impl Kind {
    /// As it is written.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Make => "make",
            Self::Pack => "pack",
            Self::Buildspec => "buildspec",
            Self::Inline => "inline",
        }
    }
}

pub(crate) const PRESETS: &[(&str, Kind)] = &[
    ("docker", Kind::Docker),
    ("make", Kind::Make),
    ("pack", Kind::Pack),
    ("buildspec", Kind::Buildspec),
    ("inline", Kind::Inline),
];

const GENERATED: &[Kind] = &[Kind::Docker, Kind::Make, Kind::Pack];

/// Keys of a build that only some presets accept.
pub(crate) const OWN_KEYS: &[(&str, &[Kind])] = &[
    ("platform", &[Kind::Docker, Kind::Pack]),
    ("platforms", &[Kind::Docker, Kind::Pack]),
    ("context", GENERATED),
    ("runtime", GENERATED),
    ("test", GENERATED),
    ("reports", GENERATED),
    ("cache", GENERATED),
    ("container", GENERATED),
    ("layer_cache", &[Kind::Docker]),
    ("dockerfile", &[Kind::Docker]),
    ("target", &[Kind::Docker]),
    ("args", &[Kind::Docker]),
    ("make", &[Kind::Make]),
    ("run", &[Kind::Pack]),
    ("root", &[Kind::Pack]),
    ("base", &[Kind::Pack]),
    ("entrypoint", &[Kind::Pack]),
    ("command", &[Kind::Pack]),
    ("user", &[Kind::Pack]),
    ("workdir", &[Kind::Pack]),
    ("expose", &[Kind::Pack]),
    ("buildspec", &[Kind::Buildspec]),
    ("inline", &[Kind::Inline]),
];

/// The required key of a preset.
#[cfg(feature = "schema")]
pub(crate) const NEEDED_KEYS: &[(Kind, &str)] = &[
    (Kind::Make, "make"),
    (Kind::Buildspec, "buildspec"),
    (Kind::Inline, "inline"),
];

/// CodeBuild has Linux machines of two architectures. Images for other architectures are built by
/// emulation, or from files.
pub(crate) const PLATFORMS: &[&str] = &[
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v6",
    "linux/arm/v7",
    "linux/386",
    "linux/ppc64le",
    "linux/s390x",
    "linux/riscv64",
    "linux/mips64le",
    "linux/loong64",
];

/// Whether layers are kept in the registry.
pub(crate) const LAYER_CACHE: &[(&str, bool)] = &[("registry", true), ("none", false)];

/// Whether `make login` logs in.
pub(crate) const LOGIN: &[(&str, bool)] = &[("builtin", false), ("make", true)];

pub(crate) const PROMOTE: &[(&str, Promote)] =
    &[("auto", Promote::Auto), ("manual", Promote::Manual)];

pub(crate) const CONCURRENCY: &[(&str, Concurrency)] = &[
    ("queue", Concurrency::Queue),
    ("supersede", Concurrency::Supersede),
    ("parallel", Concurrency::Parallel),
];

/// What happens when a tag of a stage is moved outside Towline.
pub(crate) const DRIFT: &[(&str, Drift)] = &[("restore", Drift::Restore), ("hold", Drift::Hold)];

/// Whether people may approve their own commits.
pub(crate) const SELF: &[(&str, bool)] = &[("deny", false), ("allow", true)];

/// Whether all components move together.
pub(crate) const UNIT: &[(&str, bool)] = &[("component", false), ("pipeline", true)];

/// What can be reported on GitHub.
pub(crate) const REPORTED: &[(&str, ())] = &[("checks", ()), ("deployments", ()), ("statuses", ())];
