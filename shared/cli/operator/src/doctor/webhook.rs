//! GitHub's side of the webhook: set up rightly, and its deliveries of the last days answered.

use std::collections::BTreeSet;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use towline_domain::names::RepositoryName;
use towline_ports::Clock as _;

use super::machinery::Place;
use super::report::Findings;
use crate::secret::Name;
use towline_client::stack::Stack;
use towline_console::surroundings;
use towline_ports::system::SystemClock;

/// How long GitHub delivers again what failed (GitHub documentation, "Redelivering webhooks").
const REDELIVERS: SignedDuration = SignedDuration::from_hours(72);

/// A webhook of a repository.
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
    /// Stars when there is a secret.
    #[serde(default)]
    secret: String,
}

/// One try to deliver.
#[derive(Debug, Deserialize)]
struct Delivery {
    id: u64,
    guid: String,
    delivered_at: Timestamp,
    status_code: u16,
}

/// Our side of a webhook.
struct Ours<'a> {
    /// Where it delivers to.
    url: &'a str,
    /// How its secret is found.
    secret: String,
    /// The command that shows what became of deliveries.
    log: String,
}

/// The repositories whose webhooks are looked at: those registered by name, and the definition's.
#[must_use]
pub fn repositories(stack: &Stack, own: Option<&RepositoryName>) -> BTreeSet<RepositoryName> {
    let parameters = stack.parameters();
    let listed = parameters.get("Repositories").copied().unwrap_or_default();
    let named = listed
        .split(',')
        .filter_map(|name| name.trim().parse().ok());
    named.chain(own.cloned()).collect()
}

/// Looks at each of them.
pub async fn look(place: &Place<'_>, repositories: &BTreeSet<RepositoryName>) -> Findings {
    let mut findings = Findings::of("Webhooks");
    let Some(token) = surroundings::text("TOWLINE_GITHUB_TOKEN") else {
        findings.left_out("set TOWLINE_GITHUB_TOKEN to have them looked at");
        return findings;
    };
    let base = surroundings::text("TOWLINE_GITHUB_API");
    let github = GitHub {
        base: base.unwrap_or_else(|| "https://api.github.com".into()),
        token,
    };
    let url = place.stack.output("WebhookUrl").unwrap_or_default();
    let secret = place.aws.call("secretsmanager", "get-secret-value");
    let arn = place.stack.output(Name::Webhook.output());
    let secret = secret
        .option("--secret-id", arn.unwrap_or_default())
        .option("--query", "SecretString")
        .option("--output", "text");
    let ours = Ours {
        url,
        secret: format!("the secret that `{}` prints", secret.shown()),
        log: format!(
            "aws logs tail /aws/lambda/{}-receive-github --since 3d {}",
            place.name, place.options
        ),
    };
    if repositories.is_empty() {
        findings.left_out(
            "only patterns are registered; name a repository with --definition and --repository",
        );
    }
    for repository in repositories {
        if let Err(error) = judge(&mut findings, &github, repository, &ours).await {
            findings.unknown(repository.to_string(), format!("{error:#}"));
        }
    }
    findings
}

async fn judge(
    findings: &mut Findings,
    github: &GitHub,
    repository: &RepositoryName,
    ours: &Ours<'_>,
) -> anyhow::Result<()> {
    let Ours { url, secret, log } = ours;
    let hooks: Vec<Hook> = github
        .get(&format!("/repos/{repository}/hooks?per_page=100"))
        .await?;
    let Some(hook) = hooks.into_iter().find(|hook| hook.config.url == *url) else {
        findings.wrong(
            format!("{repository} has no webhook to {url}"),
            format!("add it at github.com/{repository}/settings/hooks: content type application/json, just the push event, {secret}"),
        );
        return Ok(());
    };
    let settings = format!("github.com/{repository}/settings/hooks/{}", hook.id);
    if !hook.active {
        findings.wrong(
            format!("{repository}: its webhook is switched off"),
            format!("switch it on at {settings}"),
        );
    }
    if !hook
        .events
        .iter()
        .any(|event| event == "push" || event == "*")
    {
        findings.wrong(
            format!("{repository}: its webhook does not send pushes"),
            format!("choose the push event at {settings}"),
        );
    }
    if hook.config.content_type != "json" {
        findings.wrong(
            format!("{repository}: its webhook sends forms, in which a large push is too large"),
            format!("choose application/json at {settings}"),
        );
    }
    if hook.config.secret.is_empty() {
        findings.wrong(
            format!("{repository}: its webhook has no secret, so nothing of it is taken"),
            format!("paste at {settings} {secret}"),
        );
    }
    let path = format!(
        "/repos/{repository}/hooks/{}/deliveries?per_page=100",
        hook.id
    );
    let deliveries: Vec<Delivery> = github.get(&path).await?;
    let since = SystemClock.now() - REDELIVERS;
    let failed = failed(&deliveries, since);
    let Some(newest) = failed.first() else {
        findings.good_unless_found(format!(
            "{repository}: delivered, {} in the last three days",
            recent(&deliveries, since)
        ));
        return Ok(());
    };
    let again = format!(
        "deliver again with `gh api -X POST repos/{repository}/hooks/{}/deliveries/ID/attempts`, for ID {}",
        hook.id,
        failed
            .iter()
            .map(|it| it.id.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    );
    let count = match failed.len() {
        1 => "1 delivery has".to_owned(),
        many => format!("{many} deliveries have"),
    };
    let (what, mend) = match newest.status_code {
        401 => (
            "the secret at GitHub is not the one here (401)".to_owned(),
            format!("paste at {settings} {secret}; then {again}"),
        ),
        0 => (
            "nobody answered GitHub".to_owned(),
            format!("mend what is found of the API, or wait if GitHub was down; then {again}"),
        ),
        status => (
            format!("the answer was {status}"),
            format!("read why with `{log}`; then {again}"),
        ),
    };
    findings.wrong(
        format!(
            "{repository}: {count} failed since {}: {what}",
            failed[failed.len() - 1].delivered_at
        ),
        mend,
    );
    Ok(())
}

/// What failed and was not delivered later, newest first.
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
    token: String,
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
            .bearer_auth(&self.token)
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28");
        let response = request.send().await.map_err(reqwest::Error::without_url);
        let response = response.context("asking GitHub")?;
        match response.status().as_u16() {
            200 => {}
            status @ (401 | 403 | 404) => anyhow::bail!(
                "GitHub answered {status}: the token needs the right to read repository hooks (admin:repo_hook, or Webhooks: read)"
            ),
            status => anyhow::bail!("GitHub answered {status}"),
        }
        let body = response.json().await.map_err(reqwest::Error::without_url);
        body.context("understanding what GitHub answered")
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
        assert_eq!(ids, [4], "the newest try of each, and none from before");
        assert_eq!(recent(&deliveries, at(10)), 2);
    }
}
