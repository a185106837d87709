use std::fmt::Write;

use super::*;

fn object(name: &str) -> (String, Object) {
    let (name, num_bytes) = match name.strip_suffix(":0") {
        Some(name) => (name, 0),
        None => (name, 1),
    };
    let object = Object {
        location: Path::from(name),
        num_bytes,
        stamp: "s".to_owned(),
        etag: None,
        modified: SystemTime::UNIX_EPOCH,
    };
    (name.to_owned(), object)
}

/// Writes a listing as `model/version(folder): file file; …`.
fn shown(listing: &Listing) -> String {
    let mut text = String::new();
    for (name, model) in &listing.models {
        if model.settings.is_some() {
            write!(text, "{name}: settings; ").unwrap();
        }
        for (version, found) in &model.versions {
            let files: Vec<_> = found.files.iter().map(|file| file.path.as_str()).collect();
            let files = found.refusal.clone().unwrap_or_else(|| files.join(" "));
            write!(text, "{name}/{version}({}): {files}; ", found.dir).unwrap();
        }
    }
    text.trim_end_matches("; ").to_owned()
}

fn check(names: &[&str], kind: BaseKind, is_model: Option<bool>, expected: &str) {
    let listing = read(names.iter().map(|name| object(name)).collect(), kind, None);
    assert_eq!(
        (listing.is_model, shown(&listing).as_str()),
        (is_model, expected),
        "{names:?}"
    );
}

#[test]
fn a_base_path_of_one_model_has_versions() {
    use BaseKind::{Discover, Model};
    let one = Some(true);
    check(
        &["1/model.onnx", "1/a/b"],
        Model,
        one,
        "/1(1): a/b model.onnx",
    );
    check(
        &["00000123/saved_model.pb", "x"],
        Discover,
        one,
        "/123(00000123): saved_model.pb",
    );
    check(
        &["model.onnx", "model.toml", "w"],
        Discover,
        one,
        ": settings; /1(1): model.onnx w",
    );
    check(&["model.toml", "1/x"], Model, one, "/1(1): x");
    check(
        &["model.onnx", "2/x"],
        Model,
        one,
        "/1(1): model.onnx; /2(2): x",
    );
    check(&["model.onnx", "1/x"], Model, one, "/1(1): x");
    check(&["1/x", "001/y"], Model, one, "/1(1): x");
    check(&["m/1/model.onnx"], Model, one, "");
    check(&[], Model, one, "");
}

#[test]
fn a_base_path_of_models_has_them_by_name() {
    let many = Some(false);
    let check = |names: &[&str], expected: &str| check(names, BaseKind::Discover, many, expected);
    check(
        &["a/1/model.onnx", "b/model.onnx", "b/w", "c/model.toml"],
        "a/1(1): model.onnx; b/1(1): model.onnx w; c: settings",
    );
    check(
        &["d.onnx", "d.onnx.data", "e.tflite", "readme.md"],
        "d/1(1): model.onnx d.onnx.data; e/1(1): model.tflite",
    );
    check(&["d.onnx", "d/2/x"], "d/2(2): x");
    check(&["notes/a", "x"], "");
    check(&[".hidden/1/model.onnx", "x"], "");
    super::read(Vec::new(), BaseKind::Discover, None);
}

#[test]
fn what_a_base_path_is_stays_once_it_is_known() {
    let names = ["1/model.onnx", "a/1/model.onnx"];
    let of = |known| {
        let objects = names.iter().map(|name| object(name)).collect();
        shown(&read(objects, BaseKind::Discover, known))
    };
    assert_eq!(of(None), "/1(1): model.onnx");
    assert_eq!(of(Some(false)), "1/1(1): model.onnx; a/1(1): model.onnx");
    let nothing = read(Vec::new(), BaseKind::Discover, None);
    assert_eq!(nothing.is_model, None);
}

#[test]
fn empty_objects_that_stand_for_folders_are_left_out() {
    check(
        &["1:0", "1/a:0", "1/a/b", "1/empty:0"],
        BaseKind::Model,
        Some(true),
        "/1(1): a/b empty",
    );
}

#[test]
fn names_that_are_no_files_are_refused() {
    let long = format!("1/{}", "x".repeat(300));
    let deep = format!("1/{}", vec!["d"; 20].join("/"));
    let rows = [
        ("1/a/../b", "`a/../b` cannot be the name of a file"),
        ("1/..", "`..` cannot be the name of a file"),
        (
            "1//etc/passwd",
            "`/etc/passwd` cannot be the name of a file",
        ),
        ("1/a\0b", "`a\\u{0}b` cannot be the name of a file"),
        (&long, "cannot be the name of a file"),
        (&deep, "cannot be the name of a file"),
    ];
    for (name, expected) in rows {
        let objects = vec![object("1/model.onnx"), (name.to_owned(), object("x").1)];
        let listing = read(objects, BaseKind::Model, None);
        let refusal = listing.models[""].versions[&1]
            .refusal
            .clone()
            .unwrap_or_default();
        assert!(refusal.contains(expected), "{name}: {refusal}");
    }
    let listing = read(
        [object("1/a"), object("1/a/b")].into(),
        BaseKind::Model,
        None,
    );
    assert_eq!(
        shown(&listing),
        "/1(1): `a` is an object, and there are objects below it"
    );
    let many = (0..=MAX_FILES).map(|idx| object(&format!("1/{idx}")));
    let listing = read(many.collect(), BaseKind::Model, None);
    assert_eq!(shown(&listing), "/1(1): it has more than 10000 files");
}

#[test]
fn a_fingerprint_tells_every_change() {
    let version = |name: &str, num_bytes, stamp: &str| {
        let object = Object {
            num_bytes,
            stamp: stamp.to_owned(),
            ..object("x").1
        };
        read_version("1", [(name, &object)].into_iter()).fingerprint()
    };
    let base = version("a", 1, "s");
    assert_eq!(version("a", 1, "s"), base);
    for other in [
        version("b", 1, "s"),
        version("a", 2, "s"),
        version("a", 1, "t"),
        version("as", 1, ""),
    ] {
        assert_ne!(other, base);
    }
}
