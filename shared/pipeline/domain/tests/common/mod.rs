//! A run and a stage to tell stories about, and facts written as short lines of text.

#![expect(dead_code, reason = "every file of tests uses its own part")]

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use towline_domain::Timestamp;
use towline_domain::authors::{Contribution, Contributions};
use towline_domain::definition::{
    ApprovalRule, Concurrency, Definition, Drift, Origin, Promote, Source, StageRule,
};
use towline_domain::explain;
use towline_domain::image::{Candidate, NotTagged};
use towline_domain::intent::{Intent, StageKey};
use towline_domain::ledger::{Row, What, WhatOfBuild};
use towline_domain::names::{AttemptId, ComponentName, Digest, GitRef, RepositoryId, Tag};
use towline_domain::obstacle::{Obstacle, Service};
use towline_domain::person::{Door, Person};
use towline_domain::reason::Because;
use towline_domain::rights::Rights;
use towline_domain::run::{
    self, Attempt, AttemptState, BuildReport, BuildStatus, ComponentRun, Crowded, Delay, GaveWay,
    NewAttempt, NoIndex, NotRetried, NotStarted, Run, RunKey,
};
use towline_domain::stage::{self, Lease, OnRefs, Policy, Stage};
use towline_domain::tags::{self, AttemptTags, TagError};
use towline_domain::trusted::Trusted;
use towline_domain::turns::Crowd;
use towline_domain::untrusted::Untrusted;

/// Parses what a test has written, which is always good.
pub fn good<T: std::str::FromStr>(text: &str) -> T {
    let parsed = text.parse();
    parsed.unwrap_or_else(|_| panic!("{text:?} is not what it should be"))
}

/// This many seconds after the start of every story.
pub fn at(second: u64) -> Timestamp {
    let start: Timestamp = good("2026-03-02T09:00:00Z");
    start + Duration::from_secs(second)
}

/// The `number`th image.
pub fn digest(number: u64) -> Digest {
    good(&format!("sha256:{number:064x}"))
}

/// Which image a digest is.
pub fn number_of(digest: &Digest) -> u64 {
    u64::from_str_radix(&digest.hex()[48..], 16).expect("16 digits")
}

/// A person by login; `ada` writes commits with dana's address.
pub fn person(login: &str) -> Person {
    let manages = ["lee", "park", "dana", "ada", "kim"].contains(&login.to_lowercase().as_str());
    let address = if login == "ada" { "dana" } else { login };
    Person {
        login: login.into(),
        emails: vec![format!("{address}@acme.example")],
        groups: if manages {
            vec!["managers".into()]
        } else if login == "olga" {
            vec!["owners".into()]
        } else {
            Vec::new()
        },
        door: Some(Door::Terminal),
        ..Person::default()
    }
}

/// A run of one component with one attempt that is due.
pub fn new_run() -> Run {
    let key = RunKey {
        repository: RepositoryId(7),
        git_ref: GitRef::Branch("main".into()),
        commit: good(&"a".repeat(40)),
        pipeline: good("shop"),
        again: 0,
    };
    let id = key.id();
    let component: ComponentName = good("backend");
    let attempt = Attempt::due(Attempt::id(&id, &component, 1), 1, new_attempt(1), at(0));
    Run {
        id,
        key,
        repository_name: good("acme/shop"),
        order: 3,
        pusher: "dana".into(),
        authors: vec!["dana".into(), "dana@acme.example".into()],
        title: Untrusted::first_line("Add the cart"),
        at: at(0),
        components: BTreeMap::from([(
            component,
            ComponentRun {
                repository: good("acme/backend"),
                reason: Because::NeverBuilt,
                buildspec: "b".repeat(32),
                not_retried: None,
                attempts: vec![attempt],
            },
        )]),
        skipped: BTreeMap::new(),
        refused: None,
        notes: Vec::new(),
        definition: None,
        enters: Vec::new(),
        shown: false,
    }
}

/// As [`new_run`], of a component with two platforms: `linux/amd64` and `linux/arm64`.
pub fn new_run_in_parts() -> Run {
    let mut run = new_run();
    let component = run.components.values_mut().next().expect("its component");
    let number = component.attempts[0].number;
    let id = component.attempts[0].id.clone();
    component.attempts = vec![Attempt::due(id, number, new_attempt_in_parts(1), at(0))];
    run
}

/// What the `number`th attempt of [`new_run_in_parts`] is made of.
pub fn new_attempt_in_parts(number: u64) -> NewAttempt {
    let new = new_attempt(number);
    let tags = AttemptTags {
        unique: new.unique_tag.clone(),
        all: new.tags.clone(),
    };
    let platforms = ["linux/amd64", "linux/arm64"].map(str::to_owned);
    NewAttempt {
        parts: tags::of_parts(&platforms, &tags).expect("good tags"),
        ..new
    }
}

/// What the `number`th attempt is made of.
pub fn new_attempt(number: u64) -> NewAttempt {
    let tag: Tag = good(&format!("aaaaaaa-{number}"));
    NewAttempt {
        build_number: number,
        unique_tag: tag.clone(),
        tags: vec![tag],
        parts: Vec::new(),
        timeout: Duration::from_secs(3_600),
    }
}

/// The id of the `number`th attempt of [`new_run`].
pub fn attempt_id(number: u32) -> AttemptId {
    static IDS: LazyLock<Vec<AttemptId>> = LazyLock::new(|| {
        let run = new_run().id;
        (0..10)
            .map(|number| Attempt::id(&run, &good("backend"), number))
            .collect()
    });
    IDS[number as usize].clone()
}

/// A report on a build of [`new_run`].
pub fn report(build: &str, status: BuildStatus) -> BuildReport {
    BuildReport {
        build: good(&format!("shop:{build}")),
        status,
        commit: None,
        started_at: Some(at(10)),
        ended_at: (status != BuildStatus::InProgress).then(|| at(70)),
        reason: (status == BuildStatus::Failed).then(|| "BUILD: exit status 1".into()),
        interrupted: false,
        outputs: BTreeMap::new(),
        gave_way: None,
    }
}

/// A fact about a run: `bound b1`, `report b1 SUCCEEDED`, `image 1`, `image 1 said 2`, `retry 1`, …
/// It concerns the run's first attempt unless it begins with `2: ` or so, and with `2/arm64: ` the
/// part of that for a platform.
pub fn run_fact(line: &str) -> run::Fact {
    let (of, line) = line.split_once(": ").unwrap_or(("1", line));
    let (number, platform) = of.split_once('/').unwrap_or((of, ""));
    let of = attempt_id(good(number));
    let of = match platform {
        "" => of,
        short => Attempt::part_id(&of, &format!("linux/{short}")),
    };
    let component: ComponentName = good("backend");
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["bound", build] => run::Fact::BuildBound(of, good(&format!("shop:{build}"))),
        ["refused", why] => run::Fact::BuildRefused(
            of,
            NotStarted::Refused {
                said: (*why).into(),
            },
        ),
        ["delayed", why] => run::Fact::BuildDelayed(
            of,
            Delay::Busy {
                said: (*why).into(),
            },
        ),
        ["report", build, word] => {
            let all = [
                BuildStatus::InProgress,
                BuildStatus::Succeeded,
                BuildStatus::Failed,
                BuildStatus::Fault,
                BuildStatus::Stopped,
                BuildStatus::TimedOut,
            ];
            let status = all.into_iter().find(|status| status.word() == *word);
            run::Fact::BuildReported(of, report(build, status.expect("a status")))
        }
        ["restarted", build] => {
            let interrupted = BuildReport {
                reason: Some("BUILD: restarted".into()),
                interrupted: true,
                ..report(build, BuildStatus::Fault)
            };
            run::Fact::BuildReported(of, interrupted)
        }
        ["report", build, word, "of", letter] => {
            let run::Fact::BuildReported(of, report) = run_fact(&format!("report {build} {word}"))
            else {
                panic!("it is a report");
            };
            let commit = Some(good(&letter.repeat(40)));
            run::Fact::BuildReported(of, BuildReport { commit, ..report })
        }
        ["gave", "way", build, word] => {
            let of_whom = [Crowd::Repository, Crowd::Ref];
            let crowd = of_whom.into_iter().find(|crowd| crowd.word() == *word);
            let why = Crowded {
                of: crowd.expect("a crowd"),
                most: 3,
            };
            let gave_way = Some(GaveWay {
                to: good("00112233aabbccdd"),
                why,
            });
            let report = report(build, BuildStatus::Stopped);
            run::Fact::BuildReported(of, BuildReport { gave_way, ..report })
        }
        ["image", on] => run::Fact::ImageRead {
            attempt: of,
            digest: digest(good(on)),
            contradicts: None,
        },
        ["image", on, "said", said] => run::Fact::ImageRead {
            attempt: of,
            digest: digest(good(on)),
            contradicts: Some(digest(good(said))),
        },
        ["index", on] => run::Fact::IndexPut {
            attempt: of,
            index: digest(good(on)),
            found: digest(good(on)),
        },
        ["index", on, "found", found] => run::Fact::IndexPut {
            attempt: of,
            index: digest(good(on)),
            found: digest(good(found)),
        },
        ["no", "index", why] => run::Fact::IndexRefused(
            of,
            NoIndex::Unreadable {
                platform: "linux/arm64".into(),
                digest: digest(1),
                said: (*why).into(),
            },
        ),
        ["missing"] => run::Fact::ImageMissing(of),
        ["deadline"] => run::Fact::DeadlinePassed(of),
        ["superseded"] => run::Fact::Superseded(component, good("00112233aabbccdd")),
        ["cancel", build, "by", login] => run::Fact::CancelRequested {
            component,
            build: good(build),
            by: person(login),
        },
        ["cancel", login] => run::Fact::CancelRequested {
            component,
            build: 1,
            by: person(login),
        },
        ["cancel", login, other] => run::Fact::CancelRequested {
            component: good(other),
            build: 1,
            by: person(login),
        },
        ["no", "retry", after, ..] => run::Fact::RetryRefused {
            component: good("backend"),
            after: good(after),
            why: match words[3..] {
                ["stage", "tag", tag] => NotRetried::Tags {
                    error: TagError::OfStage(good(tag)),
                },
                ["given", "up"] => NotRetried::GivenUp {
                    tries: 50,
                    since: at(0),
                },
                _ => panic!("{line:?} has no reason there is"),
            },
        },
        ["retry", after] => run::Fact::RetryRequested {
            component,
            after: good(after),
            by: None,
            next: Box::new(new_attempt(good::<u64>(after) + 1)),
        },
        ["retry", after, "by", login] => run::Fact::RetryRequested {
            component,
            after: good(after),
            by: Some(person(login)),
            next: Box::new(new_attempt(good::<u64>(after) + 1)),
        },
        ["retry", after, "in", "parts"] => run::Fact::RetryRequested {
            component,
            after: good(after),
            by: None,
            next: Box::new(new_attempt_in_parts(good::<u64>(after) + 1)),
        },
        _ => panic!("{line:?} is no fact about a run"),
    }
}

/// A run's attempts in words.
pub fn run_text(run: &Run) -> String {
    let attempts = run.components[&good::<ComponentName>("backend")]
        .attempts
        .iter();
    let texts: Vec<String> = attempts
        .map(|attempt| {
            let detail = match &attempt.state {
                AttemptState::Failed { why, .. } => {
                    let fault = if why.is_fault() { "; a fault" } else { "" };
                    format!(" ({}{fault})", explain::attempt(attempt))
                }
                AttemptState::Held { why } => format!(" ({why})"),
                AttemptState::Cancelled { by } => format!(" by {by}"),
                AttemptState::Superseded { by, crowded } => {
                    let crowded = crowded.map(|crowded| crowded.of.word());
                    crowded.map_or(format!(" by {by}"), |of| {
                        format!(" by {by}, too many of the {of}")
                    })
                }
                AttemptState::Due | AttemptState::Building | AttemptState::Succeeded => {
                    String::new()
                }
            };
            let parts = attempt.parts.iter().map(|part| part.state.word());
            let parts: Vec<&str> = parts.collect();
            let parts = match parts.as_slice() {
                [] => String::new(),
                parts => format!(" [{}]", parts.join(", ")),
            };
            format!("{}{parts}{detail}", attempt.state.word())
        })
        .collect();
    texts.join(" | ")
}

/// An intent in words.
pub fn intent_text(intent: &Intent) -> String {
    let kind = intent.detail_type();
    match intent {
        Intent::BuildStopDue { build } => format!("{kind} {build}"),
        Intent::BuildRetryDue { after, .. } => format!("{kind} after {after}"),
        Intent::BuildDue(of) | Intent::BuildWatchDue(of) => {
            let number = (1..4).find(|number| {
                let whole = attempt_id(*number);
                ["amd64", "arm64"]
                    .iter()
                    .any(|short| of.attempt == Attempt::part_id(&whole, &format!("linux/{short}")))
            });
            let Some(number) = number else {
                return kind.into();
            };
            let amd64 = Attempt::part_id(&attempt_id(number), "linux/amd64");
            let short = if of.attempt == amd64 {
                "amd64"
            } else {
                "arm64"
            };
            format!("{kind} {number}/{short}")
        }
        Intent::ImageDue { tag, .. } => format!("{kind} {tag}"),
        Intent::PromotionDue { promotion, .. } | Intent::PromotionWatchDue { promotion, .. } => {
            format!("{kind} #{promotion}")
        }
        Intent::PushAccepted(_)
        | Intent::IndexDue(_)
        | Intent::BuildSuperseded { .. }
        | Intent::ImageRecorded { .. }
        | Intent::ImageReady { .. }
        | Intent::DeployDue { .. }
        | Intent::BuildStatusDue { .. }
        | Intent::StageStatusDue { .. }
        | Intent::StatusesDue { .. } => kind.into(),
    }
}

/// The `order`th image of the backend, pushed by dana.
pub fn candidate(order: u64) -> Candidate {
    Candidate {
        digest: digest(order),
        commit: good(&format!("{order:x}").repeat(40)[..40]),
        git_ref: GitRef::Branch("main".into()),
        run: good(&format!("{order:016x}")),
        order,
        repository: good("acme/backend"),
        build_number: 100 + order,
        authors: vec!["dana".into(), "dana@acme.example".into()],
        contributions: Contributions::default(),
        shown_in: None,
    }
}

/// As [`candidate`], pushed by someone else; `log` is what the ref knows, as `1:kim,2:lee`.
fn candidate_by(order: u64, author: &str, log: &str) -> Candidate {
    let mut contributions = Contributions::default();
    for entry in log.split(',').filter(|entry| !entry.is_empty()) {
        let (order, author) = entry.split_once(':').expect("an order and an author");
        contributions.add(Contribution {
            first: good(order),
            last: good(order),
            authors: Vec::from([author].map(String::from)),
            cut: author == "too-many",
        });
    }
    Candidate {
        authors: vec![author.into()],
        contributions,
        ..candidate(order)
    }
}

/// As [`candidate`], of another branch.
fn on(branch: &str, order: u64) -> Candidate {
    Candidate {
        git_ref: GitRef::Branch(branch.into()),
        ..candidate(order)
    }
}

/// As [`candidate`]; `3=1` is the third, built to the same bytes as the first, and `3~1` the third,
/// built of the same commit as the first.
fn candidate_of(text: &str) -> Candidate {
    if let Some((order, same)) = text.split_once('~') {
        return Candidate {
            commit: candidate(good(same)).commit,
            ..candidate(good(order))
        };
    }
    let Some((order, same)) = text.split_once('=') else {
        return candidate(good(text));
    };
    Candidate {
        digest: digest(good(same)),
        ..candidate(good(order))
    }
}

/// A rule of prod: `auto; supersede; approval 2; self; expires 60; keep; no hold`.
pub fn rule(text: &str) -> StageRule {
    let mut rule = StageRule {
        name: good("prod"),
        from: Origin::Build,
        promote: Promote::Auto,
        concurrency: Concurrency::Queue,
        approval: None,
        tags: vec![good("prod")],
        hold_after_rollback: true,
        drift: Drift::Restore,
        deploy: None,
        parameters: Vec::new(),
    };
    let mut approval = ApprovalRule {
        groups: vec!["managers".into()],
        min: 1,
        allow_self: false,
        expires: None,
        supersede: true,
    };
    for part in text.split("; ") {
        match part.split(' ').collect::<Vec<_>>().as_slice() {
            ["auto"] => rule.promote = Promote::Auto,
            ["manual"] => rule.promote = Promote::Manual,
            ["queue"] => rule.concurrency = Concurrency::Queue,
            ["supersede"] => rule.concurrency = Concurrency::Supersede,
            ["parallel"] => rule.concurrency = Concurrency::Parallel,
            ["no", "hold"] => rule.hold_after_rollback = false,
            ["drift", "holds"] => rule.drift = Drift::Hold,
            ["approval", min] => {
                approval.min = good(min);
                rule.approval = Some(approval.clone());
            }
            ["self"] => approval.allow_self = true,
            ["keep"] => approval.supersede = false,
            ["anybody"] => approval.groups = Vec::new(),
            ["expires", seconds] => approval.expires = Some(Duration::from_secs(good(seconds))),
            _ => panic!("{part:?} is no part of a rule"),
        }
    }
    rule.approval = rule.approval.map(|_| approval);
    rule
}

/// The stage every story is about.
pub fn new_stage() -> Stage {
    Stage::new(StageKey {
        repository: RepositoryId(7),
        component: good("backend"),
        stage: good("prod"),
    })
}

/// A fact about a stage: `offer 1`, `approve 1 by lee`, `rollback 1 by lee`, `lease 1 for a`, …
pub fn stage_fact(line: &str, now: Timestamp) -> stage::Fact {
    let words: Vec<&str> = line.split(' ').collect();
    let text = |words: &[&str]| words.join(" ");
    match words.as_slice() {
        ["offer", order] => stage::Fact::Offered(candidate_of(order)),
        ["offer", order, "by", author] => {
            stage::Fact::Offered(candidate_by(good(order), author, ""))
        }
        ["offer", order, "by", author, "after", log] => {
            stage::Fact::Offered(candidate_by(good(order), author, log))
        }
        ["promote", order, "of", branch, "by", login] => stage::Fact::PromotionRequested {
            candidate: on(branch, good(order)),
            by: person(login),
            reason: None,
        },
        ["override", order, "of", branch, "by", login, reason @ ..] => {
            stage::Fact::OverrideRequested {
                candidate: on(branch, good(order)),
                by: person(login),
                reason: text(reason),
            }
        }
        ["offer", order, "of", branch] => stage::Fact::Offered(on(branch, good(order))),
        ["promote", order, "by", login] => stage::Fact::PromotionRequested {
            candidate: candidate(good(order)),
            by: person(login),
            reason: None,
        },
        ["approve", promotion, "by", login] => stage::Fact::Approved {
            promotion: good(promotion),
            by: person(login),
            comment: None,
        },
        ["reject", promotion, "by", login, reason @ ..] => stage::Fact::Rejected {
            promotion: good(promotion),
            by: person(login),
            reason: text(reason),
        },
        ["rollback", order, "by", login] => stage::Fact::RollbackRequested {
            candidate: candidate(good(order)),
            by: person(login),
            reason: None,
        },
        ["hold", "by", login, reason @ ..] => stage::Fact::HoldRequested {
            by: person(login),
            reason: text(reason),
        },
        ["resume", "by", login] => stage::Fact::ResumeRequested { by: person(login) },
        ["lease", promotion, "for", holder, unasked @ ..] => stage::Fact::LeaseRequested {
            asked: unasked != ["without", "asking"],
            promotion: good(promotion),
            lease: Lease {
                holder: (*holder).into(),
                until: now + Duration::from_secs(60),
                meddled: false,
            },
        },
        ["tagged", promotion, "by", holder] => stage::Fact::Tagged {
            promotion: good(promotion),
            holder: (*holder).into(),
        },
        ["untaggable", promotion, "by", holder] => stage::Fact::TagRefused {
            promotion: good(promotion),
            holder: (*holder).into(),
            why: stage::Failure::Tag {
                why: NotTagged::Gone,
            },
        },
        ["obstructed", promotion, "by", holder] => stage::Fact::Obstructed {
            promotion: good(promotion),
            holder: (*holder).into(),
            by: Obstacle {
                by: Service::Aws,
                said: "AccessDenied".into(),
            },
        },
        ["give", "up", promotion] => stage::Fact::GivenUp {
            promotion: good(promotion),
            tries: 50,
            since: at(0),
        },
        ["commit", "of", promotion, found @ ..] => stage::Fact::CommitLookedUp {
            promotion: good(promotion),
            found: match found {
                ["contained"] => OnRefs::Contained,
                ["unknown:", said @ ..] => OnRefs::Unknown { said: text(said) },
                ["not", "on", refs] => OnRefs::Removed {
                    refs: refs.split(',').map(good).collect(),
                    more: 0,
                },
                ["not", "on", refs, "and", more, "unseen"] => OnRefs::Removed {
                    refs: refs.split(',').map(good).collect(),
                    more: good(more),
                },
                _ => panic!("{line:?} says nothing of a commit"),
            },
        },
        ["expire", promotion] => stage::Fact::ExpiryDue {
            promotion: good(promotion),
        },
        ["outside", tag, "on", order] => stage::Fact::TagMovedOutside {
            tag: good(tag),
            digest: digest(good(order)),
        },
        _ => panic!("{line:?} is no fact about a stage"),
    }
}

/// The definition of all stories: main counts, managers operate, and owners override.
pub fn trusted() -> &'static Trusted {
    static TRUSTED: LazyLock<Trusted> = LazyLock::new(|| Trusted {
        definition: Definition {
            pipeline: good("shop"),
            source: Source::default(),
            components: Vec::new(),
            stages: Vec::new(),
            rights: Rights {
                operate: vec!["managers".into()],
                overrule: vec!["owners".into()],
            },
            not_executed: Vec::new(),
        },
        commit: good(&"a".repeat(40)),
        order: 1,
        branch: "main".into(),
        older: Vec::new(),
    });
    &TRUSTED
}

/// The policy of a rule.
pub fn policy<'a>(
    rule: &'a StageRule,
    not_executed: &'a [&'a str],
    next_number: u64,
) -> Policy<'a> {
    Policy {
        rule,
        trusted: trusted(),
        not_executed,
        next_number,
    }
}

/// A person's decision about a build, in words.
pub fn said_text(said: &run::Said) -> String {
    let (by, build) = (&said.by.login, said.what.build);
    match &said.what.what {
        WhatOfBuild::Cancelled => format!("row: {by} cancelled build#{build}"),
        WhatOfBuild::Retried { next } => format!("row: {by} retried build#{build} as build#{next}"),
        WhatOfBuild::Denied { request, reason } => {
            format!("row: denied {by} {request:?} build#{build}: {reason}")
        }
    }
}

/// A row in words.
pub fn row_text(row: &Row) -> String {
    match &row.what {
        What::Requested {
            promotion,
            digest,
            rollback,
            ..
        } => {
            let kind = if *rollback { "back to" } else { "for" };
            format!(
                "#{promotion} {kind} {} asked by {}",
                number_of(digest),
                row.by
            )
        }
        What::Overridden {
            promotion,
            digest,
            reason,
            ..
        } => {
            let image = number_of(digest);
            format!("#{promotion} override for {image} by {}: {reason}", row.by)
        }
        What::Approved { promotion, .. } => format!("#{promotion} approved by {}", row.by),
        What::Denied {
            request, reason, ..
        } => format!("denied {}: {request}: {reason}", row.by),
        What::Ended { promotion, how } => {
            let (word, by) = (how.word(), &row.by);
            let text = explain::ending(*promotion, how, Some(by));
            format!("#{promotion} {word} by {by}: {text}")
        }
        What::Moved { to, version, .. } => format!("moved to {} v{version}", number_of(to)),
        What::Held { reason } => format!("held by {}: {reason}", row.by),
        What::Resumed => format!("resumed by {}", row.by),
        What::Drifted { tag, digest } => format!("{tag} drifted to {}", number_of(digest)),
    }
}
