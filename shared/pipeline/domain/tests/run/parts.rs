//! `run::advance` of attempts in parts, one for each platform.

use expect_test::{Expect, expect};
use towline_domain::tags::{self, AttemptTags};

use crate::check_of;
use crate::common::{good, new_run_in_parts};

/// As [`super::check`], of a run whose component has two platforms.
fn check_parts(facts: &str, expect: Expect) {
    check_of(new_run_in_parts(), facts, expect);
}

#[test]
fn i6_an_attempt_in_parts_succeeds_with_the_index_of_all_of_them() {
    check_parts(
        "1/amd64: bound 1
         1/arm64: bound 2
         1/arm64: image 2
         1/arm64: report 2 SUCCEEDED
         1/amd64: report 1 SUCCEEDED
         index 9
         1/amd64: image 1
         1/amd64: image 1
         image 9
         index 9
         index 9",
        expect![[r#"
            1/amd64: bound 1 -> building [building, due]; Build Watch Due 1/amd64
            1/arm64: bound 2 -> building [building, building]; Build Watch Due 1/arm64
            1/arm64: image 2 -> building [building, building]
            1/arm64: report 2 SUCCEEDED -> building [building, succeeded]
            1/amd64: report 1 SUCCEEDED -> building [building, succeeded]; Image Due aaaaaaa-1-amd64
            index 9 -> building [building, succeeded]; unchanged
            1/amd64: image 1 -> building [succeeded, succeeded]; Index Due
            1/amd64: image 1 -> building [succeeded, succeeded]; unchanged
            image 9 -> building [succeeded, succeeded]
            index 9 -> succeeded [succeeded, succeeded]
            index 9 -> succeeded [succeeded, succeeded]; unchanged
        "#]],
    );
}

#[test]
fn a_part_that_comes_to_nothing_ends_the_others() {
    check_parts(
        "1/amd64: bound 1
         1/arm64: bound 2
         1/arm64: report 2 FAILED
         1/arm64: report 2 FAILED
         1/amd64: report 1 SUCCEEDED
         index 9",
        expect![[r#"
            1/amd64: bound 1 -> building [building, due]; Build Watch Due 1/amd64
            1/arm64: bound 2 -> building [building, building]; Build Watch Due 1/arm64
            1/arm64: report 2 FAILED -> failed [failed, failed] (build#1 for linux/arm64 ended FAILED: BUILD: exit status 1); Build Stop Due shop:1
            1/arm64: report 2 FAILED -> failed [failed, failed] (build#1 for linux/arm64 ended FAILED: BUILD: exit status 1); unchanged
            1/amd64: report 1 SUCCEEDED -> failed [failed, failed] (build#1 for linux/arm64 ended FAILED: BUILD: exit status 1); unchanged
            index 9 -> failed [failed, failed] (build#1 for linux/arm64 ended FAILED: BUILD: exit status 1); unchanged
        "#]],
    );
    check_parts(
        "1/amd64: bound 1
         1/amd64: image 1
         1/amd64: report 1 SUCCEEDED
         1/arm64: report 2 SUCCEEDED
         1/arm64: missing",
        expect![[r#"
            1/amd64: bound 1 -> building [building, due]; Build Watch Due 1/amd64
            1/amd64: image 1 -> building [building, due]
            1/amd64: report 1 SUCCEEDED -> building [succeeded, due]
            1/arm64: report 2 SUCCEEDED -> building [succeeded, building]; Build Watch Due 1/arm64; Image Due aaaaaaa-1-arm64
            1/arm64: missing -> failed [succeeded, failed] (build#1 for linux/arm64 succeeded but pushed nothing to acme/backend under tag aaaaaaa-1-arm64; push "$ECR_REGISTRY/$IMAGE_REPO:$IMAGE_TAG" in the build phase)
        "#]],
    );
    check_parts(
        "1/arm64: refused nonsense
         1/amd64: bound 1",
        expect![[r#"
            1/arm64: refused nonsense -> failed [failed, failed] (linux/arm64: nonsense)
            1/amd64: bound 1 -> failed [failed, failed] (linux/arm64: nonsense); Build Stop Due shop:1; unchanged
        "#]],
    );
    check_parts(
        "1/amd64: bound 1
         1/amd64: image 1
         1/amd64: image 2",
        expect![[r#"
            1/amd64: bound 1 -> building [building, due]; Build Watch Due 1/amd64
            1/amd64: image 1 -> building [building, due]
            1/amd64: image 2 -> held [held, held] (tag aaaaaaa-1-amd64 was on sha256:0000000000000000000000000000000000000000000000000000000000000001 and is on sha256:0000000000000000000000000000000000000000000000000000000000000002: it was pushed twice); Build Stop Due shop:1
        "#]],
    );
}

#[test]
fn a_fault_of_one_part_tries_all_of_them_again() {
    check_parts(
        "1/amd64: bound 1
         1/arm64: report 2 FAULT
         retry 1 in parts
         2/arm64: bound 3
         2/arm64: report 3 FAULT",
        expect![[r#"
            1/amd64: bound 1 -> building [building, due]; Build Watch Due 1/amd64
            1/arm64: report 2 FAULT -> failed [failed, failed] (build#1 for linux/arm64 ended FAULT: no phase gave a reason; see the log; a fault); Build Watch Due 1/arm64; Build Stop Due shop:1; Build Retry Due after 1
            retry 1 in parts -> failed [failed, failed] (build#1 for linux/arm64 ended FAULT: no phase gave a reason; see the log; a fault) | due [due, due]; Build Due 2/amd64; Build Due 2/arm64; note: build#1 of backend is tried again as build#2 by towline
            2/arm64: bound 3 -> failed [failed, failed] (build#1 for linux/arm64 ended FAULT: no phase gave a reason; see the log; a fault) | building [due, building]; Build Watch Due 2/arm64
            2/arm64: report 3 FAULT -> failed [failed, failed] (build#1 for linux/arm64 ended FAULT: no phase gave a reason; see the log; a fault) | failed [failed, failed] (build#2 for linux/arm64 ended FAULT: no phase gave a reason; see the log; a fault); Build Retry Due after 2
        "#]],
    );
}

#[test]
fn ending_an_attempt_ends_its_parts() {
    check_parts(
        "1/amd64: bound 1
         cancel lee
         1/arm64: bound 2",
        expect![[r#"
            1/amd64: bound 1 -> building [building, due]; Build Watch Due 1/amd64
            cancel lee -> cancelled [cancelled, cancelled] by @lee; Build Stop Due shop:1; row: lee cancelled build#1
            1/arm64: bound 2 -> cancelled [cancelled, cancelled] by @lee; Build Stop Due shop:2; unchanged
        "#]],
    );
    check_parts(
        "1/amd64: bound 1
         1/arm64: report 2 SUCCEEDED
         superseded
         1/amd64: report 1 SUCCEEDED",
        expect![[r#"
            1/amd64: bound 1 -> building [building, due]; Build Watch Due 1/amd64
            1/arm64: report 2 SUCCEEDED -> building [building, building]; Build Watch Due 1/arm64; Image Due aaaaaaa-1-arm64
            superseded -> superseded [superseded, superseded] by 00112233aabbccdd; Build Stop Due shop:1
            1/amd64: report 1 SUCCEEDED -> superseded [superseded, superseded] by 00112233aabbccdd; unchanged
        "#]],
    );
    check_parts(
        "1/arm64: delayed busy
         wait 100000
         1/amd64: deadline",
        expect![[r#"
            1/arm64: delayed busy -> due [due, due]
            1/amd64: deadline -> failed [failed, failed] (build#1 for linux/amd64 had no result by its deadline, 2026-03-02 18:10 UTC)
        "#]],
    );
}

#[test]
fn what_is_in_parts_has_no_build_itself() {
    check_parts(
        "bound 1
         report 1 IN_PROGRESS
         report 1 SUCCEEDED
         missing
         index 9
         no index denied",
        expect![[r#"
            bound 1 -> due [due, due]; Build Stop Due shop:1; unchanged
            report 1 IN_PROGRESS -> due [due, due]; Build Stop Due shop:1; unchanged
            report 1 SUCCEEDED -> due [due, due]; unchanged
            missing -> due [due, due]; unchanged
            index 9 -> due [due, due]; unchanged
            no index denied -> due [due, due]; unchanged
        "#]],
    );
}

#[test]
fn a26_what_somebody_else_has_put_under_the_tag_of_an_index_is_held() {
    let built = "1/amd64: report 1 SUCCEEDED\n1/amd64: image 1\n1/arm64: report 2 SUCCEEDED\n1/arm64: image 2";
    check_parts(
        &format!("image 8\n{built}\nindex 9"),
        expect![[r#"
            image 8 -> due [due, due]
            1/amd64: report 1 SUCCEEDED -> building [building, due]; Build Watch Due 1/amd64; Image Due aaaaaaa-1-amd64
            1/amd64: image 1 -> building [succeeded, due]
            1/arm64: report 2 SUCCEEDED -> building [succeeded, building]; Build Watch Due 1/arm64; Image Due aaaaaaa-1-arm64
            1/arm64: image 2 -> building [succeeded, succeeded]; Index Due
            index 9 -> held [succeeded, succeeded] (tag aaaaaaa-1 is for sha256:0000000000000000000000000000000000000000000000000000000000000009, the index of its platforms, and was on sha256:0000000000000000000000000000000000000000000000000000000000000008: someone else pushed it)
        "#]],
    );
    check_parts(
        &format!("{built}\nindex 9 found 8"),
        expect![[r#"
            1/amd64: report 1 SUCCEEDED -> building [building, due]; Build Watch Due 1/amd64; Image Due aaaaaaa-1-amd64
            1/amd64: image 1 -> building [succeeded, due]
            1/arm64: report 2 SUCCEEDED -> building [succeeded, building]; Build Watch Due 1/arm64; Image Due aaaaaaa-1-arm64
            1/arm64: image 2 -> building [succeeded, succeeded]; Index Due
            index 9 found 8 -> held [succeeded, succeeded] (tag aaaaaaa-1 is for sha256:0000000000000000000000000000000000000000000000000000000000000009, the index of its platforms, and was on sha256:0000000000000000000000000000000000000000000000000000000000000008: someone else pushed it)
        "#]],
    );
    check_parts(
        &format!("{built}\nindex 9\nimage 8"),
        expect![[r#"
            1/amd64: report 1 SUCCEEDED -> building [building, due]; Build Watch Due 1/amd64; Image Due aaaaaaa-1-amd64
            1/amd64: image 1 -> building [succeeded, due]
            1/arm64: report 2 SUCCEEDED -> building [succeeded, building]; Build Watch Due 1/arm64; Image Due aaaaaaa-1-arm64
            1/arm64: image 2 -> building [succeeded, succeeded]; Index Due
            index 9 -> succeeded [succeeded, succeeded]
            image 8 -> succeeded [succeeded, succeeded]; note: tag aaaaaaa-1 was on sha256:0000000000000000000000000000000000000000000000000000000000000009 and is on sha256:0000000000000000000000000000000000000000000000000000000000000008: it was pushed twice
        "#]],
    );
    check_parts(
        &format!("{built}\nno index denied\nindex 9"),
        expect![[r#"
            1/amd64: report 1 SUCCEEDED -> building [building, due]; Build Watch Due 1/amd64; Image Due aaaaaaa-1-amd64
            1/amd64: image 1 -> building [succeeded, due]
            1/arm64: report 2 SUCCEEDED -> building [succeeded, building]; Build Watch Due 1/arm64; Image Due aaaaaaa-1-arm64
            1/arm64: image 2 -> building [succeeded, succeeded]; Index Due
            no index denied -> failed [succeeded, succeeded] (the image index of build#1 was not pushed: the manifest sha256:0000000000000000000000000000000000000000000000000000000000000001 for linux/arm64 cannot be read: denied)
            index 9 -> failed [succeeded, succeeded] (the image index of build#1 was not pushed: the manifest sha256:0000000000000000000000000000000000000000000000000000000000000001 for linux/arm64 cannot be read: denied); unchanged
        "#]],
    );
}

#[test]
fn the_tag_of_a_part_is_the_unique_one_with_its_platform() {
    let check = |platforms: &[&str], unique: &str, tags: &[&str], expect: Expect| {
        let platforms: Vec<String> = platforms.iter().map(|text| (*text).into()).collect();
        let tags: Vec<_> = tags.iter().map(|tag| good(tag)).collect();
        let tags = AttemptTags {
            unique: good(unique),
            all: tags,
        };
        let text = match tags::of_parts(&platforms, &tags) {
            Ok(parts) => parts.iter().map(|(_, tag)| format!("{tag} ")).collect(),
            Err(error) => error.to_string(),
        };
        expect.assert_eq(text.trim());
    };
    let two = ["linux/amd64", "linux/arm/v7"];
    check(&["linux/arm64"], "a-1", &["a-1"], expect![""]);
    check(&two, "a-1", &["a-1"], expect!["a-1-amd64 a-1-arm-v7"]);
    check(
        &["windows/amd64", "linux/amd64"],
        "a-1",
        &["a-1"],
        expect!["a-1-windows-amd64 a-1-amd64"],
    );
    check(
        &two,
        "a-1",
        &["a-1", "a-1-arm-v7"],
        expect!["tag a-1-arm-v7 is that of the image for linux/arm/v7 alone; rename this one"],
    );
    check(
        &two,
        &"a".repeat(123),
        &[],
        expect![[
            r#"the image for linux/amd64 alone would get tag "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-amd64", which is not an image tag; make the tags shorter"#
        ]],
    );
}
