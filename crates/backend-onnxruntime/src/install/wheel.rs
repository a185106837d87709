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

use super::{InstallError, file_name, io_error};
use crate::library::is_library;

/// The folder in the wheel that the library is in.
const LIBRARY_DIR: &str = "onnxruntime/capi/";

/// The terms under which the library may be used; they go with it.
const LICENCES: [&str; 2] = ["onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"];

/// No file that is unpacked is larger, in bytes; the library has about thirty million.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

type Sha256Hash = [u8; 32];

/// Returns the hash of everything that a reader gives.
pub(super) fn sha256(reader: &mut impl Read) -> io::Result<Sha256Hash> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut chunk)? {
            0 => return Ok(hasher.finalize().into()),
            len => hasher.update(&chunk[..len]),
        }
    }
}

/// Unpacks the library and its licences into a new folder, each under its plain name.
pub(super) fn unpack(wheel: &Path, dir: &Path) -> Result<(), InstallError> {
    let damaged = |reason: String| InstallError::DamagedWheel {
        file: file_name(wheel),
        reason,
    };
    let file = File::open(wheel).map_err(io_error(format!("cannot open {}", file_name(wheel))))?;
    let mut archive = ZipArchive::new(file).map_err(|error| damaged(error.to_string()))?;
    let names: Vec<_> = names(&archive).filter(|name| is_wanted(name)).collect();
    let hashes = record(&mut archive).map_err(&damaged)?;
    fs::create_dir(dir).map_err(io_error(format!(
        "cannot make the folder {}",
        dir.display()
    )))?;
    for name in names {
        let expected = hashes
            .get(&name)
            .ok_or_else(|| damaged(format!("its RECORD does not list {name}")))?;
        let bytes = read_entry(&mut archive, &name).map_err(&damaged)?;
        if Sha256::digest(&bytes)[..] != expected[..] {
            return Err(damaged(format!("{name} is not what its RECORD says")));
        }
        let path = dir.join(name.rsplit('/').next().unwrap_or(&name));
        write(&path, &bytes).map_err(io_error(format!("cannot write {}", path.display())))?;
    }
    Ok(())
}

fn names(archive: &ZipArchive<File>) -> impl Iterator<Item = String> {
    archive.file_names().flatten().map(Cow::into_owned)
}

fn is_wanted(name: &str) -> bool {
    LICENCES.contains(&name)
        || name
            .strip_prefix(LIBRARY_DIR)
            .is_some_and(|name| !name.contains('/') && is_library(name))
}

/// Reads the hashes of the wheel's files: lines of `path,sha256=<base64>,size`.
fn record(archive: &mut ZipArchive<File>) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let is_record = |name: &String| name.ends_with(".dist-info/RECORD");
    let name = names(archive).find(is_record).ok_or("it has no RECORD")?;
    let text =
        String::from_utf8(read_entry(archive, &name)?).map_err(|_| "its RECORD is not text")?;
    let entry = |line: &str| {
        let mut columns = line.rsplitn(3, ',');
        let (_size, hash, path) = (columns.next()?, columns.next()?, columns.next()?);
        let hash = URL_SAFE_NO_PAD.decode(hash.strip_prefix("sha256=")?).ok()?;
        Some((path.to_owned(), hash))
    };
    Ok(text.lines().filter_map(entry).collect())
}

fn read_entry(archive: &mut ZipArchive<File>, name: &str) -> Result<Vec<u8>, String> {
    let entry = archive
        .by_name(name)
        .map_err(|error| format!("{name}: {error}"))?;
    let mut bytes = Vec::new();
    // The size that the archive states is not to be believed.
    entry
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("{name}: {error}"))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("{name} is larger than {MAX_FILE_BYTES} bytes"));
    }
    Ok(bytes)
}

/// Writes a file so that it is there after a crash, since the folder is renamed into place next.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
