//! The definition that a command uses, and the repository it belongs to.

use std::path::{Path, PathBuf};

use towline_console::outcome::{Failure, Outcome, refused};
use towline_console::output::Output;
use towline_definition::{self as definition, FILE};
use towline_domain::definition::Definition;
use towline_domain::names::RepositoryName;
use towline_source::described;

use crate::definition as file;

#[derive(Debug, Clone, clap::Args)]
pub struct Defined {
    /// Path of the definition
    #[arg(long, value_name = "PATH", default_value = FILE)]
    pub definition: PathBuf,
    /// Repository on GitHub [default: from the definition or the folder]
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<RepositoryName>,
}

impl Defined {
    pub fn is_there(&self) -> bool {
        self.definition.exists()
    }

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
                "{} does not say which repository it belongs to; name it with --repository OWNER/NAME",
                path.display()
            )),
        }
    }
}
