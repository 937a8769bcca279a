//! Renders rows of the ledgers, and whether the ledgers are intact.

use towline_domain::reason::count;

use super::line::{Line, Style};
use super::moment;
use super::table::{Cell, Table};
use crate::audit::row::{AuditRow, LedgerState, Outcome, Where};

/// Rows as a table, then the ledgers of which rows are missing.
pub(super) fn rows(rows: &[AuditRow], breaks: &[LedgerState]) -> Vec<Line> {
    let heads = [
        "WHEN (UTC)",
        "WHO",
        "DOOR",
        "ACTION",
        "RESULT",
        "WHERE",
        "WHAT",
        "REASON",
    ];
    let mut table = Table::new(&heads);
    for row in rows {
        table.row(vec![
            Cell::plain(moment(row.at)),
            Cell::new(Style::Strong, &row.actor),
            row.door
                .map_or_else(Cell::none, |door| Cell::plain(door.word())),
            Cell::plain(row.action.word()),
            Cell::new(style(row.result), row.result.word()),
            Cell::plain(place(&row.place)),
            what(row).map_or_else(Cell::none, Cell::plain),
            row.reason.as_ref().map_or_else(Cell::none, Cell::plain),
        ]);
    }
    let table = if rows.is_empty() {
        Vec::new()
    } else {
        table.lines()
    };
    table.into_iter().chain(breaks.iter().map(ledger)).collect()
}

fn style(result: Outcome) -> Style {
    match result {
        Outcome::Done | Outcome::Live => Style::Good,
        Outcome::Opened => Style::Waiting,
        Outcome::Denied | Outcome::Refused | Outcome::Failed | Outcome::Noticed => Style::Bad,
        Outcome::Superseded | Outcome::Expired => Style::Quiet,
    }
}

/// The thing that a row is about, as people name it.
fn what(row: &AuditRow) -> Option<String> {
    let promotion = row.promotion.map(|number| format!("#{number}"));
    let build = row.build.map(|number| format!("build#{number}"));
    let commit = row.commit.as_ref().map(|commit| commit.short().to_owned());
    let digest = row.digest.as_ref().map(|digest| digest.short().to_owned());
    let parts: Vec<String> = promotion
        .into_iter()
        .chain(build)
        .chain(commit.or(digest))
        .collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn place(place: &Where) -> String {
    let repository = &place.repository;
    match (&place.component, &place.stage) {
        (Some(component), Some(stage)) => format!("{repository} {component} {stage}"),
        (Some(component), None) => format!("{repository} {component}"),
        (None, _) => format!("{repository} builds"),
    }
}

/// Ledgers line by line, then how many there are.
pub(super) fn ledgers(ledgers: &[LedgerState]) -> Vec<Line> {
    let rows: u64 = ledgers.iter().map(|known| known.rows).sum();
    let broken = ledgers.iter().filter(|known| known.breaks_at.is_some());
    let state = match broken.count() {
        0 => "all intact".to_owned(),
        broken => format!("{broken} broken"),
    };
    let sum = format!(
        "{} with {}, {state}",
        count(ledgers.len(), "ledger"),
        count(rows, "row")
    );
    let each = ledgers.iter().map(ledger);
    each.chain([Line::of(Style::Strong, sum)]).collect()
}

fn ledger(known: &LedgerState) -> Line {
    let place = place(&known.place);
    match known.breaks_at {
        None => Line::of(Style::Good, "intact").and(
            Style::Plain,
            format!(
                "  {place}: {}, the last is {}",
                count(known.rows, "row"),
                known.hash
            ),
        ),
        Some(0) => Line::of(Style::Bad, "broken").and(
            Style::Plain,
            format!("  {place}: it does not begin with row 1; restore it from a backup"),
        ),
        Some(row) => Line::of(Style::Bad, "broken").and(
            Style::Plain,
            format!(
                "  {place}: row {row} is missing or was changed, so no row up to it can be trusted; restore it from a backup"
            ),
        ),
    }
}
