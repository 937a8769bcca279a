//! The published JSON Schema knows the keys that are read, and no others.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use towline_buildspec::yaml::{self, Limits, Node, Value};

use super::{EVERYTHING, read_text};

/// The keys that [`EVERYTHING`] has no room for.
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
    gates: [scan: {medium: 1, low: 2}, window: {deny: "Fri 12:00-24:00"}]
    deploy: {event: {parameters: {Tag: "{sha}"}}, lambda: {function: api, alias: test}}
"#;

struct Walk<'a> {
    schema: &'a Json,
    seen: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    /// Goes through a document and its schema side by side, noting the properties that are used.
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

/// A property is told from others by where its rule lies in memory.
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
    let schema: Json = serde_json::from_str(include_str!(
        "../../../../../../events/schemas/towline.schema.json"
    ))
    .unwrap();
    let mut walk = Walk {
        schema: &schema,
        seen: BTreeSet::new(),
    };
    for text in [EVERYTHING, THE_REST] {
        read_text(text);
        walk.walk(&yaml::read(text, Limits::default()).unwrap(), &schema);
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
