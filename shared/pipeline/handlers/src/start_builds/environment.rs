//! The variables of a build; everything that a stranger chose is in them and nowhere else (A9, A10).

use towline_buildspec::generate::{GenerateError, check_environment};
use towline_domain::Timestamp;
use towline_domain::definition::{Build, LAYER_CACHES};
use towline_domain::names::{
    AttemptId, CommitSha, ComponentName, GitRef, ImageRepository, RunId, StageName, Tag,
};
use towline_domain::outputs;
use towline_domain::run::NotStarted;
use towline_domain::tags::{self, TagError, Values, slug};
use towline_ports::{RepositoryRef, Trust};
use towline_wire::codebuild;

/// Why a build cannot have its variables.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A value has a placeholder that cannot be filled in.
    #[error("components.{component}.build.env: {error}")]
    Placeholder {
        component: ComponentName,
        /// The mistake.
        error: TagError,
    },
    /// CodeBuild does not accept a value.
    #[error(transparent)]
    Value(#[from] GenerateError),
}

impl From<EnvironmentError> for NotStarted {
    fn from(error: EnvironmentError) -> Self {
        match error {
            EnvironmentError::Placeholder { component, error } => {
                Self::Placeholder { component, error }
            }
            EnvironmentError::Value(error) => Self::Variables {
                said: error.to_string(),
            },
        }
    }
}

/// The facts for a build's variables.
#[derive(Debug, Clone, Copy)]
pub struct BuildOf<'a> {
    /// `host[:port]` of the registry it pushes to.
    pub registry: &'a str,
    pub repository: &'a RepositoryRef,
    pub commit: &'a CommitSha,
    /// The ref that was pushed.
    pub git_ref: &'a GitRef,
    /// When it was pushed.
    pub at: Timestamp,
    /// The run, if there is one.
    pub run: Option<&'a RunId>,
    /// The stages that its image may enter.
    pub stages: &'a [StageName],
    pub component: &'a ComponentName,
    pub image_repository: &'a ImageRepository,
    /// Its settings in the definition, if it has one.
    pub build: Option<&'a Build>,
    /// The platform of the image.
    pub platform: &'a str,
    /// The attempt or part that it is for.
    pub attempt: &'a AttemptId,
    pub whole: &'a AttemptId,
    /// The tag that only the whole attempt pushes: that of the index if there are parts.
    pub whole_tag: &'a Tag,
    pub build_number: u64,
    /// All tags that it pushes, the unique one first.
    pub tags: &'a [Tag],
    /// How far the pushed ref is trusted.
    pub trust: Trust,
}

impl BuildOf<'_> {
    /// The variables, each once: those of the definition, then ours.
    ///
    /// # Errors
    /// When the definition gives one a value that CodeBuild does not take; the sentence says which.
    pub fn environment(&self) -> Result<Vec<(String, String)>, EnvironmentError> {
        let ours = self.ours();
        let mut environment = self.written()?;
        environment.retain(|(name, _)| ours.iter().all(|(taken, _)| name != taken));
        environment.extend(
            ours.into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        check_environment(&environment)?;
        Ok(environment)
    }

    /// The definition's own variables, with placeholders filled in.
    fn written(&self) -> Result<Vec<(String, String)>, EnvironmentError> {
        let Some(build) = self.build else {
            return Ok(Vec::new());
        };
        let values = Values {
            commit: self.commit,
            git_ref: self.git_ref,
            build_number: self.build_number,
            attempt: self.whole,
        };
        tags::environment(build, values).map_err(|error| EnvironmentError::Placeholder {
            component: self.component.clone(),
            error,
        })
    }

    fn ours(&self) -> Vec<(&'static str, String)> {
        let tags: Vec<&str> = self.tags.iter().map(Tag::as_str).collect();
        let stages: Vec<&str> = self.stages.iter().map(StageName::as_str).collect();
        let own = self.tags.first().map(ToString::to_string);
        let mut ours = vec![
            (codebuild::REGISTRY_VARIABLE, self.registry.to_owned()),
            ("IMAGE_REPO", self.image_repository.to_string()),
            ("IMAGE_TAG", own.unwrap_or_default()),
            ("IMAGE_TAGS", tags.join(" ")),
            ("IMAGE_WHOLE_TAG", self.whole_tag.to_string()),
            ("IMAGE_PLATFORM", self.platform.to_owned()),
            ("GIT_SHA", self.commit.to_string()),
            (codebuild::REF_VARIABLE, self.git_ref.full()),
            ("GIT_BRANCH", self.git_ref.name().to_owned()),
            (
                "SOURCE_URL",
                format!("https://github.com/{}", self.repository.name),
            ),
            ("BUILD_NUMBER", self.build_number.to_string()),
            ("BUILD_UUID", self.whole.to_string()),
            (
                "CREATED_AT",
                self.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            ),
            (
                codebuild::REPOSITORY_VARIABLE,
                self.repository.id.to_string(),
            ),
            (codebuild::STAGES_VARIABLE, stages.join(" ")),
            (codebuild::COMPONENT_VARIABLE, self.component.to_string()),
            (codebuild::ATTEMPT_VARIABLE, self.attempt.to_string()),
        ];
        ours.extend(
            self.run
                .map(|run| (codebuild::RUN_VARIABLE, run.to_string())),
        );
        ours.extend(self.caches());
        ours.extend(self.account().map(|account| ("AWS_ACCOUNT_ID", account)));
        let outputs = self.build.map(|build| &build.outputs).into_iter().flatten();
        let outputs: Vec<&str> = outputs.map(|path| outputs::name_of(path)).collect();
        if !outputs.is_empty() {
            ours.push((codebuild::OUTPUTS_VARIABLE, outputs.join(" ")));
        }
        ours
    }

    /// The AWS account of a registry, so that no build has to ask for it.
    fn account(&self) -> Option<String> {
        let (account, rest) = self.registry.split_once('.')?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        (is_account && rest.starts_with("dkr.ecr.")).then(|| account.to_owned())
    }

    /// Where layers are kept and read, if they are: one tag for each ref and platform. Only builds of
    /// the default branch write what they read (A30).
    fn caches(&self) -> Vec<(&'static str, String)> {
        if !self.build.is_some_and(|build| build.layer_cache) {
            return Vec::new();
        }
        let platform = self.platform.replace('/', "-");
        let images = self.image_repository;
        let of_trusted = format!("{LAYER_CACHES}trusted/{images}:{platform}");
        match self.trust {
            Trust::DefaultBranch => {
                vec![("CACHE_TO", of_trusted.clone()), ("CACHE_FROM", of_trusted)]
            }
            Trust::Other => {
                let own_tag = format!("{}--{platform}", slug(self.git_ref));
                let own = format!("{LAYER_CACHES}branches/{images}:{own_tag}");
                let from = format!("{own} {of_trusted}");
                vec![("CACHE_TO", own), ("CACHE_FROM", from)]
            }
        }
    }
}
