//! Generated buildspecs are valid by a JSON Schema that was made from CodeBuild's documentation.
//!
//! The schema is in the folder that `TOWLINE_SAMPLES` named when this test was built. It is not part of
//! this repository, so these tests are ignored unless asked for.

use std::fs;
use std::path::Path;

use jsonschema::Validator;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Number, Value as Json};
use towline_buildspec::generate::{
    Common, Docker, Extras, Login, Make, MakeLogin, Output, Pack, Platform, Preset, REPORT_FORMATS,
    Report, Tool, generate, generate_with,
};
use towline_buildspec::yaml::{self, Limits, Node, Value};

/// The folder of samples; none if it was not set.
const SAMPLES: Option<&str> = option_env!("TOWLINE_SAMPLES");

fn samples() -> &'static Path {
    Path::new(SAMPLES.expect("TOWLINE_SAMPLES was set at build time"))
}

fn validator(samples: &Path) -> Validator {
    let path = samples.join("schema/buildspec-0.2.docs-derived.schema.json");
    let text = fs::read_to_string(path).expect("the schema is there");
    let schema = serde_json::from_str(&text).expect("the schema is JSON");
    jsonschema::validator_for(&schema).expect("the schema is one")
}

/// A document as a YAML 1.1 parser reads it.
fn json(node: &Node) -> Json {
    match &node.value {
        Value::Mapping(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| (key.key_text().to_owned(), json(value)));
            Json::Object(entries.collect::<Map<_, _>>())
        }
        Value::Sequence(items) => items.iter().map(json).collect(),
        Value::Scalar { text, quoted: true } => Json::String(text.clone()),
        Value::Scalar { text, .. } => {
            let number = || text.parse().ok().and_then(Number::from_f64);
            if node.is_null() {
                Json::Null
            } else if let Some(truth) = node.as_bool11() {
                Json::Bool(truth)
            } else {
                number().map_or_else(|| Json::String(text.clone()), Json::Number)
            }
        }
    }
}

/// The schema's complaint about a text.
fn complaint(validator: &Validator, text: &str) -> Option<String> {
    let limits = Limits {
        aliases: true,
        ..Limits::default()
    };
    let document = match yaml::read(text, limits) {
        Ok(root) => json(&root),
        Err(error) => return Some(error.to_string()),
    };
    let error = validator.iter_errors(&document).next()?;
    Some(format!("{}: {error}", error.instance_path()))
}

fn any_path() -> impl Strategy<Value = String> {
    "[a-z é'$.]{1,12}(/[a-z-]{1,8}){0,2}"
}

fn any_text() -> BoxedStrategy<String> {
    let traps = [
        "",
        "yes",
        "1.20",
        "a: b",
        "- a",
        "null",
        "$(id)",
        "it's \"x\"\n#",
        "\t",
    ];
    prop_oneof![
        prop::sample::select(traps.to_vec()).prop_map(str::to_owned),
        "[^\0]{0,30}"
    ]
    .boxed()
}

fn any_pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    vec(("[A-Z][A-Z0-9_]{3,12}", any_text()), 0..4)
}

fn any_common() -> impl Strategy<Value = Common> {
    let login = prop_oneof![Just(Login::Ecr), Just(Login::Open)];
    (
        any_pairs(),
        vec(("[a-z]{1,8}", "[0-9.]{1,5}"), 0..3),
        any_path(),
        vec(any_text(), 0..3),
        login,
    )
        .prop_map(
            |(variables, runtime_versions, context, test, login)| Common {
                variables,
                runtime_versions,
                context,
                test,
                login,
            },
        )
}

fn any_preset() -> impl Strategy<Value = Preset> {
    let docker = (
        any_path(),
        option::of(any_text()),
        vec(("[A-Z]{1,8}", option::of(any_text())), 0..3),
    )
        .prop_map(|(dockerfile, target, arguments)| {
            Preset::Docker(Docker {
                dockerfile,
                target,
                arguments,
                platform: Platform::Named("linux/arm64".to_owned()),
                layer_cache: true,
            })
        });
    let make = (
        vec("[a-z][a-z.]{0,8}", 1..4),
        vec("[a-z]{1,8}", 0..3),
        any::<bool>(),
    )
        .prop_map(|(build, always, own)| {
            Preset::Make(Make {
                build,
                always,
                login: if own {
                    MakeLogin::Target("login".to_owned())
                } else {
                    MakeLogin::Builtin
                },
            })
        });
    let pack = (
        vec(any_text(), 0..3),
        any_path(),
        vec(any_text(), 0..3),
        any_pairs(),
        any_pairs(),
        vec(any::<u16>(), 0..3),
    )
        .prop_map(|(build, root, entrypoint, environment, labels, ports)| {
            Preset::Pack(Pack {
                build,
                root,
                entrypoint,
                environment,
                labels,
                ports,
                ..Pack::default()
            })
        });
    prop_oneof![docker, make, pack]
}

fn any_extras() -> impl Strategy<Value = Extras> {
    let report = (
        vec(any_path(), 1..3),
        option::of(any_path()),
        option::of(prop::sample::select(REPORT_FORMATS.to_vec())),
    )
        .prop_map(|(files, folder, format)| Report {
            files,
            folder,
            format: format.map(str::to_lowercase),
        });
    let tool = Tool {
        machine: "aarch64".to_owned(),
        source: "s3://stack-bucket/towline".to_owned(),
        sha256: "0a".repeat(32),
    };
    (
        vec(("S_[A-Z]{1,8}", "[a-z/]{1,9}(:[a-z]{1,5})?"), 0..3),
        vec(("[a-z-]{1,9}", report), 0..3),
        vec(any_path(), 0..3),
        vec(any_path(), 0..3),
        vec(Just(tool), 0..2),
    )
        .prop_map(|(secrets, reports, cache, outputs, tools)| Extras {
            secrets,
            reports,
            cache,
            outputs: outputs
                .iter()
                .map(|path| Output::of_make(path, "app"))
                .collect(),
            tools,
        })
}

#[test]
#[ignore = "needs samples of others: set TOWLINE_SAMPLES when you build"]
fn what_is_generated_is_what_the_schema_takes() {
    let samples = samples();
    let validator = validator(samples);
    assert!(complaint(&validator, "version: 0.2\nphases: {build: [make]}\n").is_some());
    let mut runner = proptest::test_runner::TestRunner::default();
    let generated = std::cell::Cell::new(0);
    let any = (any_common(), any_preset(), any_extras());
    let outcome = runner.run(&any, |(common, preset, extras)| {
        let Ok(text) = generate_with(&common, &preset, &extras) else {
            return Ok(());
        };
        generated.set(generated.get() + 1);
        let complaint = complaint(&validator, &text);
        prop_assert_eq!(complaint, None, "{}", text);
        Ok(())
    });
    outcome.expect("all of it is taken");
    assert!(
        generated.get() > 100,
        "only {} were generated",
        generated.get()
    );
}

#[test]
#[ignore = "needs samples of others: set TOWLINE_SAMPLES when you build"]
fn a_given_buildspec_stays_what_the_schema_takes() {
    let samples = samples();
    let validator = validator(samples);
    let common = Common {
        variables: vec![("STAGE".to_owned(), "yes: no".to_owned())],
        ..Common::default()
    };
    let mut taken = 0;
    for entry in fs::read_dir(samples.join("buildspec")).expect("the samples can be listed") {
        let path = entry.expect("an entry can be read").path();
        let text = fs::read_to_string(&path).expect("a sample is text");
        if let (None, Ok(generated)) = (
            complaint(&validator, &text),
            generate(&common, &Preset::Given(text.clone())),
        ) {
            taken += 1;
            let complaint = complaint(&validator, &generated);
            assert_eq!(complaint, None, "{}: {generated}", path.display());
        }
    }
    assert!(taken > 20, "only {taken} samples were taken");
}
