//! Renders answers as lines of text: the same for the command line and for chat.
//!
//! A line consists of spans, each with a meaning; the caller decides how to show them. Text from
//! strangers cannot move a cursor or change the direction of the text (A10).

mod audit;
mod block;
mod line;
mod nothing;
mod queue;
mod table;

use towline_domain::Timestamp;
use towline_domain::explain;
use towline_domain::names::{CommitSha, Digest, StageName};
use towline_domain::run::RunStatus;

use super::Answer;
use super::answers::{
    BuildAnswer, ClaimAnswer, Hold, ImageLine, Live, LiveImage, Move, Place, PlaceState, Reason,
    RunAnswer, Waiting,
};
pub use line::{Line, Span, Style};
use table::{Cell, Table};

/// The most builds of a run that a list of runs names.
const MOST_NAMED: usize = 3;

/// An answer as lines; ages are counted up to `now`.
#[must_use]
pub fn lines(answer: &Answer, now: Timestamp) -> Vec<Line> {
    if let Some(nothing) = nothing::nothing(answer) {
        return nothing;
    }
    match answer {
        Answer::Tags { images, .. } => tags(images),
        Answer::Commit { runs, .. } => block::between(runs.iter().map(block::run)),
        Answer::Image { images } => {
            block::between(images.iter().map(|image| block::image(image, now)))
        }
        Answer::History { moves, hold, .. } => history(moves, hold.as_ref()),
        Answer::Now { at, live } => live_table(*at, live, now),
        Answer::Where { commit, places } => {
            headed(commit, places.iter().flat_map(|place| standing(place, now)))
        }
        Answer::Why { commit, reasons } => headed(commit, by_run(reasons).into_iter()),
        Answer::Runs { runs } => run_table(runs),
        Answer::Queue {
            running,
            waiting,
            complete,
        } => queue::table(running, waiting, *complete, now),
        Answer::Claims { claims } => claim_table(claims),
        Answer::Log { text, .. } => text.lines().map(Line::plain).collect(),
        Answer::Audit { rows, breaks, .. } => audit::rows(rows, breaks),
        Answer::Verify { ledgers, .. } => audit::ledgers(ledgers),
        Answer::Done { message, .. } => vec![Line::plain(message)],
    }
}

fn headed(commit: &CommitSha, lines: impl Iterator<Item = Line>) -> Vec<Line> {
    let head = Line::of(Style::Strong, commit.short());
    std::iter::once(head).chain(lines).collect()
}

/// A moment to the minute, in UTC.
fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// The part of a digest that people read.
fn short(digest: &Digest) -> String {
    format!("{}…", digest.short())
}

/// The commit of an image, if Towline built it.
fn commit_cell(commit: Option<&CommitSha>) -> Cell {
    match commit {
        Some(commit) => Cell::plain(commit.short()),
        None => Cell::new(Style::Quiet, "foreign"),
    }
}

fn optional(text: Option<String>) -> Cell {
    text.map_or_else(Cell::none, Cell::plain)
}

/// The stages an image is live in, marked.
fn live_marks(stages: &[StageName]) -> Cell {
    let marks: Vec<String> = stages.iter().map(|stage| format!("{stage} ✔")).collect();
    if marks.is_empty() {
        Cell::none()
    } else {
        Cell::new(Style::Good, marks.join(", "))
    }
}

fn tags(images: &[ImageLine]) -> Vec<Line> {
    let mut table = Table::new(&["TAG", "DIGEST", "COMMIT", "BRANCH", "BUILT (UTC)", "STAGES"]);
    for image in images {
        let mut tags = image.tags.iter();
        table.row(vec![
            tags.next()
                .map_or_else(Cell::none, |tag| Cell::new(Style::Strong, tag.as_str())),
            Cell::plain(short(&image.digest)),
            commit_cell(image.commit.as_ref()),
            optional(image.git_ref.as_ref().map(|known| known.name().to_owned())),
            Cell::plain(moment(image.at)),
            live_marks(&image.stages),
        ]);
        for tag in tags {
            table.note(Line::of(Style::Strong, tag.as_str()));
        }
    }
    table.lines()
}

fn history(moves: &[Move], hold: Option<&Hold>) -> Vec<Line> {
    // FROM and TO share a column, so that the arrow is between the commits.
    let mut table = Table::new(&["WHEN (UTC)", "TAG", "FROM      TO", "BY", "WHY"]);
    for step in moves {
        let from = step.from.as_ref().map_or("-", CommitSha::short);
        let style = if step.rollback {
            Style::Waiting
        } else {
            Style::Plain
        };
        table.row(vec![
            Cell::plain(moment(step.at)),
            Cell::plain(step.tag.as_str()),
            Cell::new(style, format!("{from:<7} → {}", step.to.short())),
            Cell::plain(&step.by),
            Cell::plain(&step.why),
        ]);
    }
    table.lines().into_iter().chain(hold.map(held)).collect()
}

fn held(hold: &Hold) -> Line {
    let since = moment(hold.since);
    Line::of(Style::Bad, "held").and(
        Style::Plain,
        format!(" by {} since {since} (UTC): {}", hold.by, hold.reason),
    )
}

fn live_table(at: Option<Timestamp>, live: &[Live], now: Timestamp) -> Vec<Line> {
    let several = several(live.iter().map(|line| line.repository.as_str()));
    let mut heads = vec![
        "COMPONENT",
        "STAGE",
        "COMMIT",
        "DIGEST",
        "SINCE (UTC)",
        "AGE",
        "BY",
        "WHY",
    ];
    if several {
        heads.insert(0, "REPOSITORY");
    }
    let mut table = Table::new(&heads);
    for line in live {
        let mut cells = vec![
            Cell::plain(line.component.as_str()),
            Cell::new(Style::Strong, line.stage.as_str()),
        ];
        if several {
            cells.insert(0, Cell::plain(line.repository.as_str()));
        }
        cells.extend(live_cells(line.image.as_ref(), at.unwrap_or(now)));
        table.row(cells);
        if let Some(hold) = &line.hold {
            table.note(Line::plain("  ").joined(held(hold)));
        }
        for waiting in &line.waiting {
            table.note(waits(waiting));
        }
    }
    let head = at.map(|at| Line::of(Style::Quiet, format!("as of {} (UTC)", moment(at))));
    head.into_iter().chain(table.lines()).collect()
}

fn live_cells(image: Option<&LiveImage>, now: Timestamp) -> Vec<Cell> {
    let Some(image) = image else {
        return vec![Cell::new(Style::Quiet, "nothing yet")];
    };
    vec![
        Cell::plain(image.commit.short()),
        Cell::plain(short(&image.digest)),
        Cell::plain(moment(image.since)),
        Cell::plain(explain::span(image.since, now)),
        Cell::plain(&image.by),
        Cell::plain(&image.why),
    ]
}

fn waits(waiting: &Waiting) -> Line {
    let number = waiting.promotion;
    let approve = match waiting.for_approval {
        true => format!("; to approve it, run: towline approve {number}"),
        false => String::new(),
    };
    let (commit, why) = (waiting.commit.short(), &waiting.why);
    Line::plain("  ")
        .and(Style::Waiting, format!("promotion #{number}"))
        .and(Style::Plain, format!(" of {commit} {why}{approve}"))
}

/// The pusher: a login, or a name that only Git knows.
fn who(pusher: &str) -> String {
    let in_login =
        |character: char| character.is_ascii_alphanumeric() || "-_.[]".contains(character);
    if !pusher.is_empty() && pusher.chars().all(in_login) {
        format!("@{pusher}")
    } else {
        pusher.to_owned()
    }
}

fn several<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names.len() > 1
}

fn standing(place: &Place, now: Timestamp) -> Vec<Line> {
    let mut head = Line::of(Style::Strong, place.component.as_str())
        .and(Style::Plain, format!("  {}", place.building));
    if let Some(digest) = &place.digest {
        head = head.and(Style::Quiet, format!("  {}", short(digest)));
    }
    let longest = place.stages.iter().map(|stage| stage.stage.as_str().len());
    let width = longest.max().unwrap_or(0);
    let mut lines = vec![head];
    for stage in &place.stages {
        let name = format!("  {:width$}  ", stage.stage);
        let why = stage.why.as_deref().unwrap_or_default();
        let name = Line::plain(name);
        lines.push(match (stage.state, stage.since) {
            (PlaceState::Live, Some(since)) => {
                let age = explain::span(since, now);
                let since = format!(" since {} (UTC), {age}", moment(since));
                name.and(Style::Good, "✔ live").and(Style::Plain, since)
            }
            (PlaceState::Live, None) => name.and(Style::Good, "✔ live"),
            (PlaceState::Waiting, _) => name.and(Style::Waiting, why),
            (PlaceState::Outside, _) => name.and(Style::Quiet, format!("not there: {why}")),
        });
    }
    lines
}

/// Reasons line by line; if the commit has several runs, each begins with a line of its own.
fn by_run(reasons: &[Reason]) -> Vec<Line> {
    let several = several(reasons.iter().map(|reason| reason.run.as_str()));
    let mut lines = Vec::new();
    for (index, reason) in reasons.iter().enumerate() {
        let begins = index == 0 || reasons[index - 1].run != reason.run;
        if several && begins {
            let git_ref = reason.git_ref.as_ref();
            let git_ref = git_ref.map(|known| format!(" of {}", known.name()));
            let at = reason
                .pushed_at
                .map(|at| format!(", pushed {} (UTC)", moment(at)));
            let (git_ref, at) = (git_ref.unwrap_or_default(), at.unwrap_or_default());
            let run = format!(" run {}{git_ref}{at}", reason.run);
            lines.push(Line::of(Style::Header, run));
        }
        lines.push(self::reason(reason));
    }
    lines
}

fn reason(reason: &Reason) -> Line {
    let (name, style, word) = match (&reason.component, reason.built) {
        (Some(component), true) => (component.as_str(), Style::Good, "built"),
        (Some(component), false) => (component.as_str(), Style::Waiting, "not built"),
        (None, true) => return Line::plain(format!("  note: {}", reason.why)),
        (None, false) if reason.skipped => ("the push", Style::Quiet, "skipped"),
        (None, false) => ("the push", Style::Bad, "refused"),
    };
    Line::plain(format!("  {name}: "))
        .and(style, word)
        .and(Style::Plain, format!(" — {}", reason.why))
}

fn claim_table(claims: &[ClaimAnswer]) -> Vec<Line> {
    let mut table = Table::new(&["IMAGES", "COMPONENT", "REPOSITORY"]);
    for claim in claims {
        let repository = claim.repository.as_ref();
        table.row(vec![
            Cell::new(Style::Strong, claim.images.as_str()),
            Cell::plain(claim.component.as_str()),
            optional(repository.map(ToString::to_string)),
        ]);
    }
    table.lines()
}

fn run_table(runs: &[RunAnswer]) -> Vec<Line> {
    let several = several(runs.iter().map(|run| run.repository.as_str()));
    let mut heads = vec![
        "PUSHED (UTC)",
        "COMMIT",
        "REF",
        "BY",
        "STATUS",
        "BUILDS",
        "TITLE",
    ];
    if several {
        heads.insert(1, "REPOSITORY");
    }
    let mut table = Table::new(&heads);
    for run in runs {
        let first = run.builds.iter().take(MOST_NAMED);
        let is_alike = |build: &BuildAnswer| build.state.word() == run.status.word();
        let alike = run.builds.iter().all(is_alike);
        let mut builds: Vec<String> = first.map(|build| named(build, alike)).collect();
        if run.builds.len() > MOST_NAMED {
            builds.push(format!("{} more", run.builds.len() - MOST_NAMED));
        }
        let mut cells = vec![
            Cell::plain(moment(run.at)),
            Cell::new(Style::Strong, run.commit.short()),
            Cell::plain(run.git_ref.name()),
            Cell::plain(who(&run.pusher)),
            status(run.status),
            optional((!builds.is_empty()).then(|| builds.join(", "))),
            Cell::plain(&run.title),
        ];
        if several {
            cells.insert(1, Cell::plain(run.repository.as_str()));
        }
        table.row(cells);
        if let Some(reason) = &run.refused {
            table.note(Line::of(Style::Bad, format!("  {reason}")));
        }
    }
    table.lines()
}

/// A build, with its state unless all builds have the state of their run.
fn named(build: &BuildAnswer, alike: bool) -> String {
    let name = format!("{} build#{}", build.component, build.build);
    match alike {
        true => name,
        false => format!("{name} {}", build.state.word()),
    }
}

fn status(status: RunStatus) -> Cell {
    let style = match status {
        RunStatus::Succeeded => Style::Good,
        RunStatus::Building => Style::Waiting,
        RunStatus::Nothing | RunStatus::Skipped | RunStatus::Superseded => Style::Quiet,
        RunStatus::Refused | RunStatus::Held | RunStatus::Failed | RunStatus::Cancelled => {
            Style::Bad
        }
    };
    Cell::new(style, status.word())
}

#[cfg(test)]
mod tests;
