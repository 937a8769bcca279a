//! A definition with the files around it, and the resources that its builds need.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use towline_client::tree::Tree;
use towline_console::outcome::Outcome;
use towline_domain::definition::Component;

use super::needs::{self, Given};
use super::policy::Place;
use crate::defined::Defined;

/// A definition's text and the files around it.
pub struct Around {
    pub(super) file: PathBuf,
    pub(super) text: String,
    pub(super) files: Tree,
}

impl Around {
    /// # Errors
    /// When the definition or its folder cannot be read.
    pub fn of(defined: &Defined) -> Outcome<Self> {
        let path = &defined.definition;
        let file = if path.is_dir() {
            path.join(towline_definition::FILE)
        } else {
            path.clone()
        };
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("reading {}", file.display()))?;
        let folder = match file.parent() {
            Some(folder) if folder != Path::new("") => folder,
            Some(_) | None => Path::new("."),
        };
        let folder = folder
            .canonicalize()
            .with_context(|| format!("opening {}", folder.display()))?;
        Ok(Self {
            file,
            text,
            files: Tree::new(folder),
        })
    }

    /// The secrets, parameters and reports of a build, in this account and region.
    pub fn asked(
        &self,
        component: &Component,
        project: &str,
        account: &str,
        region: &str,
    ) -> Asked {
        let given = Given {
            definition: &self.text,
            files: &self.files,
            connection: None,
            bucket: None,
            also: &[],
        };
        let needs = needs::of(component, project, &given);
        let place = Place::Of {
            account: account.to_owned(),
            region: region.to_owned(),
        };
        let on = |sid: &str| {
            let found = needs.statements.iter().filter(|it| it.sid == sid);
            found
                .flat_map(|statement| &statement.resources)
                .filter_map(|resource| resource.value(&place).as_str().map(str::to_owned))
                .collect::<Vec<_>>()
        };
        Asked {
            secrets: on("ReadSecrets"),
            parameters: on("ReadParameters"),
            reports: on("Reports"),
            unknown: needs.unknown,
        }
    }
}

/// What a build needs besides its images, as ARNs.
#[derive(Debug)]
pub struct Asked {
    pub secrets: Vec<String>,
    /// Of Systems Manager.
    pub parameters: Vec<String>,
    /// Groups of test reports.
    pub reports: Vec<String>,
    /// Sentences about needs that cannot be determined.
    pub unknown: Vec<String>,
}
