//! The permissions that a component's build needs, and the line that needs each of them.

use towline_buildspec::Buildspec;
use towline_buildspec::lint::Files;
use towline_buildspec::yaml::{self, Limits, Node};
use towline_definition::FILE;
use towline_domain::definition::{Component, Preset};

use super::policy::{PULL, Reason, Resource, Statement};

/// The rights for a push (ECR user guide, "Pushing an image").
const PUSH: [&str; 7] = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
];

/// The rights for a report (CodeBuild user guide, "Test report permissions").
const REPORT: [&str; 5] = [
    "codebuild:BatchPutCodeCoverages",
    "codebuild:BatchPutTestCases",
    "codebuild:CreateReport",
    "codebuild:CreateReportGroup",
    "codebuild:UpdateReport",
];

/// The rights for a connection to GitHub; an older connection has the older prefix.
const CONNECTION: [&str; 6] = [
    "codeconnections:GetConnection",
    "codeconnections:GetConnectionToken",
    "codeconnections:UseConnection",
    "codestar-connections:GetConnection",
    "codestar-connections:GetConnectionToken",
    "codestar-connections:UseConnection",
];

/// The rights for reading from the stack's bucket, and the folders they are for.
const READ: [&str; 2] = ["s3:GetObject", "s3:GetObjectVersion"];
const FOLDERS: [&str; 2] = ["buildspecs", "tools"];

/// The prefixes of the repositories for a component's layers.
const LAYERS: [&str; 2] = ["towline-cache/trusted", "towline-cache/branches"];

/// Optional actions, with the statement each belongs to.
pub const ALSO: [(&str, &str); 4] = [
    ("ecr:ListImages", "ListImagesInRepository"),
    ("ecr:DescribeImages", "ManageRepositoryContents"),
    ("ecr:DescribeRepositories", "ManageRepositoryContents"),
    ("ecr:GetRepositoryPolicy", "ManageRepositoryContents"),
];

/// Facts that are not in the definition.
pub struct Given<'a> {
    /// The definition's text.
    pub definition: &'a str,
    /// The files around it.
    pub files: &'a dyn Files,
    /// The connection that sources are read by.
    pub connection: Option<&'a str>,
    /// The stack's bucket.
    pub bucket: Option<&'a str>,
    /// Actions of [`ALSO`].
    pub also: &'a [&'static str],
}

/// What a component's build needs.
#[derive(Debug, Default)]
pub struct Needs {
    /// The statements of its role.
    pub statements: Vec<Statement>,
    /// Sentences about needs that cannot be determined.
    pub unknown: Vec<String>,
}

impl Needs {
    fn add(
        &mut self,
        sid: &'static str,
        actions: &[&'static str],
        resource: Resource,
        because: Reason,
    ) {
        let index = self.statements.iter().position(|known| known.sid == sid);
        let index = index.unwrap_or_else(|| {
            self.statements.push(Statement {
                sid,
                actions: Vec::new(),
                resources: Vec::new(),
                because: Vec::new(),
            });
            self.statements.len() - 1
        });
        let statement = &mut self.statements[index];
        statement.actions.extend(actions);
        statement.actions.sort_unstable();
        statement.actions.dedup();
        statement.resources.push(resource);
        statement.resources.sort_unstable();
        statement.resources.dedup();
        if !statement.because.contains(&because) {
            statement.because.push(because);
        }
    }
}

/// The definition's text as a tree, to find the line of a right.
struct Lines<'a> {
    component: &'a Component,
    root: Option<Node>,
}

impl Lines<'_> {
    fn node(&self) -> Option<&Node> {
        let components = self.root.as_ref()?.get("components")?;
        components.get(self.component.name.as_str())
    }

    fn at(&self, keys: &[&str], what: String) -> Reason {
        let node = self.node();
        let found = node.and_then(|node| keys.iter().try_fold(node, |node, key| node.get(key)));
        let line = found.or(node).map_or(1, |node| node.span.line);
        Reason {
            place: format!("{FILE}:{line}"),
            what,
        }
    }
}

fn option(name: &str, what: &str) -> Reason {
    Reason {
        place: name.to_owned(),
        what: what.to_owned(),
    }
}

/// The needs of a component's build in this project.
pub fn of(component: &Component, project: &str, given: &Given<'_>) -> Needs {
    let mut needs = Needs::default();
    let lines = Lines {
        component,
        root: yaml::read(given.definition, Limits::default()).ok(),
    };
    needs.registry(component, project, given, &lines);
    let build = &component.build;
    if build.layer_cache {
        for layers in LAYERS {
            let layers = format!("repository/{layers}/{}", component.repository);
            let because = "layer_cache: registry".to_owned();
            let because = lines.at(&["build", "layer_cache"], because);
            needs.add("Layers", &PUSH, Resource::Own("ecr", layers), because);
        }
    }
    if let Some(bucket) = given.bucket {
        for folder in FOLDERS {
            let objects = Resource::Bucket(format!("{bucket}/{folder}/*"));
            needs.add("Bucket", &READ, objects, option("--bucket", bucket));
        }
    }
    for (name, reference) in &build.secrets {
        let because = lines.at(&["build", "secrets", name], format!("{name}: {reference}"));
        needs.secret(reference, because);
    }
    for report in &build.reports {
        let because = lines.at(&["build", "reports"], format!("reports: {}", report.name));
        needs.report(&report.name, project, because);
    }
    if let Some(connection) = given.connection {
        let resource = Resource::Arn(connection.to_owned());
        let because = option("--connection", connection);
        needs.add("Source", &CONNECTION, resource, because);
    }
    needs.preset(component, project, given, &lines);
    needs
}

impl Needs {
    /// The needs of every build: to push its image, and to write its log.
    fn registry(
        &mut self,
        component: &Component,
        project: &str,
        given: &Given<'_>,
        lines: &Lines<'_>,
    ) {
        let repository = component.repository.as_str();
        let own = Resource::Own("ecr", format!("repository/{repository}"));
        let pushed = || lines.at(&["repository"], format!("repository: {repository}"));
        let login = ["ecr:GetAuthorizationToken"];
        self.add("GetAuthorizationToken", &login, Resource::All, pushed());
        self.add("ManageRepositoryContents", &PUSH, own.clone(), pushed());
        for (action, sid) in ALSO {
            if given.also.contains(&action) {
                self.add(sid, &[action], own.clone(), option("--also", action));
            }
        }
        let log = format!("log-group:/aws/codebuild/{project}:*");
        let write = ["logs:CreateLogStream", "logs:PutLogEvents"];
        let because = lines.at(&[], format!("{}: every build writes a log", component.name));
        self.add("Logs", &write, Resource::Own("logs", log), because);
    }

    /// Additional needs of the preset.
    fn preset(
        &mut self,
        component: &Component,
        project: &str,
        given: &Given<'_>,
        lines: &Lines<'_>,
    ) {
        match &component.build.preset {
            Preset::Pack {
                base: Some(base), ..
            } => {
                if let Some(repository) = ecr_repository(base) {
                    let because = lines.at(&["build", "base"], format!("base: {base}"));
                    self.add("PullBase", &PULL, Resource::Arn(repository.arn()), because);
                }
            }
            Preset::Buildspec { path } => match given.files.read(path) {
                Some(text) => self.buildspec(&text, path, 0, project),
                None => self.unknown.push(format!(
                    "{path}, the buildspec of {}, cannot be read, so its rights are missing here",
                    component.name
                )),
            },
            Preset::Inline { text } => {
                let inline = lines
                    .node()
                    .and_then(|node| node.get("build")?.get("inline"));
                let before = inline.map_or(0, |node| lines_before(node, given.definition));
                self.buildspec(text, FILE, before, project);
            }
            Preset::Docker { .. } | Preset::Make { .. } | Preset::Pack { base: None, .. } => {}
        }
    }
}

/// The number of lines in the definition before the first line of a text in it.
fn lines_before(node: &Node, definition: &str) -> usize {
    let is_block = !definition[node.range.start..].starts_with(['"', '\'', '{']);
    node.span.line - usize::from(is_block)
}

impl Needs {
    /// The needs of a buildspec, whose first line comes after `before` lines of the file.
    fn buildspec(&mut self, text: &str, file: &str, before: usize, project: &str) {
        let Ok(reading) = Buildspec::read_all(text) else {
            self.unknown.push(format!(
                "{file} is not a valid buildspec, so its rights are missing here"
            ));
            return;
        };
        let at = |section: &Node, key: &str, what: String| {
            let entries = section.as_mapping().unwrap_or_default();
            let line = entries.iter().find(|(known, _)| known.key_text() == key);
            let line = before + line.map_or(section.span.line, |(known, _)| known.span.line);
            Reason {
                place: format!("{file}:{line}"),
                what,
            }
        };
        let env = reading.root.get("env");
        if let Some(section) = env.and_then(|env| env.get("parameter-store")) {
            for (name, value) in &reading.spec.env.parameter_store {
                let because = at(section, name, format!("{name}: {value}"));
                match parameter(value) {
                    Some(resource) => {
                        self.add("ReadParameters", &["ssm:GetParameters"], resource, because);
                    }
                    None => self.cannot_tell(&because),
                }
            }
        }
        if let Some(section) = env.and_then(|env| env.get("secrets-manager")) {
            for (name, value) in &reading.spec.env.secrets_manager {
                let because = at(section, name, format!("{name}: {value}"));
                self.secret(value, because);
            }
        }
        if let Some(section) = reading.root.get("reports") {
            for (name, _) in &reading.spec.reports {
                let because = at(section, name, format!("reports: {name}"));
                self.report(name, project, because);
            }
        }
    }

    fn secret(&mut self, reference: &str, because: Reason) {
        match secret(reference) {
            Some(resource) => {
                let read = ["secretsmanager:GetSecretValue"];
                self.add("ReadSecrets", &read, resource, because);
            }
            None => self.cannot_tell(&because),
        }
    }

    fn report(&mut self, name: &str, project: &str, because: Reason) {
        if name.contains('$') {
            return self.cannot_tell(&because);
        }
        let resource = if name.starts_with("arn:") {
            Resource::Arn(name.to_owned())
        } else {
            Resource::Own("codebuild", format!("report-group/{project}-{name}"))
        };
        self.add("Reports", &REPORT, resource, because);
    }

    fn cannot_tell(&mut self, reason: &Reason) {
        self.unknown.push(format!(
            "{}: {} contains a variable, so the rights it needs are not known",
            reason.place, reason.what
        ));
    }
}

/// The parameter of a name or an ARN.
fn parameter(value: &str) -> Option<Resource> {
    if value.contains('$') {
        return None;
    }
    Some(if value.starts_with("arn:") {
        Resource::Arn(value.to_owned())
    } else {
        let name = value.trim_start_matches('/');
        Resource::Own("ssm", format!("parameter/{name}"))
    })
}

/// The secret of `secret-id:json-key:version-stage:version-id`; Secrets Manager appends six characters
/// to its name.
fn secret(value: &str) -> Option<Resource> {
    if value.contains('$') {
        return None;
    }
    if value.starts_with("arn:") {
        let arn: Vec<&str> = value.splitn(8, ':').take(7).collect();
        return Some(Resource::Arn(arn.join(":")));
    }
    let name = value.split(':').next().unwrap_or(value);
    Some(Resource::Own(
        "secretsmanager",
        format!("secret:{name}-??????"),
    ))
}

/// A repository of ECR in an image's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EcrRepository {
    pub account: String,
    pub region: String,
    pub name: String,
    suffix: String,
}

impl EcrRepository {
    fn arn(&self) -> String {
        let partition = if self.suffix.ends_with(".cn") {
            "aws-cn"
        } else if self.region.starts_with("us-gov-") {
            "aws-us-gov"
        } else {
            "aws"
        };
        format!(
            "arn:{partition}:ecr:{}:{}:repository/{}",
            self.region, self.account, self.name
        )
    }
}

/// The repository of an image such as `111122223333.dkr.ecr.eu-west-1.amazonaws.com/builders/go:1`.
pub fn ecr_repository(image: &str) -> Option<EcrRepository> {
    let (host, rest) = image.split_once('/')?;
    let (account, rest_of_host) = host.split_once(".dkr.ecr.")?;
    let (region, suffix) = rest_of_host.split_once('.')?;
    let name = rest.split(['@', ':']).next()?;
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let is_ours = matches!(suffix, "amazonaws.com" | "amazonaws.com.cn");
    (is_account && is_ours && !name.is_empty()).then(|| EcrRepository {
        account: account.to_owned(),
        region: region.to_owned(),
        name: name.to_owned(),
        suffix: suffix.to_owned(),
    })
}
