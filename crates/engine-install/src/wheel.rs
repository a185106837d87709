//! A wheel: a ZIP archive with a list of its files' hashes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zip::ZipArchive;

use crate::install::{InstallError, file_name, io_error};
use crate::package::Package;

/// The longest list of files that a wheel may have, in bytes; TensorFlow's has three million.
const MAX_RECORD_BYTES: u64 = 64 * 1024 * 1024;

/// How much of a file is in memory at a time, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;

type Sha256Hash = [u8; 32];

/// Returns the hash of everything that a reader gives.
pub(crate) fn sha256(reader: &mut impl Read) -> io::Result<Sha256Hash> {
    let mut hasher = Sha256::new();
    copy(reader, |chunk| {
        hasher.update(chunk);
        Ok(())
    })?;
    Ok(hasher.finalize().into())
}

/// Unpacks the files that a package wants into a new folder, each under its plain name.
pub(crate) fn unpack(package: &Package, wheel: &Path, dir: &Path) -> Result<(), InstallError> {
    let damaged = |reason: String| InstallError::DamagedWheel {
        file: file_name(wheel),
        reason,
    };
    let file = File::open(wheel).map_err(io_error(format!("cannot open {}", file_name(wheel))))?;
    let mut archive = ZipArchive::new(file).map_err(|error| damaged(error.to_string()))?;
    let names: Vec<_> = names(&archive)
        .filter(|name| (package.is_wanted)(name))
        .collect();
    let hashes = record(&mut archive).map_err(&damaged)?;
    fs::create_dir(dir).map_err(io_error(format!(
        "cannot make the folder {}",
        dir.display()
    )))?;
    for name in names {
        let expected = hashes
            .get(&name)
            .ok_or_else(|| damaged(format!("its RECORD does not list {name}")))?;
        let entry = archive
            .by_name(&name)
            .map_err(|error| damaged(format!("{name}: {error}")))?;
        let path = dir.join(name.rsplit('/').next().unwrap_or(&name));
        // The size that the archive states is not to be believed.
        let mut entry = entry.take(package.max_file_bytes + 1);
        let (actual, num_bytes) = write(&path, &mut entry)
            .map_err(io_error(format!("cannot write {}", path.display())))?;
        if num_bytes > package.max_file_bytes {
            let max_bytes = package.max_file_bytes;
            return Err(damaged(format!("{name} is larger than {max_bytes} bytes")));
        }
        if actual[..] != expected[..] {
            return Err(damaged(format!("{name} is not what its RECORD says")));
        }
    }
    Ok(())
}

fn names(archive: &ZipArchive<File>) -> impl Iterator<Item = String> {
    archive.file_names().flatten().map(Cow::into_owned)
}

/// Reads the hashes of the wheel's files: lines of `path,sha256=<base64>,size`.
fn record(archive: &mut ZipArchive<File>) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let is_record = |name: &String| name.ends_with(".dist-info/RECORD");
    let name = names(archive).find(is_record).ok_or("it has no RECORD")?;
    let entry = archive
        .by_name(&name)
        .map_err(|error| format!("{name}: {error}"))?;
    let mut text = String::new();
    entry
        .take(MAX_RECORD_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| format!("{name}: {error}"))?;
    let entry = |line: &str| {
        let mut columns = line.rsplitn(3, ',');
        let (_size, hash, path) = (columns.next()?, columns.next()?, columns.next()?);
        let hash = URL_SAFE_NO_PAD.decode(hash.strip_prefix("sha256=")?).ok()?;
        Some((path.to_owned(), hash))
    };
    Ok(text.lines().filter_map(entry).collect())
}

/// Writes a file so that it is there after a crash, since its folder is renamed into place next; returns its hash and
/// length.
fn write(path: &Path, entry: &mut impl Read) -> io::Result<(Sha256Hash, u64)> {
    let mut file = File::create_new(path)?;
    let (mut hasher, mut num_bytes) = (Sha256::new(), 0);
    copy(entry, |chunk| {
        hasher.update(chunk);
        num_bytes += chunk.len() as u64;
        file.write_all(chunk)
    })?;
    file.sync_all()?;
    Ok((hasher.finalize().into(), num_bytes))
}

fn copy(reader: &mut impl Read, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match reader.read(&mut chunk)? {
            0 => return Ok(()),
            len => each(&chunk[..len])?,
        }
    }
}
