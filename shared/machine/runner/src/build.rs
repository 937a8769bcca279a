//! One build from its start to its end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::sleep;
use towline_buildspec::Buildspec;
use towline_buildspec::model::{Phase, Shell, Version};
use towline_domain::run::BuildStatus;
use towline_wire::codebuild;

use crate::cgroup::Group;
use crate::database;
use crate::environment::{self, Variables};
use crate::event::state_change;
use crate::folder::Folder;
use crate::inner::Inner;
use crate::log::{self, Log};
use crate::process::{self, Leader, Of};
use crate::record::{Context, PhaseKind, PhaseStatus, Record, State};
use crate::shell::{Control, Session};
use crate::users::{self, User};

pub(crate) struct Build {
    pub(crate) inner: Arc<Inner>,
    pub(crate) record: Record,
    pub(crate) spec: Buildspec,
    pub(crate) folder: Folder,
    pub(crate) succeeding: bool,
    pub(crate) log: Log,
    pub(crate) password: SecretString,
    /// Values from the secret stores, which must not be shown.
    pub(crate) secrets: Vec<(String, SecretString)>,
    /// The key of the cache, once it is known.
    pub(crate) cache_key: Option<String>,
    /// The key of the cache that was restored.
    pub(crate) restored: Option<String>,
    pub(crate) groups: Vec<Leader>,
    session: Option<Session>,
    /// The user of the shell, if it is not towline's own.
    user: Option<User>,
    /// Whether the other user has received the shell's folder and variables.
    handed_over: bool,
}

struct End {
    status: BuildStatus,
    /// How its current phase ended, if the phase did not end on its own.
    cut: Option<(PhaseStatus, Context)>,
}

impl End {
    fn cut(status: BuildStatus, phase: PhaseStatus, code: &str, message: &str) -> Self {
        Self {
            status,
            cut: Some((phase, Context::new(code, message))),
        }
    }
}

/// Runs a build that was marked as running until it ends, times out, or is ended by `stop` or
/// `closing`.
pub(crate) async fn run(
    inner: Arc<Inner>,
    record: Record,
    mut stop: watch::Receiver<bool>,
    mut closing: watch::Receiver<bool>,
) {
    let mut build = match Build::new(inner.clone(), record.clone()) {
        Ok(build) => build,
        Err(error) => {
            tracing::error!(build = %record.id, %error, "a build's log cannot be written");
            let context = Context::new(
                "INTERNAL_ERROR",
                format!("the log cannot be written: {error}"),
            );
            let mut record = record;
            record.leave(PhaseStatus::Fault, Some(context), inner.now());
            conclude(&inner, record, BuildStatus::Fault).await;
            return;
        }
    };
    let timeout = Duration::from_millis(build.record.request.timeout_ms);
    let end = tokio::select! {
        biased;
        () = told(&mut stop) => End::cut(
            BuildStatus::Stopped,
            PhaseStatus::Stopped,
            "BUILD_STOPPED",
            "the build was stopped",
        ),
        () = told(&mut closing) => End::cut(
            BuildStatus::Fault,
            PhaseStatus::Fault,
            codebuild::INTERRUPTED,
            "towline was stopped while the build ran",
        ),
        () = sleep(timeout) => End::cut(
            BuildStatus::TimedOut,
            PhaseStatus::TimedOut,
            "BUILD_TIMED_OUT",
            &format!("the build took longer than {} seconds", timeout.as_secs()),
        ),
        status = build.execute() => End { status, cut: None },
    };
    build.finish(end).await;
}

/// Waits until a flag is set; forever if nothing can set it.
async fn told(flag: &mut watch::Receiver<bool>) {
    if flag.wait_for(|set| *set).await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Build {
    fn new(inner: Arc<Inner>, record: Record) -> io::Result<Self> {
        let request = &record.request;
        let (id, images) = (request.repository_id, &request.image_repository);
        let rights = towline_ports::Rights::of(id, images, &request.environment);
        let password = inner.config.registry.open(&record.id, rights);
        // The password in the form that Docker stores, which a build could print with its
        // configuration.
        let login = STANDARD.encode(format!("AWS:{password}"));
        let secrets = vec![password.clone(), login];
        let written = Arc::clone(&inner.written);
        let log = Log::open(&inner.log_path(&record), secrets, log::MOST, written)?;
        let user = record.run_as.clone();
        let user = user.filter(|user| inner.config.build_user.as_ref() == Some(user));
        Ok(Self {
            folder: inner.folder(&record),
            inner,
            record,
            spec: Buildspec::default(),
            succeeding: true,
            log,
            password: password.into(),
            secrets: Vec::new(),
            cache_key: None,
            restored: None,
            groups: Vec::new(),
            session: None,
            handed_over: user.is_some(),
            user,
        })
    }

    async fn execute(&mut self) -> BuildStatus {
        self.record.group = Group::create(&self.folder.source());
        let request = &self.record.request;
        let (id, commit, repository) = (&self.record.id, &request.commit, &request.repository);
        self.say(&format!("Build {id} of {repository} at {commit}"))
            .await;
        if let Err(error) = self.provision() {
            let message = format!("preparing the build's folder: {error}");
            self.leave(
                PhaseStatus::Fault,
                Some(Context::new("INTERNAL_ERROR", message)),
            )
            .await;
            return BuildStatus::Fault;
        }
        self.leave(PhaseStatus::Succeeded, None).await;
        self.enter(PhaseKind::DownloadSource).await;
        if let Err(context) = self.download_source().await {
            self.leave(PhaseStatus::Failed, Some(context)).await;
            return BuildStatus::Failed;
        }
        self.leave(PhaseStatus::Succeeded, None).await;
        self.run_phases().await;
        self.record.exported = self.exported_variables().await;
        self.enter(PhaseKind::UploadArtifacts).await;
        match self.upload().await {
            Ok(()) => self.leave(PhaseStatus::Succeeded, None).await,
            Err(context) => {
                self.succeeding = false;
                self.leave(PhaseStatus::Failed, Some(context)).await;
            }
        }
        if self.succeeding {
            BuildStatus::Succeeded
        } else {
            BuildStatus::Failed
        }
    }

    /// The shell, started if it is not running.
    pub(crate) async fn session(&mut self) -> io::Result<&mut Session> {
        if self.session.is_none() {
            let session = self.start_session()?;
            // It has run no command yet.
            if let (Some(group), Some(pid)) = (&self.record.group, session.id())
                && let Err(error) = group.take(pid)
            {
                tracing::warn!(build = %self.record.id, %error, "a build has no control group");
            }
            let leader = session.id().and_then(Leader::of);
            self.record.leader.clone_from(&leader);
            self.groups.extend(leader);
            self.session = Some(session);
            // Stored before the first command, so that its processes can be found after a crash.
            self.save().await;
        }
        self.session
            .as_mut()
            .ok_or_else(|| io::Error::other("the shell has ended"))
    }

    fn start_session(&self) -> io::Result<Session> {
        let control = self.control();
        let kept = match self.spec.version {
            Version::V0_1 => None,
            Version::V0_2 => control.working_folder(),
        };
        let shell = match self.spec.env.shell {
            Some(Shell::Bash) => "bash",
            Some(Shell::Sh | Shell::PowerShell | Shell::Cmd) | None => "/bin/sh",
        };
        let mut command = Command::new(shell);
        command
            .env_clear()
            .envs(self.variables())
            .current_dir(kept.unwrap_or_else(|| self.folder.source()))
            .stdout(self.log.output()?)
            .stderr(self.log.output()?);
        if let Some(user) = &self.user {
            command.uid(user.uid).gid(user.gid);
            command.env("USER", &user.name).env("LOGNAME", &user.name);
        }
        Session::start(command, &control, self.spec.version)
            .map_err(|error| io::Error::new(error.kind(), format!("starting {shell}: {error}")))
    }

    pub(crate) fn variables(&self) -> Variables {
        environment::all(
            &self.record,
            &self.spec,
            &self.secrets,
            &self.folder,
            &self.inner.config.machine,
            &self.inner.place,
            self.succeeding,
        )
    }

    /// The user of the next command, if it is not towline's own.
    pub(crate) fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// Where the shell and this process exchange files.
    pub(crate) fn control(&self) -> Control {
        self.folder.control(self.user.as_ref())
    }

    /// Runs the following commands as the user of their phase, in that user's shell.
    ///
    /// The other user continues with the folder and exported variables of the previous shell. Variables
    /// that this user exports later do not return to root's shell: root must not run what another user
    /// has written.
    pub(crate) async fn run_as(&mut self, phase: &Phase) {
        if self.inner.config.build_user.is_some() {
            return;
        }
        let name = users::name_of(&self.spec, phase);
        let other = self.record.run_as.clone();
        let user = other.filter(|user| name == Some(&user.name));
        if user == self.user {
            return;
        }
        if let Some(session) = &mut self.session {
            session.close().await;
        }
        self.drop_session();
        let before = self.control();
        self.user = user;
        if let Some(user) = self.user.as_ref().filter(|_| !self.handed_over) {
            let handed_over = before.hand_over(&self.control(), user);
            if let Err(error) = handed_over {
                self.say(&format!("run-as: passing on variables: {error}"))
                    .await;
            }
            self.handed_over = true;
        }
    }

    /// Ends the shell; the next command gets a new one.
    pub(crate) fn drop_session(&mut self) {
        self.session = None;
    }

    async fn finish(mut self, end: End) {
        if let Some((status, context)) = end.cut {
            self.leave(status, Some(context)).await;
        }
        self.enter(PhaseKind::Finalizing).await;
        if let Some(session) = &mut self.session {
            session.close().await;
        }
        process::end_all(&self.folder, Of::Ours(&self.groups)).await;
        if let Some(group) = &self.record.group {
            group.end().await;
        }
        self.session = None;
        let word = end.status.word();
        self.say(&format!("Build ended: {word}")).await;
        self.log.close().await;
        let folder = self.folder;
        let common = self.inner.common();
        let removed = tokio::task::spawn_blocking(move || {
            folder.remove()?;
            // Other builds may still use it, or it was never used.
            let _ = std::fs::remove_dir(common);
            Ok::<(), io::Error>(())
        });
        let removed = removed.await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(build = %self.record.id, %error, "a build's folder was not removed");
        }
        self.record
            .leave(PhaseStatus::Succeeded, None, self.inner.now());
        conclude(&self.inner, self.record, end.status).await;
    }

    pub(crate) async fn enter(&mut self, kind: PhaseKind) {
        self.record.enter(kind, self.inner.now());
        self.save().await;
        self.say(&format!("Entering phase {}", kind.word())).await;
    }

    /// Ends the current phase, if there is one.
    pub(crate) async fn leave(&mut self, status: PhaseStatus, context: Option<Context>) {
        let runs = self.record.phases.last();
        if runs.is_none_or(|phase| phase.status.is_some()) {
            return;
        }
        let phase = self.record.current().word();
        let state = status.word();
        self.say(&format!("Phase complete: {phase} State: {state}"))
            .await;
        if let Some(context) = &context {
            self.say(&context.to_string()).await;
        }
        // Saved with the next phase, or with the end of the build.
        self.record.leave(status, context, self.inner.now());
    }

    /// Saves the current state for readers. The result is saved at the end.
    async fn save(&self) {
        let record = self.record.clone();
        let saved = self
            .inner
            .database
            .call("saving a build", move |transaction| {
                let kept = database::get(transaction, &record.id)?;
                match kept {
                    Some(kept) if kept.state == State::Running => {
                        database::update(transaction, &record, None)
                    }
                    _ => Ok(()),
                }
            });
        if let Err(error) = saved.await {
            tracing::warn!(build = %self.record.id, %error, "a build was not saved");
        }
    }

    /// Writes a line to the log.
    pub(crate) async fn say(&self, text: &str) {
        let now = self.inner.now().strftime("%Y-%m-%dT%H:%M:%SZ");
        self.log.say(format!("[towline] {now} {text}")).await;
    }
}

/// How long to wait before storing the end of a build again.
const AGAIN: Duration = Duration::from_secs(1);

/// Revokes the build's access to the registry, then stores its end and its event, and retries until that
/// succeeds.
pub(crate) async fn conclude(inner: &Inner, mut record: Record, status: BuildStatus) {
    inner.config.registry.close(&record.id);
    let now = inner.now();
    record.end(status, now);
    let event = state_change(&record, &inner.place, now);
    loop {
        let (record, event) = (record.clone(), event.clone());
        let id = record.id.clone();
        let written = inner.database.call("ending a build", move |transaction| {
            database::update(transaction, &record, Some(&event))
        });
        match written.await {
            Ok(()) => break,
            Err(error) => tracing::error!(build = %id, %error, "the end of a build was not stored"),
        }
        sleep(AGAIN).await;
    }
    inner.changed.notify_one();
    inner.tidy().await;
}
