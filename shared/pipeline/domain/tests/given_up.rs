//! What follows when an intent never succeeded.

mod common;

use common::{at, attempt_id, candidate, good, new_run, new_stage};
use expect_test::expect;
use towline_domain::given_up::{self, GivenUp};
use towline_domain::intent::{AttemptRef, Intent};

/// One intent of each kind that the handlers act on.
fn intents() -> Vec<Intent> {
    let run = new_run().id;
    let stage = new_stage().key;
    let of = AttemptRef {
        run: run.clone(),
        component: good("backend"),
        attempt: attempt_id(1),
    };
    vec![
        Intent::BuildDue(of.clone()),
        Intent::IndexDue(of.clone()),
        Intent::BuildRetryDue {
            run: run.clone(),
            component: good("backend"),
            after: 1,
        },
        Intent::PromotionDue {
            stage: stage.clone(),
            promotion: 4,
        },
        Intent::BuildStopDue {
            build: good("shop:b1"),
        },
        Intent::BuildStatusDue {
            run: run.clone(),
            component: None,
            shows: "x".into(),
        },
        Intent::StageStatusDue {
            stage: stage.clone(),
            repository: good("acme/shop"),
            commit: good(&"a".repeat(40)),
            shows: "x".into(),
        },
        Intent::StatusesDue {
            reports: Vec::new(),
        },
        Intent::ImageDue {
            of: of.clone(),
            repository: good("acme/backend"),
            tag: good("a-1"),
        },
        Intent::BuildSuperseded {
            run,
            component: good("backend"),
            by: good("00112233aabbccdd"),
        },
        Intent::ImageReady {
            stage: stage.clone(),
            candidate: Box::new(candidate(1)),
        },
        Intent::DeployDue {
            stage: stage.clone(),
            promotion: 4,
            previous: None,
        },
        Intent::BuildWatchDue(of),
        Intent::PromotionWatchDue {
            stage,
            promotion: 4,
            at: at(60),
        },
    ]
}

#[test]
fn what_waits_for_an_intent_that_is_given_up_is_told() {
    let mut text = String::new();
    for intent in intents() {
        let follows = match given_up::of(&intent, 50, at(0)) {
            None => "never given up".into(),
            Some(GivenUp::Nothing) => "no longer owed".into(),
            Some(GivenUp::Run(run, fact)) => {
                assert_eq!(run, new_run().id);
                let fact = format!("{fact:?}");
                format!(
                    "the run: {}",
                    fact.split(['(', ' ']).next().expect("a name")
                )
            }
            Some(GivenUp::Stage(stage, fact)) => {
                assert_eq!(stage, new_stage().key);
                let fact = format!("{fact:?}");
                format!("the stage: {}", fact.split(' ').next().expect("a name"))
            }
        };
        let waited_for = match given_up::is_waited_for(&intent) {
            true => "",
            false => ", even if a person must act first",
        };
        text += &format!("{}: {follows}{waited_for}\n", intent.detail_type());
    }
    expect![[r#"
        Build Due: the run: BuildRefused
        Index Due: the run: IndexRefused
        Build Retry Due: the run: RetryRefused
        Promotion Due: the stage: GivenUp
        Build Stop Due: no longer owed, even if a person must act first
        Build Status Due: no longer owed, even if a person must act first
        Stage Status Due: no longer owed, even if a person must act first
        Statuses Due: no longer owed, even if a person must act first
        Image Due: never given up
        Build Superseded: never given up
        Image Ready: never given up
        Deploy Due: never given up
        Build Watch Due: never given up
        Promotion Watch Due: never given up
    "#]]
    .assert_eq(&text);
}
