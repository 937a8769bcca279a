//! The files of a working tree for the linter, which sees nothing outside it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use towline_buildspec::lint::Files;

/// The longest file that is read; a buildspec or a Makefile has a hundredth of it.
const MOST_BYTES: u64 = 1024 * 1024;

/// A folder with its content. Files are read once: a thousand buildspecs may use the same Makefile.
pub struct Tree {
    root: PathBuf,
    texts: RefCell<BTreeMap<String, Option<String>>>,
    folders: RefCell<BTreeMap<String, Vec<String>>>,
}

impl Tree {
    /// The tree below a folder, whose path must have no links and `..`.
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            texts: RefCell::default(),
            folders: RefCell::default(),
        }
    }

    /// The file at a path, if it is inside the tree: `..` and links could leave it.
    fn inside(&self, path: &str) -> Option<PathBuf> {
        let path = Path::new(path);
        let is_plain = path
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let real = self.root.join(path).canonicalize().ok()?;
        (is_plain && real.starts_with(&self.root)).then_some(real)
    }
}

impl Files for Tree {
    fn read(&self, path: &str) -> Option<String> {
        if let Some(known) = self.texts.borrow().get(path) {
            return known.clone();
        }
        let text = self.inside(path).and_then(|real| text_of(&real).ok());
        self.texts
            .borrow_mut()
            .insert(path.to_owned(), text.clone());
        text
    }

    fn list(&self, folder: &str) -> Vec<String> {
        if let Some(known) = self.folders.borrow().get(folder) {
            return known.clone();
        }
        let entries = self.inside(folder).and_then(|real| fs::read_dir(real).ok());
        let mut names: Vec<String> = entries
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        self.folders
            .borrow_mut()
            .insert(folder.to_owned(), names.clone());
        names
    }
}

/// The text of a regular file that is not too long.
pub fn text_of(path: &Path) -> io::Result<String> {
    // Opening a pipe would wait for a writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_outside_the_tree_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("a path").join("tree");
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            fs::write(path, text).expect("a file");
        };
        write("Makefile", "here");
        write("sub/Dockerfile", "below");
        write("../secret", "outside");
        symlink("sub/Dockerfile", root.join("within")).expect("a link");
        symlink("../secret", root.join("leaves")).expect("a link");
        symlink("..", root.join("up")).expect("a link");
        let tree = Tree::new(root.clone());
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(tree.read(path).as_deref(), expected, "{path}");
            assert_eq!(tree.read(path).as_deref(), expected, "{path}, once more");
        };
        check("Makefile", Some("here"));
        check("./sub/Dockerfile", Some("below"));
        check("within", Some("below"));
        check("leaves", None);
        check("../secret", None);
        check("sub/../Makefile", None);
        check("up/secret", None);
        check(root.join("Makefile").to_str().expect("text"), None);
        check("sub", None);
        check("absent", None);
        assert_eq!(tree.list(""), ["Makefile", "leaves", "up", "within"]);
        assert_eq!(tree.list("sub"), ["Dockerfile"]);
        assert_eq!(tree.list(".."), Vec::<String>::new());
        assert_eq!(tree.list("up"), Vec::<String>::new());
    }

    #[test]
    fn only_bearable_text_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let check = |bytes: &[u8], expected: Result<usize, &str>| {
            let path = folder.path().join("file");
            fs::write(&path, bytes).expect("a file");
            let length = text_of(&path).map(|text| text.len());
            let length = length.map_err(|error| error.to_string());
            assert_eq!(length, expected.map_err(str::to_owned));
        };
        check(b"text", Ok(4));
        check(&vec![b'a'; 1 << 20], Ok(1 << 20));
        check(&vec![b'a'; (1 << 20) + 1], Err("it is larger than 1 MiB"));
        check(b"\xff", Err("it is not UTF-8"));
        let error = text_of(folder.path()).expect_err("a folder").to_string();
        assert_eq!(error, "it is not a regular file");
    }
}
