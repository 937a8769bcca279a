//! Gzip whose output depends only on its input.

use std::io::{self, Write};

use crc32fast::Hasher;
use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::{MZFlush, MZStatus};

/// Magic, deflate, no flags, time 0, no extra flags, system unknown (RFC 1952, 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
const LEVEL: i32 = 6;
/// Deflate without zlib's frame, with its largest window.
const RAW_WINDOW: i32 = -15;
const BLOCK: usize = 64 * 1024;

/// Compresses what is written to it.
///
/// It uses `miniz_oxide` directly, because `flate2` compresses with the library that any crate in
/// the build has chosen, and digests would change with it. Input is compressed in blocks of one
/// size, so the size of single writes does not matter.
pub(crate) struct Gzip<W> {
    inner: W,
    deflate: Box<CompressorOxide>,
    checksum: Hasher,
    length: u64,
    block: Vec<u8>,
    compressed: Vec<u8>,
}

impl<W: Write> Gzip<W> {
    pub(crate) fn new(mut inner: W) -> io::Result<Self> {
        inner.write_all(&HEADER)?;
        let flags = create_comp_flags_from_zip_params(LEVEL, RAW_WINDOW, 0);
        Ok(Self {
            inner,
            deflate: Box::new(CompressorOxide::new(flags)),
            checksum: Hasher::new(),
            length: 0,
            block: Vec::with_capacity(BLOCK),
            compressed: vec![0; BLOCK],
        })
    }

    /// Writes the rest, and the end of the format.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.compress(MZFlush::Finish)?;
        let checksum = self.checksum.finalize();
        // The format stores the length modulo 2^32 (RFC 1952, ISIZE).
        let length = (self.length & u64::from(u32::MAX)) as u32;
        self.inner.write_all(&checksum.to_le_bytes())?;
        self.inner.write_all(&length.to_le_bytes())?;
        Ok(self.inner)
    }

    fn compress(&mut self, flush: MZFlush) -> io::Result<()> {
        self.checksum.update(&self.block);
        self.length += self.block.len() as u64;
        let mut input = self.block.as_slice();
        loop {
            let step = deflate(&mut self.deflate, input, &mut self.compressed, flush);
            input = &input[step.bytes_consumed..];
            self.inner
                .write_all(&self.compressed[..step.bytes_written])?;
            let status = step
                .status
                .map_err(|error| io::Error::other(format!("deflate failed: {error:?}")))?;
            let is_done = if flush == MZFlush::Finish {
                status == MZStatus::StreamEnd
            } else {
                input.is_empty()
            };
            if is_done {
                self.block.clear();
                return Ok(());
            }
        }
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK {
            self.compress(MZFlush::None)?;
        }
        Ok(taken)
    }

    /// Does nothing: a flush would change the compressed bytes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::io::Read;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn compress(pieces: &[&[u8]]) -> Vec<u8> {
        let mut gzip = Gzip::new(Vec::new()).unwrap();
        for piece in pieces {
            gzip.write_all(piece).unwrap();
            gzip.flush().unwrap();
        }
        gzip.finish().unwrap()
    }

    fn decompress(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        GzDecoder::new(bytes).read_to_end(&mut out).unwrap();
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn another_decoder_reads_it_and_pieces_do_not_matter(
            seed in prop::collection::vec(any::<u8>(), 0..3000),
            copies in 1usize..100,
            cut in any::<prop::sample::Index>(),
        ) {
            let data = seed.repeat(copies);
            let (left, right) = data.split_at(cut.index(data.len() + 1));
            let whole = compress(&[&data]);
            prop_assert_eq!(decompress(&whole), data.as_slice());
            prop_assert_eq!(compress(&[left, right]), whole);
        }
    }
}
