//! How findings are shown.

use super::*;

const TEXT: &str = "version: 0.2
phases:
  build:
    commands:
      - echo é && timeout -t 5 make
      - timeout -t 5 b # towline: allow E012 because it is Alpine
";

#[test]
fn findings_are_shown_with_their_line() {
    let report = lint("build spec.yml", TEXT, &Context::default());
    expect![[r#"
        error[E012 timeout-t]: GNU timeout exits with status 125 (`invalid option -- 't'`), so the phase fails.
         --> build spec.yml:5:19
          |
        5 |       - echo é && timeout -t 5 make
          |                   ^^^^^^^^^^
          |
        help: Remove `-t`; the duration is the first argument.
          |
          = note: `--fix` does this

    "#]].assert_eq(&to_text(&report, &|_| Some(TEXT.to_owned()), false));
    let styled = to_text(&report, &|_| Some(TEXT.to_owned()), true);
    assert!(styled.contains("\u{1b}["));
    assert!(to_text(&report, &|_| None, false).contains("E012"));
}

#[test]
fn findings_are_told_as_json() {
    let report = lint("build spec.yml", TEXT, &Context::default());
    let json = serde_json::to_string_pretty(&to_json(&report)).unwrap();
    expect![[r#"
        {
          "allowed": [
            {
              "advice": "Remove `-t`; the duration is the first argument.",
              "code": "E012",
              "consequence": "GNU timeout exits with status 125 (`invalid option -- 't'`), so the phase fails.",
              "end": {
                "column": 19,
                "line": 6
              },
              "file": "build spec.yml",
              "fixable": true,
              "help": "https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html",
              "level": "error",
              "name": "timeout-t",
              "reason": "it is Alpine",
              "start": {
                "column": 9,
                "line": 6
              },
              "text": "timeout -t"
            }
          ],
          "findings": [
            {
              "advice": "Remove `-t`; the duration is the first argument.",
              "code": "E012",
              "consequence": "GNU timeout exits with status 125 (`invalid option -- 't'`), so the phase fails.",
              "end": {
                "column": 29,
                "line": 5
              },
              "file": "build spec.yml",
              "fixable": true,
              "help": "https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html",
              "level": "error",
              "name": "timeout-t",
              "start": {
                "column": 19,
                "line": 5
              },
              "text": "timeout -t"
            }
          ]
        }"#]].assert_eq(&json);
}

#[test]
fn sarif_holds_what_code_scanning_needs() {
    let log = sarif(&[lint("build spec.yml", TEXT, &Context::default())]);
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), Code::ALL.len());
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
    }
    expect![[r#"
        [
          {
            "physicalLocation": {
              "artifactLocation": {
                "uri": "build%20spec.yml"
              },
              "region": {
                "endColumn": 29,
                "endLine": 5,
                "startColumn": 19,
                "startLine": 5
              }
            }
          }
        ]"#]]
    .assert_eq(&serde_json::to_string_pretty(&results[0]["locations"]).unwrap());
    assert_eq!(
        results[1]["suppressions"][0]["justification"],
        "it is Alpine"
    );
}

#[test]
fn every_code_is_named_once_and_found_by_its_name() {
    let mut names: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Code::ALL.len());
    let readme = include_str!("../../../README.md");
    for code in Code::ALL {
        let row = format!("| {} | {} | {} |", code.as_str(), code.name(), code.about());
        assert!(readme.contains(&row), "README.md lacks {row}");
        assert_eq!(Code::parse(code.as_str()), Some(*code));
        assert!(code.about().ends_with('.') && code.help().starts_with("https://"));
    }
    assert_eq!(Code::E003.level(), Level::Error);
    assert!(Level::Error > Level::Warning && Level::Warning > Level::Note);
}
