//! Stages whose tags somebody else moves: put back, but not endlessly, or held.

use expect_test::expect;

use super::{FIRST_IS_LIVE, check, check_with};

#[test]
fn s6_f35_a_tag_moved_from_outside_is_put_back_at_once() {
    check(
        "auto",
        &format!(
            "{FIRST_IS_LIVE}\noutside prod on 1\noutside prod on 9\noutside prod on 9\noffer 2\nlease 2 for a\noutside prod on 9\ntagged 2 by a\nlease 4 for a\ntagged 4 by a\nlease 3 for a\ntagged 3 by a"
        ),
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            outside prod on 1 -> nothing
            outside prod on 9 -> prod drifted to 9; #2 back to 1 asked by towline; Promotion Due #2
            outside prod on 9 -> nothing
            offer 2 -> #3 for 2 asked by towline
            lease 2 for a -> noted
            outside prod on 9 -> noted
            tagged 2 by a -> moved to 1 v2; #4 back to 1 asked by towline; Promotion Due #4
            lease 4 for a -> noted
            tagged 4 by a -> moved to 1 v3; Promotion Due #3
            lease 3 for a -> noted
            tagged 3 by a -> moved to 2 v4
            = 2 v4
        "#]],
    );
    check(
        "auto",
        "outside prod on 9\noffer 1",
        expect![[r#"
        outside prod on 9 -> prod drifted to 9; held by towline: tag prod was moved to sha256:00000000 outside Towline
        offer 1 -> noted
        = nothing, held
    "#]],
    );
}

#[test]
fn f33_a_tag_that_was_set_before_the_next_was_denied_is_not_one_from_outside() {
    check(
        "auto",
        &format!(
            "{FIRST_IS_LIVE}\noffer 2\nlease 2 for a\nobstructed 2 by a\noutside prod on 2\noutside prod on 9\nreject 2 by lee no\noutside prod on 2"
        ),
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            offer 2 -> #2 for 2 asked by towline; Promotion Due #2
            lease 2 for a -> noted
            obstructed 2 by a -> noted
            outside prod on 2 -> nothing
            outside prod on 9 -> prod drifted to 9; #3 back to 1 asked by towline; Promotion Due #3
            reject 2 by lee no -> #2 rejected by @lee: promotion #2 was rejected by @lee: no
            outside prod on 2 -> prod drifted to 2
            = 1 v1, #3 acts
        "#]],
    );
}

#[test]
fn s6_f35_a_tag_moved_while_ours_is_written_is_put_back_afterwards() {
    check(
        "auto; approval 1",
        "offer 1\napprove 1 by park\nlease 1 for a\noutside prod on 9\ntagged 1 by a\noffer 2\nlease 2 for a\nuntaggable 2 by a\nresume by lee",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            approve 1 by park -> #1 approved by @park; Promotion Due #1
            lease 1 for a -> noted
            outside prod on 9 -> prod drifted to 9
            tagged 1 by a -> moved to 1 v1; #2 back to 1 asked by towline; Promotion Due #2
            offer 2 -> #3 for 2 asked by towline
            lease 2 for a -> noted
            untaggable 2 by a -> #2 failed by towline: promotion #2 failed: the image no longer exists in the registry; build it again; held by towline: tag prod was moved to sha256:00000000 outside Towline
            resume by lee -> resumed by @lee; #4 back to 1 asked by @lee; Promotion Due #4
            = 1 v1, #3 0/1, #4 acts
        "#]],
    );
}

#[test]
fn s6_who_moves_a_tag_again_and_again_has_the_stage_held() {
    let once = |number| format!("outside prod on 9\nlease {number} for a\ntagged {number} by a");
    let facts = format!(
        "{FIRST_IS_LIVE}\n{}\n{}\n{}\noutside prod on 9\noutside prod on 8\nresume by lee\nlease 5 for a\ntagged 5 by a\n{}\nwait 3600\n{}",
        once(2),
        once(3),
        once(4),
        once(6),
        once(7)
    );
    check(
        "auto",
        &facts,
        expect![[r#"
        offer 1 -> #1 for 1 asked by towline; Promotion Due #1
        lease 1 for a -> noted
        tagged 1 by a -> moved to 1 v1
        outside prod on 9 -> prod drifted to 9; #2 back to 1 asked by towline; Promotion Due #2
        lease 2 for a -> noted
        tagged 2 by a -> moved to 1 v2
        outside prod on 9 -> prod drifted to 9; #3 back to 1 asked by towline; Promotion Due #3
        lease 3 for a -> noted
        tagged 3 by a -> moved to 1 v3
        outside prod on 9 -> prod drifted to 9; #4 back to 1 asked by towline; Promotion Due #4
        lease 4 for a -> noted
        tagged 4 by a -> moved to 1 v4
        outside prod on 9 -> prod drifted to 9; held by towline: tag prod was moved to sha256:00000000 outside Towline, again after it was put back 3 times
        outside prod on 8 -> prod drifted to 8; held by towline: tag prod was moved to sha256:00000000 outside Towline
        resume by lee -> resumed by @lee; #5 back to 1 asked by @lee; Promotion Due #5
        lease 5 for a -> noted
        tagged 5 by a -> moved to 1 v5
        outside prod on 9 -> prod drifted to 9; #6 back to 1 asked by towline; Promotion Due #6
        lease 6 for a -> noted
        tagged 6 by a -> moved to 1 v6
        outside prod on 9 -> prod drifted to 9; #7 back to 1 asked by towline; Promotion Due #7
        lease 7 for a -> noted
        tagged 7 by a -> moved to 1 v7
        = 1 v7
    "#]],
    );
}

#[test]
fn a_stage_that_is_held_by_a_person_keeps_its_image_too() {
    check_with(
        "auto",
        &[],
        &format!(
            "{FIRST_IS_LIVE}\nhold by lee freeze\noutside prod on 9\nlease 2 for a\ntagged 2 by a\noffer 2"
        ),
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            hold by lee freeze -> held by @lee: freeze
            outside prod on 9 -> prod drifted to 9; #2 back to 1 asked by towline; Promotion Due #2
            lease 2 for a -> noted
            tagged 2 by a -> moved to 1 v2
            offer 2 -> noted
            = 1 v2, held
        "#]],
    );
}

#[test]
fn f33_f35_a_tag_moved_from_outside_can_hold_the_stage_and_our_own_move_does_not() {
    let facts = format!(
        "{FIRST_IS_LIVE}\noutside prod on 1\noffer 2\noutside prod on 2\noutside prod on 9\noutside prod on 9\nlease 2 for a\ntagged 2 by a\noffer 3"
    );
    check(
        "auto; drift holds",
        &facts,
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            outside prod on 1 -> nothing
            offer 2 -> #2 for 2 asked by towline; Promotion Due #2
            outside prod on 2 -> nothing
            outside prod on 9 -> prod drifted to 9; held by towline: tag prod was moved to sha256:00000000 outside Towline
            outside prod on 9 -> nothing
            lease 2 for a -> noted
            tagged 2 by a -> moved to 2 v2
            offer 3 -> noted
            = 2 v2, held
        "#]],
    );
}

#[test]
fn f35_a_tag_moved_from_outside_is_put_back_when_the_stage_is_resumed() {
    check(
        "auto; drift holds",
        &format!(
            "{FIRST_IS_LIVE}\noutside prod on 9\noffer 2\nhold by lee again\nresume by lee\nlease 2 for a\ntagged 2 by a"
        ),
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline; Promotion Due #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            outside prod on 9 -> prod drifted to 9; held by towline: tag prod was moved to sha256:00000000 outside Towline
            offer 2 -> noted
            hold by lee again -> denied @lee: hold: prod is already held by towline since 2026-03-02 09:00 UTC: tag prod was moved to sha256:00000000 outside Towline; refused: prod is already held by towline since 2026-03-02 09:00 UTC: tag prod was moved to sha256:00000000 outside Towline
            resume by lee -> resumed by @lee; #2 back to 1 asked by @lee; Promotion Due #2
            lease 2 for a -> noted
            tagged 2 by a -> moved to 1 v2; #3 for 2 asked by towline; Promotion Due #3
            = 1 v2, #3 acts
        "#]],
    );
}

/// The rollback replaces the hold for the tag, and so the tag would be put back in the same decision:
/// under the number of the rollback, which is taken.
#[test]
fn s6_a_tag_is_not_put_back_under_the_number_of_another_promotion() {
    check(
        "auto; approval 1",
        "offer 1\napprove 1 by park\nlease 1 for a\ntagged 1 by a\noffer 2\napprove 2 by park\nlease 2 for a\ntagged 2 by a\noutside prod on 9\nlease 3 for a\nuntaggable 3 by a\nrollback 1 by lee\nlease 4 for a\ntagged 4 by a",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            approve 1 by park -> #1 approved by @park; Promotion Due #1
            lease 1 for a -> noted
            tagged 1 by a -> moved to 1 v1
            offer 2 -> #2 for 2 asked by towline
            approve 2 by park -> #2 approved by @park; Promotion Due #2
            lease 2 for a -> noted
            tagged 2 by a -> moved to 2 v2
            outside prod on 9 -> prod drifted to 9; #3 back to 2 asked by towline; Promotion Due #3
            lease 3 for a -> noted
            untaggable 3 by a -> #3 failed by towline: promotion #3 failed: the image no longer exists in the registry; build it again; held by towline: tag prod was moved to sha256:00000000 outside Towline
            rollback 1 by lee -> held by @lee: rollback; #4 back to 1 asked by @lee; Promotion Due #4
            lease 4 for a -> noted
            tagged 4 by a -> moved to 1 v3
            = 1 v3, held
        "#]],
    );
}

#[test]
fn a_promotion_that_waits_for_a_person_is_not_in_progress_and_can_be_rejected() {
    check(
        "auto; approval 1",
        "offer 1\nobstructed 1 by a\nlease 1 for a\napprove 1 by park\nlease 1 for a\nobstructed 1 by b\nobstructed 1 by a\nobstructed 1 by a\noffer 2\napprove 2 by park\nlease 2 for b\nlease 1 for a\nobstructed 1 by a\nreject 1 by lee no\nlease 2 for b\ntagged 2 by b\nlease 1 for a",
        expect![[r#"
            offer 1 -> #1 for 1 asked by towline
            obstructed 1 by a -> nothing
            lease 1 for a -> refused: promotion #1 is not in progress
            approve 1 by park -> #1 approved by @park; Promotion Due #1
            lease 1 for a -> noted
            obstructed 1 by b -> nothing
            obstructed 1 by a -> noted
            obstructed 1 by a -> nothing
            offer 2 -> #2 for 2 asked by towline
            approve 2 by park -> #2 approved by @park
            lease 2 for b -> refused: promotion #2 is not in progress
            lease 1 for a -> noted
            obstructed 1 by a -> noted
            reject 1 by lee no -> #1 rejected by @lee: promotion #1 was rejected by @lee: no; Promotion Due #2
            lease 2 for b -> noted
            tagged 2 by b -> moved to 2 v1
            lease 1 for a -> refused: promotion #1 is not in progress
            = 2 v1
        "#]],
    );
}
