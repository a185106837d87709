//! The steps: download, check, unpack, publish.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Machine, Package, Pin, Wheels, wheel};

/// How much of pip's complaint an error repeats: its last lines say what is wrong.
const PIP_LINES: usize = 6;

/// The Python whose wheel is taken where there is none for the user's own: the library in them is the same.
const OTHER_PYTHON: &str = "3.12";

/// Why a library could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// There is no wheel for this machine.
    #[error(
        "there is no prebuilt {title} {version} for {os} on {arch}; build it and name the library file"
    )]
    UnsupportedPlatform {
        /// The engine.
        title: &'static str,
        /// Its version.
        version: &'static str,
        /// The operating system.
        os: &'static str,
        /// The processor.
        arch: &'static str,
    },
    /// Python does not start.
    #[error("`{python}` cannot be run: {reason}; name a Python 3 that has pip")]
    Python {
        /// The program.
        python: String,
        /// What the system said.
        reason: String,
    },
    /// pip did not download the wheel.
    #[error("pip could not download {package}:\n{output}")]
    Pip {
        /// The package and its version.
        package: String,
        /// The end of what it wrote.
        output: String,
    },
    /// The file that came is not one that is known to be good.
    #[error(
        "{file} has SHA-256 {actual}, which is not that of a known release; it was not unpacked"
    )]
    UnknownWheel {
        /// The wheel's file name.
        file: String,
        /// Its hash.
        actual: String,
    },
    /// The wheel contradicts itself.
    #[error("{file} is damaged: {reason}")]
    DamagedWheel {
        /// The wheel's file name.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file could not be written or read.
    #[error("{what}: {source}")]
    Io {
        /// What was to be done.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Installs a library into `<cache_dir>/<engine>/<version>/` and returns its path. Does nothing if it is there.
///
/// `python` is a Python 3 with pip; `progress` is told what is being done, a line at a time.
///
/// # Blocking
/// Downloads a wheel: megabytes to hundreds of them.
///
/// # Errors
/// [`InstallError`]; the cache is then as it was before.
pub fn install(
    package: &Package,
    cache_dir: &Path,
    python: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, InstallError> {
    let machine = Machine::of_this_program();
    let wheels = package
        .wheels
        .iter()
        .find(|wheels| Some(wheels.machine) == machine);
    let wheels = wheels.ok_or(InstallError::UnsupportedPlatform {
        title: package.title,
        version: package.version,
        os: std::env::consts::OS,
        arch: std::env::consts::ARCH,
    })?;
    install_wheel(package, wheels, cache_dir, python, progress)
}

pub(crate) fn install_wheel(
    package: &Package,
    wheels: &Wheels,
    cache_dir: &Path,
    python: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, InstallError> {
    let Package { title, version, .. } = package;
    let home = cache_dir.join(package.folder);
    let installed = home.join(version);
    if let Some(path) = (package.library_in)(&installed) {
        progress(&format!("{title} {version} is installed already"));
        return Ok(path);
    }
    fs::create_dir_all(&home).map_err(io_error(format!(
        "cannot make the folder {}",
        home.display()
    )))?;
    // Beside its destination, so that it can be renamed into place; no version is named like it.
    let work = tempfile::Builder::new()
        .prefix(".installing-")
        .tempdir_in(&home)
        .map_err(io_error(format!(
            "cannot make a folder in {}",
            home.display()
        )))?;

    progress(&format!(
        "downloading {} {version} with pip (about {} MB)",
        wheels.package, package.download_megabytes
    ));
    let requirement = format!("{}=={version}", wheels.package);
    let wheel = download(python, &requirement, wheels.platform, work.path())?;
    progress(&format!("checking {}", file_name(&wheel)));
    check_hash(&wheel, wheels.pins)?;
    progress(&format!("unpacking the library of {title}"));
    let unpacked = work.path().join("unpacked");
    wheel::unpack(package, &wheel, &unpacked)?;
    publish(package, &unpacked, &installed)?;
    let path = (package.library_in)(&installed).ok_or_else(|| InstallError::DamagedWheel {
        file: file_name(&wheel),
        reason: format!("it has no library of {title}"),
    })?;
    progress(&format!("installed {}", path.display()));
    Ok(path)
}

/// Downloads the wheel for this Python, or, where there is none for it, the one for a Python that has one.
fn download(
    python: &Path,
    requirement: &str,
    platform: &str,
    dir: &Path,
) -> Result<PathBuf, InstallError> {
    let dir = dir.join("wheel");
    match pip_download(python, requirement, &dir, &[]) {
        Err(first @ InstallError::Pip { .. }) => {
            let other = ["--python-version", OTHER_PYTHON, "--platform", platform];
            pip_download(python, requirement, &dir, &other).map_err(|error| match error {
                InstallError::Pip { .. } => first,
                other => other,
            })
        }
        result => result,
    }
}

fn pip_download(
    python: &Path,
    requirement: &str,
    dir: &Path,
    options: &[&str],
) -> Result<PathBuf, InstallError> {
    fs::create_dir_all(dir).map_err(io_error("cannot make a temporary folder".to_owned()))?;
    // A path that is relative to this folder would mean another one from there.
    let python = match python.components().count() {
        1 => python.to_path_buf(),
        _ => std::path::absolute(python).map_err(io_error("cannot find Python".to_owned()))?,
    };
    let output = Command::new(&python)
        .args([
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--no-input",
        ])
        .args(options)
        .arg("-d")
        .arg(dir)
        .arg(requirement)
        // `python -m` looks for modules in the current folder first; in this one there are none.
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| InstallError::Python {
            python: python.display().to_string(),
            reason: error.to_string(),
        })?;
    let failed = || {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<_> = complaint
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        InstallError::Pip {
            package: requirement.to_owned(),
            output: lines[lines.len().saturating_sub(PIP_LINES)..].join("\n"),
        }
    };
    if !output.status.success() {
        return Err(failed());
    }
    let files =
        fs::read_dir(dir).map_err(io_error("cannot read what pip downloaded".to_owned()))?;
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "whl");
    files
        .flatten()
        .map(|entry| entry.path())
        .find(is_wheel)
        .ok_or_else(failed)
}

fn check_hash(wheel: &Path, pins: &[Pin]) -> Result<(), InstallError> {
    let mut file =
        fs::File::open(wheel).map_err(io_error(format!("cannot open {}", file_name(wheel))))?;
    let actual =
        wheel::sha256(&mut file).map_err(io_error(format!("cannot read {}", file_name(wheel))))?;
    let actual: String = actual.iter().map(|byte| format!("{byte:02x}")).collect();
    match pins.iter().any(|pin| pin.sha256 == actual) {
        true => Ok(()),
        false => Err(InstallError::UnknownWheel {
            file: file_name(wheel),
            actual,
        }),
    }
}

/// Moves the finished folder into place; whoever is first wins, but a folder without the library gives way.
fn publish(package: &Package, unpacked: &Path, installed: &Path) -> Result<(), InstallError> {
    let failed = || io_error(format!("cannot make the folder {}", installed.display()));
    match fs::rename(unpacked, installed) {
        Err(_) if (package.library_in)(installed).is_some() => Ok(()),
        Err(_) if installed.is_dir() => {
            fs::remove_dir_all(installed).map_err(failed())?;
            fs::rename(unpacked, installed).map_err(failed())
        }
        result => result.map_err(failed()),
    }
}

pub(crate) fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

pub(crate) fn io_error(what: String) -> impl FnOnce(io::Error) -> InstallError {
    move |source| InstallError::Io { what, source }
}
