//! The plan that an image is assembled from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use towline_oci::Platform;

use crate::error::Refusal;
use crate::reference::BaseReference;

/// The beginning of names that delete files of the layers below (OCI image specification, "Whiteouts").
pub(crate) const WHITEOUT: &str = ".wh.";

/// Everything that decides an image's digest. Two equal plans with equal files give the same
/// digest, on any machine and at any time.
#[derive(Debug, Clone)]
pub struct ImagePlan {
    /// The base image; `None` starts from an empty one.
    pub base: Option<BaseReference>,
    /// The folder whose content becomes the layer.
    pub root: PathBuf,
    /// The folder in the image for that content.
    pub destination: Destination,
    /// Globs of files to include; none includes everything. [`ImagePlan::exclude`] says what a glob matches.
    pub include: Vec<String>,
    /// Globs of files to exclude, as in `.dockerignore`: each is matched against the whole path
    /// from `root` (so `*.log` matches in the root only, `**/*.log` anywhere), `*` and `?` do not
    /// match `/`, a matching folder excludes everything in it, and `!` before a glob includes again
    /// what an earlier one excluded. `.git` is excluded everywhere, unless `!**/.git` includes it.
    /// Excluding overrides including.
    pub exclude: Vec<String>,
    /// The program to run. It replaces the base's, together with its arguments.
    pub entrypoint: Vec<String>,
    /// The arguments of the program; they replace the base's.
    pub command: Vec<String>,
    /// Environment variables, added to the base's; the same name replaces.
    pub environment: Vec<(String, String)>,
    /// Labels, added to the base's; the same key replaces.
    pub labels: BTreeMap<String, String>,
    /// The folder the program starts in, an absolute path; the base's if `None`.
    pub working_directory: Option<String>,
    /// User, or user and group (`1000:1000`), that the program runs as; the base's if `None`.
    pub user: Option<String>,
    /// Ports the program listens on, added to the base's.
    pub exposed_ports: Vec<ExposedPort>,
    /// The platform of the image; a base for another platform is refused.
    pub platform: Platform,
    /// The time of creation and of every file, in seconds since 1970. `None` is 0, so that the
    /// digest does not depend on the time of assembly.
    pub created: Option<u32>,
}

impl ImagePlan {
    /// A plan for the unchanged content of `root`, on an empty base.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, platform: Platform) -> Self {
        Self {
            base: None,
            root: root.into(),
            destination: Destination::default(),
            include: Vec::new(),
            exclude: Vec::new(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            environment: Vec::new(),
            labels: BTreeMap::new(),
            working_directory: None,
            user: None,
            exposed_ports: Vec::new(),
            platform,
            created: None,
        }
    }

    /// Refuses values that are invalid in an image's configuration.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        check_environment(&self.environment)?;
        for (key, value) in &self.labels {
            check_label(key, value)?;
        }
        for argument in self.entrypoint.iter().chain(&self.command) {
            if argument.contains('\0') {
                return Err(Refusal::value(
                    "the argument",
                    argument,
                    "holds a NUL character",
                ));
            }
        }
        if let Some(path) = &self.working_directory
            && (!path.starts_with('/') || path.contains('\0'))
        {
            let rule = "is not an absolute path, such as /app";
            return Err(Refusal::value("the working directory", path, rule));
        }
        if let Some(user) = &self.user
            && (user.is_empty() || user.contains(|c: char| c.is_whitespace() || c.is_control()))
        {
            let rule = "is not USER or USER:GROUP, by name or number";
            return Err(Refusal::value("the user", user, rule));
        }
        Ok(())
    }
}

fn check_environment(environment: &[(String, String)]) -> Result<(), Refusal> {
    let mut names = BTreeSet::new();
    for (name, value) in environment {
        let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        if !is_name {
            let rule = "is not a name: use letters, digits and `_`, and do not begin with a digit";
            return Err(Refusal::value("the environment variable", name, rule));
        }
        if value.contains('\0') {
            let rule = "has a value with a NUL character in it";
            return Err(Refusal::value("the environment variable", name, rule));
        }
        if !names.insert(name) {
            let rule = "is given twice; keep one of them";
            return Err(Refusal::value("the environment variable", name, rule));
        }
    }
    Ok(())
}

fn check_label(key: &str, value: &str) -> Result<(), Refusal> {
    let is_key =
        !key.is_empty() && !key.contains(|c: char| c == '=' || c.is_whitespace() || c.is_control());
    if !is_key {
        let rule = "is not a key: it must not be empty or hold blanks, control characters or `=`";
        return Err(Refusal::value("the label", key, rule));
    }
    if value.contains('\0') {
        return Err(Refusal::value(
            "the label",
            key,
            "has a value with a NUL character in it",
        ));
    }
    Ok(())
}

/// A folder inside the image, by absolute path; `/` by default.
///
/// The layer has an entry for it and for every folder above it, mode 0755, because Docker makes
/// missing ones readable by root only. Like everything in a layer, these replace whatever has the
/// same path in the base: a folder's mode, and a link by a folder. So do not use a path below
/// `/bin` if that is a link to `usr/bin`; use `/usr/bin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination(PathBuf);

impl Destination {
    /// The absolute path, without `.` and doubled or trailing slashes.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The folders from the first below `/` to the destination itself, as paths in the layer.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = self
            .0
            .ancestors()
            .filter_map(|folder| folder.strip_prefix("/").ok())
            .map(Into::into)
            .collect();
        folders.retain(|folder| !folder.as_os_str().is_empty());
        folders.reverse();
        folders
    }

    /// The path of an entry in the layer, without the leading slash.
    pub(crate) fn place(&self, entry: &Path) -> PathBuf {
        let mut path: PathBuf = self.0.components().skip(1).collect();
        path.push(entry);
        path
    }
}

impl Default for Destination {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

impl FromStr for Destination {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let path = Path::new(text);
        let climbs = path.components().any(|part| part == Component::ParentDir);
        if !path.is_absolute() || climbs || text.contains('\0') {
            let rule = "is not an absolute path inside the image, such as /app, without `..`";
            return Err(Refusal::value("the destination", text, rule));
        }
        let mut parts = text.split('/');
        if parts.any(|part| part.starts_with(WHITEOUT)) {
            let rule = "has a part that begins with `.wh.`, which deletes files of the image below";
            return Err(Refusal::value("the destination", text, rule));
        }
        Ok(Self(path.components().collect()))
    }
}

/// A port and its protocol: `8080`, `8080/tcp`, `53/udp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExposedPort {
    number: u16,
    protocol: Protocol,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Protocol {
    Tcp,
    Udp,
}

impl FromStr for ExposedPort {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = match protocol {
            "tcp" => Some(Protocol::Tcp),
            "udp" => Some(Protocol::Udp),
            _ => None,
        };
        let digits = number.bytes().all(|b| b.is_ascii_digit());
        let number = number.parse().ok().filter(|number| digits && *number > 0);
        let (Some(number), Some(protocol)) = (number, protocol) else {
            let rule = "is not a number from 1 to 65535, alone or with `/tcp` or `/udp`";
            return Err(Refusal::value("the port", text, rule));
        };
        Ok(Self { number, protocol })
    }
}

impl fmt::Display for ExposedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{}/{protocol}", self.number)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn check(change: impl FnOnce(&mut ImagePlan), expected: &str) {
        let mut plan = ImagePlan::new("x", "linux/amd64".parse().unwrap());
        change(&mut plan);
        let found = plan
            .check()
            .map_or_else(|refusal| refusal.to_string(), |()| String::new());
        assert_eq!(found, expected);
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn bad_settings_are_refused_in_one_sentence() {
        check(
            |plan| plan.environment = vec![pair("PATH", "/bin"), pair("_a1", "")],
            "",
        );
        check(
            |plan| plan.environment = vec![pair("A=B", "c")],
            "the environment variable \"A=B\" is not a name: use letters, digits and `_`, \
             and do not begin with a digit",
        );
        check(
            |plan| plan.environment = vec![pair("A", "1"), pair("A", "2")],
            "the environment variable \"A\" is given twice; keep one of them",
        );
        check(
            |plan| plan.environment = vec![pair("A", "x\0")],
            "the environment variable \"A\" has a value with a NUL character in it",
        );
        check(
            |plan| plan.labels = BTreeMap::from([pair("a b", "")]),
            "the label \"a b\" is not a key: it must not be empty or hold blanks, \
             control characters or `=`",
        );
        check(
            |plan| plan.working_directory = Some("app".into()),
            "the working directory \"app\" is not an absolute path, such as /app",
        );
        check(
            |plan| plan.user = Some("a b".into()),
            "the user \"a b\" is not USER or USER:GROUP, by name or number",
        );
    }

    #[test]
    fn a_destination_is_absolute_and_does_not_climb() {
        let place = |text: &str| {
            text.parse::<Destination>()
                .map(|d| d.place(Path::new("a/b")))
        };
        assert_eq!(place("/").unwrap(), Path::new("a/b"));
        assert_eq!(place("//app/./bin/").unwrap(), Path::new("app/bin/a/b"));
        for text in ["", "app", "/app/../etc", "/a\0", "/a/.wh.b"] {
            assert!(place(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_port_has_a_number_and_a_protocol() {
        let print = |text: &str| text.parse::<ExposedPort>().map(|port| port.to_string());
        assert_eq!(print("8080").unwrap(), "8080/tcp");
        assert_eq!(print("53/udp").unwrap(), "53/udp");
        for text in ["", "0", "65536", "+1", "80/sctp", "80/", "a", "80/tcp/udp"] {
            assert!(print(text).is_err(), "{text:?}");
        }
    }
}
