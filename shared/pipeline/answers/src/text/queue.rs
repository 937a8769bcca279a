//! The running and waiting builds, as a table.

use towline_domain::Timestamp;
use towline_domain::explain;

use super::line::{Line, Style};
use super::table::{Cell, Table};
use super::{several, who};
use crate::answers::InQueue;

pub(super) fn table(
    running: &[InQueue],
    waiting: &[InQueue],
    complete: bool,
    now: Timestamp,
) -> Vec<Line> {
    let all = || running.iter().chain(waiting);
    let several = several(all().map(|line| line.repository.as_str()));
    let mut heads = vec![
        "BUILD",
        "COMPONENT",
        "COMMIT",
        "REF",
        "BY",
        "FOR",
        "WAITS FOR",
    ];
    if several {
        heads.insert(1, "REPOSITORY");
    }
    let mut table = Table::new(&heads);
    let rows = running.iter().map(|line| (line, Style::Plain));
    for (line, style) in rows.chain(waiting.iter().map(|line| (line, Style::Waiting))) {
        let number = match &line.platform {
            Some(platform) => format!("build#{} for {platform}", line.build),
            None => format!("build#{}", line.build),
        };
        let mut cells = vec![
            Cell::new(Style::Strong, number),
            Cell::plain(line.component.as_str()),
            Cell::plain(line.commit.short()),
            Cell::plain(line.git_ref.name()),
            Cell::plain(who(&line.pusher)),
            Cell::plain(explain::span(line.since, now)),
            Cell::new(style, &line.why),
        ];
        if several {
            cells.insert(1, Cell::plain(line.repository.as_str()));
        }
        table.row(cells);
    }
    if !complete {
        let more = "there may be more: too much is in progress to show all";
        table.note(Line::of(Style::Quiet, more));
    }
    table.lines()
}
