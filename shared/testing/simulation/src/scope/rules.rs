//! What never changes in the small scope: the definition, the pushes, the people, the time.

use jiff::Timestamp;
use towline_domain::definition::{Definition, StageRule};
use towline_domain::filter::ChangedFiles;
use towline_domain::image::Claim;
use towline_domain::intent::{PushAccepted, StageKey};
use towline_domain::names::{CommitSha, ComponentName, Digest, GitRef};
use towline_domain::person::Person;
use towline_domain::plan::{
    self, AtCommit, Branch, Buildspec, Claimed, Drawn, Known, Plan, Planned, Want,
};
use towline_domain::run::Run;
use towline_domain::stage::Policy;
use towline_domain::trusted::Trusted;
use towline_domain::untrusted::Untrusted;

use crate::shop;

const DEFINITION: &str = "
version: 1
pipeline: shop
components:
  backend:
    repository: acme/backend
    build: {preset: docker}
stages:
  - name: prod
    from: build
    concurrency: queue
    gates: [approval: {groups: [release-managers], min: 1, expires: 24h}]
";

pub(super) struct Rules {
    pub(super) definition: Definition,
    trusted: Trusted,
    pub(super) pushes: [PushAccepted; 2],
    pub(super) digests: [Digest; 2],
    pub(super) stage: StageKey,
    pub(super) component: ComponentName,
    /// Who approves, one after the other.
    pub(super) people: [Person; 2],
    pub(super) now: Timestamp,
}

impl Rules {
    pub(super) fn new() -> Self {
        let definition = towline_definition::read(DEFINITION.as_bytes());
        let now: Timestamp = "2026-03-02T09:00:00Z".parse().expect("a time");
        let push = |digit: &str, before: Option<CommitSha>| PushAccepted {
            repository: shop::REPOSITORY,
            repository_name: shop::repository_name(),
            default_branch: "main".into(),
            git_ref: GitRef::Branch("main".into()),
            before,
            commit: digit.repeat(40).parse().expect("a commit"),
            forced: false,
            pusher: "mallory".into(),
            authors: vec!["mallory".into()],
            authors_cut: false,
            title: Untrusted::first_line(digit),
            message: Untrusted::first_line(digit),
            at: now,
        };
        let first = push("a", None);
        let second = push("b", Some(first.commit.clone()));
        let definition = definition.expect("a definition");
        Self {
            trusted: Trusted {
                definition: definition.clone(),
                commit: first.commit.clone(),
                order: 1,
                branch: "main".into(),
                older: Vec::new(),
            },
            definition,
            pushes: [first, second],
            digests: [Digest::of(b"a"), Digest::of(b"b")],
            stage: StageKey {
                repository: shop::REPOSITORY,
                component: "backend".parse().expect("a component"),
                stage: "prod".parse().expect("a stage"),
            },
            component: "backend".parse().expect("a component"),
            people: [shop::person("lee"), shop::person("park")],
            now,
        }
    }

    pub(super) fn rule(&self) -> &StageRule {
        &self.definition.stages[0]
    }

    pub(super) fn policy(&self, next_number: u64) -> Policy<'_> {
        Policy {
            rule: self.rule(),
            trusted: &self.trusted,
            not_executed: &[],
            next_number,
        }
    }

    /// Plans a push, and looks up what the plan needs.
    pub(super) fn plan(
        &self,
        push: usize,
        head: Option<usize>,
        runs: [Option<&Run>; 2],
        branch: Option<Branch>,
        order: u64,
    ) -> Option<Box<Planned>> {
        let push = &self.pushes[push];
        let name = "definition".to_owned();
        let trusted = branch.is_some().then(|| self.trusted.clone());
        let claim = Claim {
            repository: shop::REPOSITORY,
            component: self.component.clone(),
            images: self.definition.components[0].repository.clone(),
            released: false,
        };
        let mut known = Known {
            shown: false,
            branch,
            trusted,
            ..Known::default()
        };
        loop {
            let wants = match plan::of(push, &known, self.now) {
                Ok(Plan::Run(planned)) => return Some(planned),
                Ok(Plan::Nothing | Plan::Later) => return None,
                Err(plan::Wants(wants)) => wants,
            };
            for want in wants {
                match want {
                    Want::Run(id) => {
                        let found = runs.iter().flatten().find(|run| run.id == id);
                        known.runs.insert(id, found.map(|run| Run::clone(run)));
                    }
                    Want::Base(component) => drop(known.bases.insert(component, None)),
                    Want::Claim(of) => {
                        let taken = matches!(of, Claimed::Images(_)) && known.trusted.is_some();
                        known.claims.insert(of, taken.then(|| claim.clone()));
                    }
                    Want::Name(id) => drop(known.names.insert(id, None)),
                    Want::Definition(commit) => {
                        let definition = Box::new(self.definition.clone());
                        let name = name.clone();
                        let good = AtCommit::Good { definition, name };
                        known.definitions.insert(commit, good);
                    }
                    Want::Head(git_ref) => {
                        let head = head.map(|head| self.pushes[head].commit.clone());
                        known.heads.insert(git_ref, head);
                    }
                    Want::IsBehind(commit) => {
                        let is_first = *push == self.pushes[0];
                        let behind = is_first && commit == self.pushes[1].commit;
                        known.behind.insert(commit, behind);
                    }
                    Want::Changed(commit) => {
                        let changed = ChangedFiles::Known(Default::default());
                        known.changed.insert(commit, changed);
                    }
                    Want::Buildspec(component) => {
                        let name = "buildspec".to_owned();
                        known.buildspecs.insert(component, Buildspec::Good { name });
                    }
                    Want::Numbers { builds } => {
                        known.numbers = Some(Drawn {
                            order,
                            build: order,
                            builds,
                        });
                    }
                }
            }
        }
    }

    pub(super) fn push_of(&self, commit: &CommitSha) -> usize {
        usize::from(*commit != self.pushes[0].commit)
    }

    /// The images that were live, by digest.
    pub(super) fn image_of(&self, digest: &Digest) -> usize {
        usize::from(*digest != self.digests[0])
    }
}

/// A value with its hash, so that it is hashed once.
#[derive(Debug, Clone)]
pub(super) struct Hashed<T>(pub(super) std::rc::Rc<T>, pub(super) u64);

impl<T: serde::Serialize> Hashed<T> {
    pub(super) fn new(value: T) -> Self {
        let bytes = serde_json::to_vec(&value).expect("it holds only strings and numbers");
        let mut hash = std::hash::DefaultHasher::new();
        std::hash::Hash::hash(&bytes, &mut hash);
        let hash = std::hash::Hasher::finish(&hash);
        Self(std::rc::Rc::new(value), hash)
    }
}

impl<T> std::hash::Hash for Hashed<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.1.hash(state);
    }
}
