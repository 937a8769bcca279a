//! The parameters of a deployment from a build's outputs.

mod common;

use common::good;
use expect_test::{Expect, expect};
use towline_domain::definition::Build;
use towline_domain::names::{AttemptId, CommitSha, GitRef};
use towline_domain::outputs::{self, Outputs};
use towline_domain::tags::Values;

fn build(outputs: &[&str]) -> Build {
    Build {
        env: vec![("APP".into(), "v{build}".into())],
        outputs: outputs.iter().map(|path| (*path).to_owned()).collect(),
        ..Build::default()
    }
}

fn check(value: &str, expected: &Expect) {
    let commit: CommitSha = good(&"3f".repeat(20));
    let attempt: AttemptId = good("00000000-0000-8000-a000-000000000000");
    let values = Values {
        commit: &commit,
        git_ref: &GitRef::Branch("main".into()),
        build_number: 142,
        attempt: &attempt,
    };
    let known = [
        (
            "version",
            r#"{"Version": "1.2", "n": 3, "deep": [{"ok": true}], "none": null}"#,
        ),
        ("note", "all is well\n"),
    ];
    let known: Outputs = known
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .into();
    let build = build(&["app/version.json", "note.txt", "lost.json"]);
    let written = [("Tag".to_owned(), value.to_owned())];
    let answer = match outputs::parameters(&written, &build, values, &known) {
        Ok(parameters) => format!("{parameters:?}"),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&answer);
}

#[test]
fn a_parameter_is_filled_in_by_the_build_that_made_the_image() {
    check(
        "{output.version.Version}",
        &expect![[r#"[("Tag", "1.2")]"#]],
    );
    check(
        "{sha7}-{output.version.n}-{env.APP}",
        &expect![[r#"[("Tag", "3f3f3f3-3-v142")]"#]],
    );
    check(
        "{output.version.deep.0.ok}",
        &expect![[r#"[("Tag", "true")]"#]],
    );
    check("{output.note}!", &expect![[r#"[("Tag", "all is well!")]"#]]);
    check("plain", &expect![[r#"[("Tag", "plain")]"#]]);
}

#[test]
fn a_parameter_of_another_component_is_left_out() {
    check("{output.other.Version}", &expect!["[]"]);
}

#[test]
fn what_cannot_be_had_is_said() {
    check(
        "{output.lost.Version}",
        &expect!["build#142 left no output lost; build the commit again"],
    );
    check(
        "{output.note.Version}",
        &expect![
            "{output.note.Version} asks for a key, but the output note of build#142 is not JSON"
        ],
    );
    check(
        "{output.version.none}",
        &expect![[
            "the output version of build#142 has no text, number or truth value at {output.version.none}"
        ]],
    );
    check(
        "{output.version.deep.7.ok}",
        &expect![[
            "the output version of build#142 has no text, number or truth value at {output.version.deep.7.ok}"
        ]],
    );
    check(
        "{output.version.deep}",
        &expect![[
            "the output version of build#142 has no text, number or truth value at {output.version.deep}"
        ]],
    );
    check(
        "{nothing}",
        &expect![[
            r#""{nothing}" has {nothing}, which is not a placeholder; there are {sha}, {sha7}, {build}, {build_uuid}, {branch_slug} and, in tags and parameters, {env.NAME}"#
        ]],
    );
    check(
        "{sha",
        &expect![[r#""{sha" has a brace that does not close"#]],
    );
}
