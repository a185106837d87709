//! What a request may ask for, and what kernels say to it.

use std::time::{Duration, Instant};

use salver_backend::{BackendError, ErrorCode, Signature};
use salver_tensor::{DType, Tensor, TensorSpec};
use salver_testkit::saved_model::{Attribute, Graph};
use salver_testkit::{Tolerance, saved_models};

use crate::fixture::{self, floats, load, scalar};

const FLOAT: Attribute = Attribute::Type(DType::F32);

/// `y = 2 x`, `z = 2 x + 1`.
fn two_steps() -> Graph {
    Graph::new()
        .input("x", DType::F32, None)
        .constant("two", &scalar(2.0))
        .constant("one", &scalar(1.0))
        .node("Mul", "double", &["x", "two"], &[("T", FLOAT)])
        .node("AddV2", "more", &["double", "one"], &[("T", FLOAT)])
        .output("y", "double:0", DType::F32, None)
        .output("z", "more:0", DType::F32, None)
}

fn spec(alias: &str, tensor: &str) -> TensorSpec {
    TensorSpec {
        tensor_name: tensor.into(),
        ..TensorSpec::new(alias, DType::F32, None)
    }
}

#[test]
fn any_signature_runs_whose_tensors_the_graph_has() {
    let Some(mut loaded) = load(&two_steps()) else {
        return;
    };
    let inner = Signature::serving_default(
        vec![spec("given", "double:0")],
        vec![
            spec("a", "more:0"),
            spec("b", "more"),
            spec("same", "double:0"),
        ],
    );
    let outputs = loaded
        .run_until(&inner, &[floats(&[5.0])], None)
        .expect("it runs");
    for (output, expected) in outputs.iter().zip([6.0, 6.0, 5.0]) {
        Tolerance::Exact
            .check(output, &floats(&[expected]))
            .expect("from the middle of the graph on");
    }
}

#[test]
fn tensors_that_the_graph_does_not_have_are_named() {
    let Some(mut loaded) = load(&two_steps()) else {
        return;
    };
    let rows = [
        ("x:0", "nothing:0", "FetchOutputs node nothing:0: not found"),
        ("x:0", "more:1", "FetchOutputs node more:1: not found"),
        (
            "nothing:0",
            "more:0",
            "FeedInputs: unable to find feed output nothing:0",
        ),
    ];
    for (input, output, expected) in rows {
        let signature = Signature::serving_default(vec![spec("x", input)], vec![spec("y", output)]);
        let error = loaded.run_until(&signature, &[floats(&[1.0])], None);
        let expected = BackendError::Model {
            code: ErrorCode::NotFound,
            message: expected.to_owned(),
        };
        assert_eq!(error, Err(expected));
    }
}

#[test]
fn kernels_speak_for_themselves() {
    let weights = Tensor::from_vec([3, 1], vec![1.0_f32, 2.0, 3.0]).expect("three");
    let graph = Graph::new()
        .input("x", DType::F32, None)
        .constant("w", &weights)
        .node("MatMul", "y", &["x", "w"], &[("T", FLOAT)])
        .output("y", "y:0", DType::F32, None);
    let Some(mut loaded) = load(&graph) else {
        return;
    };
    let x = Tensor::from_vec([1, 2], vec![1.0_f32, 2.0]).expect("two");
    let error = loaded.run("", &[x]).expect_err("the sizes do not fit");
    let BackendError::Model { code, message } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*code, ErrorCode::InvalidArgument);
    assert!(
        message.starts_with("Matrix size-incompatible: In[0]: [1,2], In[1]: [3,1]"),
        "{message}"
    );
}

#[test]
fn more_dimensions_than_there_can_be_are_refused() {
    let Some(mut loaded) = load(&two_steps()) else {
        return;
    };
    let x = Tensor::from_vec(vec![1; 255], vec![1.0_f32]).expect("one");
    let error = loaded.run("", &[x]).expect_err("too many");
    assert!(
        matches!(&error, BackendError::InvalidInput { message } if message.contains("254")),
        "{error}"
    );
}

/// So many products of large matrices, one after the other, that a run takes seconds.
fn slow() -> Graph {
    const NUM_STEPS: usize = 400;
    let mut graph = Graph::new().input("x", DType::F32, None);
    let mut last = "x".to_owned();
    for step in 0..NUM_STEPS {
        let name = format!("step{step}");
        graph = graph.node("MatMul", &name, &[&last, "x"], &[("T", FLOAT)]);
        last = name;
    }
    graph.output("y", &format!("{last}:0"), DType::F32, None)
}

#[test]
fn a_run_ends_at_its_deadline() {
    const WIDTH: usize = 768;
    let Some(mut loaded) = load(&slow()) else {
        return;
    };
    let x = Tensor::from_vec([WIDTH, WIDTH], vec![0.0_f32; WIDTH * WIDTH]).expect("fits");
    let signature = loaded.signature("");
    let now = Instant::now();
    for deadline in [now + Duration::from_millis(20), now] {
        let result = loaded.run_until(&signature, std::slice::from_ref(&x), Some(deadline));
        let error = result.expect_err("it takes longer");
        assert!(
            matches!(
                error,
                BackendError::Model {
                    code: ErrorCode::DeadlineExceeded,
                    ..
                }
            ),
            "{error:?}"
        );
    }
    // The instance works on after it.
    let x = Tensor::from_vec([1, 1], vec![1.0_f32]).expect("one");
    let far = Instant::now() + Duration::from_secs(600);
    let outputs = loaded
        .run_until(&signature, std::slice::from_ref(&x), Some(far))
        .expect("it runs");
    Tolerance::Exact.check(&outputs[0], &x).expect("1");
}

#[test]
fn a_model_serves_many_threads() {
    let Some(loaded) = load(&two_steps()) else {
        return;
    };
    let signature = loaded.signature("");
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let mut instance = loaded.model.instance().expect("there is room");
            let signature = &signature;
            scope.spawn(move || {
                let x = [floats(&[f32::from(thread)])];
                for _ in 0..100 {
                    let inputs = salver_backend::Inputs {
                        signature,
                        tensors: &x,
                        deadline: None,
                    };
                    let outputs = instance.run(&inputs, &salver_backend::Requested(&[0]));
                    let expected = floats(&[2.0 * f32::from(thread)]);
                    Tolerance::Exact
                        .check(&outputs.expect("it runs")[0], &expected)
                        .expect("2 x");
                }
            });
        }
    });
}

#[test]
fn the_tiny_models_are_whole() {
    let model = salver_savedmodel::parse(&saved_models::mlp()[..], "saved_model.pb");
    let model = model.expect("it is one");
    assert_eq!(model.tag_sets(), "{serve}");
    assert!(fixture::backend().is_none() || model.meta_graph(&["serve"]).is_some());
}
