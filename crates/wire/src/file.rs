//! A file as a [`Buf`]: what is skipped is never read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use bytes::Buf;

/// How much is read at once, in bytes: a few hundred small fields.
const CHUNK_BYTES: usize = 8 * 1024;

/// A window over a file, as long as the file was when it was opened.
///
/// A [`Buf`] cannot fail, so an error while reading is kept for [`FileBuf::into_error`] and the rest of the file
/// appears as zeros, which no message begins with.
#[derive(Debug)]
pub struct FileBuf {
    file: File,
    chunk: Box<[u8; CHUNK_BYTES]>,
    /// What is valid of `chunk`, and how much of that is consumed, in bytes.
    chunk_len: usize,
    consumed: usize,
    /// What lies behind the chunk, in bytes.
    behind: u64,
    error: Option<io::Error>,
}

impl FileBuf {
    /// Opens a file.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::InvalidInput`] for what is not a file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is not a file",
            ));
        }
        let chunk = Box::new([0; CHUNK_BYTES]);
        let mut buf = Self {
            file,
            chunk,
            chunk_len: 0,
            consumed: 0,
            behind: metadata.len(),
            error: None,
        };
        buf.fill();
        Ok(buf)
    }

    /// Returns what went wrong while reading.
    #[must_use]
    pub fn into_error(self) -> Option<io::Error> {
        self.error
    }

    /// Reads the next chunk from where the file stands.
    fn fill(&mut self) {
        // Below the size of the chunk, so it fits.
        self.chunk_len = self.behind.min(CHUNK_BYTES as u64) as usize;
        self.consumed = 0;
        self.behind -= self.chunk_len as u64;
        let chunk = &mut self.chunk[..self.chunk_len];
        if self.error.is_none() {
            self.error = self.file.read_exact(chunk).err();
        }
        if self.error.is_some() {
            self.chunk.fill(0);
        }
    }

    fn seek(&mut self, ahead: u64) {
        if ahead == 0 {
            return;
        }
        self.behind = self.behind.saturating_sub(ahead);
        // Lengths of files fit an i64.
        if let (None, Ok(offset)) = (&self.error, i64::try_from(ahead)) {
            self.error = self.file.seek(SeekFrom::Current(offset)).err();
        }
    }
}

impl Buf for FileBuf {
    fn remaining(&self) -> usize {
        let left = self
            .behind
            .saturating_add((self.chunk_len - self.consumed) as u64);
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    fn chunk(&self) -> &[u8] {
        &self.chunk[self.consumed..self.chunk_len]
    }

    fn advance(&mut self, count: usize) {
        let in_chunk = self.chunk_len - self.consumed;
        if count < in_chunk {
            self.consumed += count;
            return;
        }
        self.seek((count - in_chunk) as u64);
        self.fill();
    }
}
