//! Stages that are held and rolled back: what must stay, what may return, and who lets it in again.

use expect_test::expect;

use super::{FIRST_IS_LIVE, check, check_with};

#[test]
fn a_hold_lets_nothing_in_until_it_is_lifted() {
    check(
        "auto",
        "hold by lee freeze\noffer 1\noffer 2\npromote 2 by lee\nresume by park\nresume by park",
        expect![[r#"
            hold by lee freeze -> held by @lee: freeze
            offer 1 -> noted
            offer 2 -> noted
            promote 2 by lee -> denied @lee: promote 2222222: prod is held by @lee since 2026-03-02 09:00 UTC: freeze; resume it first; refused: prod is held by @lee since 2026-03-02 09:00 UTC: freeze; resume it first
            resume by park -> resumed by @park; #1 for 2 asked by towline; Promotion Due #1
            resume by park -> denied @park: resume: prod is not held; refused: prod is not held
            = nothing, #1 acts
        "#]],
    );
    check(
        "approval 1",
        "offer 1\nhold by lee freeze\napprove 1 by park\nresume by lee",
        expect![[r#"
        offer 1 -> #1 for 1 asked by towline
        hold by lee freeze -> held by @lee: freeze
        approve 1 by park -> #1 approved by @park
        resume by lee -> resumed by @lee; Promotion Due #1
        = nothing, #1 acts
    "#]],
    );
    check(
        "manual",
        "offer 1\nhold by lee freeze\nresume by lee",
        expect![[r#"
        offer 1 -> noted
        hold by lee freeze -> held by @lee: freeze
        resume by lee -> resumed by @lee
        = nothing
    "#]],
    );
}

#[test]
fn a_rollback_needs_no_approval_goes_back_and_holds() {
    let facts = format!(
        "{FIRST_IS_LIVE}\noffer 2\nlease 2 for a\ntagged 2 by a\nrollback 1 by lee\nlease 3 for a\ntagged 3 by a\noffer 3\nrollback 1 by lee\nresume by lee"
    );
    check(
        "auto",
        &facts,
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            offer 2 -> #2 for 2 asked by towline; Promotion Due #2
            lease 2 for a -> noted
            tagged 2 by a -> moved to 2 v2
            rollback 1 by lee -> held by @lee: rollback; #3 back to 1 asked by @lee; Promotion Due #3
            lease 3 for a -> noted
            tagged 3 by a -> moved to 1 v3
            offer 3 -> noted
            rollback 1 by lee -> denied @lee: roll back to 1111111: 1111111 is already live in prod; refused: 1111111 is already live in prod
            resume by lee -> resumed by @lee; #4 for 3 asked by towline; Promotion Due #4
            = 1 v3, #4 acts
        "#]],
    );
    check(
        "no hold",
        &facts,
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            offer 2 -> #2 for 2 asked by towline; Promotion Due #2
            lease 2 for a -> noted
            tagged 2 by a -> moved to 2 v2
            rollback 1 by lee -> #3 back to 1 asked by @lee; Promotion Due #3
            lease 3 for a -> noted
            tagged 3 by a -> moved to 1 v3
            offer 3 -> #4 for 3 asked by towline; Promotion Due #4
            rollback 1 by lee -> #5 back to 1 asked by @lee
            resume by lee -> denied @lee: resume: prod is not held; refused: prod is not held
            = 1 v3, #4 acts, #5 after #4
        "#]],
    );
}

#[test]
fn f30_a_rollback_lets_finish_what_acts_and_ends_what_waits() {
    let facts = format!(
        "{FIRST_IS_LIVE}\noffer 2\nlease 2 for a\ntagged 2 by a\noffer 3\noffer 4\nrollback 1 by lee\nlease 3 for a\ntagged 3 by a\nlease 5 for a\ntagged 5 by a"
    );
    check(
        "auto",
        &facts,
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            offer 2 -> #2 for 2 asked by towline; Promotion Due #2
            lease 2 for a -> noted
            tagged 2 by a -> moved to 2 v2
            offer 3 -> #3 for 3 asked by towline; Promotion Due #3
            offer 4 -> #4 for 4 asked by towline
            rollback 1 by lee -> #4 superseded by @lee: promotion #4 was superseded by a rollback by @lee; held by @lee: rollback; #5 back to 1 asked by @lee
            lease 3 for a -> noted
            tagged 3 by a -> moved to 3 v3; Promotion Due #5
            lease 5 for a -> noted
            tagged 5 by a -> moved to 1 v4
            = 1 v4, held
        "#]],
    );
}

#[test]
fn f30_what_is_live_can_be_asked_back_while_something_else_is_put_in_its_place() {
    let facts = format!(
        "{FIRST_IS_LIVE}\noffer 2\nrollback 1 by lee\nlease 2 for a\ntagged 2 by a\nlease 3 for b\nrollback 1 by park\ntagged 3 by b"
    );
    check(
        "auto",
        &facts,
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            offer 2 -> #2 for 2 asked by towline; Promotion Due #2
            rollback 1 by lee -> held by @lee: rollback; #3 back to 1 asked by @lee
            lease 2 for a -> noted
            tagged 2 by a -> moved to 2 v2; Promotion Due #3
            lease 3 for b -> noted
            rollback 1 by park -> denied @park: roll back to 1111111: 1111111 is already waiting for prod, as promotion #3; refused: 1111111 is already waiting for prod, as promotion #3
            tagged 3 by b -> moved to 1 v3
            = 1 v3, held
        "#]],
    );
}

#[test]
fn what_a_rollback_left_comes_back_by_hand_only() {
    check(
        "auto",
        &format!(
            "{FIRST_IS_LIVE}\noffer 2\nlease 2 for a\ntagged 2 by a\nrollback 1 by lee\nlease 3 for a\ntagged 3 by a\nresume by lee\noffer 2\npromote 2 by lee\nlease 4 for a\ntagged 4 by a"
        ),
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            offer 2 -> #2 for 2 asked by towline; Promotion Due #2
            lease 2 for a -> noted
            tagged 2 by a -> moved to 2 v2
            rollback 1 by lee -> held by @lee: rollback; #3 back to 1 asked by @lee; Promotion Due #3
            lease 3 for a -> noted
            tagged 3 by a -> moved to 1 v3
            resume by lee -> resumed by @lee
            offer 2 -> nothing
            promote 2 by lee -> #4 for 2 asked by @lee; Promotion Due #4
            lease 4 for a -> noted
            tagged 4 by a -> moved to 2 v4
            = 2 v4
        "#]],
    );
}

#[test]
fn a_rollback_into_a_stage_that_wants_too_much_does_nothing_by_half() {
    check_with(
        "auto",
        &["stages.prod.deploy"],
        "offer 1\nrollback 2 by lee",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; #1 refused by towline: promotion #1 was refused: this version of Towline does not support stages.prod.deploy; remove it from the definition to continue; refused: this version of Towline does not support stages.prod.deploy; remove it from the definition to continue
            rollback 2 by lee -> denied @lee: roll back to 2222222: this version of Towline does not support stages.prod.deploy; remove it from the definition to continue; refused: this version of Towline does not support stages.prod.deploy; remove it from the definition to continue
            = nothing
        "#]],
    );
}
