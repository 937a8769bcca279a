//! The same input gives the same digest.

use std::collections::BTreeMap;
use std::os::unix::fs::chown;

use expect_test::expect;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::runtime;

use crate::folder::{Folder, archive, image, listing};

const TREE: [&str; 5] = [
    "bin/server!: #!/bin/sh",
    "bin/serve -> server",
    "etc/api.conf: port=1",
    "var/",
    "a.txt: a",
];

#[tokio::test]
async fn order_time_umask_and_owner_of_files_do_not_change_the_digest() {
    let plain = Folder::new(&TREE);
    let mut reversed = TREE;
    reversed.reverse();
    let other = Folder::new(&reversed);
    other.file("bin/server", b"#!/bin/sh", 0o700);
    other.file("etc/api.conf", b"port=1", 0o600);
    other.set_time("bin/server", 1_700_000_000);
    other.set_time("etc", 1_600_000_000);
    // Only root may; otherwise the owner does not change, and the rest still counts.
    drop(chown(
        other.path().join("a.txt"),
        Some(12_345),
        Some(54_321),
    ));
    assert_eq!(
        image(&plain.plan()).await.digest(),
        image(&other.plan()).await.digest()
    );
}

#[tokio::test]
async fn what_an_image_is_made_of_changes_the_digest() {
    let folder = Folder::new(&TREE);
    let plain = image(&folder.plan()).await;
    let mut plan = folder.plan();
    plan.created = Some(1);
    assert_ne!(image(&plan).await.digest(), plain.digest(), "time");
    let mut plan = folder.plan();
    plan.destination = "/app".parse().unwrap();
    assert_ne!(image(&plan).await.digest(), plain.digest(), "destination");
    folder.file("a.txt", b"a", 0o755);
    assert_ne!(
        image(&folder.plan()).await.digest(),
        plain.digest(),
        "executable bit"
    );
}

/// If this fails although the tree has not changed, all digests have changed: add that to CHANGELOG.md.
#[tokio::test]
async fn a_tiny_tree_has_the_digest_it_always_had() {
    let folder = Folder::new(&TREE);
    let mut plan = folder.plan();
    plan.destination = "/app".parse().unwrap();
    plan.entrypoint = vec!["/app/bin/server".to_owned()];
    plan.command = vec!["--port".to_owned(), "8080".to_owned()];
    plan.environment = vec![("B".into(), "1".into()), ("A".into(), "2=3".into())];
    plan.labels = BTreeMap::from([("z".into(), "1".into()), ("a".into(), "2".into())]);
    plan.working_directory = Some("/app".into());
    plan.user = Some("1000:1000".into());
    plan.exposed_ports = vec!["8080".parse().unwrap(), "53/udp".parse().unwrap()];
    let image = image(&plan).await;
    expect![[r#"
        755 0:0 0 app/
        644 0:0 0 app/a.txt: a
        755 0:0 0 app/bin/
        777 0:0 0 app/bin/serve -> server
        755 0:0 0 app/bin/server: #!/bin/sh
        755 0:0 0 app/etc/
        644 0:0 0 app/etc/api.conf: port=1
        755 0:0 0 app/var/
    "#]]
    .assert_eq(&listing(&image).await);
    expect![[r#"{"architecture":"amd64","config":{"Cmd":["--port","8080"],"Entrypoint":["/app/bin/server"],"Env":["B=1","A=2=3"],"ExposedPorts":{"53/udp":{},"8080/tcp":{}},"Labels":{"a":"2","z":"1"},"User":"1000:1000","WorkingDir":"/app"},"created":"1970-01-01T00:00:00Z","history":[{"created":"1970-01-01T00:00:00Z","created_by":"towline pack"}],"os":"linux","rootfs":{"diff_ids":["sha256:8ff81df956d351e0c854d629149725ee8a31244fd5f788735a804be93868569c"],"type":"layers"}}"#]].assert_eq(std::str::from_utf8(image.config()).unwrap());
    expect![[r#"{"config":{"digest":"sha256:669bde16722f0e40a0c07012b5276074594c322cdc5d00e2fdec9e1f66469fe2","mediaType":"application/vnd.oci.image.config.v1+json","size":458},"layers":[{"digest":"sha256:4cd696ffe08c67813aa9b0e7e6acc47a486b77e66f373bb3ed970b23c2736446","mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":234}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}"#]].assert_eq(std::str::from_utf8(image.manifest()).unwrap());
    expect!["sha256:988e2e76173d40ebb212f0e1dcb3a73a6752b9f550794b527cd22f1dc3ea9ba0"]
        .assert_eq(image.digest().as_str());
}

#[derive(Debug, Clone)]
struct Leaf {
    path: String,
    content: Vec<u8>,
    executable: bool,
}

fn leaf() -> impl Strategy<Value = Leaf> {
    let long = "n".repeat(120);
    let name = select(vec!["a", "b", "a.b", "ab", "A", "ü", " x", "a-b", "!"]);
    let name = prop_oneof![9 => name.prop_map(str::to_owned), 1 => Just(long)];
    // A file's name is never a folder's, so that all of them fit into one tree.
    let path = (vec(name.clone(), 0..4), name).prop_map(|(folders, file)| {
        let folders: String = folders.iter().map(|folder| format!("{folder}/")).collect();
        format!("{folders}{file}.f")
    });
    (path, vec(any::<u8>(), 0..2000), any::<bool>()).prop_map(|(path, content, executable)| Leaf {
        path,
        content,
        executable,
    })
}

fn tree_of<'a>(leaves: impl Iterator<Item = &'a Leaf>, seconds: u64) -> Folder {
    let folder = Folder::new(&[]);
    for leaf in leaves {
        let mode = if leaf.executable { 0o755 } else { 0o640 };
        folder.file(&leaf.path, &leaf.content, mode);
        folder.set_time(&leaf.path, seconds);
    }
    folder
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_tree_is_packed_the_same_way_sorted_and_whole(leaves in vec(leaf(), 1..12)) {
        let by_path: BTreeMap<String, Leaf> =
            leaves.into_iter().map(|leaf| (leaf.path.clone(), leaf)).collect();
        let one = tree_of(by_path.values(), 1_000);
        let two = tree_of(by_path.values().rev(), 2_000);
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (first, second) =
            runtime.block_on(async { (image(&one.plan()).await, image(&two.plan()).await) });
        prop_assert_eq!(first.digest(), second.digest());

        let archive = runtime.block_on(archive(&first));
        let config: serde_json::Value = serde_json::from_slice(first.config()).unwrap();
        let diff_id = towline_oci::Digest::of(&archive).to_string();
        prop_assert_eq!(&config["rootfs"]["diff_ids"][0], &diff_id);

        let mut paths = Vec::new();
        let mut found = BTreeMap::new();
        for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            paths.push(path.trim_end_matches('/').to_owned());
            if entry.header().entry_type().is_file() {
                let mut content = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
                found.insert(path, (content, entry.header().mode().unwrap() == 0o755));
            }
        }
        prop_assert!(paths.is_sorted(), "{:?}", paths);
        let expected: BTreeMap<String, (Vec<u8>, bool)> = by_path
            .into_iter()
            .map(|(path, leaf)| (path, (leaf.content, leaf.executable)))
            .collect();
        prop_assert_eq!(found, expected);
    }
}
