//! The content of a layer, and what is refused.

use std::fs::{self, hard_link};
use std::os::unix::net::UnixListener;

use expect_test::{Expect, expect};
use towline_pack::{ImagePlan, assemble, write_layout};

use crate::folder::{Folder, image, listing, refusal};

async fn check(lines: &[&str], change: impl FnOnce(&mut ImagePlan), expected: Expect) {
    let folder = Folder::new(lines);
    let mut plan = folder.plan();
    change(&mut plan);
    expected.assert_eq(&listing(&image(&plan).await).await);
}

async fn check_refused(lines: &[&str], change: impl FnOnce(&mut ImagePlan), expected: Expect) {
    let folder = Folder::new(lines);
    let mut plan = folder.plan();
    change(&mut plan);
    expected.assert_eq(&refusal(&plan).await);
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn globs_choose_and_folders_come_along_with_what_is_in_them() {
    let tree = [
        "a.txt: 1",
        "b/c/d.txt: 2",
        "b/e.log: 3",
        ".git/config: 4",
        "empty/",
    ];
    check(
        &tree,
        |_| {},
        expect![[r#"
        644 0:0 0 a.txt: 1
        755 0:0 0 b/
        755 0:0 0 b/c/
        644 0:0 0 b/c/d.txt: 2
        644 0:0 0 b/e.log: 3
        755 0:0 0 empty/
    "#]],
    )
    .await;
    check(
        &tree,
        |plan| plan.include = words(&["**/*.txt"]),
        expect![[r#"
            644 0:0 0 a.txt: 1
            755 0:0 0 b/
            755 0:0 0 b/c/
            644 0:0 0 b/c/d.txt: 2
        "#]],
    )
    .await;
    check(
        &tree,
        |plan| plan.exclude = words(&["*", "!b/c"]),
        expect![[r#"
            755 0:0 0 b/
            755 0:0 0 b/c/
            644 0:0 0 b/c/d.txt: 2
        "#]],
    )
    .await;
}

#[tokio::test]
async fn entries_are_sorted_by_bytes_and_a_folder_comes_before_its_content() {
    check(
        &["a/x: 1", "a.b: 2", "a-b: 3", "a0: 4", "Z: 5"],
        |_| {},
        expect![[r#"
            644 0:0 0 Z: 5
            755 0:0 0 a/
            644 0:0 0 a-b: 3
            644 0:0 0 a.b: 2
            644 0:0 0 a/x: 1
            644 0:0 0 a0: 4
        "#]],
    )
    .await;
}

#[tokio::test]
async fn long_paths_and_long_targets_are_kept_whole() {
    let long = ["n".repeat(120), "m".repeat(120)].join("/");
    let folder = Folder::new(&[&format!("{long}: 1"), &format!("link -> {long}")]);
    let listing = listing(&image(&folder.plan()).await).await;
    assert!(
        listing.contains(&format!("644 0:0 0 {long}: 1\n")),
        "{listing}"
    );
    assert!(
        listing.contains(&format!("777 0:0 0 link -> {long}\n")),
        "{listing}"
    );
}

#[tokio::test]
async fn the_plans_time_is_every_entrys_time() {
    check(
        &["a: 1", "b/"],
        |plan| plan.created = Some(1_700_000_000),
        expect![[r#"
            644 0:0 1700000000 a: 1
            755 0:0 1700000000 b/
        "#]],
    )
    .await;
}

#[tokio::test]
async fn hard_links_become_files() {
    let folder = Folder::new(&["a: same"]);
    hard_link(folder.path().join("a"), folder.path().join("b")).unwrap();
    let listing = listing(&image(&folder.plan()).await).await;
    expect![[r#"
        644 0:0 0 a: same
        644 0:0 0 b: same
    "#]]
    .assert_eq(&listing);
}

#[tokio::test]
async fn links_that_stay_inside_are_kept_as_they_are() {
    let tree = [
        "d/f: 1",
        "d/up -> ../d/f",
        "l -> d",
        "via -> l/f",
        "gone -> d/none",
        "here -> .",
    ];
    check(
        &tree,
        |_| {},
        expect![[r#"
        755 0:0 0 d/
        644 0:0 0 d/f: 1
        777 0:0 0 d/up -> ../d/f
        777 0:0 0 gone -> d/none
        777 0:0 0 here -> .
        777 0:0 0 l -> d
        777 0:0 0 via -> l/f
    "#]],
    )
    .await;
    let tree = ["f: 1", "d/abs -> /app/f"];
    check(
        &tree,
        |plan| plan.destination = "/app".parse().unwrap(),
        expect![[r#"
            755 0:0 0 app/
            755 0:0 0 app/d/
            777 0:0 0 app/d/abs -> /app/f
            644 0:0 0 app/f: 1
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_link_out_of_the_folder_is_refused() {
    let none = |_: &mut ImagePlan| {};
    check_refused(&["f: 1", "l -> ../x"], none, expect!["ROOT/l links to ../x, which leads out of the packed folder or in a circle; link to something in the folder, or exclude the link"]).await;
    check_refused(&["f: 1", "d/l -> ../../x"], none, expect!["ROOT/d/l links to ../../x, which leads out of the packed folder or in a circle; link to something in the folder, or exclude the link"]).await;
    check_refused(&["f: 1", "l -> /etc/passwd"], none, expect!["ROOT/l links to /etc/passwd, which leads out of the packed folder or in a circle; link to something in the folder, or exclude the link"]).await;
    // `here/..` leaves the folder, although the words alone do not show it.
    check_refused(&["d/here -> ..", "l -> d/here/../x"], none, expect!["ROOT/l links to d/here/../x, which leads out of the packed folder or in a circle; link to something in the folder, or exclude the link"]).await;
    check_refused(&["f: 1", "a -> b", "b -> a"], none, expect!["ROOT/a links to b, which leads out of the packed folder or in a circle; link to something in the folder, or exclude the link"]).await;
    let elsewhere = |plan: &mut ImagePlan| plan.destination = "/app".parse().unwrap();
    check_refused(&["f: 1", "l -> /f"], elsewhere, expect!["ROOT/l links to /f, which leads out of the packed folder or in a circle; link to something in the folder, or exclude the link"]).await;
}

#[tokio::test]
async fn an_excluded_link_out_of_the_folder_does_not_matter() {
    let tree = ["f: 1", "l -> /etc/passwd"];
    check(
        &tree,
        |plan| plan.exclude = words(&["l"]),
        expect![[r#"
        644 0:0 0 f: 1
    "#]],
    )
    .await;
}

#[tokio::test]
async fn s21_a_name_that_deletes_files_of_the_base_is_refused() {
    let none = |_: &mut ImagePlan| {};
    check_refused(&["f: 1", "etc/.wh.passwd: "], none, expect!["ROOT/etc/.wh.passwd has a name that would delete files of the image below (it begins with `.wh.`); rename it, or exclude it"]).await;
    check_refused(&["etc/.wh..wh..opq: "], none, expect!["ROOT/etc/.wh..wh..opq has a name that would delete files of the image below (it begins with `.wh.`); rename it, or exclude it"]).await;
    check_refused(&["f: 1", ".wh.etc/"], none, expect!["ROOT/.wh.etc has a name that would delete files of the image below (it begins with `.wh.`); rename it, or exclude it"]).await;
    check_refused(&["f: 1", ".wh.f -> f"], none, expect!["ROOT/.wh.f has a name that would delete files of the image below (it begins with `.wh.`); rename it, or exclude it"]).await;
    check(
        &["f: 1", "g.wh.h: 2", "etc/.wh.passwd: 3"],
        |plan| plan.exclude = words(&["etc"]),
        expect![[r#"
            644 0:0 0 f: 1
            644 0:0 0 g.wh.h: 2
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_socket_is_refused_by_name_unless_it_is_excluded() {
    let folder = Folder::new(&["f: 1"]);
    let _listener = UnixListener::bind(folder.path().join("s")).unwrap();
    let mut plan = folder.plan();
    expect!["ROOT/s is a socket, and a layer holds files, folders and links only; exclude it"]
        .assert_eq(&refusal(&plan).await);
    plan.exclude = words(&["s"]);
    expect![[r#"
        644 0:0 0 f: 1
    "#]]
    .assert_eq(&listing(&image(&plan).await).await);
}

#[tokio::test]
async fn a_folder_that_is_missing_no_folder_or_empty_is_refused() {
    let none = |_: &mut ImagePlan| {};
    check_refused(
        &[],
        none,
        expect!["ROOT holds nothing to pack; name a folder with files, or change the globs"],
    )
    .await;
    check_refused(
        &["a: 1"],
        |plan| plan.exclude = words(&["**"]),
        expect!["ROOT holds nothing to pack; name a folder with files, or change the globs"],
    )
    .await;
    let folder = Folder::new(&["a: 1"]);
    for name in ["none", "a"] {
        let mut plan = folder.plan();
        plan.root = folder.path().join(name);
        let said = refusal(&plan).await;
        assert!(said.ends_with("; name the folder to pack"), "{said}");
    }
}

#[tokio::test]
async fn bad_settings_are_refused_before_anything_is_read() {
    let change = |plan: &mut ImagePlan| {
        plan.root = "/nowhere".into();
        plan.labels.insert("a b".into(), "c".into());
    };
    check_refused(&[], change, expect![[r#"the label "a b" is not a key: it must not be empty or hold blanks, control characters or `=`"#]]).await;
}

#[tokio::test]
async fn a_scratch_folder_inside_the_packed_one_is_not_packed() {
    let folder = Folder::new(&["a: 1", "tmp/"]);
    let scratch = folder.path().join("tmp");
    let image = assemble(&folder.plan(), &scratch).await.unwrap();
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
    expect![[r#"
        644 0:0 0 a: 1
        755 0:0 0 tmp/
    "#]]
    .assert_eq(&listing(&image).await);
}

#[tokio::test]
async fn a_layout_is_complete_and_never_written_over_something() {
    let folder = Folder::new(&["a: 1"]);
    let image = image(&folder.plan()).await;
    let out = tempfile::tempdir().unwrap();
    let place = out.path().join("new");
    write_layout(&image, &place).await.unwrap();
    let index = fs::read_to_string(place.join("index.json")).unwrap();
    assert!(index.contains(image.digest().as_str()), "{index}");
    let marker = fs::read_to_string(place.join("oci-layout")).unwrap();
    assert_eq!(marker, r#"{"imageLayoutVersion":"1.0.0"}"#);
    for blob in fs::read_dir(place.join("blobs/sha256")).unwrap() {
        let path = blob.unwrap().path();
        let digest = towline_oci::Digest::of(&fs::read(&path).unwrap());
        assert_eq!(path.file_name().unwrap().to_str().unwrap(), digest.hex());
    }
    let error = write_layout(&image, &place).await.unwrap_err();
    assert!(
        error.is_refusal()
            && error
                .to_string()
                .ends_with("is not empty; name a new folder")
    );
}
