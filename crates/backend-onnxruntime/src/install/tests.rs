use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

const LIBRARY: &str = "onnxruntime/capi/libonnxruntime.so.1.31.1";
const GOOD: &[(&str, &[u8])] = &[
    ("onnxruntime/LICENSE", b"terms"),
    ("onnxruntime/__init__.py", b"never unpacked"),
    (
        "onnxruntime/capi/libonnxruntime_providers_shared.so",
        b"never unpacked",
    ),
    ("../../libonnxruntime.so.9", b"never unpacked"),
    (
        "onnxruntime/capi/../../libonnxruntime.so.9",
        b"never unpacked",
    ),
    (LIBRARY, b"the library"),
];

/// A folder with a fake Python, which "downloads" a wheel made of these entries.
struct Machine {
    dir: TempDir,
    wheel_sha256: String,
}

impl Machine {
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
            "onnxruntime-1.31.1.dist-info/RECORD",
            record_of.iter().map(line).collect::<String>().as_bytes(),
        );
        let wheel = zip.finish().expect("archives can be finished").into_inner();
        fs::write(dir.path().join("source.whl"), &wheel).expect("files can be written");
        let wheel_sha256 = Sha256::digest(&wheel)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let machine = Self { dir, wheel_sha256 };
        machine.python(&format!(
            "mkdir -p \"$dir\"; cp {} \"$dir/x.whl\"",
            machine.path("source.whl").display()
        ));
        machine
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
        let sha256 = self.wheel_sha256.clone().leak();
        self.install_pinned(&[Pin {
            file: "x.whl",
            sha256,
        }])
    }

    fn install_pinned(&self, pins: &[Pin]) -> Result<PathBuf, InstallError> {
        install_pinned(
            &self.path("cache"),
            &self.path("python"),
            Target::LinuxX86,
            pins,
            &mut |_| {},
        )
    }

    /// Returns what is in the cache, hidden folders too.
    fn cached(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("cache/onnxruntime"))
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
    let machine = Machine::new(GOOD, GOOD);
    let path = machine.install().expect("everything is right");
    assert_eq!(
        path,
        machine.path("cache/onnxruntime/1.31.1/libonnxruntime.so.1.31.1")
    );
    assert_eq!(fs::read(&path).expect("it is there"), b"the library");
    let mut names: Vec<_> = fs::read_dir(path.parent().expect("a folder"))
        .expect("it is there")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["LICENSE", "libonnxruntime.so.1.31.1"]);
    assert_eq!(machine.cached(), ["1.31.1"]);
    assert_eq!(library::newest(&machine.path("cache")), Some(path.clone()));

    machine.python("exit 1");
    assert_eq!(machine.install().expect("it is there already"), path);
}

#[test]
fn a_wheel_of_another_hash_is_refused() {
    let machine = Machine::new(GOOD, GOOD);
    let error = machine
        .install_pinned(PINS)
        .expect_err("it is none of ours");
    assert!(
        matches!(&error, InstallError::UnknownWheel { actual, .. } if *actual == machine.wheel_sha256),
        "{error}"
    );
    assert!(machine.cached().is_empty());
}

#[test]
fn entries_that_contradict_the_record_are_refused() {
    let other: &[(&str, &[u8])] = &[(LIBRARY, b"another library")];
    for record in [other, &[]] {
        let machine = Machine::new(&[(LIBRARY, b"the library")], record);
        let error = machine
            .install()
            .expect_err("it is not what the record says");
        assert!(
            matches!(&error, InstallError::DamagedWheel { reason, .. } if reason.contains(LIBRARY)),
            "{error}"
        );
        assert!(machine.cached().is_empty());
    }
}

#[test]
fn the_end_of_pips_complaint_is_repeated() {
    let machine = Machine::new(GOOD, GOOD);
    machine.python("echo 'ERROR: no matching distribution' >&2; exit 1");
    let error = machine.install().expect_err("pip failed");
    assert!(
        matches!(&error, InstallError::Pip { output } if output.contains("no matching")),
        "{error}"
    );
    let no_python = install_pinned(
        &machine.path("cache"),
        &machine.path("no-such-python"),
        Target::LinuxX86,
        PINS,
        &mut |_| {},
    );
    assert!(matches!(no_python, Err(InstallError::Python { .. })));
    assert!(machine.cached().is_empty());
}
