//! The keys of everything in the table; each access pattern reads one key or one partition.

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use towline_domain::Timestamp;
use towline_domain::intent::StageKey;
use towline_domain::ledger::Row;
use towline_domain::names::{
    BuildId, CommitSha, ComponentName, Digest, GitRef, ImageRepository, RepositoryId, RunId, Tag,
};
use towline_domain::obstacle::Service;
use towline_ports::Key;

/// Digits of a commit or digest that name its partition; a prefix must have at least as many.
pub const PREFIX_DIGITS: usize = 4;

/// A time as a sort key: fixed width, so that byte order is time order.
pub fn moment(at: Timestamp) -> String {
    format!("{:016}", at.as_millisecond())
}

/// The hash of a text of any length, with any characters.
fn hashed(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

pub fn intent(id: &str) -> Key {
    Key::new(format!("INTENT#{id}"), "intent")
}

/// A fact that was received, by its meaning.
pub fn inbox(semantic_key: &str) -> Key {
    Key::new(format!("INBOX#{}", hashed(semantic_key)), "inbox")
}

/// The partition of received pushes of commits that begin with the same digits.
pub fn pushes(prefix: &str) -> String {
    format!("INBOX#{}", &prefix[..PREFIX_DIGITS])
}

/// A push that was received, by its meaning.
pub fn push(commit: &CommitSha, semantic_key: &str) -> Key {
    Key::new(
        pushes(commit.as_str()),
        format!("{commit}#{}", hashed(semantic_key)),
    )
}

/// A repository that has pushed.
pub fn repository(id: RepositoryId) -> Key {
    Key::new(REPOSITORIES, format!("{id}"))
}

/// Services that allow again what they denied.
pub(crate) const PASSED: &str = "PASSED";

pub(crate) fn passed(by: Service) -> Key {
    Key::new(PASSED, word_of(by))
}

/// The service of such a key.
pub(crate) fn passed_by(key: &Key) -> Option<Service> {
    let all = [Service::Git, Service::Aws, Service::Secrets];
    all.into_iter().find(|by| word_of(*by) == &*key.sort)
}

fn word_of(by: Service) -> &'static str {
    match by {
        Service::Git => "git",
        Service::Aws => "aws",
        Service::Secrets => "secrets",
    }
}

/// The partition of all repositories.
pub const REPOSITORIES: &str = "REPOSITORIES";

/// Where the refs of a repository were last seen.
pub fn heads(id: RepositoryId) -> Key {
    Key::new(format!("HEADS#{id}"), "heads")
}

/// The deliveries that GitHub was asked to repeat.
pub fn redeliveries() -> Key {
    Key::new("REDELIVERIES", "redeliveries")
}

/// The next numbers of a repository.
pub fn numbers(id: RepositoryId) -> Key {
    Key::new(format!("NUMBERS#{id}"), "numbers")
}

/// The definition that applies to a repository's stages.
pub fn trusted_definition(id: RepositoryId) -> Key {
    Key::new(format!("DEFINITION#{id}"), "trusted")
}

/// A ref of a repository: the newest run and what is being built.
pub fn branch(id: RepositoryId, git_ref: &GitRef) -> Key {
    Key::new(format!("BRANCH#{id}"), hashed(&git_ref.full()))
}

/// The commit a component was last built at on a ref.
pub fn base(id: RepositoryId, component: &ComponentName, git_ref: &GitRef) -> Key {
    Key::new(format!("BASE#{id}#{component}"), hashed(&git_ref.full()))
}

pub fn run(id: &RunId) -> Key {
    Key::new(format!("RUN#{id}"), "run")
}

/// Whether a key is that of a run.
#[must_use]
pub fn is_run(key: &Key) -> bool {
    key.partition.starts_with("RUN#") && &*key.sort == "run"
}

/// A content that many runs of a repository share, by its hash: stored once.
pub fn content(id: RepositoryId, hash: &str) -> Key {
    Key::new(format!("CONTENT#{id}#{hash}"), "content")
}

/// The name of a content: as many digits as an intent's id.
pub fn content_hash(kind: &str, text: &str) -> String {
    hashed(&format!("{kind}\n{text}"))[..32].to_owned()
}

/// The partition of a repository's runs, in their order.
pub fn runs(id: RepositoryId) -> String {
    format!("RUNS#{id}")
}

/// A run in the list of its repository's runs.
pub fn run_by_order(id: RepositoryId, order: u64, run: &RunId) -> Key {
    Key::new(runs(id), format!("{order:012}#{run}"))
}

/// The partition of commits that begin with the same digits.
pub fn commits(prefix: &str) -> String {
    format!("COMMIT#{}", &prefix[..PREFIX_DIGITS])
}

/// The runs of a commit in one repository.
pub fn commit(commit: &CommitSha, id: RepositoryId) -> Key {
    Key::new(commits(commit.as_str()), format!("{commit}@{id}"))
}

/// The partition of a number, in all repositories.
pub fn number(kind: &str, number: u64) -> String {
    format!("NUMBER#{kind}#{number}")
}

/// The build or promotion with a number in a repository.
pub fn numbered(kind: &str, of: u64, id: RepositoryId) -> Key {
    Key::new(number(kind, of), format!("{id}"))
}

/// The attempt a CodeBuild build belongs to.
pub fn build(id: &BuildId) -> Key {
    Key::new(format!("BUILD#{id}"), "build")
}

/// The attempt that is expected to push a tag.
pub fn expected(repository: &ImageRepository, tag: &Tag) -> Key {
    Key::new(format!("EXPECTED#{repository}:{tag}"), "attempt")
}

/// The component an image repository belongs to.
pub fn claim(repository: &ImageRepository) -> Key {
    Key::new(format!("CLAIM#{repository}"), "claim")
}

/// The partition of image repositories that were ever claimed.
pub const CLAIMS: &str = "CLAIMS";

/// A claim in the list of all.
pub fn claimed(repository: &ImageRepository) -> Key {
    Key::new(CLAIMS, repository.to_string())
}

/// The component a CodeBuild project builds.
pub fn project(name: &str) -> Key {
    Key::new(format!("PROJECT#{name}"), "claim")
}

/// The partition of components with the same name.
pub fn components(name: &ComponentName) -> String {
    format!("COMPONENT#{name}")
}

pub fn component(name: &ComponentName, id: RepositoryId) -> Key {
    Key::new(components(name), format!("{id}"))
}

pub fn image(repository: &ImageRepository, digest: &Digest) -> Key {
    Key::new(format!("IMAGE#{repository}@{digest}"), "image")
}

/// The partition of an image's tags that its item has no space for.
pub fn image_tags(repository: &ImageRepository, digest: &Digest) -> String {
    format!("IMAGETAGS#{repository}@{digest}")
}

/// One of these tags.
pub fn image_tag(repository: &ImageRepository, digest: &Digest, tag: &Tag) -> Key {
    Key::new(image_tags(repository, digest), tag.to_string())
}

/// The partition of digests that begin with the same digits.
pub fn digests(hex: &str) -> String {
    format!("DIGEST#{}", &hex[..PREFIX_DIGITS])
}

/// An image in the list of images whose digest begins alike.
pub fn image_by_digest(repository: &ImageRepository, digest: &Digest) -> Key {
    Key::new(
        digests(digest.hex()),
        format!("{}#{repository}", digest.hex()),
    )
}

/// The partition of a component's images by time, of one ref or of all.
pub fn images(id: RepositoryId, component: &ComponentName, git_ref: Option<&GitRef>) -> String {
    match git_ref {
        Some(git_ref) => format!("IMAGES#{id}#{component}#{}", hashed(&git_ref.full())),
        None => format!("IMAGES#{id}#{component}"),
    }
}

/// An image in the list of its component's images.
pub fn image_by_time(partition: String, at: Timestamp, digest: &Digest) -> Key {
    Key::new(partition, format!("{}#{digest}", moment(at)))
}

/// The partition of a tag, in all image repositories.
pub fn tagged(tag: &str) -> String {
    format!("TAGGED#{tag}")
}

/// Where a tag points now.
pub fn tag(repository: &ImageRepository, tag: &Tag) -> Key {
    Key::new(tagged(tag.as_str()), repository.to_string())
}

/// The partition of a tag's moves.
pub fn tag_moves(repository: &ImageRepository, tag: &Tag) -> String {
    format!("MOVES#{repository}:{tag}")
}

pub fn tag_move(repository: &ImageRepository, tag: &Tag, at: Timestamp, sequence: u64) -> Key {
    Key::new(
        tag_moves(repository, tag),
        format!("{}#{sequence:08}", moment(at)),
    )
}

/// The partition of a repository's stages.
pub fn stages(id: RepositoryId) -> String {
    format!("STAGES#{id}")
}

pub fn stage(key: &StageKey) -> Key {
    Key::new(
        stages(key.repository),
        format!("{}/{}", key.component, key.stage),
    )
}

fn stage_text(key: &StageKey) -> String {
    format!("{}#{}/{}", key.repository, key.component, key.stage)
}

/// The partition of a stage's ledger.
pub fn ledger(key: &StageKey) -> String {
    format!("LEDGER#{}", stage_text(key))
}

/// The partition of a repository's ledger of builds.
pub fn ledger_of_builds(id: RepositoryId) -> String {
    format!("DECISIONS#{id}")
}

/// The last row of a repository's ledger of builds; sorted behind all rows.
pub fn head_of_builds(id: RepositoryId) -> Key {
    Key::new(ledger_of_builds(id), "head")
}

/// The last sort key that a row with this number can have.
pub fn last_row(sequence: u64) -> String {
    format!("{sequence:012}#~")
}

/// One row of the ledger in this partition.
///
/// Its hash is part of the key, so that a row of a decision that was not committed never takes the
/// place of the one that counts.
pub fn row<W: Serialize>(ledger: String, row: &Row<W>) -> Key {
    let hash = row.hash();
    Key::new(ledger, format!("{:012}#{}", row.sequence, &hash[..16]))
}

/// The partition of what was live in a stage, by time.
pub fn pointers(key: &StageKey) -> String {
    format!("POINTER#{}", stage_text(key))
}

/// One image that was live in a stage.
pub fn pointer(key: &StageKey, since: Timestamp, version: u64) -> Key {
    Key::new(pointers(key), format!("{}#{version:08}", moment(since)))
}
