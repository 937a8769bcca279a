//! Manifests and tags of repositories.

use std::collections::BTreeMap;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use towline_oci::{Digest, ImageRepository, Platform, Reference, Tag};

use crate::blobs::referring;
use crate::database::{Doing as _, Size};
use crate::error::RegistryError;
use crate::events;
use crate::registry::Registry;

/// A manifest and its data in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The digest of `bytes`.
    pub digest: Digest,
    /// One of [`ManifestKind`](towline_oci::ManifestKind)'s texts.
    pub media_type: String,
    /// Byte for byte as it was pushed.
    pub bytes: Bytes,
    /// The tags that point to it now, in order.
    pub tags: Vec<Tag>,
    /// When it was first pushed to the repository, in milliseconds since 1970.
    pub pushed_at_ms: i64,
    /// The sum of its layers in bytes; for an index, of all its images.
    pub size_bytes: u64,
    /// Its platforms, from its config blob or index; none for an artifact.
    pub platforms: Vec<Platform>,
}

/// A tag and the digest it points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedImage {
    pub tag: Tag,
    pub digest: Digest,
    /// When it was last moved, in milliseconds since 1970.
    pub moved_at_ms: i64,
}

/// The result of setting a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutTag {
    Moved {
        /// Where it pointed before, if it existed.
        from: Option<Digest>,
    },
    /// It pointed there already. Nothing was written, and there is no event.
    AlreadySo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deleted {
    Yes,
    NotThere,
}

/// A manifest in its subject's list of referrers.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Referrer {
    media_type: String,
    digest: String,
    size: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Registry {
    /// The manifest with this tag or digest, if it exists.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn read(
        &self,
        repository: &ImageRepository,
        reference: &Reference,
    ) -> Result<Option<Manifest>, RegistryError> {
        let (repository, reference) = (repository.clone(), reference.clone());
        self.blocking(move |registry| {
            registry.database.read("reading a manifest", |view| {
                let digest = match reference {
                    Reference::Digest(digest) => Some(digest),
                    Reference::Tag(tag) => pointed_at(view, &repository, &tag)?,
                };
                match digest {
                    Some(digest) => read_manifest(view, &repository, &digest),
                    None => Ok(None),
                }
            })
        })
        .await
    }

    /// The repository's tags, in order; none if the repository does not exist.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn tags(
        &self,
        repository: &ImageRepository,
    ) -> Result<Vec<TaggedImage>, RegistryError> {
        let repository = repository.clone();
        self.blocking(move |registry| {
            let doing = "listing tags";
            registry.database.read(doing, |view| {
                let mut select = view
                    .prepare_cached(
                        "SELECT tag, digest, moved_at_ms FROM tags WHERE repository = ?1 ORDER BY tag",
                    )
                    .doing(doing)?;
                let mut rows = select.query([repository.as_str()]).doing(doing)?;
                let mut tags = Vec::new();
                while let Some(row) = rows.next().doing(doing)? {
                    tags.push(TaggedImage {
                        tag: row.get::<_, String>(0).doing(doing)?.parse()?,
                        digest: row.get::<_, String>(1).doing(doing)?.parse()?,
                        moved_at_ms: row.get(2).doing(doing)?,
                    });
                }
                Ok(tags)
            })
        })
        .await
    }

    /// All repositories, in order.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn repositories(&self) -> Result<Vec<ImageRepository>, RegistryError> {
        self.blocking(|registry| {
            let doing = "listing repositories";
            registry.database.read(doing, |view| {
                let names: Vec<String> = view
                    .prepare_cached("SELECT name FROM repositories ORDER BY name")
                    .and_then(|mut select| select.query_map((), |row| row.get(0))?.collect())
                    .doing(doing)?;
                names.iter().map(|name| Ok(name.parse()?)).collect()
            })
        })
        .await
    }

    /// Whether anything was ever pushed to the repository.
    pub(crate) async fn has_repository(
        &self,
        repository: &ImageRepository,
    ) -> Result<bool, RegistryError> {
        let repository = repository.clone();
        self.blocking(move |registry| {
            let doing = "looking for a repository";
            registry.database.read(doing, |view| {
                view.prepare_cached("SELECT 1 FROM repositories WHERE name = ?1")
                    .and_then(|mut select| select.exists([repository.as_str()]))
                    .doing(doing)
            })
        })
        .await
    }

    /// Points a tag to one of the repository's manifests, and records a push event if that changes
    /// anything.
    ///
    /// # Errors
    ///
    /// [`RegistryError::ManifestUnknown`] when the repository has no such manifest.
    pub async fn put_tag(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
        tag: &Tag,
    ) -> Result<PutTag, RegistryError> {
        let (repository, digest, tag) = (repository.clone(), digest.clone(), tag.clone());
        let put = self
            .blocking(move |registry| {
                let now = registry.now();
                registry.database.write("putting a tag", |transaction| {
                    let Some(media_type) = media_type(transaction, &repository, &digest)? else {
                        return Err(RegistryError::ManifestUnknown {
                            repository,
                            reference: digest.to_string(),
                        });
                    };
                    let from = pointed_at(transaction, &repository, &tag)?;
                    if from.as_ref() == Some(&digest) {
                        return Ok(PutTag::AlreadySo);
                    }
                    point(transaction, &repository, &tag, &digest, now)?;
                    events::append(
                        transaction,
                        &repository,
                        &digest,
                        Some(&tag),
                        &media_type,
                        now,
                    )?;
                    Ok(PutTag::Moved { from })
                })
            })
            .await?;
        if put != PutTag::AlreadySo {
            self.inner().pushed.notify_one();
        }
        Ok(put)
    }

    /// Deletes a tag, but not its manifest. Returns whether it existed.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub async fn delete_tag(
        &self,
        repository: &ImageRepository,
        tag: &Tag,
    ) -> Result<bool, RegistryError> {
        let (repository, tag) = (repository.clone(), tag.clone());
        self.blocking(move |registry| {
            let doing = "deleting a tag";
            registry.database.write(doing, |transaction| {
                let deleted = transaction
                    .execute(
                        "DELETE FROM tags WHERE repository = ?1 AND tag = ?2",
                        [repository.as_str(), tag.as_str()],
                    )
                    .doing(doing)?;
                Ok(deleted > 0)
            })
        })
        .await
    }

    /// Deletes a manifest with all its tags, unless an index lists it.
    pub(crate) async fn delete_manifest(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
    ) -> Result<Deleted, RegistryError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.blocking(move |registry| {
            let doing = "deleting a manifest";
            registry.database.write(doing, |transaction| {
                if let Some(by) = referring(transaction, &repository, "manifest", &digest)? {
                    return Err(RegistryError::StillReferred { digest, by });
                }
                let names = [repository.as_str(), digest.as_str()];
                let delete = |from: &'static str| transaction.execute(from, names).doing(doing);
                delete("DELETE FROM tags WHERE repository = ?1 AND digest = ?2")?;
                delete("DELETE FROM manifest_references WHERE repository = ?1 AND manifest = ?2")?;
                match delete("DELETE FROM manifests WHERE repository = ?1 AND digest = ?2")? {
                    0 => Ok(Deleted::NotThere),
                    _ => Ok(Deleted::Yes),
                }
            })
        })
        .await
    }

    /// The manifests whose subject is this digest.
    pub(crate) async fn referrers(
        &self,
        repository: &ImageRepository,
        subject: &Digest,
    ) -> Result<Vec<Referrer>, RegistryError> {
        let (repository, subject) = (repository.clone(), subject.clone());
        self.blocking(move |registry| {
            let doing = "listing referrers";
            registry.database.read(doing, |view| {
                let mut select = view
                    .prepare_cached(
                        "SELECT media_type, digest, length(bytes), artifact_type, annotations
                         FROM manifests WHERE repository = ?1 AND subject = ?2 ORDER BY digest",
                    )
                    .doing(doing)?;
                select
                    .query_map([repository.as_str(), subject.as_str()], |row| {
                        let annotations: String = row.get(4)?;
                        Ok(Referrer {
                            media_type: row.get(0)?,
                            digest: row.get(1)?,
                            size: row.get(2)?,
                            artifact_type: row.get(3)?,
                            // Written as JSON by this crate.
                            annotations: serde_json::from_str(&annotations).unwrap_or_default(),
                        })
                    })
                    .and_then(Iterator::collect)
                    .doing(doing)
            })
        })
        .await
    }
}

fn pointed_at(
    view: &Connection,
    repository: &ImageRepository,
    tag: &Tag,
) -> Result<Option<Digest>, RegistryError> {
    let digest: Option<String> = view
        .prepare_cached("SELECT digest FROM tags WHERE repository = ?1 AND tag = ?2")
        .and_then(|mut select| {
            select
                .query_row([repository.as_str(), tag.as_str()], |row| row.get(0))
                .optional()
        })
        .doing("looking for a tag")?;
    Ok(digest.map(|digest| digest.parse()).transpose()?)
}

fn media_type(
    view: &Connection,
    repository: &ImageRepository,
    digest: &Digest,
) -> Result<Option<String>, RegistryError> {
    view.prepare_cached("SELECT media_type FROM manifests WHERE repository = ?1 AND digest = ?2")
        .and_then(|mut select| {
            select
                .query_row([repository.as_str(), digest.as_str()], |row| row.get(0))
                .optional()
        })
        .doing("looking for a manifest")
}

fn read_manifest(
    view: &Connection,
    repository: &ImageRepository,
    digest: &Digest,
) -> Result<Option<Manifest>, RegistryError> {
    let doing = "reading a manifest";
    let names = [repository.as_str(), digest.as_str()];
    let tags: Vec<String> = view
        .prepare_cached("SELECT tag FROM tags WHERE repository = ?1 AND digest = ?2 ORDER BY tag")
        .and_then(|mut select| select.query_map(names, |row| row.get(0))?.collect())
        .doing(doing)?;
    let tags = tags
        .iter()
        .map(|tag| tag.parse())
        .collect::<Result<_, _>>()?;
    view.prepare_cached(
        "SELECT media_type, bytes, pushed_at_ms, content_size, platforms FROM manifests
         WHERE repository = ?1 AND digest = ?2",
    )
    .and_then(|mut select| {
        select
            .query_row(names, |row| {
                let platforms: String = row.get(4)?;
                Ok(Manifest {
                    media_type: row.get(0)?,
                    bytes: row.get::<_, Vec<u8>>(1)?.into(),
                    tags,
                    pushed_at_ms: row.get(2)?,
                    size_bytes: row.get::<_, Size>(3)?.0,
                    // Written as JSON by this crate.
                    platforms: serde_json::from_str(&platforms).unwrap_or_default(),
                    digest: digest.clone(),
                })
            })
            .optional()
    })
    .doing(doing)
}

/// Points a tag to the digest. The caller adds the event.
pub(crate) fn point(
    transaction: &Transaction<'_>,
    repository: &ImageRepository,
    tag: &Tag,
    digest: &Digest,
    now: i64,
) -> Result<(), RegistryError> {
    transaction
        .prepare_cached(
            "INSERT INTO tags (repository, tag, digest, moved_at_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET digest = excluded.digest, moved_at_ms = excluded.moved_at_ms",
        )
        .and_then(|mut insert| {
            insert.execute(params![repository.as_str(), tag.as_str(), digest.as_str(), now])
        })
        .doing("putting a tag")?;
    Ok(())
}
