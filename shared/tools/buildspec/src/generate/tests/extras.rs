//! Secrets, reports, caches, the program `towline`, and the values that StartBuild accepts.

use std::process::Command;

use super::oracle::{Machine, TOOL};
use super::*;

fn everything() -> Extras {
    let report = Report {
        files: strings(&["**/*.xml"]),
        folder: Some("target/reports".to_owned()),
        format: Some("JunitXml".to_owned()),
    };
    Extras {
        secrets: pairs(&[("NPM_TOKEN", "shop/npm:token")]),
        reports: vec![("unit".to_owned(), report)],
        cache: strings(&["node_modules/**/*"]),
        outputs: Vec::new(),
        tools: vec![tool("x86_64", &"0a".repeat(32))],
    }
}

fn tool(machine: &str, sha256: &str) -> Tool {
    Tool {
        machine: machine.to_owned(),
        source: "s3://stack-bucket/towline/0.1.0".to_owned(),
        sha256: sha256.to_owned(),
    }
}

#[test]
fn what_is_asked_for_stands_in_the_text() {
    let (common, preset) = packed();
    let text = generate_with(&common, &preset, &everything()).unwrap();
    let (spec, warnings) = Buildspec::read(&text).unwrap();
    assert_eq!(warnings, []);
    let sections = [
        text.find("env:"),
        text.find("phases:"),
        text.find("reports:"),
    ];
    let [Some(env), Some(phases), Some(reports)] = sections else {
        panic!("sections are missing in {text}");
    };
    expect![[r#"
        env:
          shell: 'bash'
          secrets-manager:
            NPM_TOKEN: 'shop/npm:token'
          exported-variables:
            - 'IMAGE_DIGEST'

        reports:
          unit:
            files:
              - '**/*.xml'
            base-directory: 'target/reports'
            file-format: 'JunitXml'

        cache:
          paths:
            - 'node_modules/**/*'
    "#]]
    .assert_eq(&format!("{}{}", &text[env..phases], &text[reports..]));
    let first = &spec.phases.pre_build.commands[0];
    expect![[r#"export TOWLINE_TOOLS="$(mktemp -d)"; case "$(uname -m)" in x86_64) TOWLINE_TOOL=s3://stack-bucket/towline/0.1.0 TOWLINE_SUM=0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a ;; *) TOWLINE_TOOL=; esac; if test -z "$TOWLINE_TOOL"; then command -v towline > /dev/null || (echo "this stack has no program towline for $(uname -m): run towline deploy --tool"; exit 1); elif aws s3 cp --only-show-errors "$TOWLINE_TOOL" "$TOWLINE_TOOLS/towline" && printf '%s  %s\n' "$TOWLINE_SUM" "$TOWLINE_TOOLS/towline" | sha256sum --check --status && chmod +x "$TOWLINE_TOOLS/towline"; then PATH="$TOWLINE_TOOLS:$PATH"; else echo 'the program towline could not be fetched, or is not the one of this stack'; false; fi"#]].assert_eq(first);
    assert_eq!(
        generate(&common, &preset),
        generate_with(&common, &preset, &Extras::default())
    );
}

#[test]
fn a_given_buildspec_gets_secrets_and_decides_about_the_rest() {
    let given = Preset::Given(
        "version: 0.2\nenv:\n  parameter-store: {TOKEN: /a}\nphases: {build: {commands: [make]}}\n"
            .to_owned(),
    );
    let common = Common::default();
    let secrets = |name: &str| Extras {
        secrets: pairs(&[(name, "shop/token")]),
        ..Extras::default()
    };
    let text = generate_with(&common, &given, &secrets("TOKEN")).unwrap();
    let (spec, _) = Buildspec::read(&text).unwrap();
    assert_eq!(spec.env.parameter_store, []);
    assert_eq!(spec.env.secrets_manager, pairs(&[("TOKEN", "shop/token")]));
    let refused = generate_with(&common, &given, &everything()).unwrap_err();
    assert_eq!(refused, GenerateError::NotWithGiven { setting: "reports" });
}

#[test]
fn what_codebuild_would_refuse_is_refused_before() {
    let check = |change: &dyn Fn(&mut Common, &mut Extras), expected: Expect| {
        let (mut common, preset) = packed();
        let mut extras = everything();
        change(&mut common, &mut extras);
        let outcome = generate_with(&common, &preset, &extras);
        expected.assert_eq(&outcome.map_or_else(|error| error.to_string(), |_| String::new()));
    };
    let report = |name: &str, format: &str| {
        let report = Report {
            files: strings(&["a"]),
            folder: None,
            format: Some(format.to_owned()),
        };
        (name.to_owned(), report)
    };
    check(
        &|common, _| common.variables = pairs(&[("NPM_TOKEN", "x")]),
        expect!["the variable `NPM_TOKEN` is set twice: keep one of them"],
    );
    check(
        &|_, extras| extras.secrets = pairs(&[("AWS_PROFILE", "x")]),
        expect![
            "the variable `AWS_PROFILE` is reserved, because it would change how the build itself runs: use another name"
        ],
    );
    check(
        &|_, extras| extras.secrets = pairs(&[("TOKEN", "a\nb")]),
        expect![
            "`TOKEN` is not a reference to a secret: write `secret-id`, or `secret-id:json-key`, on one line"
        ],
    );
    check(
        &|_, extras| extras.reports = vec![report("unit tests", "JUNITXML")],
        expect![
            "the report `unit tests` needs a name of letters, digits, `-` and `_`, files, and one of the formats CLOVERXML, COBERTURAXML, CUCUMBERJSON, JACOCOXML, JUNITXML, NUNIT3XML, NUNITXML, SIMPLECOV, TESTNGXML, VISUALSTUDIOTRX"
        ],
    );
    check(
        &|_, extras| extras.reports = vec![report("unit", "TAP")],
        expect![
            "the report `unit` needs a name of letters, digits, `-` and `_`, files, and one of the formats CLOVERXML, COBERTURAXML, CUCUMBERJSON, JACOCOXML, JUNITXML, NUNIT3XML, NUNITXML, SIMPLECOV, TESTNGXML, VISUALSTUDIOTRX"
        ],
    );
    check(
        &|_, extras| {
            extras.reports = (0..6)
                .map(|n| report(&format!("r{n}"), "JUNITXML"))
                .collect();
        },
        expect!["CodeBuild accepts at most 5 reports per project: merge some of them"],
    );
    check(
        &|_, extras| extras.reports = vec![report("unit", "JUNITXML"), report("unit", "JUNITXML")],
        expect!["the report `unit` is defined twice: keep one of them"],
    );
    check(
        &|_, extras| extras.tools = vec![tool("x86_64", "0a")],
        expect![
            "`s3://stack-bucket/towline/0.1.0` is not the `s3://bucket/key` of a program with its SHA-256 in 64 hex digits"
        ],
    );
    check(
        &|common, _| common.variables = vec![("LONG".to_owned(), "é".repeat(4_097))],
        expect![
            "the variable `LONG` has 4097 characters; CodeBuild accepts at most 4096: shorten it, or keep it in a file of the repository"
        ],
    );
}

#[test]
fn values_are_as_long_as_startbuild_takes_them() {
    let check = |length: usize, expected: bool| {
        let values = [
            ("A".to_owned(), String::new()),
            ("B".to_owned(), "é".repeat(length)),
        ];
        assert_eq!(check_environment(&values).is_ok(), expected, "{length}");
    };
    check(0, true);
    check(4_096, true);
    check(4_097, false);
}

#[test]
fn what_is_too_long_for_the_request_is_written_whole_for_a_bucket() {
    let common = Common {
        test: vec!["x".repeat(INLINE_LIMIT)],
        ..Common::default()
    };
    let preset = Preset::Docker(Docker::default());
    let extras = Extras::default();
    assert!(matches!(
        generate_with(&common, &preset, &extras),
        Err(GenerateError::TooLong { .. })
    ));
    let whole = generate_whole(&common, &preset, &extras).unwrap();
    assert!(whole.chars().count() > INLINE_LIMIT);
    Buildspec::read(&whole).unwrap();
}

#[test]
fn the_tool_is_used_only_when_it_is_the_right_one() {
    let machine = Machine::new();
    let digest = digest_of(TOOL);
    let text = |sha256: &str| {
        let extras = Extras {
            tools: ["x86_64", "aarch64"]
                .map(|machine| tool(machine, sha256))
                .to_vec(),
            ..Extras::default()
        };
        let (common, preset) = packed();
        generate_with(&common, &preset, &extras).unwrap()
    };
    let calls = |output: &str| {
        let lines = output
            .lines()
            .map(|line| line.split(" --").next().unwrap_or(line));
        lines
            .map(|line| line.get(..60).unwrap_or(line).to_owned() + "\n")
            .collect::<String>()
    };
    expect![[r#"
        aws [s3] [cp] [--only-show-errors] [s3://stack-bucket/towlin
        sh [build.sh]
        sh [test.sh]
        aws [ecr] [get-login-password] [--region] [eu-west-1]
        towline [pack] [--output-file=SCRATCH] [--repository=<ECR_RE
        digest sha256:packed
    "#]]
    .assert_eq(&calls(&machine.run(&text(&digest))));
    let output = Machine::new().run(&text(&"0a".repeat(32)));
    let reason = "the program towline could not be fetched, or is not the one of this stack\npre_build failed\n";
    assert!(output.contains(reason), "{output}");
    assert!(
        !output.contains("tmp."),
        "what was fetched has run: {output}"
    );
}

#[test]
fn without_a_tool_for_the_machine_that_of_the_image_is_taken() {
    let extras = Extras {
        tools: vec![tool("m68k", &"0a".repeat(32))],
        ..Extras::default()
    };
    let (common, preset) = packed();
    let text = generate_with(&common, &preset, &extras).unwrap();
    let output = Machine::new().run(&text);
    assert!(output.ends_with("digest sha256:packed\n"), "{output}");
    let output = Machine::new().without("towline").run(&text);
    assert!(
        output.contains("this stack has no program towline for "),
        "{output}"
    );
    assert!(output.contains("pre_build failed\n"), "{output}");
}

fn digest_of(text: &str) -> String {
    let mut command = Command::new("bash");
    command
        .args(["-c", "printf %s \"$TEXT\" | sha256sum"])
        .env("TEXT", text);
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    output.split(' ').next().unwrap().to_owned()
}
