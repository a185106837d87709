//! What is to be installed, told by each engine.

use std::path::{Path, PathBuf};

/// An engine's library in one version.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// The engine's name for people: `ONNX Runtime`.
    pub title: &'static str,
    /// The engine's folder in the cache: `onnxruntime`.
    pub folder: &'static str,
    /// The version.
    pub version: &'static str,
    /// The wheels that carry it, by the kind of machine.
    pub wheels: &'static [Wheels],
    /// How much is downloaded, in megabytes, for the line that says so.
    pub download_megabytes: u32,
    /// Tells by its path in the wheel whether a file is unpacked; it then lies under its plain name.
    pub is_wanted: fn(&str) -> bool,
    /// No file that is unpacked is larger, in bytes.
    pub max_file_bytes: u64,
    /// Returns the library in a folder that is installed.
    pub library_in: fn(&Path) -> Option<PathBuf>,
}

/// The wheels for one kind of machine.
#[derive(Clone, Copy, Debug)]
pub struct Wheels {
    /// The kind of machine.
    pub machine: Machine,
    /// The package's name for pip.
    pub package: &'static str,
    /// pip's name for the machine.
    pub platform: &'static str,
    /// The releases that are known to be good, one for each Python.
    pub pins: &'static [Pin],
}

/// One release file.
#[derive(Clone, Copy, Debug)]
pub struct Pin {
    /// Its name, which says for which Python and machine it is; only for whoever updates the list.
    pub file: &'static str,
    /// The hash of the whole file, in hexadecimal.
    pub sha256: &'static str,
}

/// A kind of machine for which there are wheels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// Linux with glibc on x86-64.
    LinuxX86,
    /// Linux with glibc on 64-bit ARM.
    LinuxArm,
    /// macOS on Apple silicon.
    MacArm,
}

impl Machine {
    /// Returns the kind of the machine that this program is built for.
    #[must_use]
    pub fn of_this_program() -> Option<Self> {
        let is_glibc = cfg!(target_env = "gnu");
        match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") if is_glibc => Some(Self::LinuxX86),
            ("linux", "aarch64") if is_glibc => Some(Self::LinuxArm),
            ("macos", "aarch64") => Some(Self::MacArm),
            _ => None,
        }
    }
}
