//! A repository in memory: Git's objects, refs, and GitHub's data about them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use towline_domain::names::{CommitSha, RepositoryName};

use super::objects::{Kind, Objects};

#[derive(Debug, Clone)]
pub struct Repository {
    pub id: u64,
    pub name: RepositoryName,
    /// Its earlier names; GitHub redirects from them.
    pub former_names: Vec<RepositoryName>,
    /// Whether only callers with access can see it.
    pub private: bool,
    pub default_branch: String,
    /// Its refs by full name: a commit, or an annotated tag.
    pub refs: BTreeMap<String, String>,
    /// Every status, in order.
    pub statuses: Vec<Status>,
    pub hooks: Vec<Hook>,
    pub(super) objects: Objects,
}

/// The content of a commit at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum File {
    Plain(Vec<u8>),
    /// An executable file.
    Program(Vec<u8>),
    /// A symbolic link and its target.
    Link(String),
    /// A commit of another repository.
    Submodule(CommitSha),
}

impl From<&str> for File {
    fn from(text: &str) -> Self {
        Self::Plain(text.into())
    }
}

/// A commit to create.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Its parents; none for a first commit.
    pub parents: Vec<CommitSha>,
    /// All its files, by path from the root.
    pub files: BTreeMap<String, File>,
    pub author: String,
    pub message: String,
    pub at: Timestamp,
}

/// A status as GitHub stored it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub commit: String,
    pub context: String,
    /// `error`, `failure`, `pending` or `success`.
    pub state: String,
    pub description: Option<String>,
    pub target_url: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    pub id: u64,
    pub url: String,
    /// `json` or `form`.
    pub content_type: String,
    /// The events it receives.
    pub events: Vec<String>,
    /// Whether it is active.
    pub active: bool,
    /// Its deliveries, newest first.
    pub deliveries: Vec<Delivery>,
}

/// One delivery of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub id: u64,
    /// The id in `X-GitHub-Delivery`, which stays the same for a redelivery.
    pub guid: String,
    pub at: Timestamp,
    pub event: String,
    pub action: Option<String>,
    /// The status of the answer; 0 if there was none.
    pub status_code: u16,
    /// Its result, such as `OK` or `Invalid HTTP Response: 503`.
    pub status: String,
    /// Whether it is a redelivery.
    pub redelivery: bool,
}

impl Repository {
    /// An empty public repository with the default branch `main`.
    #[must_use]
    pub fn new(id: u64, name: RepositoryName) -> Self {
        Self {
            id,
            name,
            former_names: Vec::new(),
            private: false,
            default_branch: "main".into(),
            refs: BTreeMap::new(),
            statuses: Vec::new(),
            hooks: Vec::new(),
            objects: Objects::default(),
        }
    }

    /// Creates a commit, with the id that Git would give it, and moves no ref.
    ///
    /// # Panics
    ///
    /// When it has more than fits one repository: never.
    pub fn commit(&mut self, commit: &Commit) -> CommitSha {
        let mut files = BTreeMap::new();
        for (path, file) in &commit.files {
            let (mode, id) = match file {
                File::Plain(bytes) => ("100644", self.objects.add(Kind::Blob, bytes.clone())),
                File::Program(bytes) => ("100755", self.objects.add(Kind::Blob, bytes.clone())),
                File::Link(to) => ("120000", self.objects.add(Kind::Blob, to.clone().into())),
                File::Submodule(id) => ("160000", id.to_string()),
            };
            files.insert(path.clone(), (mode, id));
        }
        let mut text = format!("tree {}\n", self.objects.add_tree(&files));
        for parent in &commit.parents {
            text += &format!("parent {parent}\n");
        }
        let Commit { author, .. } = commit;
        let seconds = commit.at.as_second();
        for role in ["author", "committer"] {
            text += &format!("{role} {author} <{author}@example.com> {seconds} +0000\n");
        }
        // Like `git commit`, ends the message's last line.
        text += &format!("\n{}\n", commit.message.trim_end_matches('\n'));
        let id = self.objects.add(Kind::Commit, text.into_bytes());
        id.parse().expect("an id of Git's")
    }

    /// Commits exactly these files on top of a ref, and moves the ref.
    ///
    /// # Panics
    ///
    /// When the ref stands at something that is no commit.
    pub fn push(&mut self, full_ref: &str, message: &str, files: &[(&str, &str)]) -> CommitSha {
        let parent = self.refs.get(full_ref);
        let files = files.iter();
        let commit = Commit {
            parents: parent
                .map(|id| id.parse().expect("a commit"))
                .into_iter()
                .collect(),
            files: files
                .map(|(path, text)| ((*path).to_owned(), File::from(*text)))
                .collect(),
            author: "Ada".into(),
            message: message.to_owned(),
            at: Timestamp::UNIX_EPOCH,
        };
        let id = self.commit(&commit);
        self.refs.insert(full_ref.to_owned(), id.to_string());
        id
    }

    /// Creates an annotated tag of a commit or of another tag, and its ref; returns the tag's own id.
    pub fn annotate(&mut self, tag: &str, target: &str) -> String {
        let kind = self.objects.kind(target).map_or("commit", Kind::as_str);
        let text = format!(
            "object {target}\ntype {kind}\ntag {tag}\ntagger Ada <Ada@example.com> 0 +0000\n\n{tag}\n"
        );
        let id = self.objects.add(Kind::Tag, text.into_bytes());
        self.refs.insert(format!("refs/tags/{tag}"), id.clone());
        id
    }

    /// Copies every object, branch and tag of a repository on this machine, with `git`.
    ///
    /// # Errors
    ///
    /// When `git` cannot read the folder.
    pub fn import(&mut self, folder: &Path) -> io::Result<()> {
        let objects = git(
            folder,
            &["cat-file", "--batch-all-objects", "--batch", "--unordered"],
        )?;
        let unreadable = || io::Error::other("git cat-file printed something else");
        let mut rest = &objects[..];
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n');
            let (line, after) = rest.split_at(end.ok_or_else(unreadable)?);
            let line = str::from_utf8(line).map_err(|_| unreadable())?;
            let [id, kind, size] = line.split(' ').collect::<Vec<_>>()[..] else {
                return Err(unreadable());
            };
            let size: usize = size.parse().map_err(|_| unreadable())?;
            let content = after.get(1..=size).ok_or_else(unreadable)?;
            let kind = Kind::named(kind).ok_or_else(unreadable)?;
            self.objects.keep(id.to_owned(), kind, content.to_vec());
            rest = after.get(size + 2..).ok_or_else(unreadable)?;
        }
        let format = "--format=%(objectname) %(refname)";
        let refs = git(folder, &["for-each-ref", format, "refs/heads", "refs/tags"])?;
        self.refs = String::from_utf8_lossy(&refs)
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(id, name)| (name.to_owned(), id.to_owned()))
            .collect();
        Ok(())
    }

    /// The current status of a commit and context: the last one.
    #[must_use]
    pub fn status(&self, commit: &CommitSha, context: &str) -> Option<&Status> {
        let mut latest = self.statuses.iter().rev();
        latest.find(|status| {
            status.commit == commit.as_str() && status.context.eq_ignore_ascii_case(context)
        })
    }

    /// A commit and all its ancestors.
    pub(super) fn ancestors(&self, of: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![of.to_owned()];
        while let Some(id) = open.pop() {
            let Some(commit) = self.objects.commit(&id) else {
                continue;
            };
            if found.insert(id) {
                open.extend(commit.all("parent").into_iter().map(str::to_owned));
            }
        }
        found
    }
}

fn git(folder: &Path, arguments: &[&str]) -> io::Result<Vec<u8>> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("git {}: {said}", arguments[0])))
}
