//! GitHub's webhooks: their settings, and whether the deliveries of the last three days arrived.

use std::collections::BTreeSet;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use towline_domain::names::RepositoryName;
use towline_ports::Clock as _;

use super::place::Place;
use super::report::Findings;
use crate::secret::{Kept, Name};
use towline_client::stack::Stack;
use towline_console::surroundings;
use towline_ports::system::SystemClock;

/// How long GitHub can redeliver failed deliveries (GitHub documentation, "Redelivering webhooks").
const REDELIVERS: SignedDuration = SignedDuration::from_hours(72);

#[derive(Debug, Deserialize)]
struct Hook {
    id: u64,
    active: bool,
    events: Vec<String>,
    config: Config,
}

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    url: String,
    #[serde(default)]
    content_type: String,
    /// Asterisks if there is a secret.
    #[serde(default)]
    secret: String,
}

/// One attempt to deliver.
#[derive(Debug, Deserialize)]
struct Delivery {
    id: u64,
    guid: String,
    delivered_at: Timestamp,
    status_code: u16,
}

/// The repositories whose webhooks are checked: those registered by name, and the definition's.
pub fn repositories(stack: &Stack, own: Option<&RepositoryName>) -> BTreeSet<RepositoryName> {
    let parameters = stack.parameters();
    let listed = parameters.get("Repositories").copied().unwrap_or_default();
    let named = listed
        .split(',')
        .filter_map(|name| name.trim().parse().ok());
    named.chain(own.cloned()).collect()
}

/// The webhook address of this stack, and advice for failed deliveries.
struct Ours<'a> {
    url: &'a str,
    /// How to find the secret.
    secret: String,
    /// The command that shows what happened to deliveries.
    log: String,
}

pub async fn look(place: &Place<'_>, repositories: &BTreeSet<RepositoryName>) -> Findings {
    let mut findings = Findings::of("Webhooks");
    let Some(token) = surroundings::text("TOWLINE_GITHUB_TOKEN") else {
        findings.skipped("set TOWLINE_GITHUB_TOKEN to check them");
        return findings;
    };
    let base = surroundings::text("TOWLINE_GITHUB_API");
    let github = GitHub {
        base: base.unwrap_or_else(|| "https://api.github.com".into()),
        token: token.into(),
    };
    let arn = place.stack.output(Name::Webhook.output());
    let secret = place
        .call("secretsmanager", "get-secret-value")
        .option("--secret-id", arn.unwrap_or_default())
        .option("--query", "SecretString")
        .option("--output", "text");
    let ours = Ours {
        url: place.stack.output("WebhookUrl").unwrap_or_default(),
        secret: format!("the secret that `{}` prints", secret.shown()),
        log: format!(
            "aws logs tail /aws/lambda/{}-receive-github --since 3d {}",
            place.name, place.options
        ),
    };
    if repositories.is_empty() {
        findings.skipped(
            "only patterns are registered; name a repository with --definition and --repository",
        );
    }
    for repository in repositories {
        if let Err(error) = judge(&mut findings, &github, repository, &ours).await {
            findings.unknown(repository.to_string(), format!("{error:#}"));
        }
    }
    redelivery(&mut findings, place, &github.base, repositories).await;
    findings
}

/// Which failed deliveries the sweep can have repeated with the stack's own credentials.
async fn redelivery(
    findings: &mut Findings,
    place: &Place<'_>,
    base: &str,
    repositories: &BTreeSet<RepositoryName>,
) {
    let arn = place
        .stack
        .output(Name::Github.output())
        .unwrap_or_default();
    let stored = Kept::at(place.aws, arn).current().await;
    let text = match stored {
        Ok(version) => version.text.unwrap_or_default(),
        Err(error) => return findings.refused("redelivery", &error),
    };
    let stored: Value = serde_json::from_str(&text).unwrap_or_default();
    if stored["app_id"] != Value::Null {
        return findings.good("failed deliveries of the GitHub App's webhook are repeated");
    }
    let Some(token) = stored["token"].as_str() else {
        return findings.skipped("failed deliveries are not repeated: no token or App is stored");
    };
    let github = GitHub {
        base: base.to_owned(),
        token: token.trim().into(),
    };
    for repository in repositories {
        let path = format!("/repos/{repository}/hooks?per_page=100");
        match github.get::<Value>(&path).await {
            Ok(_) => findings.good(format!(
                "{repository}: failed deliveries are repeated, if the stored token may also write webhooks"
            )),
            Err(error) => findings.skipped(format!(
                "{repository}: failed deliveries are not repeated, because with the stored token {error:#}"
            )),
        }
    }
}

async fn judge(
    findings: &mut Findings,
    github: &GitHub,
    repository: &RepositoryName,
    ours: &Ours<'_>,
) -> anyhow::Result<()> {
    let hooks: Vec<Hook> = github
        .get(&format!("/repos/{repository}/hooks?per_page=100"))
        .await?;
    let Some(hook) = hooks.into_iter().find(|hook| hook.config.url == ours.url) else {
        findings.wrong(
            format!("{repository} has no webhook to {}", ours.url),
            format!(
                "add it at github.com/{repository}/settings/hooks: content type application/json, just the push event, {}",
                ours.secret
            ),
        );
        return Ok(());
    };
    let settings = format!("github.com/{repository}/settings/hooks/{}", hook.id);
    for (_, what, help) in hook.settings(ours).into_iter().filter(|(good, _, _)| !good) {
        findings.wrong(
            format!("{repository}: its webhook {what}"),
            format!("{help} at {settings}"),
        );
    }
    let path = format!("repos/{repository}/hooks/{}/deliveries", hook.id);
    let deliveries: Vec<Delivery> = github.get(&format!("/{path}?per_page=100")).await?;
    let since = SystemClock.now() - REDELIVERS;
    let failed = failed(&deliveries, since);
    match failed.as_slice() {
        [] => findings.good_unless_found(format!(
            "{repository}: {} delivered in the last three days",
            recent(&deliveries, since)
        )),
        failed => {
            let (what, help) = undelivered(failed, &path, &settings, ours);
            findings.wrong(format!("{repository}: {what}"), help);
        }
    }
    Ok(())
}

impl Hook {
    /// Each required setting, the problem if it is wrong, and the fix.
    fn settings(&self, ours: &Ours<'_>) -> [(bool, &'static str, String); 4] {
        let sends_pushes = self.events.iter().any(|it| it == "push" || it == "*");
        [
            (self.active, "is disabled", "enable it".into()),
            (
                sends_pushes,
                "does not send pushes",
                "choose the push event".into(),
            ),
            (
                self.config.content_type == "json",
                "sends forms, in which a large push is too large",
                "choose application/json".into(),
            ),
            (
                !self.config.secret.is_empty(),
                "has no secret, so its deliveries are refused",
                format!("paste {}", ours.secret),
            ),
        ]
    }
}

/// What happened to the failed deliveries, newest first, and how to fix it.
fn undelivered(
    failed: &[&Delivery],
    path: &str,
    settings: &str,
    ours: &Ours<'_>,
) -> (String, String) {
    let ids: Vec<String> = failed.iter().map(|it| it.id.to_string()).collect();
    let again = format!(
        "redeliver with `gh api -X POST {path}/ID/attempts`, for ID {}",
        ids.join(" ")
    );
    let (what, help) = match failed[0].status_code {
        401 => (
            "the secret on GitHub differs from the one here (401)".to_owned(),
            format!("paste {} at {settings}; then {again}", ours.secret),
        ),
        0 => (
            "GitHub got no answer".to_owned(),
            format!("fix the problems of the API, or wait if GitHub was down; then {again}"),
        ),
        status => (
            format!("the answer was {status}"),
            format!("read why with `{}`; then {again}", ours.log),
        ),
    };
    let count = match failed.len() {
        1 => "1 delivery".to_owned(),
        many => format!("{many} deliveries"),
    };
    let since = failed[failed.len() - 1].delivered_at;
    (format!("{count} failed since {since}: {what}"), help)
}

/// Deliveries that failed and were not redelivered since, newest first.
fn failed(deliveries: &[Delivery], since: Timestamp) -> Vec<&Delivery> {
    let is_good = |delivery: &Delivery| (200..300).contains(&delivery.status_code);
    let good: BTreeSet<&str> = deliveries
        .iter()
        .filter(|it| is_good(it))
        .map(|it| it.guid.as_str())
        .collect();
    let mut seen = BTreeSet::new();
    let mut failed: Vec<&Delivery> = deliveries
        .iter()
        .filter(|it| it.delivered_at >= since && !good.contains(it.guid.as_str()))
        .collect();
    failed.sort_by_key(|it| std::cmp::Reverse(it.delivered_at));
    failed.retain(|it| seen.insert(it.guid.as_str()));
    failed
}

fn recent(deliveries: &[Delivery], since: Timestamp) -> usize {
    let recent = deliveries.iter().filter(|it| it.delivered_at >= since);
    recent
        .map(|it| it.guid.as_str())
        .collect::<BTreeSet<_>>()
        .len()
}

struct GitHub {
    base: String,
    token: SecretString,
}

impl GitHub {
    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        towline_pack::install_tls_provider();
        let http = reqwest::Client::builder()
            .user_agent(concat!("towline/", env!("CARGO_PKG_VERSION")))
            .timeout(std::time::Duration::from_secs(30))
            .build()
            .context("setting up HTTP")?;
        let url = format!("{}{path}", self.base.trim_end_matches('/'));
        let request = http
            .get(url)
            .bearer_auth(self.token.expose_secret())
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28");
        let response = request.send().await.map_err(reqwest::Error::without_url);
        let response = response.context("asking GitHub")?;
        match response.status().as_u16() {
            200 => {}
            status @ (401 | 403 | 404) => anyhow::bail!(
                "GitHub answered {status}: the token needs permission to read repository hooks (admin:repo_hook, or Webhooks: read)"
            ),
            status => anyhow::bail!("GitHub answered {status}"),
        }
        let body = response.json().await.map_err(reqwest::Error::without_url);
        body.context("reading the answer of GitHub")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_delivered_later_has_not_failed() {
        let at = |minute: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
        let delivery = |id, guid: &str, minute, status_code| Delivery {
            id,
            guid: guid.into(),
            delivered_at: at(minute),
            status_code,
        };
        let deliveries = [
            delivery(5, "healed", 50, 202),
            delivery(4, "twice", 40, 503),
            delivery(3, "twice", 30, 401),
            delivery(2, "healed", 20, 500),
            delivery(1, "old", 1, 500),
        ];
        let ids: Vec<u64> = failed(&deliveries, at(10)).iter().map(|it| it.id).collect();
        assert_eq!(
            ids,
            [4],
            "the the newest attempt of each, and none from before"
        );
        assert_eq!(recent(&deliveries, at(10)), 2);
    }
}
