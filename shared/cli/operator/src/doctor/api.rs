//! A Towline's front door: whether it answers, and whether it knows who asks.

use reqwest::StatusCode;
use towline_handlers::answer_chat::Query;

use super::report::Findings;
use towline_client::client::{Client, address_of};
use towline_console::outcome::Failure;

/// Whether it answers; `log` tells where to read why it does not.
pub async fn look(address: &str, log: &str) -> Findings {
    let mut findings = Findings::of("API");
    let client = address_of(address).and_then(Client::anonymous);
    let answered = match client {
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

/// Whether it knows who asks.
pub async fn known(client: &Client) -> Findings {
    let mut findings = Findings::of("API");
    let query = Query::Runs {
        limit: Some(1),
        repository: None,
    };
    match client.ask(&query).await {
        Ok(_) => findings.good("it knows who asks"),
        Err(Failure::Refused(reason)) => findings.wrong("it does not let us ask", reason),
        Err(failure) => findings.unknown("who asks", failure.sentence().unwrap_or_default()),
    }
    findings
}
