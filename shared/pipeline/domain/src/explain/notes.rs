//! The sentences for delays, and for what people should know about a run beside its state.

use std::fmt::{self, Display, Formatter};

use crate::obstacle::{Obstacle, Service};
use crate::reason::count;
use crate::run::{Delay, Note};

/// Why a build cannot be started now, with its platform if it is a part of an attempt.
#[must_use]
pub fn delay(platform: Option<&str>, why: &Delay) -> String {
    match platform {
        Some(platform) => format!("{platform}: {why}"),
        None => why.to_string(),
    }
}

impl Display for Delay {
    fn fmt(&self, text: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { said } => text.write_str(said),
            Self::Denied(obstacle) => obstacle.fmt(text),
        }
    }
}

/// An obstacle in a line beside a commit, which everybody may read: without the service's words.
#[must_use]
pub fn beside_commit(obstacle: &Obstacle) -> String {
    let what = what_is_denied(obstacle.by);
    format!("{what}; ask Towline why")
}

fn what_is_denied(by: Service) -> &'static str {
    match by {
        Service::Git => "access to the repository is denied",
        Service::Aws => "AWS denies it",
        Service::Secrets => "build secrets cannot be used",
    }
}

impl Display for Obstacle {
    fn fmt(&self, text: &mut Formatter<'_>) -> fmt::Result {
        let Self { by, said } = self;
        let what = what_is_denied(*by);
        let hint = match by {
            Service::Aws => " (`towline doctor` lists missing permissions)",
            Service::Git | Service::Secrets => "",
        };
        write!(
            text,
            "{what}{hint}: {said}; it continues once this is fixed"
        )
    }
}

impl Display for Note {
    fn fmt(&self, text: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside { files, count: all } => {
                let all = count(*all, "changed file");
                let named: Vec<_> = files.iter().map(|file| file.escape_debug()).collect();
                write!(text, "{all} outside every component: ")?;
                for (place, file) in named.into_iter().enumerate() {
                    let comma = if place > 0 { ", " } else { "" };
                    write!(text, "{comma}{file}")?;
                }
                Ok(())
            }
            Self::TriedAgain {
                component,
                build,
                again,
                by,
            } => write!(
                text,
                "build#{build} of {component} is tried again as build#{again} by {by}"
            ),
            Self::Contradicted(why) => why.fmt(text),
            Self::NotOffered { component, why } => {
                write!(text, "{component} is offered to no stage: {why}")
            }
        }
    }
}
