//! The functions' binaries for Lambda: stripped, and packed as `bootstrap`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

/// Unix, a plain executable file.
const ATTRIBUTES: u32 = 0o100_755 << 16;

/// Puts the binary of a function into `<folder>/<function>/bootstrap.zip`.
///
/// # Errors
/// When it does not exist or cannot be stripped.
pub fn pack(binaries: &Path, function: &str, folder: &Path) -> anyhow::Result<()> {
    let folder = folder.join(function);
    fs::create_dir_all(&folder)?;
    let (binary, stripped) = (binaries.join(function), folder.join("bootstrap"));
    // With debug information, a development build is ten times as large.
    let strip = Command::new("strip")
        .arg("-o")
        .args([&stripped, &binary])
        .output()
        .context("running strip, which belongs to binutils")?;
    if !strip.status.success() {
        let said = String::from_utf8_lossy(&strip.stderr);
        bail!("stripping {}: {said}", binary.display());
    }
    let content = fs::read(&stripped)?;
    fs::remove_file(stripped)?;
    fs::write(folder.join("bootstrap.zip"), zipped(&content)?)?;
    Ok(())
}

/// A ZIP file with one program, not compressed, because compressing takes longer than copying.
fn zipped(content: &[u8]) -> anyhow::Result<Vec<u8>> {
    let name = b"bootstrap";
    let size = u32::try_from(content.len()).context("the program is too large")?;
    let crc = crc32fast::hash(content);
    let mut zip = Vec::with_capacity(content.len() + 256);
    // Both headers: version 2.0, no flags, stored, midnight of 1 January 1980.
    let mut common = Vec::new();
    for half in [20_u16, 0, 0, 0, 0x21] {
        common.extend(half.to_le_bytes());
    }
    for word in [crc, size, size] {
        common.extend(word.to_le_bytes());
    }
    for half in [u16::try_from(name.len())?, 0] {
        common.extend(half.to_le_bytes());
    }
    zip.extend(b"PK\x03\x04");
    zip.extend(&common);
    zip.extend(name);
    zip.extend(content);
    let directory = u32::try_from(zip.len())?;
    zip.extend(b"PK\x01\x02");
    zip.extend(0x0314_u16.to_le_bytes()); // made on Unix
    zip.extend(&common);
    zip.extend([0; 6]); // no comment, first disk, no text
    zip.extend(ATTRIBUTES.to_le_bytes());
    zip.extend(0_u32.to_le_bytes()); // where its header is
    zip.extend(name);
    let length = u32::try_from(zip.len())? - directory;
    zip.extend(b"PK\x05\x06");
    zip.extend([0; 4]);
    zip.extend([1, 0, 1, 0]);
    zip.extend(length.to_le_bytes());
    zip.extend(directory.to_le_bytes());
    zip.extend([0; 2]);
    Ok(zip)
}
