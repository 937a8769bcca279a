//! What follows when an intent never succeeded.

mod common;

use common::{at, attempt_id, candidate, good, new_run, new_stage};
use expect_test::expect;
use towline_domain::given_up::{self, GivenUp};
use towline_domain::intent::{AttemptRef, Intent};

/// One intent of each kind but `PushAccepted`.
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
        Intent::ImageRecorded {
            of: of.clone(),
            digest: candidate(1).digest,
            contradicts: None,
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
                format!("the run hears {fact:?}")
            }
            Some(GivenUp::Stage(stage, fact)) => {
                assert_eq!(stage, new_stage().key);
                format!("the stage hears {fact:?}")
            }
        };
        let waited_for = match given_up::is_waited_for(&intent) {
            true => "",
            false => ", even if a person must act first",
        };
        text += &format!("{}: {follows}{waited_for}\n", intent.detail_type());
    }
    expect![[r#"
        Build Due: the run hears BuildRefused("4b57b82b-43bf-8543-a95f-07d69ced8c2b", GivenUp { tries: 50, since: 2026-03-02T09:00:00Z })
        Index Due: the run hears IndexRefused("4b57b82b-43bf-8543-a95f-07d69ced8c2b", Tag { why: GivenUp { tries: 50, since: 2026-03-02T09:00:00Z } })
        Build Retry Due: the run hears RetryRefused { component: "backend", after: 1, why: GivenUp { tries: 50, since: 2026-03-02T09:00:00Z } }
        Promotion Due: the stage hears GivenUp { promotion: 4, tries: 50, since: 2026-03-02T09:00:00Z }
        Build Stop Due: no longer owed, even if a person must act first
        Build Status Due: no longer owed, even if a person must act first
        Stage Status Due: no longer owed, even if a person must act first
        Statuses Due: no longer owed, even if a person must act first
        Image Due: never given up
        Build Superseded: never given up
        Image Recorded: never given up
        Image Ready: never given up
        Deploy Due: never given up
        Build Watch Due: never given up
        Promotion Watch Due: never given up
    "#]]
    .assert_eq(&text);
}
