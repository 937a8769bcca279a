//! What this binary carries of the repository it was built from: the templates.

use std::path::Path;

/// The template of Towline itself, for functions that come with no checkout.
pub const CONTROL: &str = include_str!("../../../../infra/template.yaml");
/// Where it lies in a checkout.
pub const CONTROL_PATH: &str = "infra/template.yaml";
/// The template of what one component needs.
pub const COMPONENT: &str = include_str!("../../../../infra/component.yaml");

/// Where the template looks for binaries, seen from its own folder.
const PLACE: &str = "../target/lambda/";
/// The functions that a template wants binaries of.
#[must_use]
pub fn names(template: &str) -> Vec<&str> {
    let mut names: Vec<&str> = template
        .split(PLACE)
        .skip(1)
        .filter_map(|rest| rest.split_once('/').map(|(name, _)| name))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The first of these names that is no parameter of a template, and what one would have to say.
#[must_use]
pub fn unknown_parameter<'a>(
    template: &str,
    mut names: impl Iterator<Item = &'a String>,
) -> Option<String> {
    let lines = template.lines().skip_while(|line| *line != "Parameters:");
    let section = lines
        .skip(1)
        .take_while(|line| !line.starts_with(|first: char| first.is_alphabetic()));
    let known: Vec<&str> = section
        .filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'))
        .filter(|name| name.chars().all(char::is_alphanumeric))
        .collect();
    let unknown = names.find(|name| !known.contains(&name.as_str()))?;
    Some(format!(
        "the template has no parameter {unknown}; it has {}",
        known.join(", ")
    ))
}

/// Whether a folder is the top of a checkout of Towline: somebody else's repository may well have
/// an `infra/template.yaml` of its own.
#[must_use]
pub fn is_checkout(folder: &Path) -> bool {
    let of_ours = [CONTROL_PATH, "functions/receive-github/Cargo.toml"];
    of_ours.iter().all(|path| folder.join(path).is_file())
}
