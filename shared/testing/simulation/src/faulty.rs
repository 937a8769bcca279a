//! The in-memory adapters behind ports that inject faults.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use miniz_oxide::deflate::compress_to_vec;
use serde_json::Value;
use towline_domain::filter::ChangedFiles;
use towline_domain::names::{
    AttemptId, BuildId, CommitSha, ComponentName, Digest, GitRef, ImageRepository, RepositoryName,
    Tag,
};
use towline_domain::obstacle::Service;
use towline_domain::run::{BuildReport, BuildStatus};
use towline_ports::memory::{
    MemoryBuilds, MemoryBus, MemoryImages, MemorySource, MemoryStatuses, MemoryStore, SplitMix64,
};
use towline_ports::{
    Admission, Announcement, Brought, Builds, Bus, CommitInfo, CommitStatus, Due, FileAt, Images,
    Item, Key, Page, PortError, PutTagError, Query, Refs, RegistryImage, Relation, Repositories,
    RepositoryRef, Row, Source, StartBuild, StartError, StatusError, Statuses, Store,
    StoredManifest, TransactError, Write,
};

use crate::ablation::{self, Mechanism};
use crate::chance::Chance;
use crate::watch::Watch;
use crate::weather::Fault;

/// The store, watched at every commit.
pub struct FaultyStore {
    pub(crate) inner: MemoryStore,
    pub(crate) chance: Arc<Chance>,
    pub(crate) watch: Arc<Watch>,
    /// Without [`Mechanism::RowsFirst`]: the rows that are not written yet.
    pub(crate) late: Mutex<Vec<Row>>,
}

impl FaultyStore {
    fn late(&self) -> MutexGuard<'_, Vec<Row>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_back(&self, rows: &mut Vec<Row>) {
        if self.chance.lacks(Mechanism::RowsFirst) {
            self.late().append(rows);
        }
        if self.chance.lacks(Mechanism::Rows) {
            let is_ledger = |row: &Row| {
                let partition = &row.key.partition;
                partition.starts_with("LEDGER#") || partition.starts_with("DECISIONS#")
            };
            rows.retain(|row| !is_ledger(row));
        }
    }

    /// The store behind it, without faults.
    #[must_use]
    pub fn inner(&self) -> &MemoryStore {
        &self.inner
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, PortError> {
        self.chance.before("get").await?;
        let found = self.inner.get(key).await?;
        Ok(found.map(|item| ablation::read(&self.chance, item)))
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, PortError> {
        self.chance.before("get many").await?;
        let found = self.inner.get_many(keys).await?.into_iter();
        let read = |item: Item| ablation::read(&self.chance, item);
        Ok(found.map(|item| item.map(read)).collect())
    }

    async fn query(&self, query: &Query) -> Result<Page, PortError> {
        self.chance.before("query").await?;
        self.inner.query(query).await
    }

    async fn due(&self, until: Timestamp, limit: usize) -> Result<Due, PortError> {
        self.chance.before("due").await?;
        if self.chance.lacks(Mechanism::Announcing) {
            return Ok(Due {
                items: Vec::new(),
                complete: true,
            });
        }
        self.inner.due(until, limit).await
    }

    async fn put_rows(&self, mut rows: Vec<Row>) -> Result<(), PortError> {
        self.chance.before("put rows").await?;
        self.chance.count("(writes)", rows.len() as u64);
        if self.chance.weighs() {
            let units = rows.iter().map(|row| kilobytes(&row.key, &row.body)).sum();
            self.chance.count("(write units)", units);
        }
        self.keep_back(&mut rows);
        // Rows are not written together: without an answer, any of them may have been written.
        let said = || "put rows: only some were written".into();
        let fails = self.chance.struck(Fault::Error, said);
        let mut lots = fails.map(SplitMix64::new);
        let mut written = rows;
        written.retain(|_| lots.as_mut().is_none_or(|lots| lots.draw() % 2 == 0));
        for row in &written {
            self.chance.trace_key(&row.key, 1);
        }
        self.watch.rows_are_put(&written);
        if !written.is_empty() {
            self.inner.put_rows(written).await?;
        }
        if fails.is_some() {
            return Err(PortError::because("writing rows: no answer"));
        }
        self.chance.after("put rows").await
    }

    async fn transact(&self, mut writes: Vec<Write>) -> Result<(), TransactError> {
        self.chance.before("transact").await?;
        ablation::write(&self.chance, &mut writes);
        self.chance.count("(writes)", writes.len() as u64);
        if self.chance.weighs() {
            let units = writes.iter().map(|write| units(write, writes.len())).sum();
            self.chance.count("(write units)", units);
        }
        let said = || "transact: a conflict with another transaction".into();
        if let Some(write) = writes.first()
            && self.chance.strikes(Fault::Conflict, said)
        {
            return Err(TransactError::Conflict(write.key().clone()));
        }
        let mut indexed = 0;
        for write in writes.iter().filter(|_| self.chance.weighs()) {
            let known = self.inner.get(write.key()).await?;
            indexed += index_units(write, known.as_ref());
        }
        let keys: Vec<Key> = writes.iter().map(|write| write.key().clone()).collect();
        self.inner.transact(writes).await?;
        self.chance.count("(index units)", indexed);
        for key in &keys {
            let version = |item: Option<&Item>| item.map_or(0, |item| item.version);
            self.chance.trace_key(key, self.inner.look(key, version));
        }
        self.watch.time_is(self.chance.now());
        self.watch.committed(&keys, &self.inner);
        let late = std::mem::take(&mut *self.late());
        if !late.is_empty() {
            self.inner.put_rows(late.clone()).await?;
            self.watch.rows_are_put(&late);
        }
        self.chance.after("transact").await?;
        Ok(())
    }
}

/// DynamoDB's charge for one of this many writes: a unit for each kilobyte, two in a transaction; a
/// single write is not a transaction.
fn units(write: &Write, of: usize) -> u64 {
    let kilobytes = match write {
        Write::Create { key, body, .. }
        | Write::Replace { key, body, .. }
        | Write::Put { key, body, .. } => kilobytes(key, body),
        Write::Delete { .. } => 1,
    };
    let price = if of > 1 { 2 } else { 1 };
    price * kilobytes
}

/// Bytes of attribute names, version, due time and writer of an item in the table.
const BESIDES: usize = 90;

/// A longer content is stored deflated, as in the table.
const MOST_PLAIN: usize = 768;

/// The started kilobytes of an item in the table.
fn kilobytes(key: &Key, body: &Value) -> u64 {
    let text = body.to_string();
    let kept = match text.len() {
        0..=MOST_PLAIN => text.len(),
        _ => compress_to_vec(text.as_bytes(), 6).len(),
    };
    let bytes = key.partition.len() + key.sort.len() + BESIDES + kept;
    (bytes as u64).div_ceil(1_024)
}

/// DynamoDB's charge for the index of due times: a unit to insert a key, and one to remove one.
fn index_units(write: &Write, known: Option<&Item>) -> u64 {
    let before = known.and_then(|known| known.due);
    let after = match write {
        Write::Create { due, .. } | Write::Replace { due, .. } | Write::Put { due, .. } => *due,
        Write::Delete { .. } => None,
    };
    match before == after {
        true => 0,
        false => u64::from(before.is_some()) + u64::from(after.is_some()),
    }
}

pub struct FaultyBus {
    pub(crate) inner: MemoryBus,
    pub(crate) chance: Arc<Chance>,
}

#[async_trait]
impl Bus for FaultyBus {
    async fn announce(&self, mut announcements: Vec<Announcement>) -> Result<(), PortError> {
        self.chance.before("announce").await?;
        ablation::announce(&self.chance, &mut announcements);
        self.inner.announce(announcements).await?;
        self.chance.after("announce").await
    }
}

/// CodeBuild.
pub struct FaultyBuilds {
    pub(crate) inner: MemoryBuilds,
    pub(crate) chance: Arc<Chance>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) news: Mutex<Vec<BuildNews>>,
}

/// Changes at CodeBuild that were just requested.
#[derive(Debug)]
pub(crate) enum BuildNews {
    Started(BuildId, Box<StartBuild>),
    Stopped(BuildId),
}

impl FaultyBuilds {
    /// The builds behind it, without faults.
    #[must_use]
    pub fn inner(&self) -> &MemoryBuilds {
        &self.inner
    }

    pub(crate) fn has_news(&self) -> bool {
        let news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        !news.is_empty()
    }

    pub(crate) fn take_news(&self) -> Vec<BuildNews> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, news: BuildNews) {
        self.news
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(news);
    }
}

#[async_trait]
impl Builds for FaultyBuilds {
    async fn start(&self, build: StartBuild) -> Result<BuildId, StartError> {
        self.chance.before("StartBuild").await?;
        let said = || "CodeBuild has no capacity".into();
        if self.chance.strikes(Fault::Busy, said) {
            return Err(StartError::Busy("AccountLimitExceeded".into()));
        }
        self.watch.build_starts(&build.attempt);
        if self.chance.lacks(Mechanism::Token) {
            self.inner.forget();
        }
        let id = self.inner.start(build.clone()).await?;
        if self.watch.build_started(&id, &build.attempt) {
            self.tell(BuildNews::Started(id.clone(), Box::new(build)));
        }
        self.chance.after("StartBuild").await?;
        Ok(id)
    }

    async fn get(&self, build: &BuildId) -> Result<Option<BuildReport>, PortError> {
        self.chance.before("BatchGetBuilds").await?;
        if self.chance.lacks(Mechanism::Polling) {
            return Ok(None);
        }
        self.inner.get(build).await
    }

    async fn find(
        &self,
        repository: &RepositoryName,
        component: &ComponentName,
        attempt: &AttemptId,
    ) -> Result<Option<BuildReport>, PortError> {
        self.chance.before("ListBuildsForProject").await?;
        if self.chance.lacks(Mechanism::FindOrStart) {
            return Ok(None);
        }
        self.inner.find(repository, component, attempt).await
    }

    async fn line(&self) -> Result<Option<Vec<BuildId>>, PortError> {
        self.inner.line().await
    }

    async fn stop(&self, build: &BuildId) -> Result<(), PortError> {
        self.chance.before("StopBuild").await?;
        self.watch.build_stops(build);
        let before = self.inner.get(build).await?;
        self.inner.stop(build).await?;
        if before.is_some_and(|report| report.status == BuildStatus::InProgress) {
            self.tell(BuildNews::Stopped(build.clone()));
        }
        self.chance.after("StopBuild").await
    }

    async fn log(&self, build: &BuildId, from: u64) -> Result<Option<Vec<u8>>, PortError> {
        self.chance.before("GetLogEvents").await?;
        self.inner.log(build, from).await
    }
}

/// The registry.
pub struct FaultyImages {
    pub(crate) inner: MemoryImages,
    pub(crate) chance: Arc<Chance>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) news: Mutex<Vec<(ImageRepository, Tag, Digest)>>,
    /// Whether it denies setting any tag.
    pub(crate) denies: AtomicBool,
    /// How often it has.
    pub(crate) denied: AtomicU32,
}

impl FaultyImages {
    /// The registry behind it, without faults.
    #[must_use]
    pub fn inner(&self) -> &MemoryImages {
        &self.inner
    }

    /// How often it denied setting a tag.
    #[must_use]
    pub fn denied(&self) -> u32 {
        self.denied.load(Ordering::Relaxed)
    }

    fn check_denied(&self) -> Result<(), PortError> {
        if self.denies.load(Ordering::Relaxed) {
            self.denied.fetch_add(1, Ordering::Relaxed);
            let said = "AccessDeniedException: not authorized to perform: ecr:PutImage";
            return Err(PortError::denied(Service::Aws, "putting a tag on", said));
        }
        Ok(())
    }

    pub(crate) fn take_news(&self) -> Vec<(ImageRepository, Tag, Digest)> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Images for FaultyImages {
    async fn by_tag(
        &self,
        repository: &ImageRepository,
        tag: &Tag,
    ) -> Result<Option<RegistryImage>, PortError> {
        self.chance.before("DescribeImages").await?;
        let found = self.inner.by_tag(repository, tag).await;
        self.chance.after("DescribeImages").await?;
        found
    }

    async fn manifest(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
    ) -> Result<Option<StoredManifest>, PortError> {
        self.chance.before("BatchGetImage").await?;
        self.inner.manifest(repository, digest).await
    }

    async fn put_index(
        &self,
        repository: &ImageRepository,
        index: &str,
        tag: &Tag,
    ) -> Result<Digest, PutTagError> {
        self.chance.before("PutImage").await?;
        self.check_denied()?;
        let digest = self.inner.put_index(repository, index, tag).await?;
        self.watch.index_is_put(repository, index, tag, &digest);
        self.news
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((repository.clone(), tag.clone(), digest.clone()));
        self.chance.after("PutImage").await?;
        Ok(digest)
    }

    async fn put_tag(
        &self,
        repository: &ImageRepository,
        digest: &Digest,
        tag: &Tag,
    ) -> Result<(), PutTagError> {
        self.chance.before("PutImage").await?;
        self.watch.tag_is_put(tag, digest);
        self.check_denied()?;
        self.inner.put_tag(repository, digest, tag).await?;
        self.news
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((repository.clone(), tag.clone(), digest.clone()));
        self.chance.after("PutImage").await?;
        Ok(())
    }
}

/// GitHub's commit statuses.
pub struct FaultyStatuses {
    pub(crate) inner: MemoryStatuses,
    /// The context whose status always fails.
    pub(crate) failing: Mutex<Option<String>>,
    pub(crate) chance: Arc<Chance>,
    pub(crate) watch: Arc<Watch>,
}

impl FaultyStatuses {
    /// The statuses behind it, without faults.
    #[must_use]
    pub fn inner(&self) -> &MemoryStatuses {
        &self.inner
    }

    /// From now on, setting the status of this context fails; `None` ends that.
    pub fn fail(&self, context: Option<&str>) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = context.map(str::to_owned);
    }

    fn fails(&self, context: &str) -> bool {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.as_deref() == Some(context)
    }
}

#[async_trait]
impl Statuses for FaultyStatuses {
    async fn set(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
        status: &CommitStatus,
    ) -> Result<(), StatusError> {
        self.chance.before("POST a status").await?;
        if self.fails(&status.context) {
            return Err(PortError::because("GitHub does not answer").into());
        }
        self.watch.status_is_set(commit, status);
        self.inner.set(repository, commit, status).await?;
        Ok(self.chance.after("POST a status").await?)
    }
}

/// GitHub.
pub struct FaultySource {
    pub(crate) inner: MemorySource,
    /// Without [`Mechanism::HeadCheck`]: the commit of the push being planned.
    pub(crate) pushed: Mutex<Option<CommitSha>>,
    pub(crate) chance: Arc<Chance>,
}

#[async_trait]
impl Source for FaultySource {
    async fn file(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
        path: &str,
        most: usize,
    ) -> Result<FileAt, PortError> {
        self.chance.before("get a file").await?;
        self.inner.file(repository, commit, path, most).await
    }

    async fn changed_files(
        &self,
        repository: &RepositoryRef,
        base: &CommitSha,
        head: &CommitSha,
    ) -> Result<ChangedFiles, PortError> {
        self.chance.before("compare").await?;
        self.inner.changed_files(repository, base, head).await
    }

    async fn head(
        &self,
        repository: &RepositoryRef,
        git_ref: &GitRef,
    ) -> Result<Option<CommitSha>, PortError> {
        self.chance.before("get a ref").await?;
        let is_planned = !self.chance.is_acting("promote-images");
        if is_planned && self.chance.lacks(Mechanism::HeadCheck) {
            let pushed = self.pushed.lock().unwrap_or_else(PoisonError::into_inner);
            return Ok(pushed.clone());
        }
        self.inner.head(repository, git_ref).await
    }

    async fn relation(
        &self,
        repository: &RepositoryRef,
        first: &CommitSha,
        second: &CommitSha,
    ) -> Result<Relation, PortError> {
        self.chance.before("compare").await?;
        let is_promoted = self.chance.is_acting("promote-images");
        if is_promoted && self.chance.lacks(Mechanism::CommitCheck) {
            return Ok(Relation::Behind);
        }
        self.inner.relation(repository, first, second).await
    }

    async fn commit(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
    ) -> Result<Option<CommitInfo>, PortError> {
        self.chance.before("get a commit").await?;
        self.inner.commit(repository, commit).await
    }

    async fn refs(
        &self,
        repository: &RepositoryRef,
        mark: Option<&str>,
    ) -> Result<Refs, PortError> {
        self.chance.before("list refs").await?;
        if self.chance.lacks(Mechanism::Comparison) && mark.is_some() {
            return Ok(Refs::Unchanged);
        }
        self.inner.refs(repository, mark).await
    }

    async fn brought(
        &self,
        repository: &RepositoryRef,
        before: Option<&CommitSha>,
        commit: &CommitSha,
    ) -> Result<Option<Brought>, PortError> {
        self.chance.before("compare").await?;
        self.inner.brought(repository, before, commit).await
    }
}

#[async_trait]
impl Repositories for FaultySource {
    async fn admit(&self, repository: &RepositoryRef) -> Result<Admission, PortError> {
        self.chance.before("admit").await?;
        self.inner.admit(repository).await
    }
}
