//! Saves the results of a build after its last command: reports, artifacts, cache, exported variables.

use towline_buildspec::model::CacheAction;

use crate::artifacts;
use crate::build::Build;
use crate::files::aside;
use crate::record::Context;
use crate::reports;

impl Build {
    /// CodeBuild's phase `UPLOAD_ARTIFACTS`, also for failed builds.
    pub(crate) async fn upload(&mut self) -> Result<(), Context> {
        self.summarize_reports().await;
        let kept = self.keep_artifacts().await;
        self.save_cache().await;
        kept
    }

    async fn summarize_reports(&mut self) {
        for (group, report) in self.spec.reports.clone() {
            let source = self.folder.source();
            let named = group.clone();
            let read =
                aside(move |awaited| reports::summarize(&named, &report, &source, awaited)).await;
            let said = read.unwrap_or_else(|error| vec![format!("Report {group}: {error}")]);
            for line in said {
                self.say(&line).await;
            }
        }
    }

    /// Keeps the artifacts of the buildspec. As on CodeBuild, an artifact that cannot be kept or that
    /// matches no file fails the phase; the others are still kept.
    async fn keep_artifacts(&mut self) -> Result<(), Context> {
        let all = self.spec.artifacts.clone().unwrap_or_default();
        let kept = self.inner.artifacts(&self.record);
        let mut outcome = Ok(());
        for (name, artifacts) in artifacts::by_name(all) {
            if let Some(text) = &artifacts.name {
                let called = self.evaluate(text).await;
                let called = called.unwrap_or_else(|| "something that cannot be determined".into());
                self.say(&format!(
                    "On CodeBuild, a project with overrideArtifactName would name {name} {called:?}"
                ))
                .await;
            }
            let (source, target) = (self.folder.source(), kept.clone());
            let work = move |awaited: &crate::files::Awaited| {
                artifacts::keep(&name, &artifacts, &source, &target, awaited)
            };
            let said = match aside(work).await {
                Ok(Ok(said)) => said,
                Ok(Err(objection)) => {
                    let objection = String::from(objection);
                    outcome = outcome.and(Err(Context::new("CLIENT_ERROR", &objection)));
                    vec![objection]
                }
                Err(error) => {
                    let message = format!("keeping artifacts: {error}");
                    outcome = outcome.and(Err(Context::new("INTERNAL_ERROR", &message)));
                    vec![message]
                }
            };
            for line in said {
                self.say(&line).await;
            }
        }
        outcome
    }

    /// Saves the cache of a successful build. An existing cache with the same key stays.
    async fn save_cache(&mut self) {
        let Some(cache) = self.cache_for(CacheAction::Save) else {
            return;
        };
        let Some(key) = self.cache_key.clone() else {
            return;
        };
        if !self.succeeding {
            self.say("The cache was not saved: the build failed").await;
            return;
        }
        if !key.is_empty() && self.restored.as_ref() == Some(&key) {
            self.say(&format!("The cache {key:?} exists already")).await;
            return;
        }
        let (places, now) = (self.cache_places(), self.system_now());
        let writing = self.inner.caches.clone().write_owned().await;
        let saved = aside(move |awaited| {
            let said = places.save(&cache, &key, awaited, now);
            drop(writing);
            said
        });
        let said = saved
            .await
            .unwrap_or_else(|error| vec![format!("Saving the cache: {error}")]);
        for line in said {
            self.say(&line).await;
        }
    }

    /// Asks the shell for the variables that the buildspec exports. Values from secret stores are never
    /// exported, under any name.
    pub(crate) async fn exported_variables(&mut self) -> Vec<(String, String)> {
        let asked = self.spec.env.exported_variables.clone();
        let is_secret = |name: &String| self.secrets.iter().any(|(known, _)| known == name);
        let allowed =
            |name: &String| is_identifier(name) && !name.starts_with("AWS_") && !is_secret(name);
        let (names, refused): (Vec<_>, Vec<_>) = asked.into_iter().partition(allowed);
        if !self.shell_lasts() {
            return Vec::new();
        }
        for name in refused {
            self.not_exported(&name).await;
        }
        if names.is_empty() {
            return Vec::new();
        }
        let control = self.control();
        let path = crate::shell::quote(&control.notes.join("exported"));
        let values: String = names
            .iter()
            .map(|name| format!("command printf '%s\\0' \"${{{name}+set}}\" \"${{{name}-}}\"\n"))
            .collect();
        let ask = format!("{{\n{values}}} >|{path}");
        if !matches!(self.in_shell(&ask).await, Ok(0)) {
            return Vec::new();
        }
        let answer = control.note("exported").unwrap_or_default();
        let texts: Vec<&[u8]> = answer.split(|byte| *byte == 0).collect();
        let mut exported = Vec::new();
        for (name, answer) in names.into_iter().zip(texts.chunks_exact(2)) {
            let value = String::from_utf8_lossy(answer[1]).into_owned();
            let masks = crate::secrets::masks(&self.secrets);
            let shows = |mask: &String| !mask.is_empty() && value.contains(mask.as_str());
            match answer[0] == b"set" {
                true if masks.iter().any(shows) => self.not_exported(&name).await,
                true => exported.push((name, value)),
                false => {}
            }
        }
        exported
    }

    async fn not_exported(&self, name: &str) {
        self.say(&format!(
            "Not exported: {name} (a secret, an AWS_ variable or not a valid name)"
        ))
        .await;
    }
}

/// Whether a name can be a shell variable; only such names may appear in a command.
fn is_identifier(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
