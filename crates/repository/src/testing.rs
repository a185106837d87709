//! Model folders for tests.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

/// A folder that is removed after the test.
pub(crate) struct Tree(TempDir);

impl Tree {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Makes files; a path that ends in `/` is a folder, one that ends in `.onnx` holds a model.
    pub(crate) fn with(paths: &[&str]) -> Self {
        let tree = Self::new();
        for path in paths {
            match path {
                path if path.ends_with('/') => std::fs::create_dir_all(tree.path(path)).unwrap(),
                path if path.ends_with(".onnx") => tree.write(path, &onnx(4)),
                path => tree.write(path, b""),
            }
        }
        tree
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Writes a file whose time of modification lies in the past, or in the future.
    pub(crate) fn write_at(&self, path: &str, bytes: &[u8], modified: SystemTime) {
        self.write(path, bytes);
        File::options()
            .write(true)
            .open(self.path(path))
            .unwrap()
            .set_modified(modified)
            .unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        let path = self.path(path);
        match path.is_dir() {
            true => std::fs::remove_dir_all(path).unwrap(),
            false => std::fs::remove_file(path).unwrap(),
        }
    }
}

/// A time at which everything had been at rest for long.
pub(crate) fn long_ago() -> SystemTime {
    SystemTime::now() - Duration::from_secs(3600)
}

/// Returns an ONNX file: `y = Identity(x)` on f32 of any length, and a weight of so many bytes at its end.
pub(crate) fn onnx(num_weight_bytes: usize) -> Vec<u8> {
    let dim = [string(2, "n")].concat();
    let shape = message(1, &dim);
    let tensor_type = [varint(1, 1), message(2, &shape)].concat();
    let value = |name: &str| [string(1, name), message(2, &message(1, &tensor_type))].concat();
    let node = [string(1, "x"), string(2, "y"), string(4, "Identity")].concat();
    let weight = [
        varint(1, u64::try_from(num_weight_bytes / 4).unwrap()),
        varint(2, 1),
        string(8, "w"),
        message(9, &vec![7; num_weight_bytes]),
    ];
    let graph = [
        message(1, &node),
        string(2, "g"),
        message(11, &value("x")),
        message(12, &value("y")),
        message(5, &weight.concat()),
    ];
    let opset = varint(2, 17);
    [
        varint(1, 8),
        message(8, &opset),
        message(7, &graph.concat()),
    ]
    .concat()
}

fn varint(field: u64, value: u64) -> Vec<u8> {
    [encode(field << 3), encode(value)].concat()
}

fn message(field: u64, bytes: &[u8]) -> Vec<u8> {
    let len = u64::try_from(bytes.len()).unwrap();
    [encode(field << 3 | 2), encode(len), bytes.to_vec()].concat()
}

fn string(field: u64, text: &str) -> Vec<u8> {
    message(field, text.as_bytes())
}

fn encode(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
