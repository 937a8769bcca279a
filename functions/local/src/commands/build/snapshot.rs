//! The working tree as a commit in a repository of its own, so that the real one is not touched.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use towline_domain::names::CommitSha;

use towline_source::checkout::Git;

/// A copy of a working tree.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// The repository's newest commit if the working tree equals it, else a new commit.
    pub(super) commit: CommitSha,
    /// Whether the working tree has uncommitted changes.
    changed: bool,
}

impl Snapshot {
    /// Copies the working tree at `top` into a new bare repository: tracked files as they are now,
    /// and new files that are not ignored. Objects that the repository has are shared with it.
    pub(super) fn take(top: &Path, place: &Path) -> anyhow::Result<Self> {
        let git = Git::at(top);
        let path = |name: &str| -> anyhow::Result<PathBuf> {
            Ok(top.join(git.text(&["rev-parse", "--git-path", name])?))
        };
        let format = git.maybe(&["rev-parse", "--show-object-format"]);
        let mut init: Vec<OsString> = ["init", "--quiet", "--bare", "--template="]
            .map(Into::into)
            .into();
        init.extend(format.map(|format| format!("--object-format={format}").into()));
        init.push(place.into());
        git.text(&init)?;
        fs::create_dir_all(place.join("info"))?;
        let alternates = place.join("objects/info/alternates");
        let objects = path("objects")?.canonicalize()?;
        fs::write(&alternates, format!("{}\n", objects.display()))
            .with_context(|| format!("writing {}", alternates.display()))?;
        // Ignore rules of this clone only; most repositories have none.
        let _ = fs::copy(path("info/exclude")?, place.join("info/exclude"));
        let own = |arguments: &[&str]| {
            let mut all: Vec<OsString> =
                vec![concat("--git-dir=", place), concat("--work-tree=", top)];
            let settings = [
                "-c",
                "user.name=towline",
                "-c",
                "user.email=towline@localhost",
                "-c",
                "commit.gpgSign=false",
                "-c",
                "advice.addEmbeddedRepo=false",
                "-c",
                "core.hooksPath=/dev/null",
            ];
            all.extend(settings.iter().chain(arguments).map(OsString::from));
            git.text(&all).context("copying the working tree")
        };
        let head = git.maybe(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]);
        copy_index(&path("index")?, place).context("copying the index")?;
        own(&["add", "--all", "--", "."])?;
        let tree = own(&["write-tree"])?;
        let committed = head
            .as_deref()
            .and_then(|head| git.maybe(&["rev-parse", &format!("{head}^{{tree}}")]));
        let changed = committed.as_deref() != Some(tree.as_str());
        let commit = match head.filter(|_| !changed) {
            Some(head) => head,
            None => own(&["commit-tree", "-m", "the working tree", &tree])?,
        };
        own(&["update-ref", "refs/heads/working-tree", &commit])?;
        let commit = commit
            .parse()
            .with_context(|| format!("git names the copy {commit:?}"))?;
        Ok(Self { commit, changed })
    }

    /// What was copied, in one sentence.
    pub(super) fn sentence(&self) -> String {
        match self.changed {
            false => format!("the working tree is commit {}", self.commit.short()),
            true => "the working tree has uncommitted changes".into(),
        }
    }
}

/// Copies the index, which lists tracked files and those that Git has read already. Git uses the
/// index's modification time to detect changed files, so it is preserved.
fn copy_index(index: &Path, place: &Path) -> io::Result<()> {
    let folder = index.parent().unwrap_or(Path::new("."));
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        // A split index has a second file.
        let is_half = name.to_string_lossy().starts_with("sharedindex.");
        if entry.path() == index || is_half {
            let copy = place.join(name);
            fs::copy(entry.path(), &copy)?;
            let copy = File::options().write(true).open(copy)?;
            copy.set_modified(entry.metadata()?.modified()?)?;
        }
    }
    Ok(())
}

fn concat(option: &str, path: &Path) -> OsString {
    let mut text = OsString::from(option);
    text.push(path);
    text
}
