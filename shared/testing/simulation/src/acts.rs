//! What everyone does: developers, people who command, and strangers.

use std::sync::Arc;
use std::time::Duration;

use towline_answers::{Command, command};
use towline_domain::names::{CommitSha, GitRef, ImageRepository, Tag};
use towline_ports::memory::SplitMix64;

use crate::github::with_header;
use crate::job::Job;
use crate::plan::{Act, Deed};
use crate::shop;
use crate::weather::draw_below;
use crate::world::{Happening, World};

/// How many webhooks and events are kept, to come again.
const MOST_KEPT: usize = 64;

/// The random details of an act.
struct Lots(SplitMix64);

impl Lots {
    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[draw_below(&mut self.0, of.len())]
    }

    fn below(&mut self, most: u64) -> u64 {
        self.0.draw() % most
    }
}

impl World {
    /// Somebody does something.
    pub(crate) fn act(&mut self, act: &Act) {
        let mut lots = Lots(SplitMix64::new(act.lots));
        let before = self.at;
        self.at = lots.one(&[shop::REPOSITORY, shop::REPOSITORY, shop::OTHER]);
        self.who = lots.one(&["dana", "dana", "kim"]).into();
        match act.deed {
            Deed::Push => {
                let branch = branch(&mut lots);
                self.somebody_pushes(act, branch, &mut lots);
            }
            Deed::ForcePush => {
                let branch = branch(&mut lots);
                self.force(branch);
                self.somebody_pushes(act, branch, &mut lots);
            }
            Deed::Tag => self.somebody_tags(act, &mut lots),
            Deed::Redefine => self.somebody_redefines(act, &mut lots),
            Deed::GoBack => self.somebody_goes_back(act, &mut lots),
            Deed::Delete => self.somebody_deletes(act, &mut lots),
            Deed::Command => {
                let login = lots.one(&["lee", "park", "lee", "park", "dana", "kim", "mallory"]);
                self.somebody_commands(login, &mut lots);
            }
            Deed::Overreach => {
                let login = lots.one(&["mallory", "eve"]);
                self.somebody_commands(login, &mut lots);
            }
            Deed::Meddle => self.somebody_meddles(act, &mut lots),
            Deed::Forge => self.somebody_forges(act, &mut lots),
            Deed::Replay => self.somebody_replays(&mut lots),
        }
        self.at = before;
    }

    fn somebody_pushes(&mut self, act: &Act, branch: &str, lots: &mut Lots) {
        let files = lots.one(&[
            &["backend/main.rs"][..],
            &["web/index.html"],
            &["libs/money.rs"],
            &["backend/README.md"],
            &["backend/main.rs", "web/index.html"],
        ]);
        let title = format!("change {}", act.number);
        self.push(branch, &title, files);
    }

    /// Moves a branch back to before its last commit, so that the next push is forced.
    fn force(&mut self, branch: &str) {
        if let Some(parent) = self.parent(branch) {
            self.move_ref(branch, &parent);
        }
    }

    fn parent(&self, branch: &str) -> Option<CommitSha> {
        let head = self.head(branch)?;
        let source = &self.ports.source.inner;
        source.change(self.at, |repository| {
            repository.commits[&head].parents.first().cloned()
        })
    }

    fn somebody_tags(&mut self, act: &Act, lots: &mut Lots) {
        let (name, branch) = (lots.one(&["v1", "v2"]), branch(lots));
        if let Some(commit) = self.head(branch) {
            let git_ref = GitRef::Tag(name.into());
            self.push_existing_ref(&git_ref, &commit, &format!("tag {}", act.number));
        }
    }

    /// Pushes a definition with other rules for prod, a broken one, or the first one again.
    fn somebody_redefines(&mut self, act: &Act, lots: &mut Lots) {
        let usual = shop::definition_of(self.at, &self.definition);
        let text = match lots.below(4) {
            0 => usual.replace("min: 2", "min: 1"),
            1 => usual.replace("concurrency: queue", "concurrency: supersede"),
            2 => usual.replace("stages:", "stages: nonsense"),
            _ => usual,
        };
        let title = format!("definition {}", act.number);
        self.push_files(branch(lots), &title, &[(".towline.yml", &text)]);
    }

    /// Moves main back by one commit, or to where it was before its last such move.
    fn somebody_goes_back(&mut self, act: &Act, lots: &mut Lots) {
        let Some(head) = self.head("main") else {
            return;
        };
        let parent = self.parent("main");
        let left = match lots.below(2) {
            0 => self.left.remove(&self.at),
            _ => None,
        };
        if let Some(to) = left.or(parent).filter(|to| *to != head) {
            self.left.insert(self.at, head);
            let title = format!("back and forth {}", act.number);
            self.push_existing("main", &to, &title);
        }
    }

    fn somebody_deletes(&mut self, act: &Act, lots: &mut Lots) {
        let branch = lots.one(&["release/1", "release/1", "main"]);
        let Some(head) = self.head(branch) else {
            return;
        };
        self.delete(branch);
        // The default branch comes back; GitHub does not let it be deleted otherwise.
        if branch == "main" || lots.below(2) == 0 {
            let wait = Duration::from_secs(1 + lots.below(300));
            let title = format!("recreated {}", act.number);
            let again = Happening::Recreate(self.at, branch.into(), head, title);
            self.later(wait, again);
        }
    }

    fn somebody_meddles(&mut self, act: &Act, lots: &mut Lots) {
        let component = lots.one(&["backend", "web"]);
        let repository: ImageRepository = shop::images(self.at, component);
        let due = self.watch.look(|known| {
            let runs = known.runs.values().flat_map(|run| run.components.values());
            let of = runs.filter(|component| component.repository == repository);
            let attempts = of.flat_map(|component| &component.attempts);
            let open = attempts.filter(|attempt| !attempt.state.is_terminal());
            open.map(|attempt| attempt.unique_tag.clone()).next()
        });
        let named = lots.one(&["staging", "prod", "somebodys", "latest"]);
        let named: Tag = named.parse().expect("a tag");
        // A stranger may also push where only a build should.
        let tag = due.filter(|_| lots.below(4) == 0).unwrap_or(named);
        self.chance
            .tell(|| format!("a stranger pushes an image to {repository}:{tag}"));
        self.put_image(&repository, &tag, &format!("meddled {}", act.number));
    }

    /// A webhook of somebody who does not know the secret.
    fn somebody_forges(&mut self, act: &Act, lots: &mut Lots) {
        let branch = branch(lots);
        let Some(head) = self.head(branch) else {
            return;
        };
        let title = format!("forged {}", act.number);
        let mut request = self.webhook(branch, None, &head, &title);
        match lots.below(2) {
            0 => request.body.push(b' '),
            _ => request = with_header(request, "X-Hub-Signature-256", "sha256=00"),
        }
        self.chance
            .tell(|| format!("a forged webhook for {branch} arrives"));
        self.invoke(Job::Webhook(request));
    }

    /// Something that arrived before arrives again.
    fn somebody_replays(&mut self, lots: &mut Lots) {
        if self.earlier.is_empty() {
            return;
        }
        let which = draw_below(&mut lots.0, self.earlier.len());
        let job = Arc::clone(&self.earlier[which]);
        self.chance
            .tell(|| format!("an earlier {} arrives again", job.function()));
        self.later(Duration::ZERO, Happening::Job(job));
    }

    /// Keeps a job, to come again.
    pub(crate) fn keep(&mut self, job: &Arc<Job>) {
        match **job {
            Job::Webhook(_) | Job::Event(..) if self.by_chance => {
                if self.earlier.len() == MOST_KEPT {
                    self.earlier.pop_front();
                }
                self.earlier.push_back(Arc::clone(job));
            }
            Job::Webhook(_) | Job::Event(..) | Job::Sweep | Job::Person(..) => {}
        }
    }

    fn somebody_commands(&mut self, login: &str, lots: &mut Lots) {
        let component = lots.one(&["backend", "web"]).parse().expect("a name");
        let stage = lots.one(&["staging", "prod", "prod"]);
        let stage = stage.parse().expect("a name");
        let at = self.at;
        let waiting: Vec<u64> = self.watch.look(|known| {
            let stages = known.stages.iter().filter(|(key, _)| key.repository == at);
            stages
                .flat_map(|(_, stage)| stage.waiting.iter().map(|known| known.number))
                .collect()
        });
        let promotion = match waiting.is_empty() {
            true => lots.below(12) + 1,
            false => waiting[draw_below(&mut lots.0, waiting.len())],
        };
        let build = lots.below(20) + 1;
        let repository = Some(shop::name_of(at));
        let command = match lots.below(100) {
            0..50 => Command::Approve(command::Approve {
                promotion,
                comment: None,
                repository,
            }),
            50..55 => Command::Reject(command::Reject {
                promotion,
                reason: "no".into(),
                repository,
            }),
            55..65 => Command::Rollback(command::Rollback {
                component,
                stage,
                to: None,
                reason: None,
                repository,
            }),
            65..70 => Command::Hold(command::Hold {
                component,
                stage,
                reason: "wait".into(),
                repository,
            }),
            70..85 => Command::Resume(command::Resume {
                component,
                stage,
                repository,
            }),
            85..90 => Command::Cancel(command::OfBuild { build, repository }),
            90..95 => Command::Retry(command::OfBuild { build, repository }),
            _ => Command::Promote(command::Promote {
                component,
                image: format!("build#{build}"),
                stage,
                reason: None,
                overrides: false,
                repository,
            }),
        };
        self.ask(login, command);
    }
}

/// A branch that people push to; no stage takes images of the last one.
fn branch(lots: &mut Lots) -> &'static str {
    lots.one(&["main", "main", "main", "main", "release/1", "feature"])
}
