//! The keys of a build.

use super::mapping;
#[cfg(feature = "schema")]
use crate::limits;
#[cfg(feature = "schema")]
use crate::schema::types::{
    ArgumentName, BaseImage, BuildImage, BuildTags, Duration, FormatWord, Inline, LayerCacheWord,
    LoginWord, Named, Outputs, Path, PlainWord, PlatformWord, Ports, PresetWord, ReportName,
    Scalar, SecretReference, Targets, Texts, User, Value, VariableName, Version, Workdir,
};
#[cfg(feature = "schema")]
use towline_domain::definition::{USUAL_IMAGE, USUAL_PLATFORM};

mapping! {
    /// How the component is built.
    #[schemars(transform = crate::schema::presets)]
    Build {
        /// What generates the buildspec. Default: buildspec or inline if that key is present, otherwise docker.
        preset: Option<PresetWord>,
        /// The CodeBuild image the build runs in, or one image per platform.
        #[schemars(extend("default" = USUAL_IMAGE))]
        image: Option<BuildImage>,
        /// Environment variables of the build. Values may contain {sha}, {sha7}, {build}, {build_uuid} and
        /// {branch_slug}.
        #[schemars(extend("maxProperties" = limits::VARIABLES))]
        env: Option<Named<VariableName, Value>>,
        /// Tags the build pushes. They may contain the placeholders of env, and {env.NAME}. At least one must
        /// be different for every build, so it contains {build} or {build_uuid}.
        #[schemars(extend("default" = ["{sha}-{build}"]))]
        tags: Option<BuildTags>,
        /// Small files that later stages read. The name of an output is the file's name up to the first dot.
        /// With the preset make, version.json holds what `make version` prints; imagedefinitions.json and
        /// imageDetail.json are written from what was pushed.
        outputs: Option<Outputs>,
        /// How long the build may run, 5m to 36h.
        #[schemars(extend("default" = "60m"))]
        timeout: Option<Duration>,
        /// Environment variables from Secrets Manager: the name or ARN of a secret, optionally followed by ":"
        /// and a key of its JSON.
        secrets: Option<Named<VariableName, SecretReference>>,
        /// The platform of the image.
        #[schemars(extend("default" = USUAL_PLATFORM))]
        platform: Option<PlatformWord>,
        /// The platforms of the image; set either platform or platforms. Each platform is a build of its own,
        /// and together they are one image.
        #[schemars(extend("minItems" = 1, "maxItems" = limits::PLATFORMS, "uniqueItems" = true))]
        platforms: Option<Vec<PlatformWord>>,
        /// The folder the build works in.
        #[schemars(extend("default" = "."))]
        context: Option<Path>,
        /// Runtimes and their versions, such as golang: "1.22".
        runtime: Option<Named<PlainWord, Version>>,
        /// Commands that must succeed before anything is published.
        test: Option<Texts>,
        /// Test reports by report group.
        reports: Option<Named<ReportName, Report>>,
        /// Files and folders kept between builds, relative to the context or absolute, if the project has a cache.
        cache: Option<Texts>,
        /// The name of the container in imagedefinitions.json. Default: the name of the component.
        container: Option<PlainWord>,
        /// Whether layers are kept in the registry between builds, separately for the default branch and for all
        /// other branches.
        #[schemars(extend("default" = "none"))]
        layer_cache: Option<LayerCacheWord>,
        /// The Dockerfile, relative to the context.
        #[schemars(extend("default" = "Dockerfile"))]
        dockerfile: Option<Path>,
        /// The stage of the Dockerfile to build. Default: the last.
        target: Option<PlainWord>,
        /// Build arguments.
        args: Option<Named<ArgumentName, Scalar>>,
        /// Targets of the repository's Makefile.
        make: Option<Make>,
        /// Commands that create the files.
        run: Option<Texts>,
        /// The folder whose contents become the image, relative to the context.
        #[schemars(extend("default" = "."))]
        root: Option<Path>,
        /// The base image, with its digest.
        base: Option<BaseImage>,
        /// The entrypoint of the image.
        entrypoint: Option<Texts>,
        /// The command of the image.
        command: Option<Texts>,
        /// The user the image runs as.
        user: Option<User>,
        /// The folder the image starts in.
        workdir: Option<Workdir>,
        /// Ports the image listens on, such as 8080 or 53/udp.
        expose: Option<Ports>,
        /// A buildspec file of the repository.
        buildspec: Option<Path>,
        /// The text of a buildspec.
        inline: Option<Inline>,
    }
}

mapping! {
    /// Targets of the repository's Makefile.
    Make {
        /// Targets in order; the last one publishes.
        #[schemars(extend("minItems" = 1))]
        build: Targets,
        /// Targets that clean up, even after a failure.
        always: Option<Targets>,
        /// Who logs in to the registry: Towline (builtin) or the target `login` (make).
        #[schemars(extend("default" = "builtin"))]
        login: Option<LoginWord>,
    }
}

mapping! {
    /// A group of test reports.
    Report {
        /// The files of the report.
        files: Texts,
        /// The folder they are in, relative to the context.
        folder: Option<Path>,
        /// The format of the files.
        #[schemars(extend("default" = "JUNITXML"))]
        format: Option<FormatWord>,
    }
}
