//! Graphs so long that following them recursively could end the process.

use std::thread;

use salver_backend::{Backend, BackendError, Inputs, ModelConfig, ModelFiles, Requested};
use salver_backend_rten::Rten;
use salver_tensor::Tensor;
use salver_testkit::{ModelFolder, models};

/// The stack that the server gives to the threads that load and run models.
const STACK_BYTES: usize = 16 * 1024 * 1024;

fn run(num_operators: usize) -> Result<Vec<Tensor>, BackendError> {
    let folder = ModelFolder::with_model(&models::chain(num_operators));
    let files = ModelFiles::onnx(&folder.path().join("model.onnx"));
    let model = Rten.load(&files, &ModelConfig::default())?;
    let signature = model.signatures().get("").expect("the default signature");
    let inputs = [Tensor::from_vec([2], vec![-1.0_f32, 1.0]).expect("fits")];
    let inputs = Inputs {
        signature,
        tensors: &inputs,
        deadline: None,
    };
    model.instance()?.run(&inputs, &Requested(&[0]))
}

#[test]
fn the_longest_graph_fits_the_stack_and_a_longer_one_is_refused() {
    let thread = thread::Builder::new().stack_size(STACK_BYTES);
    let thread = thread.spawn(|| {
        let outputs = run(20_000).expect("the longest graph runs");
        assert_eq!(outputs[0].as_slice::<f32>().expect("f32"), [0.0, 1.0]);
        let error = run(20_001).expect_err("a longer one is refused");
        assert!(matches!(error, BackendError::Unsupported { .. }), "{error}");
    });
    thread.expect("a thread").join().expect("no panic");
}
