//! What follows once attempts were added, bound or have ended, and what a built image is offered to.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what is expected stands where it is expected"
)]

mod common;

use common::{at, candidate, good, new_run, new_run_in_parts, new_stage, rule, run_fact};
use expect_test::{Expect, expect};
use towline_domain::authors::Contributions;
use towline_domain::definition::{Build, Component, Definition, Origin, Source, StageRule};
use towline_domain::intent::{AttemptRef, Intent};
use towline_domain::names::{ComponentName, GitRef};
use towline_domain::offer::{self, FollowUp, Known};
use towline_domain::person::Actor;
use towline_domain::rights::Rights;
use towline_domain::run::{self, Run};
use towline_domain::stage::Pointer;

/// What follows from each fact about a run, at the second it stands in the script.
fn check(mut run: Run, facts: &str, expect: Expect) {
    let mut text = String::new();
    for (second, line) in (1..).zip(facts.lines().map(str::trim)) {
        let before = run.clone();
        run = run::advance(run, &run_fact(line), at(second)).run;
        let follow = offer::follow_up(&before, &run);
        text += &format!("{line} -> {}\n", follow_text(&run, &follow));
    }
    expect.assert_eq(&text);
}

fn follow_text(run: &Run, follow: &FollowUp) -> String {
    let name = |of: &AttemptRef| {
        let (_, _, attempt) = run.attempt(&of.attempt).expect("it is the run's");
        attempt.name()
    };
    let FollowUp {
        bound,
        over,
        built,
        expected,
        numbered,
    } = follow;
    let bound = bound
        .iter()
        .map(|(build, of)| format!("{build} is {}", name(of)));
    let over = over
        .iter()
        .map(|intent| format!("no {}", intent.detail_type()));
    let built = built
        .iter()
        .map(|of| format!("{} may be offered", name(of)));
    let expected = expected
        .iter()
        .map(|(images, tag, of)| format!("{images}:{tag} is {}", name(of)));
    let numbered = numbered
        .iter()
        .map(|(number, of)| format!("#{number} is {}", name(of)));
    let all = bound
        .chain(over)
        .chain(built)
        .chain(expected)
        .chain(numbered);
    let all: Vec<String> = all.collect();
    match all.is_empty() {
        true => "nothing".into(),
        false => all.join("; "),
    }
}

#[test]
fn a_build_that_is_bound_leads_to_its_attempt_and_one_that_has_ended_is_watched_no_more() {
    check(
        new_run(),
        "bound 1
         bound 1
         report 1 SUCCEEDED
         image 1
         image 1",
        expect![[r#"
            bound 1 -> shop:1 is build#1
            bound 1 -> nothing
            report 1 SUCCEEDED -> nothing
            image 1 -> no Image Due; no Build Watch Due; build#1 may be offered
            image 1 -> nothing
        "#]],
    );
    check(
        new_run(),
        "bound 1\nimage 1\nreport 1 SUCCEEDED",
        expect![[r#"
        bound 1 -> shop:1 is build#1
        image 1 -> nothing
        report 1 SUCCEEDED -> no Build Watch Due; build#1 may be offered
    "#]],
    );
    check(
        new_run(),
        "bound 1\nreport 1 FAILED",
        expect![[r#"
        bound 1 -> shop:1 is build#1
        report 1 FAILED -> no Build Watch Due
    "#]],
    );
    check(
        new_run(),
        "cancel lee",
        expect![[r#"
        cancel lee -> no Build Watch Due
    "#]],
    );
}

#[test]
fn a_further_attempt_is_expected_under_its_tags_and_known_by_its_number() {
    check(
        new_run(),
        "bound 1
         report 1 FAULT
         retry 1
         retry 1",
        expect![[r#"
            bound 1 -> shop:1 is build#1
            report 1 FAULT -> no Build Watch Due
            retry 1 -> acme/backend:aaaaaaa-2 is build#2; #2 is build#2
            retry 1 -> nothing
        "#]],
    );
    check(
        new_run_in_parts(),
        "1/amd64: bound 1
         1/amd64: report 1 FAULT
         retry 1 in parts",
        expect![[r#"
            1/amd64: bound 1 -> shop:1 is build#1 for linux/amd64
            1/amd64: report 1 FAULT -> no Build Watch Due; no Build Watch Due
            retry 1 in parts -> acme/backend:aaaaaaa-2 is build#2; acme/backend:aaaaaaa-2-amd64 is build#2 for linux/amd64; acme/backend:aaaaaaa-2-arm64 is build#2 for linux/arm64; #2 is build#2
        "#]],
    );
}

#[test]
fn of_an_attempt_in_parts_only_the_index_may_be_offered() {
    check(
        new_run_in_parts(),
        "1/amd64: report 1 SUCCEEDED
         1/amd64: image 1
         1/arm64: report 2 SUCCEEDED
         1/arm64: image 2
         index 9",
        expect![[r#"
            1/amd64: report 1 SUCCEEDED -> shop:1 is build#1 for linux/amd64
            1/amd64: image 1 -> no Image Due; no Build Watch Due
            1/arm64: report 2 SUCCEEDED -> shop:2 is build#1 for linux/arm64
            1/arm64: image 2 -> no Image Due; no Build Watch Due
            index 9 -> build#1 may be offered
        "#]],
    );
}

/// A definition that builds the backend, takes images from builds into dev and qa, and from dev into prod.
fn definition() -> Definition {
    let stage = |name: &str, from: Origin| StageRule {
        name: good(name),
        from,
        ..rule("auto")
    };
    Definition {
        pipeline: good("shop"),
        source: Source::default(),
        components: vec![Component {
            name: good("backend"),
            repository: good("acme/backend"),
            paths: Vec::new(),
            watch: Vec::new(),
            ignore: Vec::new(),
            build: Build::default(),
        }],
        stages: vec![
            stage("dev", Origin::Build),
            stage("qa", Origin::Build),
            stage("prod", Origin::Stage(good("dev"))),
        ],
        rights: Rights::default(),
        not_executed: Vec::new(),
    }
}

fn known() -> Known {
    Known {
        definition: Some(definition()),
        default_branch: "main".into(),
        is_deleted: false,
        contributions: Contributions::default(),
    }
}

fn built() -> Run {
    let facts = ["bound 1", "report 1 SUCCEEDED", "image 1"];
    facts.iter().fold(new_run(), |run, line| {
        run::advance(run, &run_fact(line), at(1)).run
    })
}

fn offered(offers: &[Intent]) -> String {
    let stages = offers.iter().map(|offer| {
        let Intent::ImageReady { stage, .. } = offer else {
            panic!("{offer:?} is no offer");
        };
        stage.stage.as_str()
    });
    stages.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_default_branchs_definition_says_where_a_built_image_goes() {
    let component: ComponentName = good("backend");
    let check = |run: Run, known: Known, expect: Expect| {
        let attempt = run.components[&component].latest();
        let offers = offer::of_build(&run, &component, attempt, &known);
        expect.assert_eq(&match offers {
            Ok(offers) => offered(&offers),
            Err(why) => format!("to no stage: {why}"),
        });
    };
    check(built(), known(), expect!["dev qa"]);
    check(new_run(), known(), expect![[r#""#]]);
    let none = Known {
        definition: None,
        ..known()
    };
    check(
        built(),
        none,
        expect!["to no stage: the default branch does not have a valid .towline.yml yet"],
    );
    let mut elsewhere = known();
    elsewhere
        .definition
        .as_mut()
        .expect("it is there")
        .components[0]
        .repository = good("acme/old");
    check(
        built(),
        elsewhere,
        expect![[
            "to no stage: the default branch's .towline.yml has no such component with these images"
        ]],
    );
    let mut gone = known();
    gone.definition
        .as_mut()
        .expect("it is there")
        .components
        .clear();
    check(
        built(),
        gone,
        expect![[
            "to no stage: the default branch's .towline.yml has no such component with these images"
        ]],
    );
    let mut side = built();
    side.key.git_ref = GitRef::Branch("side".into());
    check(
        side,
        known(),
        expect![
            "to no stage: by the default branch's .towline.yml, side is not the default branch, and source.branches is not set"
        ],
    );
    let deleted = Known {
        is_deleted: true,
        ..known()
    };
    check(
        built(),
        deleted,
        expect!["to no stage: its ref has been deleted"],
    );
}

#[test]
fn what_is_live_goes_to_the_stages_behind() {
    let mut stage = new_stage();
    stage.key.stage = good("dev");
    assert_eq!(offered(&offer::of_stage(&stage, &definition())), "");
    stage.pointer = Some(Pointer {
        version: 1,
        candidate: candidate(1),
        promotion: 1,
        by: Actor::System,
        rollback: false,
        reason: None,
        since: at(0),
    });
    assert_eq!(offered(&offer::of_stage(&stage, &definition())), "prod");
    stage.key.stage = good("prod");
    assert_eq!(offered(&offer::of_stage(&stage, &definition())), "");
}

#[test]
fn a_further_attempt_needs_a_definition_and_tags_of_its_own() {
    let component: ComponentName = good("backend");
    let check = |own: Option<Definition>, trusted: Option<Definition>, expect: Expect| {
        let definitions = (own.as_ref(), trusted.as_ref());
        let asked = run::another_attempt(&built(), definitions, (&component, 1), None, 7);
        expect.assert_eq(&match asked {
            Ok(run::Fact::RetryRequested { after, next, .. }) => {
                format!(
                    "build#{} as {} after {after}",
                    next.build_number, next.unique_tag
                )
            }
            Ok(other) => panic!("{other:?} asks for no attempt"),
            Err(why) => why.to_string(),
        });
    };
    check(
        Some(definition()),
        None,
        expect!["build#7 as aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-7 after 1"],
    );
    check(
        None,
        Some(definition()),
        expect!["run a52aa8a51ab79e2b has no definition"],
    );
    let mut other = definition();
    other.components.clear();
    check(
        Some(other),
        None,
        expect!["run a52aa8a51ab79e2b does not build backend"],
    );
    let mut greedy = definition();
    greedy.stages[0].tags = vec![good("aaaaaaa-7")];
    let mut short = definition();
    short.components[0].build.tags = vec!["{sha7}-{build}".into()];
    check(
        Some(short),
        Some(greedy),
        expect!["aaaaaaa-7 belongs to a stage; a build may not push it"],
    );
    let mut same = definition();
    same.components[0].build.tags = vec!["{sha7}".into()];
    check(
        Some(same),
        None,
        expect![[
            r#"no tag differs from build to build; add {build} or {build_uuid} to one, as in "{sha}-{build}""#
        ]],
    );
}
