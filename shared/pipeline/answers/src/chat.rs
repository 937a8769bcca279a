//! Reads chat commands with the grammar of the command line.

use clap::error::{ContextKind, ErrorKind};
use clap::{FromArgMatches as _, Subcommand as _};
use towline_domain::untrusted::Untrusted;

use super::{Command, Query};

/// What a person typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    /// A question, and the same as a shell command.
    Ask(Box<Query>, String),
    /// A request for help.
    Help(String),
}

/// Why a text is not a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ChatWords {
    /// A quote is not closed.
    #[error("a quote is not closed")]
    OpenQuote,
    /// The grammar rejects it; the text says what is wrong and what is expected.
    #[error("{0}")]
    Unknown(String),
    /// Only the command line can do it.
    #[error("{word} is not available in chat yet; run it on the command line: {line}")]
    Elsewhere {
        /// The command.
        word: String,
        /// The same as a shell command.
        line: String,
    },
    /// The answer would have too many lines.
    #[error("chat shows at most {MOST_LINES} lines. Run it on the command line: {0}")]
    TooMany(String),
}

/// The most lines of an answer: more do not fit, and Slack waits three seconds.
const MOST_LINES: usize = 30;

/// The questions that only the command line has.
const ELSEWHERE: [&str; 2] = ["logs", "audit"];

/// The most characters of a mistake to show, because it contains what was typed.
const MOST_LETTERS: usize = 300;

/// The words that may follow `/towline`: every question. The commands that change something are
/// known too, for suggestions.
fn grammar() -> clap::Command {
    let chat = clap::Command::new("/towline")
        .bin_name("/towline")
        .no_binary_name(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .term_width(0)
        .after_help(
            "\
A REF is the first digits of a commit (3f9c2ab), a tag (:prod), the first digits of a digest
(sha256:858e0a1b) or a build (build#142). `now` also takes @ TIME, as in: now prod @ 2h ago",
        );
    let chat = Query::augment_subcommands(chat);
    let names = elsewhere();
    let chat = Command::augment_subcommands(chat);
    let chat = ELSEWHERE.iter().fold(chat, |chat, name| {
        chat.subcommand(clap::Command::new(*name))
    });
    let chat = names.iter().fold(chat, |chat, name| {
        chat.mut_subcommand(name, |command| command.hide(true))
    });
    // This comes last, because the enums above set their own.
    chat.about("Ask which image is where, since when and why.")
}

/// The commands that only the command line has.
fn elsewhere() -> Vec<String> {
    let commands = Command::augment_subcommands(clap::Command::new("towline"));
    let names = commands.get_subcommands().map(clap::Command::get_name);
    names.chain(ELSEWHERE).map(str::to_owned).collect()
}

/// Reads the text after `/towline`.
pub(super) fn read(text: &str) -> Result<Typed, ChatWords> {
    let words = shell_words::split(text).map_err(|_| ChatWords::OpenQuote)?;
    let mut words: Vec<String> = words.into_iter().map(typed).collect();
    if let Some(first) = words.first_mut() {
        *first = first.to_lowercase();
    }
    // This is checked first, because the rest may be valid on the command line.
    if let Some(word) = meant(&words).filter(|word| elsewhere().contains(word)) {
        return Err(ChatWords::Elsewhere {
            word: word.clone(),
            line: on_the_command_line(&words),
        });
    }
    let words = moment(words);
    let matches = grammar().try_get_matches_from(&words);
    match matches.and_then(|matches| Query::from_arg_matches(&matches)) {
        Ok(query) => {
            let line = on_the_command_line(&words);
            match query.limit() {
                Some(limit) if limit > MOST_LINES => Err(ChatWords::TooMany(line)),
                Some(_) | None => Ok(Typed::Ask(Box::new(query), line)),
            }
        }
        Err(error) if is_help(error.kind()) => {
            let about_all =
                meant(&words).is_none_or(|word| ["help", "--help", "-h"].contains(&word.as_str()));
            Ok(Typed::Help(help(&error, about_all)))
        }
        Err(error) if error.kind() == ErrorKind::InvalidSubcommand => {
            Err(ChatWords::Unknown(unknown(&error)))
        }
        Err(error) => Err(ChatWords::Unknown(sentence(&error))),
    }
}

fn is_help(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

/// Turns a dash that a phone made of two hyphens back into two hyphens.
fn typed(word: String) -> String {
    match word.strip_prefix('—') {
        Some(name) => format!("--{name}"),
        None => word,
    }
}

/// The command that is used, or that help is requested for.
fn meant(words: &[String]) -> Option<&String> {
    match words {
        [help, word, ..] if help == "help" => Some(word),
        [word, ..] => Some(word),
        [] => None,
    }
}

/// `now @ 2h ago` is `now --at '2h ago'`.
fn moment(mut words: Vec<String>) -> Vec<String> {
    let is_now = words.first().is_some_and(|word| word == "now");
    let at = words.iter().position(|word| word.starts_with('@'));
    if let (true, Some(at)) = (is_now, at) {
        let behind = words.split_off(at).join(" ");
        let moment = behind.trim_start_matches('@').trim();
        words.extend(["--at".to_owned(), moment.to_owned()]);
    }
    words
}

/// The same as a shell command.
fn on_the_command_line(words: &[String]) -> String {
    let words = words.iter().map(String::as_str);
    let words = words.skip_while(|word| *word == "help");
    shell_words::join(std::iter::once("towline").chain(words))
}

/// Help as chat shows it; help about all commands also lists those that only the command line has.
fn help(error: &clap::Error, about_all: bool) -> String {
    let text = error.render().to_string();
    let text = text.trim_end().replace("\n  towline ", "\n  /towline ");
    match about_all {
        true => format!(
            "{text}\n\nOn the command line only: {}",
            elsewhere().join(", ")
        ),
        false => text,
    }
}

/// The message for an unknown command, with a suggestion.
fn unknown(error: &clap::Error) -> String {
    let shown = |kind| {
        let value = error.get(kind).map(ToString::to_string);
        value.map(|value| Untrusted::text(&value, MOST_LETTERS).display())
    };
    let word = shown(ContextKind::InvalidSubcommand).unwrap_or_default();
    let meant = shown(ContextKind::SuggestedSubcommand);
    let meant = meant.filter(|meant| !meant.is_empty());
    let meant = meant.map(|meant| format!("; did you mean: {meant}?"));
    format!(
        "unknown command \"{word}\"{}\n\nFor all commands: /towline help",
        meant.unwrap_or_default()
    )
}

/// What is wrong and what to type instead, without the parts that make sense only on a terminal.
fn sentence(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("For more information"))
        .map(|line| Untrusted::text(line, MOST_LETTERS).display());
    let lines: Vec<String> = lines.collect();
    format!(
        "{}\n\nFor all commands: /towline help",
        lines.join("\n").trim_end()
    )
}

#[cfg(test)]
mod tests;
