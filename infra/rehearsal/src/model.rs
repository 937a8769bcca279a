//! Checks requests against the service models in botocore.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use flate2::read::GzDecoder;
use regex::Regex;
use serde_json::Value;

/// The checked services: those with a JSON protocol that functions may call.
const SERVICES: &[&str] = &[
    "codebuild",
    "dynamodb",
    "ecr",
    "events",
    "logs",
    "secretsmanager",
];

/// The models of all services, found by the target header of a request.
pub struct Models {
    services: HashMap<String, Service>,
}

struct Service {
    name: &'static str,
    document: Value,
    patterns: HashMap<String, Result<Regex, regex::Error>>,
}

/// What is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where: `dynamodb.PutItem.TableName`.
    pub path: String,
    pub reason: String,
}

impl Models {
    /// Reads the models from a Python environment with botocore.
    ///
    /// # Errors
    /// When one is missing or unreadable.
    pub fn read(venv: &Path) -> anyhow::Result<Self> {
        let data = data_folder(venv)?;
        let services = SERVICES.iter().map(|name| {
            let document = newest(&data.join(name))?;
            let prefix = document["metadata"]["targetPrefix"]
                .as_str()
                .ok_or_else(|| anyhow!("{name} does not speak JSON"))?;
            let prefix = prefix.to_owned();
            Ok((prefix, Service::new(name, document)))
        });
        Ok(Self {
            services: services.collect::<anyhow::Result<_>>()?,
        })
    }

    /// The service and operation in a target header such as `DynamoDB_20120810.Query`.
    #[must_use]
    pub fn called<'a>(&self, target: &'a str) -> Option<(&'static str, &'a str)> {
        let (prefix, operation) = target.rsplit_once('.')?;
        Some((self.services.get(prefix)?.name, operation))
    }

    /// What the service's model forbids in a request.
    #[must_use]
    pub fn violations(&self, target: &str, body: &[u8]) -> Vec<Violation> {
        let unknown = |reason: &str| {
            vec![Violation {
                path: target.into(),
                reason: reason.into(),
            }]
        };
        let Some((prefix, operation)) = target.rsplit_once('.') else {
            return unknown("is no target");
        };
        let Some(service) = self.services.get(prefix) else {
            return unknown("is of a service nobody expected");
        };
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return unknown("carries no JSON");
        };
        let input = &service.document["operations"][operation]["input"]["shape"];
        let Some(input) = input.as_str() else {
            return unknown("is no operation of the service");
        };
        let mut found = Vec::new();
        let path = format!("{}.{operation}", service.name);
        service.check(input, &body, &path, &mut found);
        found
    }
}

impl Service {
    fn new(name: &'static str, document: Value) -> Self {
        let shapes = document["shapes"].as_object().into_iter().flatten();
        let patterns = shapes
            .filter_map(|(_, shape)| {
                let pattern = shape["pattern"].as_str()?;
                // The pattern must match the whole value.
                let whole = format!("^(?s:{})$", pattern.replace(r"\p{Print}", r"[^\p{C}]"));
                Some((pattern.to_owned(), Regex::new(&whole)))
            })
            .collect();
        Self {
            name,
            patterns,
            document,
        }
    }

    fn check(&self, name: &str, value: &Value, path: &str, found: &mut Vec<Violation>) {
        let shape = &self.document["shapes"][name];
        let mut object = |reason: String| {
            found.push(Violation {
                path: path.into(),
                reason,
            });
        };
        match (shape["type"].as_str().unwrap_or_default(), value) {
            ("structure", Value::Object(members)) => {
                let known = &shape["members"];
                let required = shape["required"].as_array().into_iter().flatten();
                for name in required.filter_map(Value::as_str) {
                    if members.get(name).is_none_or(Value::is_null) {
                        object(format!("lacks {name}"));
                    }
                }
                for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
                    let path = format!("{path}.{name}");
                    match known[name]["shape"].as_str() {
                        Some(shape) => self.check(shape, value, &path, found),
                        None => found.push(Violation {
                            path,
                            reason: "is no member of the request".into(),
                        }),
                    }
                }
                self.check_union(shape, members.len(), path, found);
            }
            ("list", Value::Array(items)) => {
                limits(shape, items.len() as f64, "items", &mut object);
                let member = shape["member"]["shape"].as_str().unwrap_or_default();
                for (place, item) in items.iter().enumerate() {
                    self.check(member, item, &format!("{path}[{place}]"), found);
                }
            }
            ("map", Value::Object(entries)) => {
                limits(shape, entries.len() as f64, "entries", &mut object);
                let (key, of) = (&shape["key"]["shape"], &shape["value"]["shape"]);
                for (name, value) in entries {
                    let path = format!("{path}[{name}]");
                    let name = Value::String(name.clone());
                    self.check(key.as_str().unwrap_or_default(), &name, &path, found);
                    self.check(of.as_str().unwrap_or_default(), value, &path, found);
                }
            }
            ("string", Value::String(text)) => {
                limits(
                    shape,
                    text.chars().count() as f64,
                    "characters",
                    &mut object,
                );
                let among = shape["enum"].as_array();
                if among.is_some_and(|among| !among.iter().any(|known| known == text)) {
                    object(format!("{text:?} is not one of its words"));
                }
                let pattern = shape["pattern"].as_str();
                match pattern.and_then(|pattern| self.patterns.get(pattern)) {
                    Some(Ok(regex)) if !regex.is_match(text) => {
                        object(format!("{text:?} does not match {regex}"));
                    }
                    Some(Err(error)) => object(format!("has a pattern nobody can read: {error}")),
                    Some(Ok(_)) | None => {}
                }
            }
            ("integer" | "long", Value::Number(number)) if !number.is_f64() => {
                limits(shape, number.as_f64().unwrap_or_default(), "", &mut object);
            }
            ("double" | "float" | "timestamp", Value::Number(_))
            | ("boolean", Value::Bool(_))
            | ("blob", Value::String(_)) => {}
            (kind, other) => object(format!("is no {kind}: {other}")),
        }
    }

    /// A value with alternatives has exactly one of them, such as DynamoDB's `{"S": …}`, although its model
    /// does not say so.
    fn check_union(&self, shape: &Value, members: usize, path: &str, found: &mut Vec<Violation>) {
        let attribute = self.name == "dynamodb"
            && ["S", "N", "BOOL", "NULL", "SS"]
                .iter()
                .all(|kind| shape["members"].get(kind).is_some());
        let union = attribute || shape["union"].as_bool() == Some(true);
        if union && members != 1 {
            found.push(Violation {
                path: path.into(),
                reason: format!("has {members} alternatives instead of one"),
            });
        }
    }
}

fn limits(shape: &Value, size: f64, unit: &str, object: &mut impl FnMut(String)) {
    let (least, most) = (shape["min"].as_f64(), shape["max"].as_f64());
    if least.is_some_and(|least| size < least) || most.is_some_and(|most| size > most) {
        let end = |end: Option<f64>| end.map_or_else(String::new, |end| end.to_string());
        object(format!(
            "{size} {unit} is not within {}..{}",
            end(least),
            end(most)
        ));
    }
}

/// Where botocore keeps its models.
fn data_folder(venv: &Path) -> anyhow::Result<PathBuf> {
    let lib = venv.join("lib");
    let entries = std::fs::read_dir(&lib).with_context(|| format!("reading {}", lib.display()))?;
    for entry in entries {
        let data = entry?.path().join("site-packages/botocore/data");
        if data.is_dir() {
            return Ok(data);
        }
    }
    bail!("there is no botocore below {}", lib.display())
}

fn newest(folder: &Path) -> anyhow::Result<Value> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("reading the models in {}", folder.display()))?;
    let versions = entries.map(|entry| Ok(entry?.path()));
    let mut versions = versions.collect::<anyhow::Result<Vec<_>>>()?;
    versions.sort();
    for version in versions.iter().rev() {
        let plain = version.join("service-2.json");
        let packed = version.join("service-2.json.gz");
        if plain.is_file() {
            return Ok(serde_json::from_reader(File::open(plain)?)?);
        }
        if packed.is_file() {
            return Ok(serde_json::from_reader(GzDecoder::new(File::open(
                packed,
            )?))?);
        }
    }
    bail!("there is no model in {}", folder.display())
}
