//! Runs generated buildspecs with refs that a careless shell would execute (A9, A10): the same
//! commands run for all of them, the refs arrive unchanged, and none has any effect.

use std::os::unix::fs::PermissionsExt as _;

use towline_buildspec::Buildspec;
use towline_buildspec::generate::{Common, Docker, Make, MakeLogin, Pack, Preset, generate};
use towline_buildspec::model::PhaseName;

use super::*;

#[path = "../../../../tools/buildspec/tests/refs/random.rs"]
mod random;

use random::Random;

/// Refs that Git allows and shells do not forgive, one a line.
const EVIL: &str = include_str!("../../../../tools/buildspec/tests/refs/evil.txt");

/// The evil refs and random ones, all valid for Git.
fn refs() -> Vec<String> {
    let refs: Vec<String> = EVIL
        .lines()
        .map(str::to_owned)
        .chain(Random::new().refs(100))
        .collect();
    for name in &refs {
        let legal = Command::new("git")
            .args(["check-ref-format", &format!("refs/heads/{name}")])
            .status()
            .unwrap();
        assert!(legal.success(), "{name:?}");
    }
    refs
}

/// The stand-in for every tool: it records its arguments and environment, checks for canaries at
/// the end of a build, and does the little that the commands need.
const TOOL: &str = r#"#!/bin/sh
name=${0##*/}
case " $* " in *' --password-stdin '*) read -r word && [ "$word" = PASSWORD ] || exit 1 ;; esac
printf '%s\0' "$name" "$@" "" "$GIT_REF" "$GIT_BRANCH" "$TITLE" '
' >> "RECORDS/$CODEBUILD_LOG_PATH"
case "$name $1" in 'docker logout' | 'docker image' | 'aws s3' | 'make ' | 'rm '*)
    find "${CODEBUILD_SRC_DIR%/*}" -name 'canary*' >> CANARIES/seen ;;
esac
case "$name $1" in
    'docker inspect') printf '%s\n' "$ECR_REGISTRY/$IMAGE_REPO@DIGEST" ;;
    'make version') echo '{}' ;;
    'towline pack') for word; do case $word in
        --output-file=*) printf DIGEST > "${word#*=}" ;;
    esac; done ;;
    'rm '*) exec /bin/rm "$@" ;;
esac
"#;

const TOOLS: [&str; 5] = ["docker", "aws", "make", "towline", "rm"];

const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

/// A machine whose tools are stand-ins, `towline` included.
async fn world() -> World {
    let world = World::with(4, |config, dir| {
        let tools = dir.join("tools");
        let mut path = tools.clone().into_os_string();
        path.push(":");
        path.push(&config.machine.search_path);
        config.machine.search_path = path;
        config.towline_binary = tools.join("towline");
        config.keep = 1000;
    })
    .await;
    for folder in ["tools", "records", "canaries"] {
        fs::create_dir(world.path(folder)).unwrap();
    }
    let text = TOOL
        .replace("RECORDS", &world.path("records").display().to_string())
        .replace("CANARIES", &world.path("canaries").display().to_string())
        .replace("PASSWORD", PASSWORD)
        .replace("DIGEST", DIGEST);
    for tool in TOOLS {
        let path = world.path("tools").join(tool);
        fs::write(&path, &text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    world
}

/// A preset, and the calls of its build, one per line, with placeholders for values.
struct Case {
    common: Common,
    preset: Preset,
    calls: &'static str,
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn pack() -> Case {
    Case {
        common: Common {
            test: strings(&["docker run \"$GIT_BRANCH\""]),
            ..Common::default()
        },
        preset: Preset::Pack(Pack::default()),
        calls: "docker [run] [<BRANCH>]
towline [pack] [--output-file=SCRATCH] [--repository=reg/acme/web] [--tag=t1] [--tag=v1.2] [--root=.] [--platform=linux/amd64] [--label=org.opencontainers.image.revision=<SHA>] [--label=org.opencontainers.image.source=<TITLE>] [--label=org.opencontainers.image.created=now] [--password-stdin]
rm [-f] [--] [SCRATCH]
",
    }
}

fn make() -> Case {
    Case {
        common: Common::default(),
        preset: Preset::Make(Make {
            build: strings(&["release", "publish"]),
            always: strings(&["clean"]),
            login: MakeLogin::Builtin,
        }),
        calls: "docker [login] [--username] [AWS] [--password-stdin] [reg]
make [release]
make [publish]
docker [inspect] [--format] [{{range .RepoDigests}}{{println .}}{{end}}] [reg/acme/web:t1]
make [clean]
docker [logout] [reg]
",
    }
}

fn docker() -> Case {
    Case {
        common: Common::default(),
        preset: Preset::Docker(Docker {
            arguments: vec![("GIT_BRANCH".into(), None)],
            ..Docker::default()
        }),
        calls: "docker [login] [--username] [AWS] [--password-stdin] [reg]
docker [buildx] [version]
docker [buildx] [build] [--load] [--provenance=false] [--sbom=false] [--file=Dockerfile] [--build-arg=GIT_BRANCH] [--label=org.opencontainers.image.revision=<SHA>] [--label=org.opencontainers.image.source=<TITLE>] [--label=org.opencontainers.image.created=now] [--tag=reg/acme/web:t1] [.]
docker [tag] [reg/acme/web:t1] [reg/acme/web:t1]
docker [push] [reg/acme/web:t1]
docker [tag] [reg/acme/web:t1] [reg/acme/web:v1.2]
docker [push] [reg/acme/web:v1.2]
docker [inspect] [--format] [{{range .RepoDigests}}{{println .}}{{end}}] [reg/acme/web:t1]
docker [logout] [reg]
docker [image] [rm] [reg/acme/web:t1]
docker [image] [rm] [reg/acme/web:v1.2]
",
    }
}

/// The definition's own text; in the second shell the values come from the first one's records.
fn inline() -> Case {
    let text = "version: 0.2
env: {shell: /bin/sh, exported-variables: [IMAGE_DIGEST]}
phases:
  build:
    commands:
      - docker build --build-arg=\"REF=$GIT_REF\" .
      - (exit 0); exit 0
      - '[ \"$GIT_REF\" = \"refs/heads/$GIT_BRANCH\" ] && export IMAGE_DIGEST=DIGEST'
      - make \"BRANCH=$GIT_BRANCH\" \"$TITLE\"
  post_build:
    commands:
      - aws s3 cp out \"s3://bucket/$GIT_BRANCH\"
";
    Case {
        common: Common::default(),
        preset: Preset::Given(text.replace("=DIGEST", &format!("={DIGEST}"))),
        calls: "docker [build] [--build-arg=REF=refs/heads/<BRANCH>] [.]
make [BRANCH=<BRANCH>] [<TITLE>]
aws [s3] [cp] [out] [s3://bucket/<BRANCH>]
",
    }
}

/// The variables from start_builds, and two hostile values.
fn environment(world: &World, name: &str) -> Vec<(String, String)> {
    let values = [
        ("ECR_REGISTRY", "reg"),
        ("IMAGE_REPO", "acme/web"),
        ("IMAGE_TAG", "t1"),
        ("IMAGE_TAGS", "t1 v1.2"),
        ("GIT_SHA", world.commit.as_str()),
        ("GIT_REF", &format!("refs/heads/{name}")),
        ("GIT_BRANCH", name),
        ("SOURCE_URL", &title(name)),
        ("BUILD_NUMBER", "7"),
        ("CREATED_AT", "now"),
        ("TITLE", &title(name)),
        ("CANARY", &world.path("canaries/hit").display().to_string()),
    ];
    values
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// A title of several lines with the ref in it, as no ref could be.
fn title(name: &str) -> String {
    format!("{name} * ~ \\\n{name}: $(touch \"$CANARY\")")
}

/// The calls that the tools of a build recorded, one per line.
fn calls(world: &World, number: u32, name: &str) -> String {
    let line = |words: Vec<String>| {
        let words: Vec<String> = words.iter().map(|word| hide_scratch(word)).collect();
        format!("{} [{}]\n", words[0], words[1..].join("] ["))
    };
    let calls = words_of_calls(world, number, name);
    calls.into_iter().map(line).collect()
}

/// The words of each recorded call.
fn words_of_calls(world: &World, number: u32, name: &str) -> Vec<Vec<String>> {
    let record = fs::read(world.path("records").join(attempt(number).as_str())).unwrap();
    let record = String::from_utf8(record).unwrap();
    let surroundings = format!("\0\0refs/heads/{name}\0{name}\0{}\0\n\0", title(name));
    assert_eq!(
        record.matches("\0\n\0").count(),
        record.matches(&surroundings).count()
    );
    let calls = record.split_terminator(&surroundings);
    calls
        .map(|call| call.split('\0').map(str::to_owned).collect())
        .collect()
}

/// The name of the scratch file differs from run to run.
fn hide_scratch(word: &str) -> String {
    match word.split_once("/tmp.") {
        Some((before, name)) if name.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            let option = before.split_inclusive('=').next();
            let option = option.filter(|option| option.ends_with('='));
            format!("{}SCRATCH", option.unwrap_or_default())
        }
        _ => word.to_owned(),
    }
}

/// Traces of anything that ran and should not have.
fn canaries(world: &World) -> String {
    let seen = fs::read_to_string(world.path("canaries/seen")).unwrap();
    let find = Command::new("find")
        .arg(world.dir.path())
        .args(["-name", "canary*", "-o", "-name", "hit"])
        .output()
        .unwrap();
    seen + &String::from_utf8(find.stdout).unwrap()
}

/// The commands of a buildspec, in the order they run in.
fn commands(spec: &str) -> Vec<String> {
    let (spec, _) = Buildspec::read(spec).unwrap();
    let phases = PhaseName::ALL.map(|name| spec.phases.get(name).commands.clone());
    phases.concat()
}

/// The commands that ran, from the runner's log.
fn ran(log: &str) -> Vec<&str> {
    log.lines()
        .filter(|line| line.starts_with("[towline] "))
        .filter_map(|line| line.split_once(" Running command "))
        .map(|(_, command)| command)
        .collect()
}

async fn check(case: fn() -> Case, refs: &[String]) {
    let world = world().await;
    let spec = generate(&case().common, &case().preset).unwrap();
    let commands = commands(&spec);
    let mut builds = Vec::new();
    for (number, name) in (1..).zip(refs) {
        let mut request = world.request(number, &spec);
        request.environment = environment(&world, name);
        builds.push((number, name, world.runner.start(request).await.unwrap()));
    }
    for (number, name, build) in builds {
        let report = world.end(&build).await;
        let log = world.log(&build).await;
        assert_eq!(report.status, BuildStatus::Succeeded, "{name:?}: {log}");
        assert_eq!(ran(&log), commands, "{name:?}");
        let expected = case()
            .calls
            .replace("<SHA>", world.commit.as_str())
            .replace("<TITLE>", &title(name))
            .replace("<BRANCH>", name);
        assert_eq!(calls(&world, number, name), expected, "{name:?}: {log}");
        let exported = world.runner.exported_variables(&build).await.unwrap();
        let digest = ("IMAGE_DIGEST".to_owned(), DIGEST.to_owned());
        assert_eq!(exported.unwrap(), [digest], "{name:?}");
    }
    assert_eq!(canaries(&world), "");
}

#[tokio::test]
async fn a9_a10_all_refs_do_nothing_to_a_pack_build() {
    check(pack, &refs()).await;
}

#[tokio::test]
async fn a9_a10_refs_do_nothing_to_builds_of_the_other_presets() {
    let refs: Vec<String> = refs().into_iter().step_by(4).collect();
    for case in [make, docker, inline] {
        check(case, &refs).await;
    }
}

/// How many strangers' values one build receives: starting it takes longer than its work.
const IN_ONE: usize = 250;

const SHELLS: [&str; 2] = ["bash", "/bin/sh"];

/// Every value in an environment, recorded by one shell, read by the next, and passed to two tools.
#[tokio::test]
async fn a9_a10_ten_thousand_refs_titles_and_messages_do_nothing_to_builds() {
    let mut random = Random::new();
    let strangers: Vec<[String; 3]> = random
        .refs(10_000)
        .into_iter()
        .map(|name| [name, random.title(), random.message()])
        .collect();
    let variables: Vec<String> = (0..IN_ONE)
        .flat_map(|number| ["REF", "TITLE", "MESSAGE"].map(|kind| format!("{kind}_{number}")))
        .collect();
    let words: String = variables
        .iter()
        .map(|name| format!(" \"${name}\""))
        .collect();
    let spec = |shell: &str| {
        format!(
            "version: 0.2
env: {{shell: {shell}}}
phases:
  build:
    commands:
      - |-
        docker build{words}
      - (exit 0); exit 0
  post_build:
    commands:
      - |-
        aws s3{words}
"
        )
    };
    let world = world().await;
    let mut builds = Vec::new();
    for (number, strangers) in (1..).zip(strangers.chunks(IN_ONE)) {
        let shell = SHELLS[number as usize % 2];
        let mut request = world.request(number, &spec(shell));
        request.environment = environment(&world, &strangers[0][0]);
        let values = strangers.iter().flatten().cloned();
        request
            .environment
            .extend(variables.iter().cloned().zip(values));
        let build = world.runner.start(request).await.unwrap();
        builds.push((number, strangers, build));
    }
    assert_eq!(builds.len() * IN_ONE, 10_000);
    for (number, strangers, build) in builds {
        let report = world.end(&build).await;
        let log = world.log(&build).await;
        assert_eq!(report.status, BuildStatus::Succeeded, "{log}");
        let shell = SHELLS[number as usize % 2];
        assert_eq!(ran(&log), commands(&spec(shell)), "build {number}");
        let values = strangers.iter().flatten().cloned();
        let call = |head: [&str; 2]| -> Vec<String> {
            head.map(str::to_owned)
                .into_iter()
                .chain(values.clone())
                .collect()
        };
        let told = words_of_calls(&world, number, &strangers[0][0]);
        assert!(
            told == [call(["docker", "build"]), call(["aws", "s3"])],
            "build {number}: {log}"
        );
    }
    assert_eq!(canaries(&world), "");
}

/// If a value ever ran as a command, the checks above would fail.
#[tokio::test]
async fn a_careless_buildspec_is_found_out() {
    for (name, found) in [
        ("x;touch${IFS}canary", "src/canary"),
        ("x>$CANARY", "canaries/hit"),
    ] {
        let world = world().await;
        let spec = "version: 0.2
phases: {build: {commands: ['eval echo $GIT_BRANCH', make]}}
";
        let mut request = world.request(1, spec);
        request.environment = environment(&world, name);
        let build = world.runner.start(request).await.unwrap();
        assert_eq!(world.end(&build).await.status, BuildStatus::Succeeded);
        let canaries = canaries(&world);
        assert!(canaries.contains(found), "{name}: {canaries:?}");
    }
}
