//! Whether Lambda lets an account reserve as many invocations as the template asks for.

use serde_json::Value;
use towline_client::aws_cli::AwsCli;
use towline_console::outcome::Outcome;

/// The template's parameter that switches reserved invocations on and off.
pub const RESERVE: &str = "ReserveConcurrency";
/// The invocations that Lambda keeps unreserved (Lambda developer guide, "Configuring reserved
/// concurrency").
const UNRESERVED: u64 = 100;

/// The value for the parameter, if it must change, and a warning.
pub struct Advice {
    pub value: Option<&'static str>,
    pub note: String,
}

/// Compares the template with the account.
///
/// # Errors
/// When Lambda does not answer, unless the caller is not allowed to ask.
pub async fn advice(aws: &AwsCli, template: &str) -> Outcome<Option<Advice>> {
    let reserved = reserved(template);
    if reserved == 0 {
        return Ok(None);
    }
    let answer = aws.call("lambda", "get-account-settings").json::<Value>();
    let settings = match answer.await {
        Ok(settings) => settings,
        Err(error) if error.is_denied() => {
            return Ok(Some(Advice {
                value: None,
                note: format!(
                    "cannot see whether Lambda lets {reserved} invocations be reserved ({error}); if the deployment fails because of that, use --parameter {RESERVE}=false"
                ),
            }));
        }
        Err(error) => return Err(error.into()),
    };
    let number = |name: &str| settings["AccountLimit"][name].as_u64();
    let Some(limit) = number("ConcurrentExecutions") else {
        return Ok(None);
    };
    let free = number("UnreservedConcurrentExecutions").unwrap_or(limit);
    let needed = reserved + UNRESERVED;
    if free >= needed {
        return Ok(None);
    }
    let quota = limit + needed - free;
    Ok(Some(Advice {
        value: Some("false"),
        note: format!(
            "the account may run {limit} functions at once, of which {free} are unreserved: too few to reserve Towline's {reserved}. So {RESERVE}=false, and a busy function elsewhere can slow Towline down. Raise Lambda's \"Concurrent executions\" to {quota} under Service Quotas, then use --parameter {RESERVE}=true"
        ),
    }))
}

/// How many invocations a template reserves in total.
fn reserved(template: &str) -> u64 {
    let marked = template.split("ReservedConcurrentExecutions: !If [Reserving, ");
    let numbers = marked.skip(1).filter_map(|rest| rest.split(',').next());
    numbers.filter_map(|text| text.parse::<u64>().ok()).sum()
}
