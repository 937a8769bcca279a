//! `towline audit`: every decision and what followed from it, and whether the ledgers are intact.

use clap::{Args, Subcommand};
use towline_answers::audit::row::{AuditRow, LedgerState};
use towline_answers::{Answer, Query, query};

use crate::answer;
use towline_client::client::Client;
use towline_client::context::Context;
use towline_console::outcome::{Failure, Outcome, refused};

#[derive(Debug, Args)]
#[group(skip)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  towline audit --stage prod --since '7d ago'
  towline audit --person lee --csv > lee.csv
  towline audit verify

Exit status of `verify`: 1 if a ledger is broken."
)]
pub struct Audit {
    #[command(flatten)]
    rows: query::Audit,
    /// Print comma-separated values
    #[arg(long)]
    csv: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check that every ledger is complete and unchanged
    Verify(query::Verify),
}

/// Prints all rows, the newest first, or what is wrong with the ledgers.
///
/// # Errors
/// When a page of the answer cannot be read or printed, or a ledger is broken.
pub async fn run(context: &Context, args: Audit) -> Outcome {
    let client = context.client().await?;
    match args.action {
        Some(Action::Verify(query)) => verify(context, &client, query).await,
        None if args.csv && context.output.is_json() => refused("use --json or --csv, not both"),
        None => rows(context, &client, args.rows, args.csv).await,
    }
}

async fn rows(context: &Context, client: &Client, mut query: query::Audit, csv: bool) -> Outcome {
    let (mut rows, mut breaks) = (Vec::new(), Vec::new());
    loop {
        let answer = client.ask(&Query::Audit(query.clone())).await?;
        let Answer::Audit {
            rows: more,
            breaks: broken,
            next,
        } = answer
        else {
            return answer::print(context.output, &answer);
        };
        rows.extend(more);
        breaks.extend(broken);
        match next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    // Rows of one ledger stay in its order if they have the same time.
    rows.sort_by_key(|row| std::cmp::Reverse(row.at));
    let output = context.output;
    if !csv && !output.is_json() {
        let next = None;
        return answer::print(output, &Answer::Audit { rows, breaks, next });
    }
    for broken in &breaks {
        output.progress(&format!(
            "rows of {} are missing; to see where, run: towline audit verify",
            place(broken)
        ));
    }
    match csv {
        true => output.document(&table(&rows)),
        false => output.value(&rows),
    }
}

async fn verify(context: &Context, client: &Client, mut query: query::Verify) -> Outcome {
    let mut ledgers = Vec::new();
    loop {
        let answer = client.ask(&Query::Verify(query.clone())).await?;
        let Answer::Verify {
            ledgers: more,
            next,
        } = answer
        else {
            return answer::print(context.output, &answer);
        };
        ledgers.extend(more);
        match next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    let intact = ledgers.iter().all(|known| known.breaks_at.is_none());
    match context.output.is_json() {
        true => context.output.value(&ledgers)?,
        false => answer::print(
            context.output,
            &Answer::Verify {
                ledgers,
                next: None,
            },
        )?,
    }
    if intact { Ok(()) } else { Err(Failure::Found) }
}

fn place(ledger: &LedgerState) -> String {
    let place = &ledger.place;
    match (&place.component, &place.stage) {
        (Some(component), Some(stage)) => format!("{component} {stage} in {}", place.repository),
        (Some(_) | None, _) => format!("the builds of {}", place.repository),
    }
}

/// Rows as comma-separated values (RFC 4180), with a line of headings.
fn table(rows: &[AuditRow]) -> String {
    let mut text = String::from(
        "at,actor,action,result,door,reason,repository,component,stage,promotion,build,commit,digest,sequence,hash\r\n",
    );
    for row in rows {
        let cells = [
            row.at.to_string(),
            row.actor.clone(),
            row.action.word().into(),
            row.result.word().into(),
            row.door.map(|door| door.word().into()).unwrap_or_default(),
            row.reason.clone().unwrap_or_default(),
            row.place.repository.to_string(),
            or_empty(row.place.component.as_ref()),
            or_empty(row.place.stage.as_ref()),
            or_empty(row.promotion.as_ref()),
            or_empty(row.build.as_ref()),
            or_empty(row.commit.as_ref()),
            or_empty(row.digest.as_ref()),
            row.sequence.to_string(),
            row.hash.clone(),
        ];
        text.push_str(&cells.map(|text| cell(&text)).join(","));
        text.push_str("\r\n");
    }
    text
}

fn or_empty<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// A cell. A spreadsheet would calculate text that begins like a formula, so such text gets an
/// apostrophe.
fn cell(text: &str) -> String {
    let calculated = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = match calculated {
        true => format!("'{text}"),
        false => text.to_owned(),
    };
    match text.contains([',', '"', '\r', '\n', '\'']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}
