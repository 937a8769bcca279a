//! The files, folders and links to pack, in their order in the layer.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use crate::error::{PackError, Refusal};
use crate::plan::{Destination, ImagePlan, WHITEOUT};
use crate::select::{Inherited, Selection};

/// The most links to follow in one path, as on Linux.
const MOST_LINKS: usize = 40;

/// One thing to pack.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its path from the packed folder.
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
}

/// Its kind, with the properties that an image keeps.
#[derive(Debug)]
pub(crate) enum Kind {
    Folder,
    File(FileFacts),
    Link { target: PathBuf },
}

/// The properties of a file when it was listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileFacts {
    pub(crate) executable: bool,
    pub(crate) size: u64,
    device: u64,
    inode: u64,
}

impl FileFacts {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            // The owner's bit, because the others depend on the umask.
            executable: metadata.mode() & 0o100 != 0,
            size: metadata.len(),
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// Everything that the plan selects, sorted by the bytes of its path, so that a folder comes before
/// its content. `root` is the plan's, with links resolved.
pub(crate) fn read(root: &Path, plan: &ImagePlan) -> Result<Vec<Entry>, PackError> {
    let walk = Walk {
        root,
        destination: &plan.destination,
        selection: Selection::new(plan)?,
    };
    let mut entries = Vec::new();
    walk.folder(Path::new(""), Inherited::default(), &mut entries)?;
    if entries.is_empty() {
        let reason = "holds nothing to pack; name a folder with files, or change the globs";
        return Err(Refusal::path(&plan.root, reason).into());
    }
    entries.sort_by(|left, right| bytes(&left.path).cmp(bytes(&right.path)));
    Ok(entries)
}

/// The plan's root with links resolved; refused if it is not a folder.
pub(crate) fn resolve_root(root: &Path) -> Result<PathBuf, PackError> {
    let resolved = match fs::canonicalize(root) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Refusal::path(root, "does not exist; name the folder to pack").into());
        }
        other => other.map_err(PackError::file("find", root))?,
    };
    if !resolved.is_dir() {
        return Err(Refusal::path(root, "is not a folder; name the folder to pack").into());
    }
    Ok(resolved)
}

/// Paths compare by component, which differs from the order of their bytes.
fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

fn refuse_whiteout(place: &Path) -> Result<(), PackError> {
    let name = place.file_name().unwrap_or_default();
    if !name.as_bytes().starts_with(WHITEOUT.as_bytes()) {
        return Ok(());
    }
    let reason = "has a name that would delete files of the image below (it begins with `.wh.`); \
                  rename it, or exclude it";
    Err(Refusal::path(place, reason).into())
}

struct Walk<'a> {
    root: &'a Path,
    destination: &'a Destination,
    selection: Selection,
}

impl Walk<'_> {
    fn folder(
        &self,
        folder: &Path,
        inherited: Inherited,
        entries: &mut Vec<Entry>,
    ) -> Result<(), PackError> {
        let place = self.root.join(folder);
        let cannot_list = || PackError::file("list", &place);
        let mut names = Vec::new();
        for item in fs::read_dir(&place).map_err(cannot_list())? {
            names.push(item.map_err(cannot_list())?.file_name());
        }
        // So that the same of two errors is reported everywhere.
        names.sort();
        for name in names {
            self.item(folder.join(name), inherited, entries)?;
        }
        Ok(())
    }

    fn item(
        &self,
        path: PathBuf,
        inherited: Inherited,
        entries: &mut Vec<Entry>,
    ) -> Result<(), PackError> {
        let judgement = self.selection.judge(&path, inherited);
        if !judgement.selected && !judgement.descend {
            return Ok(());
        }
        let place = self.root.join(&path);
        let metadata = fs::symlink_metadata(&place).map_err(PackError::file("read", &place))?;
        if metadata.is_dir() {
            let before = entries.len();
            if judgement.descend {
                self.folder(&path, judgement.inherited, entries)?;
            }
            let holds_something = entries.len() > before;
            if judgement.selected || holds_something {
                refuse_whiteout(&place)?;
                entries.push(Entry {
                    path,
                    kind: Kind::Folder,
                });
            }
        } else if judgement.selected {
            refuse_whiteout(&place)?;
            let kind = self.kind(&path, &place, &metadata)?;
            entries.push(Entry { path, kind });
        }
        Ok(())
    }

    fn kind(&self, path: &Path, place: &Path, metadata: &Metadata) -> Result<Kind, PackError> {
        let file_type = metadata.file_type();
        if file_type.is_file() {
            return Ok(Kind::File(FileFacts::of(metadata)));
        }
        if file_type.is_symlink() {
            let target = fs::read_link(place).map_err(PackError::file("read", place))?;
            if !self.stays_inside(path, &target) {
                let reason = format!(
                    "links to {}, which leads out of the packed folder or in a circle; \
                     link to something in the folder, or exclude the link",
                    target.display()
                );
                return Err(Refusal::path(place, reason).into());
            }
            return Ok(Kind::Link { target });
        }
        let what = match () {
            () if file_type.is_fifo() => "a named pipe",
            () if file_type.is_socket() => "a socket",
            () if file_type.is_block_device() => "a block device",
            () => "a character device",
        };
        let reason =
            format!("is {what}, and a layer holds files, folders and links only; exclude it");
        Err(Refusal::path(place, reason).into())
    }

    /// Whether a link leads to something inside the packed folder.
    ///
    /// The path is followed step by step and through other links, because `a/..` is not the folder
    /// of `a` if `a` is a link. An absolute target is a path inside the image: it stays inside if
    /// it is under the destination and exists.
    fn stays_inside(&self, link: &Path, target: &Path) -> bool {
        let mut place = link.parent().unwrap_or(Path::new("")).to_owned();
        let mut steps = VecDeque::new();
        if !self.follow(target, &mut place, &mut steps) {
            return false;
        }
        let mut links = 0;
        while let Some(step) = steps.pop_front() {
            let Some(name) = step else {
                if !place.pop() {
                    return false;
                }
                continue;
            };
            let next = place.join(name);
            let Ok(onward) = fs::read_link(self.root.join(&next)) else {
                place = next;
                continue;
            };
            links += 1;
            if links > MOST_LINKS || !self.follow(&onward, &mut place, &mut steps) {
                return false;
            }
        }
        !target.is_absolute() || fs::symlink_metadata(self.root.join(place)).is_ok()
    }

    /// Adds a link's target before the remaining steps; `None` is a step up. An absolute target
    /// starts again at the packed folder; `false` if it is elsewhere in the image.
    fn follow(
        &self,
        target: &Path,
        place: &mut PathBuf,
        steps: &mut VecDeque<Option<OsString>>,
    ) -> bool {
        let mut relative = target;
        if target.is_absolute() {
            let Ok(inside) = target.strip_prefix(self.destination.as_path()) else {
                return false;
            };
            relative = inside;
            *place = PathBuf::new();
        }
        for part in relative.components().rev() {
            match part {
                Component::ParentDir => steps.push_front(None),
                Component::Normal(name) => steps.push_front(Some(name.to_owned())),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        true
    }
}
