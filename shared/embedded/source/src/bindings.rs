//! Which numeric id each registered name was first seen with, kept in one small file (A8).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use towline_domain::names::{RepositoryId, RepositoryName};
use towline_ports::source::Admission;

/// The bound ids, in memory and on disk.
pub(crate) struct Bindings {
    path: PathBuf,
    ids: BTreeMap<RepositoryName, RepositoryId>,
}

impl Bindings {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let ids = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<BTreeMap<RepositoryName, RepositoryId>>(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { path, ids })
    }

    pub(crate) fn id(&self, name: &RepositoryName) -> Option<RepositoryId> {
        self.ids.get(name).copied()
    }

    /// Takes a registered name with the id it claims, and binds them when neither is bound yet.
    pub(crate) fn admit(
        &mut self,
        id: RepositoryId,
        name: &RepositoryName,
    ) -> io::Result<Admission> {
        let bound = self
            .ids
            .iter()
            .find(|(bound_name, bound_id)| *bound_name == name || **bound_id == id);
        match bound {
            Some((bound_name, bound_id)) if bound_name == name && *bound_id == id => {
                Ok(Admission::Admitted)
            }
            Some((_, known)) => Ok(Admission::Impostor { known: *known }),
            None => {
                let mut ids = self.ids.clone();
                ids.insert(name.clone(), id);
                write(&self.path, &ids)?;
                self.ids = ids;
                Ok(Admission::Admitted)
            }
        }
    }
}

/// Replaces the file so that either the old or the new one is there after a power loss.
fn write(path: &Path, ids: &BTreeMap<RepositoryName, RepositoryId>) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec_pretty(ids)?)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
