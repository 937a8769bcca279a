//! Commit statuses.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::json;
use towline_domain::names::{CommitSha, RepositoryId};
use towline_ports::statuses::MOST_DESCRIPTION;
use towline_ports::{CommitStatus, RepositoryRef, StatusError, StatusState, Statuses};

use crate::call::Purpose;
use crate::credentials::Credentials;
use crate::http::{Ask, JSON, MOST};
use crate::{GitHub, lock};

/// Statuses that are remembered.
const REMEMBERED: usize = 256;

/// How long it is taken for granted that a status is still the last of its context: another
/// process may have shown one since.
const FRESH: Duration = Duration::from_secs(60);

/// The statuses that were shown last, the latest at the end.
///
/// GitHub takes 1,000 statuses of one commit and context (GitHub REST API, "Create a commit
/// status"), and deliveries that come twice shall not use them up.
#[derive(Default)]
pub(crate) struct Shown(VecDeque<(Place, CommitStatus, Timestamp)>);

type Place = (RepositoryId, CommitSha, String);

impl Shown {
    fn has(&self, place: &Place, status: &CommitStatus, now: Timestamp) -> bool {
        self.0.iter().any(|(where_, shown, at)| {
            where_ == place && shown == status && now.duration_since(*at).unsigned_abs() < FRESH
        })
    }

    fn remember(&mut self, place: Place, status: CommitStatus, now: Timestamp) {
        self.forget(&place);
        self.0.push_back((place, status, now));
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }

    fn forget(&mut self, place: &Place) {
        self.0.retain(|(other, ..)| other != place);
    }
}

#[async_trait]
impl Statuses for GitHub {
    /// Shows a status. A description above the limit is cut; one that was shown within the last
    /// minute is not sent again.
    async fn set(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
        status: &CommitStatus,
    ) -> Result<(), StatusError> {
        // GitHub takes contexts that differ in case alone for the same.
        let context = status.context.to_lowercase();
        let place = (repository.id, commit.clone(), context);
        if lock(&self.shown).has(&place, status, self.clock.now()) {
            return Ok(());
        }
        if self.credentials.read().await? == Credentials::None {
            return Err(StatusError::Refused(
                "GitHub's credentials are not set, so nothing is shown there; put a token or a \
                 GitHub App into the secret"
                    .into(),
            ));
        }
        let name = &repository.name;
        let doing = &format!("showing {:?} at {name} {}", status.context, commit.short());
        let call = self.call(repository, Purpose::Status);
        call.identify(doing).await?;
        let ask = Ask {
            method: Method::POST,
            accept: JSON,
            body: Some(body(status).to_string().into()),
            most: MOST,
        };
        let path = call.path().then("/statuses").id(commit);
        // Whatever comes of it, what was shown before may be so no more.
        lock(&self.shown).forget(&place);
        let answer = call.ask(doing, &path, &ask).await?;
        match answer.status {
            StatusCode::CREATED => {
                let now = self.clock.now();
                lock(&self.shown).remember(place, status.clone(), now);
                Ok(())
            }
            StatusCode::UNPROCESSABLE_ENTITY => Err(StatusError::Refused(format!(
                "GitHub refuses the status ({})",
                answer.refusal()
            ))),
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                let hint = "give our credentials \"Commit statuses: write\"";
                let said = answer.refusal();
                let error = format!("{doing}: GitHub answered {said}; {hint} there");
                Err(towline_ports::PortError::because(error).into())
            }
            _ => Err(answer.error(doing).into()),
        }
    }
}

fn body(status: &CommitStatus) -> serde_json::Value {
    let state = match status.state {
        StatusState::Pending => "pending",
        StatusState::Success => "success",
        StatusState::Failure => "failure",
        StatusState::Error => "error",
    };
    json!({
        "state": state,
        "context": status.context,
        "description": cut(&status.description),
        "target_url": status.target_url,
    })
}

/// At most as many characters as GitHub takes, the last an ellipsis where some are missing.
fn cut(text: &str) -> String {
    if text.chars().count() <= MOST_DESCRIPTION {
        return text.to_owned();
    }
    let kept = text.chars().take(MOST_DESCRIPTION - 1);
    kept.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_cut_between_characters() {
        for (text, expected) in [
            ("built", "built".to_owned()),
            (&"ü".repeat(140), "ü".repeat(140)),
            (&"😀".repeat(141), "😀".repeat(139) + "…"),
        ] {
            assert_eq!(cut(text), expected);
        }
    }
}
