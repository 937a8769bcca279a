//! The shape of document B's repository: a Makefile that does the work, Compose, two tags of one build,
//! `version.json`.

use serde_json::{Value, json};

use crate::harness::{Need, Test, test};
use crate::shop::{Pushed, Shop, artifact, failed, images, phases};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!(async b7_the_commands_of_the_buildspec_run_in_order_from_push_to_prod)
            .needs(Need::Make),
        test!(async b17_the_makefile_does_the_work_from_push_to_prod).needs(Need::Make),
        test!(b19_what_is_broken_publishes_nothing_and_is_cleaned_up).needs(Need::Make),
        test!(async b19_a_broken_push_is_red_and_reaches_no_stage).needs(Need::Make),
        test!(b18_clean_up_that_fails_turns_no_good_build_red).needs(Need::Make),
        test!(b13_the_version_is_the_commit_and_the_build).needs(Need::Make),
        test!(async b17_the_version_is_handed_to_whoever_deploys).needs(Need::Make),
    ]
}

pub(crate) const IMAGES: &str = "docker-in-aws/todobackend";

/// The repository's own buildspec.
pub(crate) const OWN: &str = r#"{buildspec: buildspec.yml, tags: ["{sha}.{build_uuid}", latest]}"#;

/// The same by the preset: the Makefile's targets, its own login, and cleaning up that does not
/// fail a good build.
pub(crate) const MAKE: &str = r#"{preset: make, env: {APP_VERSION: "{sha}.{build_uuid}"}, make: {build: [test, release, publish], always: [clean, logout], login: make}, outputs: [version.json], tags: ["{env.APP_VERSION}", latest]}"#;

/// The line of the Makefile that fails with version 2 of the AWS command line, and a working one.
const OLD_LOGIN: &str = "$$(aws ecr get-login --no-include-email)";
const LOGIN: &str = "aws ecr get-login-password | docker login --username AWS --password-stdin 111122223333.dkr.ecr.us-east-1.amazonaws.com";

/// The shape as given.
pub(crate) fn given(build: &str) -> Shop {
    let shop = Shop::of("todobackend", IMAGES, build);
    // The stand-in is used, not a daemon that this machine may have.
    shop.with("buildspec.yml", "/usr/local/bin/dockerd", "dockerd")
}

/// The shape after `--fix`, and with the Makefile corrected as the linter says.
pub(crate) fn corrected(build: &str) -> Shop {
    given(build).fixed().with("Makefile", OLD_LOGIN, LOGIN)
}

/// A good build: one image under both tags, all the way to prod.
async fn reaches_prod(pushed: &Pushed) {
    assert_eq!(pushed.state, "succeeded", "{}\n{}", pushed.why, pushed.log);
    let tags = pushed.ask("tags?component=app").await;
    let held = tags["images"].as_array().unwrap();
    assert_eq!(held.len(), 1, "two tags of one build are one image: {tags}");
    let mut of_image: Vec<&str> = held[0]["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag.as_str().unwrap())
        .collect();
    of_image.sort_by_key(|tag| tag.len());
    assert_eq!(of_image[0], "latest");
    assert!(
        of_image[1].starts_with(&format!("{}.", pushed.commit)),
        "{tags}"
    );
    for tag in of_image {
        assert_eq!(pushed.held(tag).await, pushed.digest, "{tag}");
        // Compose pushes `latest` first; only the other tag shows whose it is.
        let image = pushed.ask(&format!("image?image=:{tag}")).await;
        let tags = image["images"][0]["tags"].as_array().unwrap().iter();
        for state in tags.filter(|state| state["tag"] == *tag) {
            assert_eq!(state["moved"]["by"]["kind"], "build", "{state}");
        }
    }
    pushed.promoted().await;
}

async fn b7_the_commands_of_the_buildspec_run_in_order_from_push_to_prod() {
    let pushed = corrected(OWN).pushed().await;
    reaches_prod(&pushed).await;
    let order = [
        "make login",
        "make test",
        "make release",
        "make publish",
        "make version > version.json",
        "make clean",
        "make logout",
    ];
    let mut rest = pushed.log.as_str();
    for command in order {
        let line = format!("Running command {command}\n");
        let (_, after) = rest
            .split_once(&line)
            .unwrap_or_else(|| panic!("{command}: {}", pushed.log));
        rest = after;
    }
}

async fn b17_the_makefile_does_the_work_from_push_to_prod() {
    reaches_prod(&corrected(MAKE).pushed().await).await;
}

/// A defect, the phase where it ends the build, and what must or must not have been printed by then.
struct Broken {
    file: &'static str,
    from: &'static str,
    to: &'static str,
    failed: &'static str,
    said: &'static [&'static str],
    unsaid: &'static [&'static str],
}

const CLEANED: &str = "Removing network\n";
const PUBLISHING: &str = "docker-compose push";

const BROKEN: [Broken; 4] = [
    Broken {
        file: "src/manage.sh",
        from: "echo \"serving todos\"",
        to: "echo \"serving nothing\"",
        failed: "BUILD exit status 2",
        said: &["docker-compose run test\n", CLEANED],
        unsaid: &["migrate", PUBLISHING],
    },
    Broken {
        file: "acceptance/check.sh",
        from: "echo",
        to: "false",
        failed: "BUILD exit status 2",
        said: &["1 static file copied.\n", CLEANED],
        unsaid: &["App is ready", PUBLISHING],
    },
    Broken {
        file: "Makefile",
        from: "docker-compose push release app",
        to: "docker-compose push releases app",
        failed: "BUILD exit status 2",
        said: &["App is ready\n", CLEANED],
        unsaid: &["digest: sha256", "make version"],
    },
    Broken {
        file: "Makefile",
        from: LOGIN,
        to: OLD_LOGIN,
        failed: "PRE_BUILD exit status 2",
        said: &["Found invalid choice 'get-login'"],
        unsaid: &["docker-compose", PUBLISHING],
    },
];

/// With the repository's own buildspec and with ours, for every defect.
fn b19_what_is_broken_publishes_nothing_and_is_cleaned_up() {
    for broken in BROKEN {
        for build in [OWN, MAKE] {
            let shop = corrected(build).with(broken.file, broken.from, broken.to);
            let (built, log) = shop.built_locally(&[]);
            let about = format!("{} by {build}: {log}", broken.to);
            assert_eq!(built["status"], "FAILED", "{about}");
            assert_eq!(images(&built), Vec::<String>::new(), "{about}");
            let failed = failed(&built);
            assert_eq!(failed.lines().next(), Some(broken.failed), "{about}");
            for said in broken.said {
                assert!(log.contains(said), "{said} in {about}");
            }
            for unsaid in broken.unsaid {
                assert!(!log.contains(unsaid), "{unsaid} in {about}");
            }
        }
    }
}

async fn b19_a_broken_push_is_red_and_reaches_no_stage() {
    let shop = corrected(OWN).with("src/test.sh", "grep -q todos", "grep -q shops");
    let pushed = shop.pushed().await;
    assert_eq!(pushed.state, "failed", "{}", pushed.log);
    let why = "Error while executing command: make test. Reason: exit status 2";
    assert!(pushed.why.ends_with(why), "{}", pushed.why);
    assert!(phases(&pushed.log).contains(&"BUILD FAILED".to_owned()));
    assert!(pushed.log.contains(CLEANED), "{}", pushed.log);
    pushed.published_nothing().await;
    let live = pushed.ask("now").await;
    assert!(!live.to_string().contains("sha256:"), "{live}");
}

/// CodeBuild's own rule applies to the repository's own buildspec; ours is kinder.
fn b18_clean_up_that_fails_turns_no_good_build_red() {
    for (build, status) in [(MAKE, "SUCCEEDED"), (OWN, "FAILED")] {
        let shop = corrected(build).with("Makefile", "docker-compose down -v", "false");
        let (built, log) = shop.built_locally(&[]);
        assert_eq!(built["status"], status, "{log}");
        assert_eq!(images(&built).len(), 2, "{log}");
        let is_logged_out = log.contains("Removing login credentials");
        assert_eq!(is_logged_out, build == MAKE, "{log}");
    }
}

fn b13_the_version_is_the_commit_and_the_build() {
    for build in [OWN, MAKE] {
        let shop = corrected(build);
        let (built, log) = shop.built_locally(&[]);
        let names = images(&built);
        let versions: Vec<&str> = names
            .iter()
            .filter_map(|name| name.strip_prefix(IMAGES))
            .collect();
        let [":latest", version] = versions[..] else {
            panic!("{names:?}: {log}");
        };
        let version = version.trim_start_matches(':');
        assert_eq!(version.len(), 77, "{version}: {log}");
        let (commit, uuid) = version.split_once('.').unwrap();
        assert_eq!(built["commit"], commit);
        assert!(log.contains(&format!("local-shop-app:{uuid} of")), "{log}");
        // The book's pipeline passes it as an artifact, ours as an output.
        let output = match build == OWN {
            true => artifact(&built, "version.json").unwrap(),
            false => built["exported"]["TOWLINE_OUTPUT_0"]
                .as_str()
                .unwrap()
                .to_owned(),
        };
        let output: Value = serde_json::from_str(&output).unwrap();
        assert_eq!(output, json!({"Version": version}));
    }
}

/// The stage's event passes the version, as the book's pipeline passes it to CloudFormation;
/// without it nothing enters the stage.
async fn b17_the_version_is_handed_to_whoever_deploys() {
    let handing = |value: &str| {
        let event =
            format!("deploy: {{event: {{parameters: {{ApplicationImageTag: \"{value}\"}}}}}}");
        let shop = corrected(MAKE);
        let definition = shop.read(".towline.yml");
        shop.write(
            ".towline.yml",
            &definition.replace("deploy: {event: {}}", &event),
        );
        shop
    };
    reaches_prod(&handing("{output.version.Version}").pushed().await).await;
    let pushed = handing("{output.version.Tag}").pushed().await;
    assert_eq!(pushed.state, "succeeded", "{}\n{}", pushed.why, pushed.log);
    let why =
        "the output version of build#1 has no text, number or truth value at {output.version.Tag}";
    let refused = |answer: &Value| answer.to_string().contains(why).then_some(());
    let path = format!("where?reference={}", pushed.commit);
    pushed.until(&path, refused).await;
}
