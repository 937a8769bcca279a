//! The catalog of codes and their descriptions.

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// It works, but could be written better.
    Note,
    /// It works, but probably not as expected.
    Warning,
    /// It fails, does nothing, or publishes what must not be published.
    Error,
}

impl Level {
    /// Its name in outputs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A page of AWS's documentation.
#[derive(Debug, Clone, Copy)]
enum Page {
    /// The syntax of buildspecs.
    Spec,
    Phases,
    Runtimes,
    Variables,
    Docker,
    /// The login of Docker to ECR.
    Login,
}

impl Page {
    fn address(self) -> &'static str {
        match self {
            Self::Spec => {
                "https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html"
            }
            Self::Phases => {
                "https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details-phases.html"
            }
            Self::Runtimes => {
                "https://docs.aws.amazon.com/codebuild/latest/userguide/available-runtimes.html"
            }
            Self::Variables => {
                "https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html"
            }
            Self::Docker => {
                "https://docs.aws.amazon.com/codebuild/latest/userguide/sample-docker.html"
            }
            Self::Login => {
                "https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html"
            }
        }
    }
}

macro_rules! codes {
    ($($code:ident $name:literal $page:ident $about:literal)*) => {
        /// The kind of a finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $about] $code,)*
        }

        impl Code {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$code,)*];

            /// Its short name: `E003`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => stringify!($code),)*
                }
            }

            /// Its long name: `publish-in-post-build`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$code => $name,)*
                }
            }

            fn page(self) -> Page {
                match self {
                    $(Self::$code => Page::$page,)*
                }
            }

            /// Its description, in one sentence.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$code => $about,)*
                }
            }
        }
    };
}

codes! {
    E000 "unreadable" Spec "CodeBuild cannot read the buildspec."
    E001 "tab-indent" Spec "Lines are indented with tabs; YAML allows only spaces."
    E002 "phase-outside-phases" Spec "A phase is outside `phases`, so none of its commands run."
    E003 "publish-in-post-build" Phases "`post_build` publishes or deploys even after `build` has failed."
    E004 "command-is-no-string" Spec "A command is a mapping or a list, usually because it contains `: `."
    E005 "section-missing" Spec "`version` or `phases` is missing."
    E006 "unknown-key" Spec "CodeBuild has no such phase or key."
    E010 "unknown-runtime" Runtimes "The build image does not offer this runtime version."
    E011 "ecr-get-login" Login "Version 2 of the AWS CLI has no `aws ecr get-login`."
    E012 "timeout-t" Spec "`timeout -t` is not an option of GNU timeout."
    E013 "removed-storage-driver" Docker "Docker no longer has this storage driver."
    E015 "docker-without-privileged" Docker "Docker is used where no Docker daemon can run."
    E016 "invalid-tag" Spec "This is not a valid image tag."
    E017 "empty-tag" Spec "The tag comes from a variable that is empty at that point."
    W002 "bad-allow" Spec "A comment that should allow a finding is not valid."
    W014 "dockerd-already-running" Docker "A Docker daemon is started although the image has already started one."
    W016 "content-trust" Spec "Docker content trust is being retired."
    W018 "version-0.1" Spec "In version 0.1 each command runs in its own shell."
    W020 "region-mismatch" Spec "A command contains a region that a variable also holds, or that differs from it."
    W021 "registry-mismatch" Spec "An account or region differs between files."
    W030 "git-in-build" Spec "Git is called, but the source has no Git metadata."
    W031 "short-commit-tag" Spec "The only tag is a shortened commit hash."
    W032 "mutable-tag-in-immutable-repository" Spec "`latest` is pushed to a repository with immutable tags."
    W040 "mutable-tag-deployed" Spec "The deployment uses a tag that moves."
    W041 "port-mismatch" Spec "Ports differ between appspec, task definition and Dockerfile."
    W042 "pinned-architecture" Spec "The architecture is hard-coded, but images for another one are built."
    W043 "float-version" Runtimes "An unquoted version can lose its last zero, because YAML reads it as a number."
    W044 "docker-hub-unauthenticated" Spec "A base image is pulled from Docker Hub without a login."
    W045 "secret-in-plain-text" Spec "`env.variables` or a command contains what looks like a secret."
    W046 "shadowed-variable" Variables "A variable replaces one that CodeBuild or the AWS CLI reads."
    N001 "suspicious" Spec "CodeBuild accepts this, but it is probably a mistake or undocumented."
    N002 "unused-allow" Spec "A comment allows a finding that does not occur."
}

impl Code {
    /// Its severity, from its letter.
    #[must_use]
    pub fn level(self) -> Level {
        match self.as_str().as_bytes()[0] {
            b'E' => Level::Error,
            b'W' => Level::Warning,
            _ => Level::Note,
        }
    }

    /// The page of AWS's documentation about it.
    #[must_use]
    pub fn help(self) -> &'static str {
        self.page().address()
    }

    /// The code of that name, such as `W031` or `short-commit-tag`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text || code.name() == text)
    }

    /// Whether a comment can allow it: not if the text cannot be read, nor for mistakes in a comment.
    #[must_use]
    pub fn can_be_allowed(self) -> bool {
        !matches!(self, Self::E000 | Self::E001 | Self::W002 | Self::N002)
    }

    /// Whether it is found only if facts about the project are known.
    pub(super) fn needs_project(self) -> bool {
        matches!(
            self,
            Self::E010
                | Self::E015
                | Self::W014
                | Self::W020
                | Self::W021
                | Self::W030
                | Self::W032
                | Self::W042
        )
    }
}
