//! The reason for each code, and an example that the linter itself checks.

use std::collections::BTreeMap;

use super::{Code, Context, Files, Report, lint};

/// The name of an example's buildspec.
const SPEC: &str = "buildspec.yml";

/// The reason for a code, with an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What it is about.
    pub code: Code,
    /// The reason, in a few sentences.
    pub why: String,
    /// The files of an example by name, including `buildspec.yml`.
    files: BTreeMap<String, String>,
    /// The files that differ in the corrected example.
    instead: BTreeMap<String, String>,
    /// The facts about the project in the example, as `name` or `name=value`.
    project: Vec<String>,
}

impl Code {
    /// The reason for it.
    #[must_use]
    pub fn explanation(self) -> Explanation {
        let mut explanation = Explanation {
            code: self,
            why: String::new(),
            files: BTreeMap::new(),
            instead: BTreeMap::new(),
            project: Vec::new(),
        };
        let text = include_str!("../../data/explanations.txt");
        let mut parts = text.split("\n%% ").skip(2);
        let is_it = |part: &&str| part.lines().next() == Some(self.as_str());
        let Some(first) = parts.by_ref().find(is_it) else {
            return explanation;
        };
        let sentences = first.split_whitespace().skip(1);
        explanation.why = sentences.collect::<Vec<_>>().join(" ");
        for part in parts {
            let (head, body) = part.split_once('\n').unwrap_or((part, ""));
            let body = format!("{}\n", body.trim_end());
            match head.split_once(' ') {
                Some(("file", name)) => _ = explanation.files.insert(name.to_owned(), body),
                Some(("instead", name)) => _ = explanation.instead.insert(name.to_owned(), body),
                Some(("project", words)) => {
                    explanation.project = words.split(' ').map(str::to_owned).collect();
                }
                Some(_) | None => break,
            }
        }
        explanation
    }
}

impl Explanation {
    /// The linter's findings in the example, of this code only.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = self.judged(&self.files);
        report.findings.retain(|finding| finding.code == self.code);
        report.allowed.clear();
        report
    }

    /// A file of the example.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&str> {
        self.files.get(name).map(String::as_str)
    }

    /// The files that differ in the corrected example, by name; none if the buildspec is not at fault.
    pub fn instead(&self) -> impl Iterator<Item = (&str, &str)> {
        self.instead
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The linter's findings in the corrected example.
    #[must_use]
    pub fn report_instead(&self) -> Report {
        let mut files = self.files.clone();
        files.extend(self.instead.clone());
        self.judged(&files)
    }

    fn judged(&self, files: &BTreeMap<String, String>) -> Report {
        let around = Around(files);
        let value = |name: &str| {
            let words = self.project.iter().filter_map(|word| word.split_once('='));
            words
                .filter(|(known, _)| *known == name)
                .map(|(_, value)| value.to_owned())
                .next()
        };
        let has = |name: &str| self.project.iter().any(|word| word == name);
        let context = Context {
            files: &around,
            image: value("image"),
            privileged: value("privileged").map(|word| word == "yes"),
            git_metadata: has("codepipeline").then_some(false),
            immutable_tags: has("immutable-tags").then_some(true),
            platforms: Vec::new(),
            region: value("region"),
            account: value("account"),
        };
        let text = files.get(SPEC).map_or("", String::as_str);
        lint(SPEC, text, &context)
    }

    /// The facts about the project in the example, in words.
    #[must_use]
    pub fn project(&self) -> Option<String> {
        let words: Vec<String> = self
            .project
            .iter()
            .map(|word| match word.split_once('=') {
                Some(("privileged", "no")) => "privileged mode is off".to_owned(),
                Some(("privileged", _)) => "privileged mode is on".to_owned(),
                Some((name, value)) => format!("the {name} is {value}"),
                None if word == "codepipeline" => "the source comes from CodePipeline".to_owned(),
                None => "tags are immutable".to_owned(),
            })
            .collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// The files of an example.
struct Around<'a>(&'a BTreeMap<String, String>);

impl Files for Around<'_> {
    fn read(&self, path: &str) -> Option<String> {
        self.0.get(path).cloned()
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let names = self.0.keys().filter(|_| folder.is_empty());
        names.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fix;
    use super::*;

    #[test]
    fn every_code_is_explained_by_an_example_that_has_it() {
        for code in Code::ALL {
            let explanation = code.explanation();
            let name = code.as_str();
            assert!(explanation.why.ends_with('.'), "{name} has no reason");
            let report = explanation.report();
            assert!(!report.findings.is_empty(), "{name} is not in its example");
            let better = explanation.report_instead();
            let codes: Vec<&str> = better
                .findings
                .iter()
                .map(|finding| finding.code.as_str())
                .collect();
            let has_instead = explanation.instead().count() > 0;
            let expected: &[&str] = if has_instead { &[] } else { &[name] };
            assert_eq!(codes, expected, "what {name} should be instead");
        }
    }

    #[test]
    fn what_can_be_fixed_is_fixed_in_the_example() {
        for code in Code::ALL {
            let explanation = code.explanation();
            let findings = explanation.report().findings;
            if findings.iter().any(|finding| finding.fix.is_some()) {
                let text = explanation.file(SPEC).unwrap_or_default();
                let fixed = fix(SPEC, text, &Context::default());
                assert!(fixed.applied.contains(code), "{}", code.as_str());
            }
        }
    }
}
