//! Installing from wheels that a stand-in for Python "downloads".

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::install::install_wheel;
use crate::{InstallError, Machine, Package, Pin, Wheels, newest};

const LIBRARY: &str = "demo/libdemo.so.1.31.1";
const GOOD: &[(&str, &[u8])] = &[
    ("demo/LICENSE", b"terms"),
    ("demo/__init__.py", b"never unpacked"),
    (LIBRARY, b"the library"),
];

/// No wheel is like it.
const OTHER_PIN: Pin = Pin {
    file: "other.whl",
    sha256: "00",
};

const PACKAGE: Package = Package {
    title: "Demo",
    folder: "demo",
    version: "1.31.1",
    wheels: &[],
    download_megabytes: 1,
    is_wanted: |name| ["demo/LICENSE", LIBRARY].contains(&name),
    max_file_bytes: 16,
    library_in,
};

fn library_in(dir: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
    let is_library = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("libdemo.so"))
    };
    files.into_iter().find(is_library)
}

/// A folder with a fake Python, which "downloads" a wheel made of these entries.
struct Setup {
    dir: TempDir,
    wheel_sha256: String,
}

impl Setup {
    fn new(entries: &[(&str, &[u8])], record_of: &[(&str, &[u8])]) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let mut add = |name: &str, bytes: &[u8]| {
            zip.start_file(name, SimpleFileOptions::default())
                .expect("entries can be added");
            zip.write_all(bytes).expect("entries can be written");
        };
        let line = |(name, bytes): &(&str, &[u8])| {
            format!(
                "{name},sha256={},{}\n",
                URL_SAFE_NO_PAD.encode(Sha256::digest(bytes)),
                bytes.len()
            )
        };
        entries.iter().for_each(|(name, bytes)| add(name, bytes));
        add(
            "demo-1.31.1.dist-info/RECORD",
            record_of.iter().map(line).collect::<String>().as_bytes(),
        );
        let wheel = zip.finish().expect("archives can be finished").into_inner();
        fs::write(dir.path().join("source.whl"), &wheel).expect("files can be written");
        let wheel_sha256 = Sha256::digest(&wheel)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let setup = Self { dir, wheel_sha256 };
        setup.python(&format!(
            "mkdir -p \"$dir\"; cp {} \"$dir/x.whl\"",
            setup.path("source.whl").display()
        ));
        setup
    }

    /// Writes a Python that does this; `$dir` is where downloads go.
    fn python(&self, script: &str) {
        let script = format!(
            "#!/bin/sh\nwhile [ $# -gt 0 ]; do if [ \"$1\" = -d ]; then dir=$2; fi; shift; done\n{script}\n"
        );
        fs::write(self.path("python"), script).expect("files can be written");
        fs::set_permissions(self.path("python"), fs::Permissions::from_mode(0o755))
            .expect("it is ours");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn install(&self) -> Result<PathBuf, InstallError> {
        let pin = Pin {
            file: "x.whl",
            sha256: self.wheel_sha256.clone().leak(),
        };
        self.install_pinned(vec![pin].leak())
    }

    fn install_pinned(&self, pins: &'static [Pin]) -> Result<PathBuf, InstallError> {
        self.install_by(&self.path("python"), pins)
    }

    fn install_by(&self, python: &Path, pins: &'static [Pin]) -> Result<PathBuf, InstallError> {
        let wheels = Wheels {
            machine: Machine::LinuxX86,
            package: "demo",
            platform: "manylinux_2_28_x86_64",
            pins,
        };
        install_wheel(&PACKAGE, &wheels, &self.path("cache"), python, &mut |_| {})
    }

    /// Returns what is in the cache, hidden folders too.
    fn cached(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("cache/demo"))
            .into_iter()
            .flatten()
            .flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }
}

#[test]
fn the_library_and_its_licences_are_unpacked_and_nothing_else() {
    let setup = Setup::new(GOOD, GOOD);
    let path = setup.install().expect("everything is right");
    assert_eq!(path, setup.path("cache/demo/1.31.1/libdemo.so.1.31.1"));
    assert_eq!(fs::read(&path).expect("it is there"), b"the library");
    let mut names: Vec<_> = fs::read_dir(path.parent().expect("a folder"))
        .expect("it is there")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["LICENSE", "libdemo.so.1.31.1"]);
    assert_eq!(setup.cached(), ["1.31.1"]);
    assert_eq!(newest(&setup.path("cache"), &PACKAGE), Some(path.clone()));

    setup.python("exit 1");
    assert_eq!(setup.install().expect("it is there already"), path);
}

#[test]
fn a_wheel_of_another_hash_is_refused() {
    let setup = Setup::new(GOOD, GOOD);
    let error = setup
        .install_pinned(&[OTHER_PIN])
        .expect_err("it is none of ours");
    assert!(
        matches!(&error, InstallError::UnknownWheel { actual, .. } if *actual == setup.wheel_sha256),
        "{error}"
    );
    assert!(setup.cached().is_empty());
}

#[test]
fn entries_that_contradict_the_record_are_refused() {
    let other: &[(&str, &[u8])] = &[(LIBRARY, b"another library")];
    for record in [other, &[]] {
        let setup = Setup::new(&[(LIBRARY, b"the library")], record);
        let error = setup.install().expect_err("it is not what the record says");
        assert!(
            matches!(&error, InstallError::DamagedWheel { reason, .. } if reason.contains(LIBRARY)),
            "{error}"
        );
        assert!(setup.cached().is_empty());
    }
}

#[test]
fn a_file_that_is_larger_than_expected_is_refused() {
    let large: &[(&str, &[u8])] = &[(LIBRARY, b"seventeen bytes..")];
    let setup = Setup::new(large, large);
    let error = setup.install().expect_err("it is too large");
    assert!(
        matches!(&error, InstallError::DamagedWheel { reason, .. } if reason.contains("larger than 16 bytes")),
        "{error}"
    );
    assert!(setup.cached().is_empty());
}

#[test]
fn the_newest_version_is_found_by_number() {
    let cache = TempDir::new().expect("a temporary folder");
    assert_eq!(newest(cache.path(), &PACKAGE), None);
    for version in ["1.9.0", "1.31.1", "1.31.0", ".tmp-1.99.0", "notes"] {
        let dir = cache.path().join("demo").join(version);
        fs::create_dir_all(&dir).expect("folders can be made");
        fs::write(dir.join(format!("libdemo.so.{version}")), b"").expect("files can be written");
    }
    fs::create_dir_all(cache.path().join("demo/2.0.0")).expect("an empty folder is no version");
    let expected = cache.path().join("demo/1.31.1/libdemo.so.1.31.1");
    assert_eq!(newest(cache.path(), &PACKAGE), Some(expected));
}

#[test]
fn the_end_of_pips_complaint_is_repeated() {
    let setup = Setup::new(GOOD, GOOD);
    setup.python("echo 'ERROR: no matching distribution' >&2; exit 1");
    let error = setup.install().expect_err("pip failed");
    assert!(
        matches!(&error, InstallError::Pip { output, .. } if output.contains("no matching")),
        "{error}"
    );
    let no_python = setup.install_by(&setup.path("no-such-python"), &[OTHER_PIN]);
    assert!(matches!(no_python, Err(InstallError::Python { .. })));
    assert!(setup.cached().is_empty());
}
