//! E016, E017, W031, W032: the tags that images get.

use std::collections::BTreeSet;
use std::ops::Range;

use super::moment::Moment;
use super::{Note, Notes};
use crate::lint::Code;
use crate::lint::shell::{Call, Word};
use crate::lint::value::{Atom, Why, tag};

/// The reported causes: each is reported once, however often its tag is used.
#[derive(Default)]
pub(super) struct Seen {
    tags: BTreeSet<(Code, String)>,
    /// Where commits are shortened, and whether all tags of an image are.
    full: BTreeSet<String>,
}

pub(super) fn called(moment: &Moment<'_>, seen: &mut Seen, notes: &mut Notes) {
    let call = moment.call;
    if !matches!(call.name(), "docker" | "podman" | "buildah") {
        return;
    }
    let verbs = call.verbs();
    let verb = verbs
        .iter()
        .copied()
        .find(|verb| !matches!(*verb, "image" | "buildx"))
        .unwrap_or("");
    let words = match verb {
        "build" | "bud" => call.options(&["-t", "--tag"]),
        "tag" => behind(call, "tag").into_iter().skip(1).take(1).collect(),
        "push" => behind(call, "push").into_iter().take(1).collect(),
        _ => Vec::new(),
    };
    let all: Vec<(Word, Vec<Atom>)> = words
        .into_iter()
        .map(|word| {
            let atoms = moment
                .variables
                .resolve(&word, &|range| moment.place(range));
            (word, atoms)
        })
        .collect();
    if verb == "build" {
        let unique = all
            .iter()
            .filter_map(|(_, atoms)| tag(atoms))
            .any(|tag| !is_short(&tag) && !is_moving(&tag));
        if unique {
            seen.full.extend(all.iter().map(|(_, atoms)| name(atoms)));
        }
    }
    let pushes = verb == "push" || call.has(&["--push"]);
    for (word, atoms) in &all {
        one(moment, &word.range, atoms, pushes, seen, notes);
    }
}

/// The words after a subcommand that are not options.
fn behind(call: &Call, verb: &str) -> Vec<Word> {
    let words = call.arguments().iter();
    words
        .skip_while(|word| word.text() != Some(verb))
        .skip(1)
        .filter(|word| !word.text().is_some_and(|text| text.starts_with('-')))
        .cloned()
        .collect()
}

fn one(
    moment: &Moment<'_>,
    word: &Range<usize>,
    atoms: &[Atom],
    pushes: bool,
    seen: &mut Seen,
    notes: &mut Notes,
) {
    let here = moment.place(word);
    let tag = tag(atoms);
    let is_latest = match &tag {
        Some(tag) => is_moving(tag),
        None => atoms
            .iter()
            .all(|atom| matches!(atom, Atom::Text(text) if !text.contains('@'))),
    };
    if pushes && is_latest && moment.spec.context.immutable_tags == Some(true) {
        let note = Note::new(
            Code::W032,
            here.clone(),
            "The second push of `latest` is rejected with `ImageTagAlreadyExistsException`: the repository has immutable tags.",
            "Push a tag that is unique to the build, and deploy by digest.",
        );
        notes.add(moment.spec.source, note);
    }
    let Some(tag) = tag else {
        return;
    };
    if let Some(problem) = invalid(&tag) {
        if seen.tags.insert((Code::E016, problem.clone())) {
            let note = Note::new(
                Code::E016,
                here.clone(),
                format!("Docker rejects the tag with `invalid reference format`: {problem}."),
                "A tag has at most 128 letters, digits, `_`, `.` and `-`, and does not begin with `.` or `-`.",
            );
            notes.add(moment.spec.source, note);
        }
    } else if let Some((name, why)) = empty(&tag)
        && seen.tags.insert((Code::E017, name.to_owned()))
    {
        notes.add(moment.spec.source, empty_note(&here, name, why));
    }
    if let [Atom::Short(length, place)] = &tag[..]
        && !seen.full.contains(&name(atoms))
        && seen.tags.insert((Code::W031, format!("{place:?}")))
    {
        let note = Note::new(
            Code::W031,
            place.clone(),
            format!(
                "A commit shortened to {length} characters may not be unique, and a second build of the commit moves the tag."
            ),
            "Tag with the full commit, or add the build number: `$CODEBUILD_RESOLVED_SOURCE_VERSION` or `...-$CODEBUILD_BUILD_NUMBER`.",
        );
        notes.add(moment.spec.source, note);
    }
}

fn empty_note(here: &Range<usize>, name: &str, why: Why) -> Note {
    let reason = match why {
        Why::SetToNothing => "the buildspec sets it to an empty value",
        Why::OtherShell => "in version 0.1 it was set in another command's shell",
        Why::SetLater => "only a later command sets it",
    };
    Note::new(
        Code::E017,
        here.clone(),
        format!(
            "{name} is empty here, because {reason}: Docker rejects the reference or uses `latest`."
        ),
        format!(
            "Set {name} before it is used, in a command of version 0.2 or under `env: variables:`."
        ),
    )
}

fn empty(tag: &[Atom]) -> Option<(&str, Why)> {
    match tag {
        [Atom::Empty(name, why)] => Some((name, *why)),
        _ => None,
    }
}

/// Why a tag is invalid, as far as it is known.
fn invalid(tag: &[Atom]) -> Option<String> {
    let mut least = 0;
    for (index, atom) in tag.iter().enumerate() {
        match atom {
            Atom::Text(text) => {
                least += text.chars().count();
                let first = text.chars().next().filter(|_| index == 0);
                if let Some(first) = first.filter(|first| matches!(first, '.' | '-')) {
                    return Some(format!("it begins with `{first}`"));
                }
                let is_allowed = |letter: &char| {
                    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-')
                };
                if let Some(bad) = text.chars().find(|letter| !is_allowed(letter)) {
                    return Some(format!("it has a `{}`", bad.escape_debug()));
                }
            }
            Atom::Commit => least += 40,
            Atom::Short(length, _) => least += length,
            Atom::BuildId => return Some("CODEBUILD_BUILD_ID has a `:`".to_owned()),
            Atom::Ref => return Some("a Git ref has a `/`".to_owned()),
            Atom::Unknown | Atom::Empty(..) => {}
        }
    }
    (least > 128).then(|| format!("it has at least {least} characters"))
}

fn is_short(tag: &[Atom]) -> bool {
    matches!(tag, [Atom::Short(..)])
}

fn is_moving(tag: &[Atom]) -> bool {
    matches!(tag, [Atom::Text(text)] if text == "latest")
}

/// The repository of a reference, for comparison only.
fn name(reference: &[Atom]) -> String {
    let length = tag(reference).map_or(0, |tag| tag.len());
    format!("{:?}", &reference[..reference.len().saturating_sub(length)])
}
