//! `towline schema`: prints the JSON Schema of `.towline.yml`.

use clap::Args;

use towline_client::context::Context;
use towline_console::outcome::Outcome;

/// Settings of `schema`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  towline schema > towline.schema.json

Editors with a YAML language server read the first line of the definition:
  # yaml-language-server: $schema=./towline.schema.json")]
pub struct Schema {}

/// Prints the schema.
///
/// # Errors
/// When nothing can be written.
pub fn run(context: &Context, Schema {}: &Schema) -> Outcome {
    context.output.value(&towline_definition::schema::schema())
}
