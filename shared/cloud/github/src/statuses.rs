//! Commit statuses.

use async_trait::async_trait;
use hyper::{Method, StatusCode};
use serde_json::json;
use towline_domain::names::CommitSha;
use towline_ports::statuses::MOST_DESCRIPTION;
use towline_ports::{CommitStatus, NotShown, RepositoryRef, StatusError, StatusState, Statuses};

use crate::GitHub;
use crate::call::{Failure, Purpose};
use crate::credentials::Credentials;
use crate::http::{Ask, JSON, MOST};

#[async_trait]
impl Statuses for GitHub {
    /// Shows a status. A longer description is cut.
    ///
    /// It is sent even if this process has shown the same before: another process may have shown
    /// something else in between, which would stay otherwise.
    async fn set(
        &self,
        repository: &RepositoryRef,
        commit: &CommitSha,
        status: &CommitStatus,
    ) -> Result<(), StatusError> {
        if matches!(self.credentials.read().await?, Credentials::None) {
            return Err(NotShown::NoCredentials.into());
        }
        let name = &repository.name;
        let doing = &format!("showing {:?} at {name} {}", status.context, commit.short());
        let call = self.call(repository, Purpose::Status);
        call.identify(doing).await?;
        let ask = Ask {
            method: Method::POST,
            accept: JSON,
            body: Some(body(status).to_string().into()),
            unless: None,
            most: MOST,
        };
        let path = call.path().then("/statuses").id(commit);
        let answer = call.ask(doing, &path, &ask).await?;
        match answer.status {
            StatusCode::CREATED => Ok(()),
            StatusCode::UNPROCESSABLE_ENTITY => {
                let said = answer.refusal();
                Err(NotShown::Rejected { said }.into())
            }
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                let hint = "give the credentials \"Commit statuses: write\"";
                let said = answer.refusal();
                let why = format!("{doing}: GitHub answered {said}; {hint} there");
                Err(Failure::Denied(why).into())
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

/// At most as many characters as GitHub accepts, with an ellipsis if cut.
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
