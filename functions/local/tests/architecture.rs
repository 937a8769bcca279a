//! Checks the structure in ARCHITECTURE.md: who may use whom, one name per function, and what files
//! may contain.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "architecture/handlers.rs"]
mod handlers;
#[path = "architecture/sizes.rs"]
mod sizes;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use serde_json::Value;
use towline_bus::rules::{FUNCTIONS, RULES};

/// Everything an adapter may use: never a handler, never another adapter.
const ADAPTER: &[&str] = &["domain", "wire", "ports", "buildspec", "oci"];
/// Everything an adapter may use that asks over the internet.
const REMOTE: &[&str] = &["domain", "wire", "ports", "https", "oci"];
/// Everything that answers people's commands may use.
const CLI: &[&str] = &[
    "domain",
    "definition",
    "wire",
    "ports",
    "buildspec",
    "oci",
    "pack",
    "handlers",
    "answers",
    "bus",
    "registry",
    "runner",
    "source",
    "store",
    "host",
    "console",
    "client",
    "operator",
];

/// Everything a function on Lambda may use: of the adapters, those of AWS and GitHub alone.
const ON_LAMBDA: &[&str] = &[
    "handlers", "answers", "aws", "github", "lambda", "ports", "wire", "domain",
];

/// Every package of the workspace, its folder, and which others of ours it may be linked with.
const PACKAGES: &[(&str, &str, &[&str])] = &[
    ("towline-domain", "shared/pipeline/domain", &["oci"]),
    (
        "towline-wire",
        "shared/pipeline/wire",
        &["domain", "buildspec"],
    ),
    (
        "towline-definition",
        "shared/pipeline/definition",
        &["domain", "buildspec"],
    ),
    ("towline-buildspec", "shared/tools/buildspec", &[]),
    ("towline-oci", "shared/tools/oci", &[]),
    ("towline-pack", "shared/tools/pack", &["oci"]),
    ("towline-ports", "shared/pipeline/ports", &["domain", "oci"]),
    (
        "towline-handlers",
        "shared/pipeline/handlers",
        &[
            "domain",
            "definition",
            "wire",
            "ports",
            "state",
            "buildspec",
            "oci",
        ],
    ),
    (
        "towline-answers",
        "shared/pipeline/answers",
        &["domain", "wire", "ports", "state"],
    ),
    (
        "towline-state",
        "shared/pipeline/state",
        &["domain", "wire", "ports"],
    ),
    ("towline-bus", "shared/machine/bus", ADAPTER),
    (
        "towline-registry",
        "shared/machine/registry",
        &["domain", "ports", "oci"],
    ),
    ("towline-runner", "shared/machine/runner", ADAPTER),
    ("towline-source", "shared/machine/source", ADAPTER),
    ("towline-store", "shared/machine/store", ADAPTER),
    // One machine: it plugs the adapters beside it into the handlers.
    (
        "towline-host",
        "shared/machine/host",
        &[
            "domain", "wire", "ports", "state", "handlers", "answers", "bus", "registry", "runner",
            "source", "store",
        ],
    ),
    ("towline-console", "shared/cli/console", &[]),
    (
        "towline-client",
        "shared/cli/client",
        &["domain", "ports", "buildspec", "pack", "answers", "console"],
    ),
    ("towline-operator", "shared/cli/operator", CLI),
    (
        "towline-simulation",
        "shared/testing/simulation",
        // The bus gives it the matcher that reads `events/rules`, so that stories follow the real rules.
        &[
            "domain",
            "definition",
            "wire",
            "ports",
            "buildspec",
            "pack",
            "handlers",
            "answers",
            "bus",
        ],
    ),
    ("towline-https", "shared/cloud/https", &[]),
    (
        "towline-aws",
        "shared/cloud/aws",
        // CodeBuild's images, which say what a build may ask for.
        &["domain", "wire", "ports", "https", "buildspec", "oci"],
    ),
    ("towline-github", "shared/cloud/github", REMOTE),
    // Shared by all functions on Lambda: of the adapters it knows the table, the bus and GitHub.
    (
        "towline-lambda",
        "shared/cloud/lambda",
        &["domain", "wire", "ports", "state", "aws", "github"],
    ),
    ("towline", "functions/local", CLI),
    ("receive-github", "functions/receive-github", ON_LAMBDA),
    ("plan-runs", "functions/plan-runs", ON_LAMBDA),
    ("start-builds", "functions/start-builds", ON_LAMBDA),
    ("record-images", "functions/record-images", ON_LAMBDA),
    ("advance-stages", "functions/advance-stages", ON_LAMBDA),
    ("promote-images", "functions/promote-images", ON_LAMBDA),
    ("deploy-images", "functions/deploy-images", ON_LAMBDA),
    ("report-status", "functions/report-status", ON_LAMBDA),
    ("answer-chat", "functions/answer-chat", ON_LAMBDA),
    ("sweep", "functions/sweep", ON_LAMBDA),
    ("towline-bench", "infra/bench", &["wire"]),
    ("towline-infra-checks", "infra/checks", &[]),
    // It stands in for AWS and GitHub, so it uses the parts of both that run on one machine.
    (
        "towline-rehearsal",
        "infra/rehearsal",
        &[
            "domain",
            "wire",
            "ports",
            "buildspec",
            "pack",
            "bus",
            "runner",
            "source",
            "aws",
            "github",
        ],
    ),
];

/// What the rules may be built from: nothing that waits, reads a clock or opens a file.
const DOMAIN_DEPENDENCIES: &[&str] = &[
    "globset",
    "hex",
    "jiff",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "towline-oci",
];

/// What no file of the rules may contain.
const IMPURE: &[&str] = &[
    "SystemTime",
    "Instant::now",
    "std::env",
    "std::fs",
    "tokio",
    "async fn",
    "rand::",
];

/// The allowed top-level entries.
const TOP_LEVEL: &[&str] = &[
    ".cargo",
    ".ci",
    ".config",
    ".github",
    ".gitignore",
    "ARCHITECTURE.md",
    "BENCHMARKS.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "GUIDE.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "clippy.toml",
    "deny.toml",
    "events",
    "functions",
    "infra",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "shared",
];

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).expect("two folders below the root");
    root.to_owned()
}

fn workspace() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo describes the workspace")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("reading {path}: {error}"))
}

/// Paths of all files of the repository that are on disk, with `/`, relative to its root.
fn files() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    assert!(output.status.success(), "git ls-files failed: {output:?}");
    let list = String::from_utf8(output.stdout).expect("paths are UTF-8");
    let paths = list.split('\0').filter(|path| !path.is_empty());
    let present = paths.filter(|path| root().join(path).is_file());
    present.map(str::to_owned).collect()
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.contains("/benches/") || path.ends_with("/tests.rs")
}

/// The names in a folder, of files without their ending.
fn stems(folder: &str) -> BTreeSet<String> {
    let entries =
        fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let stem = |entry: fs::DirEntry| {
        let path = entry.path();
        let stem = path.file_stem().expect("an entry has a name");
        stem.to_str().expect("names are UTF-8").to_owned()
    };
    entries.map(|entry| stem(entry.unwrap())).collect()
}

/// The handlers: the public modules of `towline-handlers`, spelled as in rules.
fn handlers() -> BTreeSet<String> {
    let source = text("shared/pipeline/handlers/src/lib.rs");
    let modules = source.lines().filter_map(|line| {
        let name = line.strip_prefix("pub mod ")?;
        Some(name.trim_end_matches(';').replace('_', "-"))
    });
    // `towline-answers` is the handler of `answer-chat`.
    modules.chain(["answer-chat".to_owned()]).collect()
}

/// One use of a package of ours by another.
#[derive(Debug, Clone, Copy)]
struct Use<'a> {
    user: &'a str,
    used: &'a str,
    kind: DependencyKind,
}

fn uses(metadata: &Metadata) -> Vec<Use<'_>> {
    let mut uses = Vec::new();
    for package in &metadata.packages {
        let ours = |name: &str| name == "towline" || name.starts_with("towline-");
        for dependency in package.dependencies.iter().filter(|it| ours(&it.name)) {
            uses.push(Use {
                user: package.name.as_str(),
                used: &dependency.name,
                kind: dependency.kind,
            });
        }
    }
    uses
}

/// Uses that the picture does not allow. Tests may use more, but an adapter never uses a handler.
fn forbidden(uses: &[Use<'_>]) -> Vec<String> {
    let allowed = |it: &Use<'_>| {
        let Some((_, folder, may)) = PACKAGES.iter().find(|(name, _, _)| *name == it.user) else {
            return false;
        };
        if it.kind == DependencyKind::Development {
            return !(folder.starts_with("shared/machine/") && it.used == "towline-handlers");
        }
        may.iter().any(|name| it.used == format!("towline-{name}"))
    };
    let bad = uses.iter().filter(|it| !allowed(it));
    bad.map(|it| format!("{} uses {}", it.user, it.used))
        .collect()
}

/// What each package of `Cargo.lock` uses, its tests included.
fn needs(lock: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut package = "";
    for line in lock.lines() {
        if let Some(name) = line.strip_prefix("name = ") {
            package = name.trim_matches('"');
            needs.entry(package).or_default();
        } else if let Some(dependency) = line.strip_prefix(" \"") {
            let name = dependency.split([' ', '"']).next().unwrap_or_default();
            needs.entry(package).or_default().push(name);
        }
    }
    needs
}

/// Every package that `name` depends on.
fn reachable<'a>(needs: &BTreeMap<&'a str, Vec<&'a str>>, name: &'a str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![name];
    while let Some(next) = waiting.pop() {
        if seen.insert(next) {
            waiting.extend(needs.get(next).into_iter().flatten());
        }
    }
    seen
}

/// Why a rule file is not an object of EventBridge patterns by bus.
fn misshapen(rule: &Value) -> Option<String> {
    let Some(buses) = rule.as_object().filter(|buses| !buses.is_empty()) else {
        return Some("must be an object of patterns by bus".into());
    };
    buses.iter().find_map(|(bus, pattern)| {
        if !["default", "towline"].contains(&bus.as_str()) {
            return Some(format!("{bus} is no bus of ours"));
        }
        ["source", "detail-type"].into_iter().find_map(|key| {
            let listed = pattern[key].as_array().filter(|list| !list.is_empty());
            listed
                .is_none()
                .then(|| format!("{bus}.{key} must be a list that is not empty"))
        })
    })
}

/// Whether a line has a path that exists on one machine only.
fn machine_path(line: &str) -> bool {
    // The build container's home in CodeBuild is /root (CodeBuild user guide, build caching).
    let line = line.replace("/root/.m2", "");
    let in_a_home = line
        .split("/home/")
        .skip(1)
        .any(|rest| rest.starts_with(|first: char| first.is_ascii_lowercase()));
    in_a_home || line.contains("/root/") || line.contains("/work/")
}

#[test]
fn every_package_lies_where_the_picture_has_it() {
    let metadata = workspace();
    let root = root();
    let found: BTreeSet<(&str, PathBuf)> = metadata
        .packages
        .iter()
        .map(|package| {
            let folder = package.manifest_path.parent().expect("a folder");
            (package.name.as_str(), folder.as_std_path().to_owned())
        })
        .collect();
    let drawn: BTreeSet<(&str, PathBuf)> = PACKAGES
        .iter()
        .map(|(name, folder, _)| (*name, root.join(folder)))
        .collect();
    assert_eq!(found, drawn, "say in PACKAGES who a new package may use");
}

#[test]
fn nobody_uses_what_the_picture_does_not_show() {
    let metadata = workspace();
    assert_eq!(forbidden(&uses(&metadata)), Vec::<String>::new());
}

#[test]
fn a_use_outside_the_picture_is_found() {
    let normal = DependencyKind::Normal;
    let development = DependencyKind::Development;
    let cases = [
        ("towline-domain", "towline-ports", normal, true),
        ("towline-store", "towline-handlers", normal, true),
        ("towline-store", "towline-handlers", development, true),
        ("towline-store", "towline-bus", normal, true),
        ("towline-simulation", "towline-store", normal, true),
        ("towline-unheard-of", "towline-domain", normal, true),
        ("towline-domain", "towline-ports", development, false),
        ("towline", "towline-store", normal, false),
    ];
    for (user, used, kind, refused) in cases {
        let found = forbidden(&[Use { user, used, kind }]);
        assert_eq!(!found.is_empty(), refused, "{user} uses {used} ({kind})");
    }
}

#[test]
fn the_rules_are_built_from_the_allowed_crates_alone() {
    let metadata = workspace();
    let domain = metadata
        .packages
        .iter()
        .find(|it| it.name.as_str() == "towline-domain")
        .expect("towline-domain is a package");
    let normal = domain
        .dependencies
        .iter()
        .filter(|it| it.kind != DependencyKind::Development);
    let names: Vec<&str> = normal.map(|it| it.name.as_str()).collect();
    assert_eq!(names, DOMAIN_DEPENDENCIES);
}

#[test]
fn the_rules_touch_no_clock_environment_file_or_executor() {
    let mut found = Vec::new();
    for path in files() {
        let rules = ["shared/pipeline/domain/src/", "shared/tools/oci/src/"];
        if !rules.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        let source = text(&path);
        let impure = IMPURE.iter().filter(|word| source.contains(**word));
        found.extend(impure.map(|word| format!("{path} holds {word}")));
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn one_machine_needs_nothing_of_aws() {
    let (lock, metadata) = (text("Cargo.lock"), workspace());
    // Tests may use more than what is linked: of our own packages, only what they are built from counts.
    let mut needs = needs(&lock);
    for package in &metadata.packages {
        let built_from = package.dependencies.iter();
        let built_from = built_from.filter(|it| it.kind != DependencyKind::Development);
        let built_from = built_from.map(|it| it.name.as_str()).collect();
        needs.insert(package.name.as_str(), built_from);
    }
    let linked = reachable(&needs, "towline");
    assert!(linked.contains("towline-domain"), "Cargo.lock was misread");
    // Signing calls to a deployed API is the only part of AWS on a person's machine.
    let aws: Vec<_> = linked
        .iter()
        .filter(|name| name.starts_with("aws-sdk-") || **name == "aws-config")
        .collect();
    assert_eq!(aws, Vec::<&&str>::new());
}

#[test]
fn one_name_runs_through_a_function() {
    let known: BTreeSet<String> = FUNCTIONS.iter().map(|&name| name.to_owned()).collect();
    let handlers = handlers();
    assert!(!handlers.is_empty(), "no handler was found");
    let strangers: Vec<_> = handlers.difference(&known).collect();
    assert_eq!(strangers, Vec::<&String>::new(), "public, but no function");

    let mut folders = stems("functions");
    folders.remove("local");
    let unhandled: Vec<_> = folders.difference(&handlers).collect();
    assert_eq!(unhandled, Vec::<&String>::new(), "no handler for a folder");

    let rules = stems("events/rules");
    let listed: BTreeSet<String> = RULES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(rules, listed, "shared/machine/bus/src/rules.rs");
    let unhandled: Vec<_> = rules.difference(&handlers).collect();
    assert_eq!(unhandled, Vec::<&String>::new(), "no handler for a rule");

    if root().join("infra/template.yaml").is_file() {
        let template = text("infra/template.yaml");
        let absent: Vec<_> = folders
            .union(&rules)
            .filter(|name| !template.contains(name.as_str()))
            .collect();
        assert_eq!(absent, Vec::<&String>::new(), "not in infra/template.yaml");
    }
}

#[test]
fn every_rule_is_an_object_of_patterns_by_bus() {
    for name in stems("events/rules") {
        let path = format!("events/rules/{name}.json");
        let rule = serde_json::from_str(&text(&path))
            .unwrap_or_else(|error| panic!("{path} is no JSON: {error}"));
        assert_eq!(misshapen(&rule), None, "{path}");
    }
}

#[test]
fn a_misshapen_rule_is_found() {
    for rule in [
        r#"{}"#,
        r#"[]"#,
        r#"{"source": ["towline"], "detail-type": ["Build Due"]}"#,
        r#"{"towline": {"source": ["towline"]}}"#,
        r#"{"towline": {"source": [], "detail-type": ["Build Due"]}}"#,
    ] {
        let rule = serde_json::from_str(rule).unwrap();
        assert!(misshapen(&rule).is_some(), "{rule}");
    }
}

#[test]
fn nothing_else_lies_at_the_top() {
    let files = files();
    let top: BTreeSet<&str> = files
        .iter()
        .filter_map(|path| path.split('/').next())
        .collect();
    let allowed: BTreeSet<&str> = TOP_LEVEL.iter().copied().collect();
    let extra: Vec<_> = top.difference(&allowed).collect();
    assert_eq!(extra, Vec::<&&str>::new());
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    let mut found = Vec::new();
    for path in files() {
        if path.starts_with(".ci/") || path == file!() {
            continue;
        }
        let bytes = fs::read(root().join(&path)).unwrap();
        for (number, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            if machine_path(line) {
                found.push(format!("{path}:{}: {line}", number + 1));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let mut found = Vec::new();
    for path in files() {
        if !path.ends_with(".rs") {
            continue;
        }
        if !text(&path).starts_with("//! ") {
            found.push(format!("{path} does not begin with //!"));
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

/// An error is a type, with the data that its sentence needs. The simulation only compares sentences.
#[test]
fn no_error_is_a_plain_text() {
    let is_source = |path: &String| {
        path.ends_with(".rs")
            && path.contains("/src/")
            && !is_test(path)
            && !path.starts_with("shared/testing/")
    };
    let mut found = Vec::new();
    for path in files().into_iter().filter(is_source) {
        let source = text(&path);
        let (source, _tests) = source.split_once("\nmod tests {").unwrap_or((&source, ""));
        let lines = (1..).zip(source.lines());
        let plain = lines.filter(|(_, line)| {
            let results = line.match_indices("Result<").map(|(at, _)| at);
            let mut after = results.map(|at| &line[at..]);
            after.any(|result| {
                let texts = [", String>", ", &'static str>", ", &str>"];
                texts.iter().any(|text| result.contains(text)) && !result.contains("Map<")
            })
        });
        found.extend(plain.map(|(number, line)| format!("{path}:{number}: {}", line.trim())));
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_package_takes_the_lints_of_the_workspace() {
    let manifests = files()
        .into_iter()
        .filter(|path| path.ends_with("/Cargo.toml"));
    let without: Vec<String> = manifests
        .filter(|path| !text(path).contains("[lints]\nworkspace = true\n"))
        .collect();
    assert_eq!(without, Vec::<String>::new());
}
