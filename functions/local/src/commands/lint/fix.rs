//! `lint --fix`: fixes a buildspec on disk, and shows the changes.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::anyhow;
use similar::TextDiff;
use towline_buildspec::Buildspec;
use towline_buildspec::lint::{self, Context, Fixed};
use towline_console::style::{Style, paint};
use towline_console::terminal;

use towline_client::tree;

/// Fixes the file at `path`, whose text is `text`; `name` is its path from the root of the source.
///
/// It is replaced whole or not at all, and only by text that is a buildspec again.
pub fn fix(
    path: &Path,
    name: &str,
    text: &str,
    context: &Context<'_>,
) -> anyhow::Result<Option<Fixed>> {
    let fixed = lint::fix(name, text, context);
    if fixed.applied.is_empty() || fixed.text == text {
        return Ok(None);
    }
    if Buildspec::read_all(&fixed.text).is_err() {
        return Err(anyhow!("the result would not be a valid buildspec"));
    }
    replace(path, text, &fixed.text)?;
    Ok(Some(fixed))
}

fn replace(path: &Path, before: &str, after: &str) -> anyhow::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() {
        return Err(anyhow!("it is a link; name the file it points to"));
    }
    if tree::text_of(path)? != before {
        return Err(anyhow!("it was changed in the meantime; try again"));
    }
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(after.as_bytes())?;
    file.as_file().set_permissions(metadata.permissions())?;
    file.as_file().sync_all()?;
    if tree::text_of(file.path())? != after {
        return Err(anyhow!("the written text cannot be read back"));
    }
    file.persist(path)?;
    Ok(())
}

/// The changed lines, with two lines around them.
pub fn difference(path: &str, before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let path = terminal::line(path);
    let text = diff
        .unified_diff()
        .context_radius(2)
        .header(&path, &path)
        .to_string();
    text.lines()
        .map(|line| {
            let style = match line.as_bytes().first() {
                Some(b'+') => Style::Good,
                Some(b'-') => Style::Bad,
                Some(b'@') => Style::Quiet,
                _ => Style::Plain,
            };
            paint(style, &terminal::line(line)) + "\n"
        })
        .collect()
}
