//! Calls one function with an event, as Lambda would.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use towline_bus::rules::Function;
use towline_domain::causes::with_causes;
use towline_handlers::{
    HandlerError, advance_stages, deploy_images, plan_runs, promote_images, record_images,
    start_builds,
};
use towline_ports::Clock as _;
use towline_wire::eventbridge;

use crate::machine::Machine;

/// Tries before an event is left to the sweep, as Lambda tries an asynchronous call three times.
const MOST_TRIES: u32 = 3;
/// The holder of this process's leases. One name is enough: only one process can open the store, and it
/// never handles an event twice at the same time.
const HOLDER: &str = "this machine";

/// Why a function did not take an event.
pub(super) struct Failed {
    pub(super) reason: String,
    /// Whether a retry never helps.
    pub(super) is_permanent: bool,
}

/// Calls a function with an event, again if it fails and a retry may help.
pub(super) async fn invoke(
    machine: &Arc<Machine>,
    function: Function,
    event: &Value,
) -> Result<(), Failed> {
    let mut attempt = 0;
    loop {
        // A task of its own, so that a panic ends this call and nothing else (F18).
        let (own, copy) = (Arc::clone(machine), event.clone());
        let called = tokio::spawn(async move { call(&own, function, &copy).await });
        let failed = match called.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => {
                let is_permanent = error.is_permanent();
                let reason = with_causes(&error);
                tracing::warn!(function = function.name(), error = reason, "failed");
                Failed {
                    reason,
                    is_permanent,
                }
            }
            Err(error) => {
                tracing::error!(function = function.name(), %error, "panicked");
                Failed {
                    reason: format!("{function} panicked"),
                    is_permanent: true,
                }
            }
        };
        attempt += 1;
        if failed.is_permanent || attempt == MOST_TRIES {
            return Err(failed);
        }
        let pause = Duration::from_millis(25 << (2 * attempt));
        machine.clock.sleep(pause).await;
    }
}

async fn call(machine: &Machine, function: Function, event: &Value) -> Result<(), HandlerError> {
    let envelope = match eventbridge::read(event.clone()) {
        Ok(envelope) => envelope,
        Err(error) => {
            tracing::error!(
                function = function.name(),
                error = &error as &dyn std::error::Error,
                "dropped"
            );
            return Ok(());
        }
    };
    let context = machine.context();
    match function {
        Function::PlanRuns => {
            plan_runs::handle(
                context,
                machine.source.as_ref(),
                &plan_runs::Settings::default(),
                &envelope,
            )
            .await
        }
        Function::StartBuilds => {
            start_builds::handle(context, &machine.runner, &machine.settings, &envelope).await
        }
        Function::RecordImages => {
            record_images::handle(context, &machine.registry, &envelope).await
        }
        Function::AdvanceStages => {
            advance_stages::handle(context, &machine.runner, &envelope).await
        }
        Function::PromoteImages => {
            let (images, source) = (&machine.registry, machine.source.as_ref());
            promote_images::handle(context, images, source, HOLDER, &envelope).await
        }
        Function::DeployImages => deploy_images::handle(context, &envelope).await,
        // One machine owes no statuses; doors and the loop of the sweep call the others.
        Function::ReportStatus
        | Function::ReceiveGithub
        | Function::AnswerChat
        | Function::Sweep => {
            tracing::error!(function = function.name(), "not called on one machine");
            Ok(())
        }
    }
}
