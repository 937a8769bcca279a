//! Ten thousand refs, titles and messages given to what is generated: the text is the same for all, and they do nothing.

#[path = "../refs/random.rs"]
mod random;

use towline_buildspec::generate::{Common, Docker, Login, Make, MakeLogin, Pack, Preset, generate};

use crate::shell::{Batch, Case, commands, exports, words};
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

/// A preset, and the calls its build makes, with what stands for the values.
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
    let components = components();
    let text = |preset: &Preset| generate(&common, preset).expect("it can be generated");
    let before: Vec<String> = components.iter().map(|(preset, ..)| text(preset)).collect();
    let mut batch = Batch::default();
    for (number, name) in random.refs(10_000).into_iter().enumerate() {
        let (preset, calls, heads) = &components[number % components.len()];
        let spec = &before[number % components.len()];
        assert_eq!(&text(preset), spec, "after {name:?}");
        let stranger = Stranger {
            name,
            title: random.title(),
            message: random.message(),
        };
        batch.push(stranger.case(spec, calls, heads));
    }
    assert_eq!(batch.finish(), 10_000);
}

/// Were a value ever taken for a command, the test above would fail.
#[test]
#[should_panic(expected = "this ran in")]
fn a_careless_buildspec_is_found_out() {
    let stranger = Stranger {
        name: "x;touch${IFS}canary".to_owned(),
        title: String::new(),
        message: String::new(),
    };
    let spec = GIVEN.replace("docker build", "eval docker build");
    let (_, calls, heads) = &components()[3];
    let mut batch = Batch::default();
    batch.push(stranger.case(&spec, calls, heads));
    batch.finish();
}

/// What somebody wrote whom nobody knows.
struct Stranger {
    name: String,
    title: String,
    message: String,
}

impl Stranger {
    /// The build of a buildspec with these values.
    fn case(&self, spec: &str, calls: &[&str], heads: &[&'static str]) -> Case {
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
            // Nobody could choose these; let them be worse than they are.
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
            script: exports(&values) + &commands(spec),
            expected: expected.collect(),
            heads: heads.to_vec(),
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
