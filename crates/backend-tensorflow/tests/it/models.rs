//! What only SavedModels have: tables, files, initialisers, variables, tf.Examples, several graphs and signatures.

use std::fs;

use salver_backend::{Backend, BackendError, ModelConfig, ModelFiles, ModelFormat};
use salver_backend_tensorflow::{Config, Options, TensorFlow};
use salver_tensor::{DType, Tensor};
use salver_testkit::saved_model::{Attribute, Graph};
use salver_testkit::{ModelFolder, Tiny, Tolerance};
use salver_wire::Writer;

use crate::fixture::{self, floats, load, load_folder, scalar, strings};

const FLOAT: Attribute = Attribute::Type(DType::F32);
const STRING: Attribute = Attribute::Type(DType::String);
const INT64: Attribute = Attribute::Type(DType::I64);

#[test]
fn strings_come_back_whatever_their_length() {
    let graph = Graph::new()
        .input("x", DType::String, None)
        .node("Identity", "y", &["x"], &[("T", STRING)])
        .node("StringUpper", "upper", &["x"], &[])
        .output("same", "y:0", DType::String, None)
        .output("upper", "upper:0", DType::String, None);
    let Some(mut loaded) = load(&graph) else {
        return;
    };
    let texts: Vec<Vec<u8>> = [0, 1, 21, 22, 23, 24, 100, 100_000]
        .map(|len| vec![b'a'; len])
        .to_vec();
    let x = strings(&texts);
    let outputs = loaded.run("", std::slice::from_ref(&x)).expect("it runs");
    drop(loaded);
    Tolerance::Exact.check(&outputs[0], &x).expect("the same");
    let upper: Vec<Vec<u8>> = texts.iter().map(|text| text.to_ascii_uppercase()).collect();
    Tolerance::Exact
        .check(&outputs[1], &strings(&upper))
        .expect("in upper case");
}

#[test]
fn dtypes_are_those_of_the_graph_whatever_a_signature_says() {
    let graph = Graph::new()
        .input("x", DType::String, None)
        .node("StringUpper", "upper", &["x"], &[])
        .output("upper", "upper:0", DType::String, None)
        .signature("mistaken", "tensorflow/serving/predict")
        .takes("x", "x:0", DType::F32, None)
        .output("upper", "upper:0", DType::I64, None);
    let Some(mut loaded) = load(&graph) else {
        return;
    };
    let signature = loaded.signature("mistaken");
    let dtypes = [&signature.inputs[0], &signature.outputs[0]].map(|spec| spec.dtype);
    assert_eq!(dtypes, [DType::String; 2]);
    let outputs = loaded.run("mistaken", &[strings(&["a"])]).expect("it runs");
    Tolerance::Exact
        .check(&outputs[0], &strings(&["A"]))
        .expect("in upper case");
}

#[test]
fn tables_are_filled_from_files_when_the_model_is_loaded() {
    let types = [("key_dtype", STRING), ("value_dtype", INT64)];
    let find = [("Tin", STRING), ("Tout", INT64)];
    let columns = [
        ("key_index", Attribute::Int(-2)),
        ("value_index", Attribute::Int(-1)),
    ];
    let unknown = Tensor::from_vec([0; 0], vec![-1_i64]).expect("a scalar");
    let file = Tensor::from_strings([0; 0], vec![bytes::Bytes::new()]).expect("a scalar");
    let graph = Graph::new()
        .input("words", DType::String, None)
        .constant("file", &file)
        .constant("unknown", &unknown)
        .node("HashTableV2", "table", &[], &types)
        .node(
            "InitializeTableFromTextFileV2",
            "fill",
            &["table", "file"],
            &columns,
        )
        .node(
            "LookupTableFindV2",
            "ids",
            &["table", "words", "unknown"],
            &find,
        )
        .initialiser("fill")
        .asset("file:0", "words.txt")
        .output("ids", "ids:0", DType::I64, None);
    let folder = fixture::folder(&graph);
    folder.write("assets/words.txt", "zero\none\ntwo\n".as_bytes());
    let Some(mut loaded) = load_folder(&folder) else {
        return;
    };
    let outputs = loaded
        .run("", &[strings(&["two", "three", "zero"])])
        .expect("it runs");
    assert_eq!(outputs[0].as_slice::<i64>().expect("i64"), [2, -1, 0]);
}

/// Returns an encoded `tf.Example` with one float.
fn example(name: &str, value: f32) -> Vec<u8> {
    let mut example = Writer::new(Vec::new());
    example.nested(1, |features| {
        features.nested(1, |entry| {
            entry.bytes_field(1, name.as_bytes());
            entry.nested(2, |feature| {
                feature.nested(2, |list| list.bytes_field(1, &value.to_le_bytes()));
            });
        });
    });
    example.into_inner()
}

/// `y = x + 1` for the feature `x` of examples, which `regress` takes; `serving_default` takes `x` itself.
fn example_model() -> Graph {
    let none = Tensor::from_vec::<f32>([0], Vec::new()).expect("none");
    let key = Tensor::from_strings([0; 0], vec![bytes::Bytes::from_static(b"x")]).expect("one");
    let parse = [
        ("Nsparse", Attribute::Int(0)),
        ("Ndense", Attribute::Int(1)),
        ("sparse_types", Attribute::Types(Vec::new())),
        ("Tdense", Attribute::Types(vec![DType::F32])),
        ("dense_shapes", Attribute::Shapes(vec![vec![1]])),
    ];
    let no_names = Tensor::from_strings([0], Vec::new()).expect("none");
    Graph::new()
        .constant("names", &no_names)
        .constant("key", &key)
        .constant("default", &none)
        .constant("one", &scalar(1.0))
        .node("Placeholder", "examples", &[], &[("dtype", STRING)])
        .node(
            "ParseExample",
            "parse",
            &["examples", "names", "key", "default"],
            &parse,
        )
        .node("Identity", "x", &["parse"], &[("T", FLOAT)])
        .node("AddV2", "y", &["x", "one"], &[("T", FLOAT)])
        .takes("x", "x:0", DType::F32, Some(&["-1", "1"]))
        .output("y", "y:0", DType::F32, Some(&["-1", "1"]))
        .signature("regress", "tensorflow/serving/regress")
        .takes("inputs", "examples:0", DType::String, None)
        .output("outputs", "y:0", DType::F32, Some(&["-1", "1"]))
}

#[test]
fn examples_are_parsed_and_inner_tensors_take_their_place() {
    let Some(mut loaded) = load(&example_model()) else {
        return;
    };
    assert_eq!(
        &*loaded.signature("regress").method_name,
        "tensorflow/serving/regress"
    );
    let examples = strings(&[example("x", 2.0), example("x", 3.0)]);
    let outputs = loaded.run("regress", &[examples]).expect("it runs");
    let expected = Tensor::from_vec([2, 1], vec![3.0_f32, 4.0]).expect("two");
    Tolerance::Exact
        .check(&outputs[0], &expected)
        .expect("x + 1");

    // `x:0` lies behind the parser, and its declared shape does not bind.
    let outputs = loaded.run("", &[floats(&[5.0, 6.0])]).expect("it runs");
    Tolerance::Exact
        .check(&outputs[0], &floats(&[6.0, 7.0]))
        .expect("x + 1");
}

#[test]
fn variables_keep_their_value_from_run_to_run() {
    let float = [("dtype", FLOAT)];
    let variable = [
        ("dtype", FLOAT),
        ("shape", Attribute::Shape(Some(Vec::new()))),
    ];
    let old = [("T", FLOAT)];
    let resource = Graph::new()
        .constant("zero", &scalar(0.0))
        .node("VarHandleOp", "sum", &[], &variable)
        .node("AssignVariableOp", "start", &["sum", "zero"], &float)
        .initialiser("start")
        .input("delta", DType::F32, Some(&[]))
        .node("AssignAddVariableOp", "assign", &["sum", "delta"], &float)
        .node("ReadVariableOp", "added", &["sum", "^assign"], &float)
        .output("value", "added:0", DType::F32, Some(&[]));
    let reference = Graph::new()
        .constant("zero", &scalar(0.0))
        .node("VariableV2", "sum", &[], &variable)
        .node("Assign", "start", &["sum", "zero"], &old)
        .initialiser("start")
        .input("delta", DType::F32, Some(&[]))
        .node("AssignAdd", "added", &["sum", "delta"], &old)
        .output("value", "added:0", DType::F32, Some(&[]));
    for graph in [resource, reference] {
        let Some(mut loaded) = load(&graph) else {
            return;
        };
        let answers: Vec<Tensor> = (1_u8..=3)
            .map(|delta| {
                let outputs = loaded.run("", &[scalar(f32::from(delta))]);
                outputs.expect("it runs").remove(0)
            })
            .collect();
        // What was answered first is not changed by the runs after it.
        for (answer, expected) in answers.iter().zip([1.0, 3.0, 6.0]) {
            Tolerance::Exact
                .check(answer, &scalar(expected))
                .expect("the sum so far");
        }
    }
}

#[test]
fn defaults_are_kept() {
    let graph = Graph::new()
        .input("x", DType::F32, None)
        .input("scale", DType::F32, Some(&[]))
        .node("Mul", "y", &["x", "scale"], &[("T", FLOAT)])
        .output("y", "y:0", DType::F32, None)
        .default_of("scale", scalar(2.0));
    let Some(mut loaded) = load(&graph) else {
        return;
    };
    let signature = loaded.signature("");
    assert_eq!(signature.defaults.len(), 1);
    let scale = signature
        .defaults
        .get("scale")
        .expect("the default of scale");
    let aliases: Vec<&str> = signature.inputs.iter().map(|spec| &*spec.name).collect();
    assert_eq!(aliases, ["scale", "x"]);
    let outputs = loaded
        .run("", &[scale.clone(), floats(&[1.5])])
        .expect("it runs");
    Tolerance::Exact
        .check(&outputs[0], &floats(&[3.0]))
        .expect("2 x");
}

#[test]
fn the_graph_is_chosen_by_its_tags() {
    let Some(backend) = fixture::backend() else {
        return;
    };
    let graph = |tags: &[&str]| {
        Graph::new()
            .tags(tags)
            .input("x", DType::F32, None)
            .node("Identity", "y", &["x"], &[("T", FLOAT)])
            .output("y", "y:0", DType::F32, None)
    };
    let folder = fixture::folder(&graph(&["serve", "gpu"]));
    let error = backend.supports(&folder.files()).expect_err("other tags");
    let BackendError::InvalidModel { reason, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(
        reason,
        "has no graph with the tags {serve}; it has {gpu,serve}"
    );
    let cache_dir = backend
        .status()
        .library
        .and_then(|path| path.parent().map(std::path::Path::to_path_buf));
    let both = TensorFlow::new(Config {
        library: cache_dir,
        options: Options {
            tags: vec!["gpu".to_owned(), "serve".to_owned()],
            ..Options::default()
        },
        ..Config::default()
    });
    both.load(&folder.files(), &ModelConfig::default())
        .expect("these are its tags");
}

#[test]
fn a_model_without_its_files_is_refused() {
    let Some(backend) = fixture::backend() else {
        return;
    };
    let graph = Graph::new()
        .input("x", DType::F32, None)
        .node("Identity", "y", &["x"], &[("T", FLOAT)])
        .output("y", "y:0", DType::F32, None)
        .constant(
            "file",
            &Tensor::from_strings([0; 0], vec![bytes::Bytes::new()]).expect("one"),
        )
        .node("ReadFile", "content", &["file"], &[])
        .initialiser("content")
        .asset("file:0", "words.txt");
    let folder = fixture::folder(&graph);
    let error = backend.load(&folder.files(), &ModelConfig::default());
    let error = error.map(|_| ()).expect_err("a file is missing");
    assert!(
        matches!(&error, BackendError::InvalidModel { reason, .. } if reason.contains("words.txt")),
        "{error}"
    );
}

/// A model as text, a form that only TensorFlow itself reads here.
const TEXT: &str = r#"
saved_model_schema_version: 1
meta_graphs {
  meta_info_def { tags: "serve" }
  graph_def {
    node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } }
    node { name: "y" op: "Neg" input: "x" attr { key: "T" value { type: DT_FLOAT } } }
    versions { producer: 561 }
  }
  signature_def {
    key: "serving_default"
    value {
      inputs { key: "x" value { name: "x:0" dtype: DT_FLOAT tensor_shape { dim { size: -1 } } } }
      outputs { key: "y" value { name: "y:0" dtype: DT_FLOAT tensor_shape { dim { size: -1 } } } }
      method_name: "tensorflow/serving/predict"
    }
  }
}
"#;

#[test]
fn models_written_as_text_are_read_by_tensorflow_itself() {
    let folder = ModelFolder::of(ModelFormat::SavedModel, &[]);
    fs::remove_file(folder.main()).expect("it is ours");
    folder.write("saved_model.pbtxt", TEXT.as_bytes());
    let files = ModelFiles {
        main: folder.path().join("saved_model.pbtxt"),
        ..folder.files()
    };
    let Some(backend) = fixture::backend() else {
        return;
    };
    backend.supports(&files).expect("it may be loaded");
    let model = backend
        .load(&files, &ModelConfig::default())
        .expect("it is loaded");
    let signature = model.signatures().get("").expect("the default signature");
    assert_eq!(signature.inputs[0].to_string(), "f32[-1]");
}

#[test]
fn a_signature_that_cannot_be_served_leaves_the_others_alone() {
    let graph = Graph::new()
        .input("x", DType::F32, None)
        .node("Neg", "y", &["x"], &[("T", FLOAT)])
        .output("y", "y:0", DType::F32, None)
        .signature("sparse", "tensorflow/serving/predict")
        .sparse_output("y", "y:0");
    let Some(mut loaded) = load(&graph) else {
        return;
    };
    assert!(loaded.model.signatures().get("sparse").is_none());
    loaded.run("", &[floats(&[1.0])]).expect("it runs");
}

#[test]
fn other_formats_are_refused() {
    let Some(backend) = fixture::backend() else {
        return;
    };
    let error = backend
        .supports(&Tiny::Mlp.folder(ModelFormat::Onnx).files())
        .expect_err("it is ONNX");
    assert!(matches!(error, BackendError::Unsupported { .. }), "{error}");
}
