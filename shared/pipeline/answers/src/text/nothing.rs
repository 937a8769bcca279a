//! Says what an empty answer means, and what to do.

use towline_domain::names::{ComponentName, StageName};

use super::{Line, held};
use crate::answers::Answer;

/// The text if there is nothing to show, and what to do about it.
pub(super) fn nothing(answer: &Answer) -> Option<Vec<Line>> {
    let mut lines = vec![Line::plain(sentence(answer)?)];
    if let Answer::History {
        hold: Some(hold), ..
    } = answer
    {
        lines.push(held(hold));
    }
    Some(lines)
}

fn sentence(answer: &Answer) -> Option<String> {
    Some(match answer {
        Answer::Tags { component, images } if images.is_empty() => format!(
            "no image of {component} yet; push a commit that changes it, or see all pushes with: towline runs"
        ),
        Answer::Commit { commit, runs } if runs.is_empty() => format!(
            "no push of {} was accepted; see all pushes with: towline runs",
            commit.short()
        ),
        Answer::Image { images } if images.is_empty() => {
            "image not found; name a commit, a tag, a digest (sha256:…) or a build (build#142)"
                .into()
        }
        Answer::History {
            component,
            stage,
            moves,
            ..
        } if moves.is_empty() => never_live(component, stage),
        Answer::Now { live, .. } if live.is_empty() => {
            "no stages yet; push a valid .towline.yml with stages to the default branch".into()
        }
        Answer::Where { commit, places } if places.is_empty() => format!(
            "nothing of {0} was built; to see why, run: towline why {0}",
            commit.short()
        ),
        Answer::Why { commit, reasons } if reasons.is_empty() => format!(
            "{} does not concern that component; leave it out to see all components",
            commit.short()
        ),
        Answer::Audit { rows, breaks, .. } if rows.is_empty() && breaks.is_empty() => {
            "no recorded decision matches; leave out filters to see all of them".into()
        }
        Answer::Verify { ledgers, .. } if ledgers.is_empty() => {
            "no ledgers yet; there is one for each stage that a push has reached".into()
        }
        Answer::Runs { runs } if runs.is_empty() => {
            "no push has been accepted yet; send one with: towline send push --repo FOLDER".into()
        }
        Answer::Queue {
            running,
            waiting,
            complete: true,
        } if running.is_empty() && waiting.is_empty() => {
            "no build is running or waiting; to see finished builds, run: towline runs".into()
        }
        Answer::Claims { claims } if claims.is_empty() => {
            "no image repository is claimed yet; the definition of a default branch claims those that it names"
                .into()
        }
        Answer::Log {
            build, text, ended, ..
        } if text.is_empty() => empty_log(*build, *ended),
        Answer::Tags { .. }
        | Answer::Commit { .. }
        | Answer::Image { .. }
        | Answer::History { .. }
        | Answer::Now { .. }
        | Answer::Where { .. }
        | Answer::Why { .. }
        | Answer::Runs { .. }
        | Answer::Queue { .. }
        | Answer::Claims { .. }
        | Answer::Log { .. }
        | Answer::Audit { .. }
        | Answer::Verify { .. }
        | Answer::Done { .. } => return None,
    })
}

fn never_live(component: &ComponentName, stage: &StageName) -> String {
    format!(
        "no image has been live in {stage} of {component} yet; promote one with: towline promote {component} COMMIT {stage}"
    )
}

fn empty_log(build: u64, ended: bool) -> String {
    match ended {
        true => format!("build#{build} has finished; its log is empty"),
        false => {
            format!("build#{build} has no log yet; follow it with: towline logs {build} --follow")
        }
    }
}
