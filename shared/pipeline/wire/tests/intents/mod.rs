//! One intent of each kind, with values that hang together.

use serde_json::Value;
use towline_domain::Timestamp;
use towline_domain::authors::Contributions;
use towline_domain::image::Candidate;
use towline_domain::intent::{AttemptRef, Intent, PushAccepted, StageKey};
use towline_domain::names::RepositoryId;
use towline_domain::untrusted::Untrusted;
use towline_wire::eventbridge::{self, Promoted};

const COMMIT: &str = "3d1f6a0c9b7e48d25f10c6a3e9b84d7712c0fe58";
const BEFORE: &str = "b7c24e1d80f95a3662e1d4c9078fa51be3346d0a";
const DIGEST: &str = "sha256:5b0e7d1f93a2c46880de4fb1672c95aa3e8d0746b19f2c7355e0a8d4c61f9b27";
const RUN: &str = "7c21e05fa9b3d864";
const NEXT_RUN: &str = "0f3a96d1c47b25e8";
const REPOSITORY: RepositoryId = RepositoryId(734_190_285);

/// The event that announces an intent.
pub(crate) fn announcement(intent: &Intent) -> Value {
    let detail = eventbridge::detail("01JBPE7V2M-0001", intent, at());
    let id = "6e5e9ebe-dc39-5fb4-d8b8-8df6db94248f";
    eventbridge::own(id, intent.detail_type(), &detail, at())
}

/// The event that tells deployers of others.
pub(crate) fn promoted() -> Value {
    let candidate = candidate();
    let promoted = Promoted {
        id: format!("promotion-{REPOSITORY}-58"),
        repository_id: REPOSITORY,
        repository: candidate.shown_in,
        component: "backend".parse().unwrap(),
        stage: "staging".parse().unwrap(),
        image_repository: candidate.repository,
        digest: candidate.digest,
        tags: vec![
            format!("{COMMIT}-142").parse().unwrap(),
            "staging".parse().unwrap(),
        ],
        previous: None,
        commit: candidate.commit,
        git_ref: candidate.git_ref.full(),
        run: candidate.run,
        build: candidate.build_number,
        promotion: 58,
        rollback: false,
        by: "towline".into(),
        reason: None,
        parameters: [("ApplicationImageTag".to_owned(), "1.2.0".to_owned())].into(),
        at: at(),
    };
    let id = "0d4c8a4e-8c0c-4f7a-9d3a-6b8c1f0e2a57";
    let detail = eventbridge::promoted(&promoted);
    eventbridge::own(id, eventbridge::PROMOTED, &detail, at())
}

/// The event that has stage tags compared with the registry.
pub(crate) fn stage_tags() -> Value {
    let id = "5a0e6f0e-2f0b-4c47-9a31-0d2f7c1f7b10";
    let detail = eventbridge::stage_tags(REPOSITORY);
    eventbridge::own(id, eventbridge::STAGE_TAGS, &detail, at())
}

/// One intent of each kind; `number` does not compile when one is new.
pub(crate) fn one_of_each() -> Vec<Intent> {
    let intents = vec![
        Intent::PushAccepted(Box::new(push())),
        Intent::BuildDue(attempt()),
        Intent::BuildStopDue {
            build: "towline-harbour-lane-storefront-backend:9b41c6d2-0e7f-4a85-bd13-6c2f58a07e94"
                .parse()
                .unwrap(),
        },
        Intent::ImageDue {
            of: attempt(),
            repository: "storefront/backend".parse().unwrap(),
            tag: format!("{COMMIT}-142").parse().unwrap(),
        },
        Intent::BuildRetryDue {
            run: RUN.parse().unwrap(),
            component: "backend".parse().unwrap(),
            after: 1,
        },
        Intent::BuildSuperseded {
            run: RUN.parse().unwrap(),
            component: "backend".parse().unwrap(),
            by: NEXT_RUN.parse().unwrap(),
        },
        Intent::ImageRecorded {
            of: attempt(),
            digest: DIGEST.parse().unwrap(),
            contradicts: None,
        },
        Intent::ImageReady {
            stage: stage("staging"),
            candidate: Box::new(candidate()),
        },
        Intent::PromotionDue {
            stage: stage("staging"),
            promotion: 58,
        },
        Intent::DeployDue {
            stage: stage("staging"),
            promotion: 58,
            previous: None,
        },
        Intent::BuildStatusDue {
            run: RUN.parse().unwrap(),
            component: Some("backend".parse().unwrap()),
            shows: "build#142 was started".into(),
        },
        Intent::StageStatusDue {
            stage: stage("prod"),
            repository: "harbour-lane/storefront".parse().unwrap(),
            commit: COMMIT.parse().unwrap(),
            shows: "waits for approval 0/1: towline approve 59".into(),
        },
        Intent::BuildWatchDue(attempt()),
        Intent::PromotionWatchDue {
            stage: stage("prod"),
            promotion: 59,
            at: at(),
        },
        Intent::IndexDue(attempt()),
        Intent::StatusesDue {
            reports: vec![
                Intent::StageStatusDue {
                    stage: stage("prod"),
                    repository: "harbour-lane/storefront".parse().unwrap(),
                    commit: COMMIT.parse().unwrap(),
                    shows: "waits for approval 0/1: towline approve 59".into(),
                },
                Intent::BuildStatusDue {
                    run: RUN.parse().unwrap(),
                    component: Some("backend".parse().unwrap()),
                    shows: "build#142 is running".into(),
                },
            ],
        },
    ];
    let mut numbers: Vec<usize> = intents.iter().map(number).collect();
    numbers.dedup();
    assert_eq!(
        numbers,
        (0..=number(intents.last().unwrap())).collect::<Vec<_>>()
    );
    intents
}

/// The place of an intent's kind in [`one_of_each`]. A new kind needs a sample too.
fn number(intent: &Intent) -> usize {
    match intent {
        Intent::PushAccepted(_) => 0,
        Intent::BuildDue(_) => 1,
        Intent::BuildStopDue { .. } => 2,
        Intent::ImageDue { .. } => 3,
        Intent::BuildRetryDue { .. } => 4,
        Intent::BuildSuperseded { .. } => 5,
        Intent::ImageRecorded { .. } => 6,
        Intent::ImageReady { .. } => 7,
        Intent::PromotionDue { .. } => 8,
        Intent::DeployDue { .. } => 9,
        Intent::BuildStatusDue { .. } => 10,
        Intent::StageStatusDue { .. } => 11,
        Intent::BuildWatchDue(_) => 12,
        Intent::PromotionWatchDue { .. } => 13,
        Intent::IndexDue(_) => 14,
        Intent::StatusesDue { .. } => 15,
    }
}

fn at() -> Timestamp {
    "2026-11-02T09:14:08Z".parse().unwrap()
}

fn authors() -> Vec<String> {
    ["ilsebrandt", "ilse@harbour-lane.example", "Ilse Brandt"]
        .map(String::from)
        .to_vec()
}

fn push() -> PushAccepted {
    PushAccepted {
        repository: REPOSITORY,
        repository_name: "harbour-lane/storefront".parse().unwrap(),
        default_branch: "main".into(),
        git_ref: "refs/heads/main".parse().unwrap(),
        before: Some(BEFORE.parse().unwrap()),
        commit: COMMIT.parse().unwrap(),
        forced: false,
        pusher: "ilsebrandt".into(),
        authors: authors(),
        authors_cut: false,
        title: Untrusted::first_line("Round vouchers down (#218)"),
        message: Untrusted::text(
            "Round vouchers down (#218)\n\nCustomers saw one cent too much.",
            4_096,
        ),
        at: at(),
    }
}

fn attempt() -> AttemptRef {
    AttemptRef {
        run: RUN.parse().unwrap(),
        component: "backend".parse().unwrap(),
        attempt: "4be1a90c-27d5-8f30-a6c8-91d2e7f4b053".parse().unwrap(),
    }
}

fn stage(name: &str) -> StageKey {
    StageKey {
        repository: REPOSITORY,
        component: "backend".parse().unwrap(),
        stage: name.parse().unwrap(),
    }
}

fn candidate() -> Candidate {
    Candidate {
        digest: DIGEST.parse().unwrap(),
        commit: COMMIT.parse().unwrap(),
        git_ref: "refs/heads/main".parse().unwrap(),
        run: RUN.parse().unwrap(),
        order: 17,
        repository: "storefront/backend".parse().unwrap(),
        build_number: 142,
        authors: authors(),
        contributions: Contributions::default(),
        shown_in: Some("harbour-lane/storefront".parse().unwrap()),
    }
}
