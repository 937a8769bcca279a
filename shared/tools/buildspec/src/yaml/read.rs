//! Builds nodes from the parser's events on an explicit stack, so that depth uses no call stack.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::mistakes::{explain, refuse_control_characters, refuse_tab_indent};
use super::place::{At, Offsets, span_at};
use super::{Limits, Node, Span, Value, YamlError};

/// Reads the one document in `text`. A text without one reads as a null scalar at line 1.
///
/// A byte order mark and CRLF line ends are accepted.
///
/// # Errors
/// When the text is not YAML, has a duplicate key, a second document or a key that is not a scalar, uses
/// what [`Limits::aliases`] forbids, or exceeds the limits.
pub fn read(text: &str, limits: Limits) -> Result<Node, YamlError> {
    let whole = text.len();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let skipped = whole - text.len();
    if text.len() > limits.bytes {
        let message = format!(
            "the text is {} bytes long, at most {} are read",
            text.len(),
            limits.bytes
        );
        return Err(YamlError::new(START, message));
    }
    refuse_control_characters(text)?;
    let lines: Vec<&str> = text.lines().collect();
    let offsets = Offsets::new(text, skipped);
    let mut builder = Builder::new(limits);
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, place) = event.map_err(|error| explain(&error, &lines))?;
        let span = span_at(place.start);
        refuse_tab_indent(&event, span, &lines)?;
        let range = offsets.of(place.start)..offsets.of(place.end);
        builder.take(event, At { span, range })?;
    }
    Ok(builder.root.unwrap_or(Node {
        span: START,
        range: 0..0,
        value: Value::Scalar {
            text: String::new(),
            quoted: false,
        },
    }))
}

const START: Span = Span { line: 1, column: 1 };

/// A node under construction, with its counts for the limits.
#[derive(Clone)]
struct Built {
    node: Node,
    nodes: usize,
    height: usize,
}

/// A sequence or mapping whose end has not been read yet.
struct Open {
    at: At,
    anchor: usize,
    nodes: usize,
    height: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<(Node, Node)>,
        key: Option<Node>,
        lines: HashMap<String, usize>,
    },
}

struct Builder {
    limits: Limits,
    open: Vec<Open>,
    anchors: HashMap<usize, Built>,
    nodes: usize,
    documents: usize,
    root: Option<Node>,
}

impl Builder {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            documents: 0,
            root: None,
        }
    }

    fn take(&mut self, event: Event<'_>, at: At) -> Result<(), YamlError> {
        let span = at.span;
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => self.document(span),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::Scalar(text, style, anchor, tag) => {
                self.check_extras(anchor, tag.as_deref(), span)?;
                let quoted =
                    style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str");
                let value = Value::Scalar {
                    text: text.into_owned(),
                    quoted,
                };
                self.count(1, span)?;
                let built = Built {
                    node: at.node(value),
                    nodes: 1,
                    height: 0,
                };
                self.finish(built, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_extras(anchor, tag.as_deref(), span)?;
                self.begin(at, anchor, Content::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.check_extras(anchor, tag.as_deref(), span)?;
                let content = Content::Mapping {
                    entries: Vec::new(),
                    key: None,
                    lines: HashMap::new(),
                };
                self.begin(at, anchor, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(&at),
        }
    }

    fn document(&mut self, span: Span) -> Result<(), YamlError> {
        self.documents += 1;
        if self.documents > 1 {
            return Err(YamlError::new(
                span,
                "a second document starts here (`---`): keep one document per file",
            ));
        }
        Ok(())
    }

    fn check_extras(&self, anchor: usize, tag: Option<&Tag>, span: Span) -> Result<(), YamlError> {
        if anchor != 0 && !self.limits.aliases {
            return Err(YamlError::new(
                span,
                "anchors (`&name`) are not read here: write the value out, or quote the text",
            ));
        }
        match tag {
            Some(tag) if !self.limits.aliases || !is_core(tag) => {
                let written = if tag.is_yaml_core_schema() {
                    format!("!!{}", tag.suffix)
                } else {
                    tag.to_string()
                };
                let message =
                    format!("the tag `{written}` is not read here: remove it, or quote the text");
                Err(YamlError::new(span, message))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn alias(&mut self, anchor: usize, at: At) -> Result<(), YamlError> {
        let span = at.span;
        if !self.limits.aliases {
            return Err(YamlError::new(
                span,
                "aliases (`*name`) are not read here: write the value out, or quote the text",
            ));
        }
        let Some(named) = self.anchors.get(&anchor) else {
            return Err(YamlError::new(
                span,
                "this alias is inside the value it names: write the value out",
            ));
        };
        if self.nodes + named.nodes > self.limits.nodes {
            return Err(self.too_many(span));
        }
        let built = Built {
            node: at.node(named.node.value.clone()),
            ..*named
        };
        self.count(built.nodes, span)?;
        self.check_depth(self.open.len() + built.height, span)?;
        self.finish(built, 0)
    }

    fn begin(&mut self, at: At, anchor: usize, content: Content) -> Result<(), YamlError> {
        let span = at.span;
        if let Some(Open {
            content: Content::Mapping { key: None, .. },
            ..
        }) = self.open.last()
        {
            return Err(key_is_no_text(span));
        }
        self.count(1, span)?;
        self.check_depth(self.open.len() + 1, span)?;
        self.open.push(Open {
            at,
            anchor,
            nodes: 1,
            height: 1,
            content,
        });
        Ok(())
    }

    fn end(&mut self, at: &At) -> Result<(), YamlError> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let value = match open.content {
            Content::Sequence(items) => Value::Sequence(items),
            Content::Mapping { entries, .. } => Value::Mapping(entries),
        };
        // The parser reports the end of a block only when the next token begins.
        let last = match &value {
            Value::Sequence(items) => items.last().map(|item| item.range.end),
            Value::Mapping(entries) => entries.last().map(|(_, value)| value.range.end),
            Value::Scalar { .. } => None,
        };
        let is_flow = at.range.end > at.range.start;
        let end = last.filter(|_| !is_flow).unwrap_or(at.range.end);
        let start = open.at.range.start;
        let node = Node {
            span: open.at.span,
            range: start..end.max(start),
            value,
        };
        let built = Built {
            node,
            nodes: open.nodes,
            height: open.height,
        };
        self.finish(built, open.anchor)
    }

    fn finish(&mut self, built: Built, anchor: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            self.anchors.insert(anchor, built.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(built.node);
            return Ok(());
        };
        parent.nodes += built.nodes;
        parent.height = parent.height.max(built.height + 1);
        match &mut parent.content {
            Content::Sequence(items) => items.push(built.node),
            Content::Mapping {
                entries,
                key,
                lines,
            } => match key.take() {
                Some(key) => entries.push((key, built.node)),
                None => {
                    refuse_twice(lines, &built.node)?;
                    *key = Some(built.node);
                }
            },
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), YamlError> {
        self.nodes += nodes;
        if self.nodes > self.limits.nodes {
            return Err(self.too_many(span));
        }
        Ok(())
    }

    fn too_many(&self, span: Span) -> YamlError {
        YamlError::new(
            span,
            format!("the document holds more than {} values", self.limits.nodes),
        )
    }

    fn check_depth(&self, depth: usize, span: Span) -> Result<(), YamlError> {
        if depth > self.limits.depth {
            let message = format!(
                "lists and mappings nest deeper than {} levels",
                self.limits.depth
            );
            return Err(YamlError::new(span, message));
        }
        Ok(())
    }
}

fn refuse_twice(lines: &mut HashMap<String, usize>, key: &Node) -> Result<(), YamlError> {
    let Value::Scalar { text, .. } = &key.value else {
        return Err(key_is_no_text(key.span));
    };
    match lines.insert(text.clone(), key.span.line) {
        Some(first) => {
            let message = format!("the key `{text}` is already on line {first}: keep one of them");
            Err(YamlError::new(key.span, message))
        }
        None => Ok(()),
    }
}

fn key_is_no_text(span: Span) -> YamlError {
    YamlError::new(
        span,
        "a key must be text, not a list or mapping: quote it if it starts with `{` or `[`",
    )
}

fn is_core(tag: &Tag) -> bool {
    tag.is_yaml_core_schema()
        && matches!(
            tag.suffix.as_str(),
            "str" | "int" | "float" | "bool" | "null" | "seq" | "map"
        )
}
