//! Waits for a promotion to end.

use std::time::Duration;

use serde_json::json;
use towline_answers::answers::{Live, Move};
use towline_answers::audit::row::{AuditRow, Outcome as Ended};
use towline_answers::{Answer, Query, query};
use towline_domain::names::{ComponentName, RepositoryName, StageName};

use crate::answer;
use towline_client::client::Client;
use towline_client::context::Context;
use towline_console::outcome::{Outcome, refused};

/// How often to ask.
const EVERY: Duration = Duration::from_millis(400);
/// Moves that are searched for the promotion's.
const MOVES: usize = 20;

/// The stage of a promotion.
#[derive(Debug, Clone)]
pub struct Place {
    pub component: ComponentName,
    pub stage: StageName,
    /// The repository, if given.
    pub repository: Option<RepositoryName>,
}

/// The stage of a waiting promotion; none if no promotion with that number waits.
pub async fn place_of(
    client: &Client,
    promotion: u64,
    repository: Option<&RepositoryName>,
) -> Outcome<Option<Place>> {
    let live = live(client, None, None).await?;
    let fits = |line: &&Live| {
        repository.is_none_or(|name| line.repository.as_str().eq_ignore_ascii_case(name.as_str()))
    };
    let waits = |line: &&Live| {
        line.waiting
            .iter()
            .any(|waiting| waiting.promotion == promotion)
    };
    let place = live.iter().filter(fits).find(waits);
    Ok(place.map(|line| Place {
        component: line.component.clone(),
        stage: line.stage.clone(),
        repository: Some(line.repository.clone()),
    }))
}

/// Prints the answer; with a stage, first waits there for the promotion to end.
///
/// # Errors
/// When the promotion ends without moving the stage, or nobody answers.
pub async fn finish(
    context: &Context,
    client: &Client,
    answer: &Answer,
    place: Option<Place>,
) -> Outcome {
    let (
        Some(place),
        Answer::Done {
            message,
            promotion: Some(promotion),
            ..
        },
    ) = (place, answer)
    else {
        return answer::print(context.output, answer);
    };
    if !context.output.is_json() {
        context.output.text(&format!("{message}\n"))?;
    }
    let moved = ended(context, client, *promotion, &place).await?;
    if context.output.is_json() {
        return context.output.value(&json!({ "answer": "done", "message": message, "promotion": promotion, "moved": moved }));
    }
    let sentence = format!(
        "{} of {}: {} is live, by {} ({})\n",
        place.stage,
        place.component,
        moved.to.short(),
        moved.by,
        moved.why
    );
    context.output.text(&sentence)
}

async fn ended(context: &Context, client: &Client, promotion: u64, place: &Place) -> Outcome<Move> {
    let mut said = String::new();
    loop {
        // Waiting promotions are read first: a promotion stops waiting when it enters the history.
        let waiting = waiting(client, promotion, place).await?;
        if let Some(moved) = moved(client, promotion, place).await? {
            return Ok(moved);
        }
        let Some(why) = waiting else {
            let unknown = || {
                format!(
                    "promotion #{promotion} ended without changing {} of {}; see: towline now {}",
                    place.stage, place.component, place.stage
                )
            };
            let ended = how_it_ended(client, promotion, place).await;
            return refused(ended.unwrap_or_else(unknown));
        };
        if why != said && !context.output.is_json() {
            context.output.progress(&format!("  {why}"));
            said = why;
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn waiting(client: &Client, promotion: u64, place: &Place) -> Outcome<Option<String>> {
    let live = live(client, Some(&place.stage), Some(&place.component)).await?;
    let ours = live.into_iter().filter(|line| {
        place
            .repository
            .as_ref()
            .is_none_or(|name| line.repository == *name)
    });
    let mut waiting = ours.flat_map(|line| line.waiting);
    Ok(waiting
        .find(|waiting| waiting.promotion == promotion)
        .map(|waiting| waiting.why))
}

/// How a promotion ended, in a sentence, from the stage's ledger; none if that does not say.
async fn how_it_ended(client: &Client, promotion: u64, place: &Place) -> Option<String> {
    let query = Query::Audit(query::Audit {
        component: Some(place.component.clone()),
        stage: Some(place.stage.clone()),
        repository: place.repository.clone(),
        ..query::Audit::default()
    });
    let Ok(Answer::Audit { rows, .. }) = client.ask(&query).await else {
        return None;
    };
    let says_it = |row: &AuditRow| {
        let ended = match row.result {
            Ended::Superseded | Ended::Expired | Ended::Refused | Ended::Failed => true,
            Ended::Opened | Ended::Done | Ended::Denied | Ended::Live | Ended::Noticed => false,
        };
        ended && row.promotion == Some(promotion)
    };
    rows.into_iter().find(says_it)?.reason
}

async fn moved(client: &Client, promotion: u64, place: &Place) -> Outcome<Option<Move>> {
    let query = Query::History(query::History {
        component: place.component.clone(),
        stage: place.stage.clone(),
        limit: Some(MOVES),
        repository: place.repository.clone(),
    });
    let Answer::History { moves, .. } = client.ask(&query).await? else {
        return Ok(None);
    };
    Ok(moves.into_iter().find(|step| step.promotion == promotion))
}

async fn live(
    client: &Client,
    stage: Option<&StageName>,
    component: Option<&ComponentName>,
) -> Outcome<Vec<Live>> {
    let query = Query::Now(query::Now {
        stage: stage.cloned(),
        component: component.cloned(),
        at: None,
        repository: None,
    });
    let Answer::Now { live, .. } = client.ask(&query).await? else {
        return Ok(Vec::new());
    };
    Ok(live)
}
