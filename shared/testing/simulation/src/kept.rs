//! What builds keep for later builds, and whose builds had a part in it (A30).
//!
//! As CodeBuild has it, a project has one cache of files, which only builds of the default branch use. Layers
//! are where the build's variables say.

use std::collections::{BTreeMap, BTreeSet};

use towline_domain::names::GitRef;
use towline_ports::{StartBuild, Trust};

use crate::build::variable;

/// The caches, each with the refs whose builds had a part in it.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    files: BTreeMap<String, BTreeSet<GitRef>>,
    layers: BTreeMap<String, BTreeSet<GitRef>>,
}

impl Kept {
    /// Restores what a build that begins may use.
    ///
    /// # Errors
    /// With who had a part in it that is trusted less than the build.
    pub(crate) fn restore(&self, start: &StartBuild) -> Result<(), String> {
        let is_strange = |git_ref: &&GitRef| {
            let is_main = **git_ref == GitRef::Branch("main".into());
            !is_main && **git_ref != start.git_ref
        };
        let own = &start.git_ref;
        match self.read_by(start).iter().find(is_strange) {
            None => Ok(()),
            Some(other) => Err(format!(
                "I13: a build of {} restores what one of {} has kept",
                own.name(),
                other.name()
            )),
        }
    }

    /// Keeps what a build that succeeded leaves: what it restored, and its own.
    pub(crate) fn save(&mut self, start: &StartBuild) {
        let mut content = self.read_by(start);
        content.insert(start.git_ref.clone());
        for place in variable(start, "CACHE_TO").split_whitespace() {
            self.layers.insert(place.to_owned(), content.clone());
        }
        if uses_files(start) {
            self.files.insert(project(start), content);
        }
    }

    /// The refs that had a part in what a build restores.
    fn read_by(&self, start: &StartBuild) -> BTreeSet<GitRef> {
        let places = variable(start, "CACHE_FROM").split_whitespace();
        let layers = places.filter_map(|place| self.layers.get(place));
        let files = self.files.get(&project(start));
        let files = files.filter(|_| uses_files(start));
        layers.chain(files).flatten().cloned().collect()
    }
}

fn project(start: &StartBuild) -> String {
    StartBuild::project(&start.repository.name, &start.component)
}

/// Builds of other refs start without the project's cache.
fn uses_files(start: &StartBuild) -> bool {
    match start.trust {
        Trust::DefaultBranch => true,
        Trust::Other => false,
    }
}
