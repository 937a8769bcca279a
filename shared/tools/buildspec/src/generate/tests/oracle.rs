//! Runs generated buildspecs in bash: a stranger's text must arrive as an argument, unchanged, and
//! have no other effect.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use expect_test::expect;
use tempfile::TempDir;

use super::*;

/// Names that Git accepts for a branch, and that a careless shell, template or option parser would act on.
const EVIL: &str = include_str!("../../../tests/refs/evil.txt");

/// Texts that are invalid as branch names, and worse.
const WORSE: [&str; 10] = [
    "a$(touch${IFS}canary)",
    "x;touch canary",
    "x`touch canary`",
    "x'; touch canary; '",
    "x\"; touch canary; \"",
    "x>canary",
    "\u{202e}",
    "two  words",
    "*",
    "~",
];

fn evil() -> impl Iterator<Item = &'static str> {
    EVIL.lines().chain(WORSE)
}

/// Variables whose value a stranger can choose, or that come from outside.
const STRANGERS: &[&str] = &[
    "GIT_SHA",
    "GIT_REF",
    "GIT_BRANCH",
    "SOURCE_URL",
    "CREATED_AT",
    "ECR_REGISTRY",
    "IMAGE_REPO",
    "BUILD_NUMBER",
];

/// The digest of the image in another repository; in the component's own it consists of ones.
const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// A tool that records its name and arguments, one call per line, and does the little that the commands need.
pub(super) const TOOL: &str = r#"#!/usr/bin/env bash
case " $* " in
  *" --password-stdin "*) [ "$(cat)" = password ] || exit 1 ;; # before the call is noted: the other tool's call came first
esac
{ printf '%s' "${0##*/}"; printf ' [%s]' "$@"; printf '\n'; } >> "$CALLS"
case "${0##*/} $1 $2" in
  "docker buildx version") exit "$NO_BUILDX" ;;
  "docker buildx create") exit "${NO_BUILDER:-0}" ;;
  "make version ") printf '{"Version":\r\n "1.2"}\n' ;;
  "docker inspect "*) printf '%s\n' "other/repo@$DIGEST" "$ECR_REGISTRY/$IMAGE_REPO@${DIGEST//0/1}" ;;
  "docker push "*) [ "${!#}" != "$FAILING_PUSH" ] ;;
  "docker image rm") exit "${FAILING_UNTAG:-0}" ;;
  "aws ecr "*) echo password ;;
  "aws s3 "*) cp "${BASH_SOURCE[0]}" "${!#}" ;;
  "towline pack "*) for word in "$@"; do case "$word" in
      --output-file=*) printf 'sha256:packed' > "${word#*=}" ;;
    esac; done ;;
esac
"#;

pub(super) struct Machine {
    folder: TempDir,
    values: BTreeMap<&'static str, String>,
}

impl Machine {
    pub(super) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for name in [
            "tools",
            "source/backend",
            "source/todo",
            "source/dist",
            "scratch",
        ] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        for tool in ["docker", "aws", "towline", "make", "go", "sh"] {
            let path = folder.path().join("tools").join(tool);
            fs::write(&path, TOOL).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let values = [
            ("NO_BUILDX", "0"),
            ("DIGEST", DIGEST),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
            ("ECR_REGISTRY", "<ECR_REGISTRY>"),
            ("IMAGE_REPO", "<IMAGE_REPO>"),
            ("IMAGE_TAG", "3f9c2ab-1"),
            ("IMAGE_TAGS", "3f9c2ab-1 v1.2"),
            ("GIT_SHA", "<GIT_SHA>"),
            ("GIT_REF", "<GIT_REF>"),
            ("GIT_BRANCH", "<GIT_BRANCH>"),
            ("SOURCE_URL", "<SOURCE_URL>"),
            ("CREATED_AT", "<CREATED_AT>"),
            ("BUILD_NUMBER", "<BUILD_NUMBER>"),
        ];
        Self {
            folder,
            values: values
                .into_iter()
                .map(|(name, value)| (name, value.to_owned()))
                .collect(),
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.values.insert(name, value.to_owned());
        self
    }

    /// The calls of all tools, and how the build ended; a failed command skips the rest of its phase.
    pub(super) fn run(&self, text: &str) -> String {
        let (spec, _) = Buildspec::read(text).unwrap();
        let mut script = String::from("PATH=\"$TOOLS:$PATH\"\n");
        for name in PhaseName::ALL {
            script.push_str("while true; do\n");
            for command in &spec.phases.get(name).commands {
                script.push_str(&format!(
                    "{command}\n[ $? -eq 0 ] || {{ echo '{} failed'; break; }}\n",
                    name.as_str()
                ));
            }
            script.push_str("break; done\n");
        }
        script.push_str("echo \"digest $IMAGE_DIGEST\"\n");
        script.push_str(
            "for name in ${!TOWLINE_OUTPUT_*}; do bash -c 'echo \"$1=${!1}\"' - $name; done\n",
        );
        let path = |name: &str| self.folder.path().join(name);
        let output = Command::new("bash")
            .args(["-c", &script])
            .current_dir(path("source"))
            .envs(&self.values)
            .env("CALLS", path("calls"))
            .env("TOOLS", path("tools"))
            .env("TMPDIR", path("scratch"))
            .env("CODEBUILD_SRC_DIR", path("source"))
            .output()
            .unwrap();
        let calls = fs::read_to_string(path("calls")).unwrap_or_default();
        let calls = hide_scratch(&calls, &path("scratch"));
        let output = [output.stdout, output.stderr].concat();
        format!("{calls}{}", String::from_utf8(output).unwrap())
    }

    pub(super) fn without(self, tool: &str) -> Self {
        fs::remove_file(self.folder.path().join("tools").join(tool)).unwrap();
        self
    }

    /// A file of the repository.
    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join("source").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The files that lie in the folders of the build.
    pub(super) fn files(&self) -> Vec<String> {
        let folders = [
            "source",
            "source/backend",
            "source/todo",
            "source/dist",
            "scratch",
        ];
        let names = folders
            .iter()
            .flat_map(|folder| fs::read_dir(self.folder.path().join(folder)).unwrap());
        let mut files: Vec<String> = names
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().is_file())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        files.sort();
        files
    }
}

/// The name of the scratch file differs from run to run.
fn hide_scratch(calls: &str, scratch: &Path) -> String {
    let prefix = format!("{}/", scratch.display());
    let mut parts = calls.split(prefix.as_str());
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| {
        text + "SCRATCH" + &part[part.find(']').unwrap()..]
    })
}

fn text((common, preset): (Common, Preset)) -> String {
    generate(&common, &preset).unwrap()
}

#[test]
fn each_preset_calls_its_tools_in_this_order() {
    let calls = [backend(), todo(), packed()].map(|component| Machine::new().run(&text(component)));
    expect![[r#"
        aws [ecr] [get-login-password] [--region] [eu-west-1]
        docker [login] [--username] [AWS] [--password-stdin] [<ECR_REGISTRY>]
        docker [buildx] [version]
        go [vet] [./...]
        go [test] [./...]
        docker [buildx] [build] [--load] [--provenance=false] [--sbom=false] [--file=docker/my app.Dockerfile] [--target=release] [--platform=linux/arm64] [--build-arg=VERSION] [--build-arg=TITLE=$(id) it's] [--label=org.opencontainers.image.revision=<GIT_SHA>] [--label=org.opencontainers.image.source=<SOURCE_URL>] [--label=org.opencontainers.image.created=<CREATED_AT>] [--tag=<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1] [.]
        docker [tag] [<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1] [<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1]
        docker [push] [<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1]
        docker [tag] [<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1] [<ECR_REGISTRY>/<IMAGE_REPO>:v1.2]
        docker [push] [<ECR_REGISTRY>/<IMAGE_REPO>:v1.2]
        docker [inspect] [--format] [{{range .RepoDigests}}{{println .}}{{end}}] [<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1]
        docker [logout] [<ECR_REGISTRY>]
        docker [image] [rm] [<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1]
        docker [image] [rm] [<ECR_REGISTRY>/<IMAGE_REPO>:v1.2]
        digest sha256:1111111111111111111111111111111111111111111111111111111111111111

        aws [ecr] [get-login-password] [--region] [eu-west-1]
        docker [login] [--username] [AWS] [--password-stdin] [<ECR_REGISTRY>]
        make [test]
        make [release]
        make [publish]
        docker [inspect] [--format] [{{range .RepoDigests}}{{println .}}{{end}}] [<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1]
        make [clean]
        make [logout]
        docker [logout] [<ECR_REGISTRY>]
        digest sha256:1111111111111111111111111111111111111111111111111111111111111111

        sh [build.sh]
        sh [test.sh]
        aws [ecr] [get-login-password] [--region] [eu-west-1]
        towline [pack] [--output-file=SCRATCH] [--repository=<ECR_REGISTRY>/<IMAGE_REPO>] [--tag=3f9c2ab-1] [--tag=v1.2] [--root=dist] [--platform=linux/amd64] [--base=debian@sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a] [--entrypoint=["/bin/app","--name","it's \"me\""]] [--cmd=["serve"]] [--env=PORT=8080] [--env=MOTD=two words] [--label=team=shop] [--user=1000:1000] [--workdir=/srv] [--expose=8080] [--expose=9090] [--label=org.opencontainers.image.revision=<GIT_SHA>] [--label=org.opencontainers.image.source=<SOURCE_URL>] [--label=org.opencontainers.image.created=<CREATED_AT>] [--password-stdin]
        digest sha256:packed
    "#]].assert_eq(&calls.join("\n"));
}

#[test]
fn docker_without_buildx_builds_with_plain_options() {
    let calls = Machine::new()
        .with("NO_BUILDX", "1")
        .run(&text((Common::default(), docker())));
    expect![[r#"
        aws [ecr] [get-login-password] [--region] [eu-west-1]
        docker [login] [--username] [AWS] [--password-stdin] [<ECR_REGISTRY>]
        docker [buildx] [version]
        docker [build] [--file=Dockerfile] [--label=org.opencontainers.image.revision=<GIT_SHA>] [--label=org.opencontainers.image.source=<SOURCE_URL>] [--label=org.opencontainers.image.created=<CREATED_AT>] [--tag=<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1] [.]
        docker [tag] [<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1] [<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1]
        docker [push] [<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1]
        docker [tag] [<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1] [<ECR_REGISTRY>/<IMAGE_REPO>:v1.2]
        docker [push] [<ECR_REGISTRY>/<IMAGE_REPO>:v1.2]
        docker [inspect] [--format] [{{range .RepoDigests}}{{println .}}{{end}}] [<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1]
        docker [logout] [<ECR_REGISTRY>]
        docker [image] [rm] [<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1]
        docker [image] [rm] [<ECR_REGISTRY>/<IMAGE_REPO>:v1.2]
        digest sha256:1111111111111111111111111111111111111111111111111111111111111111
    "#]].assert_eq(&calls);
}

#[test]
fn a_failed_push_fails_the_build_at_once() {
    let first = "<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1";
    let calls = Machine::new()
        .with("FAILING_PUSH", first)
        .run(&text((Common::default(), docker())));
    assert_eq!(calls.matches("docker [push]").count(), 1, "{calls}");
    assert!(calls.contains("build failed"), "{calls}");
}

#[test]
fn every_tag_is_taken_from_the_daemon_again_and_a_tag_that_stays_fails_nothing() {
    for failing in ["0", "1"] {
        let calls = Machine::new()
            .with("FAILING_UNTAG", failing)
            .run(&text((Common::default(), docker())));
        for tag in ["3f9c2ab-1", "v1.2"] {
            let untag = format!("docker [image] [rm] [<ECR_REGISTRY>/<IMAGE_REPO>:{tag}]");
            assert_eq!(calls.matches(&untag).count(), 1, "{calls}");
        }
        assert!(!calls.contains("failed"), "{calls}");
    }
}

#[test]
fn a_refused_password_fails_before_the_build() {
    let calls = Machine::new().run(&text(backend()).replace("aws ecr", "false ecr"));
    assert!(calls.contains("pre_build failed"), "{calls}");
    let calls = Machine::new().run(&text(packed()).replace("aws ecr", "false ecr"));
    assert!(calls.contains("build failed"), "{calls}");
}

#[test]
fn a_failed_test_publishes_nothing_and_cleans_up() {
    let failing = |component: (Common, Preset)| {
        let (common, preset) = component;
        let common = Common {
            test: strings(&["false"]),
            ..common
        };
        Machine::new().run(&text((common, preset)))
    };
    for calls in [failing(backend()), failing(todo()), failing(packed())] {
        assert!(calls.contains("build failed"), "{calls}");
        for publish in ["[push]", "[publish]", "towline [pack]"] {
            assert!(!calls.contains(publish), "{calls}");
        }
    }
    assert!(
        failing(backend()).contains("docker [logout]"),
        "the build leaves a login behind"
    );
    assert!(
        failing(backend()).contains("docker [image] [rm]"),
        "the build leaves its tags behind"
    );
}

#[test]
fn without_a_list_of_tags_the_own_tag_is_pushed() {
    let calls = Machine::new()
        .with("IMAGE_TAGS", "")
        .run(&text((Common::default(), docker())));
    assert!(
        calls.contains("docker [push] [<ECR_REGISTRY>/<IMAGE_REPO>:3f9c2ab-1]"),
        "{calls}"
    );
}

#[test]
fn a9_a10_the_text_of_strangers_arrives_whole_and_does_nothing() {
    for component in [backend(), todo(), packed()] {
        let before = text(component.clone());
        let plain = Machine::new();
        let expected = plain.run(&before);
        for evil in evil() {
            let machine = STRANGERS
                .iter()
                .fold(Machine::new(), |machine, name| machine.with(name, evil));
            let calls = machine.run(&before);
            let expected = STRANGERS.iter().fold(expected.clone(), |text, name| {
                text.replace(&format!("<{name}>"), evil)
            });
            assert_eq!(calls, expected, "{evil}");
            assert_eq!(machine.files(), plain.files(), "{evil} left a file");
            assert_eq!(
                text(component.clone()),
                before,
                "the text depends on what was built before"
            );
            assert!(
                !before.contains(evil) || evil.len() < 5,
                "{evil} stands in the text"
            );
        }
    }
}

#[test]
fn a10_quoted_values_of_a_definition_reach_the_tool_as_they_are() {
    for value in evil().chain(["", " ", "\n", "'", "''", "\\", "$HOME", "!x", "a\tb", "é"]) {
        let docker = Docker {
            arguments: vec![("A".to_owned(), Some(value.to_owned()))],
            ..Docker::default()
        };
        let machine = Machine::new();
        let calls = machine.run(&text((Common::default(), Preset::Docker(docker))));
        assert!(
            calls.contains(&format!("[--build-arg=A={value}]")),
            "{value}: {calls}"
        );
        assert_eq!(machine.files(), Vec::<String>::new(), "{value} left a file");
    }
}
