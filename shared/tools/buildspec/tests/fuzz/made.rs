//! Turns bytes into a definition with everything it can contain, and what its build must do.

use towline_buildspec::Buildspec;
use towline_buildspec::generate::{
    Common, Docker, Extras, Login, Make, MakeLogin, Output, OutputFrom, Pack, Platform, Preset,
    REPORT_FORMATS, Report, Tool, generate_with,
};

use crate::mutate::Orders;
use crate::shell::{Case, PROGRAM_SUM, commands, exports, words};

/// Parts of names that a careless shell, template or option parser acts on.
const PARTS: [&str; 44] = [
    "a",
    "B",
    "7",
    "/",
    "-",
    "--",
    ".",
    "..",
    "_",
    " ",
    "  ",
    "\t",
    "\n",
    "'",
    "\"",
    "`",
    "\\",
    "$",
    "$(touch canary)",
    "`touch canary`",
    ";touch canary;",
    "&&touch canary",
    "|touch canary",
    "\ntouch canary\n",
    ">canary",
    "<canary",
    "${IFS}",
    "$((1/0))",
    "*",
    "?",
    "[a-z]",
    "{a,b}",
    "~",
    "#",
    "!!",
    "%s",
    "=",
    ":",
    "@",
    "^",
    "é",
    "한",
    "🚀",
    "\u{202e}",
];

/// The tag of the image, and the tag of the whole if this is a part of it.
const TAG: &str = "3f9c2ab-1";
const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

/// A repository's own buildspec.
const GIVEN: &str = r#"version: 0.2
phases: {build: {commands: ['docker build --label=title="$SOURCE_URL" .']}}
"#;

/// A text of parts; never with NUL, which no environment can contain.
fn text(orders: &mut Orders<'_>) -> String {
    let parts = orders.below(6);
    (0..parts).map(|_| orders.pick(&PARTS)).collect()
}

fn path(orders: &mut Orders<'_>) -> String {
    format!("x{}", text(orders))
}

/// A text of one line.
fn line(orders: &mut Orders<'_>) -> String {
    text(orders).replace(char::is_control, "")
}

/// A name of a repository or tag as Towline makes it.
fn legal(orders: &mut Orders<'_>) -> String {
    let parts = (0..orders.below(4)).map(|_| orders.pick(&["a", "7", "-", ".", "_", "/x"]));
    format!("x{}", parts.collect::<String>())
}

/// A definition with its build.
#[derive(Default)]
struct Made {
    case: Case,
    extras: Extras,
    values: Vec<(&'static str, String)>,
    /// The output of the tools before the build enters its folder, in it, and after it has ended.
    before: Vec<Vec<String>>,
    within: Vec<Vec<String>>,
    after: Vec<Vec<String>>,
    /// Whether the phase before the build fails.
    is_refused: bool,
}

/// The build for these bytes, unless it is refused.
pub(crate) fn case(bytes: &[u8]) -> Option<Case> {
    let mut orders = Orders::new(bytes);
    let orders = &mut orders;
    let (kind, is_rich, has_tools) = (orders.below(4), orders.below(2) == 1, orders.below(3) == 1);
    let many = if is_rich { orders.below(3) } else { 0 };
    let context = match kind == 3 || orders.below(8) == 7 {
        true => ".".to_owned(),
        false => path(orders),
    };
    let common = Common {
        context: context.clone(),
        login: orders.pick(&[Login::Open, Login::Open, Login::Open, Login::Ecr]),
        ..Common::default()
    };
    let mut made = Made::default();
    for name in [
        "GIT_SHA",
        "SOURCE_URL",
        "CREATED_AT",
        "ECR_REGISTRY",
        "IMAGE_REPO",
        "GIT_BRANCH",
    ] {
        made.values.push((name, text(orders)));
    }
    let preset = match kind {
        0 => made.docker(orders, is_rich),
        1 => made.make(),
        2 => made.pack(orders, common.login, is_rich, has_tools),
        _ => made.given(),
    };
    if is_rich {
        made.extras(orders, kind == 3);
    }
    let outputs = made.outputs(orders, kind, many, &context);
    let text = generate_with(&common, &preset, &made.extras).ok()?;
    let (spec, warnings) = Buildspec::read(&text).expect("what is generated is read");
    assert_eq!(warnings, [], "{text}");
    made.stands_in(&spec, &context);
    Some(made.finish(&spec, &context, outputs))
}

impl Made {
    fn value(&self, name: &str) -> &str {
        let found = self.values.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    fn labels(&self) -> [String; 3] {
        [
            ("revision", "GIT_SHA"),
            ("source", "SOURCE_URL"),
            ("created", "CREATED_AT"),
        ]
        .map(|(label, name)| {
            format!(
                "--label=org.opencontainers.image.{label}={}",
                self.value(name)
            )
        })
    }

    fn repository(&self) -> String {
        format!(
            "{}/{}",
            self.value("ECR_REGISTRY"),
            self.value("IMAGE_REPO")
        )
    }

    /// The platform of each build, from its environment, in half of those that can have one.
    fn platform(&mut self, orders: &mut Orders<'_>, is_rich: bool) -> (Platform, String) {
        if !is_rich || orders.below(2) == 0 {
            let name = "linux/amd64".to_owned();
            return (Platform::Named(name.clone()), name);
        }
        let name = text(orders);
        self.values.push(("IMAGE_PLATFORM", name.clone()));
        (Platform::Provided, name)
    }

    fn docker(&mut self, orders: &mut Orders<'_>, is_rich: bool) -> Preset {
        let (file, target, argument) = (path(orders), text(orders), text(orders));
        let (is_there, layer_cache) = (orders.below(2) == 1, is_rich && orders.below(2) == 1);
        let has_builder = layer_cache && orders.below(4) != 3;
        let (platform, platform_name) = self.platform(orders, is_rich);
        let mut builder = words(match is_there {
            true => &[
                "docker",
                "buildx",
                "build",
                "--load",
                "--provenance=false",
                "--sbom=false",
            ],
            false => &["docker", "build"],
        });
        let flag = |is_well: bool| String::from(if is_well { "0" } else { "1" });
        self.values.extend([
            ("NO_BUILDX", flag(is_there)),
            ("NO_BUILDER", flag(has_builder)),
        ]);
        if layer_cache {
            // These are in options one after another, so they have the form that Towline gives them.
            let registry = legal(orders);
            let to = format!(
                "cache/{}:{}",
                legal(orders),
                orders.pick(&["t", "_-.", "A--"])
            );
            let from: Vec<String> = (0..orders.below(3)).map(|_| legal(orders)).collect();
            let id = orders.pick(&["0b5e6d2c-7", "7"]);
            if is_there {
                self.before.push(words(&[
                    "docker",
                    "buildx",
                    "create",
                    &format!("--name=towline-{id}"),
                    "--driver=docker-container",
                    "--bootstrap",
                ]));
            }
            if is_there && has_builder {
                builder.push(format!("--builder=towline-{id}"));
                builder.push(format!("--cache-to=type=registry,ref={registry}/{to},mode=max,image-manifest=true,oci-mediatypes=true,ignore-error=true"));
                let sources = from
                    .iter()
                    .map(|from| format!("--cache-from=type=registry,ref={registry}/{from}"));
                builder.extend(sources);
            }
            self.after
                .push(words(&["docker", "buildx", "rm", &format!("towline-{id}")]));
            self.values.retain(|(name, _)| *name != "ECR_REGISTRY");
            self.values.extend([
                ("ECR_REGISTRY", registry),
                ("CACHE_TO", to),
                ("CACHE_FROM", from.join(" ")),
                ("TOWLINE_ATTEMPT", id.to_owned()),
            ]);
        }
        let image = format!("{}:{TAG}", self.repository());
        builder.extend([format!("--file={file}"), format!("--target={target}")]);
        builder.push(format!("--platform={platform_name}"));
        builder.push(format!("--build-arg=TITLE={argument}"));
        builder.extend(self.labels());
        builder.extend([format!("--tag={image}"), ".".to_owned()]);
        self.within = vec![builder, words(&["docker", "push", &image])];
        self.case.heads = vec!["build", "push", "buildx"];
        Preset::Docker(Docker {
            dockerfile: file,
            target: Some(target),
            platform,
            layer_cache,
            arguments: vec![("TITLE".to_owned(), Some(argument))],
        })
    }

    fn make(&mut self) -> Preset {
        self.within = ["test", "publish"]
            .map(|target| words(&["make", target]))
            .to_vec();
        self.after = vec![words(&["make", "clean"])];
        self.case.heads = vec!["make"];
        Preset::Make(Make {
            build: words(&["test", "publish"]),
            always: words(&["clean"]),
            login: MakeLogin::Builtin,
        })
    }

    fn pack(
        &mut self,
        orders: &mut Orders<'_>,
        login: Login,
        is_rich: bool,
        has_tools: bool,
    ) -> Preset {
        let (root, label, user) = (path(orders), text(orders), text(orders));
        let entry = words(&[&text(orders), &text(orders)]);
        let json = serde_json::Value::from(entry.clone()).to_string();
        let (platform, platform_name) = self.platform(orders, is_rich);
        let mut call = words(&["towline", "pack", "--output-file=file"]);
        call.extend([
            format!("--repository={}", self.repository()),
            format!("--tag={TAG}"),
        ]);
        call.extend([
            format!("--root={root}"),
            format!("--platform={platform_name}"),
        ]);
        call.extend([
            format!("--entrypoint={json}"),
            format!("--label=team={label}"),
        ]);
        call.push(format!("--user={user}"));
        call.extend(self.labels());
        if login == Login::Ecr {
            call.push("--password-stdin".to_owned());
        }
        self.within = vec![call];
        self.case.heads = vec!["pack"];
        if is_rich && has_tools {
            self.tools(orders);
        }
        Preset::Pack(Pack {
            root,
            entrypoint: entry,
            labels: vec![("team".to_owned(), label)],
            user: Some(user),
            platform,
            ..Pack::default()
        })
    }

    /// The program is downloaded, for one of two machines, if it is the right one.
    fn tools(&mut self, orders: &mut Orders<'_>) {
        let machine = orders.pick(&["x86_64", "aarch64", "x86_64", "aarch64", "riscv64"]);
        let is_right = orders.below(4) != 3;
        let sum = if is_right {
            PROGRAM_SUM.to_owned()
        } else {
            "0a".repeat(32)
        };
        for known in ["x86_64", "aarch64"] {
            let source = format!("s3://{}/{known}", legal(orders));
            if known == machine {
                self.before.push(words(&[
                    "aws",
                    "s3",
                    "cp",
                    "--only-show-errors",
                    &source,
                    "tools/towline",
                ]));
            }
            self.extras.tools.push(Tool {
                machine: known.to_owned(),
                source,
                sha256: sum.clone(),
            });
        }
        self.is_refused = self.before.is_empty() || !is_right;
        if !self.before.is_empty() {
            self.case.leaves.push("tools/towline".to_owned());
        }
        self.after.push(words(&["rm", "-rf", "--", "tools"]));
        self.case.heads.extend(["aws", "-rf"]);
        self.case.folders.push("tools".to_owned());
        self.values.push(("MACHINE", machine.to_owned()));
    }

    fn given(&mut self) -> Preset {
        let label = format!("--label=title={}", self.value("SOURCE_URL"));
        self.before = vec![words(&["docker", "build", &label, "."])];
        self.case.heads = vec!["build"];
        Preset::Given(GIVEN.to_owned())
    }

    fn extras(&mut self, orders: &mut Orders<'_>, is_given: bool) {
        for name in ["NPM_TOKEN", "_T"].iter().take(orders.below(3)) {
            let reference = format!("x{}", line(orders));
            self.extras.secrets.push(((*name).to_owned(), reference));
        }
        if is_given {
            return;
        }
        for name in ["unit", "a-b_/:"].iter().take(orders.below(3)) {
            let report = Report {
                files: vec![text(orders), path(orders)],
                folder: (orders.below(2) == 1).then(|| format!("x{}f", line(orders))),
                format: (orders.below(2) == 1).then(|| orders.pick(&REPORT_FORMATS).to_owned()),
            };
            self.extras.reports.push(((*name).to_owned(), report));
        }
        self.extras.cache = (0..orders.below(3)).map(|_| text(orders)).collect();
    }

    /// The outputs and their results: nothing if one is missing or too long.
    fn outputs(
        &mut self,
        orders: &mut Orders<'_>,
        kind: usize,
        many: usize,
        context: &str,
    ) -> Vec<Option<String>> {
        if many == 0 {
            return Vec::new();
        }
        let whole = orders.pick(&["", TAG, "3f9c2ab"]);
        let digest = orders.pick(&["", DIGEST]);
        self.values.extend([
            ("IMAGE_WHOLE_TAG", whole.to_owned()),
            ("IMAGE_DIGEST", digest.to_owned()),
        ]);
        let whole = if whole.is_empty() { TAG } else { whole };
        let mut outcomes = Vec::new();
        for number in 0..many {
            let hostile = line(orders);
            let (path, container) = (
                match orders.below(4) {
                    0 => format!("x{number}{hostile}f"),
                    1 if kind == 1 => format!("t{number}.{}", hostile.replace('/', "")),
                    2 => "imagedefinitions.json".to_owned(),
                    3 => "imageDetail.json".to_owned(),
                    _ => format!("-{number}{hostile}f"),
                },
                text(orders),
            );
            let output = match kind {
                1 => Output::of_make(&path, &container),
                3 => Output::given(&path),
                _ => Output::of(&path, &container),
            };
            let file = format!("source/{}/{path}", context.trim_end_matches('/'));
            let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
            self.case.folders.push(folder.to_owned());
            self.case.leaves.push(file.clone());
            let content = match &output.from {
                OutputFrom::Build => {
                    let content = match orders.below(8) {
                        6 => "y".repeat(4_097),
                        _ => text(orders),
                    };
                    let is_there = orders.below(8) != 7;
                    let is_twice = self.case.files.iter().any(|(known, _)| *known == file);
                    if is_there && !is_twice {
                        self.case.files.push((file.clone(), content));
                    }
                    let found = self.case.files.iter().find(|(known, _)| *known == file);
                    found.map(|(_, content)| content.clone())
                }
                OutputFrom::Target(target) => {
                    self.within.push(words(&["make", target]));
                    Some(format!("made{target}"))
                }
                OutputFrom::Definitions(container) => Some(format!(
                    r#"[{{"name":"{container}","imageUri":"{}:{whole}"}}]"#,
                    self.repository()
                )),
                OutputFrom::Detail => Some(match whole == TAG && !digest.is_empty() {
                    true => format!(r#"{{"ImageURI":"{}@{digest}"}}"#, self.repository()),
                    false => format!(r#"{{"ImageURI":"{}:{whole}"}}"#, self.repository()),
                }),
            };
            let content = content.map(|content| content.replace(['\r', '\n'], ""));
            outcomes.push(content.filter(|content| content.len() <= 4_096));
            self.extras.outputs.push(output);
            if outcomes.last() == Some(&None) {
                // What would follow does not.
                break;
            }
        }
        outcomes
    }

    /// CodeBuild's own keys are in the text unchanged.
    fn stands_in(&self, spec: &Buildspec, context: &str) {
        let below = |path: &str| match context {
            "." => path.to_owned(),
            _ => format!("{}/{path}", context.trim_end_matches('/')),
        };
        assert_eq!(spec.env.secrets_manager, self.extras.secrets);
        let reports = spec.reports.iter().map(|(name, report)| {
            let (name, folder) = (name.as_str(), report.base_directory.clone());
            (name, &report.files, folder, report.file_format.as_deref())
        });
        let asked = self.extras.reports.iter().map(|(name, report)| {
            let own = report.folder.as_deref().map(below);
            let folder =
                own.or_else(|| (context != ".").then(|| context.trim_end_matches('/').to_owned()));
            (
                name.as_str(),
                &report.files,
                folder,
                report.format.as_deref(),
            )
        });
        assert!(
            reports.clone().eq(asked.clone()),
            "{:?} for {:?}",
            reports.collect::<Vec<_>>(),
            asked.collect::<Vec<_>>()
        );
        let cached = spec.cache.as_ref().map_or(&[][..], |cache| &cache.paths);
        let asked: Vec<String> = self
            .extras
            .cache
            .iter()
            .map(|path| match path.starts_with(['/', '~', '$']) {
                true => path.clone(),
                false => below(path),
            })
            .collect();
        assert_eq!(cached, asked);
        let outputs = self.extras.outputs.len();
        let variables = (0..outputs).map(|number| format!("TOWLINE_OUTPUT_{number}"));
        assert!(
            spec.env
                .exported_variables
                .iter()
                .rev()
                .take(outputs)
                .rev()
                .cloned()
                .eq(variables)
        );
    }

    /// The build, with its calls in order.
    fn finish(mut self, spec: &Buildspec, context: &str, outputs: Vec<Option<String>>) -> Case {
        let is_given = self.case.heads == ["build"];
        let enter = match context {
            "." => "source".to_owned(),
            folder => format!("source/{}", folder.trim_end_matches('/')),
        };
        if !self.case.folders.is_empty() {
            self.case.folders.push(enter.clone());
        }
        let mut expected = self.before;
        if self.is_refused {
            expected.push(words(&["FAILED", "pre_build"]));
        } else {
            if !is_given || !outputs.is_empty() {
                expected.push(words(&["cd", "--", &enter]));
            }
            expected.extend(self.within);
            if outputs.contains(&None) {
                expected.push(words(&[
                    "FAILED",
                    if is_given { "post_build" } else { "build" },
                ]));
            }
            expected.extend(self.after);
            for (number, output) in outputs.into_iter().enumerate() {
                let variable = format!("TOWLINE_OUTPUT_{number}");
                expected.extend(output.map(|output| vec!["OUTPUT".to_owned(), variable, output]));
            }
        }
        self.case.expected = expected;
        self.case.script = exports(&self.values) + &commands(spec);
        if !self.extras.outputs.is_empty() {
            self.case.script.push_str(
                r#"for name in $(compgen -A export TOWLINE_OUTPUT_); do say OUTPUT "$name" "${!name}"; unset "$name"; done"#,
            );
        }
        self.case
    }
}
