//! Answers all requests of people: the API by token or AWS identity, Slack by its signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use towline_domain::person::{Door as Way, Person};
use towline_ports::Builds;
use towline_wire::http::{CALLER_ARN, Headers, Request, Response};
use towline_wire::people::{People, SlackUser};
use towline_wire::signature::Secrets;

use super::{ask_as, http, slack, tell, text};
use towline_state::Context;

/// Finds people by their credentials.
pub trait Authenticate: Send + Sync {
    fn by_token(&self, token: &str) -> Option<Person>;

    /// The person with this ARN, which AWS has verified.
    fn by_arn(&self, arn: &str) -> Option<Person>;

    /// The person with this user in Slack, which Slack has signed.
    fn by_slack(&self, user: &SlackUser) -> Option<Person>;
}

impl Authenticate for People {
    fn by_token(&self, token: &str) -> Option<Person> {
        self.by_token(token).cloned()
    }

    fn by_arn(&self, arn: &str) -> Option<Person> {
        self.by_arn(arn).cloned()
    }

    fn by_slack(&self, user: &SlackUser) -> Option<Person> {
        self.by_slack(user).cloned()
    }
}

/// All paths for people: `/v1/…` with a token, `/aws/v1/…` with an identity that the gateway verified,
/// `/slack/commands` and `/healthz`. They are the same behind API Gateway and on one machine.
#[derive(Clone, Copy)]
pub struct Door<'a> {
    /// The source of answers.
    pub context: Context<'a>,
    /// The source of builds' logs.
    pub builds: &'a dyn Builds,
    /// The people who have access.
    pub people: &'a dyn Authenticate,
    /// The secrets that sign Slack's requests; none while no app is connected.
    pub slack: Option<&'a Secrets>,
}

impl Door<'_> {
    /// Answers one request. 401 means that the credentials are unknown; the caller may then read
    /// cached secrets and people again, and repeat the request.
    pub async fn answer(&self, request: Request) -> Response {
        let (path, method) = (request.path.as_str(), request.method.as_str());
        match path {
            "/healthz" if matches!(method, "GET" | "HEAD") => plain("ok\n".into()),
            "/healthz" => http::not_allowed("GET, HEAD", "use GET to check whether Towline is up"),
            "/slack/commands" => match self.slack {
                None => http::error(
                    503,
                    "no Slack app is connected: its signing secret is not set",
                ),
                Some(_) if method != "POST" => {
                    http::not_allowed("POST", "Slack posts its commands here")
                }
                Some(secrets) => slack::handle(self, secrets, request).await,
            },
            _ if path.starts_with("/v1/") => self.by_token(request).await,
            _ => match path
                .strip_prefix("/aws")
                .filter(|path| path.starts_with("/v1/"))
            {
                Some(path) => {
                    let path = path.to_owned();
                    self.by_arn(Request { path, ..request }).await
                }
                None => http::error(
                    404,
                    &format!("{path} not found; the paths are /v1/…, /slack/commands and /healthz"),
                ),
            },
        }
    }

    async fn by_token(&self, request: Request) -> Response {
        let shown = request.headers.only("authorization");
        let shown = shown.and_then(|value| value.split_once(' '));
        // The scheme's name is case-insensitive (RFC 9110, section 11.1).
        let person = match shown.map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest.trim())) {
            Some((scheme, token)) if scheme == "bearer" => self.people.by_token(token),
            // A browser sends credentials automatically, so another page could cause such a request. It
            // may only ask.
            Some((scheme, pair)) if scheme == "basic" && request.method == "GET" => password(pair)
                .and_then(|(login, token)| Some((login, self.people.by_token(&token)?)))
                .filter(|(login, person)| person.login.eq_ignore_ascii_case(login))
                .map(|(_, person)| person),
            _ => None,
        };
        match person {
            Some(person) => self.call(person, token_door(&request), &request).await,
            None => {
                let mut response = http::error(
                    401,
                    "not signed in; send the token from TOWLINE_TOKEN or the file owner.token in the header Authorization: Bearer …",
                );
                let ways = "Bearer, Basic realm=\"login and token\", charset=\"UTF-8\"";
                let ways = if is_browser(&request) { ways } else { "Bearer" };
                response.headers.push("www-authenticate", ways);
                response
            }
        }
    }

    async fn by_arn(&self, request: Request) -> Response {
        let Some(arn) = request.headers.only(CALLER_ARN) else {
            return http::error(
                401,
                "this path takes requests signed with SigV4, through API Gateway",
            );
        };
        match self.people.by_arn(arn) {
            Some(person) => self.call(person, Way::Iam, &request).await,
            None => http::error(
                403,
                &format!("no known person has the ARN {arn}; add it to the list of people"),
            ),
        }
    }

    async fn call(&self, person: Person, way: Way, request: &Request) -> Response {
        let person = Person {
            door: Some(way),
            ..person
        };
        let answer = match http::decode(request) {
            Err(response) => return response,
            Ok(http::Call::Ask(query)) => ask_as(self.context, self.builds, &person, query).await,
            Ok(http::Call::Tell(command)) => tell(self.context, &person, command).await,
        };
        match answer {
            Ok(answer) if is_browser(request) => {
                let lines = text::lines(&answer, self.context.now());
                plain(lines.iter().map(|line| format!("{line}\n")).collect())
            }
            answer => http::encode(answer),
        }
    }
}

/// The door of a request with a token: the command line `towline` names itself.
fn token_door(request: &Request) -> Way {
    let agent = request.headers.only("user-agent");
    match agent.is_some_and(|agent| agent.starts_with("towline/")) {
        true => Way::Terminal,
        false => Way::Api,
    }
}

/// Whether the answer is for a person, who reads text rather than JSON.
fn is_browser(request: &Request) -> bool {
    let accept = request.headers.only("accept");
    request.method == "GET" && accept.is_some_and(|accept| accept.contains("text/html"))
}

fn password(pair: &str) -> Option<(String, String)> {
    let pair = String::from_utf8(STANDARD.decode(pair).ok()?).ok()?;
    let (login, token) = pair.split_once(':')?;
    Some((login.to_owned(), token.to_owned()))
}

fn plain(text: String) -> Response {
    let mut headers = Headers::default();
    headers.push("content-type", "text/plain; charset=utf-8");
    headers.push("x-content-type-options", "nosniff");
    Response {
        status: 200,
        headers,
        body: text.into_bytes(),
    }
}

#[cfg(test)]
mod tests;
