//! Findings that a file allows.

use super::*;

#[test]
fn findings_are_allowed_with_a_reason() {
    check(
        "version: 0.2
phases:
  build:
    commands:
      - timeout -t 5 a # towline: allow E012 because the image is Alpine 3.8
      # towline: allow E012 E011 because of the same
      - |
        timeout -t 5 b
        $(aws ecr get-login)
      # towline: allow E012
      - timeout -t 5 c
      # towline: allow E999 because there is no such code
      - timeout -t 5 d
",
        expect![[r#"
            W002 10:7 # towline: allow E012
            E012 11:9 timeout -t
            W002 12:7 # towline: allow E999 because there is no such code
            E012 13:9 timeout -t
        "#]],
    );
    let whole = format!(
        "# towline: allow E012 because the image is Alpine 3.8\n{}",
        build(&["timeout -t 5 a"])
    );
    let report = lint("b.yml", &whole, &Context::default());
    assert_eq!(report.findings, Vec::new());
    assert_eq!(report.allowed[0].reason, "the image is Alpine 3.8");
    assert_eq!(report.worst(), None);
}

#[test]
fn a_rule_is_allowed_by_its_name_and_what_allows_nothing_is_told() {
    check(
        "version: 0.2
phases:
  build:
    commands:
      - timeout -t 5 a # towline: allow timeout-t because the image is Alpine 3.8
      - timeout 5 a # towline: allow E012, ecr-get-login because the image was Alpine 3.8
      - make # towline: allow W030 because only projects with CodePipeline lack Git
      - make # towline: allow unreadable because nobody can
",
        expect![[r#"
            N002 6:21 # towline: allow E012, ecr-get-login because the image was Alpine 3.8
            W002 8:14 # towline: allow unreadable because nobody can
        "#]],
    );
    // Of a text that cannot be parsed, nothing is known.
    check(
        "# towline: allow E012 because so\nphases: [\n",
        expect![[r#"
            E000 3:1 
        "#]],
    );
    let with_tabs = "version: 0.2\nphases:\n\tbuild:\n\t\tcommands:\n\t\t\t- timeout -t 5 a # towline: allow E012 because so\n";
    check(
        with_tabs,
        expect![[r#"
            E001 3:1 	
        "#]],
    );
}
