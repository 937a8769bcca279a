//! Prepares a build for its first command: folder, source, secrets, cache.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::SystemTime;

use secrecy::ExposeSecret as _;
use tokio::process::Command;
use towline_buildspec::Buildspec;
use towline_buildspec::model::{Cache, CacheAction, Version};
use towline_ports::RepositoryRef;

use crate::build::Build;
use crate::cache::Places;
use crate::checkout;
use crate::environment;
use crate::files::aside;
use crate::folder;
use crate::process::Leader;
use crate::record::Context;
use crate::refusals;
use crate::runtimes;
use crate::said::Said;
use crate::secrets;
use crate::shelf::Shelves;

impl Build {
    pub(crate) fn provision(&self) -> io::Result<()> {
        let config = &self.inner.config;
        let home = config.machine.home.as_ref();
        let plugins = home.map(|home| home.join(".docker/cli-plugins"));
        let user = self.record.run_as.as_ref();
        if user.is_some() {
            folder::make_common(&self.inner.common())?;
        }
        self.folder.prepare(
            &config.towline_binary,
            plugins.as_deref(),
            self.password.expose_secret(),
            user,
        )
    }

    pub(crate) async fn download_source(&mut self) -> Result<(), Context> {
        let (spec, warnings) = Buildspec::read(&self.record.request.buildspec)
            .map_err(|error| Context::new("YAML_FILE_ERROR", error.to_string()))?;
        self.spec = spec;
        for warning in warnings {
            self.say(&format!("Buildspec: {warning}")).await;
        }
        let refused = |reason: Said| Context::new("CLIENT_ERROR", reason);
        if let Some(objection) =
            refusals::objection(&self.spec, self.inner.config.build_user.as_ref())
        {
            return Err(refused(objection.into()));
        }
        let file = &self.inner.config.secrets;
        self.secrets = secrets::resolve(file, &self.spec.env).map_err(refused)?;
        self.log.mask(secrets::masks(&self.secrets)).await;
        for line in refusals::not_applied(&self.spec) {
            self.say(&format!("Not applied on one machine: {line}"))
                .await;
        }
        let mirror = self.mirror().await?;
        let source = self.folder.source();
        for command in checkout::commands(&mirror, &self.record.request.commit, &source) {
            self.git(command)
                .await
                .map_err(|message| Context::new("GIT_CLONE_FAILED", message))?;
        }
        self.show_source().await?;
        self.tell_runtimes().await;
        self.restore_cache().await;
        self.hand_over_source().await
    }

    async fn mirror(&self) -> Result<PathBuf, Context> {
        let request = &self.record.request;
        let repository = RepositoryRef {
            id: request.repository_id,
            name: request.repository.clone(),
        };
        let found = self
            .inner
            .config
            .checkout
            .mirror(&repository, &request.commit)
            .await;
        let message = match found {
            Ok(Some(mirror)) => return Ok(mirror),
            Ok(None) => format!(
                "the repository {} does not have the commit {}",
                request.repository, request.commit
            ),
            Err(error) => match std::error::Error::source(&error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            },
        };
        Err(Context::new("CLIENT_ERROR", message))
    }

    async fn git(&mut self, mut command: Command) -> Result<(), Said> {
        let doing = |error: io::Error| format!("running git: {error}");
        let machine = &self.inner.config.machine;
        command
            .envs(environment::base(&self.folder, machine))
            .stdin(Stdio::null())
            .stdout(self.log.output().map_err(doing)?)
            .stderr(self.log.output().map_err(doing)?)
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(doing)?;
        // It would keep the log's pipe open.
        drop(command);
        self.groups.extend(child.id().and_then(Leader::of));
        let status = child.wait().await.map_err(doing)?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("checking out the commit: git failed with {status}").into())
        }
    }

    /// Reports runtimes whose version differs from the buildspec's. The build does not fail because of
    /// this.
    async fn tell_runtimes(&self) {
        let wanted = &self.spec.phases.install.runtime_versions;
        if wanted.is_empty() {
            return;
        }
        let variables = self.variables();
        for (runtime, version) in wanted {
            if let Some(said) =
                runtimes::difference(runtime, version, &variables, self.user()).await
            {
                self.say(&said).await;
            }
        }
    }

    /// The cache of the buildspec, if it has one that is supported here.
    pub(crate) fn cache_for(&self, action: CacheAction) -> Option<Cache> {
        let cache = self.spec.cache.clone()?;
        let wanted = cache.action.is_none_or(|only| only == action);
        (wanted && !cache.paths.is_empty()).then_some(cache)
    }

    pub(crate) fn cache_places(&self) -> Places {
        let all = self.inner.config.dir.join("cache");
        Places {
            source: self.folder.source(),
            home: self.folder.home(),
            shelves: Shelves::of(&all, &self.record),
            word: self.record.request.attempt.to_string(),
        }
    }

    pub(crate) fn system_now(&self) -> SystemTime {
        self.inner.now().into()
    }

    /// Determines the cache's key, once for the whole build, and restores the cache.
    async fn restore_cache(&mut self) {
        let cache = self.spec.cache.clone();
        let Some(cache) = cache.filter(|cache| !cache.paths.is_empty()) else {
            return;
        };
        let key = match &cache.key {
            None => Some(String::new()),
            Some(key) => self.evaluate(key).await.filter(|key| !key.is_empty()),
        };
        let Some(key) = key else {
            self.say("The cache is not used: its key is empty").await;
            return;
        };
        self.cache_key = Some(key.clone());
        if self.cache_for(CacheAction::Restore).is_none() {
            return;
        }
        let mut fallback = Vec::new();
        // Without a key there is one cache, and no fallback.
        for text in cache.fallback_keys.iter().filter(|_| cache.key.is_some()) {
            fallback.extend(self.evaluate(text).await);
        }
        let (places, now) = (self.cache_places(), self.system_now());
        let reading = self.inner.caches.clone().read_owned().await;
        let restored = aside(move |awaited| {
            let restored = places.restore(&key, &fallback, awaited, now);
            drop(reading);
            restored
        });
        let (said, found) = restored
            .await
            .unwrap_or_else(|error| (vec![format!("Restoring the cache: {error}")], None));
        for line in said {
            self.say(&line).await;
        }
        self.restored = found;
    }

    /// Lets the user of all builds read the source, because commands run before the cache is restored.
    /// Nothing belongs to that user yet: otherwise those commands could change it while we write to it.
    async fn show_source(&self) -> Result<(), Context> {
        let Some(user) = self.user().cloned() else {
            return Ok(());
        };
        let source = self.folder.source();
        let shown = aside(move |_| user.show(&source)).await;
        let shown = shown.map_err(io::Error::other).and_then(|shown| shown);
        shown.map_err(|error| {
            let message = format!("showing the source to the user of builds: {error}");
            Context::new("INTERNAL_ERROR", message)
        })
    }

    /// Gives the source to the build's other user, if any.
    async fn hand_over_source(&mut self) -> Result<(), Context> {
        let Some(user) = self.record.run_as.clone() else {
            return Ok(());
        };
        let folders = [self.folder.source(), self.folder.home()];
        let owned = aside(move |_| folders.iter().try_for_each(|folder| user.own(folder)));
        let failed = |message: String| Context::new("INTERNAL_ERROR", message);
        match owned.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(format!(
                "run-as: giving the source to the user: {error}"
            ))),
            Err(error) => Err(failed(format!(
                "run-as: giving the source to the user: {error}"
            ))),
        }
    }

    /// A text, such as the key of a cache, expanded by the shell; none if that fails.
    pub(crate) async fn evaluate(&mut self, text: &str) -> Option<String> {
        const END: &str = "TOWLINE_END_OF_TEXT";
        if text.contains(END) {
            return None;
        }
        let control = self.control();
        let path = crate::shell::quote(&control.notes.join("evaluated"));
        let ask = format!("command cat >|{path} <<{END}\n{text}\n{END}\n");
        if !matches!(self.in_shell(&ask).await, Ok(0)) {
            return None;
        }
        let answer = control.note("evaluated")?;
        let answer = String::from_utf8(answer).ok()?;
        Some(answer.strip_suffix('\n').unwrap_or(&answer).to_owned())
    }

    /// Whether a command sees the state that the previous one left.
    pub(crate) fn shell_lasts(&self) -> bool {
        self.spec.version != Version::V0_1
    }
}
