//! The JSON Schema of `.towline.yml`, derived from the keys, words and limits that the reader knows.

pub mod types;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Map, Value, json};

pub use crate::keys::ID;

use crate::keys::Definition;
use crate::words::{NEEDED_KEYS, OWN_KEYS};

/// The presets whose buildspec Towline generates.
const GENERATED: [&str; 3] = ["docker", "make", "pack"];

/// The schema, the same for the same version.
#[must_use]
pub fn schema() -> Schema {
    let settings = SchemaSettings::draft2020_12().with_transform(Plain);
    settings
        .into_generator()
        .into_root_schema_for::<Definition>()
}

/// Removes `null`, which no key of a definition accepts, and the line breaks of descriptions.
#[derive(Debug, Clone)]
struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else {
            return;
        };
        if let Some(Value::String(description)) = object.get_mut("description") {
            *description = description.replace('\n', " ");
        }
        if let Some(Value::Array(kinds)) = object.get_mut("type") {
            kinds.retain(|kind| kind != "null");
            if let [only] = kinds.as_slice() {
                let only = only.clone();
                object.insert("type".into(), only);
            }
        }
        if let Some(Value::Array(choices)) = object.get_mut("enum") {
            choices.retain(|choice| !choice.is_null());
        }
        if let Some(Value::Array(others)) = object.get_mut("anyOf") {
            others.retain(|other| *other != json!({"type": "null"}));
            if let [Value::Object(only)] = others.as_slice() {
                let only: Map<String, Value> = only.clone();
                object.remove("anyOf");
                for (key, value) in only {
                    object.entry(key).or_insert(value);
                }
            }
        }
    }
}

/// Adds to the schema of a build which keys belong to which presets.
pub(crate) fn presets(schema: &mut Schema) {
    let mut rules = Vec::new();
    for (key, kinds) in OWN_KEYS {
        let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
        let note = match words.as_slice() {
            [one] => format!("Preset {one}."),
            several => format!("Presets {}.", several.join(", ")),
        };
        if let Some(property) = schema.pointer_mut(&format!("/properties/{key}"))
            && let Some(property) = property.as_object_mut()
        {
            let said = property.get("description").and_then(Value::as_str);
            let said = said.map_or(note.clone(), |said| format!("{said} {note}"));
            property.insert("description".into(), said.into());
        }
        let mut then = json!({"properties": {"preset": {"enum": words}}});
        // Without `preset`, the build uses docker, unless it has the key `buildspec` or `inline`.
        if words.iter().any(|word| GENERATED.contains(word)) && !words.contains(&"docker") {
            then["required"] = json!(["preset"]);
        }
        rules.push(json!({"if": {"required": [key]}, "then": then}));
        if words.iter().any(|word| GENERATED.contains(word)) {
            for given in ["buildspec", "inline"] {
                rules.push(json!({"not": {"required": [key, given]}}));
            }
        }
    }
    for (kind, key) in NEEDED_KEYS {
        rules.push(json!({
            "if": {"required": ["preset"], "properties": {"preset": {"const": kind.word()}}},
            "then": {"required": [key]},
        }));
    }
    rules.push(json!({"not": {"required": ["platform", "platforms"]}}));
    rules.push(json!({"not": {"required": ["buildspec", "inline"]}}));
    schema.insert("allOf".into(), rules.into());
}
