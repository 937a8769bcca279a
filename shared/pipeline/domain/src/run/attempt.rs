//! An attempt to build a component, and its parts when there are several platforms.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Contradiction, Crowded, Delay, Failure, fingerprint};
use crate::Timestamp;
use crate::definition::{Build, Definition};
use crate::names::{AttemptId, BuildId, ComponentName, Digest, RunId, Tag};
use crate::person::Actor;
use crate::tags::{self, TagError, Values};

/// One attempt to build one component. With several platforms, also its part for one of them, which
/// has its own build, tag and evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub id: AttemptId,
    /// 1 for the first.
    pub number: u32,
    /// The build's number within the repository, as in `build#142`.
    pub build_number: u64,
    /// Its platform, if it is a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// How many attempts before it ended only because Towline stopped or was restarted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub interrupted: u32,
    /// The tag only this attempt can push.
    pub unique_tag: Tag,
    /// All tags it is expected to push, the unique one first.
    pub tags: Vec<Tag>,
    /// Its parts, one for each platform, if there are several. It has no build itself then: once
    /// every part has succeeded, the index of their images is put under its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Attempt>,
    /// When it became due.
    pub due_at: Timestamp,
    /// When it is given up.
    pub deadline: Timestamp,
    /// The one build whose results count (I5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildId>,
    /// Why its build could not be started the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Delay>,
    /// When the build began to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the build ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Whether the build is known to have succeeded; half of the evidence (I6). For an attempt with
    /// parts: whether the index of their images is known to have been put.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub build_succeeded: bool,
    /// The digest under the unique tag; the other half (I6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Digest>,
    /// The outputs of its build, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    pub state: AttemptState,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The state of an attempt. Only `Due` and `Building` can change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum AttemptState {
    /// Its build has not been bound.
    Due,
    /// Its build is bound, and the evidence is not complete.
    Building,
    /// Its build succeeded and its image was read back.
    Succeeded,
    Failed {
        /// The platform whose part failed, if it has parts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        platform: Option<String>,
        why: Failure,
    },
    /// A person stopped it.
    Cancelled { by: Actor },
    /// A newer run took over.
    Superseded {
        /// The newer run.
        by: RunId,
        /// Why, if it does not build the same component of the same ref.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        crowded: Option<Crowded>,
    },
    /// The registry contradicts a report; a person must look.
    Held { why: Contradiction },
}

impl AttemptState {
    /// Whether CodeBuild, not the repository, was at fault.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Failed { why, .. } => why.is_fault(),
            Self::Due
            | Self::Building
            | Self::Succeeded
            | Self::Cancelled { .. }
            | Self::Superseded { .. }
            | Self::Held { .. } => false,
        }
    }

    /// Whether it has ended, and so never changes again (I2).
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Due | Self::Building => false,
            Self::Succeeded
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::Superseded { .. }
            | Self::Held { .. } => true,
        }
    }

    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Building => "building",
            Self::Succeeded => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
            Self::Superseded { .. } => "superseded",
            Self::Held { .. } => "held",
        }
    }
}

/// The numbers and tags of a new attempt, drawn before the decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAttempt {
    pub build_number: u64,
    /// The tag only it can push.
    pub unique_tag: Tag,
    /// All its tags, the unique one first.
    pub tags: Vec<Tag>,
    /// Its platforms, each with the tag that only its part can push; none if there is only one.
    pub parts: Vec<(String, Tag)>,
    /// How long its build may run.
    pub timeout: Duration,
}

impl NewAttempt {
    /// The attempt of this build in the run of `values`.
    ///
    /// # Errors
    /// When its tags cannot be used, above all when a stage of one of the `definitions` has one.
    pub fn of(
        build: &Build,
        values: Values<'_>,
        definitions: &[&Definition],
    ) -> Result<Self, TagError> {
        let tags = tags::of_attempt(build, values)?;
        let new = Self {
            build_number: values.build_number,
            parts: tags::of_parts(&build.platforms, &tags)?,
            unique_tag: tags.unique,
            tags: tags.all,
            timeout: build.timeout,
        };
        tags::outside_stages(definitions, &new.all_tags())?;
        Ok(new)
    }

    /// Every tag that it or one of its parts pushes.
    #[must_use]
    pub fn all_tags(&self) -> Vec<Tag> {
        let parts = self.parts.iter().map(|(_, tag)| tag);
        self.tags.iter().chain(parts).cloned().collect()
    }
}

impl Attempt {
    /// How long a build may wait for capacity before it runs: CodeBuild's default queue
    /// timeout of 8 hours (CodeBuild API, `queuedTimeoutInMinutes`).
    pub const QUEUE: Duration = Duration::from_secs(8 * 3600);
    /// Added to every deadline, for clocks that disagree (F21) and late reports.
    pub const SLACK: Duration = Duration::from_secs(10 * 60);

    /// The id of the `number`th attempt of a component in a run.
    #[must_use]
    pub fn id(run: &RunId, component: &ComponentName, number: u32) -> AttemptId {
        Self::id_of(&[run.as_str(), component.as_str(), &number.to_string()])
    }

    /// The id of the part of an attempt for one platform.
    #[must_use]
    pub fn part_id(whole: &AttemptId, platform: &str) -> AttemptId {
        Self::id_of(&[whole.as_str(), platform])
    }

    fn id_of(parts: &[&str]) -> AttemptId {
        let hex = fingerprint(parts);
        let variant = &hex[17..20];
        format!(
            "{}-{}-8{}-a{variant}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[13..16],
            &hex[20..32]
        )
        .parse()
        .expect("hexadecimal digits in UUID form")
    }

    #[must_use]
    pub fn due(id: AttemptId, number: u32, new: NewAttempt, now: Timestamp) -> Self {
        let deadline = now + Self::QUEUE + new.timeout + Self::SLACK;
        let parts = new.parts.into_iter().map(|(platform, tag)| Self {
            platform: Some(platform.clone()),
            ..Self::due(
                Self::part_id(&id, &platform),
                number,
                NewAttempt {
                    build_number: new.build_number,
                    unique_tag: tag.clone(),
                    tags: vec![tag],
                    parts: Vec::new(),
                    timeout: new.timeout,
                },
                now,
            )
        });
        let parts = parts.collect();
        Self {
            id,
            number,
            build_number: new.build_number,
            platform: None,
            interrupted: 0,
            unique_tag: new.unique_tag,
            tags: new.tags,
            parts,
            due_at: now,
            deadline,
            build: None,
            waiting: None,
            started_at: None,
            ended_at: None,
            build_succeeded: false,
            image: None,
            outputs: BTreeMap::new(),
            state: AttemptState::Due,
        }
    }

    /// How many attempts up to it ended only because Towline stopped or was restarted.
    #[must_use]
    pub fn interruptions(&self) -> u32 {
        let is_one = match &self.state {
            AttemptState::Failed { why, .. } => why.is_interruption(),
            AttemptState::Due
            | AttemptState::Building
            | AttemptState::Succeeded
            | AttemptState::Cancelled { .. }
            | AttemptState::Superseded { .. }
            | AttemptState::Held { .. } => false,
        };
        self.interrupted + u32::from(is_one)
    }

    /// Its name: `build#142`, or `build#142 for linux/arm64` for a part.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.platform {
            Some(platform) => format!("build#{} for {platform}", self.build_number),
            None => format!("build#{}", self.build_number),
        }
    }

    /// Why it could not be started the last time; with parts, the first of them that could not.
    #[must_use]
    pub fn delay(&self) -> Option<(Option<&str>, &Delay)> {
        let mut builds = self.builds().filter(|it| it.state == AttemptState::Due);
        builds.find_map(|it| Some((it.platform.as_deref(), it.waiting.as_ref()?)))
    }

    /// It and its parts.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.parts)
    }

    /// The attempts with a build of their own: its parts, or itself if it has none.
    pub fn builds(&self) -> impl Iterator<Item = &Self> {
        self.all()
            .filter(|attempt| attempt.platform.is_some() || attempt.parts.is_empty())
    }

    /// The images of its parts by platform, once every part has succeeded.
    #[must_use]
    pub fn index(&self) -> Option<Vec<(&str, &Digest)>> {
        let parts = self.parts.iter();
        let children: Option<Vec<_>> = parts
            .map(|part| match part.state {
                AttemptState::Succeeded => part.platform.as_deref().zip(part.image.as_ref()),
                AttemptState::Due
                | AttemptState::Building
                | AttemptState::Failed { .. }
                | AttemptState::Cancelled { .. }
                | AttemptState::Superseded { .. }
                | AttemptState::Held { .. } => None,
            })
            .collect();
        children.filter(|children| !children.is_empty())
    }
}
