//! What is read out of SavedModels that the testkit writes.

use proptest::prelude::*;
use salver_savedmodel::{MetaGraph, SavedModelError, parse};
use salver_tensor::{DType, Dim, Tensor};
use salver_testkit::saved_model::{Attribute, Graph};
use salver_testkit::saved_models;

fn declared(graph: &Graph) -> MetaGraph {
    let mut model = parse(&graph.to_bytes()[..], "saved_model.pb").expect("it is one");
    assert_eq!(model.meta_graphs.len(), 1);
    model.meta_graphs.remove(0)
}

#[test]
fn signatures_are_read_as_they_are_declared() {
    let scale = Tensor::from_vec([0; 0], vec![2.0_f32]).expect("a scalar");
    let graph = Graph::new()
        .tags(&["serve", "gpu"])
        .input("x", DType::F32, Some(&["batch", "-1", "3"]))
        .input("scale", DType::F32, Some(&[]))
        .output("y", "mul:0", DType::F32, None)
        .default_of("scale", scale.clone())
        .signature("regress", "tensorflow/serving/regress")
        .takes("inputs", "examples:0", DType::String, None)
        .output("outputs", "mul:0", DType::F32, Some(&["-1", "1"]))
        .asset("file:0", "words.txt");
    let graph = declared(&graph);
    assert_eq!(graph.tags.iter().collect::<Vec<_>>(), ["gpu", "serve"]);
    assert_eq!(graph.assets, ["words.txt"]);
    let default = graph.signatures.get("").expect("the default signature");
    let shown: Vec<String> = default
        .inputs
        .iter()
        .chain(&default.outputs)
        .map(|spec| format!("{}: {spec} is {}", spec.name, spec.tensor_name))
        .collect();
    assert_eq!(
        shown,
        [
            "scale: f32[] is scale:0",
            "x: f32[-1,-1,3] is x:0",
            "y: f32[?] is mul:0"
        ]
    );
    let dims = default.inputs[1].dims.as_deref().expect("a known rank");
    assert_eq!(dims[0], Dim::Dynamic(Some("batch".into())));
    assert_eq!(dims[1], Dim::Dynamic(None));
    assert_eq!(default.defaults.get("scale"), Some(&scale));
    let regress = graph
        .signatures
        .get("regress")
        .expect("the other signature");
    assert_eq!(&*regress.method_name, "tensorflow/serving/regress");
    assert!(regress.defaults.is_empty());
}

#[test]
fn signatures_that_cannot_be_served_are_told_apart() {
    let graph = Graph::new()
        .input("x", DType::F32, None)
        .sparse_output("y", "y:0")
        .signature("good", "tensorflow/serving/predict")
        .output("x", "x:0", DType::F32, None);
    let graph = declared(&graph);
    assert!(graph.signatures.get("good").is_some());
    assert!(graph.signatures.get("").is_none());
    assert_eq!(
        graph.not_servable[0].to_string(),
        "signature `serving_default` cannot be served: output `y` is a sparse tensor"
    );
}

/// Signatures `add` and `get` of a variable, by operators of its kind.
fn counter(add: &str, get: &str) -> Graph {
    let float = [("T", Attribute::Type(DType::F32))];
    Graph::new()
        .node("VarHandleOp", "variable", &[], &[])
        .input("delta", DType::F32, None)
        .node(add, "add", &["variable", "delta"], &float)
        .node(get, "added", &["variable", "^add"], &float)
        .node(get, "value", &["variable"], &float)
        .output("added", "added:0", DType::F32, None)
        .signature("get", "tensorflow/serving/predict")
        .output("value", "value:0", DType::F32, None)
}

#[test]
fn runs_that_change_something_are_known() {
    for add in [
        "AssignAddVariableOp",
        "AssignAdd",
        "ScatterUpdate",
        "QueueEnqueueV2",
    ] {
        let graph = declared(&counter(add, "ReadVariableOp"));
        let changes = |name: &str| graph.signatures.get(name).map(|it| it.changes_state);
        assert_eq!(
            (changes(""), changes("get")),
            (Some(true), Some(false)),
            "{add}"
        );
    }
    for add in ["AddV2", "ScatterNd", "ResourceGather"] {
        let graph = declared(&counter(add, "Identity"));
        let default = graph.signatures.get("").expect("it is there");
        assert!(!default.changes_state, "{add}");
    }
}

#[test]
fn a_file_that_ends_early_says_how_long_it_is_to_be() {
    let whole = saved_models::mlp();
    for len in 0..whole.len() {
        match parse(&whole[..len], "saved_model.pb") {
            Err(SavedModelError::Incomplete {
                expected_bytes,
                actual_bytes,
                ..
            }) => {
                assert_eq!(actual_bytes, len as u64);
                assert!(expected_bytes > actual_bytes && expected_bytes <= whole.len() as u64);
            }
            other => panic!("first {len} bytes: {other:?}"),
        }
    }
    parse(&whole[..], "saved_model.pb").expect("it is whole");
}

proptest! {
    #[test]
    fn damage_is_never_a_panic(position in 0_usize..1000, byte: u8) {
        let mut bytes = saved_models::mlp();
        let position = position % bytes.len();
        bytes[position] = byte;
        drop(parse(&bytes[..], "saved_model.pb"));
    }

    #[test]
    fn any_bytes_are_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(parse(&bytes[..], "saved_model.pb"));
    }
}
