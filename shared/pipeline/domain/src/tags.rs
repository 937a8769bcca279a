//! The tags of an attempt, computed before it starts, so that the ledger knows what to wait for.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::definition::{Build, Definition};
use crate::names::{AttemptId, CommitSha, GitRef, Tag};

/// The values of placeholders.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// `{sha}` and `{sha7}`.
    pub commit: &'a CommitSha,
    /// `{branch_slug}`.
    pub git_ref: &'a GitRef,
    /// `{build}`: the build's number within its repository.
    pub build_number: u64,
    /// `{build_uuid}`.
    pub attempt: &'a AttemptId,
}

/// Why tags cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum TagError {
    /// An unknown placeholder.
    #[error(
        "{template:?} has {{{name}}}, which is not a placeholder; there are {{sha}}, {{sha7}}, {{build}}, {{build_uuid}}, {{branch_slug}} and, in tags and parameters, {{env.NAME}}"
    )]
    UnknownPlaceholder {
        template: String,
        /// The name in the braces.
        name: String,
    },
    /// An unmatched brace.
    #[error("{0:?} has a brace that does not close")]
    OpenBrace(String),
    /// The result is not a valid tag.
    #[error(
        "{template:?} gives {tag:?}, which is not an image tag: 1 to 128 of A-Z, a-z, 0-9, '_', '.' and '-', not starting with '.' or '-'"
    )]
    NotATag {
        template: String,
        /// The result.
        tag: String,
    },
    /// No tag differs between attempts.
    #[error(
        "no tag differs from build to build; add {{build}} or {{build_uuid}} to one, as in \"{{sha}}-{{build}}\""
    )]
    NothingUnique,
    /// The tag of a part is too long.
    #[error(
        "the image for {platform} alone would get tag {tag:?}, which is not an image tag; make the tags shorter"
    )]
    PartNotATag { platform: String, tag: String },
    /// The whole attempt has a tag that one of its parts needs.
    #[error("tag {tag} is that of the image for {platform} alone; rename this one")]
    PartTaken { platform: String, tag: Tag },
    /// Only promotions move the tag (A26).
    #[error("{0} belongs to a stage; a build may not push it")]
    OfStage(Tag),
}

/// The tags an attempt pushes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptTags {
    /// The tag that no other attempt can push: the evidence of this attempt (I6).
    pub unique: Tag,
    /// All tags, the unique one first.
    pub all: Vec<Tag>,
}

/// Computes the tags of one attempt.
///
/// # Errors
/// When a template is broken, gives no valid tag, or none tells attempts apart.
pub fn of_attempt(build: &Build, values: Values<'_>) -> Result<AttemptTags, TagError> {
    let mut all = Vec::new();
    for template in &build.tags {
        let text = expand(template, &build.env, values)?;
        let tag: Tag = text.parse().map_err(|_| TagError::NotATag {
            template: template.clone(),
            tag: text,
        })?;
        all.push((is_unique(template, &build.env), tag));
    }
    let position = all
        .iter()
        .position(|(unique, _)| *unique)
        .ok_or(TagError::NothingUnique)?;
    let (_, unique) = all.remove(position);
    let mut tags = vec![unique.clone()];
    for (_, tag) in all {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    Ok(AttemptTags { unique, all: tags })
}

/// The parts of an attempt for these platforms; none if there is only one. Each pushes the
/// attempt's unique tag with its platform appended, as in `4f2a91c-142-arm64`.
///
/// # Errors
/// When such a tag is not valid, or is one of the whole attempt's tags.
pub fn of_parts(platforms: &[String], tags: &AttemptTags) -> Result<Vec<(String, Tag)>, TagError> {
    if platforms.len() < 2 {
        return Ok(Vec::new());
    }
    let part = |platform: &String| {
        let short = platform.strip_prefix("linux/").unwrap_or(platform);
        let text = format!("{}-{}", tags.unique, short.replace('/', "-"));
        let tag: Tag = text.parse().map_err(|_| TagError::PartNotATag {
            platform: platform.clone(),
            tag: text,
        })?;
        if tags.all.contains(&tag) {
            let platform = platform.clone();
            return Err(TagError::PartTaken { platform, tag });
        }
        Ok((platform.clone(), tag))
    };
    platforms.iter().map(part).collect()
}

/// Checks that none of the tags belongs to a stage in any of these definitions.
///
/// # Errors
/// The first tag that is.
pub fn outside_stages(definitions: &[&Definition], tags: &[Tag]) -> Result<(), TagError> {
    let rules = || definitions.iter().flat_map(|definition| &definition.stages);
    let mut tags = tags.iter();
    match tags.find(|tag| rules().any(|rule| rule.tags.contains(tag))) {
        Some(tag) => Err(TagError::OfStage(tag.clone())),
        None => Ok(()),
    }
}

/// The build's environment variables with their placeholders filled in.
///
/// # Errors
/// When a value has an unknown placeholder.
pub fn environment(build: &Build, values: Values<'_>) -> Result<Vec<(String, String)>, TagError> {
    build
        .env
        .iter()
        .map(|(name, value)| Ok((name.clone(), expand(value, &[], values)?)))
        .collect()
}

/// A ref as a word of at most 60 characters that is valid in tags, different for every ref (A11).
#[must_use]
pub fn slug(git_ref: &GitRef) -> String {
    let name = git_ref.name();
    let word: String = name
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() || "_.".contains(character) {
                character
            } else {
                '-'
            }
        })
        .take(47)
        .collect();
    let plain =
        word == name && !word.starts_with(['.', '-']) && matches!(git_ref, GitRef::Branch(_));
    if plain && !looks_hashed(&word) {
        return word;
    }
    let hash = hex::encode(Sha256::digest(git_ref.full()));
    let word = match word.trim_matches(['.', '-']) {
        "" => "ref", // a hash alone could be the name of a branch
        word => word,
    };
    format!("{word}--{}", &hash[..10])
}

/// Whether a plain word could be mistaken for one with a hash.
fn looks_hashed(word: &str) -> bool {
    word.contains("--")
}

fn is_unique(template: &str, env: &[(String, String)]) -> bool {
    let direct = |text: &str| text.contains("{build}") || text.contains("{build_uuid}");
    direct(template)
        || env
            .iter()
            .any(|(name, value)| template.contains(&format!("{{env.{name}}}")) && direct(value))
}

fn expand(
    template: &str,
    env: &[(String, String)],
    values: Values<'_>,
) -> Result<String, TagError> {
    fill_in(template, |name| value_of(name, template, env, values))
}

/// The template with its placeholders replaced.
///
/// # Errors
/// When a brace does not close, or a placeholder has no value.
pub(crate) fn fill_in<E: From<TagError>>(
    template: &str,
    mut value: impl FnMut(&str) -> Result<String, E>,
) -> Result<String, E> {
    let open = || TagError::OpenBrace(template.into());
    let mut result = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or_else(open)?;
        result.push_str(before);
        result.push_str(&value(name)?);
        rest = after;
    }
    if rest.contains('}') {
        return Err(open().into());
    }
    result.push_str(rest);
    Ok(result)
}

/// The value of one placeholder; `env` are the variables for `{env.NAME}`.
pub(crate) fn value_of(
    name: &str,
    template: &str,
    env: &[(String, String)],
    values: Values<'_>,
) -> Result<String, TagError> {
    let from_env = |name: &str| env.iter().find(|(known, _)| known == name);
    match name {
        "sha" => Ok(values.commit.to_string()),
        "sha7" => Ok(values.commit.short().into()),
        "build" => Ok(values.build_number.to_string()),
        "build_uuid" => Ok(values.attempt.to_string()),
        "branch_slug" => Ok(slug(values.git_ref)),
        _ => match name.strip_prefix("env.").and_then(from_env) {
            Some((_, value)) => expand(value, &[], values),
            None => Err(TagError::UnknownPlaceholder {
                template: template.into(),
                name: name.into(),
            }),
        },
    }
}
