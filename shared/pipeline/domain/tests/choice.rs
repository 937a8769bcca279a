//! Which image a person's promotion or rollback carries.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what is expected stands where it is expected"
)]

mod common;

use common::{
    at, candidate, digest, good, new_run, new_run_in_parts, new_stage, number_of, run_fact,
};
use expect_test::{Expect, expect};
use towline_domain::choice;
use towline_domain::image::{Built, Image};
use towline_domain::names::RepositoryId;
use towline_domain::person::Actor;
use towline_domain::run::{self, Run};
use towline_domain::stage::Pointer;

/// Image 1 of build#1 of the run.
fn image(run: &Run, number: u64) -> Image {
    Image {
        repository: good("acme/backend"),
        digest: digest(number),
        media_type: "application/vnd.oci.image.manifest.v1+json".into(),
        size: None,
        platforms: Vec::new(),
        at: at(0),
        built: Some(Built {
            source: RepositoryId(7),
            component: good("backend"),
            commit: run.key.commit.clone(),
            git_ref: run.key.git_ref.clone(),
            run: run.id.clone(),
            build_number: 1,
        }),
        tags: Vec::new(),
        more_tags: false,
    }
}

fn after(mut run: Run, facts: &str) -> Run {
    for (second, line) in (1..).zip(facts.lines().map(str::trim)) {
        run = run::advance(run, &run_fact(line), at(second)).run;
    }
    run
}

/// Whether the image may be promoted after these facts about its run.
fn check(run: Run, facts: &str, number: u64, expect: Expect) {
    let run = after(run, facts);
    let answer = match choice::candidate(&image(&run, number), Some(&run)) {
        Ok(candidate) => format!(
            "image {} of {}",
            number_of(&candidate.digest),
            candidate.commit.short()
        ),
        Err(refusal) => refusal.to_string(),
    };
    expect.assert_eq(&answer);
}

#[test]
fn i6_only_an_image_that_its_build_is_known_to_have_made_may_be_promoted() {
    let built = "bound b1\nreport b1 SUCCEEDED\nimage 1";
    check(new_run(), built, 1, expect!["image 1 of aaaaaaa"]);
    check(
        new_run(),
        built,
        2,
        expect!["build#1 of aaaaaaa has not succeeded, so its image cannot be promoted"],
    );
    check(
        new_run(),
        "bound b1\nreport b1 SUCCEEDED",
        1,
        expect!["build#1 of aaaaaaa has not succeeded, so its image cannot be promoted"],
    );
    check(
        new_run(),
        "bound b1\nreport b1 FAILED",
        1,
        expect!["build#1 of aaaaaaa has not succeeded, so its image cannot be promoted"],
    );
    let parts = "1/amd64: bound b1\n1/arm64: bound b2\n1/amd64: report b1 SUCCEEDED\n\
                 1/arm64: report b2 SUCCEEDED\n1/amd64: image 1\n1/arm64: image 2\nindex 3";
    check(new_run_in_parts(), parts, 3, expect!["image 3 of aaaaaaa"]);
    check(
        new_run_in_parts(),
        parts,
        2,
        expect![
            "sha256:00000000 is only build#1 for linux/arm64; name build#1, which has all platforms"
        ],
    );
    let run = after(new_run(), built);
    let foreign = Image {
        built: None,
        ..image(&run, 1)
    };
    let refused = choice::candidate(&foreign, Some(&run));
    expect!["image sha256:00000000 was not built by Towline"]
        .assert_eq(&refused.expect_err("nobody built it").to_string());
    let gone = choice::candidate(&image(&run, 1), None);
    expect!["build#1 of aaaaaaa has not succeeded, so its image cannot be promoted"]
        .assert_eq(&gone.expect_err("its run is gone").to_string());
}

/// What was live, newest first, as `3 2 1`.
fn history(text: &str) -> Vec<Pointer> {
    let pointer = |word: &str| Pointer {
        version: 1,
        candidate: candidate(good(word)),
        promotion: 1,
        by: Actor::System,
        rollback: false,
        reason: None,
        since: at(0),
    };
    text.split_whitespace().map(pointer).collect()
}

/// The image that a rollback returns to.
fn back(live: &str, to: Option<u64>, expect: Expect) {
    let to = to.map(digest);
    let found = choice::to_roll_back_to(to.as_ref(), &history(live), &new_stage().key);
    let answer = match found {
        Ok(candidate) => format!("image {}", number_of(&candidate.digest)),
        Err(refusal) => refusal.to_string(),
    };
    expect.assert_eq(&answer);
}

#[test]
fn a_rollback_returns_to_what_was_live_before_and_never_forward() {
    back(
        "",
        None,
        expect!["no image has been live in prod of backend yet"],
    );
    back(
        "1",
        None,
        expect!["no image older than 1111111 has been live in prod"],
    );
    back("3 2 1", None, expect!["image 2"]);
    // 3 was rolled back already, so the next one goes back from 2.
    back("2 3 2 1", None, expect!["image 1"]);
    back("3 2 1", Some(1), expect!["image 1"]);
    back(
        "3 2 1",
        Some(4),
        expect![
            "sha256:00000000 was never live in prod; `towline history backend prod` shows what was"
        ],
    );
}

#[test]
fn a_promotion_carries_only_what_was_live_in_the_stage_before() {
    let allowed = |number: u64, live: &str| {
        choice::check_origin(
            &candidate(number),
            &good("staging"),
            &history(live),
            &good("prod"),
        )
    };
    assert_eq!(allowed(2, "3 2 1"), Ok(()));
    let refused = allowed(4, "3 2 1").expect_err("it never was there");
    expect!["4444444 has not been live in staging, where prod takes its images from; promote it there first"].assert_eq(&refused.to_string());
}
