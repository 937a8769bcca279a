//! Reads and checks the ledgers: everyone's decisions, and what followed from them.

pub mod row;

mod place;

use towline_domain::Timestamp;
use towline_domain::ledger::{Head, OfBuild, What};
use towline_domain::names::RepositoryName;
use towline_domain::person::{Actor, SYSTEM};
use towline_domain::stage::Stage;
use towline_ports::Query as StoreQuery;
use towline_state::records::Repository;
use towline_state::{Context, Read, history, keys};

use super::answers::Answer;
use super::query::{Audit, Verify};
use super::{ChatError, Refusal, lookup, refused};

use place::{Name, Place};
use row::{AuditRow, LedgerState, Where};

/// The most rows that are read for one answer.
const MOST_READ: usize = 500;

/// How far a clock may be behind that of an earlier row.
const CLOCKS_DIFFER: std::time::Duration = std::time::Duration::from_secs(3_600);

/// Rows of a ledger as answers.
struct Part {
    rows: Vec<AuditRow>,
    rest: Head,
    breaks: bool,
}

/// A ledger: what it is about, and its last row.
struct Ledger {
    repository: RepositoryName,
    name: Name,
    head: Head,
}

impl Ledger {
    /// Its rows from a given place on, newest first.
    async fn part(
        &self,
        context: Context<'_>,
        from: &Head,
        most: usize,
    ) -> Result<Part, ChatError> {
        let place = self.place();
        Ok(match &self.name {
            Name::Builds(id) => {
                let rows = keys::ledger_of_builds(*id);
                let part = history::part::<OfBuild>(context, &rows, from, most).await?;
                let rows = part.rows.into_iter();
                Part {
                    rows: rows.map(|row| AuditRow::of_build(&place, &row)).collect(),
                    rest: part.rest,
                    breaks: part.breaks,
                }
            }
            Name::Stage(key) => {
                let part = history::part::<What>(context, &keys::ledger(key), from, most).await?;
                let rows = part.rows.into_iter();
                Part {
                    rows: rows.map(|row| AuditRow::of_stage(&place, &row)).collect(),
                    rest: part.rest,
                    breaks: part.breaks,
                }
            }
        })
    }

    /// What its rows are about.
    fn place(&self) -> Where {
        let (component, stage) = match &self.name {
            Name::Builds(_) => (None, None),
            Name::Stage(key) => (Some(key.component.clone()), Some(key.stage.clone())),
        };
        Where {
            repository: self.repository.clone(),
            component,
            stage,
        }
    }

    /// Whether it can contain rows that match the question.
    fn is_asked_for(&self, query: &Audit) -> bool {
        match &self.name {
            Name::Builds(_) => query.stage.is_none(),
            Name::Stage(key) => {
                let component = query.component.as_ref();
                component.is_none_or(|only| *only == key.component)
                    && query.stage.as_ref().is_none_or(|only| *only == key.stage)
            }
        }
    }
}

/// Every ledger of the named repository, or of all, in the order of their names.
async fn ledgers(
    context: Context<'_>,
    only: Option<&RepositoryName>,
) -> Result<Vec<Ledger>, ChatError> {
    let all = lookup::repositories(context).await?;
    let asked = |known: &&Repository| lookup::is_named(known, only);
    if let Some(only) = only
        && !all.iter().any(|known| asked(&known))
    {
        return refused(Refusal::NoPush {
            repository: only.clone(),
            known: all.iter().map(|known| known.name.clone()).collect(),
        });
    }
    let mut ledgers = Vec::new();
    for repository in all.iter().filter(asked) {
        let of = |name, head| Ledger {
            repository: repository.name.clone(),
            name,
            head,
        };
        let builds = keys::head_of_builds(repository.id);
        if let Some(read) = context.read::<Head>(&builds).await? {
            ledgers.push(of(Name::Builds(repository.id), read.value));
        }
        let mut query = StoreQuery::all(keys::stages(repository.id));
        loop {
            let page = context.store.query(&query).await?;
            for item in &page.items {
                let stage = Read::<Stage>::of(item)?.value;
                ledgers.push(of(Name::Stage(stage.key), stage.ledger));
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
    }
    ledgers.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(ledgers)
}

/// Leaves out the ledgers that were read before `after`, and says where to begin in the first one that
/// is left.
fn from(
    mut ledgers: Vec<Ledger>,
    after: Option<&String>,
) -> Result<(Vec<Ledger>, Option<Place>), Refusal> {
    let Some(text) = after else {
        return Ok((ledgers, None));
    };
    let place: Place = text.parse().map_err(|_| Refusal::NotAPlace(text.clone()))?;
    ledgers.retain(|ledger| ledger.name >= place.name);
    let first = ledgers.first();
    let begun = first.is_some_and(|first| first.name == place.name);
    Ok((ledgers, begun.then_some(place)))
}

/// The rows that match the question, ledger by ledger, newest first in each. Reads a limited number of
/// rows, so the result can be empty although more follow.
pub(super) async fn rows(context: Context<'_>, query: Audit) -> Result<Answer, ChatError> {
    let since = query.since.map(|since| {
        let now = context.now();
        since.before(now).unwrap_or(now)
    });
    let mut all = ledgers(context, query.repository.as_ref()).await?;
    all.retain(|ledger| ledger.is_asked_for(&query));
    let (all, mut begun) = from(all, query.after.as_ref())?;
    let (mut rows, mut breaks, mut left) = (Vec::new(), Vec::new(), MOST_READ);
    for ledger in all {
        let begin = begun.take().map_or(ledger.head.clone(), |place| place.rest);
        if left == 0 {
            let next = Place::new(&ledger.name, &ledger.head, begin).to_string();
            return Ok(Answer::Audit {
                rows,
                breaks,
                next: Some(next),
            });
        }
        let part = ledger.part(context, &begin, left).await?;
        left -= part.rows.len();
        let is_old = |row: &AuditRow| since.is_some_and(|since| row.at + CLOCKS_DIFFER < since);
        let enough = part.rows.last().is_some_and(is_old);
        if part.breaks {
            breaks.push(LedgerState::of(
                &ledger.place(),
                &ledger.head,
                Some(part.rest.sequence),
            ));
        } else if part.rest.sequence > 0 && !enough {
            left = 0;
            begun = Some(Place::new(&ledger.name, &ledger.head, part.rest));
        }
        let asked = part
            .rows
            .into_iter()
            .filter(|row| is_wanted(row, &query, since));
        rows.extend(asked);
        if let Some(place) = begun {
            return Ok(Answer::Audit {
                rows,
                breaks,
                next: Some(place.to_string()),
            });
        }
    }
    Ok(Answer::Audit {
        rows,
        breaks,
        next: None,
    })
}

fn is_wanted(row: &AuditRow, query: &Audit, since: Option<Timestamp>) -> bool {
    let component = query.component.as_ref();
    since.is_none_or(|since| row.at >= since)
        && component.is_none_or(|only| row.place.component.as_ref() == Some(only))
        && query.person.as_ref().is_none_or(|person| {
            let person = person.strip_prefix('@').unwrap_or(person);
            row.actor.eq_ignore_ascii_case(person)
        })
}

/// Follows each ledger from its last row to its first. A ledger is part of the answer that reaches its
/// end.
pub(super) async fn verify(context: Context<'_>, query: Verify) -> Result<Answer, ChatError> {
    let all = ledgers(context, query.repository.as_ref()).await?;
    let (all, mut begun) = from(all, query.after.as_ref())?;
    let (mut ledgers, mut left) = (Vec::new(), MOST_READ);
    for ledger in all {
        let (head, begin) = match begun.take() {
            Some(place) => (place.head, place.rest),
            None => (ledger.head.clone(), ledger.head.clone()),
        };
        let part = ledger.part(context, &begin, left).await?;
        left -= part.rows.len();
        if part.rest.sequence > 0 && !part.breaks {
            let next = Some(Place::new(&ledger.name, &head, part.rest).to_string());
            return Ok(Answer::Verify { ledgers, next });
        }
        let breaks = part.breaks.then_some(part.rest.sequence);
        ledgers.push(LedgerState::of(&ledger.place(), &head, breaks));
    }
    let next = None;
    Ok(Answer::Verify { ledgers, next })
}

/// Who decided, as a login.
fn login(by: &Actor) -> String {
    match by {
        Actor::System => SYSTEM.into(),
        Actor::Person(login) => login.clone(),
    }
}

#[cfg(test)]
mod tests;
