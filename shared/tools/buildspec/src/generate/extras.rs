//! Adds optional settings to a generated buildspec: secrets, reports, cached folders, the program `towline`.

use super::names::{check_variables, refuse_unless_free};
use super::shell::{inner_path, quote};
use super::{Common, GenerateError, Output};
use crate::model::{self, Buildspec};

/// Optional settings of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extras {
    /// Variables with their references into Secrets Manager, `secret-id:json-key:version-stage:version-id`.
    pub secrets: Vec<(String, String)>,
    /// Test reports by the name of their group.
    pub reports: Vec<(String, Report)>,
    /// Files and folders that CodeBuild keeps between builds, if the project has a cache; relative
    /// to [`Common::context`], or absolute.
    pub cache: Vec<String>,
    /// Files that later stages read.
    pub outputs: Vec<Output>,
    /// Downloads of the program `towline` for builds with `pack`, one for each kind of machine; if
    /// empty, the image contains it.
    pub tools: Vec<Tool>,
}

/// A test report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Its files, as patterns below the folder.
    pub files: Vec<String>,
    /// The folder they are in, relative to [`Common::context`].
    pub folder: Option<String>,
    /// One of [`REPORT_FORMATS`]; `JUNITXML` if absent.
    pub format: Option<String>,
}

/// The formats of reports that CodeBuild reads (CodeBuild user guide, "Buildspec syntax").
pub const REPORT_FORMATS: [&str; 10] = [
    "CLOVERXML",
    "COBERTURAXML",
    "CUCUMBERJSON",
    "JACOCOXML",
    "JUNITXML",
    "NUNIT3XML",
    "NUNITXML",
    "SIMPLECOV",
    "TESTNGXML",
    "VISUALSTUDIOTRX",
];

/// The most reports of one project (CodeBuild user guide, "Quotas").
const MOST_REPORTS: usize = 5;

/// A program in a bucket, with its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// The machine it runs on, in the words of `uname -m`, such as `x86_64` or `aarch64`.
    pub machine: String,
    /// Its address, as `s3://bucket/key`.
    pub source: String,
    /// Its SHA-256 in 64 hex digits.
    pub sha256: String,
}

impl Extras {
    pub(super) fn check(&self, common: &Common) -> Result<(), GenerateError> {
        check_variables(&self.secrets)?;
        refuse_unless_free(&self.secrets, &common.variables)?;
        let is_plain = |text: &str| !text.is_empty() && !text.contains(char::is_control);
        for (name, reference) in &self.secrets {
            if !is_plain(reference) {
                return Err(GenerateError::Reference { name: name.clone() });
            }
        }
        if self.reports.len() > MOST_REPORTS {
            return Err(GenerateError::Reports { most: MOST_REPORTS });
        }
        for (index, (name, report)) in self.reports.iter().enumerate() {
            if self.reports[..index].iter().any(|(known, _)| known == name) {
                return Err(GenerateError::ReportTwice { name: name.clone() });
            }
            let format = report.format.as_deref().unwrap_or("JUNITXML");
            let is_known = REPORT_FORMATS
                .iter()
                .any(|known| known.eq_ignore_ascii_case(format));
            let is_name = name
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "-_:/".contains(letter));
            if name.is_empty() || !is_name || report.files.is_empty() || !is_known {
                return Err(GenerateError::Report { name: name.clone() });
            }
            report.folder.as_deref().map(inner_path).transpose()?;
        }
        Ok(())
    }

    /// Adds them to a buildspec.
    pub(super) fn add_to(&self, spec: &mut Buildspec, common: &Common) {
        let context = common.context.trim_start_matches("./").trim_matches('/');
        let below = |path: &str| match context {
            "" | "." => path.to_owned(),
            _ => format!("{context}/{path}"),
        };
        spec.env
            .secrets_manager
            .extend(self.secrets.iter().cloned());
        for (name, report) in &self.reports {
            let report = model::Report {
                files: report.files.clone(),
                base_directory: match (&report.folder, context) {
                    (Some(folder), _) => Some(below(folder)),
                    (None, "" | ".") => None,
                    (None, context) => Some(context.to_owned()),
                },
                file_format: report.format.clone(),
                ..model::Report::default()
            };
            spec.reports.push((name.clone(), report));
        }
        if !self.cache.is_empty() {
            spec.cache = Some(model::Cache {
                paths: self
                    .cache
                    .iter()
                    .map(|path| match path.starts_with(['/', '~', '$']) {
                        true => path.clone(),
                        false => below(path),
                    })
                    .collect(),
                ..model::Cache::default()
            });
        }
    }
}

impl Tool {
    /// The command that downloads the program for this machine, checks it, and puts it first on the path.
    pub(super) fn fetch(tools: &[Self]) -> Result<String, GenerateError> {
        let cases: Vec<String> = tools.iter().map(Self::case).collect::<Result<_, _>>()?;
        let cases = cases.join(" ");
        Ok(format!(
            concat!(
                r#"export TOWLINE_TOOLS="$(mktemp -d)"; case "$(uname -m)" in {cases} *) TOWLINE_TOOL=; esac; "#,
                r#"if test -z "$TOWLINE_TOOL"; then command -v towline > /dev/null || "#,
                r#"(echo "this stack has no program towline for $(uname -m): run towline deploy --tool"; exit 1); "#,
                r#"elif aws s3 cp --only-show-errors "$TOWLINE_TOOL" "$TOWLINE_TOOLS/towline" && "#,
                r#"printf '%s  %s\n' "$TOWLINE_SUM" "$TOWLINE_TOOLS/towline" | sha256sum --check --status && "#,
                r#"chmod +x "$TOWLINE_TOOLS/towline"; then PATH="$TOWLINE_TOOLS:$PATH"; "#,
                r#"else echo 'the program towline could not be fetched, or is not the one of this stack'; false; fi"#,
            ),
            cases = cases
        ))
    }

    fn case(&self) -> Result<String, GenerateError> {
        let place = self.source.strip_prefix("s3://");
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
        let is_place = place
            .and_then(|place| place.split_once('/'))
            .is_some_and(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
            && place.is_some_and(|place| place.chars().all(is_plain));
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_machine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !is_place
            || self.sha256.len() != 64
            || !self.sha256.bytes().all(is_hex)
            || self.machine.is_empty()
            || !self.machine.bytes().all(is_machine)
        {
            return Err(GenerateError::Tool {
                source_of: self.source.clone(),
            });
        }
        Ok(format!(
            "{}) TOWLINE_TOOL={} TOWLINE_SUM={} ;;",
            self.machine,
            quote(&self.source),
            self.sha256
        ))
    }

    /// The command that removes it again.
    pub(super) fn remove() -> String {
        r#"rm -rf -- "$TOWLINE_TOOLS" || true"#.to_owned()
    }
}
