//! The grammar of chat: words as people type them, to a question or to the reason why there is none.

use std::str::FromStr;

use towline_domain::Timestamp;
use towline_domain::names::RepositoryName;

use super::Query;
use super::moment::Moment;

/// What was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    /// A question, and the same for the command line.
    Ask(Box<Query>, String),
    /// Somebody wants to know what can be typed.
    Help(String),
}

/// A word of chat: what it takes, and what it tells.
struct Word {
    name: &'static str,
    takes: &'static str,
    tells: &'static str,
}

const WORDS: [Word; 9] = [
    Word {
        name: "tags",
        takes: "COMPONENT [--branch BRANCH] [--limit N]",
        tells: "a component's images and tags, newest first",
    },
    Word {
        name: "commit",
        takes: "COMMIT",
        tells: "what became of a commit",
    },
    Word {
        name: "image",
        takes: "REF [--component COMPONENT]",
        tells: "everything known of an image: sha256:858e, 3f9c2ab, :prod, build#142",
    },
    Word {
        name: "history",
        takes: "COMPONENT STAGE [--limit N]",
        tells: "what was live in a stage, newest first",
    },
    Word {
        name: "now",
        takes: "[STAGE] [--component COMPONENT] [@ TIME]",
        tells: "what is live, or was at 2026-02-27T12:00 or 2h ago",
    },
    Word {
        name: "where",
        takes: "REF",
        tells: "where a commit's images are, and what keeps them from the next stage",
    },
    Word {
        name: "why",
        takes: "REF [COMPONENT]",
        tells: "why a commit was built or not",
    },
    Word {
        name: "runs",
        takes: "[--limit N]",
        tells: "the newest runs",
    },
    Word {
        name: "help",
        takes: "[WORD]",
        tells: "this",
    },
];

/// Lines asked for at most: more do not fit into an answer, and Slack waits three seconds.
const MOST_LINES: usize = 30;

/// What the command line can do and chat cannot yet.
const ELSEWHERE: [&str; 9] = [
    "promote", "approve", "reject", "rollback", "hold", "resume", "cancel", "retry", "logs",
];

/// What nothing of this version can do yet.
const NOWHERE: [&str; 12] = [
    "diff",
    "queue",
    "run",
    "lock",
    "unlock",
    "freeze",
    "bad",
    "good",
    "subscribe",
    "whoami",
    "override",
    "notify",
];

/// Reads what was typed behind the command; the error says what to type instead.
pub(super) fn read(text: &str, now: Timestamp) -> Result<Typed, String> {
    let all = words(text)?;
    let Some((word, rest)) = all.split_first() else {
        return Ok(Typed::Help(help(None)));
    };
    let word = word.to_lowercase();
    // Before anything is said about the rest, which may be good for the command line.
    if !WORDS.iter().any(|known| known.name == word) {
        return Err(unknown(&word, rest));
    }
    if rest.iter().any(|text| text == "--help") {
        return Ok(Typed::Help(help(Some(&word))));
    }
    let mut args = Args::new(&word, rest)?;
    let query = match word.as_str() {
        "help" => return Ok(Typed::Help(help(args.may().as_deref()))),
        "tags" => Query::Tags {
            component: args.must("COMPONENT")?,
            branch: args.option("branch")?,
            limit: args.limit()?,
            repository: args.repository()?,
        },
        "commit" => Query::Commit {
            commit: args.reference("COMMIT")?,
        },
        "image" => Query::Image {
            image: args.reference("REF")?,
            component: args.option("component")?,
            repository: args.repository()?,
        },
        "history" => Query::History {
            component: args.must("COMPONENT")?,
            stage: args.must("STAGE")?,
            limit: args.limit()?,
            repository: args.repository()?,
        },
        "now" => {
            let at = args.moment(now)?;
            Query::Now {
                component: args.option("component")?,
                stage: args.may_be()?,
                at,
            }
        }
        "where" => Query::Where {
            reference: args.reference("REF")?,
            repository: args.repository()?,
        },
        "why" => Query::Why {
            reference: args.reference("REF")?,
            component: args.may_be()?,
            repository: args.repository()?,
        },
        "runs" => Query::Runs {
            limit: args.limit()?,
            repository: args.repository()?,
        },
        other => return Err(unknown(other, rest)),
    };
    args.end()?;
    Ok(Typed::Ask(
        Box::new(query),
        on_the_command_line(&word, rest),
    ))
}

/// Why a word is not understood, and what to type instead.
fn unknown(word: &str, rest: &[String]) -> String {
    if ELSEWHERE.contains(&word) {
        let named = |text: &String| match (word, text.as_str()) {
            ("rollback", "to") => "--to".into(),
            _ => text.clone(),
        };
        let rest: Vec<String> = rest.iter().map(named).collect();
        let line = on_the_command_line(word, &rest);
        return format!("{word} is not done from chat yet; on the command line: {line}");
    }
    if NOWHERE.contains(&word) {
        return format!("this version of Towline has no {word} yet; what there is: /towline help");
    }
    let known = WORDS.iter().map(|known| known.name).chain(ELSEWHERE);
    match closest(word, known) {
        Some(meant) => {
            format!("there is no {word:?}; did you mean {meant}? All words: /towline help")
        }
        None => format!("there is no {word:?}; all words: /towline help"),
    }
}

/// The known word that is so close that the other must be a slip of the fingers.
fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::damerau_levenshtein(word, known), known))
        .filter(|(distance, known)| *distance <= known.len().div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

fn help(word: Option<&str>) -> String {
    let line = |word: &Word| format!("/towline {} {} — {}", word.name, word.takes, word.tells);
    let one = word.and_then(|word| WORDS.iter().find(|known| known.name == word));
    match (word, one) {
        (_, Some(word)) => line(word),
        (Some(word), None) => unknown(&word.to_lowercase(), &[]),
        (None, None) => {
            let lines: Vec<String> = WORDS.iter().map(line).collect();
            format!(
                "{}\nA REF is a commit's first digits, a tag (:prod), a digest's first digits (sha256:858e) or build#142. The rest is done on the command line: towline {}",
                lines.join("\n"),
                ELSEWHERE.join(", ")
            )
        }
    }
}

/// The same question for a shell.
fn on_the_command_line(word: &str, rest: &[String]) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_./:#=".contains(c);
    let quoted = |text: &str| match !text.is_empty() && text.chars().all(harmless) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    };
    let at = rest
        .iter()
        .position(|text| word == "now" && text.starts_with('@'));
    let (rest, moment) = rest.split_at(at.unwrap_or(rest.len()));
    let words = ["towline", word].into_iter();
    let mut shown: Vec<String> = words
        .chain(rest.iter().map(String::as_str))
        .map(quoted)
        .collect();
    if !moment.is_empty() {
        let moment = moment.join(" ");
        let moment = quoted(moment.trim_start_matches('@').trim());
        shown.extend(["--at".into(), moment]);
    }
    shown.join(" ")
}

/// Words as a shell would part them, without anything a shell would do. A dash that a phone has
/// made of two hyphens is two hyphens again.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in text.chars() {
        match quote {
            Some(open) if character == open => quote = None,
            Some(_) => word.get_or_insert_default().push(character),
            None if character == '"' || character == '\'' => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            None if character.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    match quote {
        Some(open) => Err(format!("a {open} is never closed")),
        None => {
            let typed = |word: String| match word.strip_prefix('—') {
                Some(name) => format!("--{name}"),
                None => word,
            };
            Ok(words.into_iter().map(typed).collect())
        }
    }
}

/// What follows a word: places in order, and options by name.
struct Args<'a> {
    word: &'a str,
    places: std::vec::IntoIter<String>,
    options: Vec<(String, String)>,
    moment: Option<String>,
}

impl<'a> Args<'a> {
    fn new(word: &'a str, rest: &[String]) -> Result<Self, String> {
        let mut places = Vec::new();
        let mut options = Vec::new();
        let mut moment = None;
        let mut rest = rest.iter();
        while let Some(text) = rest.next() {
            if word == "now" && text.starts_with('@') {
                let first = text.trim_start_matches('@').to_owned();
                let behind = std::iter::once(first).chain(rest.by_ref().cloned());
                moment = Some(behind.collect::<Vec<_>>().join(" "));
            } else if let Some(option) = text.strip_prefix("--") {
                let (name, value) = match option.split_once('=') {
                    Some((name, value)) => (name, value.to_owned()),
                    None => {
                        let value = rest.next();
                        let missing = || format!("--{option} wants a value");
                        (option, value.cloned().ok_or_else(missing)?)
                    }
                };
                if options.iter().any(|(known, _)| known == name) {
                    return Err(format!("--{name} is given more than once"));
                }
                options.push((name.to_owned(), value));
            } else {
                places.push(text.clone());
            }
        }
        Ok(Self {
            word,
            places: places.into_iter(),
            options,
            moment,
        })
    }

    fn usage(&self) -> String {
        help(Some(self.word))
    }

    fn may(&mut self) -> Option<String> {
        self.places.next()
    }

    fn may_be<T: FromStr<Err: std::fmt::Display>>(&mut self) -> Result<Option<T>, String> {
        self.may().map(|text| parsed(&text)).transpose()
    }

    fn must<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &str) -> Result<T, String> {
        let given = self.may_be()?;
        given.ok_or_else(|| format!("{name} is missing: {}", self.usage()))
    }

    /// A reference as it is printed, with the `…` that stands for further digits.
    fn reference(&mut self, name: &str) -> Result<String, String> {
        let text: String = self.must(name)?;
        Ok(text.trim_end_matches('…').to_owned())
    }

    fn option<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, String> {
        let Some(at) = self.options.iter().position(|(known, _)| known == name) else {
            return Ok(None);
        };
        let (_, value) = self.options.remove(at);
        parsed(&value).map(Some)
    }

    fn limit(&mut self) -> Result<Option<usize>, String> {
        let Some(text) = self.option::<String>("limit")? else {
            return Ok(None);
        };
        let limit = text
            .parse()
            .ok()
            .filter(|limit| (1..=MOST_LINES).contains(limit));
        limit
            .map(Some)
            .ok_or_else(|| format!("--limit goes from 1 to {MOST_LINES} in chat"))
    }

    fn repository(&mut self) -> Result<Option<RepositoryName>, String> {
        self.option("repository")
    }

    fn moment(&mut self, now: Timestamp) -> Result<Option<Timestamp>, String> {
        let written = match self.moment.take() {
            Some(written) => Some(written),
            None => self.option("at")?,
        };
        let Some(written) = written else {
            return Ok(None);
        };
        let moment: Moment = parsed(&written)?;
        let at = moment.before(now);
        at.map(Some)
            .ok_or_else(|| "that moment lies ahead; leave it out for what is live now".into())
    }

    fn end(mut self) -> Result<(), String> {
        if let Some((name, _)) = self.options.first() {
            return Err(format!("--{name} is not known here: {}", self.usage()));
        }
        match self.places.next() {
            Some(surplus) => Err(format!("{surplus:?} is too much: {}", self.usage())),
            None => Ok(()),
        }
    }
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

#[cfg(test)]
mod tests;
