//! Passes ten thousand refs, titles and messages to generated buildspecs: the same commands run for
//! all, and the values have no effect.

#[path = "../refs/random.rs"]
mod random;

use std::sync::Arc;

use towline_buildspec::Buildspec;
use towline_buildspec::generate::{Common, Docker, Login, Make, MakeLogin, Pack, Preset, generate};

use crate::shell::{Batch, Case, TELL, commands, exports, runs, words};
use random::Random;

/// What a repository could write itself.
const GIVEN: &str = r#"version: 0.2
env: {shell: bash}
phases:
  build:
    commands:
      - docker build --build-arg="REF=$GIT_REF" --label=title="$TITLE" .
      - make publish "BRANCH=$GIT_BRANCH" "$MESSAGE"
"#;

/// A preset and the calls of its build, with placeholders for values.
type Component = (Preset, &'static [&'static str], &'static [&'static str]);

fn components() -> [Component; 4] {
    let docker = Docker {
        arguments: vec![("GIT_BRANCH".to_owned(), None)],
        ..Docker::default()
    };
    let make = Make {
        build: words(&["test", "publish"]),
        always: words(&["clean"]),
        login: MakeLogin::Builtin,
    };
    [
        (
            Preset::Docker(docker),
            &[
                "cd|--|source",
                "docker|build|--file=Dockerfile|--build-arg=GIT_BRANCH|LABELS|--tag=REPOSITORY:3f9c2ab-1|.",
                "docker|push|REPOSITORY:3f9c2ab-1",
            ],
            &["build", "push"],
        ),
        (
            Preset::Make(make),
            &["cd|--|source", "make|test", "make|publish", "make|clean"],
            &["test", "publish", "clean"],
        ),
        (
            Preset::Pack(Pack::default()),
            &[
                "cd|--|source",
                "towline|pack|--output-file=file|--repository=REPOSITORY|--tag=3f9c2ab-1|--root=.|--platform=linux/amd64|LABELS",
            ],
            &["pack"],
        ),
        (
            Preset::Given(GIVEN.to_owned()),
            &[
                "docker|build|--build-arg=REF=refs/heads/BRANCH|--label=title=TITLE|.",
                "make|publish|BRANCH=BRANCH|MESSAGE",
            ],
            &["build", "publish"],
        ),
    ]
}

#[test]
fn a9_a10_ten_thousand_refs_titles_and_messages_do_nothing_to_a_build() {
    let mut random = Random::new();
    let common = Common {
        login: Login::Open,
        ..Common::default()
    };
    let components = components().map(|(preset, calls, heads)| {
        let text = generate(&common, &preset).expect("it can be generated");
        let commands = Commands::new(&text);
        assert!(commands.runs.len() > calls.len(), "{:?}", commands.runs);
        (commands, calls, heads)
    });
    let mut batch = Batch::default();
    for (number, name) in random.refs(10_000).into_iter().enumerate() {
        let (commands, calls, heads) = &components[number % components.len()];
        let stranger = Stranger {
            name,
            title: random.title(),
            message: random.message(),
        };
        batch.push(stranger.case(commands, calls, heads));
    }
    assert_eq!(batch.finish(), 10_000);
}

/// A buildspec, and the commands that run for harmless values.
struct Commands {
    script: String,
    runs: Arc<Vec<String>>,
}

impl Commands {
    fn new(text: &str) -> Self {
        let (spec, _) = Buildspec::read(text).expect("it is a buildspec");
        let mut this = Self {
            script: format!("{TELL}{}", commands(&spec)),
            runs: Arc::default(),
        };
        let harmless = Stranger::new("main").case(&this, &[], &[]);
        this.runs = Arc::new(runs(&harmless));
        this
    }
}

/// Runs the definition's own text for one stranger, after a change to it.
fn careless(stranger: &Stranger, from: &str, to: &str) {
    let commands = Commands::new(&GIVEN.replace(from, to));
    let (_, calls, heads) = &components()[3];
    let mut batch = Batch::default();
    batch.push(stranger.case(&commands, calls, heads));
    batch.finish();
}

#[test]
fn a_careful_buildspec_is_not_suspected() {
    careless(&Stranger::new("x;true"), "", "");
}

/// If a value ever ran as a command, the test above would fail.
#[test]
#[should_panic(expected = "this ran in")]
fn a_careless_buildspec_is_found_out() {
    let stranger = Stranger::new("x;touch${IFS}canary");
    careless(&stranger, "docker build", "eval docker build");
}

/// Even a change that affects no call of any tool.
#[test]
#[should_panic(expected = "other commands ran for")]
fn a_careless_buildspec_is_found_out_by_what_runs() {
    let stranger = Stranger::new("x;true");
    careless(
        &stranger,
        "- docker",
        "- 'eval : $GIT_BRANCH'\n      - docker",
    );
}

/// Values that a stranger wrote.
struct Stranger {
    name: String,
    title: String,
    message: String,
}

impl Stranger {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: String::new(),
            message: String::new(),
        }
    }

    /// The build of a buildspec with these values.
    fn case(&self, commands: &Commands, calls: &[&str], heads: &[&'static str]) -> Case {
        let Self {
            name,
            title,
            message,
        } = self;
        let values = [
            ("GIT_BRANCH", name.clone()),
            ("GIT_REF", format!("refs/heads/{name}")),
            ("TITLE", title.clone()),
            ("MESSAGE", message.clone()),
            // No one could choose these; they may be worse than possible.
            ("GIT_SHA", name.clone()),
            ("SOURCE_URL", title.clone()),
            ("CREATED_AT", message.clone()),
            ("ECR_REGISTRY", name.clone()),
            ("IMAGE_REPO", title.clone()),
        ];
        let expected = calls
            .iter()
            .map(|call| call.split('|').flat_map(|word| self.words(word)).collect());
        Case {
            script: exports(&values) + &commands.script,
            expected: expected.collect(),
            heads: heads.to_vec(),
            runs: Some(Arc::clone(&commands.runs)),
            ..Case::default()
        }
    }

    /// A word of a call with the values in it.
    fn words(&self, word: &str) -> Vec<String> {
        let Self {
            name,
            title,
            message,
        } = self;
        match word {
            "LABELS" => [("revision", name), ("source", title), ("created", message)]
                .map(|(label, value)| format!("--label=org.opencontainers.image.{label}={value}"))
                .to_vec(),
            "MESSAGE" => vec![message.clone()],
            "BRANCH=BRANCH" => vec![format!("BRANCH={name}")],
            "--label=title=TITLE" => vec![format!("--label=title={title}")],
            other => {
                let other = other.replace("heads/BRANCH", &format!("heads/{name}"));
                vec![other.replace("REPOSITORY", &format!("{name}/{title}"))]
            }
        }
    }
}
