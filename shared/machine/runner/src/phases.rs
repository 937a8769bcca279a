//! Runs the commands of a buildspec in order, and decides what a failure means.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use regex_lite::Regex;
use towline_buildspec::model::{OnFailure, Phase, PhaseName};

use crate::build::Build;
use crate::environment::flag;
use crate::record::{Context, PhaseKind, PhaseStatus};
use crate::shell::Done;

/// Bytes of a failed phase's output to search for a `RETRY` pattern.
const MOST_SEARCHED: u64 = 256 * 1024;

impl Build {
    /// Runs the four phases with commands as CodeBuild does: after a failure of `install` or
    /// `pre_build` nothing more runs, after a failure of `build` only `post_build`, unless
    /// `on-failure` says otherwise. CodeBuild does not document whether a failure with `CONTINUE`
    /// fails the build; here it does.
    pub(crate) async fn run_phases(&mut self) {
        for name in PhaseName::ALL {
            if !self.run_phase(name).await {
                return;
            }
        }
    }

    /// Runs one phase; returns whether the next one follows.
    async fn run_phase(&mut self, name: PhaseName) -> bool {
        self.enter(kind(name)).await;
        let phase = self.spec.phases.get(name).clone();
        self.run_as(&phase).await;
        let Err(context) = self.run_attempts(&phase).await else {
            self.leave(PhaseStatus::Succeeded, None).await;
            return true;
        };
        self.succeeding = false;
        self.leave(PhaseStatus::Failed, Some(context)).await;
        match phase.on_failure {
            Some(OnFailure::Continue) => true,
            Some(OnFailure::Abort) => false,
            Some(OnFailure::Retry { .. }) | None => name == PhaseName::Build,
        }
    }

    /// Runs a phase as often as its `on-failure` allows.
    async fn run_attempts(&mut self, phase: &Phase) -> Result<(), Context> {
        let (count, regex) = match &phase.on_failure {
            Some(OnFailure::Retry { count, regex }) => (*count, regex.as_deref()),
            Some(OnFailure::Abort | OnFailure::Continue) | None => (0, None),
        };
        let mut left = count;
        loop {
            let from = self.log_length();
            let Err(context) = self.run_once(phase).await else {
                return Ok(());
            };
            if left == 0 || !self.fits(regex, &context, from) {
                return Err(context);
            }
            self.say(&context.to_string()).await;
            self.say(&format!("Retrying the phase; {left} retries left"))
                .await;
            left -= 1;
        }
    }

    async fn run_once(&mut self, phase: &Phase) -> Result<(), Context> {
        self.tell_succeeding().await;
        let done = self.run_list(&phase.commands).await;
        let last = self.run_list(&phase.finally).await;
        done.and(last)
    }

    /// Runs commands until one fails.
    async fn run_list(&mut self, commands: &[String]) -> Result<(), Context> {
        for command in commands {
            self.run_command(command).await?;
        }
        Ok(())
    }

    async fn run_command(&mut self, command: &str) -> Result<(), Context> {
        self.say(&format!("Running command {command}")).await;
        let reason = match self.in_shell(command).await {
            Ok(0) => return Ok(()),
            Ok(status) => format!("exit status {status}"),
            Err(error) => error.to_string(),
        };
        self.say(&format!(
            "Command did not exit successfully {command} {reason}"
        ))
        .await;
        Err(Context::new(
            "COMMAND_EXECUTION_ERROR",
            format!("Error while executing command: {command}. Reason: {reason}"),
        ))
    }

    /// Runs something in the build's shell; returns the exit status.
    pub(crate) async fn in_shell(&mut self, command: &str) -> std::io::Result<i32> {
        let done = self.session().await?.run(command).await?;
        if matches!(done, Done::Ended(_)) || !self.shell_lasts() {
            self.drop_session();
        }
        Ok(done.status())
    }

    /// Tells the running shell whether the build succeeds so far; a later shell starts with it.
    async fn tell_succeeding(&mut self) {
        if !self.shell_lasts() {
            return;
        }
        let flag = flag(self.succeeding);
        // If the shell cannot start, the first command reports it.
        let _ = self
            .in_shell(&format!("export CODEBUILD_BUILD_SUCCEEDING={flag}"))
            .await;
    }

    /// Whether to retry after a failure.
    fn fits(&self, regex: Option<&str>, context: &Context, from: u64) -> bool {
        let Some(text) = regex else {
            return true;
        };
        // Invalid patterns were refused before anything ran.
        let Ok(regex) = Regex::new(text) else {
            return false;
        };
        regex.is_match(&context.message) || regex.is_match(&self.log_since(from))
    }

    fn log_length(&self) -> u64 {
        let log = std::fs::metadata(self.inner.log_path(&self.record));
        log.map_or(0, |log| log.len())
    }

    fn log_since(&self, from: u64) -> String {
        let from = from.max(self.log_length().saturating_sub(MOST_SEARCHED));
        let mut bytes = Vec::new();
        let read = File::open(self.inner.log_path(&self.record)).and_then(|mut file| {
            file.seek(SeekFrom::Start(from))?;
            file.take(MOST_SEARCHED).read_to_end(&mut bytes)
        });
        if let Err(error) = read {
            tracing::warn!(build = %self.record.id, %error, "a build's log cannot be read");
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn kind(name: PhaseName) -> PhaseKind {
    match name {
        PhaseName::Install => PhaseKind::Install,
        PhaseName::PreBuild => PhaseKind::PreBuild,
        PhaseName::Build => PhaseKind::Build,
        PhaseName::PostBuild => PhaseKind::PostBuild,
    }
}
