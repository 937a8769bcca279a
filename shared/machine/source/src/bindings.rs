//! The ids that each registered name had at its first push, in one small file (A8).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use towline_domain::names::RepositoryName;
use towline_ports::admission::{Binding, same_name};

/// The bound ids, in memory and on disk.
pub(crate) struct Bindings {
    path: PathBuf,
    bound: BTreeMap<RepositoryName, Binding>,
}

impl Bindings {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let bound = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { path, bound })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn of(&self, name: &RepositoryName) -> Option<Binding> {
        let bound = self.bound.iter();
        bound
            .filter(|(bound, _)| same_name(bound, name))
            .map(|(_, binding)| *binding)
            .next()
    }

    /// Binds a registered name, durably.
    ///
    /// A name that is no longer registered but has one of the ids is the same repository before it
    /// was renamed. A name bound for the first time takes over its ids.
    pub(crate) fn bind(&mut self, name: &RepositoryName, new: Binding) -> io::Result<Binding> {
        let mut bound = self.bound.clone();
        let mut former = None;
        bound.retain(|other, binding| {
            let same = same_name(other, name);
            let renamed =
                !same && (binding.holds(new.id) || new.real.is_some_and(|id| binding.holds(id)));
            if renamed {
                former = Some(*binding);
            }
            !same && !renamed
        });
        let binding = match former {
            Some(former) if self.of(name).is_none() => former,
            _ => new,
        };
        bound.insert(name.clone(), binding);
        write(&self.path, &bound)?;
        self.bound = bound;
        Ok(binding)
    }
}

/// Replaces the file so that after a power loss either the old or the new one exists.
fn write(path: &Path, bound: &BTreeMap<RepositoryName, Binding>) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec_pretty(bound)?)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
