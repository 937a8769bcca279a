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
