//! How good, unusual and hostile documents are read.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::needless_pass_by_value,
    reason = "cases read better without references"
)]

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

const WITH_ALIASES: fn() -> Limits = || Limits {
    aliases: true,
    ..Limits::default()
};

fn show(node: &Node) -> String {
    let Span { line, column } = node.span;
    let place = format!("{line}:{column}");
    match &node.value {
        Value::Scalar { text, quoted: true } => format!("{text:?}@{place}"),
        Value::Scalar {
            text,
            quoted: false,
        } => format!("{}@{place}", if node.is_null() { "null" } else { text }),
        Value::Sequence(items) => format!(
            "[{}]@{place}",
            items.iter().map(show).collect::<Vec<_>>().join(", ")
        ),
        Value::Mapping(entries) => {
            let entries: Vec<_> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", show(key), show(value)))
                .collect();
            format!("{{{}}}@{place}", entries.join(", "))
        }
    }
}

fn outcome(text: &str, limits: Limits) -> String {
    match read(text, limits) {
        Ok(node) => show(&node),
        Err(error) => error.to_string(),
    }
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&outcome(text, Limits::default()));
}

fn check_with_aliases(text: &str, expected: Expect) {
    expected.assert_eq(&outcome(text, WITH_ALIASES()));
}

#[test]
fn scalars_stay_as_written_and_know_their_place() {
    check(
        "version: 1.20\nflag: yes\nquoted: \"yes\"\n",
        expect![[r#"{version@1:1: 1.20@1:10, flag@2:1: yes@2:7, quoted@3:1: "yes"@3:9}@1:1"#]],
    );
    check(
        "a:\n  - x\n  - y: z\n",
        expect!["{a@1:1: [x@2:5, {y@3:5: z@3:8}@3:5]@2:3}@1:1"],
    );
    check(
        "block: |\n  one\n  two\nfolded: >-\n  three\n  four\n",
        expect![[r#"{block@1:1: "one\ntwo\n"@2:3, folded@4:1: "three four"@5:3}@1:1"#]],
    );
    check(
        "{a: [1, 2], b: {c: d}}",
        expect!["{a@1:2: [1@1:6, 2@1:9]@1:5, b@1:13: {c@1:17: d@1:20}@1:16}@1:1"],
    );
    check("é: [ü, x]", expect!["{é@1:1: [ü@1:5, x@1:8]@1:4}@1:1"]);
}

#[test]
fn nothing_is_null_however_it_is_written() {
    check("", expect!["null@1:1"]);
    check("# only a comment\n", expect!["null@1:1"]);
    check(
        "a:\nb: ~\nc: null\nd: 'null'\ne: \"\"\n",
        expect![[
            r#"{a@1:1: null@1:2, b@2:1: null@2:4, c@3:1: null@3:4, d@4:1: "null"@4:4, e@5:1: ""@5:4}@1:1"#
        ]],
    );
    check("---\n...\n", expect!["null@2:1"]);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_accepted() {
    check(
        "\u{feff}a: b\r\nc:\r\n  - d\r\n  - |\r\n    e\r\n    f\r\n",
        expect![[r#"{a@1:1: b@1:4, c@2:1: [d@3:5, "e\nf\n"@5:5]@3:3}@1:1"#]],
    );
}

#[test]
fn a33_what_could_be_misread_is_refused_with_its_place() {
    check(
        "a: 1\nb: 2\na: 3\n",
        expect!["line 3, column 1: the key `a` is already on line 1: keep one of them"],
    );
    check(
        "x: {k: 1, 'k': 2}\n",
        expect!["line 1, column 11: the key `k` is already on line 1: keep one of them"],
    );
    check(
        "a: 1\n---\nb: 2\n",
        expect![
            "line 2, column 1: a second document starts here (`---`): keep one document per file"
        ],
    );
    check(
        "a: &x 1\n",
        expect![
            "line 1, column 4: anchors (`&name`) are not read here: write the value out, or quote the text"
        ],
    );
    check(
        "a: [*x]\n",
        expect![
            "line 1, column 5: not YAML: while parsing node, found unknown anchor (quote a text that starts with `*`)"
        ],
    );
    check(
        "a: !!python/object:os.system 1\n",
        expect![
            "line 1, column 4: the tag `!!python/object:os.system` is not read here: remove it, or quote the text"
        ],
    );
    check(
        "a: !Sub x\n",
        expect!["line 1, column 4: the tag `!Sub` is not read here: remove it, or quote the text"],
    );
    check(
        "{{x}}: 1\n",
        expect![
            "line 1, column 1: a key must be text, not a list or mapping: quote it if it starts with `{` or `[`"
        ],
    );
    check(
        "? [a, b]\n: 1\n",
        expect![
            "line 1, column 3: a key must be text, not a list or mapping: quote it if it starts with `{` or `[`"
        ],
    );
    check(
        "a: b\0c\n",
        expect!["line 1, column 5: the character U+0000 is not allowed in YAML: remove it"],
    );
    check(
        "a: b\nc: \u{1b}[31m\n",
        expect!["line 2, column 4: the character U+001B is not allowed in YAML: remove it"],
    );
    check(
        "run: echo a: b\n",
        expect![
            "line 1, column 12: not YAML: mapping values are not allowed in this context (quote a text that contains `: `)"
        ],
    );
    check(
        "a: [1, 2\n",
        expect!["line 2, column 1: not YAML: while parsing a flow sequence, expected ',' or ']'"],
    );
    check(
        "a: 'open\n",
        expect![
            "line 1, column 4: not YAML: while scanning a quoted scalar, found unexpected end of stream"
        ],
    );
    check(
        "a: @b\n",
        expect!["line 1, column 4: not YAML: unexpected character: `@'"],
    );
}

#[test]
fn a_tab_that_indents_is_named_with_line_and_column() {
    check(
        "a:\n\tb: c\n",
        expect![
            "line 2, column 1: YAML allows only spaces for indentation: replace the tab with spaces"
        ],
    );
    check(
        "a:\n  b:\n  \t- c\n",
        expect![
            "line 3, column 3: YAML allows only spaces for indentation: replace the tab with spaces"
        ],
    );
    check(
        "\ta: b\n",
        expect![
            "line 1, column 1: YAML allows only spaces for indentation: replace the tab with spaces"
        ],
    );
    check(
        "phases:\n  build:\n    commands:\n\t  - make\n",
        expect![
            "line 4, column 1: YAML allows only spaces for indentation: replace the tab with spaces"
        ],
    );
    check(
        "\tversion: 0.2\n\tphases:\n",
        expect![
            "line 1, column 1: YAML allows only spaces for indentation: replace the tab with spaces"
        ],
    );
    check(
        "a:\n  - b\n\t- c\n",
        expect![
            "line 3, column 1: YAML allows only spaces for indentation: replace the tab with spaces"
        ],
    );
    check(
        "a: {b: 1,\n\tc: 2}\n",
        expect![
            "line 2, column 1: YAML allows only spaces for indentation: replace the tab with spaces"
        ],
    );
    check(
        "a: \"b\n\tc\"\n",
        expect![
            "line 2, column 1: YAML allows only spaces for indentation: replace the tab with spaces"
        ],
    );
    check(
        "a: |\n  one\n  \ttwo\nb: c\t# comment\n\t\nc: |\n  \tfirst\n",
        expect![[r#"{a@1:1: "one\n\ttwo\n"@2:3, b@4:1: c@4:4, c@6:1: "\tfirst\n"@7:3}@1:1"#]],
    );
    check(
        "b:\tc\n",
        expect![
            "line 1, column 4: not YAML: ':' must be followed by a valid YAML whitespace (use a space there, not a tab)"
        ],
    );
    check(
        "a: b\rc: d\n",
        expect!["line 1, column 5: the character U+000D is not allowed in YAML: remove it"],
    );
    check(
        "a: |\n  one\n  \ttwo\nb:\tc\n",
        expect![
            "line 4, column 4: not YAML: ':' must be followed by a valid YAML whitespace (use a space there, not a tab)"
        ],
    );
}

#[test]
fn aliases_are_expanded_where_they_are_allowed() {
    check_with_aliases(
        "a: &x [1, 2]\nb: *x\n",
        expect!["{a@1:1: [1@1:8, 2@1:11]@1:4, b@2:1: [1@1:8, 2@1:11]@2:4}@1:1"],
    );
    check_with_aliases(
        "a: &x\n  - *x\n",
        expect!["line 2, column 5: this alias is inside the value it names: write the value out"],
    );
    check_with_aliases(
        "a: *nowhere\n",
        expect![
            "line 1, column 4: not YAML: while parsing node, found unknown anchor (quote a text that starts with `*`)"
        ],
    );
    check_with_aliases(
        "a: !!str 1\nb: !!int 2\n",
        expect![[r#"{a@1:1: "1"@1:4, b@2:1: 2@2:4}@1:1"#]],
    );
    check_with_aliases(
        "a: !Sub x\n",
        expect!["line 1, column 4: the tag `!Sub` is not read here: remove it, or quote the text"],
    );
}

#[test]
fn the_helpers_answer_only_for_what_is_there() {
    let node = read("a: on\nb: 'on'\nc: [x]\nd: null\n", Limits::default()).unwrap();
    assert_eq!(node.get("a").unwrap().as_bool11(), Some(true));
    assert_eq!(node.get("b").unwrap().as_bool11(), None);
    assert_eq!(node.get("b").unwrap().as_str(), Some("on"));
    assert_eq!(node.get("c").unwrap().as_sequence().unwrap().len(), 1);
    assert_eq!(node.get("d").unwrap().as_str(), None);
    assert_eq!(node.get("e"), None);
    assert_eq!(node.get("c").unwrap().get("x"), None);
}

fn alias_bomb() -> String {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..40 {
        let uses = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{uses}]\n"));
    }
    text
}

fn alias_ladder() -> String {
    let mut text = String::from("a0: &a0 [x]\n");
    for level in 1..2_000 {
        text.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    text
}

#[test]
fn a33_hostile_documents_are_refused_fast() {
    let spaces: String = (0..300)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    let cases = [
        ("ten megabytes", "a".repeat(10 << 20)),
        ("flow depth", "[".repeat(10_000)),
        ("flow mapping depth", "{a: ".repeat(10_000)),
        ("block depth", "- ".repeat(10_000)),
        ("key depth", "? ".repeat(10_000)),
        ("indented depth", spaces),
        ("alias bomb", alias_bomb()),
        ("alias ladder", alias_ladder()),
        ("many nodes", format!("[{}]", "a,".repeat(30_000))),
    ];
    for (name, text) in cases {
        let (sender, receiver) = mpsc::channel();
        let reader = thread::spawn(move || sender.send(read(&text, WITH_ALIASES()).is_err()));
        let is_refused = receiver.recv_timeout(Duration::from_secs(2));
        assert_eq!(is_refused, Ok(true), "{name}");
        reader.join().unwrap().unwrap();
    }
}

#[test]
fn documents_at_the_limits_are_read() {
    let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
    assert!(read(&deep, Limits::default()).is_ok());
    let keys: String = (0..6_000).map(|number| format!("k{number}:\n")).collect();
    assert_eq!(
        read(&keys, Limits::default())
            .unwrap()
            .as_mapping()
            .unwrap()
            .len(),
        6_000
    );
}

proptest! {
    #[test]
    fn any_text_is_read_with_places_in_it_or_refused_at_one(text in "[\\PC\t\n\r:\\-\\[\\]{}&*!|>'\"#%@`,? ]{0,200}") {
        for limits in [Limits::default(), WITH_ALIASES()] {
            let breaks = text.matches(['\n', '\r']).count();
            match read(&text, limits) {
                Ok(root) => prop_assert!(text.get(root.range.clone()).is_some(), "{root:?}"),
                Err(error) => {
                    prop_assert!((1..=breaks + 2).contains(&error.line), "{error:?}");
                    prop_assert!(error.column >= 1 && !error.message.is_empty(), "{error:?}");
                }
            }
        }
    }
}

#[test]
fn nodes_know_the_bytes_they_were_read_from() {
    let text = "\u{feff}a: 'é x'\r\nb:\r\n  - plain é # no\r\n  - |\r\n    two\r\n    lines\r\nc: [1, {d: \"e\"}]\r\n";
    let root = read(text, Limits::default()).unwrap();
    let mut seen = Vec::new();
    let mut left = vec![&root];
    while let Some(node) = left.pop() {
        seen.push(text[node.range.clone()].trim_end().to_owned());
        match &node.value {
            Value::Scalar { .. } => {}
            Value::Sequence(items) => left.extend(items.iter().rev()),
            Value::Mapping(entries) => left.extend(entries.iter().rev().map(|(_, value)| value)),
        }
    }
    expect![[r#"
        [
            "a: 'é x'\r\nb:\r\n  - plain é # no\r\n  - |\r\n    two\r\n    lines\r\nc: [1, {d: \"e\"}]",
            "'é x'",
            "- plain é # no\r\n  - |\r\n    two\r\n    lines",
            "plain é",
            "two\r\n    lines",
            "[1, {d: \"e\"}]",
            "1",
            "{d: \"e\"}",
            "\"e\"",
        ]
    "#]]
    .assert_debug_eq(&seen);
}
