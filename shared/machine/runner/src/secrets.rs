//! Values of `parameter-store` and `secrets-manager`, from a file readable by its owner only.
//!
//! `{"parameter-store": {"/shop/token": "…"}, "secrets-manager": {"shop/db": {"password": "…"}}}`.
//! A secret is a string or an object. Another version than the current one has the name that a
//! buildspec uses, without the JSON key: `shop/db::AWSPREVIOUS`, `shop/db:::<version id>`.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use towline_buildspec::model::Env;

use crate::said::Said;

/// Largest file that is read.
const MOST: u64 = 4 * 1024 * 1024;

/// The most bytes of one value, Linux's limit for a variable (execve(2)).
const LONGEST_VALUE: usize = 128 * 1024 - 256;

/// Shorter lines of a secret, such as the braces of JSON, are not masked on their own.
const SHORTEST_LINE: usize = 8;

/// The stage of the current version.
const CURRENT: &str = "AWSCURRENT";

/// Names and values that a buildspec reads from the secret stores.
///
/// # Errors
/// When the file cannot be used or something is missing in it. The sentence contains no value.
pub(crate) fn resolve(file: &Path, env: &Env) -> Result<Vec<(String, SecretString)>, Said> {
    let wanted = Wanted::all(env)?;
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let stores = read(file).map_err(|why| {
        let all: Vec<String> = wanted.iter().map(Wanted::to_string).collect();
        format!(
            "the buildspec needs {}: {} {why}",
            all.join(", "),
            file.display()
        )
    })?;
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for wanted in wanted {
        match wanted.value(&stores) {
            Ok(value) => found.push((wanted.name.to_owned(), value.into())),
            Err(why) => missing.push(format!("{wanted}: {why}")),
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    let missing = missing.join("; ");
    Err(format!("{} does not have {missing}", file.display()).into())
}

/// What is missing in the file, if a person can add it there: then a build waits for it.
pub(crate) fn missing(file: &Path, env: &Env) -> Option<String> {
    Wanted::all(env).ok()?; // a reference that can never be resolved is the build's failure
    let lacks = resolve(file, env).err()?.to_string();
    // Everybody who may ask reads this, so it does not say where the folder is.
    let path = file.display().to_string();
    Some(lacks.replace(&path, "secrets.json in the data folder"))
}

/// What to mask: each value, and the lines of a value that has several.
pub(crate) fn masks(values: &[(String, SecretString)]) -> Vec<String> {
    let lines = |value: &str| -> Vec<String> {
        let lines = value.lines().map(str::trim);
        lines
            .filter(|line| line.len() >= SHORTEST_LINE)
            .map(str::to_owned)
            .collect()
    };
    let values = || values.iter().map(|(_, value)| value.expose_secret());
    let whole = values().map(|value| value.trim_end().to_owned());
    whole.chain(values().flat_map(lines)).collect()
}

/// A variable and the place of its value.
#[derive(Debug)]
struct Wanted<'a> {
    name: &'a str,
    reference: &'a str,
    place: Place<'a>,
}

#[derive(Debug)]
enum Place<'a> {
    Parameter,
    Secret {
        /// The entry of the file.
        entry: String,
        /// The same with the plain name, if the reference is an ARN.
        short: Option<String>,
        key: Option<&'a str>,
    },
}

/// Why the file has no value for a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum NoValue {
    #[error("no such name in \"parameter-store\"")]
    NoParameter,
    #[error("no such name in \"secrets-manager\"")]
    NoSecret,
    #[error("the secret has no such JSON key")]
    NoKey,
    #[error("the value is not a string")]
    NotText,
    #[error("the value is neither a string nor an object")]
    NeitherTextNorObject,
    #[error("the value contains a NUL")]
    Nul,
    #[error("the value is longer than 128 KiB")]
    TooLong,
}

impl std::fmt::Display for Wanted<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let store = match self.place {
            Place::Parameter => "parameter-store",
            Place::Secret { .. } => "secrets-manager",
        };
        write!(formatter, "{} ({store} {})", self.name, self.reference)
    }
}

impl<'a> Wanted<'a> {
    fn all(env: &'a Env) -> Result<Vec<Self>, Said> {
        let parameters = env.parameter_store.iter().map(|(name, reference)| {
            Ok(Wanted {
                name,
                reference,
                place: Place::Parameter,
            })
        });
        let secrets = env
            .secrets_manager
            .iter()
            .map(|(name, reference)| Self::secret(name, reference));
        parameters.chain(secrets).collect()
    }

    /// `secret-id:json-key:version-stage:version-id`, all but the first left out or empty.
    fn secret(name: &'a str, reference: &'a str) -> Result<Self, Said> {
        let refused =
            |why: &str| Err(format!("env.secrets-manager: {name} is {reference:?}: {why}").into());
        // An ARN has seven parts.
        let own = if reference.starts_with("arn:") { 7 } else { 1 };
        let parts: Vec<&str> = reference.split(':').collect();
        let id = parts[..own.min(parts.len())].join(":");
        let rest = parts.get(own..).unwrap_or_default();
        let part = |index: usize| rest.get(index).copied().filter(|part| !part.is_empty());
        let (key, stage, version) = (part(0), part(1), part(2));
        if id.is_empty() || rest.len() > 3 {
            return refused("the form is secret-id:json-key:version-stage:version-id");
        }
        let suffix = match (stage, version) {
            (Some(_), Some(_)) => {
                return refused("use a version stage or a version id, not both");
            }
            (None | Some(CURRENT), None) => String::new(),
            (Some(stage), None) => format!("::{stage}"),
            (None, Some(version)) => format!(":::{version}"),
        };
        let short = parts.get(6).filter(|_| own == 7).map(|last| {
            // Secrets Manager appends a dash and six characters (ARNs of secrets).
            let plain = last.rsplit_once('-').filter(|(_, tail)| tail.len() == 6);
            format!("{}{suffix}", plain.map_or(*last, |(plain, _)| plain))
        });
        Ok(Self {
            name,
            reference,
            place: Place::Secret {
                entry: format!("{id}{suffix}"),
                short,
                key,
            },
        })
    }

    fn value(&self, stores: &Stores) -> Result<String, NoValue> {
        let value = match &self.place {
            Place::Parameter => match stores.parameters.get(self.reference) {
                Some(Value::String(text)) => text.clone(),
                Some(_) => return Err(NoValue::NotText),
                None => return Err(NoValue::NoParameter),
            },
            Place::Secret { entry, short, key } => {
                let secrets = &stores.secrets;
                let short = || secrets.get(short.as_deref()?);
                let secret = secrets.get(entry).or_else(short);
                let Some(secret) = secret else {
                    return Err(NoValue::NoSecret);
                };
                part(secret, *key)?
            }
        };
        match value {
            value if value.contains('\0') => Err(NoValue::Nul),
            value if value.len() > LONGEST_VALUE => Err(NoValue::TooLong),
            value => Ok(value),
        }
    }
}

/// A secret, or the value of one of its keys.
fn part(secret: &Value, key: Option<&str>) -> Result<String, NoValue> {
    let Some(key) = key else {
        if let Value::String(text) = secret {
            return Ok(text.clone());
        }
        return match secret.is_object() {
            true => Ok(secret.to_string()),
            false => Err(NoValue::NeitherTextNorObject),
        };
    };
    let parsed: Option<Value> = match secret.as_str() {
        Some(text) => serde_json::from_str(text).ok(),
        None => Some(secret.clone()),
    };
    match parsed.as_ref().and_then(|secret| secret.get(key)) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Ok(other.to_string()),
        None => Err(NoValue::NoKey),
    }
}

struct Stores {
    parameters: Map<String, Value>,
    secrets: Map<String, Value>,
}

fn read(path: &Path) -> Result<Stores, Said> {
    let system = |error: io::Error| {
        if error.kind() != io::ErrorKind::NotFound {
            return format!("cannot be read: {error}");
        }
        "does not exist; create it with {\"parameter-store\": {\"NAME\": \"…\"}, \
                                    \"secrets-manager\": {\"ID\": {\"KEY\": \"…\"}}} and mode 600"
            .to_owned()
    };
    let file = File::open(path).map_err(system)?;
    let metadata = file.metadata().map_err(system)?;
    let own = rustix::process::geteuid().as_raw();
    if !metadata.is_file() || metadata.uid() != own {
        return Err("is not a file that belongs to the user of towline".into());
    }
    if metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(format!("can be read by others (mode {mode:o}); run chmod 600").into());
    }
    let mut text = String::new();
    file.take(MOST + 1)
        .read_to_string(&mut text)
        .map_err(system)?;
    if text.len() as u64 > MOST {
        return Err(format!("is larger than {} MiB", MOST >> 20).into());
    }
    // Into a generic value first: typed errors would repeat the content.
    let value: Value = serde_json::from_str(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("is not valid JSON at line {line}, column {column}")
    })?;
    let Value::Object(mut all) = value else {
        return Err("is not a JSON object".into());
    };
    let mut take = |name: &str| match all.remove(name) {
        None => Ok(Map::new()),
        Some(Value::Object(entries)) => Ok(entries),
        Some(_) => Err(Said::from(format!("has no object at {name:?}"))),
    };
    let parameters = take("parameter-store")?;
    let secrets = take("secrets-manager")?;
    match all.keys().next() {
        Some(other) => Err(format!(
            "has the unknown key {other:?}; use \"parameter-store\" and \"secrets-manager\""
        )
        .into()),
        None => Ok(Stores {
            parameters,
            secrets,
        }),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const FILE: &str = r#"{
        "parameter-store": {"/shop/token": "t0ken-value", "/shop/count": 5},
        "secrets-manager": {
            "shop/db": {"user": "ada", "password": "hunter2-now", "port": 5432},
            "shop/db::AWSPREVIOUS": {"password": "hunter2-before"},
            "shop/db:::0b5c": {"password": "hunter2-of-0b5c"},
            "shop/plain": "just a text",
            "shop/text": "{\"key\": \"inside a text\"}",
            "list": ["hunter2-list"]
        }
    }"#;

    /// The value of one reference; `name` is a parameter if it starts with `/`.
    fn check(file: &str, mode: u32, name: &str, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        std::fs::write(&path, file).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let mut env = Env::default();
        let pairs = if name.starts_with('/') {
            &mut env.parameter_store
        } else {
            &mut env.secrets_manager
        };
        pairs.push(("NAME".into(), name.into()));
        let found = match resolve(&path, &env) {
            Ok(values) => values[0].1.expose_secret().to_owned(),
            Err(error) => {
                let error = error.to_string();
                assert!(
                    !error.contains("hunter2") && !error.contains("t0ken"),
                    "{error}"
                );
                error.replace(&path.display().to_string(), "FILE")
            }
        };
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn every_form_of_a_reference_finds_its_value() {
        let arn = "arn:aws:secretsmanager:eu-central-1:000000000000:secret:shop/db-AbC123";
        for (name, expected) in [
            ("/shop/token", "t0ken-value"),
            ("shop/plain", "just a text"),
            ("shop/db:password", "hunter2-now"),
            ("shop/db:port", "5432"),
            ("shop/text:key", "inside a text"),
            ("shop/db:password:AWSCURRENT", "hunter2-now"),
            ("shop/db:password:AWSPREVIOUS", "hunter2-before"),
            ("shop/db:password::0b5c", "hunter2-of-0b5c"),
            ("shop/db::AWSPREVIOUS", r#"{"password":"hunter2-before"}"#),
            (&format!("{arn}:password"), "hunter2-now"),
            (&format!("{arn}:password:AWSPREVIOUS:"), "hunter2-before"),
        ] {
            check(FILE, 0o600, name, expected);
        }
    }

    #[test]
    fn what_is_missing_is_said_without_a_value() {
        let none = "no such name in";
        let open = "can be read by others";
        for (file, mode, name, expected) in [
            (FILE, 0o600, "/shop/absent", format!("FILE does not have NAME (parameter-store /shop/absent): {none} \"parameter-store\"")),
            (FILE, 0o600, "/shop/count", "FILE does not have NAME (parameter-store /shop/count): the value is not a string".into()),
            (FILE, 0o600, "absent:key", format!("FILE does not have NAME (secrets-manager absent:key): {none} \"secrets-manager\"")),
            (FILE, 0o600, "shop/db:secret", "FILE does not have NAME (secrets-manager shop/db:secret): the secret has no such JSON key".into()),
            (FILE, 0o600, "shop/db:password:OTHER", format!("FILE does not have NAME (secrets-manager shop/db:password:OTHER): {none} \"secrets-manager\"")),
            (FILE, 0o600, "list", "FILE does not have NAME (secrets-manager list): the value is neither a string nor an object".into()),
            (FILE, 0o600, "a:b:c:d", "env.secrets-manager: NAME is \"a:b:c:d\": use a version stage or a version id, not both".into()),
            (FILE, 0o600, "a:b:::e", "env.secrets-manager: NAME is \"a:b:::e\": the form is secret-id:json-key:version-stage:version-id".into()),
            (FILE, 0o640, "shop/plain", format!("the buildspec needs NAME (secrets-manager shop/plain): FILE {open} (mode 640); run chmod 600")),
            (FILE, 0o604, "shop/plain", format!("the buildspec needs NAME (secrets-manager shop/plain): FILE {open} (mode 604); run chmod 600")),
            ("{\"secrets-manager\": {\"a\": hunter2}}", 0o600, "a", "the buildspec needs NAME (secrets-manager a): FILE is not valid JSON at line 1, column 27".into()),
            ("{\"secrets-manager\": \"hunter2\"}", 0o600, "a", "the buildspec needs NAME (secrets-manager a): FILE has no object at \"secrets-manager\"".into()),
            ("{\"secret-manager\": {}}", 0o600, "a", "the buildspec needs NAME (secrets-manager a): FILE has the unknown key \"secret-manager\"; use \"parameter-store\" and \"secrets-manager\"".into()),
        ] {
            check(file, mode, name, &expected);
        }
    }

    #[test]
    fn a31_a_secret_of_several_lines_is_masked_line_by_line() {
        let key = "-----BEGIN-----\nMIIEpAIB\n}\n-----END-----\n";
        let values = [("KEY".to_owned(), SecretString::from(key))];
        let lines = ["-----BEGIN-----", "MIIEpAIB", "-----END-----"];
        assert_eq!(masks(&values), [&[key.trim_end()], &lines[..]].concat());
    }
}
