//! A running handler: its job, its clock, and the call of the real handler.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use towline_answers::{ChatError, Command};
use towline_domain::person::Person;
use towline_handlers::{
    Context, HandlerError, advance_stages, deploy_images, plan_runs, promote_images,
    receive_github, record_images, report_status, start_builds, sweep,
};
use towline_ports::Clock;
use towline_ports::memory::MemoryClock;
use towline_wire::eventbridge;
use towline_wire::http::Request;

use crate::job::Job;
use crate::ports::Ports;

/// How wrong a clock can be, either way.
const MOST_SKEW: SignedDuration = SignedDuration::from_secs(5 * 60);

/// The answer of a handler; an error is tried again.
type Said = Result<String, String>;

/// A running handler.
pub(crate) struct Invocation {
    pub(crate) job: Arc<Job>,
    pub(crate) since: Timestamp,
    /// Until when it stands still.
    pub(crate) until: Timestamp,
    pub(crate) work: Pin<Box<dyn Future<Output = Said> + Send>>,
}

impl Invocation {
    /// The call of the job's handler. `holder` is its name as a writer of tags; its clock is wrong by
    /// `skew`.
    pub(crate) fn new(job: Arc<Job>, ports: Arc<Ports>, holder: String, skew: Option<u64>) -> Self {
        let now = ports.clock.now();
        let clock = Skewed {
            clock: Arc::clone(&ports.clock),
            by: skew.map_or(SignedDuration::ZERO, wrong_by),
        };
        let of = Arc::clone(&job);
        Self {
            job,
            since: now,
            until: now,
            work: Box::pin(async move {
                let call = Call {
                    ports: &ports,
                    context: Context {
                        store: &ports.store,
                        bus: &ports.bus,
                        clock: &clock,
                    },
                };
                match &*of {
                    Job::Webhook(request) => call.receive(request).await,
                    Job::Event(function, event, _) => call.handle(function, event, &holder).await,
                    Job::Sweep => call.sweep().await,
                    Job::Person(person, command) => call.answer(person, command).await,
                }
            }),
        }
    }
}

/// A call of a handler.
#[derive(Clone, Copy)]
struct Call<'a> {
    ports: &'a Ports,
    context: Context<'a>,
}

impl Call<'_> {
    async fn receive(self, request: &Request) -> Said {
        let Self { ports, context } = self;
        let (secrets, request) = (&ports.secrets, request.clone());
        let response = receive_github::handle(context, &ports.source, secrets, request).await;
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let word = body["status"].as_str().unwrap_or("?").to_owned();
        match response.status {
            503 => Err("503".into()),
            status => Ok(format!("{status} {word}")),
        }
    }

    async fn handle(self, function: &str, event: &Value, holder: &str) -> Said {
        let event = eventbridge::read(event.clone()).map_err(|error| error.to_string())?;
        let done = self.call(function, &event, holder).await;
        done.map(|()| "done".into())
            .map_err(|error| error.to_string())
    }

    async fn call(
        self,
        function: &str,
        event: &eventbridge::Envelope,
        holder: &str,
    ) -> Result<(), HandlerError> {
        let Self { ports, context } = self;
        match function {
            "plan-runs" => {
                let settings = plan_runs::Settings::default();
                plan_runs::handle(context, &ports.source, &settings, event).await
            }
            "start-builds" => {
                start_builds::handle(context, &ports.builds, &ports.settings, event).await
            }
            "record-images" => record_images::handle(context, &ports.images, event).await,
            "advance-stages" => advance_stages::handle(context, &ports.builds, event).await,
            "promote-images" => {
                let (images, source) = (&ports.images, &ports.source);
                promote_images::handle(context, images, source, holder, event).await
            }
            "report-status" => {
                let settings = report_status::Settings::default();
                report_status::handle(context, &ports.statuses, &settings, event).await
            }
            "deploy-images" => deploy_images::handle(context, event).await,
            other => panic!("there is no function {other}"),
        }
    }

    async fn sweep(self) -> Said {
        let Self { ports, context } = self;
        let told = |error: HandlerError| error.to_string();
        let swept = sweep::handle(context, &ports.builds).await;
        let compared = match sweep::compares_tags(ports.clock.now()) {
            true => sweep::compare_tags(context).await,
            false => Ok(()),
        };
        let swept = compared.and(swept).map_err(told)?;
        let round = sweep::Round {
            number: 0,
            patience: Duration::from_secs(120),
        };
        let source = &ports.source;
        let compared = sweep::compare_heads(context, source, source, &round).await;
        let compared = compared.map_err(told)?;
        Ok(format!("{swept:?} {}", compared.found))
    }

    async fn answer(self, person: &Person, command: &Command) -> Said {
        match towline_answers::tell(self.context, person, command.clone()).await {
            Ok(towline_answers::Answer::Done { message, .. }) => Ok(message),
            Ok(other) => Ok(format!("{other:?}")),
            Err(ChatError::Refused(why)) => Ok(format!("refused: {why}")),
            Err(ChatError::Failed(error)) => Err(error.to_string()),
        }
    }
}

/// The clock of one invocation, which may be wrong.
struct Skewed {
    clock: Arc<MemoryClock>,
    by: SignedDuration,
}

#[async_trait]
impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        self.clock.now() + self.by
    }

    async fn sleep(&self, time: Duration) {
        self.clock.sleep(time).await;
    }

    fn random(&self) -> u64 {
        self.clock.random()
    }
}

/// How wrong a clock is: at most five minutes, so that two differ by at most ten.
fn wrong_by(how: u64) -> SignedDuration {
    let most = MOST_SKEW.as_millis().unsigned_abs();
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    let by = i64::try_from(how % (2 * most + 1)).unwrap_or(0);
    SignedDuration::from_millis(by) - MOST_SKEW
}
