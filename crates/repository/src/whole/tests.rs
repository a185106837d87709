use super::*;
use crate::testing::{self, Tree, long_ago};

fn structure(tree: &Tree, dir: &str) -> Result<(), String> {
    let files = Place::Dir(tree.path(dir)).files().unwrap();
    check_structure(&files).map_err(|flaw| flaw.message())
}

#[test]
fn a_scan_tells_every_change_and_nothing_else() {
    let tree = Tree::with(&["1/model.onnx", "1/assets/"]);
    let place = Place::Dir(tree.path("1"));
    tree.write_at("1/assets/labels.txt", b"abc", long_ago());
    let mut seen = vec![scan(&place).unwrap().fingerprint];
    assert_eq!(
        scan(&place).unwrap().fingerprint,
        seen[0],
        "looking changes nothing"
    );
    let steps: [(&str, &dyn Fn()); 5] = [
        ("size", &|| {
            tree.write_at("1/assets/labels.txt", b"abcd", long_ago())
        }),
        ("time", &|| {
            tree.write_at("1/assets/labels.txt", b"abce", SystemTime::now())
        }),
        ("name", &|| {
            std::fs::rename(
                tree.path("1/assets/labels.txt"),
                tree.path("1/assets/l.txt"),
            )
            .unwrap()
        }),
        ("new file", &|| tree.write("1/more", b"")),
        ("file gone", &|| tree.remove("1/assets")),
    ];
    for (what, step) in steps {
        step();
        let fingerprint = scan(&place).unwrap().fingerprint;
        assert!(!seen.contains(&fingerprint), "{what} was not noticed");
        seen.push(fingerprint);
    }
}

#[test]
fn a_scan_adds_sizes_and_finds_the_newest_time() {
    let tree = Tree::new();
    let newest = long_ago() + std::time::Duration::from_secs(60);
    tree.write_at("1/a", b"12345", long_ago());
    tree.write_at("1/b/c", b"678", newest);
    let scan = scan(&Place::Dir(tree.path("1"))).unwrap();
    assert_eq!((scan.num_bytes, scan.newest), (8, newest));
}

#[test]
fn a_flat_model_is_its_file_and_those_named_after_it() {
    let tree = Tree::with(&["a.onnx", "a.onnx.data", "b.onnx"]);
    let place = Place::File(tree.path("a.onnx"), ModelFormat::Onnx);
    let before = scan(&place).unwrap();
    tree.write("b.onnx", b"changed");
    assert_eq!(scan(&place).unwrap(), before);
    tree.write("a.onnx.data", b"changed");
    assert_ne!(scan(&place).unwrap(), before);
}

#[test]
fn a_scan_ends_in_a_circle_of_links() {
    let tree = Tree::with(&["1/model.onnx"]);
    std::os::unix::fs::symlink(tree.path("1"), tree.path("1/again")).unwrap();
    let error = scan(&Place::Dir(tree.path("1"))).unwrap_err();
    assert!(error.to_string().contains("deeper than"), "{error}");
}

#[test]
fn an_onnx_file_is_whole_when_its_last_byte_is_there() {
    let whole = testing::onnx(4096);
    let tree = Tree::new();
    tree.write("1/model.onnx", &whole);
    assert_eq!(structure(&tree, "1"), Ok(()));
    for num_bytes in [whole.len() - 1, whole.len() / 2, 100, 1, 0] {
        tree.write("1/model.onnx", &whole[..num_bytes]);
        let message = structure(&tree, "1").unwrap_err();
        assert!(
            message.starts_with("model.onnx is "),
            "{num_bytes} bytes: {message}"
        );
    }
    tree.write("1/model.onnx", &whole[..2000]);
    let expected = format!(
        "model.onnx is incomplete: 2,000 of {} bytes are here",
        grouped(whole.len() as u64)
    );
    assert_eq!(structure(&tree, "1"), Err(expected));
}

#[test]
fn an_onnx_file_whose_space_was_only_reserved_is_not_whole() {
    let mut bytes = testing::onnx(64);
    bytes[8..].fill(0);
    let tree = Tree::new();
    tree.write("1/model.onnx", &bytes);
    structure(&tree, "1").unwrap_err();
}

#[test]
fn a_tflite_file_carries_its_mark() {
    let tree = Tree::new();
    tree.write("1/model.tflite", b"\x1c\0\0\0TFL3");
    assert_eq!(structure(&tree, "1"), Ok(()));
    for bytes in [b"".as_slice(), b"\x1c\0\0\0TF", b"\x1c\0\0\0ABCD and more"] {
        tree.write("1/model.tflite", bytes);
        assert_eq!(
            structure(&tree, "1"),
            Err("model.tflite is not a TensorFlow Lite file".to_owned())
        );
    }
}

#[test]
fn large_numbers_are_grouped() {
    let rows = [
        (0, "0"),
        (999, "999"),
        (1_000, "1,000"),
        (178_000_000, "178,000,000"),
    ];
    for (number, expected) in rows {
        assert_eq!(grouped(number), expected);
    }
}
