//! CloudFormation's YAML as JSON: `!Ref X` is `{"Ref": "X"}`, `!Sub` is `{"Fn::Sub": …}`.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the events are foreign, and all but a few are errors at their place"
)]

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};
use serde_json::{Map, Value};

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("not YAML: {0}")]
    NotYaml(#[from] ScanError),
    #[error("there are two documents")]
    TwoDocuments,
    #[error("there is no document")]
    Empty,
    #[error("the document ends too soon")]
    TooShort,
    #[error("{0} is not a key")]
    NotAKey(String),
    #[error("the key {0} is there twice")]
    Twice(String),
    /// Anchors, aliases and everything else of YAML.
    #[error("CloudFormation does not accept {0}")]
    NotAccepted(String),
    #[error("{0} is not a function")]
    NotAFunction(String),
    #[error("GetAtt names no attribute")]
    NoAttribute,
}

/// Reads a template.
///
/// # Errors
/// When it is not YAML, or uses something that CloudFormation does not accept.
pub fn read(text: &str) -> Result<Value, ReadError> {
    let mut parser = Parser::new_from_str(text);
    let mut root = None;
    while let Some(event) = parser.next_event() {
        let (event, _) = event?;
        match event {
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
            event if root.is_none() => root = Some(node(&mut parser, event)?),
            _ => return Err(ReadError::TwoDocuments),
        }
    }
    root.ok_or(ReadError::Empty)
}

fn node<'a>(
    parser: &mut Parser<'a, saphyr_parser::StrInput<'a>>,
    event: Event<'a>,
) -> Result<Value, ReadError> {
    match event {
        Event::Scalar(text, style, _, tag) => {
            let plain = style == ScalarStyle::Plain && tag.is_none();
            let value = if plain {
                scalar(&text)
            } else {
                Value::String(text.into_owned())
            };
            tagged(tag.as_deref(), value)
        }
        Event::SequenceStart(_, tag) => {
            let mut items = Vec::new();
            loop {
                match next(parser)? {
                    Event::SequenceEnd => return tagged(tag.as_deref(), Value::Array(items)),
                    event => items.push(node(parser, event)?),
                }
            }
        }
        Event::MappingStart(_, tag) => {
            let mut entries = Map::new();
            loop {
                let key = match next(parser)? {
                    Event::MappingEnd => return tagged(tag.as_deref(), Value::Object(entries)),
                    Event::Scalar(key, ..) => key.into_owned(),
                    other => return Err(ReadError::NotAKey(format!("{other:?}"))),
                };
                let event = next(parser)?;
                let value = node(parser, event)?;
                if entries.insert(key.clone(), value).is_some() {
                    return Err(ReadError::Twice(key));
                }
            }
        }
        other => Err(ReadError::NotAccepted(format!("{other:?}"))),
    }
}

fn next<'a>(parser: &mut Parser<'a, saphyr_parser::StrInput<'a>>) -> Result<Event<'a>, ReadError> {
    let event = parser.next_event().ok_or(ReadError::TooShort)?;
    let (event, _) = event?;
    Ok(event)
}

fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match text.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => text.into(),
        },
    }
}

fn tagged(tag: Option<&Tag>, value: Value) -> Result<Value, ReadError> {
    let Some(tag) = tag else {
        return Ok(value);
    };
    if tag.handle != "!" {
        return Err(ReadError::NotAFunction(format!("{tag:?}")));
    }
    let (name, value) = match (tag.suffix.as_str(), value) {
        (name @ ("Ref" | "Condition"), value) => (name.to_owned(), value),
        ("GetAtt", Value::String(text)) => {
            let (resource, attribute) = text.split_once('.').ok_or(ReadError::NoAttribute)?;
            (
                "Fn::GetAtt".to_owned(),
                [resource, attribute].as_slice().into(),
            )
        }
        (name, value) => (format!("Fn::{name}"), value),
    };
    Ok(Value::Object(Map::from_iter([(name, value)])))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn functions_are_read_from_tags() {
        let text =
            "a: !Ref X\nb: !GetAtt X.Arn\nc: !If [D, !Sub '${E}', 12]\nd: \"true\"\ne: true\n";
        let expected = json!({
            "a": {"Ref": "X"},
            "b": {"Fn::GetAtt": ["X", "Arn"]},
            "c": {"Fn::If": ["D", {"Fn::Sub": "${E}"}, 12]},
            "d": "true",
            "e": true,
        });
        assert_eq!(read(text), Ok(expected));
    }

    #[test]
    fn what_cloudformation_does_not_take_is_refused() {
        for text in [
            "",
            "a: 1\na: 2\n",
            "a: &b 1\nc: *b\n",
            "a: !!str 1\n",
            "a: !GetAtt X\n",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
