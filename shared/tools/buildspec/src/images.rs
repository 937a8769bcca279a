//! The images that CodeBuild provides, and the runtimes of each.
//!
//! The table is `data/runtimes.txt`, which names its source and date.

use std::sync::LazyLock;

/// One of CodeBuild's images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name, such as `aws/codebuild/standard:7.0`.
    pub name: &'static str,
    /// Older names of the same image.
    pub also: Vec<&'static str>,
    /// Whether AWS still maintains it.
    pub maintained: bool,
    /// The runtimes it accepts under `runtime-versions`.
    pub runtimes: Vec<Runtime>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// Its name, such as `golang`.
    pub name: &'static str,
    pub versions: Vec<&'static str>,
    /// Whether any other version is installed when the build starts.
    pub any_other: bool,
}

/// All images of the table, maintained ones first.
#[must_use]
pub fn all() -> &'static [Image] {
    static IMAGES: LazyLock<Vec<Image>> =
        LazyLock::new(|| read(include_str!("../data/runtimes.txt")));
    &IMAGES
}

/// The image of that name, if the table has it.
#[must_use]
pub fn find(name: &str) -> Option<&'static Image> {
    all()
        .iter()
        .find(|image| image.name == name || image.also.contains(&name))
}

/// Whether an image is one of CodeBuild's own, in the table or not.
#[must_use]
pub fn is_provided(name: &str) -> bool {
    name.starts_with("aws/codebuild/")
}

/// Whether an image runs only on CodeBuild's Lambda compute, such as
/// `aws/codebuild/amazonlinux-x86_64-lambda-standard:nodejs22`. No Docker daemon can run there, and builds end
/// after 15 minutes (CodeBuild user guide, "Limitations of AWS Lambda compute").
#[must_use]
pub fn is_for_lambda(name: &str) -> bool {
    is_provided(name) && name.contains("-lambda-standard:")
}

/// Whether an image runs on ARM machines, if its name says so. The names of CodeBuild's own images do
/// (CodeBuild user guide, "Docker images provided by CodeBuild").
#[must_use]
pub fn is_for_arm(name: &str) -> bool {
    ["aarch64", "arm64"].iter().any(|word| name.contains(word))
}

impl Image {
    /// Whether the image accepts this version of this runtime; a version with a variable is accepted.
    #[must_use]
    pub fn takes(&self, runtime: &str, version: &str) -> bool {
        self.runtime(runtime)
            .is_some_and(|runtime| runtime.takes(version))
    }

    #[must_use]
    pub fn runtime(&self, name: &str) -> Option<&Runtime> {
        self.runtimes.iter().find(|runtime| runtime.name == name)
    }
}

impl Runtime {
    fn takes(&self, version: &str) -> bool {
        if version.contains('$') || version == "latest" || self.versions.contains(&version) {
            return true;
        }
        if let Some(start) = version.strip_suffix(".x") {
            let starts_so = |known: &&str| {
                known
                    .strip_prefix(start)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            return self.any_other || self.versions.iter().any(starts_so);
        }
        let number = version.strip_prefix("corretto").unwrap_or(version);
        self.any_other && number.starts_with(|first: char| first.is_ascii_digit())
    }
}

fn read(table: &'static str) -> Vec<Image> {
    let mut images: Vec<Image> = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else {
            continue;
        };
        match (first, images.last_mut()) {
            ("image", _) => images.push(Image {
                name: words.next().unwrap_or_default(),
                also: Vec::new(),
                maintained: words.last() == Some("maintained"),
                runtimes: Vec::new(),
            }),
            ("also", Some(image)) => image.also.extend(words),
            (name, Some(image)) => {
                let mut versions: Vec<&str> = words.collect();
                let any_other = versions.pop_if(|last| *last == "*").is_some();
                image.runtimes.push(Runtime {
                    name,
                    versions,
                    any_other,
                });
            }
            (_, None) => {}
        }
    }
    images
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_takes_what_its_runtimes_file_lists() {
        let takes = |image: &str, runtime: &str, version: &str| {
            find(image).is_some_and(|image| image.takes(runtime, version))
        };
        let cases = [
            ("aws/codebuild/standard:7.0", "docker", "19", false),
            ("aws/codebuild/standard:8.0", "docker", "23", false),
            (
                "aws/codebuild/amazonlinux-x86_64-standard:5.0",
                "docker",
                "20",
                false,
            ),
            (
                "aws/codebuild/amazonlinux2-x86_64-standard:4.0",
                "docker",
                "20",
                true,
            ),
            (
                "aws/codebuild/amazonlinux2-aarch64-standard:2.0",
                "docker",
                "19",
                true,
            ),
            (
                "aws/codebuild/amazonlinux-aarch64-standard:3.0",
                "docker",
                "23",
                true,
            ),
            (
                "aws/codebuild/amazonlinux-aarch64-standard:4.0",
                "docker",
                "19",
                false,
            ),
            ("aws/codebuild/standard:7.0", "golang", "1.20", true),
            ("aws/codebuild/standard:7.0", "golang", "1.19.3", true),
            ("aws/codebuild/standard:7.0", "nodejs", "20.x", true),
            ("aws/codebuild/standard:7.0", "java", "openjdk11", false),
            ("aws/codebuild/standard:7.0", "python", "$PYTHON", true),
            ("aws/codebuild/standard:7.0", "rust", "1.93", false),
            ("aws/codebuild/standard:5.0", "golang", "1.x", true),
            ("aws/codebuild/standard:5.0", "nodejs", "20", false),
            ("aws/codebuild/standard:5.0", "nodejs", "1.x", false),
            ("aws/codebuild/standard:5.0", "nodejs", "latest", true),
        ];
        for (image, runtime, version, expected) in cases {
            assert_eq!(
                takes(image, runtime, version),
                expected,
                "{image} {runtime} {version}"
            );
        }
        assert_eq!(all().iter().filter(|image| image.maintained).count(), 6);
        assert!(all().iter().all(|image| image.runtimes.len() >= 7));
    }

    #[test]
    fn a_name_says_where_an_image_runs() {
        for (name, on_lambda, on_arm) in [
            (
                "aws/codebuild/amazonlinux-aarch64-lambda-standard:go1.24",
                true,
                true,
            ),
            (
                "aws/codebuild/amazonlinux-aarch64-standard:3.0",
                false,
                true,
            ),
            ("aws/codebuild/standard:7.0", false, false),
            ("acme/x-lambda-standard:1-arm64", false, true),
        ] {
            assert_eq!(is_for_lambda(name), on_lambda, "{name}");
            assert_eq!(is_for_arm(name), on_arm, "{name}");
        }
    }
}
