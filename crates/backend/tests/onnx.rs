//! Reading what ONNX files declare.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;
use salver_backend::onnx::{self, OnnxError, OnnxHeader};
use salver_tensor::{DType, Dim, Tensor};
use salver_testkit::onnx::{Attribute, Graph};
use salver_testkit::{ModelFolder, models};
use salver_wire::Writer;

const FILE: &str = "model.onnx";

#[track_caller]
fn parse(bytes: &[u8]) -> OnnxHeader {
    onnx::parse(bytes, FILE).expect("a valid model")
}

fn names<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|value| value.to_string()).collect()
}

fn weight(shape: &[usize], dtype: DType) -> Tensor {
    let num_bytes = shape.iter().product::<usize>() * dtype.size().expect("numbers");
    Tensor::from_bytes(dtype, shape, vec![0; num_bytes].into()).expect("fits")
}

#[test]
fn everything_declared_is_found() {
    let inner = Graph::new()
        .weight("c", &weight(&[1], DType::I8))
        .node_of("com.microsoft", "Gelu", &["x"], &["z"], &[])
        .output("z", DType::U16, &["1"]);
    let header = parse(
        &Graph::new()
            .property("author", "nobody")
            .opset("ai.onnx.ml", 3)
            .input("x", DType::F32, &["batch", "3", ""])
            .input("w", DType::F32, &["2"])
            .weight("w", &weight(&[2], DType::F32))
            .node_with(
                "If",
                &["x"],
                &["y"],
                &[("then_branch", Attribute::Graph(inner))],
            )
            .node_with("Cast", &["y"], &["d"], &[("to", Attribute::Int(11))])
            .node_with(
                "Constant",
                &[],
                &["k"],
                &[("value", Attribute::Tensor(weight(&[1], DType::U32)))],
            )
            .node_of("ai.onnx", "Relu", &["d"], &["s"], &[])
            .output_of_any_rank("s", DType::F64)
            .to_bytes(),
    );
    assert_eq!(
        names(&header.operators),
        ["Cast", "Constant", "If", "Relu", "com.microsoft.Gelu"]
    );
    assert_eq!(
        names(&header.elements),
        ["float", "int8", "uint16", "double", "uint32"]
    );
    assert_eq!(
        header.metadata,
        [("author".to_owned(), "nobody".to_owned())]
    );
    assert_eq!(header.producer_name, "salver-testkit");
    let opsets: Vec<_> = header
        .opset_imports
        .iter()
        .map(|opset| (opset.domain.as_str(), opset.version))
        .collect();
    assert_eq!(opsets, [("", 16), ("ai.onnx.ml", 3)]);

    let signature = onnx::signature(&header).expect("tensors only");
    assert_eq!(
        names(&signature.inputs),
        ["f32[-1,3,-1]"],
        "an input with a value in the file is none"
    );
    let dims = signature.inputs[0].dims.as_ref().expect("a rank");
    assert_eq!(dims[0], Dim::Dynamic(Some("batch".into())));
    assert_eq!(dims[2], Dim::Dynamic(None));
    assert_eq!(names(&signature.outputs), ["f64[?]"]);
}

#[test]
fn outputs_that_are_no_tensors_cannot_be_served() {
    let error = onnx::signature(&parse(&models::sequence_output())).expect_err("a sequence");
    assert_eq!(
        error.to_string(),
        "output `y` is a sequence; only tensors of numbers, booleans or strings can be served"
    );
}

#[test]
fn a_file_that_ends_early_says_how_long_it_is_to_be() {
    let whole = models::mlp();
    for len in 0..whole.len() {
        let error = onnx::parse(&whole[..len], FILE).expect_err("not whole");
        let OnnxError::Incomplete {
            expected_bytes,
            actual_bytes,
            ..
        } = error
        else {
            panic!("first {len} bytes: {error}");
        };
        assert_eq!(actual_bytes, len as u64);
        assert!(
            expected_bytes > actual_bytes && expected_bytes <= whole.len() as u64,
            "{len}: {expected_bytes}"
        );
    }
}

#[test]
fn the_length_is_known_as_soon_as_the_graph_has_begun() {
    let model = Graph::new()
        .weight("w", &weight(&[1 << 16], DType::F32))
        .to_bytes();
    // Everything but the import of operators comes before the end of the graph.
    let end_of_graph = model.len() - 4;
    let error = onnx::parse(&model[..64], FILE).expect_err("not whole");
    assert_eq!(
        error,
        OnnxError::Incomplete {
            file: FILE.into(),
            expected_bytes: end_of_graph as u64,
            actual_bytes: 64
        }
    );
}

#[test]
fn damage_is_not_taken_for_an_early_end() {
    let mut nested = Vec::new();
    for _ in 0..200 {
        let mut outer = Writer::new(Vec::new());
        // A graph in an attribute of a node of a graph.
        outer.nested(1, |node| {
            node.bytes_field(4, b"If");
            node.nested(5, |attribute| attribute.bytes_field(6, &nested));
        });
        nested = outer.into_inner();
    }
    let mut too_deep = Writer::new(Vec::new());
    too_deep.bytes_field(7, &nested);
    let cases: &[(&[u8], &str)] = &[
        (b"version https://git-lfs.github.com/spec/v1", "wire type"),
        (b"<html>", "field 7 is not that of a model"),
        (
            b"\x3a\x02\x0a\x05\x42\x02\x10\x10",
            "5 bytes announced, 0 bytes are left",
        ),
        (b"\x3a\xff\xff\xff\xff\xff\xff\x03", "bytes announced"),
        (&too_deep.into_inner(), "nested"),
    ];
    for (bytes, expected) in cases {
        match onnx::parse(*bytes, FILE) {
            Err(OnnxError::Malformed { reason, .. }) => {
                assert!(reason.contains(expected), "{reason}")
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
    let twice = Graph::new()
        .input("x", DType::F32, &[])
        .input("x", DType::F32, &[])
        .to_bytes();
    assert!(matches!(
        onnx::parse(&twice[..], FILE),
        Err(OnnxError::Malformed { .. })
    ));
}

#[test]
fn files_are_read_as_their_bytes_are() {
    for bytes in [
        models::mlp(),
        models::half_plus_two(),
        models::multi_output(),
    ] {
        let folder = ModelFolder::with_model(&bytes);
        assert_eq!(onnx::read(&folder.main()), Ok(parse(&bytes)));
    }
    let folder = ModelFolder::with_model(&[]);
    assert!(
        matches!(onnx::read(folder.path()), Err(OnnxError::Unreadable { .. })),
        "a folder is no file"
    );
    assert!(matches!(
        onnx::read(&folder.path().join("none")),
        Err(OnnxError::Unreadable { .. })
    ));
}

#[test]
fn weights_are_skipped_wherever_they_end() {
    // Lengths around the size of what is read at once.
    for num_bytes in (8_000..8_300).chain([0, 1, 16_383, 16_384, 16_385, 100_000]) {
        let bytes = Graph::new()
            .input("x", DType::F32, &[])
            .weight("w", &weight(&[num_bytes], DType::U8))
            .output("x", DType::F32, &[])
            .to_bytes();
        let folder = ModelFolder::with_model(&bytes);
        assert_eq!(onnx::read(&folder.main()), Ok(parse(&bytes)), "{num_bytes}");
    }
}

#[test]
fn weights_beside_the_model_must_be_there_and_long_enough() {
    let (model, weights) = models::external_mlp("data/w.bin");
    let folder = ModelFolder::with_model(&model);
    let expected_bytes = weights.len() as u64;
    let incomplete = |actual_bytes| {
        Err(OnnxError::Incomplete {
            file: "data/w.bin".into(),
            expected_bytes,
            actual_bytes,
        })
    };
    assert_eq!(onnx::read(&folder.main()), incomplete(0));
    folder.write("data/w.bin", &weights[..10]);
    assert_eq!(onnx::read(&folder.main()), incomplete(10));
    folder.write("data/w.bin", &weights);
    let header = onnx::read(&folder.main()).expect("all there");
    assert_eq!(
        (
            header.external_files[0].location.as_str(),
            header.external_files[0].min_bytes
        ),
        ("data/w.bin", expected_bytes)
    );
}

#[test]
fn weights_do_not_come_from_outside_the_models_folder() {
    let (_, weights) = models::external_mlp("");
    let elsewhere = ModelFolder::with_model(&[]);
    elsewhere.write("w.bin", &weights);
    let check = |location: &str, prepare: &dyn Fn(&Path)| {
        let folder = ModelFolder::with_model(&models::external_mlp(location).0);
        prepare(folder.path());
        match onnx::read(&folder.main()) {
            Err(OnnxError::Malformed { reason, .. }) => {
                assert!(reason.contains(location), "{reason}")
            }
            other => panic!("{location}: {other:?}"),
        }
    };
    let outside = elsewhere.path().join("w.bin");
    check(&outside.to_string_lossy(), &|_| {});
    check("../w.bin", &|_| {});
    check("a/../../w.bin", &|_| {});
    check("link.bin", &|dir| {
        symlink(&outside, dir.join("link.bin")).expect("links can be made")
    });
    check("link/w.bin", &|dir| {
        symlink(elsewhere.path(), dir.join("link")).expect("links can be made")
    });
}

#[test]
fn a_version_that_consists_of_links_is_read() {
    let (model, weights) = models::external_mlp("w.bin");
    let real = ModelFolder::with_model(&model);
    real.write("w.bin", &weights);
    let linked = ModelFolder::with_model(&[]);
    fs::remove_file(linked.main()).expect("it is there");
    for name in [FILE, "w.bin"] {
        symlink(real.path().join(name), linked.path().join(name)).expect("links can be made");
    }
    assert!(onnx::read(&linked.main()).is_ok());
}

#[test]
fn files_of_weights_can_be_given_other_names() {
    let (model, _) = models::external_mlp("w.bin");
    let rename = |location: &str| (location == "w.bin").then(|| "other.data".to_owned());
    let renamed = onnx::rename_external_files(&model, &rename).expect("valid");
    assert_eq!(parse(&renamed).external_files[0].location, "other.data");
    let unchanged = onnx::rename_external_files(&model, &|_| None).expect("valid");
    assert_eq!(unchanged, model);
    assert_eq!(renamed, models::external_mlp("other.data").0);
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_an_error(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..64], 0..300)) {
        let _answer = onnx::parse(&bytes[..], FILE);
        let _renamed = onnx::rename_external_files(&bytes, &|_| None);
    }

    #[test]
    fn damaged_models_are_an_answer_or_an_error(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = models::external_mlp("w.bin").0;
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let parsed = onnx::parse(&bytes[..], FILE);
        let folder = ModelFolder::with_model(&bytes);
        if let Err(error) = parsed {
            prop_assert_eq!(onnx::read(&folder.main()), Err(error));
        }
    }
}
