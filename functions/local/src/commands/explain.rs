//! `towline explain`: what a finding of the linter means, with a linted example.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};
use towline_buildspec::lint::{self, Code, Explanation, Level};
use towline_console::style::{Style, paint};

use towline_client::context::Context;
use towline_console::outcome::{Outcome, refused};

/// Width of the text in columns.
const WIDTH: usize = 100;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline explain
  towline explain E003
  towline explain publish-in-post-build")]
pub struct Explain {
    /// Code of a finding, or its name [default: list all]
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

/// Prints the explanation of a code.
pub fn run(context: &Context, args: &Explain) -> Outcome {
    let Some(wanted) = &args.code else {
        return if context.output.is_json() {
            let codes: Vec<Value> = Code::ALL.iter().map(|code| brief(*code)).collect();
            context.output.value(&json!({ "codes": codes }))
        } else {
            context.output.text(&list())
        };
    };
    let is_wanted = |code: &&Code| {
        code.as_str().eq_ignore_ascii_case(wanted) || code.name().eq_ignore_ascii_case(wanted)
    };
    let Some(code) = Code::ALL.iter().find(is_wanted) else {
        return refused(format!(
            "unknown code {wanted:?}; `towline explain` lists all"
        ));
    };
    let explanation = code.explanation();
    if context.output.is_json() {
        return context.output.value(&full(&explanation));
    }
    context.output.text(&text(&explanation))
}

fn list() -> String {
    let longest = Code::ALL.iter().map(|code| code.name().len()).max();
    let width = longest.unwrap_or(0);
    let mut text = String::new();
    for code in Code::ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{} {:width$}  {}",
            paint(color(*code), code.as_str()),
            code.name(),
            code.about()
        );
    }
    text
}

fn color(code: Code) -> Style {
    match code.level() {
        Level::Error => Style::Bad,
        Level::Warning => Style::Waiting,
        Level::Note => Style::Quiet,
    }
}

fn text(explanation: &Explanation) -> String {
    let code = explanation.code;
    let report = explanation.report();
    let mut text = format!(
        "{} {}: {}\n\n{}\n",
        paint(color(code), code.as_str()),
        code.name(),
        code.about(),
        wrapped(&explanation.why)
    );
    let heading = match explanation.project() {
        Some(project) => format!("For example, where {project}"),
        None => "For example".to_owned(),
    };
    let _ = writeln!(text, "{}\n", paint(Style::Header, &heading));
    let read = |name: &str| explanation.file(name).map(str::to_owned);
    text.push_str(&lint::to_text(&report, &read, true));
    for (name, better) in explanation.instead() {
        let heading = format!("Instead, {name}");
        let _ = writeln!(text, "{}\n", paint(Style::Header, &heading));
        for line in better.lines() {
            let _ = writeln!(text, "    {line}");
        }
        text.push('\n');
    }
    if code.can_be_allowed() {
        let heading = paint(Style::Header, "To allow it, add above the line");
        let _ = writeln!(
            text,
            "{heading}\n\n    # towline: allow {} because …\n",
            code.as_str()
        );
    }
    text.push_str(code.help());
    text.push('\n');
    text
}

/// Wraps words into lines.
fn wrapped(sentences: &str) -> String {
    let mut text = String::new();
    let mut length = 0;
    for word in sentences.split(' ') {
        if length > 0 && length + 1 + word.len() > WIDTH {
            text.push('\n');
            length = 0;
        } else if length > 0 {
            text.push(' ');
            length += 1;
        }
        text.push_str(word);
        length += word.len();
    }
    text.push('\n');
    text
}

fn brief(code: Code) -> Value {
    json!({
        "code": code.as_str(),
        "name": code.name(),
        "level": code.level().as_str(),
        "about": code.about(),
        "help": code.help(),
    })
}

fn full(explanation: &Explanation) -> Value {
    let mut value = brief(explanation.code);
    value["why"] = json!(explanation.why);
    value["example"] = lint::to_json(&explanation.report())["findings"].take();
    let instead = explanation
        .instead()
        .map(|(name, text)| (name.to_owned(), json!(text)));
    value["instead"] = Value::Object(instead.collect());
    value
}
