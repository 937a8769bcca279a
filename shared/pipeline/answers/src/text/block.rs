//! Answers about one thing: a heading and details below it.

use towline_domain::Timestamp;
use towline_domain::explain;
use towline_domain::image::Built;
use towline_domain::ledger::{Mover, TagMove};
use towline_domain::names::Tag;

use super::table::{Cell, Table};
use super::{Line, Style, live_marks, moment, optional, short, status, who};
use crate::answers::{BuildAnswer, BuildState, ImageAnswer, RunAnswer, TagState};

/// Width reserved for a tag; a longer one shifts only its own line.
const WIDEST_TAG: usize = 48;

/// Blocks with an empty line between them.
pub(super) fn between(blocks: impl Iterator<Item = Vec<Line>>) -> Vec<Line> {
    let mut lines = Vec::new();
    for block in blocks {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.extend(block);
    }
    lines
}

/// The most characters of an output to show.
const MOST_OF_OUTPUT: usize = 100;

/// A run with its builds.
pub(super) fn run(run: &RunAnswer) -> Vec<Line> {
    let head = Line::of(Style::Strong, run.commit.short()).and(
        Style::Plain,
        format!(
            " \"{}\"  {}  {}  {}",
            run.title,
            who(&run.pusher),
            run.git_ref.name(),
            run.repository
        ),
    );
    let Cell(word) = status(run.status);
    let mut state = Line::plain("  ");
    state.spans.push(word);
    let pushed = format!(", pushed {} (UTC)", moment(run.at));
    let mut lines = vec![head, state.and(Style::Plain, pushed)];
    if let Some(reason) = &run.refused {
        lines.push(Line::plain("  ").and(Style::Bad, reason));
    }
    if !run.builds.is_empty() {
        let table = builds(&run.builds).into_iter();
        lines.extend(table.map(|line| Line::plain("  ").joined(line)));
    }
    lines.extend(run.builds.iter().filter_map(trouble));
    lines.extend(run.builds.iter().flat_map(left));
    for skipped in &run.skipped {
        let clause = format!("  {}: not built — {}", skipped.component, skipped.reason);
        lines.push(Line::of(Style::Quiet, clause));
    }
    let notes = run.notes.iter();
    lines.extend(notes.map(|note| Line::plain(format!("  note: {note}"))));
    lines
}

fn builds(builds: &[BuildAnswer]) -> Vec<Line> {
    let heads = [
        "COMPONENT",
        "BUILD",
        "STATE",
        "TOOK",
        "DIGEST",
        "TAGS",
        "STAGES",
    ];
    let mut table = Table::new(&heads);
    for build in builds {
        let tags: Vec<&str> = build.tags.iter().map(Tag::as_str).collect();
        table.row(vec![
            Cell::plain(build.component.as_str()),
            Cell::plain(format!("build#{}", build.build)),
            Cell::new(style_of(build.state), build.state.word()),
            optional(build.seconds.map(lasted)),
            optional(build.digest.as_ref().map(short)),
            optional((!tags.is_empty()).then(|| tags.join(", "))),
            live_marks(&build.stages),
        ]);
    }
    table.lines()
}

/// Why a build has not succeeded, and where to read more.
fn trouble(build: &BuildAnswer) -> Option<Line> {
    let log = match build.state {
        BuildState::Succeeded => return None,
        BuildState::Failed | BuildState::Building => {
            format!("; for the log, run: towline logs {}", build.build)
        }
        BuildState::Due | BuildState::Cancelled | BuildState::Superseded | BuildState::Held => {
            String::new()
        }
    };
    Some(Line::plain(format!(
        "  {}: {}{log}",
        build.component, build.why
    )))
}

/// The outputs of a build, shortened to fit a line.
fn left(build: &BuildAnswer) -> impl Iterator<Item = Line> {
    build.outputs.iter().map(|(name, text)| {
        let mut shown: String = text.chars().take(MOST_OF_OUTPUT).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        let clause = format!("  {}: output {name}: {shown}", build.component);
        Line::of(Style::Quiet, clause)
    })
}

fn style_of(state: BuildState) -> Style {
    match state {
        BuildState::Succeeded => Style::Good,
        BuildState::Due | BuildState::Building => Style::Waiting,
        BuildState::Superseded => Style::Quiet,
        BuildState::Failed | BuildState::Cancelled | BuildState::Held => Style::Bad,
    }
}

/// Seconds in the two largest units.
fn lasted(seconds: i64) -> String {
    let start = Timestamp::UNIX_EPOCH;
    let end = Timestamp::from_second(seconds).unwrap_or(start);
    explain::span(start, end)
}

/// An image with all details.
pub(super) fn image(image: &ImageAnswer, now: Timestamp) -> Vec<Line> {
    let mut lines = vec![Line::of(Style::Strong, image.digest.as_str())];
    let mut field = |name: &str, value: String| {
        lines.push(Line::of(Style::Quiet, format!("  {name:<10}  ")).and(Style::Plain, value));
    };
    field("repository", image.repository.to_string());
    match &image.built {
        Some(Built {
            component,
            commit,
            git_ref,
            build_number,
            ..
        }) => {
            field("built as", format!("{component}, build#{build_number}"));
            field("commit", format!("{commit}  {}", git_ref.name()));
        }
        None => field(
            "built as",
            "unknown: Towline did not build it and never promotes it".into(),
        ),
    }
    if !image.platforms.is_empty() {
        field("platforms", image.platforms.join(", "));
    }
    if let Some(size) = image.size {
        field("size", bytes(size));
    }
    field("type", image.media_type.clone());
    field("first seen", format!("{} (UTC)", moment(image.at)));
    let lengths = image.tags.iter().map(|tag| tag.tag.as_str().len());
    let width = lengths.max().unwrap_or(0).min(WIDEST_TAG);
    for (index, tag) in image.tags.iter().enumerate() {
        field(if index == 0 { "tags" } else { "" }, tag_clause(tag, width));
    }
    for (index, live) in image.live.iter().enumerate() {
        let held = if live.hold.is_some() { ", held" } else { "" };
        let clause = live.image.as_ref().map_or_else(
            || live.stage.to_string(),
            |known| {
                let age = explain::span(known.since, now);
                format!(
                    "{} ✔ since {} (UTC), {age}, by {}: {}{held}",
                    live.stage,
                    moment(known.since),
                    known.by,
                    known.why
                )
            },
        );
        field(if index == 0 { "live in" } else { "" }, clause);
    }
    if image.live.is_empty() {
        field("live in", "no stage".into());
    }
    lines
}

fn tag_clause(tag: &TagState, width: usize) -> String {
    let name = format!("{:width$}", tag.tag);
    match (tag.current, &tag.moved) {
        (false, _) => format!("{name}  (points to another image now)"),
        (true, None) => tag.tag.to_string(),
        (true, Some(TagMove { at, by, .. })) => {
            let by = match by {
                Mover::Build { number, .. } => format!("build#{number}"),
                Mover::Promotion { number, by } => format!("promotion #{number} of {by}"),
                Mover::Outside => "somebody else".into(),
            };
            format!("{name}  moved by {by} at {} (UTC)", moment(*at))
        }
    }
}

/// A size in the largest unit that leaves a number of at least one.
fn bytes(size: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if size < 1024 {
        return format!("{size} bytes");
    }
    let mut tenths = size * 10;
    let mut unit = "bytes";
    for next in units {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = next;
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}
