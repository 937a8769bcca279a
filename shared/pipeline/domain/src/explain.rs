//! Explains why something waits or did not happen, from the same rules that decide it.

mod access;
mod ending;
mod notes;
mod reasons;
mod standing;

use crate::Timestamp;
use crate::run::{Attempt, AttemptState};

pub use ending::ending;
pub use notes::{beside_commit, delay};
pub use standing::{Outside, Standing, Waiting, lacking, loosened, standing, waiting};

/// The state of an attempt, in one clause. While its parts run, in one clause for each part.
#[must_use]
pub fn attempt(attempt: &Attempt) -> String {
    let name = attempt.name();
    match &attempt.state {
        AttemptState::Due | AttemptState::Building if !attempt.parts.is_empty() => parts(attempt),
        AttemptState::Due => match &attempt.waiting {
            Some(why) => format!("{name} is waiting to start: {why}"),
            None => format!("{name} is waiting to start"),
        },
        AttemptState::Building if attempt.build_succeeded => {
            format!("{name} succeeded; its image has not been read from the registry yet")
        }
        AttemptState::Building if attempt.started_at.is_none() => {
            format!("{name} is queued")
        }
        AttemptState::Building => format!("{name} is running"),
        AttemptState::Succeeded => format!("{name} succeeded"),
        AttemptState::Failed { platform, why } => {
            reasons::failure(attempt.build_number, platform.as_deref(), why)
        }
        AttemptState::Cancelled { by } => format!("{name} was cancelled by {by}"),
        AttemptState::Superseded { by, crowded } => reasons::superseded(&name, by, *crowded),
        AttemptState::Held { why } => format!("{name} is held: {why}"),
    }
}

/// What an unfinished build waits for, as a clause; `before` is the number of builds that start before
/// it, if that is known.
#[must_use]
pub fn queued(attempt: &Attempt, before: Option<usize>) -> String {
    match (&attempt.state, before) {
        (AttemptState::Due, _) => match attempt.delay() {
            Some((platform, why)) => {
                format!("another try to start it: {}", delay(platform, why))
            }
            None => "its start".into(),
        },
        (AttemptState::Building, _) if attempt.waiting.is_some() => parts(attempt),
        (AttemptState::Building, _) if attempt.started_at.is_some() => "nothing; it runs".into(),
        (AttemptState::Building, Some(0)) => "a free slot; it is next".into(),
        (AttemptState::Building, Some(1)) => "a free slot; 1 build is ahead of it".into(),
        (AttemptState::Building, Some(before)) => {
            format!("a free slot; {before} builds are ahead of it")
        }
        (AttemptState::Building, None) => "the build service to begin it".into(),
        (
            AttemptState::Succeeded
            | AttemptState::Failed { .. }
            | AttemptState::Cancelled { .. }
            | AttemptState::Superseded { .. }
            | AttemptState::Held { .. },
            _,
        ) => "nothing; it has ended".into(),
    }
}

fn parts(attempt: &Attempt) -> String {
    if attempt.index().is_some() {
        let number = attempt.build_number;
        let why = attempt.waiting.as_ref().map(|why| format!(": {why}"));
        return format!(
            "build#{number} succeeded on every platform; its image index has not been pushed yet{}",
            why.unwrap_or_default()
        );
    }
    let parts: Vec<String> = attempt.parts.iter().map(self::attempt).collect();
    parts.join("; ")
}

/// A moment for people: `2026-03-02 10:14 UTC`.
#[must_use]
pub fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// The time between two moments in its two largest units: `3h 12m`, `45s`.
#[must_use]
pub fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().unsigned_abs();
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let mut rest = seconds;
    let parts = units.iter().filter_map(|(name, size)| {
        let whole = rest / size;
        rest %= size;
        (whole > 0).then(|| format!("{whole}{name}"))
    });
    let parts: Vec<String> = parts.take(2).collect();
    if parts.is_empty() {
        "0s".into()
    } else {
        parts.join(" ")
    }
}
