//! Reads the templates like CloudFormation, and finds violations of our rules.

pub mod policy;
mod read;

use serde_json::{Map, Value};

pub use read::{ReadError, read};

#[derive(Debug, Clone)]
pub struct Template(pub Value);

impl Template {
    /// The resources by their names in the template.
    ///
    /// # Panics
    /// When it has no resources.
    #[must_use]
    pub fn resources(&self) -> &Map<String, Value> {
        self.0["Resources"]
            .as_object()
            .expect("a template has resources")
    }

    /// Names and properties of the resources of a type.
    pub fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let all = self.resources().iter();
        all.filter(move |(_, resource)| resource["Type"] == kind)
            .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
    }

    /// The functions by their common name (folder, rule), with their names in the template.
    ///
    /// # Panics
    /// When one is not named after the stack.
    pub fn functions(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        self.of("AWS::Serverless::Function")
            .map(|(id, properties)| {
                let name = properties["FunctionName"]["Fn::Sub"].as_str();
                let name = name.and_then(|name| name.strip_prefix("${AWS::StackName}-"));
                (
                    name.expect("a function is named after the stack"),
                    id,
                    properties,
                )
            })
    }
}
