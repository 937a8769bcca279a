//! Refuses links that lead out of a repository.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{PackError, Refusal};

/// Refuses a path on which a link of the repository leads out of it: everyone who may push can add
/// such a link, and the machine that packs has files that are not theirs.
///
/// A path that does not exist is fine here.
///
/// # Errors
///
/// Refuses such a link by name. An error if a folder on the path cannot be read.
pub fn refuse_links_out_of(repository: &Path, path: &Path) -> Result<(), PackError> {
    let real = |path: &Path| fs::canonicalize(path).map_err(PackError::file("find", path));
    let repository = real(repository)?;
    // Without a `/` or `/.` at the end, behind which a link is followed and not seen.
    let path: PathBuf = path.components().collect();
    let mut steps: Vec<&Path> = path.ancestors().collect();
    steps.reverse();
    for step in steps {
        let is_link = fs::symlink_metadata(step).is_ok_and(|metadata| metadata.is_symlink());
        let Some(parent) = step.parent().filter(|_| is_link) else {
            continue;
        };
        if !real(parent)?.starts_with(&repository) {
            continue;
        }
        let Ok(target) = fs::canonicalize(step) else {
            return Ok(());
        };
        if !target.starts_with(&repository) {
            let reason = format!(
                "is a link to {}, outside of the repository {}; \
                 copy the files to a folder in the repository, and name that",
                target.display(),
                repository.display()
            );
            return Err(Refusal::path(step, reason).into());
        }
    }
    Ok(())
}
