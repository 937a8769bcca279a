//! Folders to pack, and the images made from them.

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use flate2::read::GzDecoder;
use tempfile::TempDir;
use towline_pack::{Image, ImagePlan, assemble, write_layout};

/// A folder that is created from lines and removed when dropped.
pub(crate) struct Folder(TempDir);

impl Folder {
    /// Creates what each line describes: `path: content`, `path!: content` (executable), `path/`
    /// (folder), `path -> target` (link).
    pub(crate) fn new(lines: &[&str]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for line in lines {
            folder.add(line);
        }
        folder
    }

    pub(crate) fn add(&self, line: &str) {
        if let Some((path, target)) = line.split_once(" -> ") {
            symlink(target, self.made_way(path)).unwrap();
        } else if let Some((path, content)) = line.split_once("!: ") {
            self.file(path, content.as_bytes(), 0o755);
        } else if let Some((path, content)) = line.split_once(": ") {
            self.file(path, content.as_bytes(), 0o644);
        } else {
            fs::create_dir_all(self.path().join(line)).unwrap();
        }
    }

    pub(crate) fn file(&self, path: &str, content: &[u8], mode: u32) {
        let path = self.made_way(path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn set_time(&self, path: &str, seconds: u64) {
        let file = File::open(self.path().join(path)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds))
            .unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn plan(&self) -> ImagePlan {
        ImagePlan::new(self.path(), "linux/amd64".parse().unwrap())
    }

    fn made_way(&self, path: &str) -> std::path::PathBuf {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
}

/// Assembles an image that must be accepted.
pub(crate) async fn image(plan: &ImagePlan) -> Image {
    assemble(plan, &std::env::temp_dir()).await.unwrap()
}

/// Assembles an image that must be refused, and returns the message.
pub(crate) async fn refusal(plan: &ImagePlan) -> String {
    let error = assemble(plan, &std::env::temp_dir()).await.unwrap_err();
    assert!(error.is_refusal(), "{error:?}");
    error
        .to_string()
        .replace(plan.root.to_str().unwrap(), "ROOT")
}

/// The top layer before compression.
pub(crate) async fn archive(image: &Image) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    write_layout(image, folder.path()).await.unwrap();
    let (digest, _) = image.layers().pop().unwrap();
    let path = folder.path().join("blobs/sha256").join(digest.hex());
    let mut archive = Vec::new();
    GzDecoder::new(File::open(path).unwrap())
        .read_to_end(&mut archive)
        .unwrap();
    archive
}

/// The top layer's entries, one per line: mode, owner, time, path, and target or content.
pub(crate) async fn listing(image: &Image) -> String {
    let archive = archive(image).await;
    let mut lines = String::new();
    for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let target = entry
            .link_name()
            .unwrap()
            .map(|link| format!(" -> {}", link.display()));
        let content = match content.len() {
            0 => String::new(),
            1..=20 => format!(": {}", String::from_utf8_lossy(&content)),
            length => format!(": {length} bytes"),
        };
        let header = entry.header();
        lines += &format!(
            "{:o} {}:{} {} {}{}{content}\n",
            header.mode().unwrap(),
            header.uid().unwrap(),
            header.gid().unwrap(),
            header.mtime().unwrap(),
            entry.path().unwrap().display(),
            target.unwrap_or_default(),
        );
    }
    lines
}
