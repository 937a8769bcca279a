//! A client of the API.

use std::io;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};
use towline_answers::{Answer, Command, Query};

use crate::credentials::{self, Auth, is_loopback};
use crate::signing::Signer;
use crate::stack::Place;
use towline_console::outcome::{Failure, Outcome, refused};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a whole call may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running Towline.
pub struct Client {
    base: Url,
    caller: Caller,
    http: reqwest::Client,
}

/// How the caller authenticates.
enum Caller {
    /// Not at all.
    Nobody,
    /// By a token.
    Bearer(SecretString),
    /// By a signature with AWS credentials.
    Signed(Signer),
}

/// An answer to a webhook.
pub struct Delivered {
    pub status: StatusCode,
    /// The body; null if it is not JSON.
    pub body: Value,
}

impl Client {
    /// A client for the Towline at an address such as `http://127.0.0.1:8017`, with a token or a
    /// signature. Signatures use the profile and the region of `place`.
    ///
    /// # Errors
    /// When the address is invalid, the token's file cannot be read, or there are no credentials to sign with.
    pub async fn open(address: &str, auth: Auth, place: &Place) -> Outcome<Self> {
        let base = address_of(address)?;
        let caller = match auth {
            Auth::Sigv4 => Caller::Signed(Signer::find(&base, place).await?),
            Auth::Token => credentials::token(&base)?.map_or(Caller::Nobody, Caller::Bearer),
        };
        let mut client = Self::anonymous(base)?;
        client.caller = caller;
        Ok(client)
    }

    /// A client without credentials.
    ///
    /// # Errors
    /// When the machine's trusted roots cannot be read.
    pub fn anonymous(base: Url) -> Outcome<Self> {
        towline_pack::install_tls_provider();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(PATIENCE)
            .redirect(Policy::none())
            .user_agent(concat!("towline/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&base) {
            // The environment's proxy is for other machines, and cannot reach this one.
            builder = builder.no_proxy();
        }
        let http = builder.build().context("setting up HTTP")?;
        Ok(Self {
            base,
            caller: Caller::Nobody,
            http,
        })
    }

    /// A client with a person's token.
    pub fn with_token(base: Url, token: SecretString) -> Outcome<Self> {
        let mut client = Self::anonymous(base)?;
        client.caller = Caller::Bearer(token);
        Ok(client)
    }

    /// Asks a question.
    ///
    /// # Errors
    /// Refused, in the server's words, or an error when nobody answers.
    pub async fn ask(&self, query: &Query) -> Outcome<Answer> {
        let (word, fields) = parts(query, "query")?;
        let mut url = self.at(&self.route(&word));
        for (name, value) in &fields {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            url.query_pairs_mut().append_pair(name, &text);
        }
        self.answer(self.http.get(url)).await
    }

    /// Sends a command.
    pub async fn tell(&self, command: &Command) -> Outcome<Answer> {
        let (word, fields) = parts(command, "command")?;
        let url = self.at(&self.route(&word));
        self.answer(self.http.post(url).json(&fields)).await
    }

    /// Whether the server works: the status of `/healthz`.
    pub async fn health(&self) -> Outcome<StatusCode> {
        let response = self.http.get(self.at("healthz")).send().await;
        Ok(response.map_err(|error| self.silence(error))?.status())
    }

    /// Delivers a webhook.
    pub async fn deliver(&self, headers: &[(&str, String)], body: Vec<u8>) -> Outcome<Delivered> {
        let mut request = self.http.post(self.at("webhooks/github")).body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = request.send().await.map_err(|error| self.silence(error))?;
        let status = response.status();
        let body = response
            .bytes()
            .await
            .map_err(|error| self.silence(error))?;
        Ok(Delivered {
            status,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        })
    }

    async fn answer(&self, request: RequestBuilder) -> Outcome<Answer> {
        let request = match &self.caller {
            Caller::Bearer(token) => request.bearer_auth(token.expose_secret()),
            Caller::Signed(_) | Caller::Nobody => request,
        };
        let mut request = request.build().context("writing the call")?;
        if let Caller::Signed(signer) = &self.caller {
            signer.sign(&mut request)?;
        }
        let response = self.http.execute(request).await;
        let response = response.map_err(|error| self.silence(error))?;
        let status = response.status();
        let body = response
            .bytes()
            .await
            .map_err(|error| self.silence(error))?;
        if status.is_success() {
            let answer = serde_json::from_slice(&body);
            return Ok(answer.with_context(|| {
                format!(
                    "reading the answer of {}; is it the same version as this towline?",
                    self.base()
                )
            })?);
        }
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        // API Gateway itself rejects signatures, in its own format.
        let said_by_gateway = body["message"].as_str().filter(|_| self.is_signed());
        match body["error"].as_str() {
            Some(_) if status == StatusCode::UNAUTHORIZED => refused(self.who()),
            None if status == StatusCode::FORBIDDEN && said_by_gateway.is_some() => {
                refused(format!("{}: {}", self.who(), said_by_gateway.unwrap_or_default()))
            }
            Some(reason) if status.is_client_error() => refused(reason),
            Some(reason) => Err(anyhow!("{} answered {status}: {reason}", self.base()).into()),
            // It also answers if the function behind it fails.
            None if status.is_server_error() => Err(anyhow!(
                "{} answered {status}; the log says why, on AWS: aws logs tail /aws/lambda/towline-answer-chat",
                self.base()
            )
            .into()),
            None => Err(anyhow!("{} answered {status}, which is not an answer of Towline; check --url (or TOWLINE_URL)", self.base()).into()),
        }
    }

    fn who(&self) -> String {
        let base = self.base();
        match &self.caller {
            Caller::Signed(_) => format!(
                "{base} does not accept your signature; your role needs execute-api:Invoke, and must be added with `towline people add LOGIN --arn ROLE`"
            ),
            Caller::Bearer(_) => format!(
                "{base} does not know your token; set another in TOWLINE_TOKEN, or in the file that TOWLINE_TOKEN_FILE names"
            ),
            Caller::Nobody => format!(
                "{base} needs a token; set TOWLINE_TOKEN, or TOWLINE_TOKEN_FILE to the file that holds it (towline serve prints its path)"
            ),
        }
    }

    fn is_signed(&self) -> bool {
        matches!(self.caller, Caller::Signed(_))
    }

    /// The path of a call: signed calls have their own.
    fn route(&self, word: &str) -> String {
        match self.caller {
            Caller::Signed(_) => format!("aws/v1/{word}"),
            Caller::Bearer(_) | Caller::Nobody => format!("v1/{word}"),
        }
    }

    fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!(
            "{}/{path}",
            self.base.path().trim_end_matches('/')
        ));
        url
    }

    fn silence(&self, error: reqwest::Error) -> Failure {
        let base = self.base();
        if error.is_connect() {
            let cause = root_cause(&error);
            let hint = "is the address in --url or TOWLINE_URL right?";
            return match is_loopback(&self.base) && is_refused(&error) {
                true => anyhow!("nothing answers at {base} ({cause}); start it with `towline serve --repo FOLDER`, or name another with --url or TOWLINE_URL"),
                false => anyhow!("cannot connect to {base} ({cause}); {hint}"),
            }
            .into();
        }
        anyhow::Error::new(error.without_url())
            .context(format!("asking {base}"))
            .into()
    }
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// The deepest cause of an error.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let last = causes(error).last();
    last.map(ToString::to_string).unwrap_or_default()
}

/// Whether the connection was refused.
fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let system = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    system
        .map(io::Error::kind)
        .any(|kind| kind == io::ErrorKind::ConnectionRefused)
}

/// Parses an address.
pub fn address_of(text: &str) -> Outcome<Url> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(url) = url else {
        return Err(anyhow!("{text:?} is not an address such as http://127.0.0.1:8017 (from --url, --to or TOWLINE_URL)").into());
    };
    if url.password().is_some() || !url.username().is_empty() {
        return Err(anyhow!(
            "the address contains a user or password; remove it and set TOWLINE_TOKEN"
        )
        .into());
    }
    Ok(url)
}

/// The name of a call and the fields that are set.
fn parts(call: &impl Serialize, tag: &str) -> Outcome<(String, Map<String, Value>)> {
    let value = serde_json::to_value(call).context("writing the call")?;
    let Value::Object(mut fields) = value else {
        return Err(anyhow!("the call has no fields").into());
    };
    let word = fields
        .remove(tag)
        .and_then(|word| word.as_str().map(str::to_owned))
        .unwrap_or_default();
    fields.retain(|_, value| !value.is_null());
    Ok((word, fields))
}
