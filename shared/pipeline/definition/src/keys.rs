//! The mappings a definition may hold, key by key: the reader refuses all others, and the JSON Schema is derived
//! from them.

mod build;
mod stages;

#[cfg(feature = "schema")]
use crate::limits;
#[cfg(feature = "schema")]
use crate::schema::types::{
    Globs, ImageRepository, Label, Named, ReportedWord, RepositoryName, Text, Texts, version,
};

pub use build::{Build, Make, Report};
pub use stages::{
    Approval, Before, CloudFormation, Deploy, Ecs, EcsTask, Event, Gate, Lambda, Rollback, Scan,
    Stage, Verify, Window,
};

/// A mapping with its keys. Descriptions are only for the schema, which few programs contain.
macro_rules! mapping {
    ($(#[$about:meta])* $name:ident {
        $($(#[$of:meta])* $field:ident $(as $key:literal)?: $kind:ty,)*
    }) => {
        #[cfg(feature = "schema")]
        #[derive(schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        $(#[$about])*
        pub struct $name {
            $($(#[$of])* $(#[schemars(rename = $key)])? pub $field: $kind,)*
        }

        #[cfg(not(feature = "schema"))]
        #[doc = concat!("The keys of `", stringify!($name), "`.")]
        pub enum $name {}

        impl $name {
            /// Every key, in the order of the documentation.
            pub const KEYS: &'static [&'static str] =
                &[$($crate::keys::key!($field $($key)?)),*];
        }
    };
}

/// A key: the field's name, unless that is a keyword of Rust.
macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

pub(crate) use {key, mapping};

/// The address of the schema for editors: each release contains the output of `towline schema`.
#[cfg(feature = "schema")]
pub const ID: &str =
    "https://github.com/towline/towline/releases/latest/download/towline.schema.json";

mapping! {
    /// What Towline builds from a repository, and the stages its images move through. Builds follow the file of
    /// the commit that is built; gates and stages follow the file of the default branch.
    #[schemars(title = "Towline definition (.towline.yml)", extend("$id" = ID))]
    Definition {
        /// The version of this format.
        #[schemars(schema_with = "version")]
        version: u8,
        /// The name of the pipeline.
        pipeline: Label,
        /// Which pushes start a run.
        source: Option<Source>,
        /// What is built, by name.
        #[schemars(extend("minProperties" = 1, "maxProperties" = limits::COMPONENTS))]
        components: Named<Label, Component>,
        /// Where images go.
        #[schemars(extend("maxItems" = limits::STAGES))]
        stages: Option<Vec<Stage>>,
        /// Who may do what, besides the approvers of gates.
        rights: Option<Rights>,
        /// Who is notified. Not available yet.
        notify: Option<Notify>,
    }
}

mapping! {
    /// Who may do what, besides the approvers of gates.
    Rights {
        /// Groups whose members may promote, cancel, retry and hold. Default: everyone in a group.
        operate: Option<Texts>,
        /// Groups whose members may promote without approval, and images of refs that source does not admit.
        /// They must give a reason. Default: nobody.
        overrule as "override": Option<Texts>,
    }
}

mapping! {
    /// Which pushes start a run.
    Source {
        /// The repository, as owner/name. A push from another repository is refused.
        github: Option<RepositoryName>,
        /// Branches whose pushes start a run. Default: the default branch only.
        branches: Option<Globs>,
        /// Git tags whose pushes start a run. Default: none.
        tags: Option<Globs>,
        /// A push starts no run if the message of its head commit contains one of these texts.
        skip_message: Option<Texts>,
    }
}

mapping! {
    /// What one image is built from.
    Component {
        /// The repository its images are pushed to. No two components share one.
        repository: ImageRepository,
        /// Files that belong to the component. Default: every file.
        paths: Option<Globs>,
        /// Other files whose change rebuilds the component, such as shared code.
        watch: Option<Globs>,
        /// Files that never cause a build.
        ignore: Option<Globs>,
        /// How the component is built.
        build: Option<Build>,
    }
}

mapping! {
    /// Who is notified. Not available yet.
    Notify {
        /// A Slack channel.
        slack: Option<Text>,
        /// What is reported on GitHub.
        github: Option<Vec<ReportedWord>>,
    }
}
