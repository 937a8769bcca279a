//! The queue of builds: which one runs next, and how builds end that were running when the process died.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::sleep;
use towline_domain::run::BuildStatus;
use towline_ports::PortError;
use towline_wire::codebuild;

use crate::build;
use crate::database;
use crate::event::state_change;
use crate::folder::{self, Folder};
use crate::inner::Inner;
use crate::process::{self, Leader, Of};
use crate::record::{Context, PhaseKind, PhaseStatus, Record, State};
use crate::users;

/// Why builds ended that were running when the process died.
const RESTARTED: &str = "towline was restarted while the build ran";

/// How long to wait if the queue cannot be read.
const AGAIN: Duration = Duration::from_secs(1);

impl Inner {
    /// Ends the builds that were running when the last process died, with their processes and folders (F37).
    pub(crate) async fn recover(&self) -> Result<(), PortError> {
        let doing = "looking for builds that were running";
        while let Some(mut record) = self.database.call(doing, database::any_running).await? {
            let group = record.leader.as_ref().and_then(Leader::group);
            process::end_all(&self.folder(&record), Of::Left(group)).await;
            if let Some(group) = &record.group {
                group.end().await;
            }
            let now = self.now();
            let context = Context::new(codebuild::INTERRUPTED, RESTARTED);
            record.leave(PhaseStatus::Fault, Some(context), now);
            build::conclude(self, record, BuildStatus::Fault).await;
        }
        self.end_strays().await;
        let places = [self.config.dir.join("builds"), self.common()];
        let clear = move || -> io::Result<()> {
            for builds in places {
                if !folder::is_ours(&builds)? {
                    continue;
                }
                for entry in fs::read_dir(&builds)? {
                    let name = entry?.file_name();
                    Folder::new(&builds, &name.to_string_lossy()).remove()?;
                }
            }
            Ok(())
        };
        match tokio::task::spawn_blocking(clear).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "an old build's folder was not removed"),
            Err(error) => tracing::warn!(%error, "an old build's folder was not removed"),
        }
        self.tidy().await;
        Ok(())
    }

    /// Starts builds as their turn comes, until the runner closes.
    pub(crate) async fn schedule(self: Arc<Self>) {
        let mut closing = self.closing.subscribe();
        loop {
            let place = tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => return,
                place = self.next_place() => place,
            };
            match self.begin().await {
                Ok(Some((record, stop))) => {
                    let id = record.id.clone();
                    let inner = self.clone();
                    let closing = self.closing.subscribe();
                    tokio::spawn(async move {
                        build::run(inner.clone(), record, stop, closing).await;
                        inner.running().remove(&id);
                        inner.end_strays().await;
                        drop(place);
                    });
                }
                Ok(None) => {
                    drop(place);
                    tokio::select! {
                        biased;
                        _ = closing.wait_for(|closing| *closing) => return,
                        () = self.queued.notified() => {}
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the queue of builds cannot be read");
                    sleep(AGAIN).await;
                }
            }
        }
    }

    async fn next_place(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed, so this succeeds eventually.
        self.places.clone().acquire_owned().await.ok()
    }

    /// Marks the build whose turn it is as running.
    async fn begin(&self) -> Result<Option<(Record, watch::Receiver<bool>)>, PortError> {
        let Some(next) = self.next_in_line().await? else {
            return Ok(None);
        };
        let (stop, stopped) = watch::channel(false);
        self.running().insert(next.id.clone(), stop);
        let (id, place, now) = (next.id.clone(), self.place.clone(), self.now());
        let registry = self.config.registry_address.clone();
        let user = self.config.build_user.clone();
        let work = move |transaction: &rusqlite::Transaction<'_>| {
            let Some(mut record) = database::get(transaction, &id)? else {
                return Ok(None);
            };
            if record.state != State::Queued {
                return Ok(None);
            }
            record.state = State::Running;
            if let Some(registry) = &registry {
                record.request.push_to(registry);
            }
            record.started_at = Some(now);
            record.run_as = users::of_text(&record.request.buildspec, user.as_ref());
            record.leave(PhaseStatus::Succeeded, None, now);
            record.enter(PhaseKind::Provisioning, now);
            let event = state_change(&record, &place, now);
            database::update(transaction, &record, Some(&event))?;
            Ok(Some(record))
        };
        let begun = self.database.call("beginning a build", work).await;
        match begun {
            Ok(Some(record)) => {
                self.turns().begin(&next.waiting.line);
                self.changed.notify_one();
                Ok(Some((record, stopped)))
            }
            Ok(None) => {
                self.running().remove(&next.id);
                // It was stopped meanwhile; another may be waiting.
                self.queued.notify_one();
                Ok(None)
            }
            Err(error) => {
                self.running().remove(&next.id);
                Err(error)
            }
        }
    }
}
