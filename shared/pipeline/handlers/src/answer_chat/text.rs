//! Answers as lines of text: the same for the command line and for chat.
//!
//! A line is made of spans with a meaning each; who shows it decides what that looks like.
//! Nothing a stranger wrote can move a cursor or turn the direction of the text (A10).

mod block;
mod table;

use std::fmt;

use towline_domain::Timestamp;
use towline_domain::explain;
use towline_domain::names::{CommitSha, Digest, StageName};
use towline_domain::run::RunStatus;
use towline_domain::untrusted::Untrusted;

use super::Answer;
use super::answers::{
    BuildAnswer, Hold, ImageLine, Live, LiveImage, Move, Place, Reason, RunAnswer, Waiting,
};
use table::{Cell, Table};

/// Builds of a run that are named in a list of runs.
const MOST_NAMED: usize = 3;

/// One line of an answer, without its line break.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Its parts, left to right.
    pub spans: Vec<Span>,
}

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its text, harmless to print.
    pub text: String,
    /// What it means.
    pub style: Style,
}

/// What a part of a line means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Nothing in particular.
    Plain,
    /// The head of a column.
    Header,
    /// What the line is about.
    Strong,
    /// It is as it should be: live, succeeded.
    Good,
    /// It waits or is under way.
    Waiting,
    /// It failed or is held.
    Bad,
    /// Said for completeness.
    Quiet,
}

impl Span {
    /// A part; whatever could deceive a reader is replaced.
    #[must_use]
    pub fn new(style: Style, text: impl AsRef<str>) -> Self {
        let text = Untrusted::text(text.as_ref(), usize::MAX).display();
        Self { text, style }
    }
}

impl Line {
    fn of(style: Style, text: impl AsRef<str>) -> Self {
        Self {
            spans: vec![Span::new(style, text)],
        }
    }

    fn plain(text: impl AsRef<str>) -> Self {
        Self::of(Style::Plain, text)
    }

    fn and(mut self, style: Style, text: impl AsRef<str>) -> Self {
        self.spans.push(Span::new(style, text));
        self
    }
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spans
            .iter()
            .try_for_each(|span| formatter.write_str(&span.text))
    }
}

/// An answer as lines; ages are counted up to `now`.
#[must_use]
pub fn lines(answer: &Answer, now: Timestamp) -> Vec<Line> {
    match answer {
        Answer::Tags { component, images } if images.is_empty() => vec![Line::plain(format!(
            "no image of {component} is recorded; push a commit that changes it, or see what was pushed with: towline runs"
        ))],
        Answer::Tags { images, .. } => tags(images),
        Answer::Commit { commit, runs } if runs.is_empty() => vec![Line::plain(format!(
            "no push of {} was accepted; see what was with: towline runs",
            commit.short()
        ))],
        Answer::Commit { runs, .. } => block::between(runs.iter().map(block::run)),
        Answer::Image { images } if images.is_empty() => vec![Line::plain(
            "no such image is recorded; name a commit, a tag, a digest (sha256:…) or build#142",
        )],
        Answer::Image { images } => {
            block::between(images.iter().map(|image| block::image(image, now)))
        }
        Answer::History {
            component,
            stage,
            moves,
            hold,
        } if moves.is_empty() => {
            let nothing = format!(
                "nothing has been live in {stage} of {component} yet; move an image there with: towline promote {component} COMMIT {stage}"
            );
            std::iter::once(Line::plain(nothing))
                .chain(hold.as_ref().map(held))
                .collect()
        }
        Answer::History { moves, hold, .. } => history(moves, hold.as_ref()),
        Answer::Now { live, .. } if live.is_empty() => vec![Line::plain(
            "no stage is known yet: none of the repositories has pushed a good .towline.yml with stages to its default branch",
        )],
        Answer::Now { at, live } => live_table(*at, live, now),
        Answer::Where { commit, places } if places.is_empty() => vec![Line::plain(format!(
            "nothing was built of {0}; ask for the reason with: towline why {0}",
            commit.short()
        ))],
        Answer::Where { commit, places } => {
            let head = Line::of(Style::Strong, commit.short());
            std::iter::once(head)
                .chain(places.iter().flat_map(|place| standing(place, now)))
                .collect()
        }
        Answer::Why { commit, reasons } if reasons.is_empty() => vec![Line::plain(format!(
            "{} concerns no component that was asked for; leave the component out to see all",
            commit.short()
        ))],
        Answer::Why { commit, reasons } => {
            let head = Line::of(Style::Strong, commit.short());
            std::iter::once(head)
                .chain(reasons.iter().map(reason))
                .collect()
        }
        Answer::Runs { runs } if runs.is_empty() => vec![Line::plain(
            "no push has been accepted yet; send one with: towline send push --repo FOLDER",
        )],
        Answer::Runs { runs } => run_table(runs),
        Answer::Log {
            build, text, ended, ..
        } if text.is_empty() => vec![Line::plain(if *ended {
            format!("build#{build} has ended; its log is empty")
        } else {
            format!(
                "build#{build} has written nothing yet; wait for it with: towline logs {build} --follow"
            )
        })],
        Answer::Log { text, .. } => text.lines().map(Line::plain).collect(),
        Answer::Done { message, .. } => vec![Line::plain(message)],
    }
}

/// A moment to the minute, in UTC.
fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// A digest as far as people read it.
fn short(digest: &Digest) -> String {
    format!("{}…", digest.short())
}

fn commit_cell(commit: Option<&CommitSha>) -> Cell {
    match commit {
        Some(commit) => Cell::plain(commit.short()),
        None => Cell::none(),
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
    // FROM and TO share a column, so that the arrow stands between the commits.
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

impl Line {
    fn joined(mut self, other: Self) -> Self {
        self.spans.extend(other.spans);
        self
    }
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
    let known = waiting.why.strip_prefix(&format!("promotion #{number} "));
    let clause = known.map_or_else(|| format!("waits: {}", waiting.why), str::to_owned);
    let approve = if clause.contains("approval") {
        format!("; say yes with: towline approve {number}")
    } else {
        String::new()
    };
    Line::plain("  ")
        .and(Style::Waiting, format!("promotion #{number}"))
        .and(
            Style::Plain,
            format!(" of {} {clause}{approve}", waiting.commit.short()),
        )
}

/// Who pushed: a login, or the name that Git alone knows.
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
        lines.push(match (stage.state.as_str(), stage.since) {
            ("live", Some(since)) => {
                let age = explain::span(since, now);
                Line::plain(name).and(Style::Good, "✔ live").and(
                    Style::Plain,
                    format!(" since {} (UTC), {age}", moment(since)),
                )
            }
            ("live", None) => Line::plain(name).and(Style::Good, "✔ live"),
            ("waiting", _) => Line::plain(name).and(Style::Waiting, why),
            _ => Line::plain(name).and(Style::Quiet, format!("not there: {why}")),
        });
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
        let mut builds: Vec<String> = first.map(|build| named(build, run)).collect();
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

/// A build, with its state where that is not the run's.
fn named(build: &BuildAnswer, run: &RunAnswer) -> String {
    let name = format!("{} build#{}", build.component, build.build);
    if build.state == run.status.word() {
        name
    } else {
        format!("{name} {}", build.state)
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
