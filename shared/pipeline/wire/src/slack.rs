//! Slack's slash commands: the signature of the raw body, then the form; answers within Slack's limits.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::http::Headers;
use crate::people::{SlackUser, SlackUserError};
use crate::signature::{self, Secret, Secrets};

/// The header with the signature.
pub const SIGNATURE: &str = "x-slack-signature";
/// The header with the second at which Slack signed.
pub const TIMESTAMP: &str = "x-slack-request-timestamp";
/// Characters of a section's text (Slack Block Kit, section).
pub const MOST_SECTION: usize = 3_000;

/// Characters reserved for the line that says how to see all of a shortened answer.
const MOST_MORE: usize = 500;

/// How old a request may be (Slack, "Verifying requests from Slack").
const OLDEST: SignedDuration = SignedDuration::from_mins(5);
/// How far Slack's clock may be ahead of ours.
const AHEAD: SignedDuration = SignedDuration::from_mins(1);

/// A form whose signature was checked. There is no other way to create one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedForm(Vec<u8>);

/// Why a request is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlackError {
    /// A header is missing, repeated or malformed.
    #[error("the header {0} is missing, repeated or not in Slack's format")]
    Header(&'static str),
    /// It was signed too long ago and may be a replay.
    #[error("the request is older than five minutes")]
    Old,
    /// It was signed in the future.
    #[error("the request is from the future; check this machine's clock")]
    Future,
    #[error(
        "the signature does not match the body; check that the app's signing secret is the one set here"
    )]
    Wrong,
}

/// Checks the signature `v0` of a request and its age.
///
/// # Errors
/// When the signature is from another key, for another body, too old, or ahead of `now`.
pub fn verify(
    headers: &Headers,
    raw_body: Vec<u8>,
    secrets: &Secrets,
    now: Timestamp,
) -> Result<VerifiedForm, SlackError> {
    let header = |name| headers.only(name).ok_or(SlackError::Header(name));
    let signature = header(SIGNATURE)?;
    let code = signature::parse(signature, "v0=").ok_or(SlackError::Header(SIGNATURE))?;
    let text = header(TIMESTAMP)?;
    let at = seconds(text).ok_or(SlackError::Header(TIMESTAMP))?;
    if !secrets.have_signed(&base(text, &raw_body), &code) {
        return Err(SlackError::Wrong);
    }
    let age = now.duration_since(at);
    if age > OLDEST {
        return Err(SlackError::Old);
    }
    if age < -AHEAD {
        return Err(SlackError::Future);
    }
    Ok(VerifiedForm(raw_body))
}

/// The signed text: the version, the time as sent, and the body.
fn base<'a>(timestamp: &'a str, body: &'a [u8]) -> [&'a [u8]; 4] {
    [b"v0:", timestamp.as_bytes(), b":", body]
}

fn seconds(text: &str) -> Option<Timestamp> {
    let digits = !text.is_empty() && text.len() <= 12 && text.bytes().all(|c| c.is_ascii_digit());
    let seconds: i64 = digits.then(|| text.parse().ok())??;
    Timestamp::from_second(seconds).ok()
}

/// The value of [`SIGNATURE`] for a request that we send, as tests and `towline send` do.
#[must_use]
pub fn sign(secret: &Secret, timestamp: &str, body: &[u8]) -> String {
    let code = signature::code_of(secret, &base(timestamp, body));
    format!("v0={code}")
}

/// Whether this is Slack's check that the address answers over TLS. It is not signed and only needs a
/// 200.
#[must_use]
pub fn is_probe(body: &[u8]) -> bool {
    form_urlencoded::parse(body).any(|(name, value)| name == "ssl_check" && value == "1")
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlashCommand {
    /// The workspace.
    pub team: String,
    /// Who typed it, as `U…`.
    pub user: String,
    /// Where.
    pub channel: String,
    /// The command, such as `/towline`.
    pub command: String,
    /// The text after it, as typed.
    pub text: String,
}

impl SlashCommand {
    /// Who typed it.
    ///
    /// # Errors
    /// When a workspace or a user is missing.
    pub fn sender(&self) -> Result<SlackUser, SlackUserError> {
        SlackUser::new(&self.team, &self.user)
    }
}

/// Reads the form of a slash command.
#[must_use]
pub fn command(form: &VerifiedForm) -> SlashCommand {
    let mut command = SlashCommand::default();
    for (name, value) in form_urlencoded::parse(&form.0) {
        let field = match &*name {
            "team_id" => &mut command.team,
            "user_id" => &mut command.user,
            "channel_id" => &mut command.channel,
            "command" => &mut command.command,
            "text" => &mut command.text,
            _ => continue,
        };
        *field = value.into_owned();
    }
    command.text = as_typed(&command.text);
    command
}

/// The text as typed. Slack escapes `&`, `<` and `>`, replaces users, channels and links with
/// `<…|shown>`, and uses typographic quotes.
fn as_typed(text: &str) -> String {
    let mut typed = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('<') {
        let Some((inside, after)) = behind.split_once('>') else {
            break;
        };
        typed.push_str(before);
        let (target, shown) = inside.split_once('|').unwrap_or((inside, inside));
        match target.chars().next() {
            Some(mark @ ('@' | '#')) => {
                let shown = shown.trim_start_matches(mark);
                typed.push(mark);
                typed.push_str(shown);
            }
            _ => typed.push_str(shown),
        }
        rest = after;
    }
    typed.push_str(rest);
    typed
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
        .replace(['\u{201c}', '\u{201d}'], "\"")
        .replace(['\u{2018}', '\u{2019}'], "'")
}

/// The body of an answer in words.
#[must_use]
pub fn words(text: &str) -> Value {
    respond(&cut(&escaped(text), MOST_SECTION, ""))
}

/// The body of an answer in lines of a fixed width. A long answer is cut, and `more` says how to see
/// all of it.
#[must_use]
pub fn lines(lines: &[String], more: &str) -> Value {
    const FENCES: usize = "```\n```\n".len();
    let more = cut(&escaped(more), MOST_MORE, "…");
    let room = MOST_SECTION - FENCES;
    let all: Vec<String> = lines.iter().map(|line| escaped(line)).collect();
    let length = |line: &String| line.chars().count() + 1;
    if all.iter().map(length).sum::<usize>() <= room {
        return respond(&format!("```\n{}\n```", all.join("\n")));
    }
    let behind = |left: usize| format!("… {left} more lines; all of them: {more}");
    let room = room.saturating_sub(behind(all.len()).chars().count() + 1);
    let mut used = 0;
    let kept: Vec<&String> = all
        .iter()
        .take_while(|line| {
            used += length(line);
            used <= room
        })
        .collect();
    let shown = match kept.len() {
        // Not even the first line fits.
        0 => cut(&all[0], room, "…"),
        _ => kept
            .iter()
            .map(|line| line.as_str())
            .collect::<Vec<_>>()
            .join("\n"),
    };
    let behind = behind(all.len() - kept.len());
    respond(&format!("```\n{shown}\n```\n{behind}"))
}

/// Shown only to the person who asked: a channel may have guests or be shared with another company, and
/// channels are not linked to repositories yet.
fn respond(text: &str) -> Value {
    json!({
        "response_type": "ephemeral",
        "text": text,
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": true}}],
    })
}

/// The first characters of an escaped text, with complete entities.
fn cut(text: &str, most: usize, end: &str) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let room = most.saturating_sub(end.chars().count());
    let kept: String = text.chars().take(room).collect();
    let whole = match kept.rfind('&') {
        Some(at) if !kept[at..].contains(';') => &kept[..at],
        Some(_) | None => &kept,
    };
    format!("{whole}{end}")
}

/// A stranger's text that cannot mention people or format anything: `&`, `<` and `>` escaped for Slack, no
/// backtick that could end a block, no mention of a channel.
fn escaped(text: &str) -> String {
    let mut safe = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('`', "\u{2cb}");
    for word in ["@here", "@channel", "@everyone"] {
        let broken = word.replacen('@', "@\u{2060}", 1);
        safe = safe.replace(word, &broken);
    }
    safe
}

#[cfg(test)]
mod tests;
