//! The layer: a tar archive, compressed into a private file.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};
use towline_oci::Digest;

use crate::error::{PackError, Refusal};
use crate::gzip::Gzip;
use crate::plan::ImagePlan;
use crate::tree::{self, Entry, FileFacts, Kind};

/// A finished layer.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// The compressed archive; without a name, so the system removes it when it is closed.
    pub(crate) file: Arc<File>,
    /// Of the compressed bytes.
    pub(crate) digest: Digest,
    /// Their number.
    pub(crate) size: u64,
    /// Of the archive before compression (OCI image specification, "Layer DiffID").
    pub(crate) diff_id: Digest,
}

/// Packs the files that the plan selects. The compressed bytes go to a file in `scratch`, never
/// completely into memory.
pub(crate) fn write(plan: &ImagePlan, scratch: &Path) -> Result<Layer, PackError> {
    let root = tree::resolve_root(&plan.root)?;
    let entries = tree::read(&root, plan)?;
    let cannot_write = || PackError::file("write a temporary file in", scratch);
    let file = tempfile::tempfile_in(scratch).map_err(cannot_write())?;
    let compressed = Hashing::new(BufWriter::new(file));
    let archive = Hashing::new(Gzip::new(compressed).map_err(cannot_write())?);
    let mut packing = Packing {
        plan,
        root,
        scratch,
        tar: Builder::new(archive),
    };
    for folder in plan.destination.folders() {
        packing.folder(folder)?;
    }
    for entry in &entries {
        packing.entry(entry)?;
    }
    let (archive, diff_id, _) = packing.tar.into_inner().map_err(cannot_write())?.finish();
    let (buffer, digest, size) = archive.finish().map_err(cannot_write())?.finish();
    let file = buffer
        .into_inner()
        .map_err(|error| cannot_write()(error.into_error()))?;
    Ok(Layer {
        file: Arc::new(file),
        digest,
        size,
        diff_id,
    })
}

struct Packing<'a, W: Write> {
    plan: &'a ImagePlan,
    root: PathBuf,
    scratch: &'a Path,
    tar: Builder<W>,
}

impl<W: Write> Packing<'_, W> {
    fn entry(&mut self, entry: &Entry) -> Result<(), PackError> {
        let path = self.plan.destination.place(&entry.path);
        match &entry.kind {
            Kind::Folder => self.folder(path),
            Kind::Link { target } => {
                let mut header = self.header(EntryType::Symlink, 0o777, 0);
                self.tar
                    .append_link(&mut header, &path, target)
                    .map_err(self.cannot_write())
            }
            Kind::File(facts) => self.file(&path, &self.root.join(&entry.path), *facts),
        }
    }

    fn folder(&mut self, mut path: PathBuf) -> Result<(), PackError> {
        // A slash at the end, as tar writes folders.
        path.push("");
        let mut header = self.header(EntryType::Directory, 0o755, 0);
        self.tar
            .append_data(&mut header, &path, io::empty())
            .map_err(self.cannot_write())
    }

    fn file(&mut self, path: &Path, place: &Path, facts: FileFacts) -> Result<(), PackError> {
        let file = File::open(place).map_err(PackError::file("open", place))?;
        let opened = file.metadata().map_err(PackError::file("read", place))?;
        if !opened.is_file() || FileFacts::of(&opened) != facts {
            return Err(changed(place));
        }
        let mode = if facts.executable { 0o755 } else { 0o644 };
        let mut header = self.header(EntryType::Regular, mode, facts.size);
        let mut content = Content {
            inner: file.take(facts.size),
            failure: None,
        };
        let written = self.tar.append_data(&mut header, path, &mut content);
        if let Some(failure) = content.failure {
            return Err(PackError::file("read", place)(failure));
        }
        written.map_err(self.cannot_write())?;
        let is_short = content.inner.limit() > 0;
        let mut beyond = content.inner.into_inner().take(1);
        let more =
            io::copy(&mut beyond, &mut io::sink()).map_err(PackError::file("read", place))?;
        if is_short || more > 0 {
            return Err(changed(place));
        }
        Ok(())
    }

    /// The same on every machine: owner 0, the plan's time.
    fn header(&self, kind: EntryType, mode: u32, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.plan.created.unwrap_or(0).into());
        header.set_size(size);
        header
    }

    fn cannot_write(&self) -> impl FnOnce(io::Error) -> PackError + use<W> {
        PackError::file("write a temporary file in", self.scratch)
    }
}

fn changed(place: &Path) -> PackError {
    Refusal::path(
        place,
        "changed while it was packed; wait for its writer, then pack again",
    )
    .into()
}

/// A file's content, which remembers whether reading or writing failed.
struct Content {
    inner: io::Take<File>,
    failure: Option<io::Error>,
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failure = Some(error);
            }
            kind.into()
        })
    }
}

/// Counts and hashes bytes.
struct Hashing<W> {
    inner: W,
    hasher: Sha256,
    size: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
            size: 0,
        }
    }

    fn finish(self) -> (W, Digest, u64) {
        (self.inner, Digest::finish(self.hasher), self.size)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
