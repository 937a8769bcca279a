//! The processes of functions, so that one can be killed in the middle of what it does.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Kills every process that runs this function for this emulator; says how many there were.
#[must_use]
pub fn kill(emulator: u32, function: &str) -> usize {
    let running = children(emulator).into_iter();
    let of_function = running.filter(|process| runs(*process, function));
    let killed = of_function.filter(|process| {
        i32::try_from(*process)
            .ok()
            .and_then(Pid::from_raw)
            .is_some_and(|process| kill_process(process, Signal::KILL).is_ok())
    });
    killed.count()
}

/// The processes a process has started, by `/proc`.
fn children(parent: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else {
        return Vec::new();
    };
    let lists = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            let words = list.split_whitespace();
            words
                .filter_map(|word| word.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Whether a process was started as a Lambda function whose name contains this one.
fn runs(process: u32, function: &str) -> bool {
    let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .filter_map(|variable| std::str::from_utf8(variable).ok())
        .filter_map(|variable| variable.strip_prefix("AWS_LAMBDA_FUNCTION_NAME="))
        .any(|name| name.contains(function))
}
