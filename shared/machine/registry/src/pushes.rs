//! Pushes: checks a manifest, then records it with its tag and its event.

use std::collections::BTreeSet;

use bytes::Bytes;
use rusqlite::{OptionalExtension as _, Transaction, params};
use towline_oci::{Digest, ImageRepository, Platform, Reference, Tag};

use crate::blobs::{ensure_repository, linked_size};
use crate::database::{Doing as _, Size};
use crate::error::RegistryError;
use crate::events;
use crate::images::point;
use crate::manifest::{self, ChildPlatform, Parsed};
use crate::registry::Registry;

/// The largest config blob to read for the platform, in bytes.
const CONFIG_LIMIT: u64 = 4 << 20;

/// The most tags that clients can put on one manifest. Each is a push that must be handled.
const MOST_TAGS: i64 = 1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PutManifest {
    pub(crate) digest: Digest,
    pub(crate) subject: Option<Digest>,
}

impl Registry {
    /// Stores a manifest from a client, and records the event.
    pub(crate) async fn put_manifest(
        &self,
        repository: &ImageRepository,
        reference: &Reference,
        content_type: Option<&str>,
        bytes: Bytes,
    ) -> Result<PutManifest, RegistryError> {
        let (repository, reference) = (repository.clone(), reference.clone());
        let content_type = content_type.map(str::to_owned);
        let registry = self.clone();
        let put = self
            .blocking(move |inner| {
                let parsed = manifest::parse(content_type.as_deref(), &bytes)?;
                let digest = Digest::of(&bytes);
                let tag = match reference {
                    Reference::Tag(tag) => Some(tag),
                    Reference::Digest(given) if given == digest => None,
                    Reference::Digest(given) => {
                        let actual = digest;
                        return Err(RegistryError::DigestMismatch { given, actual });
                    }
                };
                let platform = registry.image_platform(&repository, &parsed)?;
                let now = inner.now();
                inner
                    .database
                    .write("recording a manifest", |transaction| {
                        ensure_repository(transaction, &repository, now)?;
                        check_blobs(transaction, &repository, &parsed)?;
                        let content = content(transaction, &repository, &parsed, platform)?;
                        insert_manifest(
                            transaction,
                            &repository,
                            &digest,
                            &bytes,
                            &parsed,
                            &content,
                            now,
                        )?;
                        if let Some(tag) = &tag {
                            check_tags(transaction, &repository, tag, &digest)?;
                            point(transaction, &repository, tag, &digest, now)?;
                        }
                        let media_type = parsed.kind.as_str();
                        events::append(
                            transaction,
                            &repository,
                            &digest,
                            tag.as_ref(),
                            media_type,
                            now,
                        )
                    })?;
                Ok(PutManifest {
                    digest: digest.clone(),
                    subject: parsed.subject,
                })
            })
            .await?;
        self.inner().pushed.notify_one();
        Ok(put)
    }

    /// The platform of an image, from its config blob. Blocks.
    fn image_platform(
        &self,
        repository: &ImageRepository,
        parsed: &Parsed,
    ) -> Result<Option<Platform>, RegistryError> {
        let Some(config) = &parsed.image_config else {
            return Ok(None);
        };
        let bytes = self.small_blob(repository, config, CONFIG_LIMIT)?;
        Ok(bytes.and_then(|bytes| manifest::platform_of_config(&bytes)))
    }
}

/// Whether the manifest can have one more tag.
fn check_tags(
    transaction: &Transaction<'_>,
    repository: &ImageRepository,
    tag: &Tag,
    digest: &Digest,
) -> Result<(), RegistryError> {
    let others: i64 = transaction
        .prepare_cached(
            "SELECT count(*) FROM tags WHERE repository = ?1 AND digest = ?2 AND tag != ?3",
        )
        .and_then(|mut select| {
            let names = [repository.as_str(), digest.as_str(), tag.as_str()];
            select.query_row(names, |row| row.get(0))
        })
        .doing("counting tags")?;
    if others < MOST_TAGS {
        return Ok(());
    }
    Err(RegistryError::TooManyTags {
        repository: repository.clone(),
        digest: digest.clone(),
        limit: MOST_TAGS,
    })
}

fn check_blobs(
    transaction: &Transaction<'_>,
    repository: &ImageRepository,
    parsed: &Parsed,
) -> Result<(), RegistryError> {
    for (digest, announced) in &parsed.blobs {
        match linked_size(transaction, repository, digest)? {
            None => {
                return Err(RegistryError::ReferenceUnknown {
                    repository: repository.clone(),
                    digest: digest.clone(),
                });
            }
            Some(size) if size != *announced => {
                return Err(RegistryError::BlobSize {
                    digest: digest.clone(),
                    announced: *announced,
                    actual: size,
                });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// The sum of a manifest's parts.
struct Content {
    size: u64,
    platforms: BTreeSet<Platform>,
}

fn content(
    transaction: &Transaction<'_>,
    repository: &ImageRepository,
    parsed: &Parsed,
    platform: Option<Platform>,
) -> Result<Content, RegistryError> {
    let mut content = Content {
        size: parsed.layers_size,
        platforms: platform.into_iter().collect(),
    };
    for child in &parsed.children {
        let Some((size, platforms)) = stored_content(transaction, repository, &child.digest)?
        else {
            return Err(RegistryError::ReferenceUnknown {
                repository: repository.clone(),
                digest: child.digest.clone(),
            });
        };
        content.size = content.size.saturating_add(size);
        match &child.platform {
            ChildPlatform::Known(platform) => content.platforms.extend([platform.clone()]),
            ChildPlatform::NoPlatform => {}
            ChildPlatform::NotSaid => content.platforms.extend(platforms),
        }
    }
    Ok(content)
}

fn stored_content(
    transaction: &Transaction<'_>,
    repository: &ImageRepository,
    digest: &Digest,
) -> Result<Option<(u64, Vec<Platform>)>, RegistryError> {
    transaction
        .prepare_cached(
            "SELECT content_size, platforms FROM manifests WHERE repository = ?1 AND digest = ?2",
        )
        .and_then(|mut select| {
            select
                .query_row([repository.as_str(), digest.as_str()], |row| {
                    let platforms: String = row.get(1)?;
                    // Written as JSON by this crate.
                    Ok((
                        row.get::<_, Size>(0)?.0,
                        serde_json::from_str(&platforms).unwrap_or_default(),
                    ))
                })
                .optional()
        })
        .doing("looking for a manifest")
}

fn insert_manifest(
    transaction: &Transaction<'_>,
    repository: &ImageRepository,
    digest: &Digest,
    bytes: &[u8],
    parsed: &Parsed,
    content: &Content,
    now: i64,
) -> Result<(), RegistryError> {
    let doing = "recording a manifest";
    let json = |value| serde_json::to_string(value).expect("texts under text keys become JSON");
    let platforms = serde_json::to_string(&content.platforms).expect("plain structs become JSON");
    // The same bytes keep their meaning, but their media type may change.
    transaction
        .prepare_cached(
            "INSERT INTO manifests (repository, digest, media_type, bytes, subject, artifact_type,
                annotations, platforms, content_size, pushed_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT DO UPDATE SET media_type = excluded.media_type",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                repository.as_str(),
                digest.as_str(),
                parsed.kind.as_str(),
                bytes,
                parsed.subject.as_ref().map(Digest::as_str),
                parsed.artifact_type,
                json(&parsed.annotations),
                platforms,
                Size(content.size),
                now,
            ])
        })
        .doing(doing)?;
    let mut insert = transaction
        .prepare_cached(
            "INSERT INTO manifest_references (repository, manifest, kind, digest)
             VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )
        .doing(doing)?;
    let blobs = parsed.blobs.iter().map(|(blob, _)| ("blob", blob));
    let children = parsed.children.iter().map(|it| ("manifest", &it.digest));
    for (kind, referred) in blobs.chain(children) {
        insert
            .execute([
                repository.as_str(),
                digest.as_str(),
                kind,
                referred.as_str(),
            ])
            .doing(doing)?;
    }
    Ok(())
}
