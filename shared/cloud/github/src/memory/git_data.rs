//! Answers of the GitHub in memory about refs, tags, commits, trees and blobs.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::Repository;
use super::objects::{Entry, Headed, Kind, Signature};
use super::reply::{Reply, not_found, refuse, reply};

impl Repository {
    /// `GET /repos/{owner}/{repo}/git/ref/{ref}`
    pub(super) fn answer_ref(&self, name: &str) -> Reply {
        if self.refs.is_empty() {
            return refuse(StatusCode::CONFLICT, "Git Repository is empty.");
        }
        let full = format!("refs/{name}");
        let Some(id) = self.refs.get(&full) else {
            return not_found();
        };
        let kind = self.objects.kind(id).map_or("commit", Kind::as_str);
        reply(
            StatusCode::OK,
            json!({"ref": full, "object": {"type": kind, "sha": id}}),
        )
    }

    /// `GET /repos/{owner}/{repo}/git/matching-refs/{ref}`, unless the asker has the answer.
    pub(super) fn answer_refs(&self, name: &str, unless: Option<&str>) -> Reply {
        let prefix = format!("refs/{name}");
        let matching = self
            .refs
            .iter()
            .filter(|(full, _)| full.starts_with(&prefix));
        let listed = matching.map(|(full, id)| {
            let kind = self.objects.kind(id).map_or("commit", Kind::as_str);
            json!({"ref": full, "object": {"type": kind, "sha": id}})
        });
        let mut all = reply(StatusCode::OK, listed.collect::<Vec<Value>>());
        let mark = format!("W/\"{}\"", hex::encode(digest(&SHA256, &all.body)));
        if unless == Some(mark.as_str()) {
            all.status = StatusCode::NOT_MODIFIED;
            all.body.clear();
        }
        all.headers.push(("etag", mark));
        all
    }

    /// `GET /repos/{owner}/{repo}/commits/{sha}`, without its files.
    pub(super) fn answer_described(&self, id: &str) -> Reply {
        match self.described(id) {
            Some(described) => reply(StatusCode::OK, described),
            None => {
                let words = format!("No commit found for SHA: {id}");
                refuse(StatusCode::UNPROCESSABLE_ENTITY, &words)
            }
        }
    }

    /// A commit with its people. Nobody has an account.
    fn described(&self, id: &str) -> Option<Value> {
        let commit = self.objects.commit(id)?;
        Some(json!({
            "sha": id,
            "commit": {
                "author": signature(&commit, "author"),
                "committer": signature(&commit, "committer"),
                "message": commit.message.trim_end_matches('\n'),
            },
            "author": null,
            "committer": {},
        }))
    }

    /// `GET /repos/{owner}/{repo}/git/tags/{tag_sha}`
    pub(super) fn answer_tag(&self, id: &str) -> Reply {
        let Some(tag) = self.objects.tag(id) else {
            return not_found();
        };
        reply(
            StatusCode::OK,
            json!({
                "sha": id,
                "tag": tag.first("tag"),
                "message": tag.message,
                "tagger": signature(&tag, "tagger"),
                "object": {"type": tag.first("type"), "sha": tag.first("object")},
            }),
        )
    }

    /// `GET /repos/{owner}/{repo}/git/commits/{commit_sha}`
    pub(super) fn answer_commit(&self, id: &str) -> Reply {
        let Some(commit) = self.objects.commit(id) else {
            return not_found();
        };
        let parents = commit.all("parent").into_iter();
        reply(
            StatusCode::OK,
            json!({
                "sha": id,
                "author": signature(&commit, "author"),
                "committer": signature(&commit, "committer"),
                "message": commit.message.trim_end_matches('\n'),
                "tree": {"sha": commit.first("tree")},
                "parents": parents.map(|id| json!({"sha": id})).collect::<Vec<_>>(),
                "verification": {"verified": false, "reason": "unsigned"},
            }),
        )
    }

    /// `GET /repos/{owner}/{repo}/git/blobs/{file_sha}`
    pub(super) fn answer_blob(&self, id: &str, raw: bool) -> Reply {
        let Some(content) = self.objects.get(Kind::Blob, id) else {
            return not_found();
        };
        if raw {
            return Reply {
                status: StatusCode::OK,
                body: content.to_vec(),
                headers: vec![("content-type", "application/vnd.github.raw+json".into())],
            };
        }
        reply(
            StatusCode::OK,
            json!({
                "sha": id,
                "size": content.len(),
                "encoding": "base64",
                "content": STANDARD.encode(content),
            }),
        )
    }

    /// `GET /repos/{owner}/{repo}/git/trees/{tree_sha}`, recursive, up to this many entries.
    pub(super) fn answer_tree(&self, id: &str, recursive: Option<usize>) -> Reply {
        let entries = match recursive {
            Some(_) => self.objects.whole_tree(id),
            None => self.objects.tree(id),
        };
        let Some(entries) = entries else {
            return not_found();
        };
        let most = recursive.unwrap_or(usize::MAX);
        let truncated = entries.len() > most;
        let tree = entries.iter().take(most).map(|entry| {
            let mut shown = json!({
                "path": entry.path,
                "mode": entry.mode,
                "type": entry.kind().as_str(),
                "sha": entry.id,
            });
            if let Some(content) = self.objects.get(Kind::Blob, &entry.id) {
                shown["size"] = content.len().into();
            }
            shown
        });
        let tree: Vec<Value> = tree.collect();
        reply(
            StatusCode::OK,
            json!({"sha": id, "tree": tree, "truncated": truncated}),
        )
    }

    /// `GET /repos/{owner}/{repo}/compare/{basehead}`: against the last common commit, with at most
    /// this many files.
    pub(super) fn answer_comparison(
        &self,
        base: &str,
        head: &str,
        most: usize,
        query: &str,
    ) -> Reply {
        let (before, after) = (self.ancestors(base), self.ancestors(head));
        if before.is_empty() || after.is_empty() {
            return not_found();
        }
        // Of the common commits, the one that all others precede.
        let common = before.intersection(&after);
        let Some(fork) = common.max_by_key(|id| self.ancestors(id).len()) else {
            let words = format!("No common ancestor between {base} and {head}.");
            return refuse(StatusCode::NOT_FOUND, &words);
        };
        let (ahead, behind) = (
            after.difference(&before).count(),
            before.difference(&after).count(),
        );
        let status = match (ahead, behind) {
            (0, 0) => "identical",
            (_, 0) => "ahead",
            (0, _) => "behind",
            (_, _) => "diverged",
        };
        let mut files = self.differences(fork, head);
        files.truncate(most);
        let number = |name| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name)?.1.parse::<usize>().ok()
        };
        let (page, per_page) = (number("page"), number("per_page").unwrap_or(250));
        let skipped = (page.unwrap_or(1).max(1) - 1) * per_page;
        // Oldest first.
        let mut new: Vec<&String> = after.difference(&before).collect();
        new.sort_by_key(|id| self.ancestors(id).len());
        let shown = new.into_iter().skip(skipped).take(per_page);
        let commits: Vec<Value> = shown.filter_map(|id| self.described(id)).collect();
        let more = ahead > skipped + commits.len();
        let mut answer = reply(
            StatusCode::OK,
            json!({
                "status": status,
                "ahead_by": ahead,
                "behind_by": behind,
                "total_commits": ahead,
                "base_commit": {"sha": base},
                "merge_base_commit": {"sha": fork},
                "commits": commits,
                "files": files,
            }),
        );
        if more {
            let next = page.unwrap_or(1) + 1;
            let link = format!("<https://api.github.com/?page={next}>; rel=\"next\"");
            answer.headers.push(("link", link));
        }
        answer
    }

    /// The changed files; renamed ones are marked as such.
    fn differences(&self, base: &str, head: &str) -> Vec<Value> {
        let files = |id| -> BTreeMap<String, Entry> {
            let entries = self.objects.whole_tree(id).unwrap_or_default().into_iter();
            let files = entries.filter(|entry| entry.kind() != Kind::Tree);
            files.map(|entry| (entry.path.clone(), entry)).collect()
        };
        let (before, after) = (files(base), files(head));
        let mut renamed: BTreeSet<&str> = BTreeSet::new();
        let mut found = Vec::new();
        for (path, entry) in &after {
            let (status, previous) = match before.get(path) {
                Some(old) if old == entry => continue,
                Some(_) => ("modified", None),
                None => {
                    let gone = before.values().find(|old| {
                        old.id == entry.id
                            && !after.contains_key(&old.path)
                            && !renamed.contains(old.path.as_str())
                    });
                    match gone {
                        Some(old) => {
                            renamed.insert(&old.path);
                            ("renamed", Some(&old.path))
                        }
                        None => ("added", None),
                    }
                }
            };
            let mut file = json!({"sha": entry.id, "filename": path, "status": status});
            if let Some(previous) = previous {
                file["previous_filename"] = previous.as_str().into();
            }
            found.push(file);
        }
        let gone = before
            .iter()
            .filter(|(path, _)| !after.contains_key(*path) && !renamed.contains(path.as_str()));
        found.extend(
            gone.map(
                |(path, entry)| json!({"sha": entry.id, "filename": path, "status": "removed"}),
            ),
        );
        found
    }
}

fn signature(headed: &Headed<'_>, role: &str) -> Value {
    headed.signature(role).map_or(Value::Null, |signature| {
        let Signature { name, email, at } = signature;
        json!({"name": name, "email": email, "date": at})
    })
}
