//! The outputs of a build for later stages, and the parameters of a deployment that use them.
//!
//! An output is a small file of a build, known by its name without its extension: `version.json` is
//! `version`. `{output.version.Version}` is the value of `Version` in a JSON file;
//! `{output.version}` is all of a text file. Line breaks are removed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::definition::Build;
use crate::tags::{self, TagError, Values};

/// The texts of a build's outputs by their names.
pub type Outputs = BTreeMap<String, String>;

/// The most bytes of one output: it is returned as an environment variable of the build, and
/// CodeBuild limits its value.
pub const LONGEST: usize = 4_096;

/// Why a parameter of a deployment cannot be filled in. Retrying does not help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum OutputError {
    /// An invalid placeholder.
    #[error(transparent)]
    Placeholder {
        /// What is wrong with it.
        #[from]
        error: TagError,
    },
    /// The build has no such output.
    #[error("build#{build} left no output {name}; build the commit again")]
    Missing { build: u64, name: String },
    /// A key is requested, but the output is not JSON.
    #[error("{{output.{path}}} asks for a key, but the output {name} of build#{build} is not JSON")]
    NotJson {
        build: u64,
        name: String,
        /// The whole placeholder, without `output.`.
        path: String,
    },
    /// The JSON does not have the key, or has no single value there.
    #[error(
        "the output {name} of build#{build} has no text, number or truth value at {{output.{path}}}"
    )]
    NoValue {
        build: u64,
        name: String,
        /// The whole placeholder, without `output.`.
        path: String,
    },
}

/// Why a parameter of a deployment has no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "missing", rename_all = "snake_case")]
pub enum NoParameters {
    /// The build that made the image is no longer known.
    Build { build: u64 },
    /// One of them reads a missing output.
    Output {
        /// What is wrong with it.
        error: OutputError,
    },
}

/// The name of the output of this file: the file's own name up to its first dot.
#[must_use]
pub fn name_of(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file)
}

/// The names of the outputs that these parameters read.
#[must_use]
pub fn wanted(parameters: &[(String, String)]) -> Vec<&str> {
    let values = parameters.iter().map(|(_, value)| value.as_str());
    values.flat_map(placeholders).collect()
}

fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    let parts = template.split("{output.").skip(1);
    parts.filter_map(|part| part.split(['.', '}']).next())
}

/// The parameters of a deployment of an image: the stage's, with placeholders filled in from the
/// build that made the image.
///
/// One stage can hold several components; a parameter that reads an output this component does not have
/// is left out.
///
/// # Errors
/// When a parameter has no value.
pub fn parameters(
    written: &[(String, String)],
    build: &Build,
    values: Values<'_>,
    outputs: &Outputs,
) -> Result<Vec<(String, String)>, OutputError> {
    let has = |name: &str| build.outputs.iter().any(|path| name_of(path) == name);
    let concerned = written
        .iter()
        .filter(|(_, value)| placeholders(value).all(has));
    concerned
        .map(|(name, template)| {
            let value = tags::fill_in(template, |placeholder| {
                match placeholder.strip_prefix("output.") {
                    Some(path) => value_at(path, outputs, values.build_number),
                    None => Ok(tags::value_of(placeholder, template, &build.env, values)?),
                }
            });
            Ok((name.clone(), value?))
        })
        .collect()
}

fn value_at(path: &str, outputs: &Outputs, build: u64) -> Result<String, OutputError> {
    let (name, keys) = match path.split_once('.') {
        Some((name, keys)) => (name, Some(keys)),
        None => (path, None),
    };
    let text = outputs.get(name).ok_or_else(|| OutputError::Missing {
        build,
        name: name.to_owned(),
    })?;
    let Some(keys) = keys else {
        return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
    };
    let root: serde_json::Value = serde_json::from_str(text).map_err(|_| OutputError::NotJson {
        build,
        name: name.to_owned(),
        path: path.to_owned(),
    })?;
    let found = keys
        .split('.')
        .try_fold(&root, |node, key| match node.as_array() {
            Some(items) => items.get(key.parse::<usize>().ok()?),
            None => node.get(key),
        });
    let word = match found {
        Some(serde_json::Value::String(text)) => Some(text.clone()),
        Some(value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => {
            Some(value.to_string())
        }
        _ => None,
    };
    word.ok_or_else(|| OutputError::NoValue {
        build,
        name: name.to_owned(),
        path: path.to_owned(),
    })
}
