//! The context of a queued build that gave way to a newer one. Only the local runner writes it; CodeBuild
//! keeps builds in its own queue.

use towline_domain::run::{Crowded, GaveWay};
use towline_domain::turns::Crowd;

use super::Phase;

/// The code of the context.
pub const GAVE_WAY: &str = "GAVE_WAY";

/// The message of the context.
#[must_use]
pub fn gave_way(why: &GaveWay) -> String {
    let GaveWay { to, why } = why;
    format!("to {to}, {} of one {}", why.most, why.of.word())
}

/// What the context of a phase says, if it is that of the queue.
pub(super) fn of(phase: &Phase) -> Option<GaveWay> {
    if phase.name != "QUEUED" {
        return None;
    }
    phase.context.iter().find_map(|said| read(said))
}

fn read(said: &str) -> Option<GaveWay> {
    let said = said.strip_prefix(GAVE_WAY)?.strip_prefix(": to ")?;
    let (to, why) = said.split_once(", ")?;
    let (most, of) = why.split_once(" of one ")?;
    let crowds = [Crowd::Repository, Crowd::Ref];
    Some(GaveWay {
        to: to.parse().ok()?,
        why: Crowded {
            of: crowds.into_iter().find(|crowd| crowd.word() == of)?,
            most: most.parse().ok()?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_only_of_the_queue() {
        for of_whom in [Crowd::Repository, Crowd::Ref] {
            let why = GaveWay {
                to: "0123456789abcdef".parse().expect("a run"),
                why: Crowded {
                    of: of_whom,
                    most: 20,
                },
            };
            let phase = |name: &str| Phase {
                name: name.into(),
                status: Some("STOPPED".into()),
                started_at: None,
                ended_at: None,
                context: vec![format!("{GAVE_WAY}: {}", gave_way(&why))],
            };
            assert_eq!(of(&phase("QUEUED")), Some(why.clone()));
            assert_eq!(of(&phase("BUILD")), None);
        }
        assert_eq!(read("GAVE_WAY: to nobody"), None);
        assert_eq!(read("BUILD_STOPPED: the build was stopped"), None);
    }
}
