//! The name and default branch of a repository in a folder of this machine.

use std::path::{Path, PathBuf};

use crate::local_id;
use towline_domain::names::{RepositoryId, RepositoryName};

use crate::checkout::{Git, GitError};

/// A repository in a folder, as its pushes describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// `owner/name` on GitHub if it was cloned from there, else `local/` and its folder.
    pub name: RepositoryName,
    pub id: RepositoryId,
    /// The branch whose definition applies to the stages.
    pub default_branch: String,
    /// Its top folder, without links; the repository itself if it is bare.
    pub path: PathBuf,
}

/// Why a folder cannot be described.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    #[error("there is no folder {}", path.display())]
    Missing {
        path: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    /// `git` is missing or fails.
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("{} is not in a Git repository; `git init` makes it one", path.display())]
    NoRepository { path: PathBuf },
}

/// Describes the repository that a folder is in.
///
/// # Errors
/// When the folder is missing or in no repository.
pub fn describe(path: &Path) -> Result<Described, DescribeError> {
    let missing = |cause| DescribeError::Missing {
        path: path.to_owned(),
        cause,
    };
    let folder = path.canonicalize().map_err(missing)?;
    let top = match Git::at(&folder).text(&["rev-parse", "--is-bare-repository"]) {
        Ok(bare) if bare == "true" => {
            Git::at(&folder).text(&["rev-parse", "--absolute-git-dir"])?
        }
        Ok(_) => Git::at(&folder).text(&["rev-parse", "--show-toplevel"])?,
        Err(error @ GitError::Start(_)) => return Err(error.into()),
        Err(GitError::Refused { .. }) => {
            return Err(DescribeError::NoRepository {
                path: path.to_owned(),
            });
        }
    };
    let top = PathBuf::from(top).canonicalize().map_err(missing)?;
    let git = Git::at(&top);
    Ok(Described {
        name: name(&git, &top),
        id: local_id(&top).map_err(missing)?,
        default_branch: default_branch(&git),
        path: top,
    })
}

fn name(git: &Git, top: &Path) -> RepositoryName {
    let origin = git.maybe(&["config", "--get", "remote.origin.url"]);
    let at_github = origin.as_deref().and_then(github_name);
    at_github.unwrap_or_else(|| local_name(top))
}

/// `owner/name` of an address on GitHub.
fn github_name(url: &str) -> Option<RepositoryName> {
    let rest = match url.split_once("://") {
        Some(("https" | "ssh" | "git" | "http", rest)) => rest.split_once('/'),
        Some(_) => None,
        None => url.split_once(':'), // user@host:path
    };
    let (host, path) = rest?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    if !matches!(host, "github.com" | "www.github.com" | "ssh.github.com") {
        return None;
    }
    let path = path.trim_matches('/');
    path.strip_suffix(".git").unwrap_or(path).parse().ok()
}

/// `local/` and the folder's name, with invalid characters replaced.
fn local_name(top: &Path) -> RepositoryName {
    let folder = top
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let folder = folder.unwrap_or_default();
    let folder = folder.strip_suffix(".git").unwrap_or(&folder);
    let takes = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let replaced = folder.chars().take(100);
    let label: String = replaced
        .map(|character| if takes(character) { character } else { '-' })
        .collect();
    format!("local/{label}")
        .parse()
        .unwrap_or_else(|_| "local/repository".parse().expect("it is a repository name"))
}

/// The default branch of `origin`, else `main` or `master`, else Git's default for new repositories.
fn default_branch(git: &Git) -> String {
    if let Some(head) = git.maybe(&["symbolic-ref", "--short", "refs/remotes/origin/HEAD"])
        && let Some(branch) = head.strip_prefix("origin/")
    {
        return branch.to_owned();
    }
    let current = git.maybe(&["symbolic-ref", "--short", "HEAD"]);
    let exists = |branch: &str| {
        git.succeeds(&[
            "show-ref",
            "--verify",
            "--quiet",
            &format!("refs/heads/{branch}"),
        ])
    };
    let usual = ["main", "master"];
    if let Some(branch) = current.as_deref().filter(|branch| usual.contains(branch)) {
        return branch.to_owned();
    }
    if let Some(branch) = usual.into_iter().find(|branch| exists(branch)) {
        return branch.to_owned();
    }
    let configured = git.maybe(&["config", "--get", "init.defaultBranch"]);
    configured
        .filter(|branch| exists(branch))
        .or(current)
        .unwrap_or_else(|| "main".into())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_repository_is_named_as_at_github_or_after_its_folder() {
        let check = |url: &str, expected: &str| {
            let name = github_name(url).map(|name| name.to_string());
            assert_eq!(name.unwrap_or_default(), expected, "{url}");
        };
        check("https://github.com/acme/shop.git", "acme/shop");
        check("https://github.com/acme/shop/", "acme/shop");
        check("https://somebody@github.com/acme/shop", "acme/shop");
        check("git@github.com:acme/shop.git", "acme/shop");
        check("ssh://git@ssh.github.com:443/acme/shop.git", "acme/shop");
        check("https://github.com.evil.example/acme/shop", "");
        check("https://git.example/acme/shop.git", "");
        check("/srv/acme/shop.git", "");
        check("github.com/acme/shop", "");
        let local = |path: &str| local_name(Path::new(path)).to_string();
        assert_eq!(local("/srv/My Shop"), "local/My-Shop");
        assert_eq!(local("/srv/shop.git"), "local/shop");
        assert_eq!(local("/"), "local/repository");
    }

    #[test]
    fn a_folder_is_described_from_anywhere_inside_it() {
        let folder = tempfile::tempdir().unwrap();
        let outside = describe(folder.path()).unwrap_err();
        assert!(
            matches!(outside, DescribeError::NoRepository { .. }),
            "{outside}"
        );
        let top = folder.path().join("shop");
        std::fs::create_dir_all(top.join("inner")).unwrap();
        let git = Git::at(&top);
        git.text(&["init", "-q", "-b", "trunk"]).unwrap();
        let described = describe(&top.join("inner")).unwrap();
        assert_eq!(described, describe(&top).unwrap());
        assert_eq!(described.name.as_str(), "local/shop");
        assert_eq!(described.default_branch, "trunk");
        git.text(&[
            "symbolic-ref",
            "refs/remotes/origin/HEAD",
            "refs/remotes/origin/stable",
        ])
        .unwrap();
        git.text(&[
            "config",
            "remote.origin.url",
            "git@github.com:acme/shop.git",
        ])
        .unwrap();
        let described = describe(&top).unwrap();
        assert_eq!(described.name.as_str(), "acme/shop");
        assert_eq!(described.default_branch, "stable");
        assert!(matches!(
            describe(&top.join("gone")).unwrap_err(),
            DescribeError::Missing { .. }
        ));
    }
}
