//! How much of a disk each server takes up, without models.
//!
//! Ours is a binary, and the library of an engine where one is installed; a peer is what pip installed for it, and what
//! that requires. Python itself, which a peer needs too, is not counted.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::servers::{Kind, Programs, source_folder};

/// Returns the size of a server in bytes.
pub(crate) fn size(kind: Kind, programs: &Programs) -> Result<u64> {
    match kind {
        Kind::Salver("rten") => of_file(&programs.salver),
        Kind::Salver(engine) => {
            let engines = programs.engines.as_deref().context("no --engines")?;
            Ok(of_file(&programs.salver)? + of_folder(&engines.join(engine))?)
        }
        Kind::Bare | Kind::BareDefault => of_file(&programs.bare),
        Kind::FastApi => of_packages(
            programs,
            &["fastapi", "uvicorn[standard]", "onnxruntime", "numpy"],
        ),
        // The server is inside that package; what it requires of Python is for a client and is not used here.
        Kind::Triton => of_packages(
            programs,
            &["onnxruntime", "numpy", "--alone", "nvidia-pytriton"],
        ),
    }
}

fn of_file(path: &Path) -> Result<u64> {
    let found = fs::metadata(path).with_context(|| format!("no {}", path.display()))?;
    Ok(found.len())
}

fn of_folder(path: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path).with_context(|| format!("no {}", path.display()))? {
        let entry = entry?;
        bytes += match entry.file_type()? {
            kind if kind.is_dir() => of_folder(&entry.path())?,
            kind if kind.is_file() => entry.metadata()?.len(),
            // What a link leads to is counted where it is.
            _ => 0,
        };
    }
    Ok(bytes)
}

fn of_packages(programs: &Programs, arguments: &[&str]) -> Result<u64> {
    let output = Command::new(programs.peers()?.join("bin/python"))
        .arg(source_folder().join("installed_size.py"))
        .args(arguments)
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_walked_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let version = folder.path().join("1.0");
        fs::create_dir(&version).unwrap();
        fs::write(version.join("library"), [0; 1000]).unwrap();
        fs::write(folder.path().join("LICENSE"), [0; 10]).unwrap();
        std::os::unix::fs::symlink(version.join("library"), folder.path().join("link")).unwrap();
        assert_eq!(of_folder(folder.path()).unwrap(), 1010);
    }
}
