//! What a component's build has to be allowed, and which line says so.

use towline_buildspec::Buildspec;
use towline_buildspec::lint::Files;
use towline_buildspec::yaml::{self, Limits, Node};
use towline_domain::definition::{Component, Preset};
use towline_wire::definition::FILE;

use super::policy::{PULL, Reason, Resource, Statement};

/// What a push takes (ECR user guide, "Pushing an image").
const PUSH: [&str; 7] = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
];

/// What a report takes (CodeBuild user guide, "Test report permissions").
const REPORT: [&str; 5] = [
    "codebuild:BatchPutCodeCoverages",
    "codebuild:BatchPutTestCases",
    "codebuild:CreateReport",
    "codebuild:CreateReportGroup",
    "codebuild:UpdateReport",
];

/// What a connection to GitHub takes; an older connection has the older prefix.
const CONNECTION: [&str; 6] = [
    "codeconnections:GetConnection",
    "codeconnections:GetConnectionToken",
    "codeconnections:UseConnection",
    "codestar-connections:GetConnection",
    "codestar-connections:GetConnectionToken",
    "codestar-connections:UseConnection",
];

/// What reading from the stack's bucket takes, and from which of its folders.
const READ: [&str; 2] = ["s3:GetObject", "s3:GetObjectVersion"];
const FOLDERS: [&str; 2] = ["buildspecs", "tools"];

/// The repositories of a component's layers, before the name of that of its images.
const LAYERS: [&str; 2] = ["towline-cache/trusted", "towline-cache/branches"];

/// What can be allowed besides, with the statement it belongs to.
pub const ALSO: [(&str, &str); 4] = [
    ("ecr:ListImages", "ListImagesInRepository"),
    ("ecr:DescribeImages", "ManageRepositoryContents"),
    ("ecr:DescribeRepositories", "ManageRepositoryContents"),
    ("ecr:GetRepositoryPolicy", "ManageRepositoryContents"),
];

/// What is known beside the definition.
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
    /// What its role may do.
    pub statements: Vec<Statement>,
    /// What could not be told, in sentences.
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

/// What the build of a component in this project needs.
pub fn of(component: &Component, project: &str, given: &Given<'_>) -> Needs {
    let mut needs = Needs::default();
    let root = yaml::read(given.definition, Limits::default()).ok();
    let components = root.as_ref().and_then(|root| root.get("components"));
    let node = components.and_then(|components| components.get(component.name.as_str()));
    let at = |keys: &[&str], what: String| {
        let found = node.and_then(|node| keys.iter().try_fold(node, |node, key| node.get(key)));
        let line = found.or(node).map_or(1, |node| node.span.line);
        Reason {
            place: format!("{FILE}:{line}"),
            what,
        }
    };
    let repository = component.repository.as_str();
    let own = Resource::Own("ecr", format!("repository/{repository}"));
    let pushed = || at(&["repository"], format!("repository: {repository}"));
    needs.add(
        "GetAuthorizationToken",
        &["ecr:GetAuthorizationToken"],
        Resource::All,
        pushed(),
    );
    needs.add("ManageRepositoryContents", &PUSH, own.clone(), pushed());
    for (action, sid) in ALSO {
        if given.also.contains(&action) {
            let because = Reason {
                place: "--also".to_owned(),
                what: action.to_owned(),
            };
            needs.add(sid, &[action], own.clone(), because);
        }
    }
    let log = format!("log-group:/aws/codebuild/{project}:*");
    needs.add(
        "Logs",
        &["logs:CreateLogStream", "logs:PutLogEvents"],
        Resource::Own("logs", log),
        at(&[], format!("{}: every build writes a log", component.name)),
    );
    let build = &component.build;
    if build.layer_cache {
        for layers in LAYERS {
            let layers = Resource::Own("ecr", format!("repository/{layers}/{repository}"));
            let because = at(
                &["build", "layer_cache"],
                "layer_cache: registry".to_owned(),
            );
            needs.add("Layers", &PUSH, layers, because);
        }
    }
    if let Some(bucket) = given.bucket {
        for folder in FOLDERS {
            let because = Reason {
                place: "--bucket".to_owned(),
                what: bucket.to_owned(),
            };
            let objects = Resource::Bucket(format!("{bucket}/{folder}/*"));
            needs.add("Bucket", &READ, objects, because);
        }
    }
    for (name, reference) in &build.secrets {
        let because = at(&["build", "secrets", name], format!("{name}: {reference}"));
        needs.secret(reference, because);
    }
    for report in &build.reports {
        let because = at(&["build", "reports"], format!("reports: {}", report.name));
        needs.report(&report.name, project, because);
    }
    if let Some(connection) = given.connection {
        let because = Reason {
            place: "--connection".to_owned(),
            what: connection.to_owned(),
        };
        needs.add(
            "Source",
            &CONNECTION,
            Resource::Arn(connection.to_owned()),
            because,
        );
    }
    match &component.build.preset {
        Preset::Pack {
            base: Some(base), ..
        } => {
            if let Some(repository) = ecr_repository(base) {
                let because = at(&["build", "base"], format!("base: {base}"));
                needs.add("PullBase", &PULL, Resource::Arn(repository.arn()), because);
            }
        }
        Preset::Buildspec { path } => match given.files.read(path) {
            Some(text) => needs.buildspec(&text, path, 0, project),
            None => needs.unknown.push(format!(
                "{path}, the buildspec of {}, cannot be read: what it needs is not here",
                component.name
            )),
        },
        Preset::Inline { text } => {
            let inline = node.and_then(|node| node.get("build")?.get("inline"));
            let before = inline.map_or(0, |node| lines_before(node, given.definition));
            needs.buildspec(text, FILE, before, project);
        }
        Preset::Docker { .. } | Preset::Make { .. } | Preset::Pack { base: None, .. } => {}
    }
    needs
}

/// How many lines of the definition stand before the first of a text in it.
fn lines_before(node: &Node, definition: &str) -> usize {
    let is_block = !definition[node.range.start..].starts_with(['"', '\'', '{']);
    node.span.line - usize::from(is_block)
}

impl Needs {
    /// What a buildspec asks for; its first line is behind so many of the file.
    fn buildspec(&mut self, text: &str, file: &str, before: usize, project: &str) {
        let Ok(reading) = Buildspec::read_all(text) else {
            self.unknown
                .push(format!("{file} is no buildspec: what it needs is not here"));
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
            "{}: {} holds a variable, so what it needs cannot be told",
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

/// The secret of `secret-id:json-key:version-stage:version-id`; behind its name Secrets Manager puts six characters.
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
    /// The account it is in.
    pub account: String,
    /// The region it is in.
    pub region: String,
    /// Its name.
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
