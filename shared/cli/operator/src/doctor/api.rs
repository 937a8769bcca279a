//! The API: whether it answers, and whether it knows the caller.

use reqwest::StatusCode;
use towline_answers::{Query, query};
use towline_client::client::{Client, address_of};
use towline_console::outcome::Failure;

use super::report::Findings;

const GROUP: &str = "API";

/// Whether it answers; `log` says where to read why it does not.
pub async fn look(address: &str, log: &str) -> Findings {
    let mut findings = Findings::of(GROUP);
    let answered = match address_of(address).and_then(Client::anonymous) {
        Ok(client) => client.health().await,
        Err(failure) => Err(failure),
    };
    match answered {
        Ok(StatusCode::OK) => findings.good(format!("{address} answers")),
        Ok(status) => findings.wrong(format!("{address} answers {status}"), log),
        Err(failure) => findings.wrong(
            format!("{address} does not answer"),
            failure.sentence().unwrap_or_default(),
        ),
    }
    findings
}

pub async fn known(client: &Client) -> Findings {
    let mut findings = Findings::of(GROUP);
    let query = Query::Runs(query::Runs {
        limit: Some(1),
        repository: None,
    });
    match client.ask(&query).await {
        Ok(_) => findings.good("it knows you"),
        Err(Failure::Refused(reason)) => {
            findings.wrong("it does not accept your token or signature", reason);
        }
        Err(failure) => findings.unknown(
            "whether it knows you",
            failure.sentence().unwrap_or_default(),
        ),
    }
    findings
}
