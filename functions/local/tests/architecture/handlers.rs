//! No handler imports another: what two of them need is in a private module beside them.

use std::collections::BTreeSet;

use super::{files, is_test, text};

/// Where the handlers are.
const FOLDER: &str = "shared/pipeline/handlers/src/";

#[test]
fn no_handler_imports_another() {
    let handlers: Vec<String> = super::handlers()
        .into_iter()
        .map(|name| name.replace('-', "_"))
        .collect();
    let handlers: BTreeSet<&str> = handlers.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    for path in files() {
        let Some(place) = path.strip_prefix(FOLDER).filter(|_| !is_test(&path)) else {
            continue;
        };
        let own = place.split(['/', '.']).next().unwrap_or_default();
        let source = text(&path);
        let named = named(&source, &handlers);
        let others = named.iter().filter(|other| **other != own && own != "lib");
        found.extend(others.map(|other| format!("{path} names {other}")));
    }
    assert_eq!(found, Vec::<String>::new());
}

/// The handlers that a source names in a path: after `crate::` or `super::`, alone or in braces.
fn named<'a>(source: &str, handlers: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let code: Vec<&str> = source.lines().filter(is_code).collect();
    let code = code.join("\n");
    let mut named = BTreeSet::new();
    for root in ["crate::", "super::"] {
        for rest in code.split(root).skip(1) {
            let list = match rest.strip_prefix('{') {
                Some(list) => list.split(';').next().unwrap_or_default(),
                None => first_word(rest),
            };
            let words = list.split(|sign: char| !is_of_a_word(sign));
            let known = words.filter_map(|word| handlers.get(word));
            named.extend(known.copied());
        }
    }
    named
}

fn first_word(text: &str) -> &str {
    let end = text.find(|sign| !is_of_a_word(sign)).unwrap_or(text.len());
    &text[..end]
}

fn is_of_a_word(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_'
}

#[test]
fn a_handler_is_found_in_every_kind_of_path() {
    let handlers = BTreeSet::from(["plan_runs", "sweep"]);
    let check = |source: &str, expected: &[&str]| {
        let found: Vec<&str> = named(source, &handlers).into_iter().collect();
        assert_eq!(found, expected, "{source}");
    };
    check("use crate::sweep::heads;", &["sweep"]);
    check(
        "use crate::{\n    Context,\n    plan_runs::{Settings, commit},\n};",
        &["plan_runs"],
    );
    check("crate::sweep::handle(context).await", &["sweep"]);
    check("use super::{plan_runs, sweep};", &["plan_runs", "sweep"]);
    check("use crate::recording::record;\nfn sweep() {}", &[]);
    check("/// Like [`crate::sweep`].\nuse crate::sweeping;", &[]);
}
