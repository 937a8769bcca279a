//! The store as seen by a person who is confined to some repositories. Nothing else exists in it.

use std::collections::BTreeSet;

use async_trait::async_trait;
use towline_domain::Timestamp;
use towline_domain::image::Claim;
use towline_domain::intent::AttemptRef;
use towline_domain::names::{ImageRepository, RepositoryId, RepositoryName, RunId};
use towline_domain::run::Run;
use towline_ports::{Due, Item, Key, Page, PortError, Query, Row, Store, TransactError, Write};

use crate::Context;
use crate::content::{HandlerError, decode};
use crate::keys;
use crate::records::Repository;

/// The part of a store that belongs to some repositories. Writes are not checked, because they follow
/// from what was read through it.
pub struct Confined<'a> {
    store: &'a dyn Store,
    seen: BTreeSet<RepositoryId>,
}

/// What says to whom an item belongs. An item whose key is not in [`whose`] belongs to nobody, and is
/// not visible.
enum Whose {
    Repository(RepositoryId),
    /// The repository of the run.
    Run(RunId),
    /// The repository that claims the images.
    Images(ImageRepository),
    /// The repository that the item names as its claimant.
    Claim,
    /// The repository of the attempt that the item names.
    Attempt,
    Nobody,
}

impl<'a> Confined<'a> {
    /// The part of the repositories with these names.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn to(context: Context<'a>, names: &[RepositoryName]) -> Result<Self, HandlerError> {
        let all: Vec<Repository> = context.whole(keys::REPOSITORIES).await?;
        let is_named = |known: &Repository| {
            let known = known.name.as_str();
            let mut names = names.iter();
            names.any(|name| known.eq_ignore_ascii_case(name.as_str()))
        };
        let seen = all.into_iter().filter(is_named).map(|known| known.id);
        Ok(Self {
            store: context.store,
            seen: seen.collect(),
        })
    }

    async fn sees(&self, item: &Item) -> Result<bool, PortError> {
        let id = match whose(&item.key) {
            Whose::Repository(id) => Some(id),
            Whose::Run(run) => self.of_run(&run).await?,
            Whose::Images(images) => self.of_images(&images).await?,
            Whose::Claim => claimant(item),
            Whose::Attempt => match decode::<AttemptRef>(item) {
                Ok(of) => self.of_run(&of.run).await?,
                Err(_) => None,
            },
            Whose::Nobody => None,
        };
        Ok(id.is_some_and(|id| self.seen.contains(&id)))
    }

    async fn of_run(&self, run: &RunId) -> Result<Option<RepositoryId>, PortError> {
        let item = self.store.get(&keys::run(run)).await?;
        let run = item.and_then(|item| decode::<Run>(&item).ok());
        Ok(run.map(|run| run.key.repository))
    }

    async fn of_images(&self, images: &ImageRepository) -> Result<Option<RepositoryId>, PortError> {
        let item = self.store.get(&keys::claim(images)).await?;
        Ok(item.as_ref().and_then(claimant))
    }

    async fn seen(&self, item: Option<Item>) -> Result<Option<Item>, PortError> {
        match item {
            Some(item) if self.sees(&item).await? => Ok(Some(item)),
            Some(_) | None => Ok(None),
        }
    }
}

fn claimant(item: &Item) -> Option<RepositoryId> {
    let claim = decode::<Claim>(item).ok();
    claim.map(|claim| claim.repository)
}

/// To whom the item with this key belongs.
fn whose(key: &Key) -> Whose {
    let known = || {
        let mut parts = key.partition.split('#');
        let (kind, name) = (parts.next()?, parts.next().unwrap_or_default());
        let rest = key.partition.split_once('#').map_or("", |(_, rest)| rest);
        Some(match kind {
            "NUMBERS" | "HEADS" | "DEFINITION" | "BRANCH" | "BASE" | "CONTENT" | "RUNS"
            | "STAGES" | "LEDGER" | "POINTER" | "DECISIONS" | "IMAGES" => {
                Whose::Repository(id(name)?)
            }
            "REPOSITORIES" | "NUMBER" | "COMPONENT" => Whose::Repository(id(&key.sort)?),
            "COMMIT" => Whose::Repository(id(key.sort.rsplit_once('@')?.1)?),
            "RUN" => Whose::Run(name.parse().ok()?),
            "BUILD" => Whose::Attempt,
            "CLAIM" | "PROJECT" => Whose::Claim,
            "CLAIMS" | "TAGGED" => Whose::Images(key.sort.parse().ok()?),
            "IMAGE" | "IMAGETAGS" => Whose::Images(rest.split_once('@')?.0.parse().ok()?),
            "EXPECTED" | "MOVES" => Whose::Images(rest.rsplit_once(':')?.0.parse().ok()?),

            "DIGEST" => Whose::Images(key.sort.split_once('#')?.1.parse().ok()?),
            _ => return None,
        })
    };
    known().unwrap_or(Whose::Nobody)
}

fn id(text: &str) -> Option<RepositoryId> {
    text.parse().ok().map(RepositoryId)
}

#[async_trait]
impl Store for Confined<'_> {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        self.seen(self.store.get(key).await?).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, PortError> {
        let mut seen = Vec::new();
        for item in self.store.get_many(keys).await? {
            seen.push(self.seen(item).await?);
        }
        Ok(seen)
    }

    async fn query(&self, query: &Query) -> Result<Page, PortError> {
        let mut query = query.clone();
        let mut items: Vec<Item> = Vec::new();
        loop {
            // Invisible items do not count towards a page.
            let page = self.store.query(&query).await?;
            for item in page.items {
                items.extend(self.seen(Some(item)).await?);
                if items.len() == query.limit {
                    let next = items.last().map(|last| last.key.sort.to_string());
                    return Ok(Page { items, next });
                }
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(Page { items, next: None }),
            }
        }
    }

    async fn due(&self, until: Timestamp, limit: usize) -> Result<Due, PortError> {
        let due = self.store.due(until, limit).await?;
        let mut items = Vec::new();
        for item in due.items {
            items.extend(self.seen(Some(item)).await?);
        }
        Ok(Due { items, ..due })
    }

    async fn put_rows(&self, rows: Vec<Row>) -> Result<(), PortError> {
        self.store.put_rows(rows).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TransactError> {
        self.store.transact(writes).await
    }
}

#[cfg(test)]
mod tests;
