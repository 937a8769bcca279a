//! The lines beside a commit, for every state of a build and a stage.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what is expected stands where it is expected"
)]

mod common;

use std::collections::BTreeMap;

use common::{at, good, new_run, new_stage, policy, rule, run_fact, stage_fact};
use expect_test::{Expect, expect};
use towline_domain::definition::StageRule;
use towline_domain::intent::Intent;
use towline_domain::ledger::Row;
use towline_domain::names::{CommitSha, ComponentName};
use towline_domain::reason::{BadFile, Refusal, Skipped, Unbuildable, Unchanged};
use towline_domain::report::{self, Line, MOST_CHARACTERS, Standing, Want};
use towline_domain::run::{self, Run};
use towline_domain::stage::{self, Fact, Stage};

/// A line as GitHub shows it: its mark, and a sentence that fits.
fn shown(line: &Line) -> String {
    let mark = match line.standing {
        Standing::Pending => '●',
        Standing::Success => '✔',
        Standing::Failure => '✘',
        Standing::Error => '!',
    };
    assert!((1..=MOST_CHARACTERS).contains(&line.text.chars().count()));
    let harmless = |character: char| !character.is_control() && character != '\u{202e}';
    assert!(line.text.chars().all(harmless), "{:?}", line.text);
    assert_eq!(line.text.trim(), line.text);
    format!("{mark} {}", line.text)
}

fn shown_run() -> Run {
    Run {
        shown: true,
        ..new_run()
    }
}

/// What is to be shown after each fact, at the second it stands in the script.
fn check_build(facts: &str, expect: Expect) {
    let mut run = shown_run();
    let component: ComponentName = good("backend");
    let mut text = String::new();
    for (second, line) in (1..).zip(facts.lines().map(str::trim)) {
        let before = run.clone();
        run = run::advance(run, &run_fact(line), at(second)).run;
        let now = report::build(&run, &component);
        let owed = report::builds_to_show(Some(&before), &run);
        let told = owed.iter().map(|intent| {
            let Intent::BuildStatusDue { shows, .. } = intent else {
                panic!("{intent:?} shows nothing");
            };
            shows.clone()
        });
        let told: Vec<String> = told.collect();
        let line = match &now {
            // F34: the handler reads the state, and finds what was announced, or something newer.
            Some(now) if told.is_empty() => format!("({})", shown(now)),
            Some(now) => {
                assert_eq!(told, std::slice::from_ref(&now.text));
                shown(now)
            }
            None => "-".into(),
        };
        text += &format!("{line}\n");
    }
    expect.assert_eq(&text);
}

#[test]
fn f34_every_state_of_a_build_is_one_line() {
    check_build(
        "bound 1\nreport 1 IN_PROGRESS",
        expect![[r#"
            ● build#1 was started
            (● build#1 was started)
        "#]],
    );
    check_build(
        "delayed throttled\nbound 1",
        expect![[r#"
            ● build#1 is queued: throttled
            ● build#1 was started
        "#]],
    );
    check_build(
        "bound 1\nreport 1 SUCCEEDED\nimage 1\nimage 1",
        expect![[r#"
            ● build#1 was started
            (● build#1 was started)
            ✔ build#1 succeeded in 1m: sha256:00000000…
            (✔ build#1 succeeded in 1m: sha256:00000000…)
        "#]],
    );
    check_build(
        "bound 1\nreport 1 FAILED",
        expect![[r#"
            ● build#1 was started
            ✘ build#1 ended FAILED: BUILD: exit status 1
        "#]],
    );
    check_build(
        "bound 1\nreport 1 TIMED_OUT",
        expect![[r#"
            ● build#1 was started
            ✘ build#1 ended TIMED_OUT: no phase gave a reason; see the log
        "#]],
    );
    check_build(
        "bound 1\nreport 1 STOPPED",
        expect![[r#"
            ● build#1 was started
            ✘ build#1 ended STOPPED: no phase gave a reason; see the log
        "#]],
    );
    check_build(
        "bound 1\nreport 1 FAULT\nretry 1\n2: bound 2",
        expect![[r#"
            ● build#1 was started
            ● trying again: build#1 ended FAULT: no phase gave a reason; see the log
            -
            ● build#2 was started
        "#]],
    );
    check_build(
        "bound 1\nreport 1 FAULT\nno retry 1 stage tag prod\nretry 1\n2: bound 2",
        expect![[r#"
            ● build#1 was started
            ● trying again: build#1 ended FAULT: no phase gave a reason; see the log
            ✘ build#1 ended FAULT: no phase gave a reason; see the log; not retried: prod belongs to a stage; a build may not push it
            -
            ● build#2 was started
        "#]],
    );
    check_build(
        "bound 1\nreport 1 SUCCEEDED\nmissing",
        expect![[r#"
            ● build#1 was started
            (● build#1 was started)
            ✘ build#1 succeeded but pushed nothing to acme/backend under tag aaaaaaa-1; push "$ECR_REGISTRY/$IMAGE_REPO:$IMAGE_TAG" in the build phase
        "#]],
    );
    check_build(
        "refused no-such-project",
        expect![[r#"
        ✘ no-such-project
    "#]],
    );
    check_build(
        "deadline",
        expect![[r#"
        -
    "#]],
    );
    check_build(
        "bound 1\ncancel lee",
        expect![[r#"
            ● build#1 was started
            ! build#1 was cancelled by @lee
        "#]],
    );
    check_build(
        "bound 1\nsuperseded",
        expect![[r#"
            ● build#1 was started
            ! build#1 was superseded by a newer push of the same ref (run 00112233aabbccdd)
        "#]],
    );
    check_build(
        "bound 1\nimage 1 said 2",
        expect![[r#"
            ● build#1 was started
            ! build#1 is held: the push event said sha256:00000000… for tag aaaaaaa-1, the registry holds sha256:00000000…
        "#]],
    );
    let strange = format!("delayed <&>\u{202e}\u{7}{}", "é".repeat(300));
    check_build(
        &strange,
        expect![[r#"
            ● build#1 is queued: <&>��ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé…
        "#]],
    );
}

#[test]
fn a_push_that_builds_nothing_says_why_only_where_that_is_wrong() {
    let check = |reason: Skipped, expect: Expect| {
        let mut run = shown_run();
        let (component, _) = run.components.pop_first().expect("a component");
        run.skipped = BTreeMap::from([(component.clone(), reason)]);
        let line = report::build(&run, &component);
        expect.assert_eq(&line.as_ref().map_or_else(|| "-".into(), shown));
        assert_eq!(
            report::builds_to_show(None, &run).len(),
            usize::from(line.is_some())
        );
        run.shown = false;
        assert_eq!(report::build(&run, &component), None);
        assert_eq!(report::builds_to_show(None, &run), Vec::new());
    };
    let at: CommitSha = good(&"3f9c2ab0".repeat(5));
    let unchanged = Unchanged {
        patterns: vec!["backend/**".into()],
        ignores: false,
        files: 1,
        since: at.clone(),
    };
    check(Skipped::Unchanged(unchanged), expect!["-"]);
    let path = "build.yml".into();
    let missing = Unbuildable::File(BadFile::Missing {
        path,
        at: at.clone(),
    });
    check(
        Skipped::Refused(missing),
        expect!["✘ there is no build.yml at 3f9c2ab"],
    );
    let mut run = shown_run();
    assert_eq!(report::run(&run), None);
    run.refused = Some(Refusal::Mistakes {
        at,
        first: "line 3: components: there is none\nand more".into(),
        more: 0,
    });
    let line = report::run(&run).expect("a line");
    expect!["✘ .towline.yml at 3f9c2ab: line 3: components: there is none"]
        .assert_eq(&shown(&line));
    run.shown = false;
    assert_eq!(report::run(&run), None);
}

/// The same fact about an image whose commit shows its state.
fn beside_its_commit(mut fact: Fact) -> Fact {
    if let Fact::Offered(candidate)
    | Fact::PromotionRequested { candidate, .. }
    | Fact::OverrideRequested { candidate, .. }
    | Fact::RollbackRequested { candidate, .. } = &mut fact
    {
        candidate.shown_in = Some(good("acme/shop"));
    }
    fact
}

/// The line of a commit now, from state and ledger, as an intent's handler finds it.
fn found(stage: &Stage, rule: &StageRule, rows: &[Row], commit: &CommitSha) -> Option<Line> {
    let newest_first: Vec<Row> = rows.iter().rev().cloned().collect();
    match report::wants(stage, commit) {
        Some(Want::Rule) => report::stage(stage, rule, commit),
        Some(Want::Ledger) => report::stage_before(&newest_first, commit),
        None => report::live(stage, commit),
    }
}

/// What is to be shown after each fact, commit by commit; `wait N` lets N seconds pass.
fn check_stage(rules: &str, facts: &str, expect: Expect) {
    let rule = rule(rules);
    let (mut stage, mut number, mut now) = (new_stage(), 1, 0);
    let mut rows: Vec<Row> = Vec::new();
    let mut last: BTreeMap<CommitSha, Line> = BTreeMap::new();
    let mut text = String::new();
    for line in facts.lines().map(str::trim) {
        if let Some(seconds) = line.strip_prefix("wait ") {
            now += good::<u64>(seconds);
            continue;
        }
        let fact = beside_its_commit(stage_fact(line, at(now)));
        let before = stage.clone();
        let decision = stage::advance(stage, &fact, policy(&rule, &[], number), at(now));
        rows.extend(decision.rows.iter().cloned());
        let owed = report::stages_to_show(Some(&before), &decision, &rule);
        number += u64::from(decision.took_number);
        stage = decision.stage;
        text += &format!("{line}:\n");
        for intent in owed {
            let Intent::StageStatusDue {
                commit,
                shows,
                repository,
                ..
            } = intent
            else {
                panic!("{intent:?} shows nothing of a stage");
            };
            assert_eq!(repository, good("acme/shop"));
            // F34: the announced line is found, unless something newer happens.
            let line = found(&stage, &rule, &rows, &commit).expect("a line");
            assert_eq!(line.text, shows, "{commit}");
            text += &format!("  {} {}\n", commit.short(), shown(&line));
            last.insert(commit, line);
        }
        for (commit, line) in &last {
            // There is no line while the tags are being set.
            let now = found(&stage, &rule, &rows, commit);
            assert_eq!(now.as_ref().unwrap_or(line), line, "{commit}: not shown");
        }
    }
    expect.assert_eq(&text);
}

#[test]
fn f34_every_state_of_a_stage_is_one_line() {
    let live = "offer 1\nlease 1 for a\ntagged 1 by a";
    check_stage(
        "auto",
        live,
        expect![[r#"
        offer 1:
        lease 1 for a:
        tagged 1 by a:
          1111111 ✔ went live 2026-03-02 09:00 UTC (promotion #1)
    "#]],
    );
    check_stage(
        "auto; approval 2; expires 86400",
        "offer 1\napprove 1 by lee\nwait 60\napprove 1 by park\nlease 1 for a\ntagged 1 by a",
        expect![[r#"
            offer 1:
              1111111 ● waits for approval 0/2 until 2026-03-03 09:00 UTC: towline approve 1
            approve 1 by lee:
              1111111 ● waits for approval 1/2 until 2026-03-03 09:00 UTC: towline approve 1
            approve 1 by park:
            lease 1 for a:
            tagged 1 by a:
              1111111 ✔ went live 2026-03-02 09:01 UTC (promotion #1)
        "#]],
    );
    check_stage(
        "auto; approval 1",
        "offer 1\nreject 1 by lee not on a Friday",
        expect![[r#"
        offer 1:
          1111111 ● waits for approval 0/1: towline approve 1
        reject 1 by lee not on a Friday:
          1111111 ✘ promotion #1 was rejected: not on a Friday
    "#]],
    );
    check_stage(
        "auto; approval 1; expires 60",
        "offer 1\nwait 61\nexpire 1",
        expect![[r#"
            offer 1:
              1111111 ● waits for approval 0/1 until 2026-03-02 09:01 UTC: towline approve 1
            expire 1:
              1111111 ✘ promotion #1 expired: nobody approved it within 1m
        "#]],
    );
    check_stage(
        "auto; approval 1; supersede",
        "offer 1\noffer 2",
        expect![[r#"
        offer 1:
          1111111 ● waits for approval 0/1: towline approve 1
        offer 2:
          1111111 ! promotion #1 was superseded by #2 (2222222)
          2222222 ● waits for approval 0/1: towline approve 2
    "#]],
    );
    check_stage(
        "auto; queue",
        "offer 1\noffer 2\nlease 1 for a\ntagged 1 by a",
        expect![[r#"
        offer 1:
        offer 2:
          2222222 ● promotion #2 waits for its turn
        lease 1 for a:
        tagged 1 by a:
          1111111 ✔ went live 2026-03-02 09:00 UTC (promotion #1)
    "#]],
    );
    check_stage(
        "manual; approval 1",
        "promote 1 by lee\nhold by park incident 4711\napprove 1 by park",
        expect![[r#"
            promote 1 by lee:
              1111111 ● waits for approval 0/1: towline approve 1
            hold by park incident 4711:
              1111111 ● held by @park: incident 4711
            approve 1 by park:
        "#]],
    );
    check_stage(
        "auto",
        "offer 1\nlease 1 for a\nuntaggable 1 by a",
        expect![[r#"
            offer 1:
            lease 1 for a:
            untaggable 1 by a:
              1111111 ✘ promotion #1 failed: the image no longer exists in the registry; build it again
        "#]],
    );
    check_stage(
        "auto",
        "offer 1\ngive up 1",
        expect![[r#"
            offer 1:
            give up 1:
              1111111 ✘ promotion #1 failed: the tags could not be set: tried 50 times since 2026-03-02 09:00 UTC
        "#]],
    );
    check_stage(
        "auto",
        "offer 1\nlease 1 for a\ntagged 1 by a\nwait 60\noffer 2\nlease 2 for a\ntagged 2 by a\nwait 60\nrollback 1 by lee\nlease 3 for a\ntagged 3 by a\noffer 3",
        expect![[r#"
            offer 1:
            lease 1 for a:
            tagged 1 by a:
              1111111 ✔ went live 2026-03-02 09:00 UTC (promotion #1)
            offer 2:
            lease 2 for a:
            tagged 2 by a:
              2222222 ✔ went live 2026-03-02 09:01 UTC (promotion #2)
            rollback 1 by lee:
            lease 3 for a:
            tagged 3 by a:
              1111111 ✔ went live 2026-03-02 09:02 UTC (promotion #3)
              2222222 ! rolled back to 1111111 by @lee 2026-03-02 09:02 UTC
            offer 3:
        "#]],
    );
    check_stage(
        "auto",
        &format!("{live}\noutside prod on 2\nresume by lee"),
        expect![[r#"
            offer 1:
            lease 1 for a:
            tagged 1 by a:
              1111111 ✔ went live 2026-03-02 09:00 UTC (promotion #1)
            outside prod on 2:
            resume by lee:
        "#]],
    );
    check_stage(
        "auto; approval 1; supersede",
        "offer 1\napprove 1 by lee\nlease 1 for a\ntagged 1 by a\noffer 2~1\noffer 3\napprove 3 by lee\nlease 3 for a\ntagged 3 by a",
        expect![[r#"
            offer 1:
              1111111 ● waits for approval 0/1: towline approve 1
            approve 1 by lee:
            lease 1 for a:
            tagged 1 by a:
              1111111 ✔ went live 2026-03-02 09:00 UTC (promotion #1)
            offer 2~1:
              1111111 ● waits for approval 0/1: towline approve 2
            offer 3:
              1111111 ✔ went live 2026-03-02 09:00 UTC (promotion #1)
              3333333 ● waits for approval 0/1: towline approve 3
            approve 3 by lee:
            lease 3 for a:
            tagged 3 by a:
              3333333 ✔ went live 2026-03-02 09:00 UTC (promotion #3)
        "#]],
    );
}

#[test]
fn a_line_is_cut_to_what_github_takes_but_never_what_to_type() {
    check_stage(
        "auto; approval 2; expires 86400",
        &format!(
            "offer 1\nhold by lee {}\nreject 1 by lee {}",
            "x".repeat(200),
            "ü".repeat(200)
        ),
        expect![[r#"
            offer 1:
              1111111 ● waits for approval 0/2 until 2026-03-03 09:00 UTC: towline approve 1
            hold by lee xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx:
              1111111 ● held by @lee: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
            reject 1 by lee üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü:
              1111111 ✘ promotion #1 was rejected: üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü…
        "#]],
    );
}

#[test]
fn f34_a_commit_shows_the_newest_of_its_runs_that_has_a_line() {
    let component: ComponentName = good("backend");
    let after = |order: u64, facts: &str| {
        let mut run = Run {
            order,
            ..shown_run()
        };
        for (second, line) in (1..).zip(facts.lines()) {
            run = run::advance(run, &run_fact(line), at(second)).run;
        }
        run
    };
    let older = after(3, "bound b1\nreport b1 SUCCEEDED\nimage 1");
    let newer = after(5, "bound b2");
    let silent = after(7, "");
    let newest = |runs: &[Run]| {
        let line = report::newest(runs, Some(&component));
        line.as_ref().map_or("-".into(), shown)
    };
    let all = [newer.clone(), older.clone(), silent.clone()];
    expect!["● build#1 was started"].assert_eq(&newest(&all));
    assert_eq!(newest(&[silent.clone(), older.clone()]), newest(&[older]));
    assert_eq!(newest(&[silent]), "-");
    assert_eq!(report::newest(&[newer], None), None);
}

#[test]
fn f34_what_moved_the_stage_last_is_shown_even_if_it_was_asked_for_first() {
    let rule = rule("auto");
    let (mut stage, mut number) = (new_stage(), 1);
    let (mut rows, mut commits) = (Vec::new(), Vec::new());
    let facts = "offer 1\nlease 1 for a\ntagged 1 by a\noutside prod on 9\nlease 2 for a\nobstructed 2 by a\noutside prod on 8\nlease 3 for a\ntagged 3 by a\nlease 2 for a\ntagged 2 by a\noffer 2\nlease 4 for a\ntagged 4 by a";
    for line in facts.lines() {
        let fact = beside_its_commit(stage_fact(line, at(0)));
        let decision = stage::advance(stage, &fact, policy(&rule, &[], number), at(0));
        number += u64::from(decision.took_number);
        rows.extend(decision.rows);
        stage = decision.stage;
        let live = stage.pointer.as_ref();
        commits.extend(live.map(|live| (live.promotion, live.candidate.commit.clone())));
    }
    commits.dedup();
    let order: Vec<u64> = commits.iter().map(|(promotion, _)| *promotion).collect();
    assert_eq!(order, [1, 3, 2, 4]);
    let line = found(&stage, &rule, &rows, &commits[0].1).expect("a line");
    assert_eq!(line.text, "went live 2026-03-02 09:00 UTC (promotion #2)");
}
