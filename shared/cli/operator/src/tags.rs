//! Which tags of builds are pushed more than once: in an ECR repository with immutable tags the second
//! push fails, unless a pattern excludes the tag.

use towline_domain::definition::{Build, Component, Definition};
use towline_domain::names::Tag;

use crate::policy::fits;

/// A sample value for a placeholder: only a wildcard matches it.
const SAMPLE: &str = "zq7-sample";

/// When a build's tag is pushed again.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Coming {
    /// Never: it differs from build to build.
    Never,
    /// By another build of the same commit.
    Commit,
    /// By every push to a branch.
    Branch,
    /// By every build.
    Always,
}

/// A build's tag as it is written, and when it is pushed again.
struct BuildTag<'a> {
    written: &'a str,
    /// With the values of the environment filled in.
    filled: String,
    coming: Coming,
}

impl BuildTag<'_> {
    /// Whether a pattern covers all values that the tag can have.
    fn is_covered(&self, patterns: &[&str]) -> bool {
        let mut sample = String::new();
        let mut rest = self.filled.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            sample += before;
            sample += SAMPLE;
            rest = after.split_once('}').map_or("", |(_, after)| after);
        }
        sample += rest;
        patterns.iter().any(|pattern| fits(pattern, &sample))
    }
}

fn of_build(build: &Build) -> Vec<BuildTag<'_>> {
    let tags = build.tags.iter().map(|written| {
        let mut filled = written.clone();
        for (name, value) in &build.env {
            filled = filled.replace(&format!("{{env.{name}}}"), value);
        }
        let has = |names: &[&str]| names.iter().any(|name| filled.contains(name));
        let coming = if has(&["{build}", "{build_uuid}"]) {
            Coming::Never
        } else if has(&["{sha}", "{sha7}"]) {
            Coming::Commit
        } else if has(&["{branch_slug}"]) {
            Coming::Branch
        } else {
            Coming::Always
        };
        BuildTag {
            written,
            filled,
            coming,
        }
    });
    tags.collect()
}

/// The known tags that must be movable: those of stages, and those that every build pushes.
pub fn moving(definition: &Definition, component: &Component) -> Vec<String> {
    let stages = definition.stages.iter().flat_map(|stage| &stage.tags);
    let stages = stages.map(|tag| Tag::as_str(tag).to_owned());
    let always = of_build(&component.build)
        .into_iter()
        .filter(|tag| tag.coming == Coming::Always);
    let mut all: Vec<String> = stages.chain(always.map(|tag| tag.filled)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Problems with the patterns of movable tags, for one component.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Tags that must be movable and are not.
    pub stuck: Vec<String>,
    /// Tags of builds, as written, at which the second push to a branch fails.
    pub of_branch: Vec<String>,
    /// Tags of builds, as written, at which a second build of a commit fails.
    pub of_commit: Vec<String>,
    /// Tags of builds, as written, that are evidence and must not be movable, but are.
    pub loose: Vec<String>,
}

/// Judges the patterns of a repository.
pub fn judge(definition: &Definition, component: &Component, patterns: &[&str]) -> Judged {
    let mut stuck = moving(definition, component);
    stuck.retain(|tag| !patterns.iter().any(|pattern| fits(pattern, tag)));
    let mut judged = Judged {
        stuck,
        ..Judged::default()
    };
    for tag in of_build(&component.build) {
        let written = tag.written.to_owned();
        match (&tag.coming, tag.is_covered(patterns)) {
            (Coming::Never, true) => judged.loose.push(written),
            (Coming::Branch, false) => judged.of_branch.push(written),
            (Coming::Commit, false) => judged.of_commit.push(written),
            (Coming::Never, false)
            | (Coming::Commit | Coming::Branch, true)
            | (Coming::Always, _) => {}
        }
    }
    judged
}

/// Advice for tags that are pushed again, as the end of a sentence.
pub fn advice(tags: &[String]) -> String {
    let first = tags.first().map_or("", String::as_str);
    format!(
        "add {{build}}, as in \"{first}-{{build}}\", or let such tags move with --parameter 'StageTags=…'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tag_that_is_pushed_again_is_found() {
        let check = |tags: &str, patterns: &[&str], expected: &str| {
            let text = format!(
                "version: 1\npipeline: shop\nsource: {{github: acme/shop}}\ncomponents:\n  api:\n    repository: acme/api\n    build: {{preset: docker, env: {{V: \"1.{{build}}\", W: one}}, tags: [\"{{build}}\", {tags}]}}\nstages:\n  - {{name: prod, from: build, promote: auto, tag: [prod]}}\n"
            );
            let definition = towline_definition::read(text.as_bytes()).expect("a definition");
            let found = judge(&definition, &definition.components[0], patterns);
            let shown = [
                ("stuck", found.stuck),
                ("branch", found.of_branch),
                ("commit", found.of_commit),
                ("loose", found.loose),
            ];
            let shown: Vec<String> = shown
                .into_iter()
                .filter(|(_, tags)| !tags.is_empty())
                .map(|(name, tags)| format!("{name} {}", tags.join(" ")))
                .collect();
            assert_eq!(shown.join("; "), expected, "{tags} {patterns:?}");
        };
        let prod = &["prod"][..];
        check("\"{sha}-{build}\"", prod, "");
        check("\"{env.V}\"", prod, "");
        check("\"{branch_slug}\"", prod, "branch {branch_slug}");
        check("\"{sha7}\"", prod, "commit {sha7}");
        check("latest", prod, "stuck latest");
        check("\"{env.W}\"", prod, "stuck one");
        check("latest", &["prod", "la*"], "");
        check("\"b-{branch_slug}\"", &["prod", "b-*"], "");
        check(
            "\"b-{branch_slug}\"",
            &["prod", "b-main"],
            "branch b-{branch_slug}",
        );
        check("latest", &["*"], "loose {build}");
        check("latest", &[], "stuck latest prod");
    }
}
