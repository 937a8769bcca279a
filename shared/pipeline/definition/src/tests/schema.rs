//! The JSON Schema accepts what the reader accepts, and has no key that is never read.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};
use towline_buildspec::yaml::{self, Limits, Node, Value};

use super::{EVERYTHING, read_text};
use crate::read;
use crate::schema::schema;

/// The keys that do not fit into [`EVERYTHING`].
const THE_REST: &str = r#"
version: 1
pipeline: market
components:
  api:
    repository: orchard/api
    build:
      inline: "{version: 0.2, phases: {build: {commands: [make]}}}"
stages:
  - name: test
    from: build
    drift: hold
    gates: [scan: {medium: 1, low: 2}, window: {deny: "Fri 12:00-24:00"}]
    deploy: {event: {parameters: {Tag: "{sha}"}}, lambda: {function: api, alias: test}}
rights: {operate: [developers], override: [owners]}
"#;

fn document(text: &str) -> Node {
    yaml::read(text, Limits::default()).unwrap()
}

/// A document as an editor sees it: plain scalars are numbers and booleans where they look like it.
fn json_of(node: &Node) -> Json {
    match &node.value {
        Value::Scalar { text, quoted: true } => json!(text),
        Value::Scalar { text, .. } => match serde_json::from_str(text) {
            Ok(typed @ (Json::Number(_) | Json::Bool(_))) => typed,
            Ok(_) | Err(_) => json!(text),
        },
        Value::Sequence(items) => items.iter().map(json_of).collect(),
        Value::Mapping(entries) => {
            let pairs = entries.iter();
            let pairs = pairs.map(|(key, value)| (key.key_text().to_owned(), json_of(value)));
            Json::Object(pairs.collect::<Map<_, _>>())
        }
    }
}

struct Walk<'a> {
    schema: &'a Json,
    seen: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    /// Walks through a document and its schema in parallel, noting the properties that are used.
    fn walk(&mut self, node: &Node, rule: &'a Json) {
        let rule = self.resolve(rule);
        match &node.value {
            Value::Scalar { .. } => {}
            Value::Sequence(items) => {
                let list = self.alternative(rule, "items");
                items
                    .iter()
                    .for_each(|item| self.walk(item, &list["items"]));
            }
            Value::Mapping(entries) => {
                let rule = match rule.get("anyOf") {
                    Some(_) => self.alternative(rule, "additionalProperties"),
                    None => rule,
                };
                for (key, value) in entries {
                    self.walk(value, self.property(rule, key.key_text()));
                    self.seen
                        .insert(address(&rule["properties"][key.key_text()]));
                }
            }
        }
    }

    fn property(&self, rule: &'a Json, key: &str) -> &'a Json {
        let known = &rule["properties"][key];
        let other = &rule["additionalProperties"];
        assert!(
            known.is_object() || other.is_object(),
            "the schema has no {key:?} in {}",
            rule["description"]
        );
        if known.is_object() { known } else { other }
    }

    fn resolve(&self, rule: &'a Json) -> &'a Json {
        match rule["$ref"].as_str() {
            Some(name) => self.schema.pointer(&name[1..]).unwrap(),
            None => rule,
        }
    }

    /// The rule itself or the one of its alternatives that has a key.
    fn alternative(&self, rule: &'a Json, key: &str) -> &'a Json {
        let alternatives = rule["anyOf"].as_array().into_iter().flatten();
        std::iter::once(rule)
            .chain(alternatives.map(|rule| self.resolve(rule)))
            .find(|rule| rule.get(key).is_some())
            .unwrap()
    }
}

/// The address of a rule in memory identifies a property.
fn address(rule: &Json) -> String {
    format!("{rule:p}")
}

/// Every property in a schema that is no condition, with the key it is for.
fn properties(rule: &Json, found: &mut Vec<(String, String)>) {
    let children = rule.as_object().into_iter().flatten();
    for (key, child) in children.filter(|(key, _)| *key != "allOf") {
        if key == "properties" {
            for (name, rule) in child.as_object().into_iter().flatten() {
                found.push((address(rule), name.clone()));
                properties(rule, found);
            }
        } else {
            properties(child, found);
            let listed = child.as_array().into_iter().flatten();
            listed.for_each(|rule| properties(rule, found));
        }
    }
}

#[test]
fn the_schema_knows_the_keys_that_are_read() {
    let schema = Json::from(schema());
    let mut walk = Walk {
        schema: &schema,
        seen: BTreeSet::new(),
    };
    for text in [EVERYTHING, THE_REST] {
        read_text(text);
        walk.walk(&document(text), &schema);
    }
    let mut known = Vec::new();
    properties(&schema, &mut known);
    let unread: Vec<&str> = known
        .iter()
        .filter(|(address, _)| !walk.seen.contains(address))
        .map(|(_, name)| name.as_str())
        .collect();
    assert_eq!(unread, [""; 0], "in the schema and in no definition");
    assert!(known.len() > 80, "{} properties are too few", known.len());
}

/// Whether the reader and the schema accept a definition with this build.
fn verdicts(build: &str) -> (bool, bool) {
    let text = super::refused::with_build(build);
    let validator = jsonschema::validator_for(&Json::from(schema())).unwrap();
    (
        read(text.as_bytes()).is_ok(),
        validator.is_valid(&json_of(&document(&text))),
    )
}

#[test]
fn the_schema_takes_what_is_read() {
    let validator = jsonschema::draft202012::new(&Json::from(schema())).unwrap();
    for text in [EVERYTHING, THE_REST] {
        let document = json_of(&document(text));
        let errors: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, [""; 0]);
    }
    for good in [
        "{preset: pack, expose: 8080, platforms: [linux/amd64, linux/arm64]}",
        "{preset: make, make: {build: publish}}",
        "{buildspec: ci/buildspec.yml}",
        "{env: {A: 1, B: true}, args: {C: 1.20}}",
    ] {
        assert_eq!(verdicts(good), (true, true), "{good}");
    }
}

#[test]
fn the_schema_refuses_what_is_refused() {
    for bad in [
        "{presett: docker}",
        "{preset: dokker}",
        "{preset: make}",
        "{make: {build: publish}}",
        "{preset: make, make: {}}",
        "{preset: docker, make: {build: publish}}",
        "{preset: pack, dockerfile: Dockerfile}",
        "{buildspec: a.yml, test: [make]}",
        "{buildspec: a.yml, inline: x}",
        "{preset: buildspec}",
        "{root: dist}",
        "{inline: x, context: a}",
        "{platform: linux/amd64, platforms: [linux/arm64]}",
        "{platform: windows/amd64}",
        "{context: ../up}",
        "{env: {AWS_REGION: x}}",
        "{timeout: 20 minutes}",
        "{layer_cache: always}",
        "{image: \"\"}",
        "{reports: {unit: {format: JUNITXML}}}",
        "{tags: []}",
        "{preset: pack, expose: 0}",
        "{preset: pack, workdir: srv}",
    ] {
        assert_eq!(verdicts(bad), (false, false), "{bad}");
    }
}

/// What the schema calls a default changes nothing where it is written.
#[test]
fn the_defaults_of_the_schema_are_the_readers() {
    let schema = Json::from(schema());
    let usual = read_text(&super::refused::with_build("{}"));
    let build = schema["$defs"]["Build"]["properties"].as_object().unwrap();
    let mut checked = 0;
    for (key, property) in build {
        let default = &property["default"];
        if default.is_null() || key == "root" {
            continue; // `root` is for a preset that is not the default
        }
        checked += 1;
        let written = read_text(&super::refused::with_build(&format!(
            "{{{key}: {default}}}"
        )));
        assert_eq!(written, usual, "{key}");
    }
    assert!(checked >= 7, "{checked} defaults are too few");
}
