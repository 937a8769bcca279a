//! A repository and its stored state, in which pushes are planned one after another.

use std::collections::BTreeMap;

use towline_domain::definition::{
    Build, Component, Definition, Glob, NotExecuted, Origin, Scope, Source, StageRule,
};
use towline_domain::filter::ChangedFiles;
use towline_domain::image::Claim;
use towline_domain::intent::{Intent, PushAccepted};
use towline_domain::names::{
    CommitSha, ComponentName, GitRef, RepositoryId, RepositoryName, RunId, Tag,
};
use towline_domain::plan::{
    self, AtCommit, Base, Branch, Buildspec, Claimed, Drawn, Known, Plan, Planned, Want,
};
use towline_domain::reason::NotCompared;
use towline_domain::reason::{Refusal, Unbuildable};
use towline_domain::rights::Rights;
use towline_domain::run::{Attempt, AttemptState, BuildStatus, Failure, Run};
use towline_domain::trusted::Trusted;
use towline_domain::untrusted::Untrusted;

use crate::common::{at, good, rule};

/// The repository of all pushes.
const SHOP: RepositoryId = RepositoryId(7);

/// The commit that a letter stands for; later letters are later commits.
pub fn commit(letter: &str) -> CommitSha {
    good(&letter.repeat(40))
}

fn letter(commit: &CommitSha) -> &str {
    &commit.as_str()[..1]
}

fn list(text: &str) -> Vec<String> {
    let parts = text.split(',').filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

fn globs(text: &str) -> Vec<Glob> {
    let globs = list(text).into_iter();
    globs
        .map(|text| Glob::new(&text).expect("a glob"))
        .collect()
}

/// The words of a line, and its `key=value` pairs.
fn words(line: &str) -> (Vec<&str>, BTreeMap<&str, &str>) {
    let (pairs, words): (Vec<&str>, Vec<&str>) =
        line.split_whitespace().partition(|word| word.contains('='));
    let pairs = pairs.into_iter().filter_map(|pair| pair.split_once('='));
    (words, pairs.collect())
}

/// `component web paths=web/** | stage prod tags=prod | source branches=main`.
fn definition(text: &str) -> Definition {
    let mut definition = Definition {
        pipeline: good("shop"),
        source: Source::default(),
        components: Vec::new(),
        stages: Vec::new(),
        rights: Rights::default(),
        not_executed: Vec::new(),
    };
    for line in text.split('|').map(str::trim) {
        let (words, pairs) = words(line);
        let pair = |key: &str| pairs.get(key).copied().unwrap_or_default();
        match words.as_slice() {
            ["component", name] => definition.components.push(component(name, &pairs)),
            ["stage", name] => definition.stages.push(StageRule {
                name: good(name),
                from: Origin::Build,
                tags: list(pair("tags")).iter().map(|tag| good(tag)).collect(),
                ..rule("auto")
            }),
            ["source"] => {
                definition.source = Source {
                    github: pairs.get("github").map(|name| (*name).to_owned()),
                    branches: globs(pair("branches")),
                    tags: globs(pair("tags")),
                    skip_message: list(pair("skip")),
                }
            }
            ["unsupported", path] => definition.not_executed.push(NotExecuted {
                scope: match pairs.get("of") {
                    Some(component) => Scope::Component(good(component)),
                    None => Scope::Pipeline,
                },
                path: (*path).to_owned(),
                line: 1,
            }),
            _ => panic!("{line:?} defines nothing"),
        }
    }
    definition
}

fn component(name: &str, pairs: &BTreeMap<&str, &str>) -> Component {
    let pair = |key: &str| pairs.get(key).copied().unwrap_or_default();
    let mut build = Build {
        tags: vec!["{sha7}-{build}".into()],
        ..Build::default()
    };
    if let Some(platforms) = pairs.get("platforms") {
        build.platforms = list(platforms);
    }
    if let Some(tags) = pairs.get("tags") {
        build.tags = list(tags);
    }
    Component {
        name: good(name),
        repository: good(pairs.get("images").copied().unwrap_or("acme/web")),
        paths: globs(pair("paths")),
        watch: globs(pair("watch")),
        ignore: globs(pair("ignore")),
        build,
    }
}

/// The stored state, the content of the repository, and the time.
pub struct World {
    definition: AtCommit,
    defined: BTreeMap<CommitSha, AtCommit>,
    touched: BTreeMap<CommitSha, Vec<String>>,
    unknown: Vec<CommitSha>,
    heads: BTreeMap<GitRef, CommitSha>,
    pinned: Vec<GitRef>,
    branches: BTreeMap<GitRef, Branch>,
    bases: BTreeMap<(GitRef, ComponentName), Base>,
    runs: BTreeMap<RunId, Run>,
    claims: BTreeMap<Claimed, Claim>,
    names: BTreeMap<RepositoryId, RepositoryName>,
    trusted: Option<Trusted>,
    bad_buildspecs: BTreeMap<ComponentName, Buildspec>,
    next: Drawn,
    now: u64,
    /// Everything that was looked up for the last plan, one line for each look.
    pub looks: Vec<String>,
}

impl World {
    pub fn new(text: &str) -> Self {
        Self {
            definition: at_commit(text),
            defined: BTreeMap::new(),
            touched: BTreeMap::new(),
            unknown: Vec::new(),
            heads: BTreeMap::new(),
            pinned: Vec::new(),
            branches: BTreeMap::new(),
            bases: BTreeMap::new(),
            runs: BTreeMap::new(),
            claims: BTreeMap::new(),
            names: BTreeMap::new(),
            trusted: None,
            bad_buildspecs: BTreeMap::new(),
            next: Drawn {
                order: 1,
                build: 1,
                builds: 0,
            },
            now: 0,
            looks: Vec::new(),
        }
    }

    /// Plays one line of a script; a push returns its result.
    pub fn play(&mut self, line: &str) -> Option<String> {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (words, pairs) = words(rest);
        match (first, words.as_slice()) {
            ("definition", _) => self.definition = at_commit(rest),
            ("push", _) => return Some(self.push(&words, &pairs)),
            ("unknown", [since]) => self.unknown.push(commit(since)),
            ("head", [git_ref, to]) => {
                let git_ref = git_ref_of(git_ref);
                self.heads.insert(git_ref.clone(), commit(to));
                self.pinned.push(git_ref);
            }
            ("ends", [component, git_ref, how]) => self.end(component, &git_ref_of(git_ref), how),
            ("claim", [claimed, repository, component]) => {
                let claimed = match claimed.split_once('/') {
                    Some(_) => Claimed::Images(good(claimed)),
                    None => Claimed::Project((*claimed).to_owned()),
                };
                let claim = Claim {
                    repository: RepositoryId(good(repository)),
                    component: good(component),
                    images: good("acme/theirs"),
                    released: false,
                };
                self.claims.insert(claimed, claim);
            }
            ("repository", [id, name]) => {
                self.names.insert(RepositoryId(good(id)), good(name));
            }
            ("buildspec", [component, "gone"]) => {
                self.bad_buildspecs
                    .insert(good(component), Buildspec::NoCommit);
            }
            ("buildspec", [component, "bad"]) => {
                let bad = Buildspec::Bad(Unbuildable::Buildspec {
                    said: "line 1: a tab".into(),
                });
                self.bad_buildspecs.insert(good(component), bad);
            }
            ("authors", [git_ref, between]) => {
                let (after, up_to) = between.split_once('-').expect("two orders");
                let branch = self.branches.get(&git_ref_of(git_ref));
                let known = branch.map(|branch| &branch.contributions);
                let authors = known.map(|known| known.between(good(after), good(up_to)));
                let names = authors.unwrap_or_default().names;
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                return Some(format!("{}\n", names.join(", ")));
            }
            ("wait", [seconds]) => self.now += good::<u64>(seconds),
            _ => panic!("{line:?} means nothing"),
        }
        None
    }

    /// `push main b touching=web/a,api/b saying=[skip]`.
    fn push(&mut self, words: &[&str], pairs: &BTreeMap<&str, &str>) -> String {
        let [git_ref, pushed] = words else {
            panic!("a push has a ref and a commit");
        };
        let (git_ref, pushed) = (git_ref_of(git_ref), commit(pushed));
        let touched = pairs.get("touching").copied().unwrap_or_default();
        self.touched.insert(pushed.clone(), list(touched));
        self.defined.insert(pushed.clone(), self.definition.clone());
        if !self.pinned.contains(&git_ref) {
            self.heads.insert(git_ref.clone(), pushed.clone());
        }
        let message = pairs.get("saying").copied().unwrap_or("Fix");
        let push = PushAccepted {
            repository: SHOP,
            repository_name: good("acme/shop"),
            default_branch: "main".into(),
            git_ref: git_ref.clone(),
            before: None,
            commit: pushed,
            forced: false,
            pusher: "dana".into(),
            authors: vec![pairs.get("by").copied().unwrap_or("dana").into()],
            authors_cut: false,
            title: Untrusted::first_line(message),
            message: Untrusted::text(message, 4_096),
            at: at(0),
        };
        let main = GitRef::Branch("main".into());
        let mut known = Known {
            shown: true,
            default_branch: (git_ref != main)
                .then(|| self.branches.get(&main).cloned())
                .flatten(),
            branch: self.branches.get(&git_ref).cloned(),
            trusted: self.trusted.clone(),
            ..Known::default()
        };
        self.looks.clear();
        loop {
            match plan::of(&push, &known, at(self.now)) {
                Ok(plan) => return self.keep(plan),
                Err(plan::Wants(wants)) => {
                    assert!(!wants.is_empty(), "it wants nothing and does not decide");
                    let look: Vec<String> = wants.iter().map(|want| self.want_text(want)).collect();
                    self.looks.push(look.join(", "));
                    for want in wants {
                        self.learn(&push, &mut known, want);
                    }
                }
            }
        }
    }

    fn learn(&mut self, push: &PushAccepted, known: &mut Known, want: Want) {
        match want {
            Want::Run(id) => {
                let run = self.runs.get(&id).cloned();
                known.runs.insert(id, run);
            }
            Want::Base(component) => {
                let key = (push.git_ref.clone(), component.clone());
                known.bases.insert(component, self.bases.get(&key).cloned());
            }
            Want::Claim(claimed) => {
                let claim = self.claims.get(&claimed).cloned();
                known.claims.insert(claimed, claim);
            }
            Want::Name(id) => {
                known.names.insert(id, self.names.get(&id).cloned());
            }
            Want::Definition(commit) => {
                let found = self.defined.get(&commit).cloned();
                let found = found.unwrap_or(AtCommit::NoCommit);
                known.definitions.insert(commit, found);
            }
            Want::Head(git_ref) => {
                let head = self.heads.get(&git_ref).cloned();
                known.heads.insert(git_ref, head);
            }
            Want::IsBehind(other) => {
                let is_behind = push.commit < other;
                known.behind.insert(other, is_behind);
            }
            Want::Changed(base) => {
                let changed = match self.unknown.contains(&base) {
                    true => ChangedFiles::Unknown(NotCompared::TooManyChanged(9)),
                    false => ChangedFiles::Known(self.changed(&base, &push.commit)),
                };
                known.changed.insert(base, changed);
            }
            Want::Buildspec(component) => {
                let good = Buildspec::Good {
                    name: format!("buildspec of {component}"),
                };
                let bad = self.bad_buildspecs.get(&component).cloned();
                known.buildspecs.insert(component, bad.unwrap_or(good));
            }
            Want::Numbers { builds } => {
                known.numbers = Some(Drawn {
                    builds,
                    ..self.next
                });
                self.next.order += 1;
                self.next.build += builds;
            }
        }
    }

    fn changed(&self, base: &CommitSha, to: &CommitSha) -> Vec<String> {
        let (from, to) = (base.min(to), base.max(to));
        let between = self
            .touched
            .iter()
            .filter(|(at, _)| *at > from && *at <= to);
        between.flat_map(|(_, files)| files.clone()).collect()
    }

    /// Keeps what was planned, and says what it is.
    fn keep(&mut self, plan: Plan) -> String {
        let planned = match plan {
            Plan::Nothing => return "nothing\n".into(),
            Plan::Later => return "later\n".into(),
            Plan::Run(planned) => planned,
        };
        let text = self.planned_text(&planned);
        let Planned {
            run,
            claims,
            branch,
            trusted,
            intents: _,
        } = *planned;
        self.branches.insert(run.key.git_ref.clone(), branch);
        self.trusted = trusted.or(self.trusted.take());
        self.claims.extend(claims);
        assert_eq!(self.runs.insert(run.id.clone(), run), None, "a run is new");
        text
    }

    /// Ends the newest build of a component on a ref.
    fn end(&mut self, component: &str, git_ref: &GitRef, how: &str) {
        let component: ComponentName = good(component);
        let id = self.branches[git_ref].building[&component].clone();
        let run = self.runs.get_mut(&id).expect("it is kept");
        let known = run.components.get_mut(&component).expect("it is built");
        let attempt = known.attempts.last_mut().expect("an attempt");
        attempt.state = match how {
            "well" => AttemptState::Succeeded,
            "badly" => AttemptState::Failed {
                platform: None,
                why: Failure::Build {
                    status: BuildStatus::Failed,
                    said: None,
                    interrupted: false,
                },
            },
            _ => panic!("{how}: well or badly"),
        };
        if how == "well" {
            let base = Base {
                commit: run.key.commit.clone(),
                order: run.order,
                run: id,
                buildspec: known.buildspec.clone(),
            };
            self.bases.insert((git_ref.clone(), component), base);
        }
    }

    fn want_text(&self, want: &Want) -> String {
        match want {
            Want::Run(id) => match self.runs.get(id) {
                Some(run) => format!("run of {}", letter(&run.key.commit)),
                None => "a run".into(),
            },
            Want::Base(component) => format!("base of {component}"),
            Want::Claim(Claimed::Images(images)) => format!("owner of {images}"),
            Want::Claim(Claimed::Project(project)) => format!("owner of {project}"),
            Want::Name(id) => format!("name of {id}"),
            Want::Definition(at) => format!("definition at {}", letter(at)),
            Want::Head(git_ref) => format!("head of {}", git_ref.name()),
            Want::IsBehind(commit) => format!("whether it is behind {}", letter(commit)),
            Want::Changed(since) => format!("changed since {}", letter(since)),
            Want::Buildspec(component) => format!("buildspec of {component}"),
            Want::Numbers { builds } => format!("numbers for {builds}"),
        }
    }

    fn planned_text(&self, planned: &Planned) -> String {
        let run = &planned.run;
        let mut lines = vec![format!("run {}, {}", run.order, run.status().word())];
        lines.extend(run.refused.iter().map(|why| format!("  because {why}")));
        for (name, component) in &run.components {
            let attempt = component.latest();
            let tags = tags_text(attempt);
            let number = attempt.build_number;
            lines.push(format!("  {name}: #{number} {tags}: {}", component.reason));
        }
        let skipped = run.skipped.iter();
        lines.extend(skipped.map(|(name, why)| format!("  {name}: not built: {why}")));
        lines.extend(run.notes.iter().map(|note| format!("  note: {note}")));
        let claims = planned.claims.iter().map(|(claimed, _)| match claimed {
            Claimed::Images(images) => format!("  claims {images}"),
            Claimed::Project(project) => format!("  claims {project}"),
        });
        lines.extend(claims);
        match planned.branch.order == run.order {
            true => {}
            false => lines.push("  leaves the ref alone".into()),
        }
        let trusted = planned.trusted.iter();
        lines.extend(trusted.map(|it| format!("  trusts {}", letter(&it.commit))));
        lines.extend(
            planned
                .intents
                .iter()
                .filter_map(|intent| self.owed(intent)),
        );
        lines.join("\n") + "\n"
    }

    /// The intents besides the builds, which are shown already.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a plan owes no other intent, new ones included"
    )]
    fn owed(&self, intent: &Intent) -> Option<String> {
        match intent {
            Intent::BuildDue(_) => None,
            Intent::BuildSuperseded { run, component, .. } => {
                let older = letter(&self.runs[run].key.commit);
                Some(format!("  supersedes {component} of {older}"))
            }
            Intent::BuildStatusDue { component, .. } => {
                let of = component.as_ref().map_or("the run", ComponentName::as_str);
                Some(format!("  shows {of}"))
            }
            other => panic!("a plan owes no {}", other.detail_type()),
        }
    }
}

/// The tags of an attempt and of its parts.
fn tags_text(attempt: &Attempt) -> String {
    let parts = attempt.parts.iter().flat_map(|part| &part.tags);
    let tags = attempt.tags.iter().chain(parts);
    tags.map(Tag::as_str).collect::<Vec<_>>().join(" ")
}

/// `refs/tags/v1` for a tag, else a branch by its name.
fn git_ref_of(text: &str) -> GitRef {
    match text.starts_with("refs/") {
        true => good(text),
        false => GitRef::Branch(text.into()),
    }
}

fn at_commit(text: &str) -> AtCommit {
    match text {
        "gone" => AtCommit::NoCommit,
        "broken" => AtCommit::Bad(Refusal::Mistakes {
            at: commit("f"),
            first: "line 3, column 1: unknown key `stage`".into(),
            more: 2,
        }),
        text => AtCommit::Good {
            definition: Box::new(definition(text)),
            name: text.into(),
        },
    }
}
