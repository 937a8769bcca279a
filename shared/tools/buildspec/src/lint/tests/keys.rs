//! Keys that CodeBuild does not read.

use super::*;

#[test]
fn e006_keys_at_the_top() {
    let text = "version: 0.2
runtime-versions: {python: 3.12}
foo: 1
finally: [a]
commands: [a && b]
.mine: 1
lists:
  - &list [a]
phases: {build: {commands: [a]}}
";
    let report = lint("b.yml", text, &Context::default());
    let lines = report.findings.iter().map(|finding| {
        let (code, line) = (finding.code.as_str(), finding.start.line);
        format!("{code} {line} {}\n", finding.advice)
    });
    expect![[r#"
        E006 2 `runtime-versions` belongs in `install`; move it under `phases: install:`.
        E006 3 The buildspec has no key `foo`.
        E006 4 `finally` belongs in a phase; move it under one, such as `phases: build:`.
        E006 5 `commands` belongs in a phase; move it under one, such as `phases: build:`.
    "#]]
    .assert_eq(&lines.collect::<String>());
}
