//! Git's objects: their content, and their ids.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Blob,
    Tree,
    Commit,
    Tag,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Tree => "tree",
            Self::Commit => "commit",
            Self::Tag => "tag",
        }
    }

    pub(super) fn named(text: &str) -> Option<Self> {
        let all = [Self::Blob, Self::Tree, Self::Commit, Self::Tag];
        all.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// All objects of a repository, by id.
#[derive(Debug, Clone, Default)]
pub(super) struct Objects(BTreeMap<String, (Kind, Vec<u8>)>);

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Six octal digits, as GitHub shows them.
    pub(super) mode: String,
    pub(super) path: String,
    pub(super) id: String,
}

impl Entry {
    pub(super) fn kind(&self) -> Kind {
        match self.mode.as_str() {
            "040000" => Kind::Tree,
            "160000" => Kind::Commit,
            _ => Kind::Blob,
        }
    }
}

/// The headers of a commit or an annotated tag, and its message.
pub(super) struct Headed<'a> {
    headers: Vec<(&'a str, &'a str)>,
    pub(super) message: &'a str,
}

/// The author of a commit, and the time.
pub(super) struct Signature<'a> {
    pub(super) name: &'a str,
    pub(super) email: &'a str,
    pub(super) at: Timestamp,
}

impl Objects {
    /// Adds an object and returns its id.
    pub(super) fn add(&mut self, kind: Kind, content: Vec<u8>) -> String {
        let mut whole = format!("{} {}\0", kind.as_str(), content.len()).into_bytes();
        whole.extend_from_slice(&content);
        let id = hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &whole));
        self.keep(id.clone(), kind, content);
        id
    }

    /// Stores an object under its id from Git.
    pub(super) fn keep(&mut self, id: String, kind: Kind, content: Vec<u8>) {
        self.0.insert(id, (kind, content));
    }

    /// The content of an object of this kind.
    pub(super) fn get(&self, kind: Kind, id: &str) -> Option<&[u8]> {
        let (found, content) = self.0.get(id)?;
        (*found == kind).then_some(content)
    }

    pub(super) fn kind(&self, id: &str) -> Option<Kind> {
        self.0.get(id).map(|(kind, _)| *kind)
    }

    /// Adds the trees of these files, each a path with its mode and object id.
    pub(super) fn add_tree(&mut self, files: &BTreeMap<String, (&'static str, String)>) -> String {
        let mut here: BTreeMap<String, (&str, String)> = BTreeMap::new();
        let mut below: BTreeMap<&str, BTreeMap<String, (&'static str, String)>> = BTreeMap::new();
        for (path, file) in files {
            if let Some((folder, rest)) = path.split_once('/') {
                below
                    .entry(folder)
                    .or_default()
                    .insert(rest.into(), file.clone());
            } else {
                here.insert(path.clone(), file.clone());
            }
        }
        for (folder, files) in below {
            let id = self.add_tree(&files);
            // A folder is sorted as if its name ended with a slash.
            here.insert(format!("{folder}/"), ("40000", id));
        }
        let mut content = Vec::new();
        for (path, (mode, id)) in here {
            let path = path.trim_end_matches('/');
            content.extend_from_slice(format!("{mode} {path}\0").as_bytes());
            content.extend(hex::decode(id).expect("an id that was given above"));
        }
        self.add(Kind::Tree, content)
    }

    /// The entries of a tree, or of the tree of a commit.
    pub(super) fn tree(&self, id: &str) -> Option<Vec<Entry>> {
        let of_commit = self.commit(id).and_then(|commit| commit.first("tree"));
        let mut rest = self.get(Kind::Tree, of_commit.unwrap_or(id))?;
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let nul = rest.iter().position(|byte| *byte == 0)?;
            let (head, tail) = rest.split_at(nul);
            let (id, after) = tail.get(1..)?.split_at_checked(20)?;
            let (mode, path) = std::str::from_utf8(head).ok()?.split_once(' ')?;
            entries.push(Entry {
                mode: format!("{mode:0>6}"),
                path: path.to_owned(),
                id: hex::encode(id),
            });
            rest = after;
        }
        Some(entries)
    }

    /// The entries of a tree and of all trees below it, with full paths, folders before their content.
    pub(super) fn whole_tree(&self, id: &str) -> Option<Vec<Entry>> {
        let mut all = Vec::new();
        for entry in self.tree(id)? {
            let folder = (entry.kind() == Kind::Tree).then(|| entry.clone());
            all.push(entry);
            if let Some(Entry { path, id, .. }) = folder {
                all.extend(self.whole_tree(&id)?.into_iter().map(|below| Entry {
                    path: format!("{path}/{}", below.path),
                    ..below
                }));
            }
        }
        Some(all)
    }

    pub(super) fn commit(&self, id: &str) -> Option<Headed<'_>> {
        Headed::new(self.get(Kind::Commit, id)?)
    }

    pub(super) fn tag(&self, id: &str) -> Option<Headed<'_>> {
        Headed::new(self.get(Kind::Tag, id)?)
    }
}

impl<'a> Headed<'a> {
    fn new(content: &'a [u8]) -> Option<Self> {
        let (head, message) = std::str::from_utf8(content).ok()?.split_once("\n\n")?;
        let headers = head.lines().filter_map(|line| line.split_once(' '));
        Some(Self {
            headers: headers.collect(),
            message,
        })
    }

    pub(super) fn all(&self, name: &str) -> Vec<&'a str> {
        let named = self.headers.iter().filter(|(key, _)| *key == name);
        named.map(|(_, value)| *value).collect()
    }

    pub(super) fn first(&self, name: &str) -> Option<&'a str> {
        self.all(name).first().copied()
    }

    /// `Ada <ada@example.com> 1700000000 +0100`
    pub(super) fn signature(&self, name: &str) -> Option<Signature<'a>> {
        let (name, rest) = self.first(name)?.split_once(" <")?;
        let (email, time) = rest.split_once("> ")?;
        let seconds = time.split(' ').next()?.parse().ok()?;
        Some(Signature {
            name,
            email,
            at: Timestamp::from_second(seconds).ok()?,
        })
    }
}
