//! The definition that a command is about, and the repository it belongs to.

use std::path::{Path, PathBuf};

use towline_console::outcome::{Failure, Outcome, refused};
use towline_console::output::Output;
use towline_domain::definition::Definition;
use towline_domain::names::RepositoryName;
use towline_source::described;
use towline_wire::definition::{self, FILE};

use crate::definition as file;

/// Which definition is meant, and whose it is.
#[derive(Debug, Clone, clap::Args)]
pub struct Defined {
    /// The definition
    #[arg(long, value_name = "PATH", default_value = FILE)]
    pub definition: PathBuf,
    /// Its repository at GitHub, where the definition or the folder does not tell
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
}

impl Defined {
    /// Whether there is a definition to read.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.definition.exists()
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it cannot be read or has mistakes, or nobody says whose it is.
    pub fn read(&self, output: Output) -> Outcome<(RepositoryName, Definition)> {
        let (path, bytes) = file::read(&self.definition)?;
        let definition = match definition::read(&bytes) {
            Ok(definition) => definition,
            Err(errors) => {
                let source = String::from_utf8_lossy(&bytes);
                output.progress(file::mistakes(&path, &source, &errors).trim_end());
                return Err(Failure::Found);
            }
        };
        let named = self.repository.clone();
        let written = || definition.source.github.as_deref()?.parse().ok();
        let folder = || {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            let described = described::describe(folder.unwrap_or(Path::new("."))).ok()?;
            Some(described.name).filter(|name| !name.as_str().starts_with("local/"))
        };
        match named.or_else(written).or_else(folder) {
            Some(name) => Ok((name, definition)),
            None => refused(format!(
                "whose is {}? name its repository at GitHub with --repository OWNER/NAME",
                path.display()
            )),
        }
    }
}
