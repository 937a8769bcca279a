//! The templates of infra/, which are part of this binary, and facts that are read from them.

use std::collections::BTreeMap;
use std::path::Path;

/// The stack's output that names its bucket.
pub const BUCKET: &str = "BucketName";
/// The policy that all roles of functions have.
const EVERYBODY: &str = "EveryFunction";

/// The template of Towline itself, for deployments without a checkout.
pub const CONTROL: &str = include_str!("../../../../infra/template.yaml");
/// Its path in a checkout.
pub const CONTROL_PATH: &str = "infra/template.yaml";
pub const COMPONENT: &str = include_str!("../../../../infra/component.yaml");

/// Where the template looks for binaries, from its own folder.
const PLACE: &str = "../target/lambda/";

/// The functions whose binaries a template needs.
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

/// The first of these names that is not a parameter of a template, if any.
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

/// Whether a folder is the top of a checkout of Towline. Other repositories may have an
/// `infra/template.yaml` too.
pub fn is_checkout(folder: &Path) -> bool {
    let of_ours = [CONTROL_PATH, "functions/receive-github/Cargo.toml"];
    of_ours.iter().all(|path| folder.join(path).is_file())
}

/// The rights that a template gives a function, without those that depend on a parameter.
pub fn actions(template: &str, function: &str) -> Vec<String> {
    let blocks = blocks(template);
    let plain: String = function.replace('-', "");
    let is_its = |block: &str| block.eq_ignore_ascii_case(&format!("{plain}Role"));
    let mut all = Vec::new();
    for (name, lines) in &blocks {
        if !is_its(name) && *name != EVERYBODY {
            continue;
        }
        // Resources below `!If` may be missing.
        let mut under: Option<usize> = None;
        for line in lines {
            let depth = line.len() - line.trim_start().len();
            if under.is_some_and(|above| depth > above) {
                continue;
            }
            under = line.contains("!If").then_some(depth);
            if line.trim_start().starts_with('#') {
                continue;
            }
            let words = line.split([' ', ',', '[', ']', '{', '}']);
            all.extend(words.filter(|word| is_action(word)).map(str::to_owned));
        }
    }
    all.sort();
    all.dedup();
    all.retain(|action| action != "sts:AssumeRole");
    all
}

/// The lines of each resource of a template, by its name.
fn blocks(template: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut blocks: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut current = "";
    for line in template.lines() {
        let name = line
            .strip_prefix("  ")
            .and_then(|rest| rest.strip_suffix(':'));
        match name {
            Some(name) if name.chars().all(|it| it.is_ascii_alphanumeric()) => current = name,
            _ => blocks.entry(current).or_default().push(line),
        }
    }
    blocks
}

/// Such as `dynamodb:GetItem`.
fn is_action(word: &str) -> bool {
    let Some((service, action)) = word.split_once(':') else {
        return false;
    };
    !service.is_empty()
        && service
            .bytes()
            .all(|it| it.is_ascii_lowercase() || it == b'-')
        && action.starts_with(|first: char| first.is_ascii_uppercase())
        && action.bytes().all(|it| it.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_says_what_a_function_may_do() {
        let sweep = actions(CONTROL, "sweep");
        for action in [
            "dynamodb:Query",
            "codebuild:BatchGetBuilds",
            "logs:PutLogEvents",
            "events:PutEvents",
        ] {
            assert!(
                sweep.iter().any(|it| it == action),
                "{sweep:?} lacks {action}"
            );
        }
        for action in ["sts:AssumeRole", "xray:PutTraceSegments", "ecr:PutImage"] {
            assert!(
                !sweep.iter().any(|it| it == action),
                "{sweep:?} has {action}"
            );
        }
        let template = "  SweepRole:\n    - !If\n      - Traced\n      - Action: xray:Put\n    Action: [a:B, c:D]\n  Other:\n    Action: e:F\n";
        assert_eq!(actions(template, "sweep"), ["a:B", "c:D"]);
    }
}
