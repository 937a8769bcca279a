//! Writes texts and keys with the same meaning in YAML 1.1 and 1.2.

use crate::yaml::bool11;

/// A key, unquoted if every parser reads it as the same text.
pub(super) fn key(name: &str) -> String {
    let starts_plain = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let is_plain = name
        .chars()
        .all(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.'));
    let is_a_word_of_yaml =
        bool11(name).is_some() || matches!(name.to_ascii_lowercase().as_str(), "y" | "n" | "null");
    if starts_plain && is_plain && !is_a_word_of_yaml {
        return name.to_owned();
    }
    if needs_escapes(name) {
        return format!("\"{}\"", escape(name));
    }
    single_or_double(name)
}

/// A quoted scalar whose further lines, if any, are indented by `depth`.
pub(crate) fn scalar(text: &str, depth: usize) -> String {
    if !needs_escapes(text) {
        return single_or_double(text);
    }
    let mut out = String::from("\"");
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if index > 0 {
            out.push_str("\\\n");
            out.push_str(&"  ".repeat(depth));
        }
        // A space at the start of a continued line would count as indentation.
        let (space, rest) = match line.strip_prefix(' ') {
            Some(rest) if index > 0 => ("\\ ", rest),
            Some(_) | None => ("", line),
        };
        out.push_str(space);
        out.push_str(&escape(rest));
    }
    out.push('"');
    out
}

fn single_or_double(text: &str) -> String {
    if text.contains('\'') && !text.contains(['"', '\\']) {
        format!("\"{text}\"")
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

fn needs_escapes(text: &str) -> bool {
    text.chars()
        .any(|character| !matches!(character, '"' | '\\') && escaped(character).is_some())
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match escaped(character) {
            Some(escape) => out.push_str(&escape),
            None => out.push(character),
        }
    }
    out
}

/// The escape of a character between double quotes, if it is not allowed there or could deceive a
/// reader (bidirectional controls).
fn escaped(character: char) -> Option<String> {
    let code = u32::from(character);
    match character {
        '"' => Some("\\\"".to_owned()),
        '\\' => Some("\\\\".to_owned()),
        '\n' => Some("\\n".to_owned()),
        '\t' => Some("\\t".to_owned()),
        _ if code > 0xffff => is_noncharacter(code).then(|| format!("\\U{code:08X}")),
        _ if is_deceiving(code) || is_noncharacter(code) || character.is_control() => {
            Some(format!("\\u{code:04X}"))
        }
        _ => None,
    }
}

fn is_noncharacter(code: u32) -> bool {
    code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code)
}

fn is_deceiving(code: u32) -> bool {
    matches!(code, 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x2069 | 0xfeff)
}
